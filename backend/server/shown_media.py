"""GET /projects/ID/tasks/TASK/media/N: pictures, sounds and texts of the tasks that are shown."""

from __future__ import annotations

import re
from concurrent.futures import Future
from typing import Annotated
from xml.sax.saxutils import escape

from anyio import CapacityLimiter
from fastapi import FastAPI, Path, Request
from fastapi.responses import PlainTextResponse
from starlette.responses import Response

from backend.labelstudio.config import parse
from backend.media.shown import JPEG, SVG, shortened
from backend.media.thumbnails import Shown, Thumbnails
from backend.page.tasks import may_be_shown
from backend.server.events import MAX_PROJECT
from backend.server.off_loop import HUNG_UP, while_waited_for
from backend.store.store import Store

Id = Annotated[int, Path(ge=1, le=MAX_PROJECT)]
Place = Annotated[int, Path(ge=0, le=1000)]
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_KEPT = {**_HEADERS, "Cache-Control": "private, max-age=3600"}
_AGAIN = {**_HEADERS, "Cache-Control": "private, max-age=60"}
_LINE, _LINES = 34, 4
_RANGE = re.compile(r"bytes=(\d{1,12})-(\d{0,12})")


class ShownMedia:
    """The routes; one thing is made at a time, and nothing for who does not wait any more."""

    def __init__(self, store: Store, thumbnails: Thumbnails) -> None:
        """Remember what makes them."""
        self._store = store
        self._thumbnails = thumbnails
        self._making = CapacityLimiter(1)

    def register(self, app: FastAPI) -> None:
        """Add the routes to an application."""
        at = "/projects/{project}/tasks/{task}/media/{place}"
        app.add_api_route(at, self.look, methods=["GET"], response_class=Response)
        app.add_api_route(f"{at}/sound", self.listen, methods=["GET"], response_class=Response)

    async def look(self, project: Id, task: Id, place: Place, request: Request) -> Response:
        """Return a small picture or the beginning of a text."""
        return await self._answer(request, project, task, place, play=False)

    async def listen(self, project: Id, task: Id, place: Place, request: Request) -> Response:
        """Return a sound."""
        return await self._answer(request, project, task, place, play=True)

    async def _answer(
        self, request: Request, project: int, task: int, place: int, *, play: bool
    ) -> Response:
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return PlainTextResponse("A page of another site may not have this.", 403)
        await request.body()

        def work(_: Future[None]) -> Response:
            return self._work(project, task, place, play, request.headers.get("range", ""))

        answer = await while_waited_for(request, work, self._making)
        return answer or Response(status_code=HUNG_UP)

    def _work(self, project: int, task: int, place: int, play: bool, asked: str) -> Response:
        owner = self._store.project(project)
        modalities = parse(owner.label_config).schema.modalities
        if place >= len(modalities) or not may_be_shown(self._store, project, task):
            return PlainTextResponse("Nothing of that task is shown.", 404, headers=_HEADERS)
        shown = self._thumbnails.of(project, task, owner.label_config, place, play)
        return _instead(shown) if shown.reason else _part(shown, asked)


def _part(shown: Shown, asked: str) -> Response:
    """Return all of it, or the part that is asked for: some browsers play no sound without."""
    size = len(shown.content)
    found = _RANGE.fullmatch(asked)
    start = int(found[1]) if found else size
    if found is None or start >= size:
        return Response(shown.content, media_type=shown.media_type, headers=_KEPT)
    end = min(int(found[2] or size), size - 1)
    headers = {**_KEPT, "Content-Range": f"bytes {start}-{end}/{size}", "Accept-Ranges": "bytes"}
    return Response(shown.content[start : end + 1], 206, headers, shown.media_type)


def _instead(shown: Shown) -> Response:
    """Say why there is nothing: in a picture, where a picture is asked for."""
    if shown.media_type in (JPEG, SVG):
        return Response(_written(shown.reason), media_type=SVG, headers=_AGAIN)
    return PlainTextResponse(shown.reason, 404, headers=_AGAIN)


def _written(reason: str) -> str:
    text = "".join(c if c.isprintable() else " " for c in shortened(reason, _LINE * _LINES))
    lines = [text[i : i + _LINE] for i in range(0, len(text), _LINE)]
    spans = "".join(
        f'<text x="8" y="{20 + 18 * n}">{escape(line)}</text>' for n, line in enumerate(lines)
    )
    height = 12 + 18 * len(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="256" height="{height}" '
        f'viewBox="0 0 256 {height}" font-family="sans-serif" font-size="13" fill="#57606a">'
        f'<rect width="100%" height="100%" fill="#f6f8fa"/>{spans}</svg>'
    )
