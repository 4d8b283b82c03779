"""Media that attack: each costs its task one modality, says why, and nothing else happens."""

from __future__ import annotations

import base64
import gzip
import io
import os
import socket
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.media.task_media import MediaSource
from backend.settings import Settings
from model.cache import FeatureCache
from model.preparation import prepare
from model.presets import preset
from tests.faults.plan import note
from tests.stopwatch import Stopwatch

MAX_BYTES = 1_000_000
SECONDS = 1.0
CONFIG = parse(
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="a"/><Choice value="b"/></Choices></View>'
)
SEQUENCE = parse(
    '<View><Image name="image" value="$image" equipoise="sequence"/>'
    '<Choices name="label" toName="image"><Choice value="a"/><Choice value="b"/></Choices></View>'
)
PRIVATE = {
    "loopback": "http://127.0.0.1:PORT/a.png",
    "loopback by name": "http://localhost:PORT/a.png",
    "decimal": "http://2130706433:PORT/a.png",
    "hexadecimal": "http://0x7f000001:PORT/a.png",
    "octal": "http://0177.0.0.1:PORT/a.png",
    "short": "http://127.1:PORT/a.png",
    "unspecified": "http://0.0.0.0:PORT/a.png",
    "IPv6 loopback": "http://[::1]:PORT/a.png",
    "IPv6 unspecified": "http://[::]:PORT/a.png",
    "IPv4 mapped to IPv6": "http://[::ffff:127.0.0.1]:PORT/a.png",
    "NAT64 of loopback": "http://[64:ff9b::7f00:1]:PORT/a.png",
    "6to4 of loopback": "http://[2002:7f00:1::]:PORT/a.png",
    "cloud metadata": "http://169.254.169.254/latest/meta-data",
    "IPv6 link-local": "http://[fe80::1]/a.png",
    "private 10/8": "http://10.0.0.1/a.png",
    "private 172.16/12": "http://172.16.0.1/a.png",
    "private 192.168/16": "http://192.168.0.1/a.png",
    "carrier-grade NAT": "http://100.64.0.1/a.png",
    "IPv6 unique local": "http://[fc00::1]/a.png",
    "multicast": "http://224.0.0.1/a.png",
}
NOT_ALLOWED = {
    "user part looks like the host": "http://media.example@127.0.0.1:PORT/a.png",
    "fragment looks like the host": "http://127.0.0.1:PORT/#@media.example/a.png",
    "backslash before the host": "http://media.example\\@127.0.0.1:PORT/a.png",
    "another scheme": "ftp://media.example/a.png",
    "a file": "file:///etc/passwd",
    "gopher": "gopher://127.0.0.1:PORT/_x",
    "no scheme": "//127.0.0.1:PORT/a.png",
    "broken IPv6": "http://[::1/a.png",
    "port out of range": "http://media.example:99999/a.png",
    "port that is no number": "http://media.example:x/a.png",
    "control characters": "http://media.example/\r\nX-Injected: 1",
    "null byte": "http://media.example/\x00",
    "endless host name": "http://" + "a" * 5000 + ".example/a.png",
    "data that is not base64": "data:image/png;base64,@@@@",
    "data past the limit": "data:image/png;base64," + "A" * 2_000_000,
}
PATHS = {
    "dots": "../secret.png",
    "encoded dots": "%2e%2e%2fsecret.png",
    "twice encoded dots": "%252e%252e%252fsecret.png",
    "absolute": "/etc/passwd",
    "link to a file outside": "link.png",
    "link to a folder outside": "folder/secret.png",
    "link to itself": "loop.png",
    "endless device": "zero.png",
    "pipe": "pipe.png",
    "null byte in a path": "a%00.png",
    "endless path": "a" * 5000,
    "a folder": ".",
    "truncated picture": "truncated.png",
    "picture of 40,000 x 40,000": "bomb.png",
    "empty file": "empty.png",
}
SERVED = ("gzip", "endless", "drip", "headers", "silent", "loop", "metadata", "garbage", "lies")


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """Return a PNG that claims a size; its pixels are all zero or missing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


class Hostile(BaseHTTPRequestHandler):
    """Answers that go on for ever, explode, or lead elsewhere."""

    reached: list[str] = []  # noqa: RUF012 - one list for all requests, on purpose

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        """Answer as the path says."""
        self.reached.append(self.path)
        name = self.path.strip("/").split(".")[0]
        try:
            getattr(self, f"answer_{name}", self.answer_a)()
        except OSError:  # the other side has hung up, as it should
            return

    def _head(self, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()

    def answer_a(self) -> None:
        """A fine picture: reaching it is the fault."""
        self._head(Content_Type="image/png")
        self.wfile.write(png(1, 1, zlib.compress(b"\0" * 4)))

    def answer_gzip(self) -> None:
        """Fifty megabytes in fifty kilobytes."""
        self._head(Content_Encoding="gzip")
        self.wfile.write(gzip.compress(b"\0" * 50_000_000, 1))

    def answer_endless(self) -> None:
        """Bytes for ever."""
        self._head()
        while True:
            self.wfile.write(b"\0" * 65536)

    def answer_drip(self) -> None:
        """One byte now and then, for ever."""
        self._head()
        while True:
            self.wfile.write(b"\0")
            time.sleep(0.2)

    def answer_headers(self) -> None:
        """Headers of ten megabytes."""
        self._head(X_Large="a" * 10_000_000)

    def answer_silent(self) -> None:
        """Nothing at all."""
        time.sleep(30)

    def answer_loop(self) -> None:
        """Here again."""
        self._head(302, Location="/loop")

    def answer_metadata(self) -> None:
        """A redirect to the cloud's metadata."""
        self._head(302, Location="http://169.254.169.254/latest/meta-data")

    def answer_garbage(self) -> None:
        """No HTTP."""
        self.wfile.write(b"\0\xff" * 500)

    def answer_lies(self) -> None:
        """Less than was promised."""
        self._head(Content_Length="100000")
        self.wfile.write(b"\x89PNG")


