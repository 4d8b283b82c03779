"""Are several questions learned together as well as each alone?

`python -m experiments.questions --data FOLDER` asks three of each pair of a handwritten and a
spoken digit in `avdigits_features.npz`: which digit, odd or even, and who speaks. On the same
labels it learns all three together and each alone, and prints what each gets right on the test set.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from experiments.prepared import read, write
from experiments.sets import avdigits
from experiments.statistics import interval
from model.arrays import Array
from model.inputs import Inputs
from model.metrics import accuracy
from model.options import Preparation
from model.presets import Preset, preset
from model.schema import ModalityKind, Schema, Target
from model.training import train
from strategies.pool import TargetKind

ENCODERS = {"vectors": preset("auto"), "network": preset("quick")}


def questions(folder: Path) -> dict[Target, Array]:
    """Return each question and the class that each sample has."""
    with np.load(folder / "avdigits_features.npz", allow_pickle=False) as stored:
        digit, speaker = stored["label"].astype(np.int64), stored["speaker"]
    names, who = np.unique(speaker, return_inverse=True)
    return {
        Target("digit", TargetKind.CLASSIFICATION, tuple("0123456789")): digit,
        Target("parity", TargetKind.CLASSIFICATION, ("even", "odd")): digit % 2,
        Target("speaker", TargetKind.CLASSIFICATION, tuple(map(str, names))): who.astype(np.int64),
    }


def measured(
    inputs: Inputs,
    asked: dict[Target, Array],
    schema: Schema,
    chosen: Preset,
    rows: Array,
    test: Array,
) -> tuple[dict[str, float], float]:
    """Learn some questions together; return each one's accuracy and the seconds that it took."""
    schema = Schema(schema.modalities, tuple(asked))
    labels = {target.name: values[rows] for target, values in asked.items()}
    start = time.perf_counter()
    model = train(inputs.take(rows), labels, schema, chosen, device="cpu", pool=inputs)
    seconds = time.perf_counter() - start
    found = model.predict(inputs.take(test))
    return {t.name: accuracy(found[t.name], values[test]) for t, values in asked.items()}, seconds


def prepared(folder: Path, preparation: Preparation) -> tuple[Inputs, Schema, Array, Array]:
    """Return inputs, modalities, and the rows to learn from and to test on."""
    dataset = avdigits.read(folder, {})
    with TemporaryDirectory() as beside:
        write(dataset, preparation, Path(beside) / "data")
        data = read(Path(beside) / "data")
        return data.inputs, data.schema, data.train, data.test


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line per learner, number of labels and question."""
    said = argparse.ArgumentParser(description=__doc__)
    said.add_argument("--data", type=Path, required=True, help="folder of avdigits_features.npz")
    said.add_argument("--labels", default="60,200", help="numbers of labels")
    said.add_argument("--seeds", type=int, default=5, help="draws of the labels")
    options = said.parse_args(argv)
    asked = questions(options.data)
    print("learner  labels  question   together     alone  difference (90% interval)")
    for name, chosen in ENCODERS.items():
        if name == "network":
            chosen = chosen.changed(encoders={ModalityKind.SEQUENCE: "mlp"})
        inputs, schema, rows, test = prepared(options.data, chosen.preparation)
        for count in map(int, options.labels.split(",")):
            _compare(name, chosen, inputs, schema, asked, rows, test, count, options.seeds)


def _compare(
    name: str,
    chosen: Preset,
    inputs: Inputs,
    schema: Schema,
    asked: dict[Target, Array],
    rows: Array,
    test: Array,
    count: int,
    seeds: int,
) -> None:
    together: list[list[float]] = []
    alone: list[list[float]] = []
    clock = [0.0, 0.0]
    for seed in range(seeds):
        some = np.sort(np.random.default_rng(seed).permutation(rows)[:count])
        found, seconds = measured(inputs, asked, schema, chosen, some, test)
        together.append(list(found.values()))
        clock[0] += seconds
        own = []
        for target, values in asked.items():
            found, seconds = measured(inputs, {target: values}, schema, chosen, some, test)
            own.append(found[target.name])
            clock[1] += seconds
        alone.append(own)
    both = zip(np.array(together).T, np.array(alone).T, strict=True)
    for target, (with_others, by_itself) in zip(asked, both, strict=True):
        print(f"{name:8} {count:6}  {_row(target.name, with_others, by_itself)}", flush=True)
    print(
        f"{name:8} {count:6}  seconds   {clock[0] / seeds:9.2f} {clock[1] / seeds:9.2f}", flush=True
    )


def _row(question: str, together: Array, alone: Array) -> str:
    """Say the means over draws (E,) and how far apart they are."""
    gap = interval(together - alone)
    return (
        f"{question:9} {together.mean():9.3f} {alone.mean():9.3f}  {gap.mean:+.3f} "
        f"({gap.low:+.3f} to {gap.high:+.3f})"
    )


if __name__ == "__main__":
    main()
