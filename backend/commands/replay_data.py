"""The data of a replay as the command line names them: sets, manifests, exports, projects."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from backend.labelstudio.annotations import label_arrays, read_task
from backend.labelstudio.config import LabelConfig, parse
from backend.settings import settings
from experiments import manifest
from experiments.dataset import DataError, Dataset, split_at_random, usable
from experiments.sets import SETS, named
from model.sample import RawValue, Sample
from model.schema import ModalityKind

Json = dict[str, Any]
LEAST_TASKS = 50


@dataclass(frozen=True)
class Source:
    """Where the data of a replay are, as the command line names them."""

    data: str | None
    project: int | None
    root: Path | None
    columns: str | None
    label_config: Path | None
    test_share: float


def read_source(source: Source) -> Dataset:
    """Read the data that the command line names.

    Raises:
        DataError: nothing or two things are named, or the data are unusable.
    """
    if (source.data is None) == (source.project is None):
        raise DataError("name either --data or --project")
    if source.project is not None:
        return read_project(source.project, source.test_share)
    spec = source.data or ""
    path = Path(spec)
    if path.suffix == ".json":
        if source.label_config is None:
            raise DataError(
                "a Label Studio export does not hold the label config: save it from Settings > "
                "Labeling Interface > Code and pass it with --label-config"
            )
        return read_export(path, source.label_config, source.root, source.test_share)
    if path.suffix in (".csv", ".jsonl"):
        if source.columns is None:
            raise DataError("a manifest needs --columns, e.g. photo=image,mood=choice")
        return manifest.read(
            path, manifest.Columns.read(source.columns), source.root, source.test_share
        )
    if source.root is None:
        raise DataError(f"--root must name the folder that holds {', '.join(SETS)}")
    return named(spec, source.root)


def read_project(project: int, share: float) -> Dataset:
    """Read a project's annotated tasks through the API; nothing in the project is changed."""
    from backend.labelstudio.client import LabelStudio
    from backend.media.task_media import MediaSource

    config = settings()
    # The connection stays open: media are fetched while the samples are prepared.
    studio = LabelStudio.of(config)
    remote = studio.project(project)
    parsed = parse(remote["label_config"])
    media = MediaSource(studio, config)
    return _dataset(
        f"project-{project}",
        f"Annotated tasks of project {project}, {remote['title']!r}",
        list(studio.annotated(project)),
        parsed,
        lambda task: media.sample(task, parsed),
        share,
    )


def read_export(path: Path, label_config: Path, root: Path | None, share: float) -> Dataset:
    """Read a JSON export; media are files below `root`."""
    try:
        tasks = json.loads(path.read_text(encoding="utf-8"))
        text = label_config.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a Label Studio JSON export: {error}") from error
    parsed = parse(text)
    if not isinstance(tasks, list) or not all(
        isinstance(task, dict) and isinstance(task.get("data"), dict) for task in tasks
    ):
        raise DataError(
            f"{path} is not a Label Studio JSON export, a list of tasks with data and annotations; "
            "choose JSON (not JSON-MIN) when exporting"
        )
    home = (root or path.parent).resolve()
    return _dataset(
        path.stem,
        f"Annotated tasks of {path.name}",
        [{**task, "id": number} for number, task in enumerate(tasks)],
        parsed,
        lambda task: _exported(task["data"], parsed, home),
        share,
    )


def _exported(data: Mapping[str, Any], config: LabelConfig, home: Path) -> Sample:
    return {
        modality.key: _exported_value(data.get(modality.key), modality.kind, home)
        for modality in config.schema.modalities
    }


def _exported_value(value: Any, kind: ModalityKind, home: Path) -> RawValue:
    if value is None or value == "":
        return None
    if kind is ModalityKind.TEXT:
        return str(value)
    if isinstance(value, list):
        return value if kind is ModalityKind.SEQUENCE else None
    return manifest.file_reference(_local_name(str(value), home), home)


def _local_name(address: str, home: Path) -> str:
    """Return the file an address in an export stands for: the longest path end below `home`."""
    try:
        parts = urlsplit(address)
        query = parse_qs(parts.query).get("d")  # /data/local-files/?d=folder/file
        steps = unquote(query[0] if query else parts.path).strip("/").split("/")
        for start in range(len(steps)):
            if ".." not in steps[start:] and (home / "/".join(steps[start:])).is_file():
                return "/".join(steps[start:])
    except (OSError, ValueError):  # no address, or nothing that a file can be called
        return address
    return steps[-1]


def _dataset(
    name: str,
    title: str,
    tasks: Sequence[Json],
    config: LabelConfig,
    sample: Callable[[Json], Sample],
    share: float,
) -> Dataset:
    found = [(task, said) for task in tasks if (said := read_task(task, config)) is not None]
    labels = label_arrays([said for _, said in found], config.schema.targets)
    known = usable(config.schema, labels)
    if len(known) < LEAST_TASKS:
        raise DataError(
            f"{len(known)} tasks are labelled with {config.schema.multimodal.name!r}; a replay "
            f"needs at least {LEAST_TASKS}"
        )
    train, test = split_at_random(known, share)
    samples = tuple(sample(task) for task, _ in found)
    return Dataset(name, title, samples, labels, config.schema, train, test)
