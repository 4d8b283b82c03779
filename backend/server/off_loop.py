"""Work that must not keep the event loop from answering /health."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

Answer = Callable[[Request], Coroutine[Any, Any, Response]]


class _Request(Request):
    async def json(self) -> Any:
        body = await self.body()
        return await run_in_threadpool(json.loads, body)


class OffLoop(APIRoute):
    """A route whose JSON bodies are parsed in a thread: a large one takes seconds."""

    def get_route_handler(self) -> Answer:
        """Return what answers a request."""
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await answer(_Request(request.scope, request.receive))

        return handler
