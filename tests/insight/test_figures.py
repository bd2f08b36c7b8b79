"""What holds for every figure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from workbench.config import WorkbenchError
from workbench.insight import figures
from workbench.insight.template import TOP_MARGIN, register_template, template

Inputs = dict[str, tuple[Callable[..., go.Figure], dict[str, object]]]


@pytest.fixture(params=sorted(figures.FIGURES))
def drawn(request: pytest.FixtureRequest, inputs: Inputs) -> go.Figure:
    """Each figure in turn."""
    function, arguments = inputs[request.param]
    return function(**arguments)


def test_a_figure_uses_the_template_and_says_its_message(drawn: go.Figure) -> None:
    assert isinstance(drawn, go.Figure)
    assert drawn.layout.template.layout.to_plotly_json() == template().layout.to_plotly_json()
    assert drawn.layout.title.text
    assert 10 < len(drawn.layout.title.subtitle.text) < 120
    assert drawn.layout.height >= 240


def test_every_axis_has_a_title_and_every_number_axis_a_unit(drawn: go.Figure) -> None:
    shared = {axis.matches for axis in drawn.select_yaxes() if axis.matches}
    for axis in [*drawn.select_xaxes(), *drawn.select_yaxes()]:
        if axis.matches or (axis.showticklabels is False and shared):
            continue
        assert axis.title.text, axis
        names = axis.ticktext is not None and axis.type != "log"
        if not names and axis.type != "category":
            assert "(" in axis.title.text, axis.title.text


def test_a_figure_uses_only_colours_of_the_palette_for_lines_and_markers(drawn: go.Figure) -> None:
    from workbench.insight import template as look

    palette = {value for name, value in vars(look).items() if name.isupper() and str(value).startswith("#")}
    for trace in drawn.data:
        for part in (getattr(trace, "line", None), getattr(trace, "marker", None)):
            if part is not None and isinstance(part.color, str):
                assert part.color in palette | {"#eef1f4"}


def test_a_figure_can_be_drawn_twice_and_leaves_its_table_as_it_was(inputs: Inputs) -> None:
    for function, arguments in inputs.values():
        before = {key: value.copy() if isinstance(value, pd.DataFrame) else value for key, value in arguments.items()}
        assert function(**arguments).to_json() == function(**arguments).to_json()
        for key, value in arguments.items():
            if isinstance(value, pd.DataFrame):
                pd.testing.assert_frame_equal(value, before[key])


REQUIRED = {
    "architecture_map": ["arch", "x", "y", "latency"],
    "attention_faithfulness": ["name", "kind", "attention_percent", "effect_percent"],
    "bandwidth_sweep": ["working_set_kib", "bandwidth_gbps"],
    "block_diagrams": ["arch", "title"],
    "cell_graphs": ["arch", "title"],
    "critical_difference": ["configuration", "rank"],
    "device_map": ["device", "role", "family", "hardware", "x", "y"],
    "error_by_quantile": ["measured_ms", "predicted_ms", "low_ms", "high_ms"],
    "expected_width": ["probes", "low", "median", "high"],
    "factor_effects": ["factor", "level", "reference", "difference", "mark"],
    "floors": ["method", "spearman", "rae", "mdape"],
    "latency_change": ["arch", "base_ms", "base_low_ms", "base_high_ms", "predicted_ms", "low_ms", "high_ms"],
    "left_out_curve": ["device", "probes", "spearman", "rae"],
    "learning_curve": ["method", "probes", "spearman", "rae", "coverage90"],
    "level_curves": ["x", "line", "value"],
    "operator_costs": ["name", "predicted_ms"],
    "pareto": ["arch", "predicted_ms", "accuracy_percent"],
    "predicted_against_measured": ["arch", "role", "measured_ms", "predicted_ms", "low_ms", "high_ms"],
    "rank_change": ["arch", "base_rank", "rank"],
    "rank_disagreement": ["arch", "rank", "disagreement"],
    "ranking": ["arch", "predicted_ms", "low_ms", "high_ms"],
    "reference_timeline": ["platform", "started_at", "drift"],
    "run_curves": ["run", "step", "value"],
    "run_scores": ["run", "value", "cases"],
    "signature": ["device", "role", "arch", "latency_ms"],
    "training_curve": ["step", "loss"],
}


@pytest.mark.parametrize(("name", "column"), [(name, column) for name in REQUIRED for column in REQUIRED[name]])
def test_a_missing_column_or_a_gap_is_refused_by_name(inputs: Inputs, name: str, column: str) -> None:
    function, arguments = inputs[name]
    frame = arguments["frame"]
    with pytest.raises(WorkbenchError, match=f"'{column}'"):
        function(**arguments | {"frame": frame.drop(columns=column)})
    holed = frame.reset_index(drop=True)
    holed[column] = holed[column].astype(object).where(holed.index != 1)
    with pytest.raises(WorkbenchError, match=f"'{column}'.*row 1"):
        function(**arguments | {"frame": holed})


@pytest.mark.parametrize("name", REQUIRED)
def test_an_empty_table_or_no_table_is_refused(inputs: Inputs, name: str) -> None:
    function, arguments = inputs[name]
    with pytest.raises(WorkbenchError, match="at least one row"):
        function(**arguments | {"frame": arguments["frame"].iloc[:0]})
    with pytest.raises(WorkbenchError, match="DataFrame"):
        function(**arguments | {"frame": [1, 2]})


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf])
def test_impossible_latencies_are_refused(networks: pd.DataFrame, value: float) -> None:
    networks.loc[3, "predicted_ms"] = value
    for function in (figures.ranking, figures.pareto, figures.predicted_against_measured):
        with pytest.raises(WorkbenchError, match=r"'predicted_ms'.*row 3"):
            function(networks)


def test_the_template_is_registered_only_on_demand() -> None:
    import plotly.io as pio

    default = pio.templates.default
    assert register_template() == "workbench"
    assert pio.templates["workbench"].layout.margin.t == TOP_MARGIN
    assert pio.templates.default == default
