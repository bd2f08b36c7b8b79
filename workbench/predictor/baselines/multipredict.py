"""Peer: MultiPredict (Akhauri & Abdelfattah, AutoML 2023): unified encodings and a learnt embedding per device.

As in the paper: the architecture's encoding goes through an encoder of widths 100, 100, 30, is joined by the device's
embedding of eight numbers, and goes through a wide layer; the loss is the absolute error; the target's embedding starts
as that of the source device that correlates best on the probes, and everything is fine-tuned. Differences: the
zero-cost proxies, which need the running network, are replaced by physical sums (FLOPs, bytes, launches), which say
more about latency; labels are scaled by each device's own probes or source networks instead of the minimum and maximum
of all its latencies, and so the output has no sigmoid; one fine-tuning instead of the sum of ten.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from workbench.describe.design import Design
from workbench.predictor.baselines.encodings import arch_graphs
from workbench.predictor.baselines.finetune import Peer, Schedule, absolute, transferred
from workbench.predictor.baselines.torch_fit import dense
from workbench.predictor.method import Pretrain, Sources


@dataclass(frozen=True)
class MultiPredictConfig(Schedule):
    """Size and training: widths of the encoder and of the layer after it, numbers per device."""

    encoder: tuple[int, ...] = (100, 100, 30)
    width: int = 1000
    hardware: int = 8
    steps: int = 2500
    weight_decay: float = 5e-4


class MultiPredict(nn.Module):
    """See the module's docstring.

    Args:
        features: width `f` of an architecture's encoding.
        devices: source devices and the target.
    """

    def __init__(self, features: int, devices: int, config: MultiPredictConfig) -> None:
        super().__init__()
        self.encoder = dense((features, *config.encoder))
        self.hardware = nn.Embedding(devices, config.hardware)
        self.interact = dense((config.encoder[-1] + config.hardware, config.width, 1))

    def forward(self, inputs: tuple[Tensor, ...], devices: Tensor) -> Tensor:
        """One tensor `b x f` and `m` device numbers -> `b x m`."""
        code, hardware = self.encoder(inputs[0]), self.hardware(devices)
        b, m = len(code), len(hardware)
        pairs = torch.cat([code[:, None].expand(-1, m, -1), hardware.expand(b, -1, -1)], -1)
        return self.interact(pairs).squeeze(-1)


def multipredict(config: MultiPredictConfig) -> Pretrain:
    """The method."""

    def build(sources: Sources, design: Design) -> Peer:
        unified = np.concatenate([arch_graphs(sources.networks).one_hot(), design.physics], axis=1)
        model = MultiPredict(unified.shape[1], len(sources.devices) + 1, config)
        return Peer((torch.tensor(unified, dtype=torch.float32),), model)

    return transferred("multipredict", build, absolute, config)
