"""The Hardware-Operation Dialogue Module (HODM): operator tokens and hardware tokens talk in rounds of cross-attention.

The operator tokens are the distinct operators of the networks at hand, with physical quantities (FLOPs, bytes,
launches); a device is a set of named hardware tokens: capability entries (what a card says) and signature entries (how
long each probe network took). In every round the hardware listens to the operators - a signature entry only to the
operators its probe network is made of, weighted by how often they occur - and then the operators listen to the
hardware ("which of your limits bind me?"). Each operator then reads off a rate per physical quantity, so that

    latency = sum_i count_i * sum_k rate_k(op_i | hardware) * quantity_k(op_i) + correction(network, hardware),

which is additive over operators, in milliseconds relative to the mean over the probes. Because the dialogue is between
a device and operators, not between a device and one network, a whole search space costs one matrix product. The idea is
CloserToMe's (AAAI 2026), of which only the abstract is public; the architecture is our own choice.

Shapes: `d` devices, `v` distinct operators, `f` operator features, `q` physical quantities, `h` hardware tokens,
`g` descriptor width, `c` token width, `a` architectures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class HODMConfig:
    """Size of the model.

    Args:
        width: token width `c`.
        heads: attention heads; divides the width.
        rounds: rounds of dialogue, each in both directions.
    """

    width: int = 48
    heads: int = 3
    rounds: int = 2


class Operators(NamedTuple):
    """Distinct operators: ``features`` `v x f` and ``quantities`` `v x q` of one copy (each column relative to the
    mean network's total)."""

    features: Tensor
    quantities: Tensor


class Hardware(NamedTuple):
    """Hardware tokens of `d` devices.

    Args:
        descriptors: `h x g`, what each entry is (a capability's name, or what a probe network consists of).
        hears: `h x v`, how often each operator occurs in what the entry measured; capability entries hear all equally.
        values: `d x h` readings.
        known: `d x h` bool; an unknown entry takes no part.
    """

    descriptors: Tensor
    hears: Tensor
    values: Tensor
    known: Tensor

    def told(self) -> Hardware:
        """The same without the entries that no device knows: they take no part, and this takes less time."""
        entries = self.known.any(0)
        return Hardware(self.descriptors[entries], self.hears[entries], self.values[:, entries], self.known[:, entries])


class Dialogue(NamedTuple):
    """What the dialogue says.

    Args:
        costs: `d x v x q` relative latency of one copy of each operator (of those asked for), by physical quantity.
        summary: `d x c` what the hardware tokens say on average.
        op_attention: `d x rounds x heads x v x h`; rows sum to one over known entries.
        hardware_attention: `d x rounds x heads x h x v`; rows sum to one over the operators heard. Where only some
            operators were asked for, both are of the last round alone.
    """

    costs: Tensor
    summary: Tensor
    op_attention: Tensor
    hardware_attention: Tensor


class CrossAttention(nn.Module):
    """Multi-head attention whose scores take an additive bias, and which returns its map."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, keys: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """``queries`` `d x n x c`, ``keys`` `d x m x c`, ``bias`` broadcast to `d x n x m` -> `d x n x c`, the map.

        Either may have a first axis of 1, the same tokens for all devices, which are then worked on once.
        A bias of minus infinity masks a key: it gets attention exactly 0. A query whose keys are all masked hears
        nothing (zero), not an average.
        """
        query = self._split(self.query(queries))
        key, value = (self._split(part) for part in self.key_value(keys).chunk(2, dim=-1))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + bias[:, None]  # d x heads x n x m
        deaf = bias.isneginf().all(-1, keepdim=True)[:, None]
        if deaf.any():
            attention = scores.masked_fill(deaf, 0.0).softmax(-1).masked_fill(deaf, 0.0)
        else:
            attention = scores.softmax(-1)
        return self.out((attention @ value).transpose(1, 2).flatten(2)), attention

    def _split(self, tokens: Tensor) -> Tensor:
        """`d x n x c` as `d x heads x n x c / heads`."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Listener(nn.Module):
    """One direction of a round: attend, add, refine."""

    def __init__(self, config: HODMConfig) -> None:
        super().__init__()
        c = config.width
        self.attention = CrossAttention(c, config.heads)
        self.norm_self, self.norm_other, self.norm_refine = nn.LayerNorm(c), nn.LayerNorm(c), nn.LayerNorm(c)
        self.refine = nn.Sequential(nn.Linear(c, 2 * c), nn.GELU(), nn.Linear(2 * c, c))

    def forward(self, listener: Tensor, speaker: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The listener's tokens after hearing the speaker's, and the attention map."""
        heard, attention = self.attention(self.norm_self(listener), self.norm_other(speaker), bias)
        listener = listener + heard
        return listener + self.refine(self.norm_refine(listener)), attention


class HODM(nn.Module):
    """See the module's docstring.

    Args:
        features: operator features `f`.
        quantities: physical quantities `q`.
        descriptors: width `g` of a hardware token's descriptor.
    """

    def __init__(self, features: int, quantities: int, descriptors: int, config: HODMConfig = HODMConfig()) -> None:
        super().__init__()
        c = config.width
        self.config = config
        self.embed_operator = nn.Sequential(nn.Linear(features, 2 * c), nn.GELU(), nn.Linear(2 * c, c))
        self.embed_entry = nn.Linear(descriptors, c)
        self.embed_value = nn.Sequential(nn.Linear(c + 1, 2 * c), nn.GELU(), nn.Linear(2 * c, c))
        self.hardware_listens = nn.ModuleList(Listener(config) for _ in range(config.rounds))
        self.operators_listen = nn.ModuleList(Listener(config) for _ in range(config.rounds))
        self.rate = nn.Sequential(nn.LayerNorm(c), nn.Linear(c, 2 * c), nn.GELU(), nn.Linear(2 * c, quantities))
        self.correct = nn.Sequential(nn.Linear(c + quantities, c), nn.GELU(), nn.Linear(c, 1))
        with torch.no_grad():  # start from "every quantity costs its average share, no correction"
            self.rate[-1].weight.mul_(0.1)
            self.rate[-1].bias.fill_(math.log(math.expm1(1.0 / quantities)))
            self.correct[-1].weight.zero_()
            self.correct[-1].bias.zero_()

    def forward(self, operators: Operators, hardware: Hardware, asked: Tensor | None = None) -> Dialogue:
        """The dialogue of `d` devices with `v` operators. Unknown entries change nothing.

        In the last round only the operators that are ``asked`` for (`v` bool, all if None) still have to listen.
        """
        d = len(hardware.values)
        ops = self.embed_operator(operators.features)[None]  # 1 x v x c until they have listened
        entries = self.embed_entry(hardware.descriptors).expand(d, -1, -1)  # d x h x c
        values = hardware.values.where(hardware.known, 0.0)[..., None]
        device = entries + self.embed_value(torch.cat([entries, values], -1))
        heard = hardware.hears.log()[None]  # never heard: minus infinity
        known = torch.zeros_like(hardware.values).masked_fill(~hardware.known, -math.inf)[:, None]
        op_maps, hardware_maps = [], []
        for number, (hardware_listens, operators_listen) in enumerate(
            zip(self.hardware_listens, self.operators_listen, strict=True), start=1
        ):
            device, hardware_map = hardware_listens(device, ops, heard)
            if asked is not None and number == len(self.operators_listen):
                ops, op_maps, hardware_maps = ops[:, asked], [], []
            ops, op_map = operators_listen(ops, device, known)
            hardware_maps.append(hardware_map)
            op_maps.append(op_map)
        rates = nn.functional.softplus(self.rate(ops))  # d x v x q
        shares = hardware.known / hardware.known.sum(1, keepdim=True).clamp(min=1)
        return Dialogue(
            costs=rates * (operators.quantities if asked is None else operators.quantities[asked]),
            summary=(device * shares[..., None]).sum(1),
            op_attention=torch.stack(op_maps, 1),
            hardware_attention=torch.stack(hardware_maps, 1),
        )

    def correction(self, totals: Tensor, summary: Tensor) -> Tensor:
        """What belongs to no single operator: ``totals`` `a x q`, ``summary`` `d x c` -> `a x d`."""
        a, d = len(totals), len(summary)
        pairs = torch.cat([totals[:, None].expand(-1, d, -1), summary[None].expand(a, -1, -1)], -1)
        return self.correct(pairs).squeeze(-1)

    def latency(self, dialogue: Dialogue, counts: Tensor, totals: Tensor) -> Tensor:
        """Relative latency `a x d` of networks with ``counts`` `a x v` copies of each operator asked for and ``totals``
        of all."""
        return counts @ dialogue.costs.sum(-1).T + self.correction(totals, dialogue.summary)


def totals_of(operators: Operators, counts: Tensor) -> Tensor:
    """Logarithms of the physical quantities `a x q` of networks with ``counts`` `a x v` copies of each operator."""
    return (counts @ operators.quantities).log1p()
