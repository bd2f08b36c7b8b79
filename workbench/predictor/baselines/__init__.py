"""The floors that HODM has to beat, one file each; they see the same probes."""

from __future__ import annotations

from workbench.predictor.baselines.flops import pretrain as flops
from workbench.predictor.baselines.linear import pretrain as linear
from workbench.predictor.baselines.nearest import pretrain as nearest
from workbench.predictor.method import Pretrain

FLOORS: dict[str, Pretrain] = {"flops": flops, "nearest": nearest, "linear": linear}
