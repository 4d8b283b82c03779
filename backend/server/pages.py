"""The page's addresses: what is shown, and the few things that can be done there."""

from __future__ import annotations

import gzip
from functools import partial
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import Depends, FastAPI, Path, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from starlette.responses import Response

from backend.errors import EquipoiseError
from backend.labelstudio.client import LabelStudio
from backend.page import acceptance, views
from backend.page.errands import Errands, Tell
from backend.page.forms import ACTIONS, is_ours, token
from backend.page.pool_map import pool_map
from backend.page.render import HEADERS, render, static
from backend.page.verdict import Verdicts
from backend.queue.connect import connect
from backend.queue.rollback import rollback
from backend.rounds.loop import Reconciler
from backend.server.events import MAX_PROJECT
from backend.server.ml_backend import UP
from backend.settings import Settings
from backend.store.store import Store
from backend.store.tables import Kind

ProjectId = Annotated[int, Path(ge=1, le=MAX_PROJECT)]
_LONGEST = 10_000
SCRIPTS = ("map_groups.js", "map.js", "refresh.js")
_LONG = {
    "accept": "Accepting",
    "undo": "Taking back what was accepted",
    "connect": "Connecting again",
}
"""What takes longer than an answer may, and what it is called meanwhile."""
_KEPT = {"Cache-Control": "max-age=3600"}


async def _form(request: Request) -> dict[str, str]:
    """Read a form of this page: a few short fields."""
    body = (await request.body())[:_LONGEST].decode(errors="replace")
    return {name: values[0] for name, values in parse_qs(body).items()}


class Pages:
    """What people look at."""

    def __init__(self, settings: Settings, store: Store, reconciler: Reconciler) -> None:
        """Remember what is shown."""
        self._settings = settings
        self._store = store
        self._reconciler = reconciler
        self._verdicts = Verdicts(store, settings)
        self.errands = Errands()

    def register(self, app: FastAPI) -> None:
        """Add the routes to an application."""
        add = app.add_api_route
        shown: dict[str, Any] = {"methods": ["GET"], "response_class": HTMLResponse}
        add("/", self.projects, **shown)
        add("/page.css", self.css, methods=["GET"], response_class=PlainTextResponse)
        add("/icon.svg", self.icon, methods=["GET"], response_class=PlainTextResponse)
        for name in SCRIPTS:
            add(f"/static/{name}", partial(self.script, name), methods=["GET"], name=name)
        add("/projects/{project}", self.project, **shown)
        add("/projects/{project}/map", self.map, methods=["GET"], response_class=JSONResponse)
        add("/projects/{project}/confirm/{action}", self.confirm, **shown)
        add("/projects/{project}/{action}", self.act, methods=["POST"], response_class=HTMLResponse)

    def projects(self, request: Request) -> Response:
        """Show all projects to a browser; anything else asks whether the server is up."""
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse(UP)
        found = views.overview(self._store, self._settings)
        return HTMLResponse(render("projects.html", projects=found), headers=HEADERS)

    def css(self) -> Response:
        """Return the style sheet."""
        return Response(static("page.css"), media_type="text/css", headers=_KEPT)

    def icon(self) -> Response:
        """Return the icon."""
        return Response(static("icon.svg"), media_type="image/svg+xml", headers=_KEPT)

    def script(self, name: str) -> Response:
        """Return a script of ours."""
        return Response(static(name), media_type="text/javascript", headers=_KEPT)

    def map(self, project: ProjectId, request: Request) -> Response:
        """Return where tasks lie on the plane, and what is known of each."""
        self._store.project(project)
        found = pool_map(self._store, project)
        if found is None:
            return JSONResponse({"detail": "This order has no map."}, 404)
        headers = {**HEADERS, "Vary": "Accept-Encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(gzip.decompress(found.packed), 200, headers, "application/json")
        headers["Content-Encoding"] = "gzip"
        return Response(found.packed, 200, headers, "application/json")

    def project(self, project: ProjectId) -> Response:
        """Show one project."""
        view = views.project_view(self._store, self._settings, project)
        self._verdicts.keep_fresh(project, view["state"])
        verdict = self._verdicts.of(project, view["state"])
        tokens = {name: token(self._settings, project, name) for name in ("check", "offer")}
        errand = self.errands.of(project)
        page = render("project.html", **view, verdict=verdict, tokens=tokens, errand=errand)
        return HTMLResponse(page, headers=HEADERS)

    def confirm(self, project: ProjectId, action: str, to: str = "") -> Response:
        """Ask whether an action is meant."""
        self._store.project(project)
        if action not in ACTIONS:
            return PlainTextResponse("There is no such action.", 404)
        page = render(
            "confirm.html",
            project=project,
            action=ACTIONS[action],
            to=to,
            token=token(self._settings, project, action, to),
        )
        return HTMLResponse(page, headers=HEADERS)

    def act(
        self, project: ProjectId, action: str, form: Annotated[dict[str, str], Depends(_form)]
    ) -> Response:
        """Do what a form of this page asks for, and show the project again."""
        to = form.get("to", "")
        if action not in ACTIONS:
            return PlainTextResponse("There is no such action.", 404)
        if not is_ours(self._settings, project, action, to, form.get("token", "")):
            return PlainTextResponse("This form is not one of this page: load it again.", 403)
        self._store.project(project)
        try:
            if action == "offer":
                return self._offer(project, form.get("error", ""))
            self._do(project, action, to)
        except EquipoiseError as error:
            page = render("refused.html", project=project, reason=str(error))
            return HTMLResponse(page, 409, headers=HEADERS)
        return RedirectResponse(f"/projects/{project}", 303)

    def _offer(self, project: int, error: str) -> Response:
        """Show what would be accepted; nothing is written."""
        share = acceptance.allowed(error)
        found = acceptance.look(self._store, self._settings, project, share)
        own = token(self._settings, project, "accept", found["to"])
        page = render("offer.html", project=project, token=own, **found)
        return HTMLResponse(page, headers=HEADERS)

    def _do(self, project: int, action: str, to: str) -> None:
        if action == "check":
            self._verdicts.check(project)
        elif action == "retrain":
            self._store.request(project, Kind.TRAIN, "requested on the page")
        elif action == "cancel":
            self._reconciler.cancel(project)
        elif action in _LONG:
            self._begin(project, action, to)
        else:
            with LabelStudio.of(self._settings) as studio:
                rollback(studio, self._store, self._settings, project, to)
        self._reconciler.wake()

    def _begin(self, project: int, action: str, to: str) -> None:
        """Start what takes longer than an answer may."""

        def work(tell: Tell) -> str:
            if action == "accept":
                said = acceptance.accept(self._store, self._settings, project, to, tell)
            elif action == "connect":
                said = self._connect(project)
            else:
                said = acceptance.undo(self._store, self._settings, project, tell)
            self._reconciler.wake(everything=True)
            return said

        self.errands.start(project, _LONG[action], work)

    def _connect(self, project: int) -> str:
        try:
            with LabelStudio.of(self._settings) as studio:
                *_, last = connect(studio, self._store, self._settings, project)
        finally:
            self._verdicts.forget(project)
        return f"the project {last}"
