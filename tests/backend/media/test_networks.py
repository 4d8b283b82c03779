"""Networks as people have them: sub-paths, aliases, buckets, proxies, certificates, IPv6."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
import uvicorn

from backend.commands.console import wake
from backend.errors import EquipoiseError
from backend.labelstudio.client import LabelStudio
from backend.media import addresses
from backend.media.safe_fetch import SafeFetch
from backend.server.app import create_app
from backend.settings import Settings
from backend.store.store import Store
from model.sample import MediaError

TOKEN = jwt.encode({"exp": time.time() + 86400, "token_type": "refresh"}, "k" * 32)
ACCESS = jwt.encode({"exp": time.time() + 86400, "token_type": "access"}, "k" * 32)


class Web(ThreadingHTTPServer):
    """Notes what it is asked, with which authorization; renews tokens, and can redirect."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str | None]] = []
        self.redirects: dict[str, str] = {}

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Web
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer anything."""
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        if self.path in self.server.redirects:
            self.send_response(303)
            self.send_header("Location", self.server.redirects[self.path])
            self._send(b"")
        else:
            self.send_response(200)
            self._send(b"xxxxx")

    def do_POST(self) -> None:
        """Renew the token."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, "token"))
        self.send_response(200)
        self._send(json.dumps({"access": ACCESS}).encode())

    def _send(self, body: bytes) -> None:
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def webs() -> Iterator[tuple[Web, Web]]:
    """Two servers: one with Label Studio, and another."""
    both = (Web(), Web())
    for web in both:
        threading.Thread(target=web.serve_forever, daemon=True).start()
    yield both
    for web in both:
        web.shutdown()
        web.server_close()


def fetcher(url: str, **more: Any) -> SafeFetch:
    """Return what fetches media, with a Label Studio at an address."""
    settings = Settings(label_studio_url=url, api_key=TOKEN, **more)
    return SafeFetch(LabelStudio.of(settings), settings, attempts=1)


def test_under_a_sub_path_media_are_found_and_the_token_stays_below_it(
    webs: tuple[Web, Web],
) -> None:
    fetch = fetcher(webs[0].url + "/ls")
    for value in ("/ls/data/x.png", "/data/x.png", f"{webs[0].url}/ls/data/x.png"):
        assert fetch(value) == b"xxxxx"
    assert webs[0].seen == [
        ("/ls/api/token/refresh/", "token"),
        *3 * [("/ls/data/x.png", f"Bearer {ACCESS}")],
    ]


@pytest.mark.parametrize(
    "path", ["/other/x", "/", "/lsx/x", "/ls/../other", "/ls/%2e%2e/other", "/ls/a/..%2f../b"]
)
def test_other_applications_on_the_host_do_not_see_the_token(
    webs: tuple[Web, Web], path: str
) -> None:
    webs[0].redirects["/ls/away"] = path
    for value in (webs[0].url + path, "/ls/away"):
        with pytest.raises(MediaError, match="not allowed"):
            fetcher(webs[0].url + "/ls")(value)
        allowed = fetcher(webs[0].url + "/ls", media_hosts=["127.0.0.1"], media_private=True)
        assert allowed(value) == b"xxxxx"
    tokens = {asked for asked, token in webs[0].seen if token is not None}
    assert tokens <= {"/ls/api/token/refresh/", "/ls/away"}


@pytest.mark.parametrize("path", ["/a/../ls/x", "/%2e%2e/ls/x", "/b/%2e%2e/ls/x", "//ls/x"])
def test_a_way_round_to_label_studio_does_not_lead_the_token_beside_it(
    webs: tuple[Web, Web], path: str
) -> None:
    with pytest.raises(MediaError, match="not allowed"):
        fetcher(webs[0].url + "/ls")(webs[0].url + path)
    assert webs[0].seen == []


def test_label_studio_may_have_other_names(webs: tuple[Web, Web]) -> None:
    fetch = fetcher(
        webs[0].url, label_studio_aliases=["https://labels.example/sub/", "http://labels"]
    )
    for value in ("https://labels.example/sub/data/x", "http://labels:80/data/x"):
        assert fetch(value) == b"xxxxx"
    assert [path for path, _ in webs[0].seen] == ["/api/token/refresh/", "/data/x", "/data/x"]
    with pytest.raises(MediaError, match="not allowed"):
        fetch("https://labels.example/data/x")