@pytest.fixture
def hostile() -> Iterator[int]:
    """Run the hostile server and return its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Hostile.reached.clear()
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of local files with traps in it, beside a secret."""
    (tmp_path / "outside").mkdir()
    for name in ("secret.png", "outside/secret.png"):
        (tmp_path / name).write_bytes(png(1, 1, zlib.compress(b"\0" * 4)))
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(root / "pipe.png")
    (root / "truncated.png").write_bytes(png(64, 64, zlib.compress(b"\0" * 12480))[:60])
    (root / "bomb.png").write_bytes(png(40_000, 40_000, zlib.compress(b"\0" * 1000)))
    (root / "empty.png").write_bytes(b"")
    return root


def refusal(value: Any, tmp_path: Path, config: Any = CONFIG, **settings: Any) -> str:
    """Prepare a hostile task between two good ones and return why its media count as absent."""
    good = "data:image/png;base64," + base64.b64encode(png(1, 1, zlib.compress(b"\0" * 4))).decode()
    limits = {"media_timeout": SECONDS, "max_media_bytes": MAX_BYTES, **settings}
    own = Settings(label_studio_url="http://127.0.0.1:1", **limits)
    with LabelStudio(own.label_studio_url, "a" * 40, attempts=1) as studio:
        source = MediaSource(studio, own)
        tasks = [{"id": n, "data": {"image": v}} for n, v in enumerate((good, value, good))]
        watch = Stopwatch()
        inputs = prepare(
            [source.sample(task, config) for task in tasks],
            config.schema,
            preset("quick").preparation,
            FeatureCache(tmp_path / "cache"),
        )
    watch.taken.check(5 * SECONDS, f"three tasks, one of them {value[:80]!r}")
    if config is CONFIG:
        assert inputs.present[:, 0].tolist() == [True, False, True], inputs.failures
    found = {failure.index: failure.reason for failure in inputs.failures}
    assert 1 in found, "it was not refused"
    return found[1]


