"""Peer: gradient boosted trees on one-hot choices, physical sums, and what each source device takes.

The field's strong tabular baseline. Trees need many examples and the target gives twenty, so the source devices come in
as features (the design's view of every network's latency there), on which a shallow tree can already rank the target's
networks; many small subsampled trees keep the steps fine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.describe.design import Design
from workbench.devices.device import DeviceCard
from workbench.predictor.baselines.encodings import arch_graphs
from workbench.predictor.baselines.scores import Scorer, calibrated, source_labels
from workbench.predictor.method import Adapt, Predict, Pretrain, Probed, Sources, some_probes


@dataclass(frozen=True)
class BoostingConfig:
    """Options of scikit-learn's `GradientBoostingRegressor`, and the folds that set the interval."""

    trees: int = 300
    depth: int = 2
    learning_rate: float = 0.05
    subsample: float = 0.7
    features: float = 0.3
    folds: int = 5


def boosting(config: BoostingConfig) -> Pretrain:
    """The method."""

    def pretrain(sources: Sources, design: Design, pool: np.ndarray, generator: np.random.Generator) -> Adapt:
        spread = source_labels(sources, design).spread
        one_hot = arch_graphs(sources.networks).one_hot()
        features = np.concatenate([design.source, design.physics, one_hot], axis=1)
        seed = int(generator.integers(2**31))

        def learn(part: Probed) -> Scorer:
            from sklearn.ensemble import GradientBoostingRegressor  # slow to import, and few runs need it

            trees = GradientBoostingRegressor(
                n_estimators=config.trees,
                max_depth=config.depth,
                learning_rate=config.learning_rate,
                subsample=min(1.0, max(config.subsample, 2 / len(part.ms))),  # one example at least, two if there are
                max_features=config.features,
                random_state=seed,
            )
            trees.fit(features[part.rows], part.ms / part.mean_ms)
            return lambda rows: trees.predict(features[rows])

        def adapt(probed: Probed, card: DeviceCard | None) -> Predict:
            return calibrated(learn, some_probes("boosting", probed), sources, spread, config.folds)

        return adapt

    return pretrain
