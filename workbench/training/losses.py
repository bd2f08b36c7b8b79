"""What HODM is trained to make small.

All speak about relative latency (milliseconds over the mean of the probes), in which latency is additive. ``predicted``
and ``actual`` are `r x d` (networks x devices), ``measured`` `r x d` is 0 where nothing was measured, and what stands
there counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

#: (predicted, actual, measured, delta) -> a number; ``delta`` is the relative error where a loss changes its kind.
Loss = Callable[[Tensor, Tensor, Tensor, float], Tensor]

#: Below this, latencies are those of networks that a runtime folds away, whose relative errors would be all there is.
LEAST = 0.1

#: Every network is compared with those that stand this far behind it in the batch, which is in no particular order.
STRIDES = (1, 2, 5, 11, 23, 47)


def huber(predicted: Tensor, actual: Tensor, measured: Tensor, delta: float) -> Tensor:
    """Squared up to an error of ``delta``, linear beyond: a few networks cannot outweigh the others."""
    errors = nn.functional.huber_loss(predicted, actual, delta=delta, reduction="none")
    return _mean(errors, measured)


def squared(predicted: Tensor, actual: Tensor, measured: Tensor, delta: float) -> Tensor:
    """Squared error in milliseconds: what the slowest networks cost counts most."""
    return _mean((predicted - actual) ** 2, measured)


def relative_squared(predicted: Tensor, actual: Tensor, measured: Tensor, delta: float) -> Tensor:
    """Squared error relative to each network's own latency: fast networks count as much as slow ones."""
    return _mean(((predicted - actual) / actual.clamp(min=LEAST)) ** 2, measured)


def ranking(predicted: Tensor, actual: Tensor, measured: Tensor, delta: float) -> Tensor:
    """What the slower of two networks lacks of a lead of ``delta``, over pairs on one device; scale is left open.

    The pairwise hinge loss of the latency predictors that learn an order (BRP-NAS, NASFLAT).
    """
    lacking, pairs = predicted.new_zeros(()), predicted.new_zeros(())
    for stride in STRIDES:
        if stride >= len(predicted):
            break
        order = torch.sign(actual - actual.roll(stride, 0))
        both = measured * measured.roll(stride, 0) * (order != 0)
        lead = order * (predicted - predicted.roll(stride, 0))
        lacking = lacking + ((delta - lead).clamp(min=0) * both).sum()
        pairs = pairs + both.sum()
    return lacking / pairs.clamp(min=1)


def huber_and_ranking(predicted: Tensor, actual: Tensor, measured: Tensor, delta: float) -> Tensor:
    """Both: the scale by one, the order by the other."""
    return huber(predicted, actual, measured, delta) + delta * ranking(predicted, actual, measured, delta)


LOSSES: dict[str, Loss] = {
    "huber": huber,
    "squared": squared,
    "relative_squared": relative_squared,
    "ranking": ranking,
    "huber_and_ranking": huber_and_ranking,
}


def _mean(errors: Tensor, measured: Tensor) -> Tensor:
    return (errors * measured).sum() / measured.sum()
