"""Media in a bucket: Label Studio presigns a link, a real S3 server (moto's) answers it.

moto checks neither the date of a link nor how busy it is, so a gate before it does what S3 does:
403 for a link that has expired, 503 SlowDown when asked too often.
"""

from __future__ import annotations

import base64
import io
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from PIL import Image
from werkzeug.serving import make_server

from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.media import addresses
from backend.media.safe_fetch import SafeFetch
from backend.media.task_media import MediaSource
from backend.settings import Settings
from model.cache import FeatureCache
from model.preparation import prepare
from model.presets import preset
from model.sample import MediaError
from tests.backend.media.test_networks import _everything_is_here
from tests.backend.studio import FakeStudio

CONFIG = parse(
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="A"/><Choice value="B"/></Choices></View>'
)
ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code></Error>'


class Bucket:
    """A bucket named `pictures` behind a gate; keys are under s3.amazonaws.com.

    Attributes:
        slow: how many of the next requests are answered 503 SlowDown.
        asked: path and Authorization header of each request of a file.
    """

    def __init__(self) -> None:
        self.slow = 0
        self.asked: list[tuple[str, str | None]] = []
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._gate, threaded=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        own = self._client(f"http://127.0.0.1:{self.port}")
        own.create_bucket(Bucket="pictures")
        file = io.BytesIO()
        Image.new("RGB", (8, 8), "red").save(file, "PNG")
        self.content = file.getvalue()
        own.put_object(Bucket="pictures", Key="red one.png", Body=self.content)
        self.asked.clear()

    def link(self, key: str) -> str:
        """Return a link that is good for a minute, as Label Studio makes it."""
        client = self._client(f"http://s3.amazonaws.com:{self.port}")
        wanted = {"Bucket": "pictures", "Key": key}
        return client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=60)

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()

    def _client(self, url: str) -> Any:
        style = {"addressing_style": "virtual" if "amazonaws" in url else "path"}
        return boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="access",
            aws_secret_access_key="secret",
            config=Config(signature_version="s3v4", s3=style),
        )

    def _gate(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        asked = parse_qs(environ.get("QUERY_STRING", ""))
        if environ["REQUEST_METHOD"] == "GET":
            self.asked.append((environ["PATH_INFO"], environ.get("HTTP_AUTHORIZATION")))
            if self.slow:
                self.slow -= 1
                start("503 Slow Down", [("Content-Type", "application/xml")])
                return [ERROR.format("SlowDown").encode()]
        if "X-Amz-Date" in asked:
            signed = datetime.strptime(asked["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            if datetime.now(UTC) > signed + timedelta(seconds=int(asked["X-Amz-Expires"][0])):
                start("403 Forbidden", [("Content-Type", "application/xml")])
                return [ERROR.format("AccessDenied").encode()]
        return self._moto(environ, start)


class Resolver(ThreadingHTTPServer):
    """Label Studio's /tasks/ID/resolve/: redirects to the link of the file that it is asked for.

    Attributes:
        expired: whether its links are of yesterday.
    """

    daemon_threads = True

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(("127.0.0.1", 0), _Resolve)
        self.bucket = bucket
        self.expired = False
        self.tokens: list[str | None] = []


class _Resolve(BaseHTTPRequestHandler):
    server: Resolver

    def do_GET(self) -> None:
        """Redirect, or say that the server is up."""
        self.server.tokens.append(self.headers.get("Authorization"))
        found = parse_qs(urlsplit(self.path).query).get("fileuri")
        self.send_response(303 if found else 200)
        if found:
            uri = base64.urlsafe_b64decode(found[0]).decode()
            link = self.server.bucket.link(uri.removeprefix("s3://pictures/"))
            if self.server.expired:
                link = re.sub(r"X-Amz-Date=\d{8}", "X-Amz-Date=20200101", link)
            self.send_header("Location", link)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """Return a bucket; every name is an address of this machine."""
    monkeypatch.setattr(addresses.socket, "getaddrinfo", _everything_is_here)
    for name in ("AWS_PROFILE", "AWS_CONFIG_FILE", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    made = Bucket()
    yield made
    made.stop()


@pytest.fixture
def resolver(bucket: Bucket) -> Iterator[Resolver]:
    """Return what stands for Label Studio."""
    with Resolver(bucket) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def settings_of(resolver: Resolver, *hosts: str) -> Settings:
    """Return settings that allow these hosts."""
    url = f"http://127.0.0.1:{resolver.server_port}"
    return Settings(label_studio_url=url, api_key="k", media_hosts=hosts, media_private=True)


def fetcher(resolver: Resolver, *hosts: str) -> SafeFetch:
    """Return what fetches media."""
    settings = settings_of(resolver, *hosts)
    return SafeFetch(LabelStudio.of(settings), settings)


def test_a_presigned_link_is_followed_without_the_token(bucket: Bucket, resolver: Resolver) -> None:
    fetch = fetcher(resolver, "*.amazonaws.com")
    assert fetch("s3://pictures/red one.png", 5) == bucket.content
    assert resolver.tokens == ["Token k"]
    assert bucket.asked == [("/red one.png", None)]


def test_lists_of_tasks_keep_addresses_in_buckets() -> None:
    """Label Studio would presign each, and each would be another file to the feature cache."""
    with FakeStudio() as studio, LabelStudio(studio.url, "k") as client:
        studio.data = {1: {"image": "s3://pictures/red one.png"}}
        assert len(client.open_tasks(1)) == 10
        assert "resolve_uri=false" in studio.query


def test_a_bucket_that_is_not_allowed_is_named(bucket: Bucket, resolver: Resolver) -> None:
    fetch = fetcher(resolver, "other.s3.amazonaws.com", "amazonaws.com")
    with pytest.raises(MediaError, match=r"'pictures\.s3\.amazonaws\.com' is not allowed"):
        fetch("s3://pictures/red one.png", 5)
    assert bucket.asked == []


def test_slow_down_passes(bucket: Bucket, resolver: Resolver) -> None:
    fetch = fetcher(resolver, "*.amazonaws.com")
    bucket.slow = 2
    assert fetch("s3://pictures/red one.png", 5) == bucket.content
    assert len(bucket.asked) == 3
    bucket.slow = 3
    with pytest.raises(MediaError, match="HTTP 503") as found:
        fetch("s3://pictures/red one.png", 5)
    assert found.value.passing, "the file is there; the round comes again"


def test_an_expired_link_is_refused_once_and_made_anew_the_next_time(
    bucket: Bucket, resolver: Resolver
) -> None:
    fetch = fetcher(resolver, "*.amazonaws.com")
    resolver.expired = True
    with pytest.raises(MediaError, match="HTTP 403"):
        fetch("s3://pictures/red one.png", 5)
    assert len(bucket.asked) == 1
    resolver.expired = False
    assert fetch("s3://pictures/red one.png", 5) == bucket.content


def test_a_file_that_is_not_there_costs_its_task_only(
    bucket: Bucket, resolver: Resolver, tmp_path: Any
) -> None:
    settings = settings_of(resolver, "*.amazonaws.com")
    source = MediaSource(LabelStudio.of(settings), settings)
    tasks = [
        {"id": 1, "data": {"image": "s3://pictures/red one.png"}},
        {"id": 2, "data": {"image": "s3://pictures/gone.png"}},
    ]
    samples = [source.sample(task, CONFIG) for task in tasks]
    preparation = preset("quick").preparation
    inputs = prepare(samples, CONFIG.schema, preparation, FeatureCache(tmp_path))
    assert inputs.present[:, 0].tolist() == [True, False]
    (failure,) = inputs.failures
    assert (failure.index, failure.reason, failure.passing) == (1, "HTTP 404", False)
