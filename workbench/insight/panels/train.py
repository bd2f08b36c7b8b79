"""Train HODM in the background: start, look on, leave, come back."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd
import plotly.graph_objects as go

from workbench import jobs
from workbench.config import WorkbenchError, project_home
from workbench.insight import figures
from workbench.insight.panels.job_control import JobControl
from workbench.insight.panels.panel import Held, Panel
from workbench.insight.panels.slot import FigureSlot
from workbench.insight.panels.tables import Tables

NUMBERS = {  # name -> description, least, most, at first
    "samples": ("Networks to learn from", 2, 15_625, 900),
    "probes": ("Probes per target", 1, 200, 10),
    "steps": ("Training steps", 2, 20_000, 1500),
    "seed": ("Seed", 0, 2**31 - 1, 0),
}
LEAST_POINTS = 2  # of a curve


class TrainPanel(Panel):
    """Starts, stops and shows the training that works in ``folder``, now or when it was last.

    State: ``space``, ``targets`` (devices that are probed only), ``samples``, ``probes``, ``steps``, ``seed``, and
    without a control ``sources`` (devices to learn from; none: see `choose_sources`) and ``held_out`` (networks to
    validate on).

    Example::

        TrainPanel(targets=["torch-eager_fp32_t1_b1"], steps=500)

    Args:
        data: folders of latency tables, see `load_table`.
        folder: where the model is kept; ``reports/training`` of the project if None.
        state: values to begin with, by name.
    """

    def __init__(self, data: Sequence[str | Path] = (), folder: str | Path | None = None, **state: Any) -> None:
        self._tables = Tables(folders=[Path(place).resolve() for place in data])
        self._drawn: dict[FigureSlot, Any] = {}
        space = widgets.Dropdown(options=self._tables.spaces, description="Search space")
        self._targets = widgets.SelectMultiple(description="Target devices", rows=5)
        numbers = {
            name: widgets.BoundedIntText(value=value, min=least, max=most, description=description)
            for name, (description, least, most, value) in NUMBERS.items()
        }
        space.observe(lambda change: self._offer(change["new"]), names="value")
        self._offer(space.value)
        self.work = JobControl(
            "train", folder or project_home() / "reports" / "training", "training", self._arguments, self.refresh
        )
        self._loss, self._errors, self._about = FigureSlot(), FigureSlot(), widgets.HTML()
        super().__init__(
            "Train HODM in the background",
            {
                "space": space,
                "targets": self._targets,
                **numbers,
                "sources": Held(value=[]),
                "held_out": Held(value=100),
            },
            [[self.work.buttons, self.work.text], [self._about], [self._loss, self._errors]],
            state,
        )

    def start(self) -> None:
        """Start the training that the state describes; nothing happens where one is running."""
        self.work.start()

    def stop(self) -> None:
        """Stop the training that is running."""
        self.work.stop()

    def update(self, state: Mapping[str, Any]) -> str | None:
        """Show the newest training in the folder; what is wrong with the state is said beside it."""
        found = self.work.look()
        payload = found[1].payload if found else {}
        self._about.value = _about(*found) if found else ""
        self._draw(self._loss, figures.training_curve, payload.get("curve"))
        self._draw(self._errors, figures.validation_by_device, payload.get("errors"))
        try:
            self._tables(state["space"])
        except WorkbenchError as error:
            return str(error)
        return self.work.complaint or None

    @property
    def code(self) -> str:
        """Python that starts the same training."""
        arguments = "".join(f"    {name}={value!r},\n" for name, value in self._wanted().items())
        return (
            "from workbench import jobs\n\n"
            f'job = jobs.start(\n    "train",\n    {str(self.work.folder)!r},\n{arguments})\n'
            "job.wait().payload"
        )

    def _wanted(self) -> dict[str, Any]:
        return {**self.state, "data": self._tables.folders}

    def _arguments(self) -> dict[str, Any]:
        wanted = self._wanted()
        if not wanted["targets"]:
            raise WorkbenchError("A training expects a target device, got none; choose one that has been measured.")
        return wanted

    def _draw(self, slot: FigureSlot, figure: Callable[[pd.DataFrame], go.Figure], curves: Any) -> None:
        """Draw ``curves``, unless the slot shows them already."""
        if not curves or len(curves["step"]) < LEAST_POINTS:
            slot.clear()
        elif slot.figure is None or self._drawn.get(slot) != curves:
            slot.draw(figure(pd.DataFrame(curves)))
        self._drawn[slot] = curves

    def _offer(self, space: str) -> None:
        """Let the devices that were measured in ``space`` be chosen as targets; those that stay, stay chosen."""
        devices = self._tables.devices(space)
        kept = [name for name in self._targets.value if name in devices]
        self._targets.options = devices
        self._targets.value = kept


def _about(job: jobs.Job, progress: jobs.Progress) -> str:
    """What the job was asked for, and what came out of it."""
    asked, found = job.arguments, progress.payload
    parts = [f"{asked['space']}, targets {', '.join(asked['targets'])}"]
    parts += [f"{NUMBERS[name][0].lower()} {asked[name]:,}" for name in NUMBERS if name in asked]
    if found.get("errors"):
        parts.append(f"source devices {len(found['errors']) - 1}")
    text = f"Asked for: {html.escape('; '.join(parts))}."
    if metrics := found.get("metrics"):
        text += (
            f" <b>On the targets: Spearman {metrics['spearman']:.3f}, RAE {metrics['rae']:.3f}, "
            f"coverage of the 90 % intervals {100 * metrics['coverage90']:.0f} %.</b>"
        )
    if url := found.get("run_url"):
        text += (
            f' <a href="{html.escape(url)}" target="_blank" rel="noopener">Its run in MLflow</a> '
            f"(<code>make ui</code> serves it); model <code>{html.escape(found['model'])}</code>"
        )
    return text
