"""Measuring models on digits that nobody annotates, and replaying other orders of labelling."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from demo.digits import Digit, Digits
from demo.installation import DemoError, Say
from model import checkpoint
from model.cache import FeatureCache
from model.look import look
from model.model import Model
from model.preparation import Inputs, prepare
from model.sample import Reference, Sample
from model.schema import ModalityKind, Schema
from model.training import evaluate, train
from strategies.pool import Need
from strategies.shapley import contributions


@dataclass(frozen=True)
class Scores:
    """What one model does on the held-out digits.

    Attributes:
        accuracy: of all modalities together.
        alone: accuracy per modality's own head.
        contributions: mean contribution per modality (BMMAL Eq. 12).
    """

    accuracy: float
    alone: dict[str, float]
    contributions: dict[str, float]


class Judge:
    """Scores checkpoints on held-out digits; each file is prepared once."""

    def __init__(self, digits: Digits, cache: Path, say: Say) -> None:
        self._digits = digits
        self._cache = FeatureCache(cache)
        self._say = say
        self._inputs: dict[str, Inputs] = {}

    def score(self, folder: Path) -> Scores:
        """Score the model of a checkpoint folder."""
        return self.score_model(checkpoint.load(folder))

    def score_model(self, model: Model) -> Scores:
        """Score a model."""
        held_out = self._prepared("held-out digits", self._digits.held_out, model)
        labels = {model.schema.multimodal.name: classes(self._digits.held_out, model.schema)}
        found = evaluate(model, held_out, labels)
        names = model.schema.names
        coalitions = look(model, held_out, frozenset({Need.COALITIONS})).coalitions
        if coalitions is None:
            raise DemoError("The model gave no coalition values.")
        shares = contributions(coalitions, names).mean(axis=0)
        return Scores(
            found["accuracy"],
            {name: found[f"accuracy:{name}"] for name in names},
            {name: float(share) for name, share in zip(names, shares, strict=True)},
        )

    def replay(self, like: Path, chosen: Sequence[int], *, seed: int = 0) -> Scores:
        """Train on some training digits exactly as a round does, and score the result.

        Args:
            like: checkpoint whose schema and recipe are used.
            chosen: rows of the training digits, in the order of labelling.
            seed: seed of the training.
        """
        model = checkpoint.load(like)
        inputs = self._prepared("all digits", self._digits.train, model)
        rows = np.asarray(chosen)
        known = classes(self._digits.train, model.schema)[rows]
        labels = {model.schema.multimodal.name: known}
        trained = train(
            inputs.take(rows), labels, model.schema, model.preset, seed=seed, pool=inputs
        )
        return self.score_model(trained)

    def _prepared(self, what: str, digits: Sequence[Digit], model: Model) -> Inputs:
        if what not in self._inputs:
            self._inputs[what] = prepare(
                [sample(digit, model.schema) for digit in digits],
                model.schema,
                model.preset.preparation,
                self._cache,
                progress=lambda _, done, total: self._say(f"Reading {what}: {done} of {total}"),
            )
        return self._inputs[what]


def sample(digit: Digit, schema: Schema) -> Sample:
    """Return a digit's files as the raw values of a task."""
    files = {ModalityKind.IMAGE: digit.image, ModalityKind.AUDIO: digit.audio}
    return {modality.key: reference(files[modality.kind]) for modality in schema.modalities}


def reference(path: Path) -> Reference:
    """Return a file as a raw value that is identified by its content."""
    return Reference(hashlib.sha256(path.read_bytes()).hexdigest(), path.read_bytes)


def classes(digits: Sequence[Digit], schema: Schema) -> npt.NDArray[np.int64]:
    """Return the class index of each digit, shape (N,)."""
    column = {name: index for index, name in enumerate(schema.multimodal.classes)}
    return np.array([column[digit.label] for digit in digits], dtype=np.int64)
