"""The data of a replay as the command line names them: sets, manifests, exports, projects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.commands.exports import exported_file, read_tasks_of
from backend.labelstudio.annotations import read_tasks
from backend.labelstudio.config import LabelConfig, parse
from backend.labelstudio.votes import label_arrays
from backend.media.values import sample_of
from backend.settings import settings
from experiments import manifest
from experiments.columns import Columns
from experiments.dataset import DataError, Dataset, usable
from experiments.sets import SETS, is_published, named
from experiments.splitting import Split, at_random
from model.sample import Sample

Json = dict[str, Any]
LEAST_TASKS = 50


@dataclass(frozen=True)
class Source:
    """Where the data of a replay are, as the command line names them, and how they are split."""

    data: str | None
    project: int | None
    root: Path | None
    columns: str | None
    label_config: Path | None
    test_share: float
    split: str | None = None


def read_source(source: Source) -> Dataset:
    """Read the data that the command line names.

    Raises:
        DataError: nothing or two things are named, or the data are unusable.
    """
    if (source.data is None) == (source.project is None):
        raise DataError("name either --data or --project")
    split = None if source.split is None else Split.read(source.split)
    if source.project is not None:
        return read_project(source.project, source.test_share, split)
    spec = source.data or ""
    if split is not None and (is_published(spec) or spec.partition(":")[0] in SETS):
        raise DataError(f"--split: {spec} comes with a split of its own")
    if is_published(spec):
        return named(spec, source.root)
    path = Path(spec)
    if path.suffix in (".json", ".tsv") or (path.suffix == ".csv" and source.label_config):
        if source.label_config is None:
            raise DataError(
                "a Label Studio export does not hold the label config: save it from Settings > "
                "Labeling Interface > Code and pass it with --label-config"
            )
        return read_export(path, source.label_config, source.root, source.test_share, split)
    if path.suffix in (".csv", ".jsonl"):
        if source.columns is None:
            raise DataError(
                "a manifest needs --columns, e.g. photo=image,mood=choice; a Label Studio export "
                "needs --label-config"
            )
        columns = Columns.read(source.columns)
        return manifest.read(path, columns, source.root, source.test_share, split)
    if source.root is None:
        raise DataError(f"--root must name the folder that holds {', '.join(SETS)}")
    return named(spec, source.root)


def read_project(project: int, share: float, split: Split | None = None) -> Dataset:
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
        split,
    )


def read_export(
    path: Path, label_config: Path, root: Path | None, share: float, split: Split | None = None
) -> Dataset:
    """Read one of Label Studio's exports; media are files below `root`."""
    try:
        text = label_config.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{label_config} cannot be read: {error}") from error
    parsed = parse(text)
    home = (root or path.parent).resolve()
    return _dataset(
        path.stem,
        f"Annotated tasks of {path.name}",
        read_tasks_of(path, parsed),
        parsed,
        lambda task: sample_of(task["data"], parsed, lambda one: exported_file(one, home)),
        share,
        split,
    )


def _dataset(
    name: str,
    title: str,
    tasks: Sequence[Json],
    config: LabelConfig,
    sample: Callable[[Json], Sample],
    share: float,
    split: Split | None,
) -> Dataset:
    if not config.schema.targets:
        raise DataError(f"there is nothing to learn in {name}: {config.sentence}")
    answers = read_tasks(tasks, config)
    schema = config.schema.about(config.schema.multimodal)  # curves are of one question
    labels = label_arrays(answers.labelled, schema.targets)
    known = usable(schema, labels)
    if len(known) < LEAST_TASKS:
        unread = "; ".join(f"{n} x {reason}" for reason, n in answers.unread.most_common(3))
        raise DataError(
            f"{len(known)} tasks are labelled with {config.schema.multimodal.name!r}; a replay "
            f"needs at least {LEAST_TASKS}" + (f"; not understood: {unread}" if unread else "")
        )
    by_id = {int(task["id"]): task for task in tasks}
    data = [by_id[said.task]["data"] for said in answers.labelled]
    train, test = (
        at_random(known, share)
        if split is None
        else split.rows([one.get(split.column) for one in data], known)
    )
    samples = tuple(sample(by_id[said.task]) for said in answers.labelled)
    return Dataset(name, title, samples, labels, schema, train, test)
