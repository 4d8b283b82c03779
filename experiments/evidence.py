"""`make evidence`: every replay behind docs/evidence.md, resumable, and the page itself."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments import anchors, curves, evidence_page, running
from experiments.anchors import FORMER
from experiments.dataset import DataError
from experiments.plan import RANDOM, applicable, contenders
from experiments.sets import named
from model.presets import preset
from model.stopping import CALIBRATION_FILE
from strategies.pool import TargetKind

LEAST_SEEDS = 5
ORDERS = "random,auto,u_herding,dbal,bmmal,badge,entropy,margin,coreset,grace"


@dataclass(frozen=True)
class Setting:
    """One replay of the evidence, and what it is held against.

    Attributes:
        name: folder of the replay; the name of the data set that `data` gives.
        data: specification of the named set, seen by the preset `auto`.
        former: the set as the default of 0.1, `quick`, is to see it: its networks learn from
            nothing, which takes small features rather than media.
        initial: labels of the first round.
        batch: labels per round.
        rounds: models per strategy and seed.
        pool: samples that may be labelled, drawn anew per seed; 0 means all: then a first batch
            that chance has no part in is the same for every seed, and no interval holds for it.
        strategies: contenders.
        seeds: repetitions.
    """

    name: str
    data: str
    former: str
    initial: int
    batch: int
    rounds: int
    pool: int = 0
    strategies: str = ORDERS
    seeds: int = 6


def _digits(name: str, options: str = "") -> Setting:
    data = f"avdigits:{options}" if options else "avdigits"
    former = f"avdigits:features=simple{'+' * bool(options)}{options}"
    return Setting(name, data, former, 20, 20, 8, 1000)


def _tweets(name: str, options: str = "") -> Setting:
    data = f"mvsa:{options}" if options else "mvsa"
    former = f"mvsa:features=simple{'+' * bool(options)}{options}"
    return Setting(name, data, former, 100, 100, 8, 1500)


def _reviews(name: str, data: str, sizes: tuple[int, int], pool: int) -> Setting:
    return Setting(name, data, data, *sizes, 8, pool)


SETTINGS = (
    _digits("avdigits-official"),
    _tweets("mvsa-shared-class"),
    _reviews("mosi-two-number", "mosi", (100, 100), 1150),
    _reviews("mosi-three-class", "mosi:modalities=three+target=class", (50, 40), 400),
    _digits("avdigits-speakers", "split=speakers"),
    _tweets("mvsa-own-class", "labels=own"),
    _reviews("mosi-three-number", "mosi:modalities=three", (50, 40), 400),
    _digits("avdigits-official-image-noise-1", "image_noise=1"),
    _digits("avdigits-official-audio-missing-0.3", "audio_missing=0.3"),
    _tweets("mvsa-own-number", "labels=own+target=number"),
    _tweets("mvsa-shared-number", "target=number"),
)


def run(
    root: Path,
    out: Path,
    settings: Sequence[Setting] = SETTINGS,
    jobs: int | None = None,
    orders: str | None = None,
) -> None:
    """Run what is missing of the settings.

    Args:
        root: folder of the data sets.
        out: where runs are kept.
        settings: which.
        jobs: processes; None for one per core.
        orders: strategies, where not all of a setting's are wanted.
    """
    folders = []
    for setting in settings:
        folders.append(prepare(root, out, setting, orders))
        print(f"prepared {setting.name}", flush=True)
    started = time.monotonic()
    running.run([folder / FORMER for folder in folders], workers=jobs)
    running.run(folders, workers=jobs, notice=_say, also=anchors.missing(folders))
    print(f"\n{time.monotonic() - started:.0f} s", flush=True)


def prepare(root: Path, out: Path, setting: Setting, orders: str | None = None) -> Path:
    """Write the data and plans of a setting, and of the two models at the former default's end.

    Returns:
        The setting's folder.
    """
    folder = out / setting.name
    dataset, cache = named(setting.data, root), out / "prepared"
    kind = dataset.schema.multimodal.kind
    running.prepare(
        dataset,
        contenders(orders or orders_for(setting, kind), kind),
        preset("auto"),
        folder,
        initial=setting.initial,
        batch=setting.batch,
        rounds=setting.rounds,
        seeds=setting.seeds,
        pool=setting.pool,
        cache=cache,
    )
    running.prepare(
        named(setting.former, root),
        (RANDOM,),
        preset("quick"),
        folder / FORMER,
        initial=setting.initial + setting.batch * (setting.rounds - 2),
        batch=setting.batch,
        rounds=2,
        seeds=setting.seeds,
        pool=setting.pool,
        initial_strategy=RANDOM,
        cache=cache,
    )
    return folder


def orders_for(setting: Setting, kind: TargetKind) -> str:
    """Return a setting's contenders that are defined for its kind of target."""
    fit = applicable(kind)
    return ",".join(one for one in setting.strategies.split(",") if one in fit)


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
    parser.add_argument("--strategies", help="only these, as of `equipoise simulate`")
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
            chosen = choose(arguments.only)
            run(arguments.root, arguments.out, chosen, arguments.jobs, arguments.strategies)
        folders, unfinished = split(arguments.out)
        if not folders:
            raise DataError(f"{arguments.out} holds no setting with {LEAST_SEEDS} finished seeds")
        page, calibration = evidence_page.write(folders, arguments.docs, unfinished)
        print(f"wrote {page}")
        if not unfinished:  # a few settings are too few to tune the stopping hint on
            calibration.write(CALIBRATION_FILE)
            print(f"wrote {CALIBRATION_FILE}")
    except (DataError, running.Interrupted) as error:
        raise SystemExit(f"evidence: {error}") from error


if __name__ == "__main__":
    main()
