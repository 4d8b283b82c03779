"""The command line: `equipoise serve`, `connect`, `doctor`, `retrain`, `rank`, `export`, ..."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from backend.caching import cache
from backend.demo.command import demo
from backend.errors import EquipoiseError
from backend.logs import configure
from backend.settings import ProjectSettings, Settings, settings
from backend.simulate import report, simulate

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Decides what to label next in Label Studio when tasks have several modalities.",
)
out = Console()
ProjectOption = Annotated[int, typer.Option("--project", help="Label Studio's project id.")]


def main() -> None:
    """Run the command line; an EquipoiseError is one line, not a traceback."""
    try:
        app()
    except EquipoiseError as error:
        Console(stderr=True).print(f"[red]error:[/red] {error}", highlight=False)
        sys.exit(1)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Run the server that Label Studio connects to."""
    import os

    import uvicorn

    if host is not None:
        os.environ["EQUIPOISE_HOST"] = host
    if port is not None:
        os.environ["EQUIPOISE_PORT"] = str(port)
    config = settings()
    configure(config.log_level)
    config.refuse_open_listening()
    from backend.app import create_app
    from backend.store import open_store

    application = create_app(config, open_store(config))
    uvicorn.run(
        application, host=config.host, port=config.port, log_level="warning", log_config=None
    )


@app.command()
def connect(project: ProjectOption) -> None:
    """Set up a project: backend, webhook, sampling, tab. Safe to repeat."""
    from backend import connecting

    with _studio() as (config, store, studio):
        for line in connecting.connect(studio, store, config, project):
            out.print(f"- {line}", highlight=False)
        _wake(config)
    out.print(f"Undo with: equipoise disconnect --project {project}", highlight=False)


@app.command()
def disconnect(
    project: ProjectOption,
    delete_predictions: Annotated[bool, typer.Option(help="Delete our predictions.")] = False,
) -> None:
    """Take back what `connect` did; rounds and scores stay in the store."""
    from backend import connecting

    with _studio() as (config, store, studio):
        lines = connecting.disconnect(
            studio, store, config, project, predictions=delete_predictions
        )
        for line in lines:
            out.print(f"- {line}", highlight=False)


@app.command()
def doctor(project: ProjectOption) -> None:
    """Check every condition under which Label Studio silently does no active learning."""
    from backend.doctor import examine

    with _studio() as (config, store, studio):
        checks = examine(studio, store, config, project)
    for check in checks:
        mark = "[green]ok[/green]  " if check.ok else "[red]FAIL[/red]"
        if not check.ok and check.warning:
            mark = "[yellow]note[/yellow]"
        fix = "" if check.ok else f"\n       fix: {check.fix}"
        out.print(f"{mark} {check.name}: {check.found}{fix}", highlight=False, soft_wrap=True)
    if any(not check.ok and not check.warning for check in checks):
        raise typer.Exit(1)


@app.command()
def retrain(project: ProjectOption) -> None:
    """Ask for a round of training now."""
    _request(project, "train", {})


@app.command()
def rank(
    project: ProjectOption,
    strategy: Annotated[str | None, typer.Option(help="Default: the project's.")] = None,
    batch: Annotated[int | None, typer.Option(help="Tasks chosen together.")] = None,
    publish: Annotated[bool, typer.Option(help="Put the ranking into the queue.")] = True,
) -> None:
    """Rank the pool again with the model there is."""
    wish: dict[str, Any] = {"strategy": strategy, "batch": batch}
    options = {name: value for name, value in wish.items() if value is not None}
    _check_options(options)
    _request(project, "rank", {**options, "dry": not publish})


@app.command()
def export(
    project: ProjectOption,
    to: Annotated[Path, typer.Option("--out", help="A .parquet, .csv or .jsonl file.")],
    version: Annotated[str | None, typer.Option(help="Default: the version that serves.")] = None,
) -> None:
    """Write the whole pool's scores, with what explains them."""
    from backend.exporting import export as write

    with _store() as (_, store):
        count = write(store, project, to, version)
    out.print(f"{count} tasks written to {to}", highlight=False)


