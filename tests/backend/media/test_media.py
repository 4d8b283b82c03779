"""Where media may come from. Real servers on loopback; nothing is mocked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.media.markup import plain_text
from backend.media.task_media import MediaSource
from backend.settings import Settings
from model.sample import MediaError, Reference

CONFIG = parse(
    '<View><Image name="i" value="$image"/><HyperText name="h" value="$html"/>'
    '<Choices name="c" toName="i"><Choice value="A"/><Choice value="B"/></Choices></View>'
)


class Handler(BaseHTTPRequestHandler):
    """A few paths that a hostile or a friendly host may answer."""

    def do_GET(self) -> None:
        """Answer by path."""
        self.server.seen.append((self.path, self.headers.get("Authorization")))  # type: ignore[attr-defined]
        path = self.path
        if path.startswith("/redirect?"):
            self.send_response(302)
            self.send_header("Location", path.split("?", 1)[1])
            self.end_headers()
        elif path == "/loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.end_headers()
        elif path == "/missing":
            self.send_error(404)
        else:
            body = b"x" * (50_000 if path == "/big" else 5)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test output quiet."""


class Server(ThreadingHTTPServer):
    """Remembers what was asked, with which authorization."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    """Two servers: Label Studio's place, and another host's."""
    both = (Server(), Server())
    for server in both:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield both
    for server in both:
        server.shutdown()
        server.server_close()


def source(servers: tuple[Server, Server], **more: object) -> MediaSource:
    """Return a source whose Label Studio is the first server."""
    settings = Settings(label_studio_url=servers[0].url, max_media_bytes=10_000, **more)
    return MediaSource(LabelStudio(servers[0].url, "legacy-token"), settings)


def test_label_studio_gets_the_token(servers: tuple[Server, Server]) -> None:
    assert source(servers).fetch("/data/upload/1/x.png") == b"xxxxx"
    assert source(servers).fetch(servers[0].url + "/data/y.png") == b"xxxxx"
    assert {auth for _, auth in servers[0].seen} == {"Token legacy-token"}


def test_other_hosts_are_refused_unless_allowed(servers: tuple[Server, Server]) -> None:
    with pytest.raises(MediaError, match="not allowed"):
        source(servers).fetch(servers[1].url + "/x")
    allowed = source(servers, media_hosts=["127.0.0.1"])
    with pytest.raises(MediaError, match="private"):
        allowed.fetch(servers[1].url + "/x")
    assert not servers[1].seen


def test_an_allowed_host_never_sees_the_token(servers: tuple[Server, Server]) -> None:
    allowed = source(servers, media_hosts=["127.0.0.1"], media_private=True)
    assert allowed.fetch(servers[1].url + "/x") == b"xxxxx"
    assert servers[1].seen == [("/x", None)]


def test_every_redirect_is_checked(servers: tuple[Server, Server]) -> None:
    with pytest.raises(MediaError, match="not allowed"):
        source(servers).fetch(f"/redirect?{servers[1].url}/x")
    assert not servers[1].seen
    assert source(servers).fetch("/redirect?/data/x") == b"xxxxx"
    with pytest.raises(MediaError, match="redirects"):
        source(servers).fetch("/loop")


@pytest.mark.parametrize(
    "value",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://localhost/x",
        "file:///etc/passwd",
        "ftp://example.org/x",
        "//example.org/x",
        "http://127.0.0.1@example.org/x",
        "gopher://x",
        "s3://bucket/key",
        "just words",
        "data:image/png,plain",
        "data:image/png;base64,***",
    ],
)
def test_other_addresses_are_refused(servers: tuple[Server, Server], value: str) -> None:
    with pytest.raises(MediaError):
        source(servers).fetch(value)
    assert not servers[1].seen


def test_size_and_status_are_checked(servers: tuple[Server, Server]) -> None:
    with pytest.raises(MediaError, match="larger"):
        source(servers).fetch("/big")
    with pytest.raises(MediaError, match="404"):
        source(servers).fetch("/missing")


def test_local_files_cannot_leave_their_root(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.png").write_bytes(b"inside")
    (tmp_path / "secret").write_bytes(b"outside")
    (root / "link").symlink_to(tmp_path / "secret")
    local = source(servers, local_files_root=root)
    assert local.fetch("/data/local-files/?d=a.png") == b"inside"
    (root / "50%20off.png").write_bytes(b"percent")  # Label Studio writes and reads it quoted once
    assert local.fetch("/data/local-files/?d=50%2520off.png") == b"percent"
    for wanted in ("../secret", "link", "%2e%2e/secret", "/../secret", "..%2fsecret"):
        with pytest.raises(MediaError):
            local.fetch(f"/data/local-files/?d={wanted}")
    sample = local.sample({"id": 1, "data": {"image": "/data/local-files/?d=../secret"}}, CONFIG)
    reference = sample["image"]
    assert isinstance(reference, Reference)
    with pytest.raises(MediaError):
        reference.load()
    assert not servers[0].seen


def test_values_of_the_wrong_type_are_absent(servers: tuple[Server, Server]) -> None:
    for value in (None, 3, ["x"], {"a": 1}, "", "  "):
        sample = source(servers).sample({"id": 1, "data": {"image": value, "html": None}}, CONFIG)
        assert sample == {"image": None, "html": None}


def test_markup_becomes_text() -> None:
    assert plain_text("<p>a &amp; b</p><script>x()</script><b>c</b>") == "a & b c"
