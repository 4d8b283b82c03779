"""Media that cannot be had now, but later. Real servers on loopback; nothing is mocked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from backend.errors import LabelStudioError
from backend.labelstudio.client import LabelStudio
from backend.media.safe_fetch import SafeFetch
from backend.settings import Settings
from model.sample import MediaError
from tests.stopwatch import Stopwatch


class Moody(ThreadingHTTPServer):
    """Answers each path by a script of statuses, then 200 with five bytes.

    Attributes:
        script: path -> statuses still to come; one that ends with * stays for ever.
        headers: sent with a status other than 200.
        asked: how often each path was asked.
        tokens: the authorization of each request of a file.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: dict[str, list[int]] = {}
        self.always: dict[str, int] = {}
        self.extra: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.tokens: list[str | None] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Moody

    def do_GET(self) -> None:
        """Answer by the script."""
        self.server.asked[self.path] += 1
        self.server.tokens.append(self.headers.get("Authorization"))
        left = self.server.script.get(self.path, [])
        status = left.pop(0) if left else self.server.always.get(self.path, 200)
        self.send_response(status)
        for name, value in self.server.extra.items() if status != 200 else ():
            self.send_header(name, value)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"xxxxx")

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def servers() -> Iterator[tuple[Moody, Moody]]:
    """Two servers: Label Studio's place, and a bucket's."""
    both = (Moody(), Moody())
    for server in both:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield both
    for server in both:
        server.shutdown()
        server.server_close()


def fetcher(servers: tuple[Moody, Moody], **more: object) -> SafeFetch:
    """Return what fetches media of both."""
    settings = Settings(
        label_studio_url=servers[0].url,
        media_hosts=["127.0.0.1"],
        media_private=True,
        **more,
    )
    return SafeFetch(LabelStudio(servers[0].url, "legacy"), settings)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("status", [429, 503])
def test_what_passes_is_asked_again(servers: tuple[Moody, Moody], own: bool, status: int) -> None:
    server = servers[0] if own else servers[1]
    server.script["/x"] = [status]
    assert fetcher(servers)(server.url + "/x") == b"xxxxx"
    assert server.asked["/x"] == 2


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    ("status", "passing", "times"), [(503, True, 3), (429, True, 3), (404, False, 1)]
)
def test_what_does_not_come_says_whether_it_may(
    servers: tuple[Moody, Moody], own: bool, status: int, passing: bool, times: int
) -> None:
    server = servers[0] if own else servers[1]
    server.always["/x"] = status
    with pytest.raises(MediaError, match=str(status)) as caught:
        fetcher(servers)(server.url + "/x")
    assert caught.value.passing is passing
    assert server.asked["/x"] == times


def test_retry_after_is_obeyed_within_the_files_time(servers: tuple[Moody, Moody]) -> None:
    servers[1].script["/x"] = [429]
    servers[1].extra["Retry-After"] = "1"
    watch = Stopwatch()
    assert fetcher(servers)(servers[1].url + "/x") == b"xxxxx"
    assert watch.wall >= 1
    servers[1].script["/y"] = [429]
    servers[1].extra["Retry-After"] = "3600"
    with pytest.raises(MediaError, match="429") as caught:
        fetcher(servers, media_timeout=5)(servers[1].url + "/y")
    assert caught.value.passing
    assert servers[1].asked["/y"] == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "http://no-such-host.invalid/x"])
def test_a_host_that_is_not_there_may_be_there_later(
    servers: tuple[Moody, Moody], url: str
) -> None:
    settings = Settings(
        label_studio_url=servers[0].url,
        media_hosts=["127.0.0.1", "no-such-host.invalid"],
        media_private=True,
    )
    with pytest.raises(MediaError) as caught:
        SafeFetch(LabelStudio(servers[0].url, "legacy"), settings)(url)
    assert caught.value.passing


def test_after_a_401_the_token_is_renewed_once(servers: tuple[Moody, Moody]) -> None:
    servers[0].script["/data/x"] = [401]
    assert fetcher(servers)("/data/x") == b"xxxxx"
    assert servers[0].asked["/data/x"] == 2


def test_a_401_is_the_files_only_where_the_token_is_good_elsewhere(
    servers: tuple[Moody, Moody],
) -> None:
    servers[0].always["/data/x"] = 401
    with pytest.raises(MediaError, match="401") as caught:
        fetcher(servers)("/data/x")
    assert not caught.value.passing
    servers[0].always["/api/current-user/whoami"] = 401
    with pytest.raises(LabelStudioError, match="refuses the token"):
        fetcher(servers)("/data/x")
    assert servers[0].asked["/data/x"] == 4
