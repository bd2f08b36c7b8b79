"""``workbench selfcheck``: can measurements on this machine be trusted?"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.common import OutFolder, Space, networks, say

if TYPE_CHECKING:
    from workbench.devices.backends import Platform
    from workbench.profiling.campaign import CampaignSummary


def selfcheck(
    out: OutFolder,
    archs: Annotated[int, typer.Option(help="Networks in each campaign.", min=3)] = 60,
    space: Space = "nasbench201",
    platform: Annotated[str, typer.Option(help="Where they are measured.")] = "torch-eager_fp32_t1_b1",
    tools: Annotated[bool, typer.Option(help="Also compare with other tools (about a minute).")] = True,
    disturb: Annotated[bool, typer.Option("--disturb", help="Load a processor during the second campaign.")] = False,
) -> None:
    """Measure the same networks twice, compare with other tools, and say what agrees.

    A second call with the same folder compares what is there; remove its ``second`` to measure that one again later.
    """
    from workbench.devices.backends import parse_platform
    from workbench.profiling.campaign import profile
    from workbench.profiling.selfcheck import busy_core, repeatability
    from workbench.spaces import get_space

    chosen, wanted = get_space(space), networks(space, archs, None)
    beside = parse_platform(platform)
    verdicts = _beside_tools(space, wanted, beside) if tools else []
    tables = []
    for name in ("first", "second"):
        disturbed = disturb and name == "second"
        say(f"The {name} campaign{', with another process on one processor' if disturbed else ''} ...")
        with busy_core() if disturbed else nullcontext():
            summary = profile(chosen, wanted, [beside], out / name)
        _print_campaign(name, summary)
        tables.append(summary.reduced.table)
    for found in repeatability(*tables):
        typer.echo(
            f"{found.device}: {found.networks} networks, median difference {found.median:.2%}, largest "
            f"{found.worst:.1%}, Spearman {found.spearman:.4f}"
        )
        verdicts.append(found.accepted)
    typer.echo("Everything agrees." if all(verdicts) else "Not everything agrees; see above.")
    if not all(verdicts):
        raise typer.Exit(1)


def _beside_tools(space: str, archs: list[str], platform: Platform) -> list[bool]:
    """Prints and judges what other tools say: torch's timer, NumPy's triad or the GPU driver's copy, the system's cache
    sizes."""
    from workbench.devices.microbench import microbench
    from workbench.devices.microbench.reference import REFERENCES, check
    from workbench.profiling.selfcheck import beside_timer
    from workbench.spaces import get_space

    say("Five networks beside torch.utils.benchmark ...")
    timed = beside_timer(get_space(space), archs[:5], platform=platform)
    for row in timed.itertuples():
        typer.echo(f"{row.arch}: {row.ours_ms:.3f} ms, torch's timer {row.timer_ms:.3f} ms, ratio {row.ratio:.3f}")
    say("The machine beside another reading of its memory and what the system says ...")
    rows = check(microbench(device=platform.device, references=[REFERENCES[platform.device]]))
    for row in rows:
        ours = "not found" if row.ours is None else f"{row.ours:.4g} (ratio {row.ratio:.2f})"
        low, high = row.limits
        typer.echo(
            f"{row.figure}, {row.threads} thread(s): {ours}, independently {row.independent:.4g}; "
            f"accepted {low:g} to {high:g}"
        )
    return [*timed["accepted"], *(row.accepted for row in rows)]


def _print_campaign(name: str, summary: CampaignSummary) -> None:
    kept = int(summary.reduced.summary["quarantined"].sum())
    again = f"{summary.repeated} timings repeated, {kept} networks stayed in quarantine"
    if not summary.measured:
        typer.echo(f"{name}: measured before; {kept} networks in quarantine")
        return
    typer.echo(
        f"{name}: {summary.seconds:.0f} s, {summary.overhead:.1%} of the time outside warm-up and timed runs; {again}; "
        f"{summary.stability.reason}"
    )
