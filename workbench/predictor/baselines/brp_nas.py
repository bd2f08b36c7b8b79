"""Peer: BRP-NAS (Dudziak et al., NeurIPS 2020), a graph convolutional network over the architecture graph.

As in the paper: operations as nodes, a global node that is read at the end, four graph convolutions. Differences: the
paper trains on 900 networks measured on the target itself; with twenty that is hopeless, so the network is pre-trained
on all source devices together and fine-tuned on the probes. The width is 128 instead of 600, for one core. Chains
(FBNet, Once-for-All), which the paper does not have, also tell a node its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from workbench.describe.design import Design
from workbench.predictor.baselines.encodings import arch_graphs
from workbench.predictor.baselines.finetune import Peer, Schedule, squared, transferred
from workbench.predictor.baselines.torch_fit import GCN, AverageDevice
from workbench.predictor.method import Pretrain, Sources


@dataclass(frozen=True)
class BRPNASConfig(Schedule):
    """Size and training: ``layers`` graph convolutions of ``width``."""

    width: int = 128
    layers: int = 4
    steps: int = 1200


def brp_nas(config: BRPNASConfig) -> Pretrain:
    """The method."""

    def build(sources: Sources, design: Design) -> Peer:
        features, propagation = arch_graphs(sources.networks).with_global_node()
        gcn = GCN(features.shape[2], config.width, config.layers, propagation)
        return Peer((torch.tensor(features),), AverageDevice(nn.Sequential(gcn, nn.Linear(config.width, 1))))

    return transferred("brp_nas", build, squared, config)
