"""A device as a campaign found it: how quiet it was, what it can do, how it behaves, and which others are like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.config import WorkbenchError
from workbench.data.networks import encode
from workbench.data.sources import BUNDLED, load_table
from workbench.data.table import LatencyTable
from workbench.describe.design import build_design
from workbench.devices.backends import Platform, parse_platform
from workbench.devices.detect import Machine, detect
from workbench.devices.microbench import MicroBench
from workbench.devices.microbench.sweep import SIZES
from workbench.insight import figures
from workbench.insight.campaign_report import campaign_report, platform_table, timeline, watched_attempts
from workbench.insight.device_map import DeviceMap, map_devices
from workbench.insight.labels import NASBENCH201_KEY, plural, split_unit, spoken
from workbench.insight.report import Section
from workbench.insight.roofs import DEPTHWISE, choose_three, measured_roofs, network_points, operator_roofs
from workbench.profiling.campaign import CampaignSummary
from workbench.profiling.passes import CampaignConfig
from workbench.training.transfer import choose_probes

if TYPE_CHECKING:
    from workbench.insight.quickstart import Tracker

NEIGHBOURS = 4


def networks_to_measure(space: str, count: int, probes: int, seed: int) -> tuple[list[str], list[str]]:
    """``count`` networks that the bundled devices were measured on (all of them, where that many were measured on all):
    probes chosen by DBSel, the others at random.

    Returns:
        All of them, the probes first, and the probes.

    Raises:
        WorkbenchError: more probes than networks, or more networks than there are.
    """
    table = load_table(space, folders=[BUNDLED])
    if not 2 <= probes <= count <= len(table.archs):
        raise WorkbenchError(
            f"Expected 2 <= probes <= networks <= {len(table.archs)}, got {probes} probes and {count} networks; "
            "correct them."
        )
    networks, generator = encode(space, table.archs), np.random.default_rng(seed)
    design = build_design(networks, np.arange(len(networks)), table.frame.to_numpy())
    everywhere = np.flatnonzero(table.frame.notna().all(axis=1))
    rows = everywhere if len(everywhere) >= count else np.arange(len(table.archs))
    chosen = [table.archs[row] for row in choose_probes(design, probes, generator, None, rows)]
    others = [table.archs[row] for row in rows if table.archs[row] not in set(chosen)]
    drawn = generator.permutation(len(others))[: count - probes]
    return [*chosen, *(others[index] for index in drawn)], chosen


def bench_table(bench: MicroBench, machine: Machine | None = None) -> pd.DataFrame:
    """One row per measured figure: its value with the 95 % interval for each number of threads, as text; of the caches
    also the size that the system tells."""
    told, rows = (machine or detect()).cache_kib, {}
    for found in bench.figures:
        name, unit = spoken(found.name), split_unit(found.name)[1]
        row = rows.setdefault(found.name, {"figure": name, "unit": unit})
        values = [
            f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" for value in (found.value, found.low, found.high)
        ]
        row[plural(found.threads, "thread")] = "{} ({} to {})".format(*values)
        if found.name in SIZES and found.name[:2] in told:
            row["the system tells"] = f"{told[found.name[:2]] / SIZES[found.name]:g}"
    return pd.DataFrame(rows.values()).replace("", None).fillna("–")


@dataclass(frozen=True)
class DeviceProfile:
    """Everything that profiling a device found out.

    Args:
        space: name of the search space.
        summary: of the campaign; its first device is the one whose signature is shown.
        bench: what the machine can do, measured with the threads of that device among others.
        probes: networks of the signature, all of them measured.
        known: other devices, on the same networks.
        config: of the campaign.
    """

    space: str
    summary: CampaignSummary
    bench: MicroBench
    probes: list[str]
    known: LatencyTable
    config: CampaignConfig

    @property
    def table(self) -> pd.DataFrame:
        """Milliseconds, index ``arch``, one column per device of this machine."""
        return self.summary.reduced.table

    @cached_property
    def platforms(self) -> dict[str, Platform]:
        """How each device of the table runs networks."""
        names = dict(self.summary.raw[["device", "platform"]].drop_duplicates().itertuples(index=False))
        return {device: parse_platform(names[device]) for device in self.table.columns}

    @cached_property
    def attempts(self) -> pd.DataFrame:
        """`watched_attempts` of the campaign."""
        return watched_attempts(self.summary.raw, self.config)

    @cached_property
    def quality(self) -> pd.DataFrame:
        """`platform_table` of the campaign."""
        return platform_table(self.summary, self.attempts)

    @property
    def sentences(self) -> tuple[str, str]:
        """How the campaign went."""
        return (
            f"{100 * self.summary.overhead:.0f} % of the time was neither warm-up nor timed run.",
            f"References beside what counts drifted by at most {self.summary.remaining_drift:.1%}.",
        )

    @cached_property
    def map(self) -> DeviceMap:
        """This machine's devices among the known ones."""
        return map_devices(self.known, self.table)

    @cached_property
    def neighbours(self) -> pd.DataFrame:
        """The known devices most like each of this machine's, and its `repeatability`: what is nearer than that cannot
        be told apart."""
        parts = []
        for device in self.table.columns:
            near = self.map.neighbours(device, NEIGHBOURS)
            apart = (100 * np.expm1(near["apart"])).round(1)
            itself = round(100 * np.expm1(self.repeatability(device)), 1)
            columns = {"device": device, "most like": near["device"], "hardware": near["hardware"]}
            parts.append(pd.DataFrame({**columns, "apart (%)": apart, "itself again (%)": itself}))
        return pd.concat(parts, ignore_index=True)

    def repeatability(self, device: str) -> float:
        """The distance, as on the map, between the signatures of the first and the second timings outside quarantine;
        NaN if fewer than two networks have two."""
        attempts = self.attempts[~self.attempts["reference"] & ~self.attempts["quarantined"]]
        mine = attempts[attempts["platform"] == self.platforms[device].name].sort_values("attempt")
        again = mine.assign(turn=mine.groupby("arch").cumcount()).pivot(
            index="arch", columns="turn", values="estimate_ms"
        )
        ratio = np.log(again.reindex(columns=[0, 1])).diff(axis=1)[1].dropna()
        return float(ratio.std(ddof=0)) if len(ratio) > 1 else float("nan")

    @cached_property
    def figures(self) -> dict[str, go.Figure]:
        """Every figure of the report, by name."""
        main = self.platforms[self.table.columns[0]]
        roofs = measured_roofs(self.bench, main.threads)
        three = choose_three(self.space, list(self.table.dropna().index))
        operators = operator_roofs(self.space, three, roofs, main.batch)
        depthwise = operators["name"].str.startswith(DEPTHWISE.split()[0]).any()
        ceilings = {name: peak for name, peak in roofs.compute_gflops.items() if depthwise or name != DEPTHWISE}
        alike = [name for name, other in self.platforms.items() if self._shares_roofs(other, main)]
        sweep = pd.DataFrame(self.bench.sweep)
        return {
            "bandwidth_sweep": figures.bandwidth_sweep(sweep, self.bench.caches_kib()),
            "reference_timeline": timeline(self.attempts, self.config),
            "network_roofline": figures.network_roofline(
                operators, network_points(operators, three, self.table[alike]),
                ceilings, roofs.bandwidth_gbps,
            ),
            "signature": figures.signature(self._signatures()),
            "device_map": figures.device_map(self.map.points, *(axis.title for axis in self.map.axes)),
        }  # fmt: skip

    @staticmethod
    def _shares_roofs(one: Platform, other: Platform) -> bool:
        return (one.precision, one.threads, one.batch) == (other.precision, other.threads, other.batch)

    def _signatures(self) -> pd.DataFrame:
        target = self.table.columns[0]
        known = self.known.frame.drop(columns=target, errors="ignore").reindex(self.probes).dropna(axis=1)
        values = known.assign(**{target: self.table[target].reindex(self.probes)}).dropna().rename_axis("arch")
        frame = values.reset_index().melt("arch", var_name="device", value_name="latency_ms")
        return frame.assign(role=np.where(frame["device"] == target, "target", "source"))

    @property
    def metrics(self) -> dict[str, float]:
        """What a tracker compares: precision, quarantine, drift, and every measured capability."""
        summary, quality = self.summary, self.quality
        found = {
            "networks": float(len(self.table)),
            "timings": float(quality["timings"].sum()),
            "in_quarantine": float(quality["in doubt"].sum()),
            "half_interval_percent": float(quality["± (%)"].median()),
            "remaining_drift": summary.remaining_drift,
            "overhead": summary.overhead,
            "map_variance": sum(axis.share for axis in self.map.axes),
        }
        capability = {f"{one.name}_t{one.threads}": one.value for one in self.bench.figures}
        return {name: value for name, value in {**found, **capability}.items() if np.isfinite(value)}

    def keep(self, run: Tracker, folder: str | Path) -> Path:
        """Write the report into ``folder``, log it and everything else to ``run``; returns the report."""
        run.log_metrics(self.metrics)
        run.log_table(self.table.reset_index(), "latencies.parquet")
        run.log_table(self.quality, "devices.csv")
        run.log_table(self.neighbours, "neighbours.csv")
        for name, figure in self.figures.items():
            run.log_figure(figure, f"figures/{name}", html=name == "device_map")
        report = self.write_report(Path(folder) / f"{self.space}_report.html")
        run.log_file(report)
        return report

    def write_report(self, path: str | Path) -> Path:
        """The campaign's report with what the machine can do, how it behaves, and which devices are like it."""
        return campaign_report(self.summary, self.space, path, self.config, self._sections(self.figures))

    def _sections(self, drawn: Mapping[str, go.Figure]) -> list[Section]:
        main, apart = self.table.columns[0], self.map
        return [
            Section(
                "What it can do",
                "Measured, not looked up; in rounds, so that a disturbance of some seconds does not become a property "
                "of the machine. The caches are found in the sweep.",
                drawn["bandwidth_sweep"],
                table=bench_table(self.bench),
            ),
            Section(
                "Operators under the roofs",
                "Only whole networks are timed. Their operators therefore stand on the roof that they would hit (that "
                "of the smallest memory that holds what they read and write), sized by their share of the time that "
                "these roofs allow; the networks stand where they were measured.",
                drawn["network_roofline"],
                "Bytes are those of every operator on its own. A runtime that fuses operators moves fewer. Skip "
                "connections have no arithmetic and are not drawn; their bytes count. " + NASBENCH201_KEY,
            ),
            Section(
                "Its behaviour signature",
                f"How long each probe takes on {main} relative to their mean, beside the known devices.",
                drawn["signature"],
            ),
            Section(
                "Device map",
                f"Every device's latencies on the same {apart.networks} networks, in logarithms and without its mean, "
                "projected on the two directions in which the known devices differ most. On a device further along an "
                "axis, what the axis names is dearer, relative to everything else. ρ is the rank correlation of the "
                "axis's weights with that quantity over the networks.",
                drawn["device_map"],
                "An axis gives the root mean square over the networks of the part of the latency ratio to the mean "
                "device that it explains. Networks whose output does not depend on their input are left out.",
                table=self.neighbours,
            ),
        ]
