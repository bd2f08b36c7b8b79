"""Figures as files: pictures for papers, where there is a Chromium to draw them, and pages that work offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from workbench.config import WorkbenchError, lookup, write_atomically

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: Formats, by the end of the file's name.
PICTURES = ("png", "svg", "pdf")
FORMATS = dict.fromkeys((*PICTURES, "html"))

WIDTH = 1000  # pixels; the height is the figure's own
SCALE = 2.0  # pixels of a PNG per pixel of the figure: sharp in print


def export(figure: go.Figure, path: str | Path, width: int = WIDTH, scale: float = SCALE) -> Path:
    """Write ``figure`` to ``path``, whose ending says as what: a picture (`PICTURES`) or an HTML page.

    Pictures are drawn by Chromium (or Chrome, or Edge), which takes some seconds.

    Args:
        width: in pixels, where the figure does not say its own.
        scale: pixels of a PNG per pixel of the figure.

    Raises:
        WorkbenchError: another ending, no Chromium for a picture, or a file that cannot be written.

    Example: ``export(figures.floors(frame), "floors.svg")``
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    lookup("format of a figure", FORMATS, kind)
    if kind == "html":
        from workbench.insight.template import CONFIG

        return write_atomically(
            path, lambda temporary: figure.write_html(temporary, include_plotlyjs=True, config=CONFIG)
        )
    drawn = _picture(figure, kind, figure.layout.width or width, scale)
    return write_atomically(path, lambda temporary: temporary.write_bytes(drawn))


def _picture(figure: go.Figure, kind: str, width: int, scale: float) -> bytes:
    import kaleido
    from kaleido.errors import ChromeNotFoundError

    drawing = figure.to_dict()
    drawing["layout"].pop("updatemenus", None)  # nobody can choose from a menu on paper
    options = {"format": kind, "width": width, "scale": scale if kind == "png" else 1}
    if figure.layout.height:
        options["height"] = figure.layout.height
    try:
        # Nothing is fetched: plotly.js comes from the package, and formulas (MathJax) are not used.
        return kaleido.calc_fig_sync(drawing, opts=options, kopts={"mathjax": False})
    except ChromeNotFoundError as error:
        raise WorkbenchError(
            "A picture expects Chromium, Chrome or Edge to draw it, got none; install one (apt-get install chromium), "
            "name it in BROWSER_PATH, or write an .html page instead."
        ) from error
    except Exception as error:  # as many types as there are ways for a browser to fail
        raise WorkbenchError(
            f"Chromium could not draw the figure ({type(error).__name__}: {str(error)[:120]!r}); "
            "write an .html page instead."
        ) from error
