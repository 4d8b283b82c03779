"""`equipoise encoders`: what can look at each kind of input here, and what the rest would need."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from backend.commands.console import out, say


def encoders(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List what can look at each kind of input, what it costs here, and what the rest would need.

    Each is timed for a moment; the seconds are for 1,000 values, with the weights loaded.
    """
    from model.available import missing_packages, survey

    offers, missing = survey(), missing_packages()
    if as_json:
        print(json.dumps({"encoders": [asdict(o) for o in offers], "missing": missing}, indent=2))
        return
    table = Table("input", "encoder", "s per 1,000", "sees, or needs")
    for offer in offers:
        seconds = "" if offer.seconds is None else f"{offer.seconds:.1f}"
        sees = offer.lacks or ", ".join(offer.views)
        table.add_row(*(Text(str(cell)) for cell in (offer.kind, offer.name, seconds, sees)))
    out.print(table)
    for line in missing:
        say(f"would see more: {line}")
