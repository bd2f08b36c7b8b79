"""Which few networks to measure on a new device: what the source devices say about that, computed once and kept.

A `ProbeStudy` answers for any `Choice` of probes: where they lie among all networks, how narrow the intervals are to be
expected, what they would have been worth on each source device, and whether the sources agree about them. Answers are
kept, so that looking at one more number of probes costs next to nothing.

Shapes: `a` networks, `d` source devices, `s` networks that are learnt from, `p` probes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError, write_atomically
from workbench.data.networks import encode
from workbench.data.sources import data_folders, load_table
from workbench.data.studies import devices_table
from workbench.data.table import LatencyTable
from workbench.describe.dbsel import SELECTORS
from workbench.describe.design import build_design
from workbench.graphs.features import PHYSICS, op_physics
from workbench.insight.device_map import CLEAR, WORDS
from workbench.insight.labels import plural, short_arch
from workbench.insight.left_out import RATIOS, SPREAD, Played, Understudy, deviation, understudies
from workbench.insight.probe_pool import Choice, Pool
from workbench.predictor.calibrate import SELECTION_WEIGHTS
from workbench.predictor.method import Z90, Sources

MOST = 50  # probes that a curve goes to

#: Numbers of probes at which curves are drawn, beside the one that is chosen.
COUNTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50)

#: Draws the networks that are learnt from, and those that stand for all of them in a figure.
DRAW_SEED = 0

CROWD = 2500  # networks that stand for all of them in a figure
LEAST_NETWORKS = 4  # that a study needs: two coordinates, a scale, and one to predict


class Plane(NamedTuple):
    """Architectures in the plane of the two directions in which they differ most, as selectors see them.

    Args:
        places: `a x 2`.
        titles: what grows along each axis.
    """

    places: np.ndarray
    titles: tuple[str, str]


class ProbeStudy:
    """What the devices of ``table`` say about the choice of probes.

    Args:
        table: latencies on the source devices; every device with two measurements is used.
        samples: networks to learn from, fewer where there are not so many.

    Raises:
        WorkbenchError: too few networks, or no device that was measured twice.
    """

    def __init__(self, table: LatencyTable, samples: int = 900) -> None:
        frame = table.frame
        measured = frame.notna()
        pool = np.random.default_rng(DRAW_SEED).permutation(np.flatnonzero(measured.any(axis=1)))
        rows = np.sort(pool[:samples])
        devices = tuple(name for name in table.devices if measured[name].iloc[rows].sum() > 1)
        if len(rows) < LEAST_NETWORKS or not devices:
            raise WorkbenchError(
                f"Choosing probes expects at least {LEAST_NETWORKS} networks, two of them measured on a source device, "
                f"got {plural(len(rows), 'network')} on {plural(len(devices), 'device')}; give a larger table."
            )
        self.ms = frame[list(devices)].to_numpy()  # a x d
        self.networks = encode(table.space, table.archs)
        self.sources = Sources(self.networks, rows, self.ms[rows], devices, table.cards)
        self.design = build_design(self.networks, rows, self.sources.latency_ms)
        self.pool = Pool(self.design.candidates(SELECTION_WEIGHTS), np.arange(len(self.networks)))
        self._widths: dict[Choice, tuple[float, ...]] = {}
        self._scores: dict[Choice, list[tuple[float, float]]] = {}

    @property
    def origin(self) -> str:
        """One sentence on what was learnt from, and how foreign a device is that is left out."""
        count, devices = len(self.sources.devices), plural(len(self.sources.devices), "source device")
        learnt = f"{devices}, {len(self.sources.rows):,} of {plural(len(self.networks), 'network')} learnt from"
        alike = [len(self.sources.siblings(column)) for column in range(count)]
        if count > 1 and min(alike) == count:
            return f"{learnt}; all on one hardware, so leaving one out is a transfer between ways of running it."
        if max(alike) > 1:
            return f"{learnt}; with a device those on the same hardware are left out."
        return f"{learnt}."

    # what is chosen

    def choose(self, choice: Choice, ahead: int = MOST) -> np.ndarray:
        """`p` rows of the probes, the locked ones first; up to ``ahead`` will be asked for next."""
        return self.pool.pick(choice, self.rows(choice.locked), self.rows(choice.swapped), ahead)

    def archs(self, choice: Choice) -> list[str]:
        """The probes' arch strings."""
        return [self.networks.archs[row] for row in self.choose(choice)]

    def rows(self, archs: Sequence[str]) -> np.ndarray:
        """Rows of ``archs``; one that is not among the networks raises."""
        for arch in archs:
            if arch not in self.networks.row:
                raise WorkbenchError(
                    f"'{short_arch(arch)}' is not among the {len(self.networks):,} networks of the tables; lock or "
                    f"swap another one."
                )
        return self.networks.rows(archs)

    def counts(self, choice: Choice, most: int = MOST) -> list[int]:
        """Numbers of probes at which curves of ``choice`` are drawn, at most ``most``."""
        least, most = max(1, len(choice.locked)), min(most, len(self.networks) - len(choice.swapped))
        return sorted({count for count in (*COUNTS, choice.count) if least <= count <= most})

    # what all networks are like

    @cached_property
    def plane(self) -> Plane:
        """All networks, in the features by which probes are chosen."""
        features = self.pool.candidates.features
        features = features - features.mean(axis=0)
        values, vectors = np.linalg.eigh(features.T @ features)
        shares = values / max(values.sum(), 1e-300)
        sums = self.networks.counts.astype(np.float64) @ op_physics(self.networks.operators)
        places, titles = [], []
        for share, direction in zip(shares[:-3:-1], vectors.T[:-3:-1], strict=True):
            place = features @ direction
            word, along = _meaning(place, sums)
            places.append(-place if along < 0 else place)
            said = f"More {word}" if abs(along) >= CLEAR else "No clear meaning"
            titles.append(f"{said}, r = {abs(along):.2f}, {100 * share:.0f} % of the variance →")
        return Plane(np.stack(places, axis=1), (titles[0], titles[1]))

    @cached_property
    def overview(self) -> pd.DataFrame:
        """One row per network: ``arch, x, y``, ``latency`` (relative, of the mean source), ``rank`` (percent of the
        networks that the mean source finds faster), ``disagreement`` (standard deviation of that over the sources, in
        percentage points) and ``mflops``."""
        source = self.design.source
        places = 100 * source.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") / (len(source) - 1)
        columns = {
            "arch": self.networks.archs,
            "x": self.plane.places[:, 0],
            "y": self.plane.places[:, 1],
            "latency": self.design.shapes["mean source"],
            "rank": places.mean(axis=1),
            "disagreement": places.std(axis=1),
            "mflops": self.networks.flops / 1e6,
        }
        return pd.DataFrame(columns)

    @cached_property
    def crowd(self) -> np.ndarray:
        """Rows of at most `CROWD` networks that stand for all."""
        return np.sort(np.random.default_rng(DRAW_SEED).permutation(len(self.networks))[:CROWD])

    def probes(self, choice: Choice) -> pd.DataFrame:
        """The rows of `overview` that are probes, with their ``number`` and whether they are ``locked``."""
        picks = self.choose(choice)
        locked = np.isin(picks, self.rows(choice.locked))
        return self.overview.iloc[picks].assign(number=np.arange(1, len(picks) + 1), locked=locked)

    # what the probes are worth

    @cached_property
    def understudies(self) -> list[Understudy]:
        """The source devices that can play the target."""
        return understudies(self.sources, self.ms, self.design)

    @cached_property
    def horizon(self) -> int:
        """Probes up to which a device that is left out has as many other networks to be tested on."""
        return min((len(one.pool.rows) // 2 for one in self.understudies), default=0)

    @cached_property
    def scale(self) -> tuple[float, float]:
        """Spread and ratio of noise to spread (see `deviation`): the median over the source devices, each of which
        played the target once."""
        if not self.understudies:
            return SPREAD, RATIOS[2]
        fits = [played.fit for played in self.play(Choice(count=min(20, self.horizon)), min(MOST, self.horizon))]
        return float(np.median([fit.spread for fit in fits])), float(np.median([fit.ratio for fit in fits]))

    def widths(self, choice: Choice, counts: Sequence[int]) -> pd.DataFrame:
        """Expected width of the 90 % interval, percent of a device's mean latency: ``probes, low, median, high`` (the
        tenth, the half and nine tenths of the networks have a narrower one). No latency of the device is needed."""
        features, (spread, ratio) = self.pool.candidates.features, self.scale
        for count in sorted(counts, reverse=True):
            one = choice._replace(count=count)
            if one not in self._widths:
                found = deviation(features[self.choose(one, max(counts))], features[self.crowd], spread, ratio)
                self._widths[one] = tuple(200 * Z90 * np.quantile(found, (0.1, 0.5, 0.9)))
        rows = [(count, *self._widths[choice._replace(count=count)]) for count in counts]
        return pd.DataFrame(rows, columns=["probes", "low", "median", "high"])

    def play(self, choice: Choice, ahead: int = 0) -> list[Played]:
        """Let every source device that can play the target with probes chosen as in ``choice``; up to ``ahead`` will be
        asked for next."""
        locked, swapped = self.rows(choice.locked), self.rows(choice.swapped)
        return [one.play(choice, locked, swapped, ahead) for one in self.understudies]

    def left_out(self, choice: Choice, counts: Sequence[int]) -> pd.DataFrame:
        """What probes chosen as in ``choice`` are worth: ``device, probes, spearman, rae``, one row per source device
        that plays the target and number of probes."""
        for count in sorted(counts, reverse=True):
            one = choice._replace(count=count)
            if one not in self._scores:
                self._scores[one] = [(played.spearman, played.rae) for played in self.play(one)]
        names = [one.device for one in self.understudies]
        rows = [
            (name, count, *scores)
            for count in counts
            for name, scores in zip(names, self._scores[choice._replace(count=count)], strict=True)
        ]
        return pd.DataFrame(rows, columns=["device", "probes", "spearman", "rae"])

    def compare(self, count: int, seed: int = 0) -> pd.DataFrame:
        """Every selector with ``count`` probes: ``selector``, ``spearman`` and ``rae`` as mean over the source devices
        that play the target, the worst device's of both, and the expected ``width``; the least mean error first."""
        rows = []
        for name in SELECTORS:
            choice = Choice(name, count, seed)
            scores = self.left_out(choice, [count] if count <= self.horizon else [])
            mean = scores[["spearman", "rae"]].mean()
            worst = {"worst_spearman": scores["spearman"].min(), "worst_rae": scores["rae"].max()}
            width = self.widths(choice, [count])["median"].item()
            rows.append({"selector": name, **mean, **worst, "width_percent": width})
        return pd.DataFrame(rows).sort_values("rae", ignore_index=True)


def open_study(
    space: str, folders: Sequence[str | Path] = (), sources: Sequence[str] = (), samples: int = 900
) -> ProbeStudy:
    """The study of ``sources``; the last few are kept as long as their files stay the same.

    Args:
        space: search space.
        folders: of latency tables, see `load_table`.
        sources: devices to learn from; none: all in the folders, see `devices_table`.
        samples: networks to learn from.
    """
    searched = data_folders(folders)
    files = [folder / name for folder in searched for name in (f"{space}.parquet", "devices.yaml")]
    stamps = tuple((str(file), *_stamp(file)) for file in files if file.is_file())
    return _opened(space, tuple(map(str, folders)), tuple(sources), samples, stamps)


@lru_cache(maxsize=4)
def _opened(
    space: str, folders: tuple[str, ...], sources: tuple[str, ...], samples: int, stamps: tuple[tuple, ...]
) -> ProbeStudy:
    return ProbeStudy(load_table(space, sources, folders) if sources else devices_table(space, folders), samples)


def _stamp(file: Path) -> tuple[int, int]:
    about = os.stat(file)
    return about.st_mtime_ns, about.st_size


def _meaning(place: np.ndarray, sums: np.ndarray) -> tuple[str, float]:
    """The physical quantity that goes along with ``place`` most, and the correlation of both."""
    along = [("nothing", 0.0)]
    for name, amount in zip(PHYSICS, sums.T, strict=True):
        if np.std(amount) > 0 and np.std(place) > 0:
            along.append((WORDS[name], float(np.corrcoef(place, amount)[0, 1])))
    return max(along, key=lambda item: abs(item[1]))


def write_probes(path: str | Path, archs: Sequence[str]) -> Path:
    """Write ``archs`` one a line, as ``workbench profile --probes`` reads them."""
    text = "".join(f"{arch}\n" for arch in archs)
    return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
