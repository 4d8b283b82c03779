"""The report as one self-contained HTML page: no script, nothing loaded, prints well."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1d1d1f; background: #fff;
  max-width: 64rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin-bottom: .2rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .4rem; border-top: 1px solid #d0d0d5; padding-top: 1rem; }
.lead { color: #55555c; margin-top: 0; }
.verdict { border-left: 4px solid #0072b2; background: #f2f7fb; padding: .8rem 1.1rem; }
figure { margin: 1rem 0; break-inside: avoid; }
figure img { width: 100%; height: auto; display: block; }
figcaption { color: #55555c; font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; width: 100%; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid #e3e3e8;
  white-space: nowrap; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
th { border-bottom: 2px solid #9a9aa2; vertical-align: bottom; white-space: normal; }
tr.good td { font-weight: 600; } tr.base td { background: #f4f4f6; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .92rem; }
dt { color: #55555c; } dd { margin: 0; }
@media screen and (max-width: 44rem) { .wide img { width: 46rem; max-width: none; }
  dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
@media print { @page { margin: 14mm; } body { max-width: none; margin: 0; padding: 0;
  font-size: 10pt; } h2 { break-after: avoid; } .verdict { background: none; }
  .wide { overflow: visible; } table { font-size: 6.8pt; } th, td { padding: .2rem .25rem; }
  td:first-child { white-space: normal; overflow-wrap: anywhere; }
  tr, dt, dd { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Table:
    """Cells as text; `marks` holds a CSS class per row, or ""."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    marks: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """A heading with text, terms, a table and a picture; what is None or empty is left out."""

    title: str
    text: str = ""
    terms: Sequence[tuple[str, str]] = ()
    table: Table | None = None
    picture: Path | None = None
    caption: str = ""
    marked: bool = False


def render(title: str, lead: str, body: Sequence[Section]) -> str:
    """Return the page."""
    sections = "\n".join(_section(section) for section in body)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>"
        f'<h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>'
        f"\n{sections}\n</body></html>\n"
    )


def markdown(table: Table) -> str:
    """Return a table as Markdown, numbers to the right."""
    lines = ["| " + " | ".join(table.header) + " |"]
    lines.append("|" + "|".join(["---"] + ["---:"] * (len(table.header) - 1)) + "|")
    lines += [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table.rows
    ]
    return "\n".join(lines)


def _section(section: Section) -> str:
    parts = [f"<section><h2>{escape(section.title)}</h2>"]
    if section.text:
        kind = ' class="verdict"' if section.marked else ""
        parts.append(f"<p{kind}>{escape(section.text)}</p>")
    if section.table is not None:
        parts.append(_table(section.table))
    if section.terms:
        listed = (f"<dt>{escape(name)}</dt><dd>{escape(what)}</dd>" for name, what in section.terms)
        parts.append(f"<dl>{''.join(listed)}</dl>")
    if section.picture is not None:
        data = base64.b64encode(section.picture.read_bytes()).decode()
        parts.append(
            f'<figure><div class="wide"><img alt="{escape(f"{section.title}. {section.caption}")}" '
            f'src="data:image/png;base64,{data}"></div>'
            f"<figcaption>{escape(section.caption)}</figcaption></figure>"
        )
    parts.append("</section>")
    return "".join(parts)


def _table(table: Table) -> str:
    marks = table.marks or [""] * len(table.rows)
    head = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    rows = "".join(
        f'<tr class="{mark}">' + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row, mark in zip(table.rows, marks, strict=True)
    )
    body = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="wide"><table>{body}</table></div>'
