"""Peer: NASFLAT (Akhauri & Abdelfattah, MLSys 2024): operations that know the device, in a graph network.

As in the paper: an operation's embedding is joined by the device's (operation-wise hardware embedding); a short graph
pass refines it with what the whole network looks like; a second pass, gated by it, carries nothing but node positions
through layers that average dense graph flow and graph attention; the nodes' mean is joined by a supplementary encoding
and read by a multilayer perceptron. It is trained with a pairwise hinge loss, the target's embedding starts as that of
the source device that correlates best on the probes, and everything is fine-tuned. Milliseconds follow from a least
squares line through the probes.

Differences: half the widths and about a tenth of the training, for one core; pairs are compared within a device
(the authors' code compares raw latencies of different devices); attention is masked to what a node reads (there,
scores are multiplied by the adjacency before the softmax, which leaves non-neighbours most of the attention); the
supplementary encoding is the physical sums instead of thirteen zero-cost proxies; FBNet is a chain (there its adjacency
is the identity, so that the predictor sees a bag of operations).

Shapes: `b` networks, `m` devices, `n` nodes, `c` width, `o` width of an operation's embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from workbench.describe.design import Design
from workbench.predictor.baselines.encodings import arch_graphs
from workbench.predictor.baselines.finetune import Peer, Schedule, transferred
from workbench.predictor.baselines.torch_fit import dense
from workbench.predictor.method import Pretrain, Sources

MARGIN = 0.1  # scores of a pair are to differ by at least this much


@dataclass(frozen=True)
class NASFLATConfig(Schedule):
    """Size and training: embedding of an operation (half of it the device's), width, layers of the two passes."""

    embedding: int = 48
    width: int = 64
    refine_layers: int = 2
    layers: int = 3
    readout: int = 100
    steps: int = 1000
    networks: int = 24
    devices: int = 6
    weight_decay: float = 1e-5
    tune_steps: int = 40


class GraphFlow(nn.Module):
    """Dense graph flow: what a node reads, gated by its operation, is added to what it holds."""

    def __init__(self, inputs: int, width: int, embedding: int) -> None:
        super().__init__()
        self.hold, self.gate = nn.Linear(inputs, width), nn.Linear(embedding, width)

    def forward(self, nodes: Tensor, adjacency: Tensor, operations: Tensor) -> Tensor:
        """``nodes`` `b x m x n x c`, ``adjacency`` `n x n`, ``operations`` `b x m x n x o` -> `b x m x n x c`."""
        held = self.hold(nodes)
        return self.gate(operations).sigmoid() * (adjacency @ held) + held


class GraphAttention(nn.Module):
    """Attention over what a node reads and itself, gated by its operation."""

    def __init__(self, inputs: int, width: int, embedding: int) -> None:
        super().__init__()
        self.query_key_value = nn.Linear(inputs, 3 * width, bias=False)
        self.importance = nn.Parameter(torch.randn(width) / width**0.5)
        self.gate, self.norm = nn.Linear(embedding, width), nn.LayerNorm(width)

    def forward(self, nodes: Tensor, adjacency: Tensor, operations: Tensor) -> Tensor:
        """As `GraphFlow`."""
        query, key, value = self.query_key_value(nodes).chunk(3, dim=-1)
        scores = nn.functional.leaky_relu((query * self.importance) @ key.transpose(-1, -2))
        unread = (adjacency + torch.eye(len(adjacency))) == 0
        attention = scores.masked_fill(unread, -torch.inf).softmax(-1)
        return self.norm(self.gate(operations).sigmoid() * (attention @ value))


class EnsembleLayer(nn.Module):
    """The mean of `GraphFlow` and `GraphAttention`."""

    def __init__(self, inputs: int, width: int, embedding: int) -> None:
        super().__init__()
        self.flow = GraphFlow(inputs, width, embedding)
        self.attention = GraphAttention(inputs, width, embedding)

    def forward(self, nodes: Tensor, adjacency: Tensor, operations: Tensor) -> Tensor:
        """As `GraphFlow`."""
        heard = self.flow(nodes, adjacency, operations) + self.attention(nodes, adjacency, operations)
        return heard / 2


class NASFLAT(nn.Module):
    """See the module's docstring.

    Args:
        kinds: of nodes.
        adjacency: `n x n`, 1 where row reads column.
        supplement: width `q` of the supplementary encoding.
        devices: source devices and the target.
    """

    def __init__(self, kinds: int, adjacency: np.ndarray, supplement: int, devices: int, config: NASFLATConfig) -> None:
        super().__init__()
        c, o = config.width, config.embedding
        self.operation, self.hardware = nn.Embedding(kinds, o // 2), nn.Embedding(devices, o - o // 2)
        self.register_buffer("adjacency", torch.tensor(adjacency))
        self.register_buffer("is_input", (torch.arange(len(adjacency)) == 0).long())
        self.place = nn.Embedding(2, c)  # a node starts as "the input" or "another", and nothing else
        self.refining = nn.ModuleList(EnsembleLayer(c, c, o) for _ in range(config.refine_layers))
        self.summary = dense((c, c, c, c))
        self.refined = dense((o + c, c, o))
        self.passing = nn.ModuleList(EnsembleLayer(c, c, o) for _ in range(config.layers))
        self.supplement = dense((supplement, c, c, o))
        self.readout = dense((c + o, *[config.readout] * 3, 1))

    def forward(self, inputs: tuple[Tensor, ...], devices: Tensor) -> Tensor:
        """Kinds `b x n` and supplement `b x q` of the networks, `m` device numbers -> scores `b x m`."""
        kinds, supplement = inputs
        (b, n), m = kinds.shape, len(devices)
        of_operation = self.operation(kinds)[:, None].expand(b, m, n, -1)
        of_device = self.hardware(devices)[None, :, None].expand(b, m, n, -1)
        operations = torch.cat([of_operation, of_device], -1)
        nodes = self._through(self.refining, operations)
        summary = self.summary(nodes[:, :, -1:]).expand(-1, -1, n, -1)
        nodes = self._through(self.passing, self.refined(torch.cat([operations, summary], -1)))
        network = nodes[:, :, 1:].mean(2)  # b x m x c
        extra = self.supplement(supplement)[:, None].expand(-1, m, -1)
        return self.readout(torch.cat([network, extra], -1)).squeeze(-1)

    def _through(self, layers: nn.ModuleList, operations: Tensor) -> Tensor:
        nodes = self.place(self.is_input)
        for index, layer in enumerate(layers):
            nodes = layer(nodes.relu() if index else nodes, self.adjacency, operations)
        return nodes


def pairwise_hinge(scores: Tensor, labels: Tensor, measured: Tensor) -> Tensor:
    """Mean over pairs of networks on the same device of what the slower one's score lacks: all `b x m`."""
    slower = (labels[:, None] > labels[None]) & measured[:, None] & measured[None]  # b x b x m
    lacking = (MARGIN - (scores[:, None] - scores[None])).clamp(min=0)
    return (lacking * slower).sum() / slower.sum().clamp(min=1)


def nasflat(config: NASFLATConfig) -> Pretrain:
    """The method."""

    def build(sources: Sources, design: Design) -> Peer:
        graphs = arch_graphs(sources.networks)
        physics = torch.tensor(design.physics, dtype=torch.float32)
        devices = len(sources.devices) + 1
        model = NASFLAT(graphs.kinds, graphs.adjacency, physics.shape[1], devices, config)
        return Peer((torch.tensor(graphs.choices), physics), model)

    return transferred("nasflat", build, pairwise_hinge, config)