def all_cases(port: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield what it is, the address in the task, and the settings it is tried with."""
    hosts = ["127.0.0.1", "localhost", "media.example", "2130706433", "0x7f000001", "0177.0.0.1"]
    hosts += ["127.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]
    hosts += ["2002:7f00:1::", "169.254.169.254", "fe80::1", "10.0.0.1", "172.16.0.1"]
    hosts += ["192.168.0.1", "100.64.0.1", "fc00::1", "224.0.0.1"]
    for name, value in PRIVATE.items():
        value = value.replace("PORT", str(port))
        yield f"{name}, host not in media_hosts", value, {}
        yield f"{name}, host allowed", value, {"media_hosts": hosts}
    for name, value in NOT_ALLOWED.items():
        yield name, value.replace("PORT", str(port)), {"media_hosts": ["media.example"]}
    for name in SERVED:
        known = {"media_hosts": ["127.0.0.1"], "media_private": True}
        yield f"server: {name}", f"http://127.0.0.1:{port}/{name}", known


def test_every_hostile_address_is_refused_with_its_reason(
    hostile: int, root: Path, tmp_path: Path
) -> None:
    whole = Stopwatch()
    reasons = {}
    for name, value, settings in all_cases(hostile):
        reasons[name] = refusal(value, tmp_path / "a", **settings)
        if "host allowed" in name:
            assert "private address" in reasons[name], f"{name}: {reasons[name]}"
        if "server:" not in name:
            assert not Hostile.reached, f"{name} reached {Hostile.reached}"
        Hostile.reached.clear()
    for name, path in PATHS.items():
        value = f"/data/local-files/?d={path}"
        reasons[f"local file: {name}"] = refusal(value, tmp_path / "b", local_files_root=root)
    for name, reason in reasons.items():
        assert reason, name
        assert len(reason) < 300, name
        assert "Traceback" not in reason, name
        print(f"  {name}: {reason}")
    note(
        "media",
        "hostile media",
        len(reasons),
        "promise 7: each refused with its reason, the tasks beside it are fine",
        f"{len(set(reasons.values()))} different reasons; all in {whole.wall:.0f} s",
        whole,
    )


def test_a_name_that_changes_its_address_is_dialled_where_it_was_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []
    dialled: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "media.example":
            asked.append(host)
            address = "93.184.216.34" if len(asked) == 1 else "127.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 80))]
        return real(host, port, *args, **kwargs)

    def dial(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        dialled.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", dial)
    more = {"media_hosts": ["media.example"], "media_timeout": 4.0}  # time for a second try
    reason = refusal("http://media.example/a.png", tmp_path, **more)
    # The first try dials what was checked and is refused; the second looks the name up again.
    assert dialled == ["93.184.216.34"]
    assert asked == ["media.example"] * 2
    assert "private address" in reason


def test_a_name_with_one_private_address_among_public_ones_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def resolve(host: Any, port: Any, *_: Any, **__: Any) -> Any:
        both = ("93.184.216.34", "10.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port or 80)) for a in both]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    reason = refusal("http://media.example/a.png", tmp_path, media_hosts=["media.example"])
    assert "private address" in reason


def _npz(size: int) -> bytes:
    """Return a .npz whose array claims and holds `size` zeros, compressed to almost nothing."""
    head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({size}, 1), }}"
    head = head.ljust(117) + "\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as file,
    ):
        file.write(array)
        for _ in range(size // 2**20):
            file.write(b"\0" * 2**20)
    return out.getvalue()


BOMBS: dict[str, Callable[[], bytes]] = {
    "zip bomb": lambda: _npz(900 * 2**20),
    "pickle in an array": lambda: (
        b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(118)
        + b"\ncos\nsystem\n(S'true'\ntR."
    ),
    "array that claims more than it holds": lambda: (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 9), }".ljust(117)
        + b"\n"
    ),
    "zip that is none": lambda: b"PK\x03\x04" + b"\xff" * 200,
}


@pytest.mark.parametrize("name", BOMBS)
def test_hostile_arrays_are_refused(name: str, tmp_path: Path) -> None:
    body = BOMBS[name]()
    (tmp_path / "bomb.npz").write_bytes(body)
    value = "/data/local-files/?d=bomb.npz"
    print(name, refusal(value, tmp_path, SEQUENCE, local_files_root=tmp_path))
