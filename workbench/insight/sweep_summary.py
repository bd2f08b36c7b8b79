"""What a sweep says: the effect of each factor, which configurations are apart, and which is best."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.config import WorkbenchError
from workbench.insight.labels import plural
from workbench.insight.paired import (
    CASE,
    NOISE,
    SIGNS,
    UNTESTED,
    Interval,
    cases,
    difference,
    interval,
    mark,
    sign_of,
)
from workbench.insight.plots.sweeps import critical_difference, factor_effects, level_curves, metric_name
from workbench.insight.ranks import Ranking, rank
from workbench.insight.sweep_table import CONFIGURATION, Sweep, configuration

EFFECTS = ("factor", "level", "reference", "metric", "difference", "low", "high", "mark", "pairs", "cases")
WITHIN_LEVELS = 12  # of a factor within whose levels others are looked at
BEST = "best"
FEWEST_POINTS, MOST_LINES = 3, 9  # of a curve over the levels of a factor


@dataclass(frozen=True, eq=False)
class SweepSummary:
    """What `summarise` found.

    Args:
        sweep: what it was found in.
        effects: columns `EFFECTS`, a row per level of each factor but its reference: the mean ``difference`` of the
            metric to the reference over all runs that agree in everything else, with its 95 % interval.
        within: the same within each level of another factor (a column ``within``).
        others: the same for other metrics.
        configurations: a row per combination of levels, the best first: `CONFIGURATION`, its levels, the metric's mean
            ``value`` with its interval, ``cases``, ``runs``, ``seconds``, and the ``difference`` to the best with its
            interval and ``mark``.
        ranking: of what is to be compared; None where there is too little to rank.
        notes: sentences on what is missing or has to be known.
    """

    sweep: Sweep
    effects: pd.DataFrame
    within: pd.DataFrame
    others: pd.DataFrame
    configurations: pd.DataFrame
    ranking: Ranking | None
    notes: tuple[str, ...]

    @property
    def best(self) -> pd.Series:
        """The best configuration's row."""
        return self.configurations.iloc[0]

    @property
    def real(self) -> pd.DataFrame:
        """The effects that are more than noise."""
        return self.effects[~self.effects["mark"].isin([NOISE, UNTESTED])]

    @property
    def verdict(self) -> str:
        """The answer in two sentences."""
        best = self.best
        told = f"Best is {best[CONFIGURATION]} with a {metric_name(self.sweep.metric)} of {best['value']:.3g}"
        told += f" [{best['low']:.3g}, {best['high']:.3g}]" if np.isfinite(best["low"]) else ""
        if self.effects.empty:
            return f"{told}. No level can be compared with another."
        count = len(self.effects)
        return (
            f"{told}. Of {plural(count, 'level')} beside their references, {len(self.real)} count for more than noise."
        )

    @cached_property
    def figures(self) -> dict[str, go.Figure]:
        """Every figure, by name."""
        drawn = {}
        if len(self.effects):
            drawn["factor_effects"] = factor_effects(self.effects, self.sweep.metric)
        told = over_levels(self.sweep)
        if told is not None:
            drawn["level_curves"] = level_curves(*told, self.sweep.metric)
        if self.ranking is not None:
            table, least, _, blocks = self.ranking
            drawn["critical_difference"] = critical_difference(table, least, blocks)
        return drawn


def summarise(sweep: Sweep) -> SweepSummary:
    """Effects, ranking and best configuration of ``sweep``."""
    found = effects(sweep, sweep.metric, sweep.sign)
    known = [name for name in sweep.metrics[1:] if name in SIGNS]
    others = [effects(sweep, name, sign_of(name)) for name in known]
    notes = _notes(sweep, found)
    try:
        ranking = _ranking(sweep)
    except WorkbenchError as error:
        ranking = None
        notes.append(str(error))
    together = pd.concat(others, ignore_index=True) if others else found.iloc[:0]
    return SweepSummary(sweep, found, effects_within(sweep), together, configurations(sweep), ranking, tuple(notes))


def effects(
    sweep: Sweep, metric: str, sign: int, rows: pd.DataFrame | None = None, factors: Sequence[str] | None = None
) -> pd.DataFrame:
    """The effect of each level of ``factors`` against the reference of its factor.

    Two runs are a pair if they agree in every other factor, in the seed, the task and the device. Pairs of one case are
    averaged before cases are drawn (see `workbench.insight.paired`).

    Args:
        sweep: what varied, and the references.
        metric: a column.
        sign: see `sign_of`.
        rows: of the sweep; all if None.
        factors: all if None.

    Returns:
        Columns `EFFECTS`; no row for a level that has no pair.
    """
    scores = sweep.scores(metric, rows)
    found = []
    for factor in sweep.factors if factors is None else factors:
        reference, *others = sweep.levels(factor)
        wide = scores.unstack(factor)
        for other in others:
            if other not in wide or reference not in wide:
                continue
            pairs = (wide[other] - wide[reference]).dropna()
            if pairs.empty:
                continue
            told = interval(pairs.groupby(level=[name for name in CASE if name in pairs.index.names]).mean())
            judged = (told.value, told.low, told.high, mark(told, sign), len(pairs), told.cases)
            found.append((factor, other, reference, metric, *judged))
    return pd.DataFrame(found, columns=list(EFFECTS))


