"""A job seen from a panel: started, stopped, and followed as long as it runs."""

from __future__ import annotations

import asyncio
import html
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from workbench import jobs
from workbench.config import WorkbenchError
from workbench.insight.panels.later import later

LOOK_S = 1.0  # between two looks at the database
SILENT_S = 30.0  # without a sign of life: worth a word
ENDINGS = {jobs.FINISHED: "Finished", jobs.STOPPED: "Stopped", jobs.FAILED: "Failed"}
BAR = (
    '<progress value="{done}" max="{total}" aria-label="{label}" style="width:180px;vertical-align:middle"></progress> '
)


class JobControl:
    """The newest job of a kind in a folder: two buttons, a bar, a sentence.

    It is not the panel's state: it is what the database says, in this notebook and in any other.

    Args:
        kind: of the job, see `jobs.JOBS`.
        folder: that it works in.
        what: what it does, as the buttons say it (``"training"``).
        arguments: what to start it with; called at that moment, may raise a `WorkbenchError`.
        changed: called when the job has something new to show.

    Attributes:
        buttons, text: to be shown, in this order.
    """

    def __init__(
        self,
        kind: str,
        folder: str | Path,
        what: str,
        arguments: Callable[[], Mapping[str, Any]],
        changed: Callable[[], None],
    ) -> None:
        self.kind, self.folder, self._what = kind, Path(folder).expanduser().resolve(), what
        self._arguments, self._changed = arguments, changed
        self._start = widgets.Button(description=f"Start {what}", icon="play", button_style="primary")
        self._stop = widgets.Button(description=f"Stop {what}", icon="stop")
        self._start.on_click(lambda _: self.start())
        self._stop.on_click(lambda _: self.stop())
        self.buttons = widgets.HBox([self._start, self._stop])
        self.text = widgets.HTML(layout=widgets.Layout(flex="1 1 420px"))
        self.complaint = ""
        self._stopping: int | None = None  # number of the job that was told to
        self._seen: tuple[Any, ...] = ()
        self._following: asyncio.Task | None = None

    @property
    def job(self) -> jobs.Job | None:
        """The newest job; None if there was none."""
        return jobs.latest(self.kind, self.folder)

    def start(self) -> None:
        """Start a job, unless one is running; what speaks against it becomes the ``complaint``."""
        self.complaint = ""
        try:
            jobs.start(self.kind, self.folder, **self._arguments())
        except WorkbenchError as error:
            self.complaint = str(error)
        self._changed()

    def stop(self) -> None:
        """Stop the job that is running, if one is; its end is seen like any other."""
        job = self.job
        if job is not None and job.progress.active:
            self._stop.disabled, self._stopping = True, job.number
            threading.Thread(target=job.stop, daemon=True).start()

    def look(self) -> tuple[jobs.Job, jobs.Progress] | None:
        """Show how far the job is, and look again later if it has not ended; None if there is no job."""
        job = self.job
        progress = job.progress if job else None
        active = progress is not None and progress.active
        self._start.disabled = active
        self._stop.disabled = not active or job.number == self._stopping
        self.text.value = self._nothing() if job is None else _sentence(job, progress)
        self._seen = () if job is None else (job.number, progress.state, progress.payload)
        if active:
            self._follow()
        return None if job is None else (job, progress)

    def _nothing(self) -> str:
        return f"No {self._what} was started in <code>{html.escape(str(self.folder))}</code> yet."

    def _follow(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # not in a notebook: whoever asks again sees what is new
            return
        if self._following is None or self._following.done() or self._following is asyncio.current_task():
            self._following = loop.create_task(later(self._look_again, LOOK_S))

    def _look_again(self) -> None:
        before = self._seen
        try:
            self.look()
        except WorkbenchError:
            before = None  # the panel meets the same and says so
            self._follow()
        if self._seen != before:
            self._changed()


def _sentence(job: jobs.Job, progress: jobs.Progress) -> str:
    now = time.time()
    took = duration((progress.ended_at or now) - progress.started_at)
    if not progress.active:
        text = f"<b>{ENDINGS[progress.state]}</b> after {took}, {clock(progress.ended_at)}."
        if progress.state == jobs.FAILED:
            text += f' <span role="alert">{html.escape(progress.message)}</span>'
            text += f" All that it said: <code>{html.escape(str(job.log))}</code>"
        return text
    label = html.escape(progress.label or "starting")
    text = f"{label[:1].upper()}{label[1:]}"
    if progress.total:
        text = BAR.format(done=progress.done, total=progress.total, label=label) + text
        text += f": {progress.done:,} of {progress.total:,}"
    text += f"; {took} so far"
    if progress.total and 0.02 < progress.done / progress.total < 1:
        left = (now - progress.started_at) * (progress.total / progress.done - 1)
        text += f", about {duration(left)} to go"
    if now - progress.heartbeat_at > SILENT_S:
        text += f". <b>No sign of life for {duration(now - progress.heartbeat_at)}</b>: was the machine asleep?"
    return f"{text}. It goes on without this page."


def duration(seconds: float) -> str:
    """``123.4`` -> ``"2:03 min"``, ``4000`` -> ``"1:07 h"``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02d} h" if minutes >= 60 else f"{minutes}:{rest:02d} min"


def clock(seconds: float | None) -> str:
    """When that was, in local time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
