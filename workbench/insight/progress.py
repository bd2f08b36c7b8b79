"""One progress bar for everything that takes a while, in the terminal and in a notebook."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm


class ProgressBar:
    """A callback that draws how far a job is.

    Args:
        label: what is going on.
        total: how many steps there are; may be left to the records.

    Example: ``pretrain(..., progress=ProgressBar("Training", steps))``. It is called with the number of steps done, or
    with a record that has it as ``done`` and the number of all as ``total``, or with both numbers; further arguments
    are ignored. It closes itself at the end.
    """

    def __init__(self, label: str, total: int | None = None) -> None:
        self._bar = tqdm(total=total, desc=label)

    def __call__(self, progress: Any, *more: Any) -> None:
        """Move to ``progress``."""
        told = more[0] if more and isinstance(more[0], int) else self._bar.total
        self._expect(getattr(progress, "total", told))
        self._bar.update(getattr(progress, "done", progress) - self._bar.n)
        if self._bar.total is not None and self._bar.n >= self._bar.total:
            self._bar.close()

    def _expect(self, total: int | None) -> None:
        if total != self._bar.total:
            began, done = self._bar.start_t, self._bar.n
            self._bar.reset(total)  # in a notebook, a bar that knew no total is only a dot until then
            self._bar.start_t, self._bar.n = began, done
