"""A project of two modalities whose prepared arrays are vectors of views."""

from __future__ import annotations

import numpy as np
import pytest

from model.encoders import registry
from model.encoders.base import Encoder
from model.encoders.scaling import Scaled
from model.encoders.views import View
from model.inputs import Column, Inputs
from model.model import Model
from model.presets import preset
from model.schema import Modality, ModalityKind, Schema, Target
from model.training import train
from strategies.pool import TargetKind

VIEWS = {
    "left": (View("signal", 12), View("words", 60, "counts")),
    "right": (View("signal", 0),),
}
CLASSES = ("a", "b", "c", "d")
CLASSIFY = Target("kind", TargetKind.CLASSIFICATION, CLASSES)
SEVERAL = Target("kind", TargetKind.MULTILABEL, CLASSES)
NUMBER = Target("kind", TargetKind.REGRESSION, low=0.0, high=10.0)
AUTO = preset("quick", encoders=dict.fromkeys(VIEWS, "views"))


def schema_of(target: Target, *more: Target) -> Schema:
    modalities = tuple(Modality(name, ModalityKind.SEQUENCE, name) for name in VIEWS)
    return Schema(modalities, (target, *more))


@pytest.fixture(autouse=True)
def _encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register an encoder whose prepared arrays are vectors of two views, or of one."""

    def build(modality, source, chosen):
        return Encoder(
            f"views {modality.name}",
            lambda raw: np.asarray(raw, np.float32),
            lambda shape: Scaled(VIEWS[modality.name], shape[0]),
            views=VIEWS[modality.name],
        )

    monkeypatch.setitem(registry.ENCODERS[ModalityKind.SEQUENCE], "views", build)


def project(size: int, seed: int = 0, noise: float = 0.5, absent: float = 0.0):
    """Return inputs of two modalities that know two of four classes apart each, and the classes."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, size)
    left = rng.normal(0, noise, (size, 12))
    left[:, 0] += 3 * (truth // 2)
    left = 5000 + left * np.geomspace(0.01, 100, 12)
    words = rng.poisson(0.2, (size, 60)) + 2 * (np.arange(60) % 4 == truth[:, None] - 4)
    right = rng.normal(0, noise, (size, 20))
    right[:, 3] += 3 * (truth % 2)
    present = rng.random((size, 2)) >= absent
    present[~present.any(axis=1), 0] = True
    arrays = np.concatenate([left, words], axis=1).astype(np.float32), right.astype(np.float32)
    columns = []
    for name, array, here in zip(VIEWS, arrays, present.T, strict=True):
        row = np.where(here, np.arange(size), -1)
        shard = np.where(here, 0, -1).astype(np.int32)
        columns.append(Column(f"views {name}", array.shape[1:], (array,), shard, row))
    return Inputs(size, present, (), tuple(columns)), truth


def learnt(
    size: int = 60, target: Target = CLASSIFY, **options
) -> tuple[Model, Inputs, np.ndarray]:
    inputs, truth = project(600, **options)
    labels = {"kind": answers(target, truth)[:size]}
    model = train(
        inputs.take(np.arange(size)), labels, schema_of(target), AUTO, device="cpu", pool=inputs
    )
    return model, inputs.take(np.arange(300, 600)), truth[300:]


def answers(target: Target, truth: np.ndarray) -> np.ndarray:
    if target.kind is TargetKind.MULTILABEL:
        return np.stack([truth >= 2, truth % 2 == 1, truth == 0, truth == 3], axis=1).astype(float)
    return truth * 2.5 if target.kind is TargetKind.REGRESSION else truth
