"""The bytes behind a task value, from Label Studio itself or from hosts that the settings allow.

A task can name any URL, so every address (and every redirect) is checked first.
"""

from __future__ import annotations

import base64
import binascii
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urljoin, urlsplit

import httpx
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from backend.errors import LabelStudioError
from backend.labelstudio.client import LabelStudio
from backend.media.addresses import checked_address
from backend.settings import Settings
from model.sample import MediaError

_CLOUD = ("s3", "gs", "azure-blob", "azure_spi", "gcs")
_REDIRECTS = 5
_NO_ANSWER = (
    httpx.NetworkError,
    httpx.RemoteProtocolError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
)


class _Unwell(MediaError):
    """The server answered with a fault of its own."""


class SafeFetch:
    """Fetches what a task value names. Thread-safe."""

    def __init__(self, studio: LabelStudio, settings: Settings, *, attempts: int = 3) -> None:
        """Remember where media may come from.

        Args:
            studio: Label Studio, for its media and its token.
            settings: other hosts, and limits.
            attempts: tries of a file on Label Studio when it does not answer.
        """
        self._studio = studio
        self._settings = settings
        self._attempts = attempts
        self._http = httpx.Client(
            timeout=settings.media_timeout, trust_env=False, follow_redirects=False
        )

    def __call__(self, value: str, task: int | None = None) -> bytes:
        """Return the bytes behind one task value.

        Args:
            value: path on Label Studio, URL, data URI or cloud URI.
            task: task id, needed for cloud URIs.

        Raises:
            MediaError: the address is not allowed, or nothing useful came from it.
        """
        try:
            return self._fetch(value, task)
        except (ValueError, httpx.InvalidURL) as error:  # broken brackets, ports, characters
            raise MediaError(f"not an address: {value[:80]!r} ({error})"[:250]) from error

    def _fetch(self, value: str, task: int | None) -> bytes:
        if value.startswith("data:"):
            return data_uri(value, self._settings.max_media_bytes)
        local = self.local_file(value)
        if local is not None:
            return self._read(local)
        scheme = urlsplit(value).scheme
        if scheme in _CLOUD:
            if task is None:
                raise MediaError(f"{scheme}:// needs a task id to be resolved by Label Studio")
            encoded = base64.urlsafe_b64encode(value.encode()).decode()
            return self._download(f"{self._studio.url}/tasks/{task}/resolve/?fileuri={encoded}")
        if scheme in ("http", "https"):
            return self._download(value)
        if value.startswith("/") and not value.startswith("//"):
            return self._download(self._studio.url + value)
        raise MediaError(f"not an address: {value[:80]!r}")

    def local_file(self, value: str) -> Path | None:
        """Return the file behind /data/local-files/ when a root is configured."""
        root = self._settings.local_files_root
        parts = urlsplit(value)
        if root is None or not parts.path.rstrip("/").endswith("/data/local-files"):
            return None
        wanted = parse_qs(parts.query).get("d", [""])[0]
        try:
            path = (root.resolve() / unquote(wanted).lstrip("/")).resolve()
        except (RuntimeError, OSError) as error:  # links that go round in a circle
            raise MediaError("a local path that leads nowhere") from error
        if not path.is_relative_to(root.resolve()):
            raise MediaError("a local file outside of local_files_root")
        return path

    def _read(self, path: Path) -> bytes:
        try:
            if not path.is_file():
                raise MediaError("no such local file")
            if path.stat().st_size > self._settings.max_media_bytes:
                raise MediaError(f"larger than {self._settings.max_media_bytes} bytes")
            return path.read_bytes()
        except OSError as error:  # its text would tell where the root is
            raise MediaError(f"a local file that cannot be read: {error.strerror}") from None

    def _download(self, url: str) -> bytes:
        deadline = time.monotonic() + self._settings.media_timeout
        for _ in range(_REDIRECTS):
            answer = self._one(url, deadline)
            if isinstance(answer, bytes):
                return answer
            url = urljoin(url, answer)
        raise MediaError(f"more than {_REDIRECTS} redirects")

    def _one(self, url: str, deadline: float) -> bytes | str:
        """Fetch one address; Label Studio gets a second chance, and is not blamed on the task.

        Raises:
            MediaError: this file is at fault.
            LabelStudioError: Label Studio does not answer: every file would fail alike.
        """
        own = self._studio.is_own(url)
        try:
            for attempt in Retrying(
                stop=stop_after_attempt(self._attempts if own else 1),
                wait=wait_exponential_jitter(initial=0.3, max=3),
                retry=retry_if_exception_type((_Unwell, *_NO_ANSWER)),
                reraise=True,
            ):
                with attempt:
                    return self._get(url, deadline)
        except (_Unwell, *_NO_ANSWER) as error:
            if own and not self._studio.is_up():
                raise LabelStudioError(
                    f"Label Studio at {self._studio.url} does not answer while media are fetched."
                ) from error
            if isinstance(error, _Unwell):
                raise
            raise MediaError(f"could not be fetched: {type(error).__name__}") from error
        except httpx.HTTPError as error:
            raise MediaError(f"could not be fetched: {type(error).__name__}") from error
        raise AssertionError  # pragma: no cover - Retrying returns or raises

    def _get(self, url: str, deadline: float) -> bytes | str:
        """Return the body, or the address of a redirect."""
        target, headers, extensions = self._route(url)
        with self._http.stream("GET", target, headers=headers, extensions=extensions) as answer:
            if answer.is_redirect:
                return str(answer.headers["location"])
            if answer.status_code >= 500:
                raise _Unwell(f"HTTP {answer.status_code}")
            if answer.status_code != 200:
                raise MediaError(f"HTTP {answer.status_code}")
            chunks, size = [], 0
            for chunk in answer.iter_bytes():
                size += len(chunk)
                if size > self._settings.max_media_bytes:
                    raise MediaError(f"larger than {self._settings.max_media_bytes} bytes")
                if time.monotonic() > deadline:
                    raise MediaError(f"took longer than {self._settings.media_timeout:g} s")
                chunks.append(chunk)
            return b"".join(chunks)

    def _route(self, url: str) -> tuple[str, dict[str, str], dict[str, Any]]:
        """Check an address and say how to reach it; the token goes to Label Studio only."""
        if self._studio.is_own(url):
            self._studio.refuse_while_down()
            return url, self._studio.headers(), {}
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or host not in self._settings.media_hosts:
            raise MediaError(f"host {host[:80]!r} is not allowed (setting media_hosts)")
        address = checked_address(host, parts.port, self._settings.media_private)
        # The checked address itself is dialled, so that a second DNS answer cannot differ.
        netloc = f"[{address}]" if ":" in address else address
        if parts.port:
            netloc += f":{parts.port}"
        pinned = parts._replace(netloc=netloc).geturl()
        return pinned, {"Host": parts.netloc.rpartition("@")[2]}, {"sni_hostname": host}


def data_uri(value: str, limit: int) -> bytes:
    """Return the bytes that a data URI holds.

    Raises:
        MediaError: it is broken, or larger than the limit.
    """
    head, comma, body = value.partition(",")
    if not comma or not head.endswith(";base64"):
        raise MediaError("a data URI that is not base64")
    if len(body) > limit * 4 // 3 + 4:
        raise MediaError(f"larger than {limit} bytes")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise MediaError("a data URI that is not base64") from error
