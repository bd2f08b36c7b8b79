"""What a device is like: its behaviour signature beside those of others."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from workbench.config import WorkbenchError
from workbench.insight.frames import checked, one_of
from workbench.insight.labels import milliseconds, plural, safe, safe_arch
from workbench.insight.template import AMBER, BLUE, FAINT, MUTED, PAPER, blank

SOURCE, TARGET = "source", "target"


def signature(frame: pd.DataFrame) -> go.Figure:
    """A device's behaviour signature: what the probes take relative to its mean, beside the source devices.

    Args:
        frame: one row per device and probe; columns ``device``, ``role`` (``source`` or ``target``; one
            target), ``arch`` and ``latency_ms``. Every device has every probe.

    Raises:
        WorkbenchError: a column or a number is missing, not exactly one target, or a probe missing on a
            device.
    """
    frame, target = _one_target(frame)
    table = frame.pivot(index="arch", columns="device", values="latency_ms")
    if table.isna().any(axis=None):
        raise WorkbenchError(
            "The signature figure expects every probe on every device, got gaps; "
            "leave out the devices that lack a probe."
        )
    relative = table / table.mean(axis=0)
    sources = relative.drop(columns=target)
    relative = relative.loc[(sources if sources.shape[1] else relative).mean(axis=1).sort_values().index]
    distance = sources.sub(relative[target], axis=0).abs().mean().sort_values()
    nearest = distance.index[0] if len(distance) else None
    message = f"{plural(len(relative), 'probe')} on {safe(target)}"
    if nearest is not None:
        message += (
            f"; most alike is {safe(nearest)}: {100 * distance.iloc[0]:.0f} % apart on average, "
            f"the least alike {100 * distance.iloc[-1]:.0f} %."
        )
    figure = blank(
        "Behaviour signature", message, x="Probe network, ordered by the source devices' mean",
        y="Latency relative to the device's mean (ratio)", height=480,
    )  # fmt: skip
    for position, device in enumerate(distance.index[:0:-1]):
        figure.add_trace(_signature_line(relative[device], table[device], FAINT, 1.2, "source devices", position == 0))
    if nearest is not None:
        figure.add_trace(
            _signature_line(relative[nearest], table[nearest], AMBER, 2.2, f"most alike: {safe(nearest)}", True)
        )
    figure.add_trace(_signature_line(relative[target], table[target], BLUE, 3, f"this device: {safe(target)}", True))
    figure.add_hline(1, line={"color": MUTED, "width": 1, "dash": "dot"})
    return figure.update_xaxes(tickangle=-45, tickfont_size=11, showgrid=True, type="category")


def _one_target(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The checked table of a signature, and the name of its target device."""
    frame = checked(frame, "signature", words=["device", "role", "arch"], positive=["latency_ms"])
    one_of(frame, "signature", "role", (SOURCE, TARGET))
    twice = frame.duplicated(["device", "arch"])
    if twice.any():
        row = frame.loc[twice].iloc[0]
        raise WorkbenchError(
            f"The signature figure expects one latency per device and probe, got two for '{row['device']}' "
            f"and '{row['arch']}'; average them first."
        )
    targets = frame.loc[frame["role"] == TARGET, "device"].unique()
    if len(targets) != 1:
        raise WorkbenchError(
            f"The signature figure expects one target device, got {len(targets)}; "
            "give one device the role 'target' and all others 'source'."
        )
    return frame, targets[0]


def _signature_line(
    relative: pd.Series, latency: pd.Series, colour: str, width: float, label: str, legend: bool
) -> go.Scatter:
    focus = colour != FAINT
    device = safe(relative.name)
    return go.Scatter(
        x=[safe_arch(arch) for arch in relative.index],
        y=relative,
        mode="lines+markers",
        name=label,
        legendgroup=label,
        showlegend=legend,
        line={"color": colour, "width": width},
        marker={
            "color": colour,
            "size": 8 if focus else 4,
            "symbol": "circle" if colour == BLUE else "diamond",
            "line": {"color": PAPER, "width": 1 if focus else 0},
        },
        customdata=[[device, milliseconds(value)] for value in latency.reindex(relative.index)],
        hovertemplate="<b>%{customdata[0]}</b><br>%{x}: %{y:.2f} of mean, %{customdata[1]}<extra></extra>",
    )
