"""`equipoise watch`: what the page says, in a terminal."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from backend.commands.console import out, the_store

if TYPE_CHECKING:
    from backend.settings import Settings
    from backend.store.store import Store

_TASKS = 5
_BARS = "▁▂▃▄▅▆▇█"


def watch(
    project: Annotated[int | None, typer.Option("--project", help="Default: all.")] = None,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between two looks.")] = 2.0,
) -> None:
    """Show what happens, again and again until Ctrl-C; once where the output is no terminal."""
    with the_store() as (config, store):
        if not out.is_terminal:
            out.print(_seen(store, config, project))
            return
        with (
            suppress(KeyboardInterrupt),
            Live(_seen(store, config, project), console=out, auto_refresh=False) as live,
        ):
            while True:
                time.sleep(every)
                live.update(_seen(store, config, project), refresh=True)


def _seen(store: Store, config: Settings, project: int | None) -> Group:
    ids = [project] if project is not None else [owner.id for owner in store.projects()]
    if not ids:
        return Group(Text("No project yet. Run `equipoise connect --project ID`."))
    return Group(*(_panel(store, config, one) for one in ids))


def _panel(store: Store, config: Settings, project: int) -> Panel:
    from backend.page.status import history, status
    from backend.page.tasks import next_tasks
    from backend.page.views import now

    state, rounds = status(store, config, project), history(store, project)
    lines = [Text(now(state, rounds, store, project), style="bold")]
    serving = state["version"] or "nothing yet"
    lines.append(Text(f"Serving {serving}, ranked by {state['strategy']}"))
    lines.append(Text(f"{state.get('quality', 'no model yet')}  {_curve(rounds)}"))
    for wrong in (state["problem"], state["last_error"]):
        if wrong:
            lines.append(Text(wrong, style="red"))
    lines += [
        Text(f"  {task['task']}: {task.get('why', '')}", style="dim", overflow="ellipsis")
        for task in next_tasks(store, config, project)[:_TASKS]
    ]
    title = Text(f"{state['title'] or 'Project'} ({project})")
    return Panel(Group(*lines), title=title, title_align="left")


def _curve(rounds: list[dict[str, object]]) -> str:
    """Return the first question's shares over the rounds as bars; "" for other figures."""
    found = [figure for one in rounds if isinstance(figure := one["figure"], dict)]
    if not found or found[-1]["name"] == "mae":
        return ""
    return "".join(_BARS[min(7, int(8 * one["value"]))] for one in found)
