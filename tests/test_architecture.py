"""Imports point one way, modules and functions stay small, notebooks stay thin."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "workbench"
MODULES = sorted(PACKAGE.rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

#: Each part may import itself and what stands before it.
ORDER = [
    "config", "graphs", "spaces", "devices", "profiling", "data", "describe", "predictor", "training",
    "evaluation", "esm", "jobs", "insight", "tracking", "servers", "kernel", "notebooks", "gallery", "sweep",
    "background", "cli",
]  # fmt: skip
SOLE_IMPORTERS = {
    "mlflow": "tracking/",
    "papermill": "notebooks.py",
    "dask": "sweep/cluster.py",
    "distributed": "sweep/cluster.py",
}
MODULE_LINES = 350
FUNCTION_LINES = 70
NOTEBOOK_LINES = 60


def name_of(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def imports(module: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that ``module`` imports, wherever it does so."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(module)}:{node.lineno}: relative import; write the full name"
            if node.module == "workbench":
                yield from ((node.lineno, f"workbench.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, str(node.module)


def part_of(dotted: str) -> str | None:
    """The part of the package that ``workbench.<part>...`` names; None for anything else."""
    names = dotted.split(".")
    return names[1] if names[0] == "workbench" and len(names) > 1 and not names[1].startswith("__") else None


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_imports_point_one_way(module):
    own = module.relative_to(PACKAGE).with_suffix("").parts[0]
    if own == "__init__":
        assert not [name for _, name in imports(module) if part_of(name)]
        return
    assert own in ORDER, f"{own} has no place in the order of imports; give it one here and in docs/architecture.md"
    for line, name in imports(module):
        part = part_of(name)
        assert part is None or ORDER.index(part) <= ORDER.index(own), (
            f"{name_of(module)}:{line} imports {name}, which stands after it"
        )
        assert part != "cli" or own == "cli", f"{name_of(module)}:{line} imports the command line"


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_some_packages_have_one_importer(module):
    for line, name in imports(module):
        owner = SOLE_IMPORTERS.get(name.split(".")[0])
        assert owner is None or name_of(module).startswith(owner), (
            f"{name_of(module)}:{line} imports {name}; only {owner} may"
        )


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_modules_and_functions_can_be_read_at_once(module):
    source = module.read_text()
    assert len(source.splitlines()) <= MODULE_LINES, f"{name_of(module)} is too long; split it"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= FUNCTION_LINES, f"{name_of(module)}:{node.lineno} {node.name} has {length} lines; split it"


def test_importing_the_package_imports_nothing_heavy():
    program = (
        "import sys, workbench, workbench.config, workbench.tracking, workbench.notebooks, workbench.cli\n"
        "heavy = ('torch', 'mlflow', 'papermill', 'plotly', 'pandas', 'sklearn', 'rich.console')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_every_space_can_be_imported_without_torch():
    program = "import sys, workbench.spaces, workbench.graphs; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_thin_and_stripped(notebook):
    document = nbformat.read(notebook, as_version=4)
    nbformat.validate(document)
    code = [cell for cell in document.cells if cell.cell_type == "code"]
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1, "one cell tagged 'parameters'"
    assert not [cell for cell in code if cell.outputs or cell.execution_count], "run 'nbstripout' on it"
    source = "\n".join(line for cell in code for line in cell.source.splitlines() if not line.startswith(("%", "!")))
    lines = [line for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(lines) < NOTEBOOK_LINES, f"{len(lines)} lines of code; move some into the library"
    defined = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert not defined, f"defines {defined[0].name}; move it into the library"
