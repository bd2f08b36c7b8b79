"""The attention map shows what went in, says what it is worth, and refuses what cannot be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from workbench.config import WorkbenchError
from workbench.insight import figures


def test_attention_that_goes_in_comes_out(
    attention: np.ndarray, operators: pd.DataFrame, hardware: pd.DataFrame
) -> None:
    figure = figures.attention_map(attention, operators, hardware)
    buttons = {button.label: np.asarray(button.args[0]["z"][0]) for button in figure.layout.updatemenus[0].buttons}
    np.testing.assert_array_equal(figure.data[0].z, attention.mean(axis=(0, 1)))
    np.testing.assert_array_equal(buttons["Round 2, head 1"], attention[1, 0])
    np.testing.assert_array_equal(buttons["Round 1, mean of heads"], attention[0].mean(axis=0))
    assert len(buttons) == 1 + 2 * (1 + 2)
    single = figures.attention_map(attention[0, 1], operators, hardware)
    np.testing.assert_array_equal(single.data[0].z, attention[0, 1])
    assert not single.layout.updatemenus


def test_attention_of_a_torch_tensor(attention: np.ndarray, operators: pd.DataFrame, hardware: pd.DataFrame) -> None:
    torch = pytest.importorskip("torch")
    figure = figures.attention_map(torch.as_tensor(attention, dtype=torch.float32), operators, hardware)
    np.testing.assert_allclose(figure.data[0].z, attention.mean(axis=(0, 1)), rtol=1e-6)


def test_unknown_hardware_is_hatched_and_named_unknown(
    attention: np.ndarray, operators: pd.DataFrame, hardware: pd.DataFrame
) -> None:
    figure = figures.attention_map(attention, operators, hardware)
    hatched = next(trace for trace in figure.data if "unknown" in (trace.name or ""))
    assert list(hatched.x) == [1]
    assert hatched.marker.pattern.shape == "/"
    assert figure.layout.xaxis.ticktext[1] == "<i>L3 cache (unknown)</i>"
    assert "unknown" in figure.data[0].customdata[0][1][2]


def test_attention_hover_tells_share_and_physics(
    attention: np.ndarray, operators: pd.DataFrame, hardware: pd.DataFrame
) -> None:
    hover = figures.attention_map(attention, operators, hardware).data[0].customdata
    assert "66.7 % of the latency" in hover[1][0][3]
    assert "FLOPs: 2 G" in hover[1][0][3]
    assert "nan" not in hover[3][0][3]
    assert hover[1][0][0] == "cell &lt;b&gt;"
    bare = figures.attention_map(attention, operators[["name"]], ["a", "b", "c"])
    assert len(bare.data) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights[0], "shape"),
        (lambda weights: weights[..., :2], r"\(2, 2, 4, 2\)"),
        (lambda weights: -weights, "at least 0"),
        (
            lambda weights: np.where(weights == weights[0, 0, 0, 0], np.nan, weights),
            r"nan in place \(0, 0, 0, 0\)",
        ),
        (lambda weights: weights + 0.01, "mask them before the softmax"),
    ],
)
def test_impossible_attention_is_refused(
    attention: np.ndarray,
    operators: pd.DataFrame,
    hardware: pd.DataFrame,
    change: Callable[[np.ndarray], np.ndarray],
    message: str,
) -> None:
    with pytest.raises(WorkbenchError, match=message):
        figures.attention_map(change(attention), operators, hardware)


@pytest.mark.parametrize(
    ("faithfulness", "words"),
    [(0.7, "0.70"), (0.3, "only in part"), (-0.1, "do not trust"), (None, "not measured")],
)
def test_the_map_says_how_faithful_it_is(
    attention: np.ndarray,
    operators: pd.DataFrame,
    hardware: pd.DataFrame,
    faithfulness: float | None,
    words: str,
) -> None:
    figure = figures.attention_map(attention, operators, hardware, faithfulness)
    assert words in figure.layout.title.subtitle.text


def test_an_impossible_faithfulness_is_refused(
    attention: np.ndarray, operators: pd.DataFrame, hardware: pd.DataFrame
) -> None:
    with pytest.raises(WorkbenchError, match="between -1 and 1"):
        figures.attention_map(attention, operators, hardware, 1.2)
