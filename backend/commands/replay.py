"""`equipoise simulate` and `equipoise report`: would another order have saved labels here?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from backend.commands.console import out, read_pairs
from backend.errors import EquipoiseError

# What computes is imported by the commands themselves: it loads torch.


def simulate(
    data: Annotated[
        str | None,
        typer.Option(
            help="avdigits, mvsa or mosi; food101:FOLDER, kineticssound:FOLDER, vggsound:FOLDER, "
            "simsv2:FILE, cherma:FOLDER; a .csv or .jsonl manifest; an export."
        ),
    ] = None,
    project: Annotated[
        int | None, typer.Option(help="Label Studio project: its annotated tasks.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the data or the media.")] = None,
    columns: Annotated[
        str | None, typer.Option(help="Manifest: photo=image,caption=text,mood=choice, ...")
    ] = None,
    label_config: Annotated[
        Path | None, typer.Option(help="Export: the project's labeling interface, as XML.")
    ] = None,
    strategies: Annotated[
        str, typer.Option(help="Comma-separated; `all` for every one that fits.")
    ] = "random,auto,margin,badge,bmmal,grace",
    initial: Annotated[int, typer.Option(help="Labels in the first round.")] = 100,
    initial_strategy: Annotated[
        str, typer.Option(help="What chooses the first labels; live: as a project's are.")
    ] = "live",
    option: Annotated[
        list[str] | None,
        typer.Option(help="Strategy option, e.g. diverse=true, for every strategy that has it."),
    ] = None,
    batch: Annotated[int, typer.Option(help="Labels added per round.")] = 100,
    rounds: Annotated[int, typer.Option(help="Batches added after the first round.")] = 7,
    seeds: Annotated[int, typer.Option(help="Repetitions.")] = 5,
    pool: Annotated[int, typer.Option(help="Draw a smaller pool per seed; 0: all.")] = 0,
    preset: Annotated[str, typer.Option(help="Encoders, fusion, training recipe.")] = "auto",
    override: Annotated[
        list[str] | None, typer.Option(help="Preset value to change, e.g. epochs=10.")
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(help="Modality in the role of another, e.g. acoustic=audio (paper-sims)."),
    ] = None,
    test_share: Annotated[
        float, typer.Option(help="Share of tasks that only measure, where no split is given.")
    ] = 0.2,
    split: Annotated[
        str | None,
        typer.Option(
            help="Column, or key of task data, that says train or test; other words: "
            "fold[train|valid,test]. By default a manifest's column `split`."
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; default: one per core.")] = None,
    ray: Annotated[
        str, typer.Option(help="host:port of a Ray cluster that computes instead of this machine.")
    ] = "",
    to: Annotated[Path, typer.Option("--out", help="Folder of the replay and its report.")] = Path(
        "results/simulation"
    ),
) -> None:
    """Replay labelled data with several strategies. Run it again to go on after a stop."""
    from backend.commands.replay_data import Source, read_source
    from experiments import running
    from experiments.plan import contenders
    from experiments.report import report as write_report
    from model.presets import preset as preset_of

    source = Source(data, project, root, columns, label_config, test_share, split)
    with _explained():
        dataset = read_source(source)
        chosen = preset_of(preset, **read_pairs("--override", override or []))
        chosen = chosen.played({k: str(v) for k, v in read_pairs("--role", role or []).items()})
        names = contenders(strategies, dataset.schema.multimodal.kind, option or [])
        out.print(
            f"{dataset.title}: {len(dataset.train)} tasks to label, {len(dataset.test)} to test",
            highlight=False,
        )
        with _bar() as bar:
            reading = bar.add_task("reading", total=None, left="")
            replaying = bar.add_task("replaying", total=None, left="")
            notes = running.prepare(
                dataset,
                names,
                chosen,
                to,
                initial=initial,
                initial_strategy=initial_strategy,
                batch=batch,
                rounds=rounds + 1,
                seeds=seeds,
                pool=pool,
                progress=lambda _, done, total: bar.update(reading, completed=done, total=total),
            )
            bar.update(reading, visible=False)
            for note in notes:
                bar.console.print(f"treated as absent: {note}", highlight=False)
            running.run(to, workers=workers, ray=ray, notice=_notice(bar, replaying))
            bar.update(replaying, visible=False)
            page = write_report(to)
    out.print(f"Report: {page}", highlight=False)


def report(
    folders: Annotated[list[Path], typer.Argument(help="Folders of replays.")],
    to: Annotated[
        Path | None, typer.Option("--out", help="Folder of the joint report of several.")
    ] = None,
) -> None:
    """Write the report of a replay again, or join several into one."""
    from experiments.merging import merge
    from experiments.report import report as write_report

    with _explained():
        pages = [write_report(folder) for folder in folders]
        if len(folders) > 1:
            pages.append(merge(folders, to or Path("results/joint")))
    for page in pages:
        out.print(f"Report: {page}", highlight=False)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn errors about data and plans into one line for people."""
    from experiments.running import Interrupted

    try:
        yield
    except (ValueError, Interrupted) as error:
        raise EquipoiseError(str(error)) from error


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        console=out,
    )


def _notice(bar: Progress, task: Any) -> Callable[[int, int, float | None], None]:
    def tell(done: int, total: int, left: float | None) -> None:
        words = "" if left is None else f"{left // 60:.0f} min {left % 60:.0f} s left"
        bar.update(task, completed=done, total=total, left=words)

    return tell
