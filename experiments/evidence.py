"""`make evidence`: every replay behind docs/evidence.md, resumable, and the page itself."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments import curves, evidence_page, running
from experiments.dataset import DataError
from experiments.plan import contenders
from experiments.sets import named
from model.presets import preset
from model.stopping import CALIBRATION_FILE

LEAST_SEEDS = 5
QUICK: Mapping[str, Any] = {
    "augment": False,
    "epochs": 8,
    "min_steps": 60,
    "batch_size": 64,
    "lr": 4e-3,
}
"""Few updates on frozen features: as good here as the `quick` preset at a quarter of its time."""
_LONGER: Mapping[str, Any] = {"min_steps": 120}  # tweets: with 60 the text's own head lags behind


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
    seeds: int = 6
    overrides: Mapping[str, Any] = field(default_factory=dict)


_NUMBERS = "all,grace:pseudo_label=mc_mean,grace:pseudo_label=teacher"

SETTINGS = (
    Setting("avdigits-official-simple", "avdigits:features=simple", 20, 20, 8, 1000),
    Setting(
        "avdigits-official-image-noise-1-simple",
        "avdigits:features=simple+image_noise=1",
        20,
        20,
        8,
        1000,
    ),
    Setting("avdigits-speakers-simple", "avdigits:features=simple+split=speakers", 20, 20, 8, 1000),
    Setting("mosi-two-number", "mosi", 100, 100, 8, 0, _NUMBERS),
    Setting(
        "mvsa-own-class-simple",
        "mvsa:features=simple+labels=own",
        100,
        100,
        8,
        1500,
        overrides=_LONGER,
    ),
    Setting(
        "mvsa-own-number-simple",
        "mvsa:features=simple+labels=own+target=number",
        100,
        100,
        8,
        1500,
        _NUMBERS,
        6,
        _LONGER,
    ),
    Setting("mosi-three-number", "mosi:modalities=three", 50, 40, 8, 0, _NUMBERS),
    Setting(
        "mvsa-shared-class-simple", "mvsa:features=simple", 100, 100, 8, 1500, overrides=_LONGER
    ),
    Setting(
        "mvsa-shared-number-simple",
        "mvsa:features=simple+target=number",
        100,
        100,
        8,
        1500,
        _NUMBERS,
        6,
        _LONGER,
    ),
    Setting("mosi-three-class", "mosi:modalities=three+target=class", 50, 40, 8),
    Setting(
        "avdigits-official-audio-missing-0.3-simple",
        "avdigits:features=simple+audio_missing=0.3",
        20,
        20,
        8,
        1000,
    ),
)


def run(
    root: Path, out: Path, settings: Sequence[Setting] = SETTINGS, jobs: int | None = None
) -> None:
    """Run what is missing of the settings, with `jobs` processes (default: one per core)."""
    folders = []
    for setting in settings:
        dataset = named(setting.data, root)
        folders.append(out / setting.name)
        running.prepare(
            dataset,
            contenders(setting.strategies, dataset.schema.multimodal.kind),
            preset("quick", **{**QUICK, **setting.overrides}),
            folders[-1],
            initial=setting.initial,
            batch=setting.batch,
            rounds=setting.rounds,
            seeds=setting.seeds,
            pool=setting.pool,
        )
        print(f"prepared {setting.name}", flush=True)
    started = time.monotonic()
    running.run(folders, workers=jobs, notice=_say)
    print(f"\n{time.monotonic() - started:.0f} s", flush=True)


def choose(text: str | None) -> tuple[Setting, ...]:
    """Return the settings of a comma-separated list of names, or all.

    Raises:
        DataError: there is no such setting; the message names them all.
    """
    if text is None:
        return SETTINGS
    byname = {setting.name: setting for setting in SETTINGS}
    names = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in names if name not in byname]
    if unknown or not names:
        wrong = f"no setting {unknown[0]!r}" if unknown else "--only names no setting"
        raise DataError(f"{wrong}; there are: {', '.join(byname)}")
    return tuple(byname[name] for name in names)


def split(out: Path, settings: tuple[Setting, ...] = SETTINGS) -> tuple[list[Path], list[str]]:
    """Return the folders with enough finished seeds for the page, and the names of the others."""
    folders, unfinished = [], []
    for setting in settings:
        folder = out / setting.name
        try:
            finished = len(curves.load(folder).seeds) >= min(setting.seeds, LEAST_SEEDS)
        except DataError:
            finished = False
        if finished:
            folders.append(folder)
        else:
            unfinished.append(setting.name)
    return folders, unfinished


def _say(done: int, total: int, left: float | None) -> None:
    rest = "" if left is None else f", about {left / 60:.0f} min left"
    print(f"\r{done} of {total} measurements{rest}   ", end="", flush=True)


def main() -> None:
    """Run the evidence from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    home = os.environ.get("EQUIPOISE_TEST_DATA", "../shared/data")
    parser.add_argument("--root", type=Path, default=Path(home), help="folder of the data sets")
    parser.add_argument(
        "--out", type=Path, default=Path("results/evidence"), help="where runs are kept"
    )
    parser.add_argument("--only", metavar="NAME,NAME", help="run these settings only")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes; default: one per core")
    parser.add_argument(
        "--only-page",
        action="store_true",
        help="run nothing, write the page of what is in --out (needs no data set)",
    )
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where the page goes")
    arguments = parser.parse_args()
    # The same numbers on every machine, and no crowd of processes on one accelerator.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        if not arguments.only_page:
            run(arguments.root, arguments.out, choose(arguments.only), arguments.jobs)
        folders, unfinished = split(arguments.out)
        if not folders:
            raise DataError(f"{arguments.out} holds no setting with {LEAST_SEEDS} finished seeds")
        page, calibration = evidence_page.write(folders, arguments.docs, unfinished)
        calibration.write(CALIBRATION_FILE)
        print(f"wrote {page} and {CALIBRATION_FILE}")
    except (DataError, running.Interrupted) as error:
        raise SystemExit(f"evidence: {error}") from error


if __name__ == "__main__":
    main()
