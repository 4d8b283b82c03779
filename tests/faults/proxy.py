"""A proxy in front of Label Studio that fails on purpose: slow, 500, reset, silent, refused.

One request per connection, so that every request can be decided on by its method and path.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Self

Mode = Literal["pass", "slow", "error", "reset", "late", "silent"]
MODES: tuple[Mode, ...] = ("slow", "error", "reset", "late", "silent")
_ERROR = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/html\r\n"
    b"Content-Length: 14\r\nConnection: close\r\n\r\nServer failed."
)


@dataclass
class Rule:
    """What happens to the next requests that match.

    Attributes:
        pattern: searched in "METHOD /path?query".
        mode: `slow` waits `delay` seconds first; `error` answers 500; `reset` closes hard before
            anything is passed on; `late` passes the request on and resets instead of answering;
            `silent` never answers.
        left: how many requests it is for.
        delay: seconds of `slow`.
        hits: how many it has met.
    """

    pattern: str
    mode: Mode
    left: int = 1_000_000
    delay: float = 5.0
    hits: int = 0


@dataclass
class Proxy:
    """The proxy, in a thread with its own event loop.

    Attributes:
        upstream: port of the real server on loopback.
        rules: the first that matches decides; none: the request is passed on.
        seen: requests by mode.
    """

    upstream: int
    rules: list[Rule] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    port: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _server: asyncio.Server | None = None
    _held: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where Equipoise finds it."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True).start()
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def listen(self) -> None:
        """Accept connections, on the same port as before."""
        self._run(self._listen())

    def refuse(self) -> None:
        """Refuse connections, as where no server runs; requests on their way are cut."""
        self._run(self._refuse())

    @contextlib.contextmanager
    def fault(self, pattern: str, mode: Mode, left: int = 1_000_000) -> Iterator[Rule]:
        """Apply one rule while the body runs."""
        rule = Rule(pattern, mode, left)
        self.rules.append(rule)
        try:
            yield rule
        finally:
            self.rules.remove(rule)
            self._run(self._let_go())

    def _run(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, limit=2**20, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._let_go()

    async def _let_go(self) -> None:
        for task in list(self._held):
            task.cancel()

    def _rule(self, line: str) -> Rule | None:
        for rule in self.rules:
            if rule.left > 0 and re.search(rule.pattern, line):
                rule.left -= 1
                rule.hits += 1
                return rule
        return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._held.add(task)
        try:
            await self._request(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            _reset(writer)
        finally:
            self._held.discard(task)
            with contextlib.suppress(ConnectionError):
                writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        first = head.split(b"\r\n", 1)[0].decode("latin-1").rsplit(" ", 1)[0]
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1])) if length else b""
        rule = self._rule(first)
        mode: Mode = rule.mode if rule else "pass"
        self.seen[mode] += 1
        if mode == "error":
            writer.write(_ERROR)
            await writer.drain()
        elif mode == "reset":
            _reset(writer)
        elif mode == "silent":
            await asyncio.sleep(3600)
        else:
            if rule is not None and mode == "slow":
                await asyncio.sleep(rule.delay)
            await self._pass_on(head, body, writer, answer=mode != "late")

    async def _pass_on(
        self, head: bytes, body: bytes, writer: asyncio.StreamWriter, *, answer: bool
    ) -> None:
        head = re.sub(rb"\r\nconnection:[^\r]*", b"", head, flags=re.IGNORECASE)
        upstream, sender = await asyncio.open_connection("127.0.0.1", self.upstream)
        try:
            sender.write(head[:-2] + b"Connection: close\r\n\r\n" + body)
            await sender.drain()
            status = await upstream.readline()
            if answer and status:
                # Label Studio closes without saying so, and clients would use the connection again.
                writer.write(status + b"Connection: close\r\n")
            while piece := await upstream.read(65536):
                if answer:
                    writer.write(piece)
                    await writer.drain()
            if not answer:
                _reset(writer)
        finally:
            sender.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    found = writer.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
