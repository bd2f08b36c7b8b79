"""Models as MLflow keeps them, without a pickle of anything."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import __version__
from workbench.config import WorkbenchError

if TYPE_CHECKING:
    import pandas as pd

    Load = Callable[[Path], Callable[[pd.DataFrame], pd.DataFrame]]

# What stands beside a model instead of a pickle.
MODEL_CODE = '''"""What MLflow runs to load this model, whose weights are the safetensors and JSON files beside it."""

from {module} import {function}
from workbench.tracking import offer

offer({function})
'''


def check_saved(folder: Path) -> None:
    """Refuse a ``folder`` that holds no saved model."""
    for pattern in ("*.safetensors", "*.json"):
        if not any(folder.glob(pattern)):
            raise WorkbenchError(f"A saved model has a {pattern}, {folder} has none; save the model there first.")


def offer(load: Load) -> None:
    """Give MLflow the model that it is about to save or to load; called by `MODEL_CODE` and by nothing else."""
    import pandas as pd
    from mlflow.models import set_model
    from mlflow.pyfunc import PythonModel

    class Model(PythonModel):
        def load_context(self, context: Any) -> None:
            self._predict = load(Path(context.artifacts["weights"]))

        def predict(self, context: Any, model_input: pd.DataFrame) -> pd.DataFrame:
            return self._predict(model_input)

        # MLflow wants the types themselves, not their names.
        predict.__annotations__.update(dict.fromkeys(("model_input", "return"), pd.DataFrame))

    set_model(Model())


def pack(folder: Path, load: Load, example: pd.DataFrame, place: Path) -> Path:
    """The model in ``folder`` in MLflow's format, somewhere in ``place``."""
    from mlflow.models import infer_signature
    from mlflow.pyfunc import save_model

    logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
    code, packed = place / "load_model.py", place / "packed"
    code.write_text(MODEL_CODE.format(module=load.__module__, function=load.__name__))
    parts = {"python_model": code, "artifacts": {"weights": str(folder)}}
    parts |= {"signature": infer_signature(example, load(folder)(example)), "input_example": example}
    parts["pip_requirements"] = [
        f"workbench-latency=={__version__}"
    ]  # MLflow would try what is imported: half a minute
    save_model(packed, **parts)
    return packed
