"""Telling somebody: what would be told now, and whether the receiver takes it."""

from __future__ import annotations

from typing import Annotated

import typer

from backend.commands.console import say, the_store


def notify(
    test: Annotated[bool, typer.Option("--test", help="Send a test to notify_url.")] = False,
) -> None:
    """Say what notify_url is told of each project; try it with --test."""
    from backend.notices.delivery import deliver, message
    from backend.notices.events import NAMES, Event, events

    with the_store() as (config, store):
        if test:
            event = Event("test", "test", "Equipoise can reach you.")
            deliver(config, message(config, 0, "", event))
            say("It was taken.")
            return
        if config.notify_url is None:
            say("Nobody is told: notify_url is not set.")
        for owner in store.projects():
            now = events(store, owner.id, ())
            for name in NAMES:
                if name in now:
                    told = "told" if owner.told.get(name) == now[name].cause else "not told yet"
                    say(f"project {owner.id}: {name}: {now[name].text} ({told})")
                elif name in owner.told:
                    say(f"project {owner.id}: {name}: {owner.told[name]} (told)")
