"""What is odd about a device's readings, in words."""

from __future__ import annotations

from workbench.insight.labels import plural
from workbench.predictor.adapt import Posterior

#: Probability above which a doubt is told.
LIKELY = 0.5


def doubts(posterior: Posterior) -> str:
    """Sentences on the readings that a prediction was made from; empty where nothing is odd."""
    told, count = [], len(posterior.probes)
    wild = int((posterior.outlier > LIKELY).sum())
    if wild:
        looks = "looks wild and counts" if wild == 1 else "look wild and count"
        told.append(f"{wild} of {plural(count, 'reading')} {looks} for little.")
    sure, apart = posterior.several_states
    if sure > LIKELY:
        told.append(
            f"The device seems to have been read in several states, up to {apart:.0%} apart ({sure:.0%} sure): its "
            f"clock or its cores change. Several readings of each network would tell."
        )
    return " ".join(told)
