"""The quick start on the bundled measurements: split, explanation, checkpoint, report; one tiny training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.config import WorkbenchError
from workbench.data.sources import BUNDLED, load_table
from workbench.describe.design import build_design
from workbench.insight.explain import explain, operator_costs
from workbench.insight.quickstart import QuickStart
from workbench.predictor.method import Probed
from workbench.training import checkpoint
from workbench.training.bundled import HELD_OUT_NETWORKS, HELD_OUT_PLATFORM, bundled_sources, check_networks
from workbench.training.fit import FitConfig, pretrain
from workbench.training.transfer import choose_probes, transfer


@pytest.fixture(scope="module")
def result() -> QuickStart:
    """A quick start whose target is the held-out platform as it was recorded."""
    sources, held_out = bundled_sources()
    generator = np.random.default_rng(0)
    design = build_design(sources.networks, sources.rows, sources.latency_ms)
    table = load_table("nasbench201", [HELD_OUT_PLATFORM], [BUNDLED])
    recorded = sources.networks.rows(table.archs)
    probes = choose_probes(design, 10, generator, None, recorded)
    checks = check_networks(sources.networks, held_out, probes, 60, seed=0)
    target = table.column(HELD_OUT_PLATFORM)
    probe_ms, check_ms = (target[[sources.networks.archs[row] for row in rows]].to_numpy() for rows in (probes, checks))
    pretrained = pretrain(sources, design, probes, generator, FitConfig(steps=80))
    card = table.cards[HELD_OUT_PLATFORM]
    transferred = transfer(pretrained, design, Probed(probes, probe_ms), card)
    return QuickStart(card, "Quiet.", sources, design, pretrained, transferred, probe_ms, checks, check_ms)


def test_training_sees_neither_the_held_out_platform_nor_the_held_out_networks():
    sources, held_out = bundled_sources()
    assert HELD_OUT_PLATFORM not in sources.devices
    assert len(sources.devices) >= 8
    assert len(held_out) == HELD_OUT_NETWORKS
    assert not set(held_out) & set(sources.rows)
    assert len(sources.rows) + len(held_out) >= 400
    assert len(sources.networks) == 15_625


def test_checks_are_random_held_out_networks_and_never_probes():
    sources, held_out = bundled_sources()
    probes = held_out[:5]
    checks = check_networks(sources.networks, held_out, probes, 30, seed=1)
    assert len(set(checks)) == 30
    assert set(checks) <= set(held_out) - set(probes)
    assert list(checks) == list(check_networks(sources.networks, held_out, probes, 30, seed=1))
    with pytest.raises(WorkbenchError, match="correct the number"):
        check_networks(sources.networks, held_out, probes, 96, seed=1)


def test_recorded_platform_is_predicted_well_even_by_a_short_training(result):
    metrics = result.metrics
    assert metrics["spearman"] > 0.9
    assert metrics["mdape"] < 0.15
    assert set(result.methods["method"]) == {"hodm", "flops", "nearest", "linear"}


def test_operator_costs_are_positive_and_reproduce_the_predictions(result):
    costs = operator_costs(result.pretrained, result.sources.networks, result.transferred, result.probe_ms, result.card)
    assert (costs >= 0).all()
    summed = result.sources.networks.counts @ costs
    assert np.median(np.abs(summed / result.transferred.estimate.ms - 1)) < 0.05


def test_an_explanation_adds_up_and_marks_what_is_dead(result):
    arch = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    why = explain(arch, result.pretrained, result.sources.networks, result.transferred, result.probe_ms, result.card)
    total = why.operators["predicted_ms"].sum() + why.correction_ms
    assert total == pytest.approx(result.transferred.estimate.ms[result.sources.networks.row[arch]])
    assert why.attention.shape[2:] == (len(why.operators), len(why.hardware))
    known = why.hardware["known"].to_numpy()
    assert (why.attention[..., ~known] == 0).all()
    np.testing.assert_allclose(why.attention.sum(-1), 1, atol=1e-5)
    assert -1 <= why.faithfulness <= 1
    dead = why.operators.set_index("name").filter(like="(unused)", axis=0).index
    assert any("0>1 nor_conv_3x3" in name for name in dead)
    assert not any("0>3 skip_connect" in name for name in dead)


def test_a_saved_model_predicts_the_same(result, tmp_path):
    networks = result.sources.networks
    checkpoint.save(tmp_path, result.pretrained, networks)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}
    loaded = checkpoint.load(tmp_path, networks)
    expected = result.pretrained.predict(result.probe_ms[None], result.card)
    np.testing.assert_allclose(loaded.predict(result.probe_ms[None], result.card), expected, rtol=1e-5)
    assert loaded.losses == result.pretrained.losses


def test_a_damaged_or_foreign_model_is_refused(result, tmp_path):
    networks = result.sources.networks
    with pytest.raises(WorkbenchError, match="save the model again"):
        checkpoint.load(tmp_path / "nothing", networks)
    checkpoint.save(tmp_path, result.pretrained, networks)
    with pytest.raises(WorkbenchError, match="encode the same ones"):
        checkpoint.load(tmp_path, replace(networks, operators=networks.operators[1:], live=networks.live[1:]))
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(WorkbenchError, match="save the model again"):
        checkpoint.load(tmp_path, networks)


def test_the_report_says_what_was_measured(result, tmp_path):
    page = result.write_report(tmp_path / "report.html", {"MLflow run": "abc"}).read_text()
    assert f"{result.metrics['spearman']:.3f}" in page
    for title in ("How right it is", "This machine", "Its behaviour signature", "All networks, ranked", "Why"):
        assert title in page
    assert "None of them ran on this processor" in page or "Note: " in page


def test_predictions_keep_measured_and_predicted_apart(result):
    frame = result.predictions
    assert len(frame) == 15_625
    assert (frame["role"] == "probe").sum() == len(result.probe_ms)
    assert (frame["role"] == "check").sum() == len(result.checks)
    assert frame.loc[frame["role"] == "", "measured_ms"].isna().all()
    assert (frame["low_ms"] <= frame["predicted_ms"]).all()
    assert torch.is_grad_enabled()
