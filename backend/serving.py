"""Answers to /predict: from the current ranking where the task is ranked, else from the model.

Per project one immutable `Served` value, swapped whole when a new round is committed, so that a
request sees either the old version or the new one and never waits for a load.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import structlog

from backend import ranking
from backend.annotations import prediction_result
from backend.circuit import Circuit
from backend.journal import Journal
from backend.labelconfig import LabelConfig, parse
from backend.labelstudio import LabelStudio
from backend.media import MediaSource
from backend.metrics import NOT_PREDICTED
from backend.publishing import UNRANKED
from backend.settings import Settings
from backend.store import INITIAL_VERSION, Store
from backend.tables import Round
from model import checkpoint
from model.cache import FeatureCache
from model.model import Model
from model.preparation import prepare
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
        self.circuit = Circuit()
        self._journal = Journal(store.decoding)
        self._opened = ExitStack()
        self._noting = False
        self._served: dict[int, Served] = {}
        self._models: dict[str, Model] = {}
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
        served = self._served.get(project)
        if served is not None and served.round.id == current.id:
            return served
        with self._loading:
            try:
                table = ranking.load(self._store.ranking(current))
            except (OSError, pa.ArrowInvalid) as error:
                # The reconciler makes a new one; until then nobody waits, and nobody sees an error.
                log.warning("no ranking", version=current.version, reason=str(error)[:200])
                return None
            tasks = table.column("task").to_pylist()
            fresh = Served(
                current,
                {int(task): row for row, task in enumerate(tasks)},
                table.column("queue_score").to_numpy(),
                ranking.outputs_of(table),
            )
            with self._lock:
                self._served[project] = fresh
        return fresh

    def warm(self, project: int) -> None:
        """Load ranking and model ahead of the first request."""
        served = self.refresh(project)
        if served is not None and served.round.checkpoint:
            self._model(served.round)

    def predict(self, project: int, tasks: Sequence[Json], label_config: str) -> list[Json]:
        """Return one prediction per task, in order; broken tasks get an empty one.

        Args:
            project: project id.
            tasks: tasks as Label Studio posts them.
            label_config: the config Label Studio has now; answers use its controls only.
        """
        served = self.refresh(project)
        if served is None:
            return [_item([], UNRANKED, self.version(project)) for _ in tasks]
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
            found = self._in_time(served.round, [tasks[i] for i in unknown], config)
            for position, result in zip(unknown, found, strict=True):
                items[position] = _item(result, UNRANKED, version)
        return [item or _item([], UNRANKED, version) for item in items]

    def _in_time(
        self, found: Round, tasks: Sequence[Json], config: LabelConfig
    ) -> list[list[Json]]:
        """Compute predictions, or give up: an annotator waits, and none is better than an error.

        The work is done in a thread of its own that is left behind when the time is over: what is
        stuck in it (a decoder, a slow host) costs its own tasks only.
        """
        box: Future[list[list[Json]]] = Future()

        def work() -> None:
            try:
                box.set_result(self._on_the_fly(found, tasks, config))
            except Exception as error:
                box.set_exception(error)

        threading.Thread(target=work, name="on-the-fly", daemon=True).start()
        limit = self._settings.predict_timeout * (1 + (len(tasks) - 1) / 10)
        try:
            return box.result(timeout=min(limit, _LONGEST))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:300]
            NOT_PREDICTED.labels(reason=type(error).__name__).inc(len(tasks))
            log.warning("no prediction", project=found.project, tasks=len(tasks), reason=reason)
            return [[] for _ in tasks]

    def _on_the_fly(
        self, found: Round, tasks: Sequence[Json], config: LabelConfig
    ) -> list[list[Json]]:
        model = self._model(found)
        self._note_decoding()
        with LabelStudio(
            self._settings.label_studio_url,
            self._settings.key,
            timeout=self._settings.predict_timeout,
            attempts=1,
            circuit=self.circuit,
        ) as studio:
            source = MediaSource(
                studio, self._settings, attempts=1, journal=self._journal, suspects=False
            )
            inputs = prepare(
                [source.sample(task, config) for task in tasks],
                config.schema,
                model.preset,
                FeatureCache(self._store.cache),
                workers=self._settings.workers,
            )
        outputs = model.predict(inputs)
        return [prediction_result(config, outputs, row) for row in range(len(tasks))]

    def _note_decoding(self) -> None:
        with self._lock:
            if not self._noting:
                self._noting = True
                atexit.register(self._opened.close)
                self._opened.enter_context(self._journal.open())

    def _model(self, found: Round) -> Model:
        with self._loading:
            if found.checkpoint not in self._models:
                folder = self._store.path(found.checkpoint)
                loaded = checkpoint.load(folder, device="cpu")
                owned = f"projects/{found.project}/"
                self._models = {
                    name: model
                    for name, model in self._models.items()
                    if not name.startswith(owned)
                }
                self._models[found.checkpoint] = loaded
            return self._models[found.checkpoint]


def _task_id(task: Any) -> int:
    value = task.get("id") if isinstance(task, Mapping) else None
    return value if isinstance(value, int) else -1


def _item(result: list[Json], score: float, version: str) -> Json:
    return {"result": result, "score": score, "model_version": version}
