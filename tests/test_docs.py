"""The documentation is about the code that is here: settings, commands, links, examples."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import typer
from prometheus_client import REGISTRY
from pydantic import BaseModel

from backend import counters
from backend.commands.main import app
from backend.server import metrics
from backend.settings import ProjectSettings, Settings
from strategies import STRATEGIES, Pool

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


# Settings


def default_of(model: type[BaseModel], name: str) -> str:
    """Return a field's default as the page writes it."""
    value = model.model_fields[name].get_default(call_default_factory=True)
    if value is None:
        return "none"
    return f"`{json.dumps(str(value) if isinstance(value, Path) else value)}`"


def test_the_settings_page_names_every_setting_with_its_default() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    shown = re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \|$", text, re.MULTILINE)
    own = list(ProjectSettings.model_fields)
    server = [name for name in Settings.model_fields if name not in own]
    expected = [(name, default_of(Settings, name)) for name in server]
    expected += [(name, default_of(ProjectSettings, name)) for name in own]
    assert sorted(shown) == sorted(expected)


def test_the_readme_shows_defaults_as_they_are() -> None:
    section = (ROOT / "README.md").read_text().split("## Settings")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \*? ?\| `?([^|`]*)`? \|", section, re.MULTILINE)
    assert len(rows) >= 8
    for name, shown in rows:
        model = ProjectSettings if name in ProjectSettings.model_fields else Settings
        default = default_of(model, name).strip("`").strip('"')
        if shown.strip() and default != "none":
            assert shown.strip() == default, name


@every_page
def test_variables_are_settings(page: Path) -> None:
    known = {f"EQUIPOISE_{name.upper()}" for name in Settings.model_fields}
    known |= {"EQUIPOISE_NAME", "EQUIPOISE_TEST_DATA", "EQUIPOISE_FAULTS_COUNTS"}
    used = set(re.findall(r"EQUIPOISE_[A-Z_]*[A-Z]", page.read_text()))
    assert used <= known


def test_toml_examples_are_read_as_settings(tmp_path: Path, monkeypatch: Any) -> None:
    blocks = [b for page in PAGES for b in re.findall(r"```toml\n(.*?)```", page.read_text(), 16)]
    assert blocks
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        Path("equipoise.toml").write_text(block)
        read = Settings()
        for project in tomllib.loads(block).get("projects", {}):
            read.for_project(int(project), {}, {})


# Commands


def shell_lines(text: str) -> Iterator[str]:
    """Yield the lines of shell blocks, and what is set in code within sentences."""
    outside = re.sub(r"^[ ]*```.*?^[ ]*```", "", text, flags=re.MULTILINE | re.DOTALL)
    for block in re.findall(r"^[ ]*```sh\n(.*?)^[ ]*```", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    yield from (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", outside))


def equipoise_commands(text: str) -> list[list[str]]:
    """Return the arguments of every `equipoise ...` that a text tells people to run."""
    found = []
    for line in shell_lines(text):
        line = re.sub(r"^\s*(docker compose exec equipoise|\$\(UV\) run( --no-dev)?) ", "", line)
        words = shlex.split(line) if line.strip().startswith("equipoise ") else []
        if len(words) > 1 and re.fullmatch(r"[a-z-]+", words[1]):
            found.append(words[1:])
    return found


@every_page
def test_commands_and_their_options_exist(page: Path) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    for name, *arguments in equipoise_commands(page.read_text()):
        assert name in group.commands, name
        command = group.commands[name]
        options = {word for p in command.params for word in (*p.opts, *p.secondary_opts)}
        used = {word for word in arguments if word.startswith("--")}
        assert used <= options, f"equipoise {name}"


def test_the_makefile_runs_commands_that_exist() -> None:
    text = (ROOT / "Makefile").read_text()
    names = set(re.findall(r"\bequipoise (\w+)", text))
    assert "demo" in names
    assert names <= set(typer.main.get_command(app).commands)
    targets = set(re.findall(r"^(\w+):", text, re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"`?make (\w+)", "\n".join(shell_lines(page.read_text())))) <= targets


def test_every_command_is_told_about() -> None:
    told = {words[0] for page in PAGES for words in equipoise_commands(page.read_text())}
    assert set(typer.main.get_command(app).commands) - told <= {"demo"}, "`make demo` runs that one"


# Links


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^[ ]*```.*?^[ ]*```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@every_page
def test_files_that_are_named_exist(page: Path) -> None:
    folders = "strategies|model|backend|experiments|benchmarks|tests|docs"
    for name in re.findall(rf"`((?:{folders})/[\w./-]*)`", page.read_text()):
        assert (ROOT / name).exists() or "NAME" in name, name


# Examples


def test_the_metrics_that_are_told_about_are_the_metrics_there_are() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    told = dict(re.findall(r"^\| `(equipoise_\w+)(?:\{(.*?)\})?` \|", text, re.MULTILINE))
    assert counters.WEBHOOKS  # declared where they are counted
    real = {
        f.name + ("_total" if f.type == "counter" else "")
        for f in REGISTRY.collect()
        if f.name.startswith("equipoise_") and not f.name.endswith("_created")
    } | {f"equipoise_{name}" for name in metrics.GAUGES}
    assert set(told) == real


def test_the_example_strategy_works(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    path = tmp_path / "rarest.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location("rarest", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pool = Pool(size=3, probabilities=np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]))
    selection = module.RAREST(pool, 1, np.random.default_rng(0))
    assert selection.order.tolist() == [2, 0, 1]


def test_the_changelog_names_every_strategy_and_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\n## {version} " in text
    plain = re.sub(r"[^a-z]", "", text.lower())
    ablations = {"grace_i", "grace_ir"}
    missing = [n for n in STRATEGIES if n not in ablations and n.replace("_", "") not in plain]
    assert not missing