@app.command()
def encoders(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List what can look at each kind of input, what it costs here, and what the rest would need.

    Each is timed for a moment; the seconds are for 1,000 values, with the weights loaded.
    """
    from model.encoders.available import missing_packages, survey

    offers, missing = survey(), missing_packages()
    if as_json:
        print(json.dumps({"encoders": [asdict(o) for o in offers], "missing": missing}, indent=2))
        return
    table = Table("input", "encoder", "s per 1,000", "sees, or needs")
    for offer in offers:
        seconds = "" if offer.seconds is None else f"{offer.seconds:.1f}"
        table.add_row(offer.kind, offer.name, seconds, offer.lacks or ", ".join(offer.views))
    out.print(table)
    for line in missing:
        out.print(f"would see more: {line}", highlight=False, soft_wrap=True)


@app.command()
def status(
    project: Annotated[int | None, typer.Option("--project", help="Default: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what serves, what runs and what is in force."""
    from backend.status import status as state_of

    with _store() as (config, store):
        ids = [project] if project is not None else [p.id for p in store.projects()]
        states = [state_of(store, config, found) for found in ids]
    if as_json:
        print(json.dumps(states if project is None else states[0], indent=2))
        return
    for state in states:
        _print_state(state)
    if not states:
        out.print("No project yet: equipoise connect --project ID")


@app.command()
def rounds(project: ProjectOption) -> None:
    """Show a project's rounds: state, cause, durations, metrics, errors."""
    from backend.status import history

    with _store() as (_, store):
        found = history(store, project)
    table = Table("version", "state", "cause", "labels", "pool", "held-out", "seconds", "error")
    for row in found:
        accuracy = "" if row["accuracy"] is None else f"{row['accuracy']:.3f}"
        table.add_row(
            row["version"],
            row["state"],
            row["cause"],
            str(row["labels"]),
            str(row["pool"]),
            accuracy,
            f"{row['seconds']:.1f}",
            row["error"],
        )
    out.print(table)


@app.command("set")
def set_options(
    project: ProjectOption,
    strategy: Annotated[str | None, typer.Option()] = None,
    batch: Annotated[int | None, typer.Option()] = None,
    retrain_after: Annotated[int | None, typer.Option()] = None,
    publish: Annotated[int | None, typer.Option()] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    preset: Annotated[str | None, typer.Option()] = None,
    clear: Annotated[bool, typer.Option(help="Forget earlier `set`s first.")] = False,
) -> None:
    """Change a project's settings; they win over every other source."""
    wish: dict[str, Any] = {
        "strategy": strategy,
        "batch": batch,
        "retrain_after": retrain_after,
        "publish": publish,
        "seed": seed,
        "preset": preset,
    }
    options = {name: value for name, value in wish.items() if value is not None}
    _check_options(options)
    with _store() as (config, store):
        old = {} if clear else dict(store.project(project).overrides)
        store.save_project(project, overrides={**old, **options})
        _wake(config)
    out.print(f"Set: {options or 'nothing'}", highlight=False)


@app.command()
def cancel(project: ProjectOption) -> None:
    """Cancel the running round; the version that serves stays."""
    with _store() as (config, store):
        store.project(project)
        found = store.cancel(project)
        _wake(config)
    out.print(f"Cancelled {found.version}." if found else "No round is running.")


@app.command()
def rollback(
    project: ProjectOption,
    to: Annotated[str, typer.Option("--to", help="A version that `equipoise rounds` shows.")],
) -> None:
    """Let an earlier round serve again, until the next one is finished."""
    from backend import rollback as rolling

    with _studio() as (config, store, studio):
        for line in rolling.rollback(studio, store, config, project, to):
            out.print(f"- {line}", highlight=False)
        _wake(config)


@app.command()
def backup(
    to: Annotated[Path, typer.Option("--out", help="The archive to write, a .tar file.")],
) -> None:
    """Write the store and its rounds' files to one archive; the server may go on."""
    from backend import backup as archives

    with _store() as (config, store):
        for line in archives.backup(config, store, to):
            out.print(f"- {line}", highlight=False, soft_wrap=True)


@app.command()
def restore(archive: Annotated[Path, typer.Argument(help="What `backup` wrote.")]) -> None:
    """Put an archive's store and files into the empty data_dir."""
    from backend import backup as archives

    for line in archives.restore(settings(), archive):
        out.print(f"- {line}", highlight=False, soft_wrap=True)


def _check_options(options: dict[str, Any]) -> None:
    try:
        ProjectSettings(**options)
    except ValueError as error:
        raise EquipoiseError(str(error)) from error


def _request(project: int, kind: str, options: dict[str, Any]) -> None:
    from backend.tables import Kind

    with _store() as (config, store):
        store.project(project)
        store.request(project, Kind(kind), "requested on the command line", **options)
        running = _wake(config)
    where = "starts now" if running else f"starts when `equipoise serve` runs at {config.url}"
    out.print(f"Requested: {kind}; it {where}. See `equipoise status --project {project}`.")


def _wake(config: Settings) -> bool:
    """Tell the running server to look at the store; False when none answers."""
    try:
        url = f"http://{config.host}:{config.port}/api/wake"
        httpx.post(url, auth=config.basic_auth, timeout=2, trust_env=False).raise_for_status()
    except httpx.HTTPError:
        return False
    return True


@contextmanager
def _store() -> Iterator[tuple[Settings, Any]]:
    from backend.store import open_store

    config = settings()
    store = open_store(config)
    try:
        yield config, store
    finally:
        store.close()


@contextmanager
def _studio() -> Iterator[tuple[Settings, Any, Any]]:
    from backend.labelstudio import LabelStudio

    with _store() as (config, store), LabelStudio(config.label_studio_url, config.key) as studio:
        yield config, store, studio


def _print_state(state: dict[str, Any]) -> None:
    out.print(f"[bold]{state['title']}[/bold] (project {state['project']})", highlight=False)
    lines = {
        "connected": "yes" if state["connected"] else "no",
        "now": state["state"]
        + (
            f" {state['progress']['done']}/{state['progress']['total']}"
            if state["progress"]
            else ""
        ),
        "serves": (state["version"] or "nothing yet")
        + (" (rolled back)" if state["rolled_back"] else ""),
        "strategy": state["strategy"],
        "labels": f"{state['labels']} in the last round, {state['new_labels']} new since",
        "settings": ", ".join(f"{k}={v}" for k, v in state["settings"].items()),
        "contribution": ", ".join(
            f"{name} {value:.0%}" for name, value in state.get("contributions", {}).items()
        ),
        "absent media": ", ".join(f"{n} x {r}" for r, n in state.get("absent_media", {}).items()),
        "enough labels?": state.get("stopping", {}).get("text", ""),
        "disk": ", ".join(
            f"{state['disk'][f'{name}_bytes'] / 1e6:,.0f} MB {text}"
            for name, text in {"free": "free", "cache": "cache", "rounds": "rounds"}.items()
        ),
        "problem": state["problem"],
        "last error": state["last_error"],
    }
    for name, value in lines.items():
        if value:
            out.print(f"  {name + ':':14}{value}", highlight=False, soft_wrap=True)


app.command()(cache)
app.command()(demo)

app.command()(simulate)
app.command("report")(report)


if __name__ == "__main__":
    main()
