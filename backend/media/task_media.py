"""Task data -> Sample: where each raw value is and how it may be fetched.

Media come from Label Studio itself or from hosts that the settings allow, never from anywhere
else: a task can name any URL, so every address (and every redirect) is checked first.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
import socket
import time
from collections.abc import Mapping
from html.parser import HTMLParser
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
from backend.labelstudio.config import LabelConfig
from backend.media.decode_log import DecodeLog
from backend.settings import Settings
from model.sample import MediaError, RawValue, Reference, Sample
from model.schema import ModalityKind

_CLOUD = ("s3", "gs", "azure-blob", "azure_spi", "gcs")
_REDIRECTS = 5
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST = ipaddress.IPv6Network("2000::/3")
_DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")
_NO_ANSWER = (
    httpx.NetworkError,
    httpx.RemoteProtocolError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
)


class _Unwell(MediaError):
    """The server answered with a fault of its own."""


class MediaSource:
    """Turns task data into samples whose media are fetched on demand. Thread-safe."""

    def __init__(
        self,
        studio: LabelStudio,
        settings: Settings,
        *,
        attempts: int = 3,
        decode_log: DecodeLog | None = None,
        suspects: bool = True,
    ) -> None:
        """Remember where media may come from.

        Args:
            studio: Label Studio, for its media and its token.
            settings: other hosts, and limits.
            attempts: tries of a file on Label Studio when it does not answer.
            decode_log: notes what is being decoded, and knows which files crash their decoders.
            suspects: whether files that may have crashed a process are loaded.
        """
        self._decode_log = decode_log
        self._refused = decode_log.refused() if decode_log is not None else {}
        if decode_log is not None and not suspects:
            waits = dict.fromkeys(decode_log.suspects(), "a process died while decoding it")
            self._refused = {**waits, **self._refused}
        self._studio = studio
        self._attempts = attempts
        self._settings = settings
        self._http = httpx.Client(
            timeout=settings.media_timeout, trust_env=False, follow_redirects=False
        )

    def sample(self, task: Mapping[str, Any], config: LabelConfig) -> Sample:
        """Return a task's raw values by data key; a value of the wrong type is absent."""
        data = task.get("data") or {}
        return {
            modality.key: self._value(
                data.get(modality.key), modality.kind, task, modality.key in config.markup
            )
            for modality in config.schema.modalities
        }

    def _value(
        self, value: Any, kind: ModalityKind, task: Mapping[str, Any], markup: bool
    ) -> RawValue:
        if kind is ModalityKind.TEXT:
            if value is None or isinstance(value, dict | list):
                return None
            return plain_text(str(value)) if markup else str(value)
        if kind is ModalityKind.SEQUENCE and isinstance(value, list):
            return value
        if not isinstance(value, str) or not value.strip():
            return None
        return self._reference(value.strip(), task)

    def _reference(self, value: str, task: Mapping[str, Any]) -> Reference:
        stamp = ""
        try:
            local = self._local_file(value)
            if local is not None and local.is_file():
                found = local.stat()
                stamp = f"{found.st_size}:{found.st_mtime_ns}"
        except (MediaError, ValueError, OSError):
            pass  # fetch() says why when the value is wanted
        named = f"{self._studio.url}|{value}|{stamp}".encode(errors="backslashreplace")
        key = hashlib.sha256(named).hexdigest()
        task_id = task.get("id")
        decode_log = self._decode_log
        if decode_log is None:
            return Reference(key=key, load=lambda: self.fetch(value, task_id))
        return Reference(
            key=key,
            load=lambda: self._load(decode_log, key, value, task_id),
            done=lambda: decode_log.end(key),
        )

    def _load(self, decode_log: DecodeLog, key: str, value: str, task: int | None) -> bytes:
        if key in self._refused:
            raise MediaError(self._refused[key])
        return decode_log.load(key, lambda: self.fetch(value, task))

    def fetch(self, value: str, task: int | None = None) -> bytes:
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
            return _data_uri(value, self._settings.max_media_bytes)
        local = self._local_file(value)
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

    def _local_file(self, value: str) -> Path | None:
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
        address = _address(host, parts.port, self._settings.media_private)
        # The checked address itself is dialled, so that a second DNS answer cannot differ.
        netloc = f"[{address}]" if ":" in address else address
        if parts.port:
            netloc += f":{parts.port}"
        pinned = parts._replace(netloc=netloc).geturl()
        return pinned, {"Host": parts.netloc.rpartition("@")[2]}, {"sni_hostname": host}


def _address(host: str, port: int | None, private: bool) -> str:
    try:
        found = socket.getaddrinfo(host, port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise MediaError(f"host {host[:80]!r} cannot be resolved") from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not private and not _is_public(ipaddress.ip_address(address.split("%")[0])):
            raise MediaError(f"host {host!r} resolves to a private address (media_private)")
    return addresses[0]


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Tell whether an address is on the public internet, and what is packed into it as well."""
    packed: ipaddress.IPv4Address | None = None
    if isinstance(address, ipaddress.IPv6Address):
        packed = address.ipv4_mapped or address.sixtofour
        if packed is None and address in _NAT64:
            packed = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if packed is not None:
        return _is_public(packed)
    # Python counts as global what is not known to be private; of IPv6 an eighth is handed out.
    if address.version == 6 and (address not in _UNICAST or address in _DOCUMENTATION):
        return False
    return address.is_global and not address.is_multicast


def _data_uri(value: str, limit: int) -> bytes:
    head, comma, body = value.partition(",")
    if not comma or not head.endswith(";base64"):
        raise MediaError("a data URI that is not base64")
    if len(body) > limit * 4 // 3 + 4:
        raise MediaError(f"larger than {limit} bytes")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise MediaError("a data URI that is not base64") from error


_TAG = re.compile(r"<[^<>]*>?")


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style") and self._hidden > 0

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def plain_text(markup: str) -> str:
    """Return the text of an HTML fragment, tags, scripts and styles left out."""
    parser = _Text()
    try:
        parser.feed(markup)
        parser.close()
    except AssertionError:  # the parser gives up at some broken declarations: drop the tags only
        parser.parts = [_TAG.sub(" ", markup)]
    return " ".join(" ".join(parser.parts).split())
