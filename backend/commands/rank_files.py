"""`equipoise rank-files`: what to label next in a table of tasks, without Label Studio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backend.commands.console import OptionOption, checked, out, say, strategy_options
from backend.commands.steering import (
    NewerOption,
    OnceOption,
    OnlyOption,
    PriorityOption,
    WantOption,
    steering,
)
from backend.errors import EquipoiseError

# What computes is imported by the command itself: it loads torch.


def rank_files(
    data: Annotated[Path, typer.Argument(help="A .csv, .jsonl or .parquet file, a task per row.")],
    columns: Annotated[
        str,
        typer.Option(help="Inputs and labels: photo=image,caption=text,mood=choice, ..."),
    ],
    to: Annotated[Path, typer.Option("--out", help="A .parquet, .csv or .jsonl file.")],
    root: Annotated[Path | None, typer.Option(help="Folder of the media.")] = None,
    strategy: Annotated[str, typer.Option()] = "auto",
    option: OptionOption = None,
    want: WantOption = None,
    priority_key: PriorityOption = None,
    only: OnlyOption = None,
    newer_than: NewerOption = None,
    once: OnceOption = None,
    batch: Annotated[int, typer.Option(help="Tasks chosen together.")] = 100,
    preset: Annotated[str, typer.Option(help="Encoders, fusion, training recipe.")] = "auto",
    seed: Annotated[int, typer.Option()] = 0,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of prepared media; default: the data_dir's.")
    ] = None,
) -> None:
    """Learn from the rows that have a label, rank those that have none."""
    from backend.rounds.files import order_files
    from backend.settings import ProjectSettings, settings
    from backend.store.export import check_format, write
    from experiments import manifest
    from experiments.columns import Columns
    from experiments.dataset import DataError
    from model.cache import FeatureCache

    check_format(to)
    wish = {"strategy": strategy, "batch": batch, "preset": preset, "seed": seed}
    wish |= steering(want, priority_key, only, newer_than, once)
    wish["strategy_options"] = strategy_options(strategy, option or [])
    options = ProjectSettings(**checked(wish))
    config = settings()
    try:
        found = manifest.tasks(data, Columns.read(columns), root)
    except DataError as error:
        raise EquipoiseError(str(error)) from error
    order = order_files(
        found.samples,
        found.labels,
        found.schema,
        options,
        FeatureCache(cache or config.cache),
        data=found.rows,
        device=config.device,
        workers=config.workers,
    )
    count = write(order.table, to)
    for reason, times in order.absent.items():
        say(f"treated as absent: {times} x {reason}")
    say(
        f"learned from {order.labelled} labelled tasks" if order.labelled else "nothing is labelled"
    )
    say(f"order: {order.said}")
    out.print(f"{count} tasks written to {to}; `task` is the row, from 0")
