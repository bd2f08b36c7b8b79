"""How operators deviate from what is plausible: by factors, which are alike for operators that are alike.

A device whose 5x5 convolutions are slow has slow ones in every layer; how slow is not known, and how the layers differ
is not known either. Take operator i to cost c_i (1 + e_i), with c_i its mean cost on plausible devices and e a Gaussian
process over the operators' features with a squared exponential covariance K (Rasmussen and Williams 2006, chapter 4).
A network with n_i copies then deviates by the sum of n_i c_i e_i: linear in n, with covariance n c K c n', so that a
root of K turns copies into features whose weights are independent.

Operators that differ only in spatial size are one, as in `census`, so that the features are known of any network.
"""

from __future__ import annotations

import numpy as np

from workbench.data.networks import Networks, census_groups

#: Length scale of the covariance, in units of the root mean squared difference of standardised features.
LENGTH = 0.15


def deviations(networks: Networks, cost: np.ndarray) -> np.ndarray:
    """`a x k` features of `a` networks with `k` kinds of operators, scaled to a mean squared length of 1.

    Args:
        networks: with `v` distinct operators.
        cost: `v` plausible cost of one copy of each.
    """
    groups = census_groups(networks.operators, networks.live)
    counts = networks.counts.astype(np.float64)
    usual = counts.mean(axis=0) + 1e-9  # of the members of a group, those that occur most speak for it
    share = np.zeros((len(groups), groups.max() + 1))
    share[np.arange(len(groups)), groups] = usual
    share /= share.sum(axis=0)
    features = share.T @ networks.features.astype(np.float64)
    squared = ((features[:, None] - features[None]) ** 2).mean(axis=2)
    values, vectors = np.linalg.eigh(np.exp(-squared / (2 * LENGTH**2)))
    copies = counts @ (share > 0)
    block = ((copies - copies.mean(axis=0)) * (share.T @ cost)) @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    return block / max(np.sqrt((block**2).sum(axis=1).mean()), 1e-12)
