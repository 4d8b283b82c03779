"""Finished measurements on disk: a small file per contender, seed and round, renamed into place."""

from __future__ import annotations

import base64
import json
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Cell:
    """One measurement: a model trained on `labels` labels, and what the contender chose next.

    Attributes:
        contender: its text.
        seed: repetition.
        round: from 0.
        labels: number of labels trained on.
        metrics: on the test set.
        classes: class name -> accuracy on the test set; {} for regression.
        batch: rows chosen next, in order; [] in the last round.
        pool: means over the pool: weight and contribution per modality, criteria, uncertainty.
        chosen: the same over the batch.
        predictions: packed predictions on the seed's pool, in row order.
        seconds: time spent per step.
    """

    contender: str
    seed: int
    round: int
    labels: int
    metrics: Mapping[str, float]
    classes: Mapping[str, float]
    batch: list[int]
    pool: Mapping[str, float]
    chosen: Mapping[str, float]
    predictions: str
    seconds: Mapping[str, float]


class Cells:
    """The measurements of one replay."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "cells"
        self._folder.mkdir(parents=True, exist_ok=True)

    def write(self, cell: Cell) -> None:
        """Add a measurement, whole or not at all."""
        path = self._path(cell.contender, cell.seed, cell.round)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.{os.getpid()}.writing")
        with beside.open("w") as file:
            json.dump(asdict(cell), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)

    def chain(self, contender: str, seed: int, rounds: int) -> list[Cell]:
        """Return the finished measurements of one chain, from round 0, without a gap."""
        found: list[Cell] = []
        for number in range(rounds):
            path = self._path(contender, seed, number)
            if not path.exists():
                break
            found.append(Cell(**json.loads(path.read_text())))
        return found

    def count(self) -> int:
        """Return how many measurements there are."""
        return sum(1 for _ in self._folder.glob("*/*.json"))

    def _path(self, contender: str, seed: int, number: int) -> Path:
        folder = re.sub(r"[^A-Za-z0-9_.=+-]", "-", contender)
        return self._folder / folder / f"seed-{seed}-round-{number}.json"


def pack(values: npt.NDArray) -> str:
    """Pack an array of class indices (int8 or int16) or numbers (float16) into text."""
    kind = values.dtype.str
    return f"{kind} {base64.b64encode(zlib.compress(values.tobytes(), 6)).decode()}"


def unpack(text: str, width: int = 1) -> npt.NDArray:
    """Return what `pack` packed; (N,) or, with a width, (N, width)."""
    kind, _, packed = text.partition(" ")
    values = np.frombuffer(zlib.decompress(base64.b64decode(packed)), dtype=np.dtype(kind))
    return values if width == 1 else values.reshape(-1, width)
