"""Predictors on disk: the same predictions from plain numbers and words, and a clear refusal of anything else."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from tests.toy import toy_networks, toy_predictor
from workbench.config import WorkbenchError
from workbench.training import checkpoint


def test_a_kept_predictor_predicts_exactly_the_same(tmp_path):
    predictor = toy_predictor()
    checkpoint.save_predictor(tmp_path, predictor)
    loaded = checkpoint.load_predictor(tmp_path)
    asked = predictor.ask(toy_networks(20, seed=7).archs, ["phone", "accelerator"])
    pd.testing.assert_frame_equal(loaded(asked), predictor(asked), rtol=1e-9)
    assert loaded.devices["phone"].card == predictor.devices["phone"].card
    assert loaded.devices["accelerator"].card is None
    assert loaded.pretrained.losses == predictor.pretrained.losses


def test_it_is_numbers_and_words_that_can_be_read_without_this_package(tmp_path):
    checkpoint.save_predictor(tmp_path, toy_predictor())
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "model.json"}
    tensors = load_file(tmp_path / "model.safetensors")
    assert {name.split(".")[0] for name in tensors} == {"model", "operators", "descriptors", "hears", "design"}
    words = json.loads((tmp_path / "model.json").read_text())
    assert words["space"] == "nasbench201"
    assert len(words["probes"]) == len(words["devices"]["phone"]["probe_ms"]) == 8
    assert words["devices"]["phone"]["factor"] == 1.5


def test_saving_twice_gives_the_same_files(tmp_path):
    for name in ("one", "two"):
        checkpoint.save_predictor(tmp_path / name, toy_predictor())
    for name in ("model.safetensors", "model.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "workbench-hodm-1"}, "expects format workbench-hodm-adapted-4, got 'workbench-hodm-1'"),
        ({"capability_entries": ["cores"]}, "trained with other capability entries"),
    ],
)
def test_another_kind_of_model_is_refused(tmp_path, change, message):
    checkpoint.save_predictor(tmp_path, toy_predictor())
    words = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(words | change))
    with pytest.raises(WorkbenchError, match=message):
        checkpoint.load_predictor(tmp_path)


def test_a_missing_or_damaged_model_is_one_sentence(tmp_path):
    with pytest.raises(WorkbenchError, match="save the model again"):
        checkpoint.load_predictor(tmp_path / "nothing")
    checkpoint.save_predictor(tmp_path, toy_predictor())
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(WorkbenchError, match="save the model again"):
        checkpoint.load_predictor(tmp_path)


def test_figures_of_a_kept_device_survive_as_they_were(tmp_path):
    checkpoint.save_predictor(tmp_path, toy_predictor())
    for name, device in checkpoint.load_predictor(tmp_path).devices.items():
        known = toy_predictor().devices[name]
        np.testing.assert_array_equal(device.probe_ms, known.probe_ms)
        np.testing.assert_array_equal(device.predicted_ms, known.predicted_ms)
