"""``workbench predict``: how long networks take on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.common import DataFolders, Space, say

if TYPE_CHECKING:
    from workbench.predictor.method import Estimate
    from workbench.training.prediction import DevicePrediction


def predict(
    device: Annotated[str, typer.Option(help="A device of the tables; see 'workbench devices list --measured'.")],
    arch: Annotated[list[str], typer.Option(help="A network of the space; repeatable.")],
    space: Space = "nasbench201",
    data: DataFolders = None,
    method: Annotated[str, typer.Option(help="Predictor.")] = "hodm",
    recalibrate: Annotated[
        bool, typer.Option("--recalibrate", help="First measure 5 networks here, and set the prediction right by them.")
    ] = False,
) -> None:
    """Predict networks on a device from what was measured on it and on all others, in milliseconds."""
    from workbench.data.sources import data_folders
    from workbench.profiling.passport import changed_conditions, recorded_conditions
    from workbench.training.prediction import predict_device

    found = predict_device(space, arch, device, data or [], method)
    estimate = found.of(arch)
    card = found.card
    changed = changed_conditions(card, recorded_conditions(space, card, data_folders(data or []))) if card else None
    if recalibrate:
        estimate = _recalibrated(space, found, estimate)
    elif changed:
        say(
            f"Note: {changed} The prediction is for the old ones; measure 5 networks now and set it right by adding "
            f"--recalibrate."
        )
    for name, ms, low, high in zip(arch, *estimate, strict=True):
        measured = found.measured_ms.get(name)
        beside = "" if measured is None or recalibrate else f", measured {measured:.4g} ms"
        typer.echo(f"{name} on {device}: {ms:.4g} ms (90 % interval {low:.4g} to {high:.4g}){beside}")


def _recalibrated(space: str, found: DevicePrediction, estimate: Estimate) -> Estimate:
    from workbench.config import WorkbenchError
    from workbench.predictor.recalibrate import PROBES, recalibrate
    from workbench.profiling.campaign import measure_archs
    from workbench.profiling.passport import platform_of
    from workbench.spaces import get_space

    platform = platform_of(found.card) if found.card else None
    if platform is None:
        raise WorkbenchError(
            "A recalibration measures on this machine, but the device's card names no way to run networks here; "
            "recalibrate on the device itself."
        )
    archs = [found.networks.archs[row] for row in found.probes[:PROBES]]
    say(f"Measuring {len(archs)} networks on {platform.name} ...")
    measured = measure_archs(get_space(space), archs, platform)
    result = recalibrate(found.of(archs), measured["latency_ms"].to_numpy())
    say(f"Under the present conditions latencies are {result.factor:.3f} times what was predicted.")
    return result.apply(estimate)
