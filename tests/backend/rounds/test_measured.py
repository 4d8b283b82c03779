"""What a round says about its model: from folds where there are some, and not of a few labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.rounds.learn import measured
from model.inputs import Column, Inputs
from model.model import Model
from model.presets import preset
from model.schema import Modality, ModalityKind, Schema, Target
from model.training import train
from strategies.pool import TargetKind

SCHEMA = Schema(
    (Modality("series", ModalityKind.SEQUENCE, "series"),),
    (Target("kind", TargetKind.CLASSIFICATION, ("a", "b")),),
)


def trained(size: int) -> tuple[Model, Inputs, dict[str, Any]]:
    from model.encoders import encoder_for

    chosen = preset("auto")
    rng = np.random.default_rng(0)
    truth = np.arange(size) % 2
    values = rng.normal(size=(size, 14)).astype(np.float32)
    values[:, 3] += 3 * truth
    print_ = encoder_for(SCHEMA.modalities[0], chosen).fingerprint
    column = Column(print_, (14,), (values,), np.zeros(size, np.int32), np.arange(size))
    inputs = Inputs(size, np.ones((size, 1), bool), (), (column,))
    labels = {"kind": truth}
    return train(inputs, labels, SCHEMA, chosen, device="cpu"), inputs, labels


@pytest.mark.parametrize(("size", "shown"), [(49, False), (50, True)])
def test_folds_are_what_is_shown_from_50_labels_on(size: int, shown: bool) -> None:
    model, inputs, labels = trained(size)
    found = measured(None, model, inputs, labels, None, inputs)  # type: ignore[arg-type]
    assert bool(found) == shown
    if shown:
        assert found["holdout"] == found["n"] == size
        assert found["accuracy"] > 0.8
