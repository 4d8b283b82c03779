"""What leaves and enters the store as files: scores, backups."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backend.commands.console import ProjectOption, say, the_store
from backend.settings import settings


def export(
    project: ProjectOption,
    to: Annotated[Path, typer.Option("--out", help="A .parquet, .csv or .jsonl file.")],
    version: Annotated[str | None, typer.Option(help="Default: the version that serves.")] = None,
) -> None:
    """Write the whole pool's scores, with what explains them."""
    from backend.store.export import export as write

    with the_store() as (_, store):
        count = write(store, project, to, version)
    say(f"{count} tasks written to {to}")


def backup(
    to: Annotated[Path, typer.Option("--out", help="The archive to write, a .tar file.")],
) -> None:
    """Write the store and its rounds' files to one archive; the server may go on."""
    from backend.store import backup as archives

    with the_store() as (config, store):
        for line in archives.backup(config, store, to):
            say(f"- {line}")


def restore(archive: Annotated[Path, typer.Argument(help="What `backup` wrote.")]) -> None:
    """Put an archive's store and files into the empty data_dir."""
    from backend.store import backup as archives

    for line in archives.restore(settings(), archive):
        say(f"- {line}")
