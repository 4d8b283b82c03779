"""Who gets in, and how much they may bring: names, origins, basic auth, a limit on bodies."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.errors import EquipoiseError
from backend.hosts import fits_host, is_loopback, origin
from backend.settings import SECRET_HEADER, Settings

OPEN_PATHS = frozenset({"/health", "/ready"})
EVENT_PATHS = frozenset({"/webhook", "/train"})
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_STRANGE_HOST = "This is not a name of this server (settings public_url and trusted_hosts)."
_STRANGE_ORIGIN = "A page of another site may not do this."
_REFUSED = (
    "A user name and password are needed (basic auth), or on /webhook its secret where one is set."
)


class Gate:
    """ASGI middleware: refuses requests without the password, and bodies past the limit."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        auth: tuple[str, str] | None,
        max_body: int,
        hosts: Sequence[str],
        public_url: str | None = None,
        webhook_secret: str | None = None,
    ) -> None:
        """Guard `app`.

        Args:
            app: what is guarded.
            auth: user and password; None lets everybody in (loopback).
            max_body: largest body in bytes.
            hosts: names by which it may be called, beside every address.
            public_url: as the world sees it, where a proxy changes the name.
            webhook_secret: what an event (/webhook, /train) must carry. The password does as well,
                where there is one: Label Studio's Start Training comes with it, without the header.
        """
        self._app = app
        self._secret = webhook_secret
        self._auth = auth
        self._hosts = hosts
        self._public = public_url
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401, 403 or 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        refusal = self._refusal(scope["method"], scope["path"], headers)
        if refusal:
            await _answer(send, 403, refusal)
            return
        if not self._may_pass(scope["path"], headers):
            await _answer(send, 401, _REFUSED)
            return
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18 or int(length) > self._max_body:
            await _answer(send, 413, f"The body is larger than {self._max_body} bytes.")
            return
        await self._app(scope, _Limited(receive, self._max_body), send)

    def _refusal(self, method: str, path: str, headers: dict[bytes, bytes]) -> str:
        """Say why a browser may have been led here by a page of somebody else; "" if not.

        A name that somebody else made resolve to this server is refused (an address cannot be made
        to), and so are changes that a page of another site asks for.
        """
        host = headers.get(b"host", b"").decode("latin-1")
        if path not in OPEN_PATHS and not self._is_named(host):
            return _STRANGE_HOST
        if method in _READS:
            return ""
        if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            return _STRANGE_ORIGIN
        page = headers.get(b"origin", b"").decode("latin-1")
        same = not page or page.partition("://")[2] == host or self._is_public(page)
        return "" if same else _STRANGE_ORIGIN

    def _is_public(self, page: str) -> bool:
        """Tell whether an origin is that of public_url, which may have a path and a usual port."""
        try:
            return self._public is not None and origin(page) == origin(self._public)
        except ValueError:
            return False

    def _is_named(self, netloc: str) -> bool:
        try:
            host = urlsplit(f"//{netloc}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return any(fits_host(host, pattern) for pattern in self._hosts)
        return True

    def _may_pass(self, path: str, headers: dict[bytes, bytes]) -> bool:
        if path in OPEN_PATHS:
            return True
        if path in EVENT_PATHS and self._secret is not None:
            given = headers.get(SECRET_HEADER.lower().encode(), b"")
            if hmac.compare_digest(given, self._secret.encode()):
                return True
            return self._auth is not None and self._allowed(headers.get(b"authorization"))
        return self._allowed(headers.get(b"authorization"))

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


def refuse_open_listening(settings: Settings, *, guarded: bool = True) -> None:
    """Raise EquipoiseError when anybody on the network could reach an open server.

    Args:
        settings: where to listen, and what is asked of who comes.
        guarded: whether the server asks for the password at all.
    """
    if settings.allow_open or is_loopback(settings.host):
        return
    if not guarded:
        raise EquipoiseError(
            f"Refusing to listen on {settings.host}: this generation of label-studio-ml's server "
            "asks for no password. Listen on 127.0.0.1, run `equipoise serve`, or set "
            "EQUIPOISE_ALLOW_OPEN=true if the network itself is trusted."
        )
    if settings.basic_auth:
        return
    raise EquipoiseError(
        f"Refusing to listen on {settings.host} without a password: set "
        "EQUIPOISE_BASIC_AUTH_USER and EQUIPOISE_BASIC_AUTH_PASS, listen on 127.0.0.1, or "
        "set EQUIPOISE_ALLOW_OPEN=true if the network itself is trusted."
    )
