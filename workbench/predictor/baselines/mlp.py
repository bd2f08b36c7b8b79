"""Peer: a multilayer perceptron on one-hot choices, pre-trained on all source devices together.

The field's plain baseline. From scratch it cannot learn a space from twenty networks, so it starts from the average
source device (every device's latencies, standardised, are labels of one and the same output) and is fine-tuned on the
probes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from workbench.describe.design import Design
from workbench.predictor.baselines.encodings import arch_graphs
from workbench.predictor.baselines.finetune import Peer, Schedule, squared, transferred
from workbench.predictor.baselines.torch_fit import AverageDevice, dense
from workbench.predictor.method import Pretrain, Sources


@dataclass(frozen=True)
class MLPConfig(Schedule):
    """Size and training: ``layers`` hidden layers of ``width``."""

    width: int = 200
    layers: int = 3


def mlp(config: MLPConfig) -> Pretrain:
    """The method."""

    def build(sources: Sources, design: Design) -> Peer:
        one_hot = torch.tensor(arch_graphs(sources.networks).one_hot())
        body = dense((one_hot.shape[1], *[config.width] * config.layers, 1))
        return Peer((one_hot,), AverageDevice(body))

    return transferred("mlp", build, squared, config)
