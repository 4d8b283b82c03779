"""What all commands share: the terminal, the store, Label Studio, and waking the server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import typer
from rich.console import Console

from backend.errors import EquipoiseError
from backend.settings import ProjectSettings, Settings, settings

if TYPE_CHECKING:  # opening them loads SQLAlchemy and the SDK, which `--help` need not wait for
    from backend.labelstudio.client import LabelStudio
    from backend.store.store import Store

# Names, paths and messages are data: rich must not read `[/data/x]` in them as markup.
out = Console(markup=False, highlight=False)
OptionOption = Annotated[
    list[str] | None, typer.Option("--option", help="Of the strategy: NAME=VALUE.")
]
ProjectOption = Annotated[int, typer.Option("--project", help="Label Studio's project id.")]


def say(line: str) -> None:
    """Print one line as it is, however long."""
    out.print(line, soft_wrap=True)


@contextmanager
def the_store() -> Iterator[tuple[Settings, Store]]:
    """Open the settings' store."""
    from backend.store.store import open_store

    config = settings()
    store = open_store(config)
    try:
        yield config, store
    finally:
        store.close()


@contextmanager
def label_studio() -> Iterator[tuple[Settings, Store, LabelStudio]]:
    """Open the settings' store and Label Studio."""
    from backend.labelstudio.client import LabelStudio

    with the_store() as (config, store), LabelStudio.of(config) as studio:
        yield config, store, studio


def wake(config: Settings) -> bool:
    """Tell the running server to look at the store; False when none answers."""
    try:
        url = f"{config.own_url}/api/wake"
        httpx.post(url, auth=config.basic_auth, timeout=2, trust_env=False).raise_for_status()
    except httpx.HTTPError:
        return False
    return True


def strategy_options(strategy: str, pairs: Sequence[str]) -> dict[str, dict[str, Any]] | None:
    """Read `--option NAME=VALUE`s of a strategy; None where there are none.

    Raises:
        EquipoiseError: one has no value.
    """
    if not pairs:
        return None
    return {strategy: read_pairs("--option", pairs)}


def read_pairs(option: str, pairs: Sequence[str]) -> dict[str, Any]:
    """Read NAME=VALUE pairs, each value as JSON where it is some.

    Raises:
        EquipoiseError: one has no value.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise EquipoiseError(f"{option} {pair!r}: write NAME=VALUE")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def checked(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a project that were given.

    Raises:
        EquipoiseError: one is not valid; the message names it.
    """
    given = {name: value for name, value in options.items() if value is not None}
    try:
        ProjectSettings(**given)
    except ValueError as error:
        raise EquipoiseError(str(error)) from error
    return given
