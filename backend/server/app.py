"""The HTTP server: Label Studio's protocol, a small API, /metrics and the status page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Annotated, Any

import structlog
from fastapi import FastAPI, Path, Request
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from backend.errors import EquipoiseError, NotConnected
from backend.media.thumbnails import Thumbnails
from backend.notices.notifier import Notifier
from backend.page.status import history, status
from backend.predictions.served import Serving
from backend.rounds.loop import Reconciler
from backend.server.access import BodyTooLarge, Gate
from backend.server.events import MAX_PROJECT
from backend.server.metrics import exposition
from backend.server.ml_backend import Protocol
from backend.server.off_loop import OffLoop
from backend.server.pages import Pages
from backend.server.shown_media import ShownMedia
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Kind

log = structlog.get_logger(__name__)
Json = dict[str, Any]
ProjectId = Annotated[int, Path(ge=1, le=MAX_PROJECT)]


def create_app(settings: Settings, store: Store) -> FastAPI:
    """Build the application around one store."""
    serving = Serving(store, settings)
    reconciler = Reconciler(store, settings, serving)
    thumbnails = Thumbnails(settings)
    notifier = Notifier(store, settings, reconciler.circuits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        reconciler.start()
        notifier.start()
        yield
        notifier.stop()
        reconciler.stop()
        serving.stop()
        thumbnails.stop()

    app = FastAPI(
        title="Equipoise",
        version=version("equipoise"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.thumbnails = thumbnails
    app.router.route_class = OffLoop
    app.add_middleware(
        Gate,
        auth=settings.basic_auth,
        max_body=settings.max_body_bytes,
        hosts=settings.own_hosts,
        public_url=settings.public_url,
        webhook_secret=settings.event_secret,
    )
    Protocol(settings, store, serving, reconciler).register(app)
    Pages(settings, store, reconciler).register(app)
    ShownMedia(store, thumbnails).register(app)
    _api(app, settings, store, reconciler)
    _errors(app)
    return app


def _api(app: FastAPI, settings: Settings, store: Store, reconciler: Reconciler) -> None:
    @app.get("/ready")
    def ready() -> Json:
        store.projects()
        return {"status": "READY"}

    @app.get("/metrics")
    def metrics() -> Response:
        told = exposition(store, settings, reconciler.circuits)
        return Response(told, media_type=CONTENT_TYPE_LATEST)

    @app.get("/api/projects")
    def projects() -> list[Json]:
        return [status(store, settings, owner.id) for owner in store.projects()]

    @app.get("/api/projects/{project}/status")
    def project_status(project: ProjectId) -> Json:
        return status(store, settings, project)

    @app.get("/api/projects/{project}/rounds")
    def rounds(project: ProjectId) -> list[Json]:
        return history(store, project)

    @app.post("/api/projects/{project}/retrain", status_code=202)
    def retrain(project: ProjectId) -> Json:
        store.project(project)
        store.request(project, Kind.TRAIN, "requested")
        reconciler.wake()
        return {"requested": "retrain"}

    @app.post("/api/projects/{project}/cancel", status_code=202)
    def cancel(project: ProjectId) -> Json:
        store.project(project)
        found = reconciler.cancel(project)
        return {"cancelled": found.version if found else None}

    @app.post("/api/wake", status_code=202)
    def wake() -> Json:
        """Look at every project now; the command line calls this after each change it made."""
        reconciler.wake(everything=True)
        return {}


def _errors(app: FastAPI) -> None:
    @app.exception_handler(NotConnected)
    def not_connected(_: Request, error: NotConnected) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 404)

    @app.exception_handler(EquipoiseError)
    def refused(_: Request, error: EquipoiseError) -> JSONResponse:
        log.warning("refused", reason=str(error))
        return JSONResponse({"detail": str(error)}, 400)

    @app.exception_handler(SQLAlchemyError)
    def store_down(_: Request, error: SQLAlchemyError) -> JSONResponse:
        log.error("store cannot be used", reason=str(error)[:300])
        detail = "The store cannot be used now: its disk may be full, or its server down."
        return JSONResponse({"detail": detail}, 503)

    @app.exception_handler(ValueError)
    def invalid(_: Request, error: ValueError) -> JSONResponse:
        return JSONResponse({"detail": str(error)[:1000]}, 400)

    @app.exception_handler(BodyTooLarge)
    def too_large(_: Request, error: BodyTooLarge) -> JSONResponse:
        return JSONResponse({"detail": "The body is larger than allowed."}, 413)
