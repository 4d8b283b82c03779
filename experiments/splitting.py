"""Which tasks may be labelled in a replay, and which only measure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.dataset import DataError
from strategies.pool import IntArray

COLUMN = "split"
_SPLIT = re.compile(r"([^\[\]]+?)(?:\[([^\[\],]+),([^\[\],]+)\])?")


@dataclass(frozen=True)
class Split:
    """A column, or a key of task data, that says what a task is for.

    Attributes:
        column: its name.
        train: what it says of tasks to label, in lower case.
        test: of those that only measure.
        strict: whether it may say nothing else.
    """

    column: str = COLUMN
    train: frozenset[str] = frozenset({"train"})
    test: frozenset[str] = frozenset({"test"})
    strict: bool = True

    @classmethod
    def read(cls, text: str) -> Split:
        """Read `fold`, or `fold[train|valid,test]`: what is neither is left out.

        Raises:
            DataError: it is neither of the two, or a word is on both sides.
        """
        found = _SPLIT.fullmatch(text.strip())
        if found is None:
            raise DataError(f"--split: {text!r} is not COLUMN or COLUMN[TRAIN,TEST]")
        if found[2] is None:
            return cls(found[1])
        train, test = ({w.strip().lower() for w in part.split("|")} for part in found.groups()[1:])
        if "" in train | test or train & test:
            raise DataError(f"--split: {text!r} does not tell train from test")
        return cls(found[1], frozenset(train), frozenset(test), strict=False)

    def rows(self, values: Sequence[Any], known: IntArray) -> tuple[IntArray, IntArray]:
        """Return which of the known rows are to label, and which only measure.

        Args:
            values: what the column says, one for each task; None or "" leaves the task out.
            known: (n,) rows that have a label.

        Raises:
            DataError: it says something that was not named, or never what was.
        """
        words = ["" if value is None else str(value).strip().lower() for value in values]
        strange = sorted({*words} - self.train - self.test - {""})
        if strange and self.strict:
            raise DataError(
                f"column {self.column!r} holds {strange[0]!r}; write train or test, or nothing "
                f"where a task is to be left out; or name them: --split "
                f'"{self.column}[train|{strange[0]},test]"'
            )
        missing = sorted((self.train | self.test) - {*words})
        if missing and not self.strict:
            raise DataError(
                f"--split: {self.column!r} says nowhere {missing[0]!r}; it says: "
                f"{', '.join(sorted({*words} - {''})) or 'nothing'}"
            )
        part = np.array(words)[known]
        return known[np.isin(part, [*self.train])], known[np.isin(part, [*self.test])]


def at_random(rows: IntArray, share: float, seed: int = 0) -> tuple[IntArray, IntArray]:
    """Split rows into train and test; the same rows and seed give the same split."""
    if not 0 < share < 1:
        raise DataError(f"the test share must lie between 0 and 1, not {share}")
    order = np.random.default_rng(seed).permutation(rows)
    held = max(1, round(len(rows) * share))
    return np.sort(order[held:]), np.sort(order[:held])
