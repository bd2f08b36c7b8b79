"""Saving and loading tensors with what they mean: safetensors for numbers, JSON for words, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from workbench.config import WorkbenchError, write_atomically

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


def save_tensors(folder: str | Path, tensors: Mapping[str, torch.Tensor], description: Mapping[str, Any]) -> Path:
    """Write ``tensors`` and their ``description`` (JSON-able) into ``folder``; returns the folder."""
    folder = Path(folder)
    plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_atomically(folder / WEIGHTS, lambda path: save_file(plain, path))
    write_atomically(folder / DESCRIPTION, lambda path: path.write_text(json.dumps(description, indent=1) + "\n"))
    return folder


def load_tensors(folder: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """What `save_tensors` wrote; a missing or damaged file raises one sentence."""
    folder = Path(folder)
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        return load_file(folder / WEIGHTS), description
    except (OSError, ValueError, SafetensorError) as error:
        raise WorkbenchError(
            f"{folder} expects {WEIGHTS} and {DESCRIPTION} of a saved model, got {error}; save the model again."
        ) from error
