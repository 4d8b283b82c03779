"""Label Studio's ML-backend protocol: /health, /setup, /predict, /webhook, /train, /versions.

Nothing here trains: /webhook and /train only note that something changed and wake the reconciler.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Annotated, Any

import structlog
from anyio import CapacityLimiter
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError

from backend.counters import PREDICT_SECONDS, WEBHOOKS
from backend.errors import EquipoiseError
from backend.labelstudio.config import parse
from backend.predictions.served import Serving
from backend.queue.fitting import strategy_for
from backend.rounds.loop import Reconciler
from backend.server.events import CHANGES, START, created, note, project_id
from backend.server.off_loop import HUNG_UP, json_list, while_waited_for
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Project, State

log = structlog.get_logger(__name__)
Json = dict[str, Any]
UP: Json = {"status": "UP", "model_class": "Equipoise"}
MAX_TASKS = 100_000
_AT_ONCE = 40
_UNCONFIRMED = 100
"""Projects that only /setup has named; a look, or `connect`, confirms them."""


def _listed(value: Any) -> Any:
    """Take one task for a list of one, as clients of label-studio-ml may post it."""
    return [value] if isinstance(value, dict) else value


class Loose(BaseModel):
    """A body whose unknown fields are kept out of the way."""

    model_config = ConfigDict(extra="allow")


class SetupBody(Loose):
    """What Label Studio posts to /setup."""

    project: str | int
    label_schema: str = Field("", alias="schema")
    extra_params: Any = None


class PredictBody(Loose):
    """What Label Studio posts to /predict."""

    tasks: Annotated[list[Json], BeforeValidator(_listed), Field(max_length=MAX_TASKS)]
    project: str | int | None = None
    label_config: str = ""


class WebhookBody(Loose):
    """What Label Studio posts to /webhook."""

    action: str = ""
    project: Any = None
    tasks: Any = None


def _project_of(body: PredictBody) -> int:
    """Return the project that /predict is about; 0, which none has, where nothing tells."""
    named = body.project or (body.tasks[0].get("project") if body.tasks else None)
    return project_id(named or 0)


class Protocol:
    """The endpoints that Label Studio calls."""

    def __init__(
        self, settings: Settings, store: Store, serving: Serving, reconciler: Reconciler
    ) -> None:
        """Remember what answers."""
        self._settings = settings
        self._store = store
        self._serving = serving
        self._reconciler = reconciler
        self._predicting = CapacityLimiter(_AT_ONCE)

    def register(self, app: FastAPI) -> None:
        """Add the routes to an application."""
        app.add_api_route("/health", self.health, methods=["GET"])
        app.add_api_route("/setup", self.setup, methods=["POST"])
        app.add_api_route("/predict", self.predict, methods=["POST"])
        app.add_api_route("/webhook", self.webhook, methods=["POST"], status_code=201)
        app.add_api_route("/train", self.train, methods=["POST"], status_code=201)
        app.add_api_route("/versions", self.versions, methods=["GET", "POST"])

    async def health(self) -> Json:
        """Answer at once, whatever else goes on: not even a thread has to be free."""
        return UP

    def setup(self, body: SetupBody) -> Json:
        """Check the config, note extra params, name the version that serves. Loads nothing."""
        project = project_id(body.project)
        config = parse(body.label_schema)
        self._store.note_created(project, created(body.project))
        fields: Json = {"label_config": body.label_schema}
        if isinstance(body.extra_params, dict):
            self._settings.for_project(project, body.extra_params, {})
            fields["extra_params"] = body.extra_params
        elif body.extra_params not in (None, ""):
            raise EquipoiseError('Extra params must be a JSON object, like {"strategy": "grace"}.')
        known = {found.id: found for found in self._store.projects()}.get(project)
        extra = fields.get("extra_params", known.extra_params if known else {})
        overrides = known.overrides if known else {}
        owner = Project(id=project, extra_params=extra, overrides=overrides)
        strategy_for(self._settings, owner, config)
        if known is None and self._too_many():
            log.warning("setup not noted: too many projects wait", project=project)
        elif known is None or any(getattr(known, k) != v for k, v in fields.items()):
            try:
                self._store.save_project(project, **fields)
            except SQLAlchemyError as error:  # on a full disk what serves goes on serving
                log.warning("setup not stored", project=project, reason=str(error)[:200])
            self._reconciler.wake()
        self._store.note_created(project, created(body.project))
        return {"model_version": self._serving.version(project)}

    def _too_many(self) -> bool:
        """Tell whether so many projects wait for being connected that somebody makes them up."""
        waiting = [p for p in self._store.projects() if not p.connected and p.current is None]
        return len(waiting) >= _UNCONFIRMED

    async def predict(self, body: PredictBody, request: Request) -> Response:
        """Return one prediction per task, in order; stop where the caller hangs up."""
        project = _project_of(body)

        def work(gone: Future[None]) -> Response:
            found = self._serving.predict(project, body.tasks, body.label_config, gone)
            return json_list("results", found)

        with PREDICT_SECONDS.time():
            # Threads of its own: those of /setup and /webhook, which have 3 seconds, stay free.
            answer = await while_waited_for(request, work, self._predicting)
        return answer or Response(status_code=HUNG_UP)

    def webhook(self, body: WebhookBody) -> Json:
        """Note that something changed, or that training is wanted."""
        self._reconciler.hint()  # Label Studio is alive
        WEBHOOKS.labels(action=body.action if body.action in CHANGES else "other").inc()
        if note(self._store, body.action, body.project, body.tasks):
            self._reconciler.wake()
        return {}

    def train(self, body: WebhookBody) -> Json:
        """Serve Label Studio before 1.13, which posts here instead of START_TRAINING."""
        return self.webhook(WebhookBody(action=START, project=body.project))

    def versions(self, project: str = "") -> Json:
        """Return finished versions, newest first."""
        names = [
            found.version
            for owner in self._store.projects()
            if not project or owner.id == project_id(project)
            for found in self._store.rounds(owner.id)
            if found.state == State.DONE and not found.options.get("dry")
        ]
        return {"versions": names[::-1]}
