"""The bytes behind a task value, from Label Studio itself or from hosts that the settings allow.

A task can name any URL, so every address (and every redirect) is checked first:
backend/media/download.py.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx

from backend.labelstudio.client import LabelStudio
from backend.media.download import Download
from backend.settings import Settings
from model.sample import MediaError

_CLOUD = ("s3", "gs", "azure-blob", "azure_spi", "gcs")


class SafeFetch:
    """Fetches what a task value names. Thread-safe."""

    def __init__(self, studio: LabelStudio, settings: Settings, *, attempts: int = 3) -> None:
        """Remember where media may come from.

        Args:
            studio: Label Studio, for its media and its token.
            settings: other hosts, and limits.
            attempts: tries of a file whose server does not answer, or asks for patience.
        """
        self._studio = studio
        self._settings = settings
        self._download = Download(studio, settings, attempts=attempts)

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
        scheme = value.partition("://")[0].lower()  # urlsplit knows none with an underscore
        if scheme in _CLOUD:
            if task is None:
                raise MediaError(f"{scheme}:// needs a task id to be resolved by Label Studio")
            encoded = base64.urlsafe_b64encode(value.encode()).decode()
            return self._download(f"{self._studio.url}/tasks/{task}/resolve/?fileuri={encoded}")
        if scheme in ("http", "https"):
            return self._download(value)
        if value.startswith("/") and not value.startswith("//"):
            return self._download(self._studio.addresses.absolute(value))
        raise MediaError(f"not an address: {value[:80]!r}")

    def local_file(self, value: str) -> Path | None:
        """Return the file behind /data/local-files/ when a root is configured."""
        root = self._settings.local_files_root
        parts = urlsplit(value)
        if root is None or not parts.path.rstrip("/").endswith("/data/local-files"):
            return None
        wanted = parse_qs(parts.query).get("d", [""])[0]
        try:
            path = (root.resolve() / wanted.lstrip("/")).resolve()
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
