"""The status page: one table per project, no script, no outside resource."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;color:#222}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;width:100%;margin:1rem 0;font-variant-numeric:tabular-nums}
td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd}
th{font-weight:600;color:#555}.bad{color:#a40000}.ok{color:#005a3c}.quiet{color:#666}
.bar{display:inline-block;height:.7rem;background:#0072b2;vertical-align:baseline}
"""


def page(projects: Sequence[tuple[dict[str, Any], Sequence[dict[str, Any]]]]) -> str:
    """Render every project's state and its last rounds."""
    body = "".join(_project(state, rounds) for state, rounds in projects)
    if not projects:
        body = "<p>No project yet. Run <code>equipoise connect --project ID</code>.</p>"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5>"
        f"<title>Equipoise</title><style>{_STYLE}</style><h1>Equipoise</h1>{body}</html>"
    )


def _project(state: dict[str, Any], rounds: Sequence[dict[str, Any]]) -> str:
    progress = state["progress"]
    doing = escape(str(state["state"]))
    if progress.get("total"):
        doing += f" {progress['done']}/{progress['total']}"
    problem = f"<p class=bad>{escape(state['problem'])}</p>" if state["problem"] else ""
    stopping = state.get("stopping", {}).get("text", "")
    hint = f"<p class=quiet>{escape(stopping)}</p>" if stopping else ""
    shares = "".join(
        f"<tr><td>{escape(name)}</td><td><span class=bar style='width:{200 * value:.0f}px'></span>"
        f" {100 * value:.0f}%</td></tr>"
        for name, value in state.get("contributions", {}).items()
    )
    contributions = (
        f"<table><tr><th>modality<th>mean contribution on the pool</tr>{shares}</table>"
        if shares
        else ""
    )
    rows = "".join(_round(found) for found in reversed(rounds[-10:]))
    return (
        f"<h2>{escape(state['title'] or 'Project')} (project {state['project']})</h2>"
        f"<p>Serving <b>{escape(str(state['version'] or 'nothing yet'))}</b>, strategy "
        f"{escape(state['strategy'])}, {state['new_labels']} labels since; now: {doing}.</p>"
        f"{hint}{problem}{contributions}"
        "<table><tr><th>version<th>state<th>cause<th>labels<th>pool<th>held-out accuracy"
        f"<th>seconds</tr>{rows}</table>"
    )


def _round(found: dict[str, Any]) -> str:
    state = found["state"]
    kind = {"done": "ok", "failed": "bad"}.get(state, "quiet")
    accuracy = found["accuracy"]
    error = f"<br><span class=bad>{escape(found['error'])}</span>" if found["error"] else ""
    return (
        f"<tr><td>{escape(found['version'])}<td class={kind}>{escape(state)}"
        f"<td>{escape(found['cause'])}{error}<td>{found['labels']}<td>{found['pool']}"
        f"<td>{'' if accuracy is None else f'{accuracy:.3f}'}<td>{found['seconds']:.1f}</tr>"
    )
