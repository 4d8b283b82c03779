"""The project templates that Label Studio ships: what each comes to, as docs/templates.md.

`python -m tests.backend.labelstudio.templates` writes that page from the Label Studio installed
for the demo.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from backend.labelstudio.config import LabelConfig, Level, parse
from demo.installation import LABEL_STUDIO_VERSION, Installation

SHORT = ("Text Classification", "Object Detection with Bounding Boxes", "Machine Translation")
"""Played by `make test`: one of each level."""
PLAYED = (
    *SHORT,
    "Image Classification",
    "Signal Quality Detection",
    "Video Classification",
    "Tabular Data",
    "Time Series Forecasting",
    "Pairwise classification",
    "Taxonomy",
    "Intent Classification and Slot Filling",
    "Content Moderation",
    "PDF Classification",
    "Named Entity Recognition",
    "HTML Entity Recognition",
    "Sound Event Detection",
    "Activity Recognition",
    "Semantic Segmentation with Polygons",
    "Semantic Segmentation with Masks",
    "Video Frame Classification",
    "LLM Ranker",
    "Image Captioning",
    "Fine-Tune an Agent without an LLM",
)
"""Played by `make templates`, two rounds each on a real Label Studio."""

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "templates.md"
_HEAD = """# The templates of Label Studio

What Equipoise makes of each of the {count} project templates in Label Studio {version}, written by
`python -m tests.backend.labelstudio.templates` and held true by the tests beside it.

- **learned** ({learned}): a question is learned, pre-annotated, and orders the queue.
- **presence** ({presence}): which labels occur in a task is learned and orders the queue; nothing
  is pre-annotated.
- **coverage** ({coverage}): nothing can be learned from the answers; the order covers the pool.

Those **in bold** ({played}) are played by `make templates`, two rounds each on a real Label Studio
with tiny media: the queue serves the published order, no answer is invented, and undo leaves
nothing. Of the others the label config is read, and answers to it are checked, but nobody has
labelled in them.

| template | level | what is done | left out |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Template:
    """One template: folder, title and label configs (a second one may lie beside the first)."""

    name: str
    title: str
    configs: tuple[str, ...]


def templates() -> Iterator[Template]:
    """Yield the templates of the installed Label Studio, which is installed first if need be."""
    environment = Installation(ROOT / ".labelstudio").program().resolve().parents[1]
    (folder,) = environment.glob("lib/python3*/site-packages/label_studio/annotation_templates")
    for path in sorted(folder.glob("**/config.yml")):
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        beside = path.with_suffix(".xml")
        more = (beside.read_text(encoding="utf-8"),) if beside.is_file() else ()
        name = str(path.parent.relative_to(folder))
        yield Template(name, found["title"], (found["config"], *more))


def page() -> str:
    """Return docs/templates.md."""
    found = [(template, parse(template.configs[0])) for template in templates()]
    counts = Counter(config.level for _, config in found)
    numbers = {level.value: counts[level] for level in Level}
    head = _HEAD.format(
        count=len(found), version=LABEL_STUDIO_VERSION, played=len(PLAYED), **numbers
    )
    return head + "".join(_row(template, config) for template, config in found)


def _row(template: Template, config: LabelConfig) -> str:
    reasons: dict[str, list[str]] = {}
    for note in config.ignored:
        tag, _, reason = note.partition(": ")
        name = re.sub(r"<(\w+) name='(.*)'>", r"\2 (\1)", tag)
        reasons.setdefault(reason.partition("; equipoise=")[0], []).append(name)
    left_out = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
    title = f"**{template.title}**" if template.title in PLAYED else template.title
    cells = (title, config.level.value, config.sentence, left_out)
    return "| " + " | ".join(cell.replace("|", "\\|").strip() for cell in cells) + " |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
