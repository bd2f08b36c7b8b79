"""One configuration of CloserToMe, and what it reaches: what an ablation varies, a part or a size at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.config import WorkbenchError
from workbench.data.tasks import Task, read_tasks, write_tasks
from workbench.describe.dbsel import DEFAULT_SELECTOR
from workbench.evaluation import METRICS, evaluate
from workbench.insight import figures
from workbench.insight.quickstart import Tracker
from workbench.predictor.hodm import HODMConfig
from workbench.training.fit import FitConfig
from workbench.training.transfer import trained_methods

#: What a row of results is told apart by.
LABELS = ("task", "device", "space")

#: Seconds, and what the ledger counted: what the metrics were bought with.
COSTS = ("target_reads", "pretrain_s", "select_s", "adapt_s", "predict_s")


@dataclass(frozen=True)
class Configuration:
    """What may be varied.

    Args:
        method: key of `METHODS`; everything about the model below is for ``hodm`` and ``dialogue``.
        selector: of probes.
        probes: measurements on each target.
        capability: whether the model sees what cards say.
        rounds, heads, width: of the dialogue, see `HODMConfig`.
        loss, steps: of its training, see `FitConfig`.
        source_devices: learn from so many, drawn at random; from all of the task's if 0.
        source_samples: networks that are known of each; as the task says if 0.
    """

    method: str = "hodm"
    selector: str = DEFAULT_SELECTOR
    probes: int = 10
    capability: bool = True
    rounds: int = HODMConfig.rounds
    heads: int = HODMConfig.heads
    width: int = HODMConfig.width
    loss: str = FitConfig.loss
    steps: int = FitConfig.steps
    source_devices: int = 0
    source_samples: int = 0

    def __post_init__(self) -> None:
        for name in ("rounds", "heads", "width", "steps"):
            if getattr(self, name) < 1:
                raise WorkbenchError(f"A configuration expects at least 1 for {name}, got {getattr(self, name)}.")
        if self.width % self.heads:
            raise WorkbenchError(
                f"Heads expect a width that they divide, got {self.heads} heads and width {self.width}; change one."
            )

    def reduced(self, task: Task, seed: int) -> Task:
        """``task`` with fewer sources, drawn with ``seed``."""
        if self.source_devices > len(task.source):
            raise WorkbenchError(
                f"Task {task.name} expects at most its {len(task.source)} source devices, got {self.source_devices}; "
                "ask for fewer, or for 0 to take all."
            )
        drawn = np.random.default_rng(seed).permutation(len(task.source))[: self.source_devices or None]
        sources = tuple(task.source[index] for index in sorted(drawn))
        return replace(task, source=sources, source_samples=self.source_samples or task.source_samples)


@dataclass(frozen=True)
class Reached:
    """What `reach` found out.

    Args:
        configuration: that was tried.
        results: a row per task and target device: `LABELS`, `METRICS` and `COSTS`.
        floors: the same for the floors, with a column ``method``; they saw the same probes.
        notes: things to know about the tasks.
    """

    configuration: Configuration
    results: pd.DataFrame
    floors: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def metrics(self) -> dict[str, float]:
        """Means over tasks and devices."""
        return self.results[[*METRICS, *COSTS]].mean().to_dict()

    @cached_property
    def figures(self) -> dict[str, go.Figure]:
        """Every figure, by name."""
        rows = pd.concat([self.results.assign(method=self.configuration.method), self.floors], ignore_index=True)
        return {"floors": figures.floors(rows, focus=self.configuration.method)}

    def keep(self, run: Tracker) -> None:
        """Log metrics, tables and figures to ``run``."""
        run.log_metrics(self.metrics)
        run.log_table(self.results, "results.csv")
        run.log_table(self.floors, "floors.csv")
        for name, figure in self.figures.items():
            run.log_figure(figure, f"figures/{name}", html=False)


def reach(
    tasks_file: str | Path,
    folders: Sequence[str | Path] = (),
    only: Sequence[str] = (),
    configuration: Configuration = Configuration(),
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Reached:
    """What ``configuration`` reaches on tasks, under the rules of `evaluate`.

    Args:
        tasks_file: see `read_tasks`.
        folders: of latency tables, see `load_table`.
        only: names of tasks; all if there are none.
        configuration: what is tried.
        seed: draws source devices and samples, and initial weights.
        progress: called with the numbers of finished tasks and of all.

    Raises:
        WorkbenchError: a task that could not be run, or what `evaluate` refuses.
    """
    tasks = [configuration.reduced(task, seed) for task in read_tasks(tasks_file, list(only) or None)]
    fit = FitConfig(steps=configuration.steps, loss=configuration.loss, capability=configuration.capability)
    size = HODMConfig(configuration.width, configuration.heads, configuration.rounds)
    with tempfile.TemporaryDirectory() as folder:
        file = write_tasks(Path(folder) / "tasks.json", tasks)
        found = evaluate(
            file,
            folders,
            method=configuration.method,
            probes=configuration.probes,
            selector=configuration.selector,
            seeds=(seed,),
            predictions=False,
            advance=progress,
            own=trained_methods(fit, size),
        )
    for task, sentence in found.failures.items():
        raise WorkbenchError(f"{task} could not be run: {sentence}")
    columns = [*LABELS, *METRICS, *COSTS]
    results = pd.DataFrame(found.results)[columns]
    floors = pd.DataFrame(found.floors, columns=["method", *columns])
    return Reached(configuration, results, floors, tuple(found.notes))
