"""What each figure must show and must refuse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from workbench.config import WorkbenchError
from workbench.insight import figures
from workbench.insight.plots.costs import MOST_ROWS

Inputs = dict[str, tuple[Callable[..., go.Figure], dict[str, object]]]


def _trace(figure: go.Figure, name: str) -> go.Scatter:
    return next(trace for trace in figure.data if trace.name == name)


def test_predicted_against_measured_shows_every_network_and_tells_misses_apart(
    networks: pd.DataFrame,
) -> None:
    figure = figures.predicted_against_measured(networks)
    missed = _trace(figure, "check, outside its interval")
    assert list(missed.x) == [networks.loc[39, "measured_ms"]]
    points = [trace for trace in figure.data if trace.mode == "markers"]
    assert sum(len(trace.x) for trace in points) == len(networks)
    assert "29 of 30 checks" in figure.layout.title.subtitle.text
    low = np.asarray(missed.y) - np.asarray(missed.error_y.arrayminus)
    assert low == pytest.approx(networks.loc[[39], "low_ms"])


def test_an_interval_must_hold_its_prediction(networks: pd.DataFrame) -> None:
    networks.loc[5, "low_ms"] = networks.loc[5, "high_ms"]
    with pytest.raises(WorkbenchError, match="row"):
        figures.predicted_against_measured(networks)
    with pytest.raises(WorkbenchError, match="low_ms <= predicted_ms"):
        figures.ranking(networks)


def test_an_unknown_role_is_refused(networks: pd.DataFrame) -> None:
    networks.loc[5, "role"] = "test"
    with pytest.raises(WorkbenchError, match="'test'"):
        figures.predicted_against_measured(networks)


def test_ranking_is_thin_rises_and_keeps_both_ends() -> None:
    predicted = np.random.default_rng(2).gamma(4, 2, 15_625) + 0.5
    frame = pd.DataFrame(
        {
            "arch": [str(i) for i in range(15_625)],
            "predicted_ms": predicted,
            "low_ms": 0.9 * predicted,
            "high_ms": 1.1 * predicted,
        }
    )
    figure = figures.ranking(frame)
    line = _trace(figure, "predicted")
    assert 200 < len(line.x) < 400
    assert (np.diff(line.y) >= 0).all()
    assert line.y[0] == pytest.approx(predicted.min())
    assert line.y[-1] == pytest.approx(predicted.max())
    assert len(figure.to_json()) < 60_000


def test_ranking_puts_measured_networks_at_their_rank(networks: pd.DataFrame) -> None:
    networks["measured_ms"] = networks["measured_ms"].where(networks.index == 7)
    figure = figures.ranking(networks.sample(frac=1, random_state=0))
    measured = _trace(figure, "measured, inside its interval")
    assert list(measured.x) == [8]
    assert list(measured.y) == [networks.loc[7, "measured_ms"]]


def test_pareto_front_is_what_nothing_dominates() -> None:
    generator = np.random.default_rng(3)
    cost, gain = generator.integers(0, 30, 300).astype(float), generator.integers(0, 30, 300).astype(float)
    front = figures.pareto_front(cost, gain)
    better = (cost[None] <= cost[front, None]) & (gain[None] >= gain[front, None])
    strictly = better & ((cost[None] < cost[front, None]) | (gain[None] > gain[front, None]))
    assert not strictly.any()
    dominated = [any((cost[front] <= cost[i]) & (gain[front] >= gain[i])) for i in range(len(cost)) if i not in front]
    assert all(dominated)


def test_pareto_counts_every_network_and_stays_small() -> None:
    generator = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "arch": [f"n{i}" for i in range(15_625)],
            "predicted_ms": generator.gamma(4, 2, 15_625) + 1,
            "parameters": 1e6,
        }
    )
    frame["parameters"] *= generator.integers(1, 30, 15_625)
    figure = figures.pareto(frame)
    counts = [int(text.split(" ")[0].replace(",", "")) for row in figure.data[0].text for text in row if text]
    assert sum(counts) == 15_625
    assert len(figure.to_json()) < 400_000


def test_pareto_of_equal_networks_does_not_fail(networks: pd.DataFrame) -> None:
    networks[["predicted_ms", "accuracy_percent"]] = [3.0, 50.0]
    assert len(figures.pareto(networks, "accuracy_percent").data[1].x) == 1


def test_operator_costs_add_up_end_to_end(operators: pd.DataFrame) -> None:
    figure = figures.operator_costs(operators)
    bars = {row: (base, x) for t in figure.data[:-1] for row, base, x in zip(t.y, t.base, t.x, strict=True)}
    position = 0.0
    for row in sorted(bars):
        assert bars[row][0] == pytest.approx(position)
        position += bars[row][1]
    assert figure.data[-1].x[0] == pytest.approx(position) == pytest.approx(3.75)


def test_many_operators_and_kinds_are_folded_without_losing_time() -> None:
    count = 120
    frame = pd.DataFrame(
        {
            "name": [f"op {i}" for i in range(count)],
            "predicted_ms": np.linspace(0.1, 2, count),
            "kind": [f"k{i % 12}" for i in range(count)],
        }
    )
    figure = figures.operator_costs(frame)
    rows = sum(len(trace.x) for trace in figure.data[:-1])
    assert rows == MOST_ROWS
    assert sum(sum(trace.x) for trace in figure.data[:-1]) == pytest.approx(frame["predicted_ms"].sum())
    assert len(figure.data) <= 8


def test_costs_that_sum_to_nothing_are_refused(operators: pd.DataFrame) -> None:
    with pytest.raises(WorkbenchError, match="more than 0 ms"):
        figures.operator_costs(operators.assign(predicted_ms=0.0))
    with pytest.raises(WorkbenchError, match="'measured_ms'"):
        figures.operator_costs(operators, measured_ms=-1.0)


def test_signature_finds_the_device_that_behaves_alike(signatures: pd.DataFrame) -> None:
    figure = figures.signature(signatures)
    twin, mine = _trace(figure, "most alike: twin"), _trace(figure, "this device: mine")
    np.testing.assert_allclose(twin.y, mine.y)
    assert np.mean(mine.y) == pytest.approx(1)
    alone = figures.signature(signatures[signatures["device"] == "mine"])
    assert len(alone.data) == 1


def test_signature_refuses_gaps_doubles_and_two_targets(signatures: pd.DataFrame) -> None:
    with pytest.raises(WorkbenchError, match="gaps"):
        figures.signature(signatures.iloc[1:])
    with pytest.raises(WorkbenchError, match="average them"):
        figures.signature(pd.concat([signatures, signatures.iloc[:1]]))
    with pytest.raises(WorkbenchError, match="one target device, got 3"):
        figures.signature(signatures.assign(role="target"))


def test_bandwidth_marks_only_caches_within_the_sweep(inputs: Inputs) -> None:
    function, arguments = inputs["bandwidth_sweep"]
    assert [note.text for note in function(**arguments).layout.annotations] == ["L1 48 KiB"]
    with pytest.raises(WorkbenchError, match="'caches'"):
        function(**arguments | {"caches": {"l1": 0}})


def test_roofline_needs_a_roof() -> None:
    with pytest.raises(WorkbenchError, match="measure them first"):
        figures.roofline({}, {"DRAM": 18})
    with pytest.raises(WorkbenchError, match="'compute_gflops'"):
        figures.roofline({"fp32": np.nan}, {"DRAM": 18})


def test_floors_average_seeds_and_put_the_focus_first(inputs: Inputs) -> None:
    function, arguments = inputs["floors"]
    figure = function(**arguments)
    assert list(figure.data[0].customdata) == ["hodm", "linear"]
    assert list(figure.data[1].x) == pytest.approx([0.2, 0.32])
    assert list(figure.data[2].x) == pytest.approx([5, 5])
    assert "38 % less" in figure.layout.title.subtitle.text
    with pytest.raises(WorkbenchError, match="'ours'"):
        function(**arguments, focus="ours")


def test_learning_curve_shows_the_spread_of_the_focus_only(inputs: Inputs) -> None:
    function, arguments = inputs["learning_curve"]
    figure = function(**arguments)
    names = [trace.name for trace in figure.data if trace.showlegend]
    assert names == ["linear", "<b>hodm</b>"]  # the focus lies on top
    (curve,) = [trace for trace in figure.data if trace.name == "<b>hodm</b>" and trace.yaxis == "y2"]
    assert list(curve.x) == [3, 10, 20]
    assert list(curve.y) == pytest.approx([0.48, 0.3, 0.2])
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert list(bands[1].y) == pytest.approx([0.46, 0.3, 0.2, 0.2, 0.3, 0.5])
    assert "With 20 measurements hodm errs by 0.20" in figure.layout.title.subtitle.text
    assert "linear, by 0.25" in figure.layout.title.subtitle.text
    with pytest.raises(WorkbenchError, match="'ours'"):
        function(**arguments, focus="ours")
    assert figure.layout.yaxis2.type != "log"
    assert function(arguments["frame"].replace({"rae": {0.9: 3.0}})).layout.yaxis2.type == "log"
    alone = function(arguments["frame"].query("method == 'hodm'"))
    assert "floor" not in alone.layout.title.subtitle.text


def test_error_by_quantile_tells_bias_and_lost_coverage(networks: pd.DataFrame) -> None:
    frame = networks.sort_values("measured_ms", ignore_index=True)
    frame["predicted_ms"] = frame["measured_ms"].where(frame.index >= 8, 1.5 * frame["measured_ms"])
    frame = frame.assign(low_ms=0.99 * frame["predicted_ms"], high_ms=1.01 * frame["predicted_ms"])
    figure = figures.error_by_quantile(frame, parts=5)
    medians, coverage = _trace(figure, "median"), figure.data[-1]
    assert list(medians.y) == pytest.approx([50, 0, 0, 0, 0])
    assert list(coverage.y) == pytest.approx([0, 100, 100, 100, 100])
    assert "+50.0 %" in figure.layout.title.subtitle.text
    assert "hold 80 % of all" in figure.layout.title.subtitle.text
    assert len(_trace(figures.error_by_quantile(frame.iloc[:7]), "median").x) == 1


def test_training_curve_draws_every_loss_and_turns_logarithmic() -> None:
    frame = pd.DataFrame({"step": [1, 2], "loss": [1.0, 0.01], "validation_loss": [1.0, 0.5]})
    figure = figures.training_curve(frame)
    assert [trace.name for trace in figure.data] == ["Loss", "Validation loss"]
    assert figure.layout.yaxis.type == "log"
    assert figures.training_curve(frame[["step", "validation_loss"]]).layout.yaxis.type != "log"


def test_a_difference_is_the_first_minus_the_second_and_marks_what_one_has_alone(inputs: Inputs) -> None:
    function, arguments = inputs["attention_difference"]
    figure, maps = function(**arguments), np.asarray(arguments["maps"])
    np.testing.assert_array_equal(figure.data[0].z, maps[0] - maps[1])
    assert -figure.data[0].zmin == figure.data[0].zmax == np.abs(maps[0] - maps[1]).max()
    assert figure.layout.yaxis.ticktext[:3] == ("stem", "cell &lt;b&gt; [A]", "pool [B]")
    assert figure.layout.xaxis.ticktext == ("cores", "<i>L3 cache (unknown)</i>", "probe 1 [A]")
    assert "only in one device" in figure.data[0].customdata[1][0][1]
    assert "looks more" in figure.layout.title.subtitle.text
    same = function(**arguments | {"maps": np.stack([maps[0], maps[0]])})
    assert "to the same extent" in same.layout.title.subtitle.text
    turned = function(**arguments | {"maps": maps[::-1]})
    np.testing.assert_array_equal(turned.data[0].z, -np.asarray(figure.data[0].z))


def test_a_difference_of_other_shapes_or_places_is_refused(inputs: Inputs) -> None:
    function, arguments = inputs["attention_difference"]
    with pytest.raises(WorkbenchError, match=r"shape \(2, 4, 3\), got \(2, 4, 2\)"):
        function(**arguments | {"maps": np.asarray(arguments["maps"])[..., :2]})
    with pytest.raises(WorkbenchError, match="'maps'"):
        function(**arguments | {"maps": np.asarray(arguments["maps"]) * np.nan})
    with pytest.raises(WorkbenchError, match="'left'"):
        function(**arguments | {"operators": arguments["operators"].assign(where="left")})


@pytest.mark.parametrize(
    ("faithfulness", "words"),
    [
        (0.7, "mostly agrees"),
        (0.3, "only in part"),
        (-0.1, "does not show"),
        (None, "to tell"),
        (float("nan"), "to tell"),
    ],
)
def test_the_scatter_says_how_far_to_trust(inputs: Inputs, faithfulness: float | None, words: str) -> None:
    function, arguments = inputs["attention_faithfulness"]
    figure = function(**arguments | {"faithfulness": faithfulness})
    assert words in figure.layout.title.subtitle.text
    assert [list(trace.x) for trace in figure.data[1:]] == [[1], [2, 3]]
    assert [list(trace.y) for trace in figure.data[1:]] == [[2], [3, 1]]
    assert list(figure.layout.xaxis.range) == [3.7, 0.3], "the first rank is at the right"
    assert {note.text for note in figure.layout.annotations} == {"cores", "probe 1", "probe &lt;2&gt;"}


def test_a_faithfulness_that_is_no_correlation_is_refused(inputs: Inputs) -> None:
    function, arguments = inputs["attention_faithfulness"]
    with pytest.raises(WorkbenchError, match="attention-faithfulness figure expects a faithfulness between -1 and 1"):
        function(**arguments | {"faithfulness": 1.5})


def test_the_waterfall_tells_shapes_and_what_binds(operators: pd.DataFrame) -> None:
    told = operators.assign(shape=["3x3 conv", "1x1 <conv>", "pool", np.nan], bound=["compute"] * 3 + [np.nan])
    facts = [row[3] for trace in figures.operator_costs(told).data[:-1] for row in trace.customdata]
    assert "<br>1x1 &lt;conv&gt;<br>bound by compute" in facts
    assert "" in facts, "the correction has neither"


def test_validation_by_device_names_the_worst_and_leaves_out_the_unknown():
    frame = pd.DataFrame({"step": [1, 9], "good": [0.2, 0.01], "bad": [0.3, 0.25], "unknown": [np.nan, np.nan]})
    frame = frame.assign(**{f"other {place}": 0.1 for place in range(3)})
    figure = figures.validation_by_device(frame)
    assert "After step 9 bad is 25 % off" in figure.layout.meta["message"]
    assert len(figure.data) == 5
    assert sum(bool(trace.showlegend) for trace in figure.data) == 4  # three by name, and the others
    with pytest.raises(WorkbenchError, match="at least one source device"):
        figures.validation_by_device(frame[["step", "unknown"]])
