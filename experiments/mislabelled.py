"""Are wrong labels found? Some are put into labelled data; the first that are shown are counted.

    python -m experiments.mislabelled --root FOLDER_OF_DATA [--replays 20]

Of 1,000 labels, 5% or 10% become another class by chance. The learner of `preset = "auto"` judges
all of them out-of-fold, as a round does, and they are put in the order of `equipoise review`.
Printed is how many of the first 5% that are shown are wrong, and how the suspects do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from experiments.known import Data, digits, fitted, tweets
from experiments.page import Table, markdown
from experiments.statistics import standard_error
from model.reviewing import review

LABELS, SHOWN = 1000, 0.05
SHARES = (0.05, 0.1)


def one(data: Data, share: float, seed: int) -> tuple[float, float, float]:
    """Return which share of the first 5% is wrong; of the suspects; and of wrong ones suspected."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(data.x))[:LABELS]
    given, count = data.truth.copy(), len(data.target.classes)
    changed = rows[: int(share * len(rows))]
    given[changed] = (given[changed] + rng.integers(1, count, len(changed))) % count
    every, _ = fitted(data, given, rows, [], seed)
    quality, suspect = review(data.target, given[rows], every)
    wrong = given[rows] != data.truth[rows]
    first = np.argsort(quality, kind="stable")[: int(SHOWN * len(rows))]
    return (
        float(wrong[first].mean()),
        float(wrong[suspect].mean()) if suspect.any() else float("nan"),
        float(suspect[wrong].mean()),
    )


def report(data: list[Data], replays: int) -> str:
    """Say how many of those shown are wrong."""
    rows = []
    for each in data:
        for share in SHARES:
            found = np.array([one(each, share, seed) for seed in range(replays)])
            mean, error = found.mean(axis=0), standard_error(found)
            told = f"{mean[0]:.0%} ± {100 * error[0]:.1f}"
            rows.append([each.name, f"{share:.0%}", told, f"{mean[1]:.0%}", f"{mean[2]:.0%}"])
    names = ("data", "wrong", "of the first 5%", "of the suspects", "found")
    return markdown(Table(names, rows))


def main() -> None:
    """Run the replays and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--root", type=Path, required=True, help="folder of avdigits and mvsa")
    parser.add_argument("--replays", type=int, default=20)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    data = [digits(chosen.root, 0.0), digits(chosen.root), tweets(chosen.root)]
    print(report(data, chosen.replays))


if __name__ == "__main__":
    main()