def effects_within(sweep: Sweep) -> pd.DataFrame:
    """The effects of what is to be compared, within each level of each other factor (column ``within``)."""
    parts = []
    for factor, other in itertools.product(sweep.groups, sweep.factors):
        levels = sweep.levels(other)
        if factor == other or not 1 < len(levels) <= WITHIN_LEVELS:
            continue
        for value in levels:
            rows = sweep.rows[sweep.rows[other] == value]
            part = effects(sweep, sweep.metric, sweep.sign, rows, [factor])
            parts.append(part.assign(within=f"{other} = {value}"))
    columns = ["within", *EFFECTS]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def configurations(sweep: Sweep) -> pd.DataFrame:
    """See `SweepSummary`. One that lacks cases (a run that failed) stands behind those that are complete."""
    scores = cases(sweep.rows, sweep.metric, (CONFIGURATION, *CASE))
    own = {name: part.droplevel(CONFIGURATION) for name, part in scores.groupby(level=CONFIGURATION, sort=False)}
    if not own:
        raise WorkbenchError(
            f"Sweep {sweep.name} has no finite {sweep.metric} in any run; name another metric, or see why in the runs."
        )
    told = {name: interval(part) for name, part in own.items()}
    most = max(one.cases for one in told.values())
    order = sorted(own, key=lambda name: (told[name].cases < most, -sweep.sign * told[name].value))
    index = pd.Index(order, name=CONFIGURATION)
    table = pd.DataFrame([told[name] for name in order], index=index)
    apart = [difference(own[name], own[order[0]]) for name in order]
    runs = sweep.rows.drop_duplicates("key").groupby(CONFIGURATION)
    table["runs"] = runs.size()
    table["seconds"] = runs["seconds"].mean() if "seconds" in sweep.rows else np.nan
    table["difference"], table["difference_low"], table["difference_high"], _ = zip(*apart, strict=True)
    table["mark"] = [BEST, *(mark(Interval(*one), sweep.sign) for one in apart[1:])]
    levels = sweep.rows.drop_duplicates(CONFIGURATION).set_index(CONFIGURATION)
    shown = [factor for factor in sweep.factors if factor not in table]
    return levels.loc[order, shown].join(table).reset_index()


def over_levels(sweep: Sweep) -> tuple[pd.DataFrame, str, str] | None:
    """The metric over the factor that is a number and has most levels, by what is compared besides.

    Returns:
        Columns ``x``, ``line`` and ``value`` (means over all else), that factor, and what the lines are of ("" if
        nothing); None if no factor has three levels that are numbers.
    """
    counts = {name: _numbers(sweep.levels(name)) for name in sweep.factors}
    factor = max(counts, key=counts.__getitem__, default="")
    if counts.get(factor, 0) < FEWEST_POINTS:
        return None
    others = [name for name in (*sweep.groups, *sweep.factors) if name != factor and len(sweep.levels(name)) > 1]
    by = next((name for name in others if len(sweep.levels(name)) <= MOST_LINES), "")
    lines = sweep.levels(by) if by else [sweep.metric]
    scores = sweep.scores(sweep.metric)
    label = scores.index.get_level_values
    line = label(by) if by else sweep.metric
    frame = pd.DataFrame({"line": line, "x": label(factor).astype(float), "value": scores.to_numpy()})
    means = frame.groupby(["line", "x"])["value"].mean()
    return means.reindex(lines, level="line").reset_index(), factor, by


def _numbers(levels: Sequence[str]) -> int:
    """How many ``levels`` there are, if all are numbers."""
    return len(levels) if pd.to_numeric(pd.Series(levels), errors="coerce").notna().all() else 0


def _ranking(sweep: Sweep) -> Ranking:
    """The rank of each combination of what is to be compared, within each task, device and other condition.

    Seeds are averaged first, unless they are all that there is to rank in.
    """
    groups = sweep.groups
    if not groups:
        raise WorkbenchError("Nothing is ranked, as nothing but the seed varies; add a factor to the sweep.")
    scores = sweep.scores(sweep.metric)
    names = np.array(configuration(scores.index.to_frame(index=False), groups), dtype=object)
    conditions = [name for name in scores.index.names if name not in (*groups, "seed")]
    for blocks in (conditions, [*conditions, "seed"]):
        within = [scores.index.get_level_values(name) for name in blocks]
        wide = scores.groupby([*within, names]).mean().unstack() if within else pd.DataFrame()
        if len(wide.dropna()) > 1:
            break
    return rank(wide, sweep.sign)


def _notes(sweep: Sweep, found: pd.DataFrame) -> list[str]:
    planned, finished, failed = (int(sweep.manifest.get(name) or 0) for name in ("runs", "finished", "failed"))
    notes = []
    if failed:
        notes.append(f"{failed} of {plural(planned, 'run')} failed; their pairs are left out.")
    if finished + failed < planned:
        notes.append(f"{planned - finished - failed} of {plural(planned, 'run')} have not ended yet.")
    for factor in sweep.factors:
        if len(sweep.levels(factor)) > 1 and factor not in set(found["factor"]):
            notes.append(f"{factor} never varies while all else stays, so no effect is its own.")
    if sweep.left_out:
        notes.append(f"{plural(sweep.left_out, 'row')} of floors beside the method that was run are left out.")
    spread = _seed_spread(sweep)
    if np.isfinite(spread):
        notes.append(
            f"Between seeds of one configuration the {sweep.metric} varies by {spread:.2g} (standard deviation)."
        )
    if (found["mark"] == UNTESTED).any():
        notes.append("With one task, device and seed only, nothing can be told from noise.")
    return notes


def _seed_spread(sweep: Sweep) -> float:
    scores = sweep.scores(sweep.metric)
    others = [name for name in scores.index.names if name != "seed"]
    return float(np.sqrt(scores.groupby(level=others).var().mean()))
