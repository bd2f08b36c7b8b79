"""What takes a while, while it runs, in a notebook: a campaign's references, a training's loss and a curve, as they
grow."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from ipywidgets import VBox
from tqdm.auto import tqdm

from workbench.insight.campaign_report import timeline, watched_attempts
from workbench.insight.figure_widget import FigureWidget
from workbench.insight.panels.slot import kinds, redraw
from workbench.insight.plots.quality import training_curve
from workbench.insight.plots.transfer import learning_curve
from workbench.insight.show import bundle
from workbench.profiling.journal import read_raw
from workbench.profiling.passes import CampaignConfig, Progress
from workbench.training.fit import Pretrained
from workbench.training.lesson import Course

EVERY_S, TRAINING_EVERY_S = 6.0, 1.0  # between two drawings, at least
SHARE = 20  # and as many times as long as the last one took: looking on must not cost what is looked at
SETTLE_S = 0.3  # after each: the browser draws, too, perhaps on this machine


class LiveCampaign:
    """Shows a campaign; a context manager that draws the final timeline at its end.

    Drawing happens between two timings, while nothing is timed.

    Example::

        with LiveCampaign(tables_in(out, space.name).raw, config) as live:
            summary = profile(space, archs, platforms, out, progress=live, config=config)

    Args:
        folder: where the campaign writes its raw rows.
        config: of the campaign.
    """

    def __init__(self, folder: str | Path, config: CampaignConfig | None = None) -> None:
        self._folder, self._config = Path(folder), config or CampaignConfig()
        self._next = 0.0

    def __enter__(self) -> LiveCampaign:
        self._bar = tqdm(unit="timing")
        self._figure = LiveFigure("The reference timeline appears here.")
        return self

    def __call__(self, progress: Progress) -> None:
        """Move the bar to ``progress`` and draw, if it is time."""
        if not progress.total:
            self._bar.set_description(progress.label.capitalize())
            return
        if progress.total != self._bar.total:  # repetitions were added
            self._bar.reset(progress.total)
            self._bar.set_description("Measuring")
        self._bar.update(progress.done - self._bar.n)
        if time.monotonic() >= self._next:
            began = time.monotonic()
            self._draw()
            time.sleep(SETTLE_S)
            self._next = time.monotonic() + max(EVERY_S, SHARE * (time.monotonic() - began))

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is None:
            self._bar.update((self._bar.total or 0) - self._bar.n)  # what failed was not counted
            self._draw(last=True)
        self._bar.close()

    def _draw(self, last: bool = False) -> None:
        if not self._figure.seen:
            return
        attempts = watched_attempts(read_raw(self._folder), self._config)
        if attempts["reference"].any():
            self._figure.draw(timeline(attempts, self._config), last)


class LiveTraining:
    """Shows a training: a progress bar, and the loss as it falls; a context manager that draws the whole at its end.

    Example::

        with LiveTraining(Course(lesson, steps)) as live:
            pretrained = pretrain(..., progress=live, watch=live.check)

    Args:
        course: what is shown; it knows the losses afterwards.
    """

    def __init__(self, course: Course) -> None:
        self.course = course
        self._next = 0.0

    def __enter__(self) -> LiveTraining:
        self._bar = tqdm(total=self.course.steps, desc="Training HODM", unit="step")
        self._figure = LiveFigure("The loss appears here.")
        return self

    def __call__(self, step: int, loss: float) -> None:
        """Note the ``loss`` of ``step``."""
        self.course(step, loss)
        self._bar.update(step - self._bar.n)

    def check(self, step: int, pretrained: Pretrained) -> None:
        """Validate and draw, if it is time."""
        self.course.check(step, pretrained)
        if time.monotonic() >= self._next:
            began = time.monotonic()
            self._draw()
            self._next = time.monotonic() + max(TRAINING_EVERY_S, SHARE * (time.monotonic() - began))

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is None:
            self._draw(last=True)
        self._bar.close()

    def _draw(self, last: bool = False) -> None:
        points = self.course.smooth()
        if self._figure.seen and len(points) > 1:
            self._figure.draw(training_curve(points), last)


class LiveCurve:
    """Shows transfers: a progress bar, and the learning curve as it grows; a context manager that draws the whole at
    its end.

    Example::

        with LiveCurve(len(probes) * len(seeds)) as live:
            curve = transfer_curve(..., watch=live)

    Args:
        transfers: how many there will be.
    """

    def __init__(self, transfers: int) -> None:
        self._transfers, self._results = transfers, pd.DataFrame()

    def __enter__(self) -> LiveCurve:
        self._bar = tqdm(total=self._transfers, desc="Transferring", unit="transfer")
        self._figure = LiveFigure("The learning curve appears here.")
        return self

    def __call__(self, results: pd.DataFrame) -> None:
        """Draw the ``results`` so far; see `TransferCurve`."""
        self._results = results
        self._bar.update(len(results[["probes", "seed"]].drop_duplicates()) - self._bar.n)
        self._draw()

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is None:
            self._draw(last=True)
        self._bar.close()

    def _draw(self, last: bool = False) -> None:
        counts = self._results["probes"].nunique() if len(self._results) else 0
        curve = self._figure.seen and (counts > 1 or (last and counts))  # one point is none yet
        if curve:
            self._figure.draw(learning_curve(self._results), last)


class LiveFigure:
    """A figure below the cell that is drawn again and again.

    While it changes it is a widget in a box, since JupyterLab draws a plain figure or a widget once and ignores what
    replaces it; the last one is plain, since a notebook that is saved keeps those and no widgets.

    Args:
        words: what stands there before.
    """

    def __init__(self, words: str) -> None:
        self._place = _display({"text/plain": words})
        self._widget: go.FigureWidget | None = None
        self._box: VBox | None = None

    @property
    def seen(self) -> bool:
        """Whether there is a cell to draw below: not outside of notebooks."""
        return self._place is not None

    def draw(self, figure: go.Figure, last: bool = False) -> None:
        """Show ``figure`` in the place of the one before; nothing is to follow the ``last`` one."""
        before = self._widget
        if not last and before is not None and kinds(before) == kinds(figure):
            redraw(before, figure)
            return
        self._widget = None if last else FigureWidget(figure)
        if last:
            self._place.update(bundle(figure), raw=True)
        else:
            if not self._box:
                self._box = VBox()
                self._place.update(self._box._repr_mimebundle_(), raw=True)
            self._box.children = (self._widget,)
        if before is not None:
            before.close()
        if last and self._box:
            self._box.close()


def _display(content: dict[str, str]) -> Any:
    """A place below the cell whose content can be replaced; None outside of notebooks."""
    from IPython import get_ipython
    from IPython.display import display

    return display(content, raw=True, display_id=True) if get_ipython() else None
