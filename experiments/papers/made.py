"""Made data in which what the papers claim should hold: is it so here?

`python -m experiments.papers.made [--seeds 8]` makes two sets and replays them:

- a class that a strong and a weak modality tell. In three of five tasks the weak one holds nothing,
  so that whoever avoids tasks which one modality dominates teaches the weaker head more: BMMAL's
  claim against BADGE;
- a number that text, sound and picture have each their own of, like CH-SIMS. In a fifth of the
  tasks one modality is opposed to the others; a quarter are near-duplicates labelled by chance. For
  GRACE's claim that its criteria add to each other, and with it how many of a batch GRACE-I and
  GRACE-IR have in common.

It prints the mean over all rounds, and each strategy's paired lead with its 90% interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from experiments import curves, running
from experiments.dataset import Dataset, vector
from experiments.page import Table, markdown
from experiments.plan import RANDOM
from experiments.statistics import area, interval
from model.cache import FeatureCache
from model.labels import Labels
from model.look import look
from model.preparation import prepare
from model.preset import Preset
from model.presets import preset
from model.schema import Modality, ModalityKind, Schema, Target
from model.training import train
from strategies import STRATEGIES
from strategies.pool import FloatArray, TargetKind

Rounds = tuple[int, int, int]
"""First labels, labels per round, rounds."""
ROUNDS: Rounds = (40, 40, 5)
TEST = 600
_MOODS = ("text", "audio", "video")


def two_modalities(size: int = 2000, seed: int = 0) -> Dataset:
    """Make one of six classes that a strong modality tells, and a weak one in 40% of the tasks."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 6, size + TEST)
    centres = rng.standard_normal((2, 6, 24))
    noise = rng.standard_normal((2, size + TEST, 24))
    told = (rng.random(size + TEST) < 0.4) | (np.arange(size + TEST) >= size)
    strong = 0.8 * centres[0, classes] + noise[0]
    weak = 0.7 * centres[1, classes] * told[:, None] + noise[1]
    target = Target("y", TargetKind.CLASSIFICATION, tuple("abcdef"))
    found = {"strong": strong, "weak": weak}
    return _dataset("made-classes", found, {"y": classes}, (target,))


def three_sentiments(size: int = 900, seed: int = 0) -> Dataset:
    """Make a sentiment from -1 to 1 of the whole, and of text, sound and picture."""
    rng = np.random.default_rng(seed)
    count = size + TEST
    mood = rng.uniform(-1, 1, count)
    own = mood + 0.1 * rng.standard_normal((3, count))
    odd = np.flatnonzero(rng.random(count) < 0.2)
    own[rng.integers(0, 3, len(odd)), odd] *= -1
    features = own[..., None] * rng.standard_normal((3, 1, 20)) + rng.standard_normal(
        (3, count, 20)
    )
    crowd = np.flatnonzero(rng.random(size) < 0.25)
    alike = 2.5 * rng.standard_normal((3, 1, 20))
    features[:, crowd] = alike + 0.2 * rng.standard_normal((3, len(crowd), 20))
    own[:, crowd] = rng.uniform(-1, 1, (3, len(crowd)))
    own = np.round(own.clip(-1, 1), 1)
    targets = [Target("y", TargetKind.REGRESSION, (), -1.0, 1.0)]
    targets += [Target(f"y_{m}", TargetKind.REGRESSION, (), -1.0, 1.0, m) for m in _MOODS]
    labels = {"y": np.round(own.mean(axis=0), 1)} | {f"y_{m}": own[i] for i, m in enumerate(_MOODS)}
    found = dict(zip(_MOODS, features, strict=True))
    return _dataset("made-sentiments", found, labels, tuple(targets))


def _dataset(
    name: str, found: dict[str, FloatArray], labels: Labels, targets: tuple[Target, ...]
) -> Dataset:
    modalities = tuple(Modality(one, ModalityKind.SEQUENCE, one) for one in found)
    count = len(next(iter(found.values())))
    samples = tuple({one: vector(rows[i]) for one, rows in found.items()} for i in range(count))
    rows = np.arange(count)
    schema = Schema(modalities, targets)
    return Dataset(name, f"Made: {name}", samples, labels, schema, rows[:-TEST], rows[-TEST:])


def compared(
    dataset: Dataset, contenders: tuple[str, ...], chosen: Preset, rounds: Rounds, seeds: int
) -> Table:
    """Replay a set; return a row per head and strategy: height, and lead on the first strategy."""
    initial, batch, count = rounds
    with TemporaryDirectory() as folder:
        place = Path(folder)
        running.prepare(
            dataset,
            contenders,
            chosen,
            place,
            initial=initial,
            batch=batch,
            rounds=count,
            seeds=seeds,
            initial_strategy=RANDOM,
        )
        running.run(place, workers=0)
        found = curves.load(place)
    rows = []
    for head in found.heads:
        heights = area(found.of(head), found.labels)
        for row, name in enumerate(found.contenders):
            gap = interval(found.head_sign(head) * (heights[row] - heights[0]))
            rows.append(
                [head, name, f"{heights[row].mean():.4f}", f"{gap.mean:+.4f}", gap.bounds(4)]
            )
    return Table(("head", "strategy", "mean", f"better than {contenders[0]} by", "90%"), rows)


def alike(dataset: Dataset, chosen: Preset, labels: int, batch: int, seed: int = 0) -> int:
    """Return how many of a batch GRACE-I and GRACE-IR have in common, after so many labels."""
    order = np.random.default_rng(seed).permutation(dataset.train)
    known, free = order[:labels], order[labels:]
    with TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder))
        inputs = prepare(dataset.samples, dataset.schema, chosen.preparation, cache)
        told = {name: np.asarray(values)[known] for name, values in dataset.labels.items()}
        model = train(inputs.take(known), told, dataset.schema, chosen, seed=seed, pool=inputs)
        strategy = STRATEGIES["grace"]
        needs = strategy.needs_for(dataset.schema.ranking.kind, {})
        pool = look(model, inputs.take(free), needs, labelled_count=labels, round=1, seed=seed)
        parts = strategy(pool, batch, np.random.default_rng(seed)).components
    informative = parts["informativeness"]
    both = informative * parts["representativeness"]
    first, second = (set(np.argsort(-each)[:batch]) for each in (informative, both))
    return len(first & second)


def main(argv: Sequence[str] | None = None) -> None:
    """Print both comparisons."""
    said = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    said.add_argument("--seeds", type=int, default=8)
    seeds = said.parse_args(argv).seeds
    names = ("badge", "bmmal", "random")
    print(markdown(compared(two_modalities(), names, preset("auto"), ROUNDS, seeds)), flush=True)
    chosen, moods = preset("quick", epochs=10, min_steps=100, projection=32), three_sentiments()
    graces = ("grace_i", "grace_ir", "grace", "random")
    print("\n" + markdown(compared(moods, graces, chosen, ROUNDS, seeds)), flush=True)
    both = [alike(moods, chosen, 2 * ROUNDS[0], ROUNDS[1], seed) for seed in range(seeds)]
    print(f"\nOf {ROUNDS[1]} chosen by GRACE-I, GRACE-IR chooses {min(both)} to {max(both)}, too.")


if __name__ == "__main__":
    main()
