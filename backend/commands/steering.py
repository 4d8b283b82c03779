"""What steers an order, as options of commands."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from backend.commands.console import read_pairs

WantOption = Annotated[
    list[str] | None, typer.Option("--want", help="CLASS=WEIGHT: how much its tasks count.")
]
PriorityOption = Annotated[
    str | None, typer.Option("--priority-key", help="Key of the number that a task counts by.")
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", help="KEY=VALUE: what tasks must hold to be served."),
]
NewerOption = Annotated[
    list[str] | None, typer.Option("--newer-than", help="KEY=WHEN: a time, or such as '30 days'.")
]
OnceOption = Annotated[bool | None, typer.Option(help="Near-duplicates last.")]


def steering(
    want: list[str] | None,
    priority_key: str | None,
    only: list[str] | None,
    newer_than: list[str] | None,
    once: bool | None,
) -> dict[str, Any]:
    """Return the settings that were given, the others as None.

    Raises:
        EquipoiseError: one is no pair.
    """
    return {
        "want": read_pairs("--want", want) if want else None,
        "priority_key": priority_key,
        "only": read_pairs("--only", only) if only else None,
        "newer_than": read_pairs("--newer-than", newer_than) if newer_than else None,
        "once": once,
    }
