"""Who gets in, and how much they may bring: basic auth and a limit on request bodies."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN_PATHS = frozenset({"/health", "/ready"})


class Gate:
    """ASGI middleware: refuses requests without the password, and bodies past the limit."""

    def __init__(self, app: ASGIApp, *, auth: tuple[str, str] | None, max_body: int) -> None:
        """Guard `app`; auth None lets everybody in (loopback)."""
        self._app = app
        self._auth = auth
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401 or 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        if scope["path"] not in OPEN_PATHS and not self._allowed(headers.get(b"authorization")):
            await _answer(send, 401, "A user name and password are needed (basic auth).")
            return
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._max_body:
            await _answer(send, 413, f"The body is larger than {self._max_body} bytes.")
            return
        await self._app(scope, _Limited(receive, self._max_body), send)

    def _allowed(self, header: bytes | None) -> bool:
        if self._auth is None:
            return True
        scheme, _, value = (header or b"").partition(b" ")
        if scheme.lower() != b"basic":
            return False
        try:
            given = base64.b64decode(value, validate=True)
        except binascii.Error:
            return False
        return hmac.compare_digest(given, ":".join(self._auth).encode())


class BodyTooLarge(Exception):
    """A body without a length turned out to be larger than allowed."""


class _Limited:
    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise BodyTooLarge
        return message


async def _answer(send: Send, status: int, detail: str) -> None:
    headers: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="equipoise"'))
    body: dict[str, Any] = {"detail": detail}
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
