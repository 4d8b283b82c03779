"""The command line: `equipoise serve`, `connect`, `doctor`, `retrain`, `rank`, `export`, ..."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.text import Text

from backend.commands import (
    belief,
    cache,
    data,
    encoders,
    notify,
    project,
    rank_files,
    replay,
    rounds,
    server,
    watch,
)
from backend.errors import EquipoiseError
from demo.command import demo

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Decides what to label next in Label Studio when tasks have several modalities.",
)
for _command in (
    server.serve,
    project.connect,
    project.disconnect,
    project.forget,
    project.doctor,
    rounds.retrain,
    rounds.rank,
    data.export,
    rank_files.rank_files,
    rounds.status,
    watch.watch,
    rounds.rounds,
    project.set_options,
    rounds.cancel,
    rounds.rollback,
    belief.accept,
    belief.review,
    notify.notify,
    data.backup,
    data.restore,
    cache.cache,
    encoders.encoders,
    demo,
    replay.simulate,
    replay.report,
    server.plugin,
):
    app.command("set" if _command is project.set_options else None)(_command)


def main() -> None:
    """Run the command line; an EquipoiseError is one line, not a traceback."""
    try:
        app()
    except EquipoiseError as error:
        line = Text.assemble(("error:", "red"), f" {error}")
        Console(stderr=True).print(line, highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
