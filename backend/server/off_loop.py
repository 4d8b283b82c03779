"""Work that must not keep the event loop from answering /health; and work that nobody waits for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

from anyio import CancelScope, CapacityLimiter, to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute

from backend.server import json_pieces

Answer = Callable[[Request], Coroutine[Any, Any, Response]]
Result = TypeVar("Result")
HUNG_UP = 499
"""Status of an answer that nobody gets, as nginx calls it."""
_LARGE = 2**17
_READ = {"tasks": frozenset({"id", "project", "data"})}
"""Of a task, neither /predict nor an event is asked for more."""


class _Request(Request):
    async def json(self) -> Any:
        body = await self.body()
        if len(body) < _LARGE:
            return json.loads(body)
        return await to_thread.run_sync(json_pieces.loads, body, _READ)


class OffLoop(APIRoute):
    """A route whose large JSON bodies are parsed in a thread."""

    def get_route_handler(self) -> Answer:
        """Return what answers a request."""
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await answer(_Request(request.scope, request.receive))

        return handler


def json_list(name: str, items: Iterable[Any]) -> Response:
    """Return {name: [items]} as an answer; made piece by piece, for a thread."""
    inner = ",".join(json.dumps(item, allow_nan=False) for item in items)
    return Response(f'{{"{name}":[{inner}]}}', media_type="application/json")


async def while_waited_for(
    request: Request, work: Callable[[Future[None]], Result], limiter: CapacityLimiter
) -> Result | None:
    """Do work in a thread as long as the caller of a request waits for it.

    Args:
        request: whose body has been read.
        work: gets a future that is done once the caller has hung up.
        limiter: threads that may be used; whoever hangs up while waiting for one needs none.

    Returns:
        What `work` returns; None where the caller hung up.
    """
    gone: Future[None] = Future()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set_result(None)
        scope.cancel()  # whose work has a thread already is told by `gone`

    with CancelScope() as scope:
        watching = asyncio.ensure_future(watch())
        try:
            return await to_thread.run_sync(work, gone, limiter=limiter)
        finally:
            watching.cancel()
    return None
