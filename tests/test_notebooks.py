"""`workbench.notebooks` with real papermill and real kernels, on notebooks built from strings."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
import pytest

from workbench.config import WorkbenchError
from workbench.notebooks import execute, with_a_kernel

PARAMETERS = 'count = 2\nscale: float = 0.5\nname = "a"\nquick = True\nchoice = None\nnames = ["x"]\n'


def write(path: Path, *cells: str, parameters: str = PARAMETERS, kernelspec: bool = False) -> Path:
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[first, *map(nbformat.v4.new_code_cell, cells)])
    if kernelspec:
        notebook.metadata["kernelspec"] = {"name": "another", "display_name": "Another", "language": "python"}
    nbformat.write(notebook, path)
    return path


def texts(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


def test_runs_with_parameters_in_this_interpreter_and_its_own_folder(tmp_path):
    """An unregistered kernel name does not matter; braces in the path do not either."""
    notebook = write(
        tmp_path / "a.ipynb",
        "import os, sys\nprint(count, scale, name, quick, choice, names)\nprint(sys.executable, os.getcwd())",
        kernelspec=True,
    )
    before = notebook.read_bytes()
    out = tmp_path / "new" / "{a} out.ipynb"
    values = {
        "count": 3,
        "scale": 1,
        "name": Path("b") / "c",
        "quick": False,
        "choice": 7,
        "names": ("p", "q"),
    }
    assert execute(notebook, out, values, progress=False) == out.resolve()
    assert f"3 1 {Path('b') / 'c'} False 7 ['p', 'q']" in texts(out).replace("(", "[").replace(")", "]")
    assert f"{sys.executable} {tmp_path.resolve()}" in texts(out)
    assert notebook.read_bytes() == before


def test_shows_a_progress_bar(tmp_path, capfd):
    execute(write(tmp_path / "bar.ipynb", "print(count)"), tmp_path / "out.ipynb", {})
    assert "bar: 100%" in capfd.readouterr().err


def test_widget_state_is_not_saved(tmp_path):
    notebook = write(tmp_path / "w.ipynb", "import ipywidgets\nipywidgets.IntSlider(3)")
    out = execute(notebook, tmp_path / "out.ipynb", {}, progress=False)
    assert "widgets" not in nbformat.read(out, as_version=4).metadata


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"cuont": 3},
            r"a.ipynb: Unknown parameter 'cuont'; did you mean 'count'\? Choose from: choice, count",
        ),
        ({"count": "3"}, r"'count' expects int like its default 2, got '3'"),
        ({"count": True}, r"'count' expects int"),
        ({"count": 2.5}, r"'count' expects int"),
        ({"quick": 1}, r"'quick' expects bool"),
        ({"scale": None}, r"'scale' expects float"),
        ({"name": 4}, r"'name' expects str"),
        ({"names": "x"}, r"'names' expects list"),
        ({"choice": {1, 2}}, r"'choice' expects a plain Python value"),
    ],
)
def test_refuses_wrong_parameters_before_anything_runs(tmp_path, parameters, message):
    out = tmp_path / "out.ipynb"
    with pytest.raises(WorkbenchError, match=message):
        execute(write(tmp_path / "a.ipynb", "1 / 0"), out, parameters, progress=False)
    assert not out.exists()


def test_a_notebook_without_parameters_says_so(tmp_path):
    notebook = write(tmp_path / "a.ipynb", parameters="")
    with pytest.raises(WorkbenchError, match="Unknown parameter 'x', as the notebook has none"):
        execute(notebook, tmp_path / "out.ipynb", {"x": 1}, progress=False)


def test_a_failing_cell_is_named_and_what_ran_is_kept(tmp_path):
    notebook = write(tmp_path / "a.ipynb", "print('kept')", "d = {}\nd['gone']", "print('never')")
    out = tmp_path / "out.ipynb"
    with pytest.raises(WorkbenchError) as caught:
        execute(notebook, out, {}, progress=False)
    message = str(caught.value)
    assert message == (
        f"Cell In [3] ('d = {{}}') of {notebook} raised KeyError: 'gone'; "
        f"the notebook as far as it ran is {out.resolve()}."
    )
    assert "kept" in texts(out)
    assert "never" not in texts(out)


def test_a_dead_kernel_is_one_sentence(tmp_path):
    notebook = write(tmp_path / "a.ipynb", "import os\nos._exit(1)")
    with pytest.raises(WorkbenchError, match=r"The kernel of .* stopped .*out.ipynb"):
        execute(notebook, tmp_path / "out.ipynb", {}, progress=False)


def test_refuses_a_missing_or_broken_notebook(tmp_path):
    with pytest.raises(WorkbenchError, match="There is no notebook"):
        execute(tmp_path / "none.ipynb", tmp_path / "out.ipynb", {})
    for number, content in enumerate(["not json", "[]", "{}", '{"nbformat": 4}']):
        broken = tmp_path / f"{number}.ipynb"
        broken.write_text(content)
        with pytest.raises(WorkbenchError, match="cannot be read as a notebook"):
            execute(broken, tmp_path / "out.ipynb", {})


def test_refuses_an_output_that_cannot_be_written(tmp_path):
    notebook = write(tmp_path / "a.ipynb")
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "out.ipynb", tmp_path):
        with pytest.raises(WorkbenchError, match="Cannot write"):
            execute(notebook, out, {})
    with pytest.raises(WorkbenchError, match="would overwrite"):
        execute(notebook, notebook, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_refuses_a_read_only_folder(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(WorkbenchError, match="Cannot write"):
        execute(write(tmp_path / "a.ipynb"), folder / "out.ipynb", {})


@pytest.mark.parametrize(("deaths", "calls"), [(0, 1), (2, 3), (9, 3)])
def test_a_kernel_that_dies_before_it_answers_is_started_again(deaths, calls):
    made = []

    def execute() -> None:
        made.append(1)
        if len(made) <= deaths:
            raise RuntimeError("Kernel died before replying to kernel_info")

    if deaths < calls:
        with_a_kernel(execute)
    else:
        with pytest.raises(RuntimeError, match="died before replying"):
            with_a_kernel(execute)
    assert len(made) == calls


def test_what_dies_later_is_not_run_again():
    made = []

    def execute() -> None:
        made.append(1)
        raise RuntimeError("Kernel died")

    with pytest.raises(RuntimeError, match="Kernel died"):
        with_a_kernel(execute)
    assert len(made) == 1
