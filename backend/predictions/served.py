"""Answers to /predict: from the current ranking where the task is ranked, else from its model.

Per project one immutable `Served` value, swapped whole when a new round is committed, so that a
request sees either the old version or the new one and never waits for a load. The model is in a
process of its own (backend/predictions/client.py); this one decodes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import structlog

from backend.counters import NOT_PREDICTED
from backend.errors import EquipoiseError
from backend.labelstudio.answers import prediction_result
from backend.labelstudio.config import parse
from backend.media.decode_log import DecodeLog
from backend.predictions.client import Unranked
from backend.queue.publish import UNRANKED
from backend.settings import Settings
from backend.store import rankings as ranking
from backend.store.bucket import Unreachable
from backend.store.store import INITIAL_VERSION, Store
from backend.store.tables import Round
from model.schema import Schema

log = structlog.get_logger(__name__)
Json = dict[str, Any]
_LONGEST = 90.0
"""Label Studio gives up after 100 seconds."""


@dataclass(frozen=True)
class Served:
    """One committed version, ready to answer.

    Attributes:
        round: the round.
        rows: task id -> row of the ranking.
        positions: (N,) queue scores.
        outputs: target name -> (N, K) or (N,) outputs by ranking row.
    """

    round: Round
    rows: Mapping[int, int]
    positions: np.ndarray[Any, Any]
    outputs: Mapping[str, np.ndarray[Any, Any]]


class Serving:
    """The versions this process serves. Thread-safe."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Start with nothing loaded."""
        self._store = store
        self._settings = settings
        self._unranked = Unranked(DecodeLog(settings.decoding), settings.decode_timeout)
        self._served: dict[int, Served] = {}
        self._lock = threading.Lock()
        self._loading = threading.Lock()

    def version(self, project: int) -> str:
        """Return the version that /setup names: the current round's."""
        current = self._store.current(project)
        return current.version if current else INITIAL_VERSION

    def refresh(self, project: int) -> Served | None:
        """Load the current round's ranking if it is not served yet, and return what is served."""
        current = self._store.current(project)
        if current is None:
            return None
        if (served := self._loaded(current)) is not None:
            return served
        with self._loading:
            if (served := self._loaded(current)) is not None:  # who came first has loaded it
                return served
            try:
                table = ranking.load_answers(self._store.ranking(current))
            except Unreachable as error:  # then the version before is better than none
                log.warning("no ranking", version=current.version, reason=str(error)[:200])
                return self._served.get(project)
            except (OSError, pa.ArrowInvalid) as error:
                # The reconciler makes a new one; until then nobody waits, and nobody sees an error.
                log.warning("no ranking", version=current.version, reason=str(error)[:200])
                return None
            fresh = Served(
                current,
                {task: row for row, task in enumerate(table.column("task").to_pylist())},
                ranking.numbers(table.column("queue_score")),
                ranking.outputs_of(table),
            )
            with self._lock:
                self._served[project] = fresh
        return fresh

    def _loaded(self, current: Round) -> Served | None:
        served = self._served.get(current.project)
        return served if served is not None and served.round.id == current.id else None

    def warm(self, project: int) -> bool:
        """Load ranking and model ahead of the first request; repeat it to hear how that went.

        Returns:
            Whether another version serves since.

        Raises:
            UnusableCheckpoint: the model cannot be loaded.
        """
        before = self._served.get(project)
        served = self.refresh(project)
        if served is not None and served.round.checkpoint:
            self._unranked.load(project, self._store.artifacts.bring(served.round.checkpoint))
        return served is not before

    def stop(self) -> None:
        """End the process that answers for tasks that are not ranked."""
        self._unranked.stop()

    def predict(
        self,
        project: int,
        tasks: Sequence[Json],
        label_config: str,
        gone: Future[None] | None = None,
    ) -> list[Json]:
        """Return one prediction per task, in order; broken tasks get an empty one.

        Args:
            project: project id.
            tasks: tasks as Label Studio posts them.
            label_config: the config Label Studio has now; answers use its controls only.
            gone: done once the caller has hung up.
        """
        served = self.refresh(project)
        if served is None:
            first = self.version(project)  # asked for once: 100,000 times take a minute
            return [_item([], UNRANKED, first) for _ in tasks]
        version = served.round.version
        config = parse(label_config)
        same = bool(served.round.schema) and not config.schema.changes_since(
            Schema.from_json(served.round.schema)
        )
        items: list[Json | None] = [None] * len(tasks)
        unknown: list[int] = []
        for position, task in enumerate(tasks):
            row = served.rows.get(_task_id(task))
            if row is None:
                unknown.append(position)
                continue
            result = prediction_result(config, served.outputs, row) if same else []
            items[position] = _item(result, float(served.positions[row]), version)
        if unknown and same and served.round.checkpoint:
            found = self._in_time(served.round, [tasks[i] for i in unknown], label_config, gone)
            for position, result in zip(unknown, found, strict=True):
                items[position] = _item(result, UNRANKED, version)
        return [item or _item([], UNRANKED, version) for item in items]

    def _in_time(
        self, found: Round, tasks: Sequence[Json], label_config: str, gone: Future[None] | None
    ) -> list[list[Json]]:
        """Ask for predictions, or give up: an annotator waits, and none is better than an error."""
        limit = self._settings.predict_timeout * (1 + (len(tasks) - 1) / 10)
        try:
            folder = self._store.artifacts.bring(found.checkpoint)  # `warm` has brought it
        except Unreachable as error:
            return _none(found, tasks, error)
        box = self._unranked.ask(found.project, folder, tasks, label_config)
        either: list[Future[Any]] = [box] if gone is None else [box, gone]
        try:
            wait(either, min(limit, _LONGEST), FIRST_COMPLETED)
            if gone is not None and gone.done():
                return [[] for _ in tasks]  # that nobody reads
            return box.result(timeout=0)
        except (EquipoiseError, TimeoutError, OSError) as error:
            return _none(found, tasks, error)
        finally:
            box.cancel()  # of no effect where it is answered


def _none(found: Round, tasks: Sequence[Json], error: Exception) -> list[list[Json]]:
    """Return no prediction for any task, and tell the log and /metrics why."""
    reason = f"{type(error).__name__}: {error}"[:300]
    NOT_PREDICTED.labels(reason=type(error).__name__).inc(len(tasks))
    log.warning("no prediction", project=found.project, tasks=len(tasks), reason=reason)
    return [[] for _ in tasks]


def _task_id(task: Any) -> int:
    value = task.get("id") if isinstance(task, Mapping) else None
    return value if isinstance(value, int) else -1


def _item(result: list[Json], score: float, version: str) -> Json:
    return {"result": result, "score": score, "model_version": version}
