"""A proxy before a server that notes each request: what is asked, how long the answer takes."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

_HOPS = {"connection", "keep-alive", "transfer-encoding", "host", "content-length"}


@dataclass(frozen=True)
class Asked:
    """One request: what it was, its ids left out; when it began; seconds that the answer took."""

    what: str
    at: float
    seconds: float


class Watched:
    """Passes requests on to a server on this machine.

    Attributes:
        asked: all requests so far.
        url: where it listens.
    """

    def __init__(self, behind: str) -> None:
        self._behind = urlsplit(behind).netloc
        self.asked: list[Asked] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def between(self, start: float, end: float) -> list[Asked]:
        """Return the requests that began in a span of `time.monotonic()`."""
        return [one for one in self.asked if start <= one.at < end]

    def passed(
        self, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Send one request on and return status, headers and content of its answer."""
        started = time.monotonic()
        server = http.client.HTTPConnection(self._behind, timeout=900)
        server.request(method, path, body or None, dict(headers))
        answer = server.getresponse()
        content = answer.read()
        server.close()
        what = f"{method} {re.sub('[0-9]+', 'N', urlsplit(path).path)}"
        self.asked.append(Asked(what, started, time.monotonic() - started))
        return answer.status, answer.getheaders(), content


def _handler(watched: Watched) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and content need not wait for each other

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kept = [(k, v) for k, v in self.headers.items() if k.lower() not in _HOPS]
            status, headers, content = watched.passed(self.command, self.path, kept, body)
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in _HOPS:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._any()

        def do_POST(self) -> None:
            self._any()

        def do_PATCH(self) -> None:
            self._any()

        def do_DELETE(self) -> None:
            self._any()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    return Handler
