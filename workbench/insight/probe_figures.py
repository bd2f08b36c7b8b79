"""A choice of probes as figures and tables, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.insight.labels import short_arch
from workbench.insight.plots.networks import DRAWINGS, network_drawings
from workbench.insight.plots.probes import architecture_map, expected_width, left_out_curve, rank_disagreement
from workbench.insight.probe_pool import Choice
from workbench.insight.probe_study import MOST, ProbeStudy, write_probes


class Tracker(Protocol):
    """Where results are kept; `workbench.tracking.Run` is one."""

    def log_metrics(self, metrics: Mapping[str, float]) -> None: ...
    def log_table(self, table: pd.DataFrame, name: str) -> None: ...
    def log_figure(self, figure: go.Figure, name: str, html: bool) -> None: ...
    def log_file(self, path: Path) -> None: ...


def probe_figures(study: ProbeStudy, choice: Choice) -> dict[str, go.Figure]:
    """What can be drawn of ``choice``, by name; ``left_out_curve`` needs two source devices, ``network_drawings`` a
    space whose networks can be drawn."""
    probes, background = study.probes(choice), study.overview.iloc[study.crowd]
    total, devices = len(study.networks), len(study.sources.devices)
    widths = study.widths(choice, study.counts(choice))
    drawn = {
        "architecture_map": architecture_map(background, probes, study.plane.titles, total),
        "expected_width": expected_width(widths, len(probes)),
        "rank_disagreement": rank_disagreement(background, probes, devices),
    }
    curve = study.left_out(choice, study.counts(choice, min(MOST, study.horizon))).dropna()  # where all is equally fast
    if len(curve):
        drawn["left_out_curve"] = left_out_curve(curve, len(probes))
    if study.networks.space in DRAWINGS:
        titled = probes.assign(title=probes["number"].map("{}. ".format) + probes["arch"].map(short_arch))
        drawn["network_drawings"] = network_drawings(titled, study.networks.space)
    return drawn


def probe_table(study: ProbeStudy, choice: Choice) -> pd.DataFrame:
    """One row per probe, as people read it."""
    probes = study.probes(choice)
    return pd.DataFrame(
        {
            "probe": probes["number"],
            "network": probes["arch"].map(short_arch),
            "MFLOPs": probes["mflops"].round(1),
            "latency (of the mean)": probes["latency"].round(2),
            "slower than (%)": probes["rank"].round().astype(int),
            "disagreement (points)": probes["disagreement"].round(1),
            **({"locked": np.where(probes["locked"], "locked", "")} if probes["locked"].any() else {}),
        }
    ).reset_index(drop=True)


def keep_probes(run: Tracker, study: ProbeStudy, choice: Choice, comparison: pd.DataFrame, folder: str | Path) -> Path:
    """Log the scores of ``choice``, its table and figures, the ``comparison`` of selectors, and the list of probes,
    which is written into ``folder``.

    Returns:
        The list.
    """
    count = min(len(study.choose(choice)), study.horizon)
    scores = study.left_out(choice, [count] if count else [])
    if len(scores):
        worst = {"worst_spearman": scores["spearman"].min(), "worst_rae": scores["rae"].max()}
        run.log_metrics({**scores[["spearman", "rae"]].mean(), **worst, "scored_probes": count})
    run.log_metrics({"width_percent": study.widths(choice, [len(study.choose(choice))])["median"].item()})
    run.log_table(comparison, "selectors.csv")
    run.log_table(probe_table(study, choice).assign(arch=study.archs(choice)), "probes.csv")
    for name, figure in probe_figures(study, choice).items():
        run.log_figure(figure, f"figures/{name}", html=False)
    path = write_probes(Path(folder) / list_name(study, choice), study.archs(choice))
    run.log_file(path)
    return path


def list_name(study: ProbeStudy, choice: Choice) -> str:
    """What the list of probes is called."""
    return f"{study.networks.space}_{len(study.choose(choice))}_probes.txt"
