"""A campaign while it runs, in a notebook: a progress bar, and the reference timeline as it grows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.io.base_renderers import PlotlyRenderer
from tqdm.auto import tqdm

from workbench.insight.campaign_report import timeline, watched_attempts
from workbench.insight.template import CONFIG
from workbench.profiling.journal import read_raw
from workbench.profiling.passes import CampaignConfig, Progress

EVERY_S = 6.0  # between two drawings, at least
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
        self._display = _display({"text/plain": "The reference timeline appears here."})
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
            self._draw()
        self._bar.close()

    def _draw(self) -> None:
        if self._display is None:
            return
        attempts = watched_attempts(read_raw(self._folder), self._config)
        if attempts["reference"].any():
            self._display.update(_bundle(timeline(attempts, self._config)), raw=True)


def _display(content: dict[str, str]) -> Any:
    """A place below the cell whose content can be replaced; None outside of notebooks."""
    from IPython import get_ipython
    from IPython.display import display

    return display(content, raw=True, display_id=True) if get_ipython() else None


def _bundle(figure: go.Figure) -> dict[str, Any]:
    """``figure`` as notebooks show it, and in words where they cannot."""
    words = f"{figure.layout.meta['title']}. {figure.layout.meta['message']}"
    return {"text/plain": words, **PlotlyRenderer(CONFIG).to_mimebundle(figure.to_dict())}
