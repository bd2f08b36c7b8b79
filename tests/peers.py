"""The peers that train, made small enough for a test."""

from __future__ import annotations

from workbench.predictor.baselines.boosting import BoostingConfig, boosting
from workbench.predictor.baselines.brp_nas import BRPNASConfig, brp_nas
from workbench.predictor.baselines.help import HELPConfig, help_learner
from workbench.predictor.baselines.mlp import MLPConfig, mlp
from workbench.predictor.baselines.multipredict import MultiPredictConfig, multipredict
from workbench.predictor.baselines.nasflat import NASFLATConfig, nasflat
from workbench.predictor.method import Pretrain


def small_peers(effort: int = 1) -> dict[str, Pretrain]:
    """By name; ``effort`` multiplies the steps of training: 1 only shows that everything runs."""
    steps, tuning = 4 * effort, min(2 * effort, 30)
    brief = {"steps": steps, "networks": 24, "tune_steps": tuning, "folds": 2}
    return {
        "mlp": mlp(MLPConfig(width=32, layers=2, **brief)),
        "boosting": boosting(BoostingConfig(trees=10 * min(effort, 10), folds=2)),
        "brp_nas": brp_nas(BRPNASConfig(width=32, **brief)),
        "help": help_learner(HELPConfig(width=24, episodes=steps, tasks=3, queries=24, meta_rate=3e-3, folds=2)),
        "multipredict": multipredict(MultiPredictConfig(encoder=(32, 16), width=48, **brief)),
        "nasflat": nasflat(NASFLATConfig(embedding=16, width=24, readout=24, **brief)),
    }
