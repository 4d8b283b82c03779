"""Setting a project up, checking it, changing its settings, and taking it all back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from backend.commands.console import (
    OptionOption,
    ProjectOption,
    checked,
    label_studio,
    out,
    say,
    strategy_options,
    the_store,
    wake,
)
from backend.commands.steering import (
    NewerOption,
    OnceOption,
    OnlyOption,
    PriorityOption,
    WantOption,
    steering,
)

if TYPE_CHECKING:
    from backend.store.store import Store

_FIRST_ORDER = 60.0
"""Seconds that `connect` waits for it: a project of many media takes longer."""


def connect(project: ProjectOption) -> None:
    """Set up a project: backend, webhook, sampling, tab. Safe to repeat."""
    from backend.queue import connect as connecting
    from backend.queue.media_check import media_checks

    with label_studio() as (config, store, studio):
        for line in connecting.connect(studio, store, config, project):
            say(f"- {line}")
        if wake(config):
            _first_order(store, project)
        for check in media_checks(studio, store, config, project):
            say(f"- {check.name}: {check.found}")
    say(f"Undo with: equipoise disconnect --project {project}")


def _first_order(store: Store, project: int) -> None:
    """Wait, but not for ever, until the server has ranked the project for the first time."""
    deadline, told = time.monotonic() + _FIRST_ORDER, ""
    while time.monotonic() < deadline:
        owner, current, running = store.project(project), store.current(project), None
        if current is not None and owner.announced == current.version:
            say(f"- the queue follows {current.version}")
            return
        running = store.running(project)
        doing = f"{running.phase or 'starting'} {running.done}/{running.total}" if running else ""
        if owner.problem:
            say(f"- no order yet: {owner.problem}")
            return
        if doing and doing != told:
            say(f"  first order: {doing}")
        told = doing or told
        time.sleep(1)
    say(f"- no order yet; `equipoise status --project {project}` tells when there is")


def disconnect(
    project: ProjectOption,
    delete_predictions: Annotated[bool, typer.Option(help="Delete our predictions.")] = False,
) -> None:
    """Take back what `connect` did; rounds and scores stay in the store."""
    from backend.queue.disconnect import disconnect as disconnecting

    with label_studio() as (config, store, studio):
        lines = disconnecting(studio, store, config, project, predictions=delete_predictions)
        for line in lines:
            say(f"- {line}")


def forget(project: ProjectOption) -> None:
    """Delete what is known of a project that was deleted in Label Studio, or is disconnected."""
    from backend.queue.forget import forget as forgetting

    with label_studio() as (config, store, studio):
        rounds = forgetting(studio, store, project)
        wake(config)
    say(f"Forgot project {project} with {rounds} rounds.")


def doctor(project: ProjectOption) -> None:
    """Check every condition under which Label Studio silently does no active learning."""
    from backend.queue.doctor import examine
    from backend.queue.media_check import media_checks

    with label_studio() as (config, store, studio):
        checks = examine(studio, store, config, project)
        if checks[0].ok and any(check.name == "label config" and check.ok for check in checks):
            checks += media_checks(studio, store, config, project)
    for check in checks:
        mark = Text("ok  ", "green")
        if not check.ok:
            mark = Text("note", "yellow") if check.warning else Text("FAIL", "red")
        fix = "" if check.ok else f"\n       fix: {check.fix}"
        out.print(Text.assemble(mark, f" {check.name}: {check.found}{fix}"), soft_wrap=True)
    if any(not check.ok and not check.warning for check in checks):
        raise typer.Exit(1)


def set_options(
    project: ProjectOption,
    strategy: Annotated[str | None, typer.Option()] = None,
    batch: Annotated[int | None, typer.Option()] = None,
    retrain_after: Annotated[int | None, typer.Option()] = None,
    publish: Annotated[int | None, typer.Option()] = None,
    audit_share: Annotated[float | None, typer.Option()] = None,
    want: WantOption = None,
    priority_key: PriorityOption = None,
    only: OnlyOption = None,
    newer_than: NewerOption = None,
    once: OnceOption = None,
    seed: Annotated[int | None, typer.Option()] = None,
    preset: Annotated[str | None, typer.Option()] = None,
    option: OptionOption = None,
    clear: Annotated[bool, typer.Option(help="Forget earlier `set`s first.")] = False,
) -> None:
    """Change a project's settings; they win over every other source."""
    from backend.labelstudio.config import parse
    from backend.queue.fitting import check_want, strategy_for
    from backend.store.store import effective

    wish: dict[str, Any] = {
        "strategy": strategy,
        "batch": batch,
        "retrain_after": retrain_after,
        "publish": publish,
        "audit_share": audit_share,
        **steering(want, priority_key, only, newer_than, once),
        "seed": seed,
        "preset": preset,
    }
    with the_store() as (config, store):
        owner = store.project(project)
        old = {} if clear else dict(owner.overrides)
        ranked_by = strategy or effective(config, owner).strategy
        own = strategy_options(ranked_by, option or [])
        if own:
            wish["strategy_options"] = {**old.get("strategy_options", {}), **own}
        options = checked(wish)
        owner.overrides = {**old, **options}
        if owner.label_config:
            asked = parse(owner.label_config)
            strategy_for(config, owner, asked)
            check_want(options.get("want", {}), asked.schema)
        store.save_project(project, overrides={**old, **options})
        wake(config)
    say(f"Set: {options or 'nothing'}")
