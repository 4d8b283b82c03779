"""Checkpoints: safetensors for the weights, JSON for everything else, renamed into place."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model import device as devices
from model.encoders import encoder_for
from model.model import Model
from model.network import Network
from model.presets import Preset
from model.schema import Schema
from model.vectors.network import network_for
from strategies.pool import HeldOut

FORMAT = 1
_WEIGHTS, _METADATA, _HELD_OUT = "weights.safetensors", "model.json", "held_out.safetensors"


class CheckpointError(Exception):
    """A checkpoint cannot be used; the message says what to do."""


def save(model: Model, folder: Path) -> None:
    """Write a model to a folder, whole or not at all; an older model there is replaced."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    beside.mkdir()
    try:
        weights = {k: v.detach().cpu().contiguous() for k, v in _state(model.network).items()}
        save_file(weights, beside / _WEIGHTS)
        save_file(_held_out(model), beside / _HELD_OUT)
        (beside / _METADATA).write_text(json.dumps(_metadata(model), indent=2))
        for path in beside.iterdir():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        _replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def load(folder: Path, *, device: str = "auto", expect: Schema | None = None) -> Model:
    """Read a model.

    Args:
        folder: what `save` wrote.
        device: where to compute.
        expect: the project's schema now; the model must have been trained for it.

    Raises:
        CheckpointError: missing, broken, of another format, trained for another schema, or on
            media that another release of Equipoise prepared in another way.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    try:
        content = json.loads((folder / _METADATA).read_text())
        if content["format"] != FORMAT:
            raise CheckpointError(
                f"{folder} has checkpoint format {content['format']}, this version reads {FORMAT}: "
                "train a new model"
            )
        schema = Schema.from_json(content["schema"])
        _same_schema(schema, expect, content["metadata"].get("waiting", []))
        model = _model(content, schema, device)
        _same_preparation(model)
        model.network.load_state_dict(load_file(folder / _WEIGHTS), strict=True)
        if (folder / _HELD_OUT).exists():  # 0.1 wrote none
            model.held_out = _read_held_out(schema, load_file(folder / _HELD_OUT))
    except FileNotFoundError as error:
        raise CheckpointError(f"no model at {folder}: train one first") from error
    except (KeyError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"the model at {folder} is broken ({error}): train again") from error
    model.network.to(model.device).eval()
    return model


def _state(network: Network) -> dict[str, Any]:
    return dict(network.state_dict())


def _held_out(model: Model) -> dict[str, Tensor]:
    """Return arrays by question, those of `HeldOut`; by place, as names may hold anything."""
    arrays = {}
    for place, question in enumerate(model.schema.questions):
        if one := model.held_out.get(question.name):
            for name, values in (("probabilities", one.probabilities), ("truth", one.truth)):
                arrays[f"{place}:{name}"] = torch.as_tensor(values).contiguous()
    return arrays


def _read_held_out(schema: Schema, arrays: dict[str, Tensor]) -> dict[str, HeldOut]:
    return {
        question.name: HeldOut(
            arrays[f"{place}:probabilities"].numpy(), arrays[f"{place}:truth"].numpy()
        )
        for place, question in enumerate(schema.questions)
        if f"{place}:truth" in arrays
    }


def _metadata(model: Model) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "schema": model.schema.to_json(),
        "preset": model.preset.to_json(),
        "shapes": {name: list(shape) for name, shape in model.shapes.items()},
        "fingerprints": model.fingerprints,
        "ranges": {name: list(ends) for name, ends in model.ranges.items()},
        "metadata": model.metadata,
    }


def _model(content: dict[str, Any], schema: Schema, device: str) -> Model:
    preset = Preset.from_json(content["preset"])
    shapes = {name: tuple(shape) for name, shape in content["shapes"].items()}
    ranges = {name: (ends[0], ends[1]) for name, ends in content["ranges"].items()}
    network = network_for(schema, preset, shapes)
    where = devices.resolve(device)
    prints, metadata = content["fingerprints"], content["metadata"]
    return Model(schema, preset, network, shapes, prints, ranges, metadata, where)


def _same_schema(trained: Schema, expect: Schema | None, waiting: Sequence[str]) -> None:
    if expect is None:
        return
    expect = expect.without(waiting)
    changes = expect.changes_since(trained)
    if changes or expect.names != trained.names:
        listed = "; ".join(changes) or "the modalities are in another order"
        raise CheckpointError(f"the label config changed ({listed}): train again")


def _same_preparation(model: Model) -> None:
    for modality in model.schema.modalities:
        if not model.shapes[modality.name]:  # it had no values to prepare
            continue
        then, now = (
            model.fingerprints[modality.name],
            encoder_for(modality, model.preset.preparation),
        )
        if then != now.fingerprint:
            raise CheckpointError(
                f"modality {modality.name!r} was prepared as {then!r}, this version of Equipoise "
                f"prepares it as {now.fingerprint!r}: train again"
            )


def _replace(new: Path, folder: Path) -> None:
    """Rename into place; a folder that exists is moved aside first, as renames cannot replace it.

    Note: a kill between the two renames leaves the old model under a hidden name; versions of one
    project have folders of their own, so this only concerns overwriting.
    """
    if folder.exists():
        old = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.old")
        os.replace(folder, old)
        os.replace(new, folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(new, folder)
    handle = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
