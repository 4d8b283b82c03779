"""Run and show one table or figure: `python -m experiments.papers bmmal-fig4 --data ROOT`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from experiments import curves, running
from experiments.dataset import DataError
from experiments.papers import full
from experiments.papers.exhibits import EXHIBITS, Exhibit
from experiments.papers.runs import RUNS, Run, told
from experiments.papers.shown import Shown
from experiments.plan import RANDOM, Plan, contenders
from experiments.sets import is_published, named

OUT = Path("results/papers")


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is missing, then draw and print."""
    said = _said().parse_args(argv)
    try:
        exhibit = EXHIBITS.get(said.figure)
        if exhibit is None:
            choices = ", ".join(EXHIBITS)
            raise DataError(f"no table or figure {said.figure!r}; choose from {choices}")
        runs = [_sized(RUNS[name], said) for name in exhibit.runs]
        places = _places(runs, said.data)
        if said.dry_run:
            print("\n".join(_announced(said.figure, exhibit, runs, places, said.out)))
            return
        _run_and_show(said.figure, exhibit, runs, places, said.out, said.workers)
    except (ValueError, running.Interrupted) as error:
        sys.exit(f"error: {error}")


def _run_and_show(
    name: str,
    exhibit: Exhibit,
    runs: Sequence[Run],
    places: dict[str, str],
    out: Path,
    workers: int | None,
) -> None:
    folders = {run.name: out / run.name for run in runs if run.data in places}
    for run in runs:
        if run.name in folders:
            for note in prepare(run, places[run.data], folders[run.name]):
                print(f"treated as absent: {note}")
    also = [work for f in folders.values() for work in (full.missing(f) if exhibit.full else [])]
    running.run(list(folders.values()), workers=workers, also=also, notice=_notice)
    rows = {n: full.measured(f) for n, f in folders.items()} if exhibit.full else {}
    found = {n: curves.load(f) for n, f in folders.items()}
    print(f"{name}: {exhibit.title}\n")
    print("\n".join(exhibit.show(Shown(name, found, folders, rows, out))))
    for path in sorted(out.glob(f"{name}-*")):
        print(f"written: {path}")


def prepare(run: Run, spec: str, folder: Path) -> list[str]:
    """Prepare a replay, or find it prepared; returns what is treated as absent."""
    if (folder / "plan.json").exists() and _same(Plan.read(folder), run):
        return []
    dataset = named(spec, None)
    return running.prepare(
        dataset,
        contenders(run.contenders, dataset.schema.multimodal.kind),
        run.chosen(dataset.schema.modalities),
        folder,
        initial=run.initial,
        batch=run.batch,
        rounds=run.rounds,
        seeds=run.seeds,
        initial_strategy=RANDOM,
    )


def _same(plan: Plan, run: Run) -> bool:
    sizes = (plan.initial, plan.batch, plan.rounds, plan.seeds, ",".join(plan.contenders))
    return sizes == (run.initial, run.batch, run.rounds, run.seeds, run.contenders)


def _sized(run: Run, said: argparse.Namespace) -> Run:
    run = run.small() if said.small else run
    changes = {"contenders": said.strategies, "seeds": said.seeds}
    return replace(run, **{name: value for name, value in changes.items() if value})


def _places(runs: Sequence[Run], data: str) -> dict[str, str]:
    """Return set -> where it is: named one by one, or looked for in one folder."""
    wanted = list(dict.fromkeys(run.data for run in runs))
    if is_published(data):
        specs = {spec.partition(":")[0]: spec for spec in data.split(",")}
        found = {name: spec for name, spec in specs.items() if name in wanted}
        if not found:
            raise DataError(f"this needs {' or '.join(wanted)}, not {', '.join(specs)}")
        return found
    root = Path(data).expanduser()
    there = {name: place for name in wanted if (place := _place(root, name)) is not None}
    if not there:
        raise DataError(
            f"{root} holds none of {', '.join(wanted)}; name a folder that has them, or write "
            f"--data {wanted[0]}:PLACE"
        )
    return {name: f"{name}:{place}" for name, place in there.items()}


def _place(root: Path, name: str) -> Path | None:
    if name == "simsv2":
        files = [*sorted((root / name).glob("*.pkl")), *sorted(root.glob("*.pkl"))]
        return files[0] if files else None
    return root / name if (root / name).is_dir() else None


def _announced(
    name: str, exhibit: Exhibit, runs: Sequence[Run], places: dict[str, str], out: Path
) -> list[str]:
    lines = [f"{name}: {exhibit.title}; prints {exhibit.prints}"]
    for run in runs:
        where = places.get(run.data, f"{run.data} is not there: left out")
        count = len(run.contenders.split(","))
        lines += [
            f"{run.name} ({where}) into {out / run.name}",
            f"  {run.preset}, {run.contenders}",
            f"  {run.initial} labels, then {run.batch} a round to {run.labels}; {run.seeds} seeds; "
            f"{count * run.seeds * run.rounds} measurements, about {told(run.hours)} GPU hours",
        ]
        if exhibit.full:
            lines.append("  and the same network on all labels")
    return lines


def _notice(done: int, total: int, left: float | None) -> None:
    if sys.stderr.isatty():
        words = "" if left is None else f", {left / 60:.0f} min left"
        print(f"\r{done} of {total} measurements{words}   ", end="", file=sys.stderr, flush=True)


def _said() -> argparse.ArgumentParser:
    said = argparse.ArgumentParser(prog="experiments.papers", description=__doc__)
    said.add_argument("figure", help=", ".join(EXHIBITS))
    said.add_argument(
        "--data",
        required=True,
        help="a folder with food101/, kineticssound/, vggsound/, cherma/ and a .pkl of CH-SIMS v2; "
        "or e.g. food101:FOLDER,vggsound:FOLDER",
    )
    said.add_argument("--dry-run", action="store_true", help="say what would run, and run nothing")
    said.add_argument("--small", action="store_true", help="rehearse it in seconds")
    said.add_argument("--strategies", default="", help="others than the paper's, comma-separated")
    said.add_argument("--seeds", type=int, default=0, help="other than the paper's")
    said.add_argument("--workers", type=int, default=None, help="processes; one per GPU or core")
    said.add_argument("--out", type=Path, default=OUT, help="folder of replays and pictures")
    return said


if __name__ == "__main__":
    main()
