"""A run that goes to a folder looks to its writer like one in MLflow, and everything comes back from it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest

from tests.toy import toy_predictor
from workbench import tracking
from workbench.config import WorkbenchError
from workbench.tracking import ARTIFACTS, read_logged
from workbench.training import checkpoint


@pytest.fixture(autouse=True)
def redirected(tmp_path, monkeypatch):
    monkeypatch.setenv(tracking.RUN_FOLDER, str(tmp_path / "run"))
    return tmp_path / "run"


def test_everything_comes_back(redirected, tmp_path):
    import plotly.graph_objects as go

    (tmp_path / "note.txt").write_text("n")
    with tracking.run("ignored", "ignored", {"probes": 16, "adapt": {"rounds": 2}}, {"device": "this"}) as run:
        run.log_metrics({"spearman": np.float32(0.5), "floor": {"flops": 1}})
        run.log_history(pd.DataFrame({"step": [0, 1, 2], "loss": [3.0, 2.0, 1.0], "val": [9, np.nan, 7]}))
        run.log_table(pd.DataFrame({"a": [1]}), "tables/t")
        run.log_figure(go.Figure(), "figures/f")
        run.log_file(tmp_path / "note.txt")
        assert run.url.startswith("file://")
    logged = read_logged(redirected)
    assert logged.params == {"probes": "16", "adapt.rounds": "2"}
    assert logged.tags == {"device": "this"}
    assert logged.latest == {"spearman": 0.5, "floor.flops": 1.0, "loss": 1.0, "val": 7.0}
    kept = redirected / ARTIFACTS
    files = {path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()}
    assert files == {"tables/t.csv", "figures/f.json", "note.txt"}


def test_several_runs_of_a_notebook_share_the_folder(redirected):
    with tracking.run("a", "first", {"x": 1}) as run:
        run.log_metrics({"first": 1.0, "both": 1.0})
    with tracking.run("b", "second", {"y": 2}) as run:
        run.log_metrics({"both": 2.0, "second": float("nan")})
    logged = read_logged(redirected)
    assert logged.params == {"x": "1", "y": "2"}
    assert logged.latest["both"] == 2.0
    assert np.isnan(logged.latest["second"])


def test_what_was_logged_before_an_error_is_there(redirected):
    with suppress(ZeroDivisionError), tracking.run("a", "r") as run:
        run.log_metrics({"kept": 2.0})
        run.log_metrics({"never": 1 / 0})
    assert read_logged(redirected).latest == {"kept": 2.0}


def test_a_model_is_kept_as_files_that_load(redirected, tmp_path):
    predictor = toy_predictor()
    saved = checkpoint.save_predictor(tmp_path / "saved", predictor)
    with tracking.run("a", "r") as run:
        place = run.log_model(saved, checkpoint.load_predictor, predictor.example())
        with pytest.raises(WorkbenchError, match="safetensors"):
            run.log_model(tmp_path / "run", checkpoint.load_predictor, predictor.example())
    example = predictor.example()
    pd.testing.assert_frame_equal(checkpoint.load_predictor(place)(example), predictor(example), rtol=1e-6)


def test_mlflow_is_not_imported():
    program = (
        "import sys\nfrom workbench import tracking\n"
        "with tracking.run('e', 'r') as run:\n    run.log_metrics({'x': 1})\n"
        "print('mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_damaged_folder_is_one_sentence(redirected):
    redirected.mkdir()
    (redirected / "run.json").write_text('{"params": ')
    with pytest.raises(WorkbenchError, match=r"run.json expects what a run logged, got .*; run it again"):
        read_logged(redirected)
