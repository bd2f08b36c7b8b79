"""The checks at the door: a figure is drawn from a table that has what it needs, or not at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workbench.config import WorkbenchError


def checked(
    frame: pd.DataFrame,
    figure: str,
    *,
    words: Sequence[str] = (),
    numbers: Sequence[str] = (),
    positive: Sequence[str] = (),
) -> pd.DataFrame:
    """A copy of ``frame`` with a plain index, its ``numbers`` and ``positive`` columns as float64.

    Args:
        frame: one row per thing drawn.
        figure: the figure's name, for the message.
        words: columns that must be there and hold no gaps.
        numbers: columns that must hold finite numbers.
        positive: columns that must hold finite numbers above zero.

    Raises:
        WorkbenchError: not a table, empty, a column missing, a gap, or a number out of range.
    """
    if not isinstance(frame, pd.DataFrame):
        raise WorkbenchError(f"The {figure} figure expects a DataFrame, got {type(frame).__name__}; pass a table.")
    if frame.empty:
        raise WorkbenchError(f"The {figure} figure expects at least one row, got an empty table; check what filled it.")
    missing = [name for name in (*words, *numbers, *positive) if name not in frame.columns]
    if missing:
        raise WorkbenchError(
            f"The {figure} figure expects the column '{missing[0]}', got "
            f"{', '.join(map(str, frame.columns))}; "
            "add or rename it."
        )
    frame = frame.reset_index(drop=True)
    for name in words:
        if frame[name].isna().any():
            row = int(np.argmax(frame[name].isna()))
            raise WorkbenchError(f"The {figure} figure expects a name in '{name}', got none in row {row}; fill it in.")
    for name in (*numbers, *positive):
        frame[name] = finite(frame[name], f"The {figure} figure", name, positive=name in positive)
    return frame


def finite(values: object, who: str, name: str, *, positive: bool = False) -> np.ndarray:
    """``values`` as float64, all finite (above zero if ``positive``); else a `WorkbenchError` says where."""
    wanted = "finite numbers above zero" if positive else "finite numbers"
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise WorkbenchError(f"{who} expects {wanted} in '{name}', got {error}; convert the column.") from error
    wrong = ~np.isfinite(array)
    if positive:
        wrong |= ~(array > 0)
    if wrong.any():
        place = np.argwhere(wrong)[0].tolist()
        where = f"row {place[0]}" if len(place) == 1 else f"place {tuple(place)}"
        raise WorkbenchError(
            f"{who} expects {wanted} in '{name}', got {array[tuple(place)]} in {where}; drop or mend that entry."
        )
    return array


def checked_intervals(frame: pd.DataFrame, figure: str) -> pd.DataFrame:
    """``frame`` again, if ``low_ms <= predicted_ms <= high_ms`` holds in every row."""
    wrong = (frame["low_ms"] > frame["predicted_ms"]) | (frame["predicted_ms"] > frame["high_ms"])
    if wrong.any():
        row = frame.loc[wrong.idxmax()]
        raise WorkbenchError(
            f"The {figure} figure expects low_ms <= predicted_ms <= high_ms, got {row['low_ms']:g}, "
            f"{row['predicted_ms']:g}, {row['high_ms']:g} in row {wrong.idxmax()}; check the interval's ends."
        )
    return frame


def one_of(frame: pd.DataFrame, figure: str, column: str, allowed: Sequence[str]) -> None:
    """Raise unless ``column`` holds nothing but ``allowed``."""
    strange = sorted(set(map(str, frame[column])) - set(allowed))
    if strange:
        raise WorkbenchError(
            f"The {figure} figure expects {' or '.join(allowed)} in '{column}', got '{strange[0]}'; rename it."
        )
