"""Is it the learner that falls short, or are the test tasks unlike those that were labelled?

python -m experiments.elsewhere --root DATA [--out results/evidence] [--only NAME,NAME] [--seeds 8]

A test part with other speakers than the pool's asks for more than a project does, whose labels are
drawn from the tasks that are to be answered. So the same models are measured twice: on the test
part, and on 1,500 tasks of the training part without a label. Two figures of each: the fused head
less the best single head (random labels), and the first batch as a live project has it less a
random one. Positive is better, 90% intervals over seeds; for numbers in the error's unit.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from experiments import evidence
from experiments.measuring import measure
from experiments.plan import LIVE, RANDOM, Plan
from experiments.prepared import Prepared
from experiments.replay import data_of, first_rows, trained
from experiments.statistics import interval
from model.metrics import LOWER_IS_BETTER, MAIN_METRIC

SIZES = (20, 50, 100, 200)
_MOST = 1500
Numbers = npt.NDArray[np.float64]
Metrics = tuple[dict[str, float], dict[str, float]]
"""On the test part, and on what is left of the training part."""


def both(data: Prepared, plan: Plan, seed: int, how: str, count: int) -> Metrics:
    """Measure one model, learned from `count` first labels, on the test part and on the rest."""
    rows = first_rows(data, plan, seed, how, count)
    model = trained(data, plan, rows, seed)
    rest = np.random.default_rng([seed, 3]).permutation(np.setdiff1d(data.train, rows))[:_MOST]
    return measure(model, data)[0], measure(model, replace(data, test=np.sort(rest)))[0]


def differences(found: dict[str, list[Metrics]], place: int, metric: str) -> tuple[Numbers, ...]:
    """Return per seed the fused head less the best head, and the live batch less the random one.

    The best head is the one that is best in the mean over seeds.
    """
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    base = [each[place] for each in found[RANDOM]]
    heads = [name for name in base[0] if name.startswith(f"{metric}:")]
    alone = np.array([[each[name] for name in heads] for each in base])
    fused = np.array([each[metric] for each in base])
    live = np.array([each[place][metric] for each in found[LIVE]])
    best = alone[:, np.argmax(sign * alone.mean(axis=0))]
    return sign * (fused - best), sign * (live - fused)


def main() -> None:
    """Print both figures of every setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=Path("results/evidence"))
    parser.add_argument("--only", metavar="NAME,NAME", help="settings of `make evidence`")
    parser.add_argument("--seeds", type=int, default=8)
    arguments = parser.parse_args()
    print("setting, labels: fused less best head | live less random first batch")
    for setting in evidence.choose(arguments.only):
        folder = evidence.prepare(arguments.root, arguments.out, setting)
        plan, data = Plan.read(folder), data_of(folder)
        metric = MAIN_METRIC[data.schema.multimodal.kind]
        for count in SIZES:
            found = {
                how: [both(data, plan, seed, how, count) for seed in range(arguments.seeds)]
                for how in (RANDOM, LIVE)
            }
            for place, where in enumerate(("test part", "the rest")):
                parts = [interval(each) for each in differences(found, place, metric)]
                said = " | ".join(f"{i.mean:+.3f} ({i.low:+.3f} to {i.high:+.3f})" for i in parts)
                print(f"{setting.name}, {count}, {where}: {said}", flush=True)


if __name__ == "__main__":
    main()
