"""A trained HODM on disk: weights and tokens as safetensors, everything else as JSON that a person can read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from workbench.config import WorkbenchError
from workbench.data.networks import OPERATOR_FEATURES, Networks
from workbench.describe.capability import ENTRIES
from workbench.predictor.hodm import HODM, HODMConfig, Operators
from workbench.predictor.store import load_tensors, save_tensors
from workbench.training.fit import Pretrained

FORMAT = "workbench-hodm-1"
TOKENS = ("operators.features", "operators.quantities", "descriptors", "hears")


def save(folder: str | Path, pretrained: Pretrained, networks: Networks) -> Path:
    """Write ``pretrained``, which speaks about ``networks``, into ``folder``."""
    tokens = (*pretrained.operators, pretrained.descriptors, pretrained.hears)
    tensors = {f"model.{name}": value for name, value in pretrained.model.state_dict().items()}
    tensors |= dict(zip(TOKENS, tokens, strict=True))
    description = {
        "format": FORMAT,
        "space": networks.space,
        "config": asdict(pretrained.model.config),
        "operator_features": list(OPERATOR_FEATURES),
        "capability_entries": list(ENTRIES),
        "probes": [networks.archs[row] for row in pretrained.probes],
        "operators": _operators(networks),
        "losses": list(pretrained.losses),
    }
    return save_tensors(folder, tensors, description)


def load(folder: str | Path, networks: Networks) -> Pretrained:
    """Read a model back for the same ``networks`` it was trained on.

    Raises:
        WorkbenchError: no such model, another format, or networks made of other operators.
    """
    tensors, description = load_tensors(folder)
    if description.get("format") != FORMAT:
        raise WorkbenchError(
            f"{folder} expects format {FORMAT}, got {description.get('format')!r}; train the model again."
        )
    known = set(networks.row)
    if description["operators"] != _operators(networks) or not known.issuperset(description["probes"]):
        raise WorkbenchError(
            f"{folder} was trained on other {description['space']} networks than these; encode the same ones."
        )
    features, quantities, descriptors, hears = (tensors[name] for name in TOKENS)
    model = HODM(features.shape[1], quantities.shape[1], descriptors.shape[1], HODMConfig(**description["config"]))
    model.load_state_dict(
        {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    )
    return Pretrained(
        model=model.eval(),
        operators=Operators(features, quantities),
        counts=torch.tensor(networks.counts),
        descriptors=descriptors,
        hears=hears,
        probes=np.array([networks.row[arch] for arch in description["probes"]]),
        losses=tuple(description["losses"]),
    )


def _operators(networks: Networks) -> list[dict[str, object]]:
    return [{**asdict(op), "live": bool(live)} for op, live in zip(networks.operators, networks.live, strict=True)]
