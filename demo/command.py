"""`equipoise demo`: its options; everything heavy is imported only when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop the servers at the end.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with avdigits_raw.tar.gz, instead of the built-in digits."),
    ] = None,
    strategy: Annotated[str, typer.Option(help="How the pool is ranked.")] = "auto",
    rounds: Annotated[int, typer.Option(help="Rounds of training.")] = 5,
    labels: Annotated[int, typer.Option(help="Labels per round.")] = 20,
    orders: Annotated[int, typer.Option(help="Random orders to compare with.")] = 5,
    port: Annotated[int, typer.Option(help="Label Studio's port; 0: 8080 or a free one.")] = 0,
    folder: Annotated[
        Path, typer.Option(help="Where everything is kept; an earlier demo there is replaced.")
    ] = Path(".demo"),
) -> None:
    """Play through: a real Label Studio, rounds of training, and the learning curve."""
    typer.echo("Equipoise demo: a real Label Studio, and rounds of training that labels start.")
    from demo.installation import DemoError
    from demo.run import Options, run

    try:
        run(Options(once, data, strategy, rounds, labels, orders, port, folder))
    except DemoError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
