"""What may be believed: predictions that are accepted unseen, and labels to look at again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.commands.console import ProjectOption, label_studio, say, the_store, wake

if TYPE_CHECKING:
    from backend.queue.acceptable import Offer

_TELL_EVERY = 10.0


def accept(
    project: ProjectOption,
    error: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Share of wrong ones that is allowed.")
    ] = 0.05,
    yes: Annotated[bool, typer.Option("--yes", help="Write them, not only tell.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back what was accepted.")] = False,
) -> None:
    """Say which predictions may be accepted unseen; write them as annotations with --yes."""
    from backend.queue import accept as accepting
    from backend.queue.lists import keep_tabs
    from backend.queue.offers import acceptable

    with label_studio() as (config, store, studio):
        if undo:
            gone = accepting.undo(studio, store, project, _teller("taken back"))
            keep_tabs(studio, store, config, project)
            wake(config)
            say(f"Took back {gone} annotations; those that somebody has touched stay.")
            return
        found = acceptable(studio, store, config, project, error)
        _print_offer(found)
        if not found.answers:
            return
        if not yes:
            say(
                "Nothing was written. To write them as annotations: equipoise accept --project "
                f"{project} --error {error:g} --yes"
            )
            return
        written = accepting.accept(studio, store, project, found, _teller("written"))
        keep_tabs(studio, store, config, project)
        wake(config)
    say(f"Wrote {written} annotations. Take them back: equipoise accept --project {project} --undo")


def _print_offer(found: Offer) -> None:
    said = found.sentence
    say(f"{said[:1].upper()}{said[1:]}.")
    for name, of in found.to_json()["classes"].items():
        say(f"- {name}: {of['tasks']} tasks, from a probability of {of['from']:.3f} on")


def _teller(what: str) -> Callable[[int], None]:
    """Return what prints now and then how far something is."""
    last = time.monotonic()

    def tell(count: int) -> None:
        nonlocal last
        if time.monotonic() - last > _TELL_EVERY:
            last = time.monotonic()
            say(f"  {count} {what}")

    return tell


def review(
    project: ProjectOption,
    count: Annotated[int, typer.Option("--count", min=1, help="Labels to show.")] = 20,
    to: Annotated[
        Path | None, typer.Option("--out", help="Write all of them: .parquet, .csv or .jsonl.")
    ] = None,
) -> None:
    """Show the labels that are most likely wrong, and how far annotators agree."""
    from backend.page.review import review as reviewed
    from backend.store.export import export_labels

    with the_store() as (config, store):
        if to is not None:
            say(f"{export_labels(store, project, to)} labels written to {to}")
            return
        found = reviewed(store, config, project, count)
    say(found["sentence"])
    for row in found["labels"]:
        doubt = "likely" if row["suspect"] else "perhaps"
        about = f"{row['question']}: given {row['given']!r}, {doubt} {row['likely']!r}"
        say(f"  {row['url']}  {about} (quality {row['quality']:.2f})")
    for line in found["agreement"]:
        say(f"- {line}")