@pytest.mark.parametrize("scheme", ["s3", "gs", "gcs", "azure-blob", "azure_spi", "S3"])
def test_label_studio_resolves_addresses_in_buckets(webs: tuple[Web, Web], scheme: str) -> None:
    def answer(self: _Handler) -> None:
        self.server.redirects[self.path] = f"{webs[1].url}/signed"
        given(self)

    given = _Handler.do_GET
    fetch = fetcher(webs[0].url, media_hosts=["127.0.0.1"], media_private=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Handler, "do_GET", lambda h: answer(h) if "fileuri" in h.path else given(h))
        assert fetch(f"{scheme}://bucket/key.png", 5) == b"xxxxx"
    assert webs[0].seen[-1][0].startswith("/tasks/5/resolve/?fileuri=")
    assert webs[1].seen == [("/signed", None)]


def test_hosts_below_a_domain_can_be_allowed(
    webs: tuple[Web, Web], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses.socket, "getaddrinfo", _everything_is_here)
    port = webs[1].server_port
    fetch = fetcher(webs[0].url, media_hosts=["*.bucket.example"], media_private=True)
    assert fetch(f"http://a.b.BUCKET.example:{port}/x") == b"xxxxx"
    for host in ("bucket.example", "xbucket.example", "bucket.example.attacker.example"):
        with pytest.raises(MediaError, match="not allowed"):
            fetch(f"http://{host}:{port}/x")


def _everything_is_here(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Return key and certificate of a.test."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a.test"),
            *("-addext", "subjectAltName=DNS:a.test", "-days", "2"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return key, certificate


def test_certificates_are_checked_by_name_though_hosts_share_an_address(
    webs: tuple[Web, Web], certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, cert = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    webs[1].socket = context.wrap_socket(webs[1].socket, server_side=True)
    monkeypatch.setattr(addresses.socket, "getaddrinfo", _everything_is_here)
    url = f"https://{{}}.test:{webs[1].server_port}/x"
    hosts = {"media_hosts": ["a.test", "b.test"], "media_private": True}
    with pytest.raises(MediaError, match=r"not trusted.*ca_file"):
        fetcher(webs[0].url, **hosts)(url.format("a"))
    fetch = fetcher(webs[0].url, **hosts, ca_file=cert)
    assert fetch(url.format("a")) == b"xxxxx"
    with pytest.raises(MediaError, match="not trusted"):
        fetch(url.format("b"))
    key.write_text("nothing")
    with pytest.raises(EquipoiseError, match="ca_file"):
        fetcher("https://labels.example", ca_file=key)


def test_a_proxy_is_used_where_it_is_set_and_wanted(webs: tuple[Web, Web]) -> None:
    more = {"proxy": webs[1].url, "media_hosts": ["*.example"], "no_proxy": ["near.example"]}
    fetch = fetcher(webs[0].url, **more)
    assert fetch("/data/x") == b"xxxxx"
    assert webs[1].seen == []
    assert fetch("http://far.example/x") == b"xxxxx"
    assert webs[1].seen == [("http://far.example/x", None)]
    with pytest.raises(MediaError, match="resolved"):
        fetch("http://near.example/x")
    outside = fetcher("http://labels.example", **more)
    assert outside("/data/y") == b"xxxxx"
    assert webs[1].seen[-1] == ("http://labels.example/data/y", f"Bearer {ACCESS}")


def test_a_server_on_ipv6_is_found_by_the_command_line(tmp_path: Path) -> None:
    try:
        with socket.socket(socket.AF_INET6) as free:
            free.bind(("::1", 0))
            port = free.getsockname()[1]
    except OSError:
        pytest.skip("no IPv6 here")
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", tmp_path)
    settings = Settings(host="::1", port=port, data_dir=tmp_path, worker_in_waiting=False)
    app = create_app(settings, store)
    server = uvicorn.Server(
        uvicorn.Config(app, host=settings.host, port=port, log_level="error", log_config=None)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    assert wake(settings)
    server.should_exit = True
    thread.join(timeout=20)
    assert not wake(settings)
    store.close()
