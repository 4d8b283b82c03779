"""Asking for rounds, watching them, cancelling them, and going back to an earlier one."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table
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


def retrain(project: ProjectOption) -> None:
    """Ask for a round of training now."""
    _request(project, "train", {})


def rank(
    project: ProjectOption,
    strategy: Annotated[str | None, typer.Option(help="Default: the project's.")] = None,
    batch: Annotated[int | None, typer.Option(help="Tasks chosen together.")] = None,
    publish: Annotated[bool, typer.Option(help="Put the ranking into the queue.")] = True,
    option: OptionOption = None,
) -> None:
    """Rank the pool again with the model there is."""
    from backend.store.store import effective

    with the_store() as (config, store):
        ranked_by = strategy or effective(config, store.project(project)).strategy
    own = strategy_options(ranked_by, option or [])
    options = checked({"strategy": strategy, "batch": batch, "strategy_options": own})
    _request(project, "rank", {**options, "dry": not publish})


def status(
    project: Annotated[int | None, typer.Option("--project", help="Default: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what serves, what runs and what is in force."""
    from backend.page.status import status as state_of

    with the_store() as (config, store):
        ids = [project] if project is not None else [p.id for p in store.projects()]
        states = [state_of(store, config, found) for found in ids]
    if as_json:
        print(json.dumps(states if project is None else states[0], indent=2))
        return
    for state in states:
        _print_state(state)
    if not states:
        say("No project yet: equipoise connect --project ID")


def rounds(project: ProjectOption) -> None:
    """Show a project's rounds: state, cause, durations, metrics, errors."""
    from backend.page.status import history

    with the_store() as (_, store):
        found = history(store, project)
    table = Table("version", "state", "cause", "labels", "pool", "by chance", "seconds", "error")
    for row in found:
        figure = row["figure"]
        said = f"{figure['value']:.2f} ({figure['low']:.2f}-{figure['high']:.2f})" if figure else ""
        cells = (row["version"], row["state"], row["cause"], row["labels"], row["pool"])
        seconds = f"{row['seconds']:.1f}"
        table.add_row(*(Text(str(cell)) for cell in (*cells, said, seconds, row["error"])))
    out.print(table)


def cancel(project: ProjectOption) -> None:
    """Cancel the running round; the version that serves stays."""
    with the_store() as (config, store):
        store.project(project)
        found = store.cancel(project)
        wake(config)
    say(f"Cancelled {found.version}." if found else "No round is running.")


def rollback(
    project: ProjectOption,
    to: Annotated[str, typer.Option("--to", help="A version that `equipoise rounds` shows.")],
) -> None:
    """Let an earlier round serve again, until the next one is finished."""
    from backend.queue import rollback as rolling

    with label_studio() as (config, store, studio):
        for line in rolling.rollback(studio, store, config, project, to):
            say(f"- {line}")
        wake(config)


def _request(project: int, kind: str, options: dict[str, Any]) -> None:
    from backend.store.tables import Kind

    with the_store() as (config, store):
        store.project(project)
        store.request(project, Kind(kind), "requested on the command line", **options)
        running = wake(config)
    where = "starts now" if running else f"starts when `equipoise serve` runs at {config.url}"
    say(f"Requested: {kind}; it {where}. See `equipoise status --project {project}`.")


def _print_state(state: dict[str, Any]) -> None:
    out.print(Text.assemble((state["title"], "bold"), f" (project {state['project']})"))
    for name, value in _lines(state).items():
        if value:
            say(f"  {name + ':':14}{value}")


def _ordered(state: dict[str, Any]) -> str:
    """Say what orders the queue; of one that fits by itself, what it took and why."""
    order = state.get("order", {})
    if not order or order["strategy"] == state["strategy"]:
        return str(state["strategy"])
    because = f", because {order['because']}" if order["because"] else ""
    return f"{state['strategy']}: {order['strategy']}{because}"


def _lines(state: dict[str, Any]) -> dict[str, str]:
    now = state["state"]
    if state["progress"]:
        now += f" {state['progress']['done']}/{state['progress']['total']}"
    if state["cleaning"]:
        now += f", cleaning up: {state['cleaning']} old predictions left"
    serves = state["version"] or "nothing yet"
    contributions, absent = state.get("contributions", {}), state.get("absent_media", {})
    sizes = {"free": "free", "cache": "cache", "rounds": "rounds"}
    return {
        "connected": "yes" if state["connected"] else "no",
        "now": now,
        "serves": serves + (" (rolled back)" if state["rolled_back"] else ""),
        "strategy": _ordered(state),
        "sees": ", ".join(f"{n} by {' + '.join(by)}" for n, by in state.get("sees", {}).items()),
        "labels": f"{state['labels']} in the last round, {state['new_labels']} new since",
        "settings": ", ".join(f"{k}={v}" for k, v in state["settings"].items()),
        "questions": ", ".join(
            f"{name}: {of.get('labels', 0):g} labels{', waits for more' if of['waits'] else ''}"
            for name, of in state.get("questions", {}).items()
        ),
        "contribution": ", ".join(f"{name} {v:.0%}" for name, v in contributions.items()),
        "absent media": ", ".join(f"{n} x {reason}" for reason, n in absent.items()),
        "how good": state.get("quality", ""),
        "safe to accept": state.get("measured", {}).get("accept", {}).get("sentence", ""),
        "look again": state.get("look_again", ""),
        "enough labels?": state.get("stopping", {}).get("text", ""),
        "disk": ", ".join(
            f"{state['disk'][f'{name}_bytes'] / 1e6:,.0f} MB {text}" for name, text in sizes.items()
        ),
        "problem": state["problem"],
        "last error": state["last_error"],
    }
