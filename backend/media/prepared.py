"""Tasks -> prepared inputs: the one place where media source, feature cache and encoders meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import LabelConfig
from backend.media.decode_log import DecodeLog
from backend.media.task_media import MediaSource
from backend.settings import Settings
from model.cache import FeatureCache
from model.options import Preparation
from model.preparation import Inputs, Progress, prepare
from model.sample import Sample


class _Samples(Sequence[Sample]):
    """Samples of tasks, made when they are looked at: so many values need not be held at once."""

    def __init__(
        self, tasks: Sequence[dict[str, Any]], sample: Callable[[dict[str, Any]], Sample]
    ) -> None:
        self._tasks = tasks
        self._sample = sample

    def __len__(self) -> int:
        return len(self._tasks)

    @overload
    def __getitem__(self, at: int) -> Sample: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Sample]: ...

    def __getitem__(self, at: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(at, slice):
            return _Samples(self._tasks[at], self._sample)
        return self._sample(self._tasks[at])


def prepared(
    tasks: Sequence[dict[str, Any]],
    config: LabelConfig,
    preparation: Preparation,
    *,
    project: int,
    studio: LabelStudio,
    settings: Settings,
    decode_log: DecodeLog,
    attempts: int = 3,
    suspects: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
    cache: FeatureCache | None = None,
) -> Inputs:
    """Fetch, decode and encode what the feature cache does not hold yet.

    Args:
        tasks: N tasks as Label Studio shows them.
        config: which of their values are modalities.
        preparation: names the encoders.
        project: whose tasks they are.
        studio: Label Studio, for its media.
        settings: other hosts, limits, and the folder of the cache.
        decode_log: this process's, opened.
        attempts: tries of a file on Label Studio when it does not answer.
        suspects: whether files that may have crashed a process are decoded.
        workers: decoding threads; None: the setting.
        progress: called with (stage, done, total).
        cache: None: this machine's alone.
    """
    source = MediaSource(
        studio,
        settings,
        attempts=attempts,
        project=project,
        decode_log=decode_log,
        suspects=suspects,
    )
    return prepare(
        _Samples(tasks, lambda task: source.sample(task, config)),
        config.schema,
        preparation,
        cache or FeatureCache(settings.cache),
        workers=workers or settings.workers,
        progress=progress,
    )
