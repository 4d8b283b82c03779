"""`equipoise cache`: what the feature cache holds, and deleting what was not used for longest."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

import typer

from backend.commands.console import out
from backend.settings import settings


def cache(
    keep: Annotated[
        float | None,
        typer.Option("--keep", min=0, help="Delete down to this many GB; 0 empties the cache."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the prepared media of every encoder, and prune them.

    What is deleted is decoded again when it is next needed. A server may run meanwhile.
    """
    from model.cache import FeatureCache

    folder = settings().cache
    found = FeatureCache(folder)
    freed = 0 if keep is None else found.prune(round(keep * 1e9))
    stores = found.describe()
    if as_json:
        listed = [
            {
                "encoder": store.fingerprint,
                "values": store.rows,
                "unreadable": store.failures,
                "bytes": store.bytes,
                "used": datetime.fromtimestamp(store.used).astimezone().isoformat(),
            }
            for store in stores
        ]
        out.print_json(json.dumps({"folder": str(folder), "freed": freed, "encoders": listed}))
        return
    if keep is not None:
        out.print(f"{_size(freed)} freed")
    out.print(f"{folder}: {_size(found.size())}", highlight=False, soft_wrap=True)
    for store in stores:
        used = datetime.fromtimestamp(store.used)
        out.print(
            f"  {_size(store.bytes):>9}  {store.rows:>9,} values  {store.failures:>5,} unreadable  "
            f"used {used:%Y-%m-%d %H:%M}  {store.fingerprint}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _size(count: float) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
