"""Values -> HTML: every value is escaped, whoever wrote it."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""Sent with every page: scripts are our own files, and nothing comes from elsewhere."""


def _percent(value: float) -> str:
    return f"{100 * value:.0f}%"


def _figure(value: list[float], name: str = "accuracy") -> str:
    if name == "mae":
        return f"{value[0]:.3g} ({value[1]:.3g} to {value[2]:.3g})"
    return f"{_percent(value[0])} ({_percent(value[1])} to {_percent(value[2])})"


_ENVIRONMENT = Environment(
    loader=PackageLoader("backend.page"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(percent=_percent, figure=_figure)


def render(name: str, **values: Any) -> str:
    """Fill a template."""
    return _ENVIRONMENT.get_template(name).render(**values)


def static(name: str) -> str:
    """Return a file that pages load."""
    return (files("backend.page") / "static" / name).read_text(encoding="utf-8")
