"""``workbench profile``: measure networks on this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.common import Archs, OutFolder, Probes, Space, end, networks

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.profiling.campaign import CampaignSummary, Progress
    from workbench.profiling.passes import CampaignConfig

Platforms = Annotated[
    list[str] | None,
    typer.Option(
        "--platform", help="Way to execute, such as torch-eager_fp32_t1_b1; repeatable. All that run here if absent."
    ),
]


def profile(
    out: OutFolder,
    device: Annotated[str | None, typer.Option(help="Name of this machine in the table's columns.")] = None,
    space: Space = "nasbench201",
    archs: Archs = None,
    probes: Probes = None,
    budget: Annotated[float | None, typer.Option(help="Begin no network after this many seconds.", min=1)] = None,
    platform: Platforms = None,
    passes: Annotated[int, typer.Option(help="Measure everything so often, at separate times.", min=1)] = 2,
    seconds: Annotated[float, typer.Option(help="Timed runs per network, platform and pass, at most.", min=0.01)] = 0.5,
    limit: Annotated[float, typer.Option(help="After so many seconds a network has failed.", min=1)] = 120,
    isolate: Annotated[bool, typer.Option("--isolate", help="Each network in a process of its own.")] = False,
) -> None:
    """Measure networks on this machine; the same command again continues where an interrupted one ended."""
    from tqdm import tqdm

    from workbench.devices.backends import get_platforms
    from workbench.insight.campaign_report import campaign_report
    from workbench.notebooks import writable
    from workbench.profiling.campaign import profile as measure
    from workbench.spaces import get_space

    chosen, platforms, wanted = get_space(space), get_platforms(platform), networks(space, archs, probes)
    writable(out / f"{space}.parquet")
    with tqdm(unit="timing", desc="Starting") as bar:

        def show(progress: Progress) -> None:
            bar.set_description("Measuring" if progress.total else progress.label.capitalize(), refresh=False)
            bar.total = progress.total or None
            bar.update(progress.done - bar.n)
            bar.refresh() if not progress.done else None

        config = campaign_config(passes, seconds, limit, isolate)
        summary = measure(chosen, wanted, platforms, out, budget, show, device=device, config=config)
    report = campaign_report(summary, space, out / f"{space}_report.html")
    _print(summary, report)
    end({f"{row.platform} {row.arch}": row.failure for row in summary.failures.itertuples()})


def campaign_config(passes: int, seconds: float, limit: float, isolate: bool) -> CampaignConfig:
    """The usual campaign, changed as the options say."""
    from workbench.profiling.passes import CampaignConfig

    usual = CampaignConfig()
    timing = replace(usual.timing, budget_s=seconds, min_s=min(usual.timing.min_s, 0.4 * seconds))
    return replace(usual, passes=passes, timing=timing, worker=replace(usual.worker, limit_s=limit, isolate=isolate))


def _print(summary: CampaignSummary, report: Path) -> None:
    worst = summary.drift["drift"].abs().max()
    quarantined = int(summary.reduced.summary["quarantined"].sum())
    idle = f", {summary.overhead:.0%} of it neither warm-up nor timed" if summary.measured else ""
    typer.echo(
        f"{summary.measured} timings ({summary.repeated} of them repetitions) in {summary.seconds:.0f} s{idle}; "
        f"{summary.missing} left undone; references drifted "
        f"by at most {worst:.1%}, next to what counts by {summary.remaining_drift:.1%}; {quarantined} results "
        f"stayed in quarantine.\nAt the start: {summary.stability.reason}"
    )
    if summary.damaged:
        typer.echo(f"Damaged and set aside, measured again: {', '.join(summary.damaged)}")
    typer.echo(f"Table:  {summary.files.latencies}\nReport: {report}")
