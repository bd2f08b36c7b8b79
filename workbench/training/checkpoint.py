"""A trained HODM on disk: weights and tokens as safetensors, everything else as JSON that a person can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench import __version__
from workbench.config import WorkbenchError
from workbench.data.networks import OPERATOR_FEATURES, Networks
from workbench.data.terms import Terms
from workbench.describe.capability import ENTRIES
from workbench.describe.interactions import Interactions
from workbench.devices.device import DeviceCard
from workbench.graphs.graph import Op
from workbench.predictor.hodm import HODM, HODMConfig, Operators
from workbench.predictor.roofline import Expectation
from workbench.predictor.store import load_tensors, save_tensors
from workbench.training.adapted import AdaptedDevice, AdaptedPredictor, DesignMap
from workbench.training.fit import Pretrained

FORMAT, ADAPTED = "workbench-hodm-1", "workbench-hodm-adapted-4"
VOCABULARY = {"operator_features": list(OPERATOR_FEATURES), "capability_entries": list(ENTRIES)}
ARRAYS, MAPPINGS = ("centre", "middle", "rotation"), ("weights", "offsets", "rest")  # of a DesignMap
TOKENS = ("operators.features", "operators.quantities", "descriptors", "hears")


def save(folder: str | Path, pretrained: Pretrained, networks: Networks) -> Path:
    """Write ``pretrained``, which speaks about ``networks``, into ``folder``."""
    description = {
        "format": FORMAT,
        "space": networks.space,
        "probes": [networks.archs[row] for row in pretrained.probes],
        "operators": _operators(networks),
        **_description(pretrained),
    }
    return save_tensors(folder, _tensors(pretrained), description)


def load(folder: str | Path, networks: Networks) -> Pretrained:
    """Read a model back for the same ``networks`` it was trained on.

    Raises:
        WorkbenchError: no such model, another format, or networks made of other operators.
    """
    tensors, description = _read(folder, FORMAT)
    known = set(networks.row)
    if description["operators"] != _operators(networks) or not known.issuperset(description["probes"]):
        raise WorkbenchError(
            f"{folder} was trained on other {description['space']} networks than these; encode the same ones."
        )
    probes = np.array([networks.row[arch] for arch in description["probes"]])
    return _pretrained(tensors, description, torch.tensor(networks.counts), probes)


def save_predictor(folder: str | Path, predictor: AdaptedPredictor) -> Path:
    """Write all that ``predictor`` needs to predict any network of its space on its devices into ``folder``."""
    design = predictor.design
    arrays = {f"design.{name}": getattr(design, name) for name in ARRAYS}
    arrays |= {f"design.interactions.{name}": value for name, value in _fields(design.interactions)}
    for part in MAPPINGS:
        arrays |= {f"design.{part}.{name}": value for name, value in getattr(design, part).items()}
    for name, device in predictor.devices.items():
        arrays |= {f"{_expectation(name)}{part}": value for part, value in _fields(device.expectation)}
    tensors = {name: torch.tensor(np.asarray(value, dtype=np.float64)) for name, value in arrays.items()}
    description = {
        "format": ADAPTED,
        "workbench": __version__,
        "space": predictor.terms.space,
        "probes": list(predictor.probes),
        "devices": {name: _device(device) for name, device in predictor.devices.items()},
        **_description(predictor.pretrained),
        "terms": asdict(predictor.terms),
    }
    return save_tensors(folder, _tensors(predictor.pretrained) | tensors, description)


def load_predictor(folder: str | Path) -> AdaptedPredictor:
    """What `save_predictor` wrote.

    Raises:
        WorkbenchError: no such model, or another format.
    """
    tensors, description = _read(folder, ADAPTED)
    probes, fields = tuple(description["probes"]), dict(description["terms"])
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    terms = Terms(**{**fields, "operators": tuple(Op(**operator) for operator in fields["operators"])})
    counts = torch.tensor(terms.describe(probes).counts)
    parts = {
        part: {name: value.numpy() for name, value in _named(tensors, f"design.{part}.").items()}
        for part in (*MAPPINGS, "interactions")
    }
    parts["interactions"] = Interactions(**parts["interactions"]) if parts["interactions"] else None
    expected = {
        name: {part: value.numpy() for part, value in _named(tensors, _expectation(name)).items()}
        for name in description["devices"]
    }
    parts |= {name: tensors[f"design.{name}"].numpy() for name in ARRAYS}
    devices = {
        name: AdaptedDevice(
            np.array(fields["probe_ms"]),
            None if fields["card"] is None else DeviceCard(name=fields["name"], **fields["card"]),
            fields["factor"],
            Expectation(**expected[name]) if expected[name] else None,
            np.array(fields["predicted_ms"]),
        )
        for name, fields in description["devices"].items()
    }
    pretrained = _pretrained(tensors, description, counts, np.arange(len(probes)))
    return AdaptedPredictor(terms, pretrained, probes, DesignMap(**parts), devices)


def _fields(parts: Interactions | Expectation | None) -> list[tuple[str, np.ndarray]]:
    return list(parts._asdict().items()) if parts else []


def _expectation(device: str) -> str:
    return f"devices.{device}.expectation."


def _device(device: AdaptedDevice) -> dict[str, Any]:
    return {
        "probe_ms": device.probe_ms.tolist(),
        "predicted_ms": device.predicted_ms.tolist(),
        "factor": device.factor,
        "name": device.card.name if device.card else None,
        "card": device.card.known() if device.card else None,
    }


def _tensors(pretrained: Pretrained) -> dict[str, torch.Tensor]:
    tokens = (*pretrained.operators, pretrained.descriptors, pretrained.hears)
    tensors = {f"model.{name}": value for name, value in pretrained.model.state_dict().items()}
    return tensors | dict(zip(TOKENS, tokens, strict=True))


def _description(pretrained: Pretrained) -> dict[str, Any]:
    return {
        "config": asdict(pretrained.model.config),
        **VOCABULARY,
        "losses": list(pretrained.losses),
    }


def _read(folder: str | Path, form: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    tensors, description = load_tensors(folder)
    if description.get("format") != form:
        raise WorkbenchError(
            f"{folder} expects format {form}, got {description.get('format')!r}; train the model again."
        )
    for name, here in VOCABULARY.items():
        if description[name] != here:
            raise WorkbenchError(
                f"{folder} was trained with other {name.replace('_', ' ')} than this workbench has; train it again."
            )
    return tensors, description


def _pretrained(
    tensors: Mapping[str, torch.Tensor], description: Mapping[str, Any], counts: torch.Tensor, probes: np.ndarray
) -> Pretrained:
    features, quantities, descriptors, hears = (tensors[name] for name in TOKENS)
    model = HODM(features.shape[1], quantities.shape[1], descriptors.shape[1], HODMConfig(**description["config"]))
    model.load_state_dict(_named(tensors, "model."))
    return Pretrained(
        model=model.eval(),
        operators=Operators(features, quantities),
        counts=counts,
        descriptors=descriptors,
        hears=hears,
        probes=probes,
        losses=tuple(description["losses"]),
    )


def _named(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _operators(networks: Networks) -> list[dict[str, object]]:
    return [{**asdict(op), "live": bool(live)} for op, live in zip(networks.operators, networks.live, strict=True)]
