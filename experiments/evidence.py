"""`make evidence`: every replay behind docs/evidence.md, resumable, and the page itself."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments import curves, evidence_page, running
from experiments.dataset import DataError
from experiments.plan import contenders
from experiments.sets import named
from model.presets import preset

_GRACE_RULES = "grace:pseudo_label=mc_mean,grace:pseudo_label=teacher"

QUICK: Mapping[str, Any] = {
    "augment": False,
    "epochs": 8,
    "min_steps": 60,
    "batch_size": 64,
    "lr": 4e-3,
}
"""Few updates on frozen features: close to the `quick` preset at a fifth of its time."""


@dataclass(frozen=True)
class Setting:
    """One replay of the evidence.

    Attributes:
        name: folder of the replay; the name of the data set that `data` gives.
        data: specification of the named set.
        initial: labels of the first round.
        batch: labels per round.
        rounds: models per strategy and seed.
        pool: samples that may be labelled, drawn anew per seed; 0 means all.
        strategies: contenders.
        seeds: repetitions.
        overrides: preset values besides `QUICK`.
    """

    name: str
    data: str
    initial: int
    batch: int
    rounds: int
    pool: int = 0
    strategies: str = "all"
    seeds: int = 5
    overrides: Mapping[str, Any] = field(default_factory=dict)


_PAPERS = "random,entropy,badge,bmmal,grace"
_MAIN = "random,entropy,coreset,badge,bmmal,grace,grace_i,grace_ir"
_NUMBERS = f"random,coreset,grace,{_GRACE_RULES},grace_i,grace_ir"

SETTINGS = (
    Setting("avdigits-official", "avdigits", 20, 20, 8, 1000),
    Setting("avdigits-official-image-noise-1", "avdigits:image_noise=1", 20, 20, 6, 1000, _MAIN),
    Setting("mvsa-own-number", "mvsa:labels=own+target=number", 100, 140, 6, 1500, _NUMBERS),
    Setting("mosi-two-number", "mosi", 100, 175, 5, 0, _NUMBERS),
    Setting("avdigits-speakers", "avdigits:split=speakers", 20, 30, 5, 1000, _PAPERS),
    Setting("mosi-three-class", "mosi:modalities=three+target=class", 50, 75, 5, 0, _PAPERS),
    Setting("mvsa-own-class", "mvsa:labels=own", 100, 125, 5, 1500, _PAPERS),
    Setting("mvsa-shared-class", "mvsa", 100, 125, 5, 1500, _PAPERS),
)


def run(root: Path, out: Path, settings: tuple[Setting, ...] = SETTINGS) -> None:
    """Run what is missing of every setting."""
    for setting in settings:
        dataset = named(setting.data, root)
        folder = out / setting.name
        started = time.monotonic()
        running.prepare(
            dataset,
            contenders(setting.strategies, dataset.schema.multimodal.kind),
            preset("quick", **{**dataset.overrides, **QUICK, **setting.overrides}),
            folder,
            initial=setting.initial,
            batch=setting.batch,
            rounds=setting.rounds,
            seeds=setting.seeds,
            pool=setting.pool,
        )
        running.run(folder, notice=lambda *found, name=dataset.name: _say(name, *found))
        print(f"\n{dataset.name}: {time.monotonic() - started:.0f} s", flush=True)


def split(out: Path, settings: tuple[Setting, ...] = SETTINGS) -> tuple[list[Path], list[str]]:
    """Return the folders in which every seed is finished, and the names of the other settings."""
    folders, unfinished = [], []
    for setting in settings:
        folder = out / setting.name
        try:
            finished = len(curves.load(folder).seeds) >= setting.seeds
        except DataError:
            finished = False
        if finished:
            folders.append(folder)
        else:
            unfinished.append(setting.name)
    return folders, unfinished


def _say(name: str, done: int, total: int, left: float | None) -> None:
    rest = "" if left is None else f", about {left / 60:.0f} min left"
    print(f"\r{name}: {done} of {total}{rest}   ", end="", flush=True)


def main() -> None:
    """Run the evidence from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    home = os.environ.get("EQUIPOISE_TEST_DATA", "../shared/data")
    parser.add_argument("--root", type=Path, default=Path(home), help="folder of the data sets")
    parser.add_argument(
        "--out", type=Path, default=Path("results/evidence"), help="where runs are kept"
    )
    parser.add_argument("--only-page", action="store_true", help="run nothing, use what is there")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where the page goes")
    arguments = parser.parse_args()
    if not arguments.only_page:
        run(arguments.root, arguments.out)
    folders, unfinished = split(arguments.out)
    print(evidence_page.write(folders, arguments.docs, unfinished))


if __name__ == "__main__":
    main()
