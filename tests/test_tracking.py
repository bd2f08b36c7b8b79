"""`workbench.tracking` against a real MLflow store on SQLite."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from importlib.metadata import version
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.toy import toy_networks, toy_predictor
from workbench import __version__, tracking
from workbench.config import WorkbenchError
from workbench.servers import serve_ui
from workbench.training import checkpoint

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def own_store(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("WORKBENCH_HOME", raising=False)


def stored(home: Path, run_id: str):
    """The run as another process would read it, and its client."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking.tracking_uri(home))
    return client.get_run(run_id), client


def test_a_run_keeps_everything_that_was_logged(mlflow_home, tmp_path):
    import plotly.graph_objects as go

    config = tmp_path / "config.json"
    config.write_text("{}")
    params = {"probes": 16, "adapt": {"rounds": 2}}
    with tracking.run("quick start", "hodm", params, tags={"device": "this"}, home=mlflow_home) as tracked:
        tracked.log_metrics({"spearman": np.float32(0.5), "floor": {"flops": 1}})
        tracked.log_history(pd.DataFrame({"step": [0, 1, 2], "loss": [3.0, 2.0, 1.0], "val": [9, np.nan, 7]}))
        tracked.log_table(pd.DataFrame({"arch": ["a"], "ms": [1.5]}), "tables/predictions")
        tracked.log_figure(go.Figure(go.Scatter(y=[1, 2])), "figures/map", html=True)
        tracked.log_file(config)
    found, client = stored(mlflow_home, tracked.run_id)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "hodm"
    assert found.data.params == {"probes": "16", "adapt.rounds": "2"}
    assert found.data.metrics == {"spearman": 0.5, "floor.flops": 1.0, "loss": 1.0, "val": 7.0}
    assert found.data.tags["device"] == "this"
    assert [m.step for m in client.get_metric_history(tracked.run_id, "val")] == [0, 2]
    artifacts = mlflow_home / "mlruns" / "artifacts" / "quick_start" / tracked.run_id / "artifacts"
    files = {path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*") if path.is_file()}
    assert files == {"tables/predictions.csv", "figures/map.json", "figures/map.html", "config.json"}
    assert json.loads((artifacts / "figures/map.json").read_text())["data"][0]["y"] == [1, 2]
    assert "cdn.plot.ly" not in (artifacts / "figures/map.html").read_text().split("<script")[1]
    assert f"/#/experiments/{tracked.experiment_id}/runs/{tracked.run_id}?" in tracked.url


def test_a_figure_that_nothing_can_draw_is_kept_as_a_page(mlflow_home, tmp_path, monkeypatch):
    import plotly.graph_objects as go

    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    with tracking.run("e", "r", home=mlflow_home) as tracked:
        tracked.log_figure(go.Figure(go.Scatter(y=[1, 2])), "map", image=True)
    artifacts = mlflow_home / "mlruns" / "artifacts" / "e" / tracked.run_id / "artifacts"
    assert {path.name for path in artifacts.iterdir()} == {"map.json", "map.html"}


@pytest.mark.parametrize(("error", "status"), [(ValueError("bad"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_a_run_that_raises_says_how_it_ended(mlflow_home, error, status):
    with pytest.raises(type(error)), tracking.run("e", "r", home=mlflow_home) as tracked:
        raise error
    found, _ = stored(mlflow_home, tracked.run_id)
    assert found.info.status == status
    assert found.data.tags["error"] == f"{type(error).__name__}: {error}"


def test_a_long_parameter_is_kept_whole_as_a_file(mlflow_home):
    value = list(range(3000))
    with tracking.run("e", "r", {"archs": value}, home=mlflow_home) as tracked:
        pass
    found, _ = stored(mlflow_home, tracked.run_id)
    short = found.data.params["archs"]
    assert len(short) == tracking.PARAM_LENGTH
    assert short.endswith(f"... [{len(str(value))} characters, whole in params/archs.txt]")
    file = mlflow_home / "mlruns/artifacts/e" / tracked.run_id / "artifacts/params/archs.txt"
    assert file.read_text() == str(value)


def test_many_metrics_and_parameters_go_in_batches(mlflow_home):
    """More than MLflow takes at once of either; one by one they would need over a minute."""
    with tracking.run("e", "r", {f"p{i}": i for i in range(250)}, home=mlflow_home) as tracked:
        tracked.log_history(pd.DataFrame({"loss": np.arange(2500.0)}))
    found, _ = stored(mlflow_home, tracked.run_id)
    assert len(found.data.params) == 250
    assert found.data.metrics["loss"] == 2499.0


def test_refuses_what_is_not_a_number_a_file_or_a_model(mlflow_home, tmp_path):
    with tracking.run("e", "r", home=mlflow_home) as tracked:
        with pytest.raises(TypeError, match="Metric 'note' expects a number, got 'x'"):
            tracked.log_metrics({"note": "x"})
        with pytest.raises(WorkbenchError, match="There is no file"):
            tracked.log_file(tmp_path / "none")
        with pytest.raises(WorkbenchError, match="safetensors"):
            tracked.log_model(tmp_path, checkpoint.load_predictor, pd.DataFrame())


LOAD = """
import sys
import mlflow, pandas as pd
uri, asked, *addresses = sys.argv[1:]
mlflow.set_tracking_uri(uri)
frame = pd.read_json(asked)
for address in addresses:
    model = mlflow.pyfunc.load_model(address)
    print(model.predict(frame).to_json())
print(model.metadata.signature.inputs.input_names(), model.metadata.signature.outputs.input_names())
print(model.input_example.to_json())
try:
    model.predict(frame.assign(device="fone"))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def logged(mlflow_home, tmp_path):
    """A toy predictor that was logged: it, its run, its address."""
    predictor = toy_predictor()
    folder = checkpoint.save_predictor(tmp_path / "saved", predictor)
    with tracking.run("e", "r", home=mlflow_home) as tracked:
        address = tracked.log_model(folder, checkpoint.load_predictor, predictor.example())
    return predictor, tracked, address


def test_a_logged_model_predicts_the_same_in_a_fresh_process(logged, mlflow_home, tmp_path):
    """By either of its addresses, without a pickle, and with a network that it was not trained on."""
    predictor, tracked, address = logged
    others = [arch for arch in toy_networks(300, seed=9).archs if arch not in toy_networks().row][:3]
    asked = predictor.ask(others, ["accelerator", "phone"])
    asked.to_json(tmp_path / "asked.json")
    expected = predictor(asked)
    command = [sys.executable, "-c", LOAD, tracking.tracking_uri(mlflow_home), str(tmp_path / "asked.json")]
    env = dict(os.environ, MLFLOW_ALLOW_PICKLE_DESERIALIZATION="false", OMP_NUM_THREADS="1")
    both = [address, f"runs:/{tracked.run_id}/model"]
    done = subprocess.run([*command, *both], capture_output=True, text=True, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    *predictions, names, example, refusal = done.stdout.strip().splitlines()
    assert len(predictions) == 2
    for predicted in predictions:
        pd.testing.assert_frame_equal(pd.read_json(StringIO(predicted)), expected, rtol=1e-6)
    assert names == "['space', 'arch', 'device'] ['latency_ms', 'low_ms', 'high_ms']"
    assert pd.read_json(StringIO(example)).equals(predictor.example())
    assert refusal == (
        "WorkbenchError Unknown device of this model 'fone'; did you mean 'phone'? Choose from: accelerator, phone"
    )


def test_a_logged_model_belongs_to_its_run_and_holds_no_pickle(logged, mlflow_home):
    _, tracked, address = logged
    found, client = stored(mlflow_home, tracked.run_id)
    model = client.get_logged_model(address.removeprefix("models:/"))
    assert (model.name, model.status, model.source_run_id) == ("model", "READY", tracked.run_id)
    assert [output.model_id for output in found.outputs.model_outputs] == [model.model_id]
    folder = Path(model.artifact_location.removeprefix("file://"))
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files >= {"MLmodel", "load_model.py", "artifacts/saved/model.safetensors", "artifacts/saved/model.json"}
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".pt", ".pth"))]
    assert (folder / "requirements.txt").read_text().split() == [
        "mlflow==" + version("mlflow"),
        f"workbench-latency=={__version__}",
    ]


def test_a_deleted_experiment_is_one_sentence(mlflow_home):
    with tracking.run("e", "r", home=mlflow_home) as tracked:
        pass
    _, client = stored(mlflow_home, tracked.run_id)
    client.delete_experiment(tracked.experiment_id)
    with pytest.raises(WorkbenchError, match="'e' was deleted"), tracking.run("e", "r", home=mlflow_home):
        pass


def test_four_processes_meet_a_fresh_database_at_once(tmp_path):
    program = (
        "import sys, pathlib; from workbench import tracking\n"
        "with tracking.run('shared', sys.argv[2], home=pathlib.Path(sys.argv[1])) as tracked:\n"
        "    tracked.log_metrics({'x': 1})"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(n)], stderr=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    errors = [process.communicate(timeout=240)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 4, errors
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking.tracking_uri(tmp_path))
    (experiment,) = [found for found in client.search_experiments() if found.name == "shared"]
    assert sorted(found.info.run_name for found in client.search_runs([experiment.experiment_id])) == list("0123")


def test_where_runs_are_kept(tmp_path, monkeypatch):
    assert tracking.tracking_uri(tmp_path) == f"sqlite:///{tmp_path.resolve()}/mlruns/mlflow.db"
    assert tracking.tracking_uri() == f"sqlite:///{ROOT}/mlruns/mlflow.db"
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    assert tracking.tracking_uri() == tracking.tracking_uri(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert tracking.tracking_uri() == f"sqlite:///{tmp_path.resolve()}/other.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.org")
    assert tracking.tracking_uri() == "https://example.org"
    for folder in ("./mlruns", "file:./mlruns", "file:///tmp/mlruns"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", folder)
        with pytest.raises(WorkbenchError, match="plain folder"):
            tracking.tracking_uri()


def test_a_home_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "mlruns").touch()
    with (
        pytest.raises(WorkbenchError, match="Cannot make the MLflow database"),
        tracking.run("e", "r", home=tmp_path),
    ):
        pass


def test_the_ui_command_is_on_loopback_and_needs_a_free_port(mlflow_home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(WorkbenchError, match=f"Cannot listen on port {port} .*--port"):
            serve_ui(port, mlflow_home)
    command = serve_ui(port, mlflow_home)
    assert command.url == f"http://127.0.0.1:{port}"
    assert command.argv[command.argv.index("--host") + 1] == "127.0.0.1"
    assert command.argv[command.argv.index("--workers") + 1] == "1"
    assert command.env["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert set(os.environ) <= set(command.env)
