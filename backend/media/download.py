"""One file over HTTP: where it may come from, how often it is asked for, how large it may be."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential_jitter,
)

from backend.errors import LabelStudioError
from backend.hosts import fits_host
from backend.labelstudio import reach
from backend.labelstudio.client import LabelStudio
from backend.media.addresses import checked_address
from backend.settings import Settings
from model.sample import MediaError

_REDIRECTS = 5
_HOSTS = 32
_PASSING = (408, 425, 429)
_WAIT = wait_exponential_jitter(initial=0.3, max=3)


class _Unwell(MediaError):
    """The server asks for patience, or has a fault of its own."""

    def __init__(self, status: int, retry_after: str) -> None:
        super().__init__(f"HTTP {status}", passing=True)
        self.wait = float(retry_after) if retry_after.isdecimal() else 0.0


class _Unauthorized(MediaError):
    """Label Studio answered 401."""


class Download:
    """Fetches addresses of Label Studio and of allowed hosts. Thread-safe."""

    def __init__(self, studio: LabelStudio, settings: Settings, *, attempts: int = 3) -> None:
        """Remember where files may come from.

        Args:
            studio: Label Studio, for its media and its token.
            settings: other hosts, and limits.
            attempts: tries of a file whose server does not answer, or asks for patience.
        """
        self._studio = studio
        self._settings = settings
        self._attempts = attempts
        self._lock = threading.Lock()
        self._clients: OrderedDict[tuple[str, str], httpx.Client] = OrderedDict()

    def __call__(self, url: str) -> bytes:
        """Return the bytes behind an address.

        Raises:
            MediaError: it is not allowed, or nothing useful came; `passing` says for how long.
            LabelStudioError: Label Studio does not answer: every file would fail alike.
        """
        deadline = time.monotonic() + self._settings.media_timeout
        for _ in range(_REDIRECTS):
            answer = self._one(url, deadline)
            if isinstance(answer, bytes):
                return answer
            url = urljoin(url, answer)
        raise MediaError(f"more than {_REDIRECTS} redirects")

    def _one(self, url: str, deadline: float) -> bytes | str:
        """Fetch one address as often as is worth it; Label Studio's faults are no task's."""
        own = self._studio.addresses.own(url)
        try:
            return self._patiently(own or url, deadline, own is not None)
        except _Unauthorized:
            self._studio.renew_token()
        except MediaError as error:
            if own is not None and error.passing and not self._studio.is_up():
                raise LabelStudioError(
                    f"Label Studio at {self._studio.url} does not answer while media are fetched."
                ) from error
            raise
        try:
            return self._patiently(own or url, deadline, own is not None)
        except _Unauthorized:
            self._studio.check_token()  # raises where it is refused everywhere
            raise

    def _patiently(self, url: str, deadline: float, own: bool) -> bytes | str:
        for attempt in Retrying(
            stop=stop_after_attempt(self._attempts)
            | stop_before_delay(max(0.0, deadline - time.monotonic())),
            wait=_wait,
            retry=retry_if_exception(lambda e: isinstance(e, MediaError) and e.passing),
            reraise=True,
        ):
            with attempt:
                try:
                    return self._get(url, deadline, own)
                except httpx.HTTPError as error:
                    raise _no_answer(error) from error
        raise AssertionError  # pragma: no cover - Retrying returns or raises

    def _get(self, url: str, deadline: float, own: bool) -> bytes | str:
        """Return the body, or the address of a redirect."""
        target, more = self._own_route(url) if own else self._route(url)
        client = self._client(url)
        left = max(0.1, deadline - time.monotonic())
        with client.stream("GET", target, timeout=left, **more) as answer:
            if answer.is_redirect:
                return str(answer.headers["location"])
            _check(answer, own)
            chunks, size = [], 0
            for chunk in answer.iter_bytes():
                size += len(chunk)
                if size > self._settings.max_media_bytes:
                    raise MediaError(f"larger than {self._settings.max_media_bytes} bytes")
                if time.monotonic() > deadline:
                    limit = self._settings.media_timeout
                    raise MediaError(f"took longer than {limit:g} s", passing=True)
                chunks.append(chunk)
            return b"".join(chunks)

    def _own_route(self, url: str) -> tuple[str, dict[str, Any]]:
        self._studio.refuse_while_down()
        return url, {"headers": self._studio.headers()}

    def _route(self, url: str) -> tuple[str, dict[str, Any]]:
        """Check an address of another host and say how to reach it; the token stays here."""
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        allowed = any(fits_host(host, pattern) for pattern in self._settings.media_hosts)
        if parts.scheme not in ("http", "https") or not allowed:
            raise MediaError(f"host {host[:80]!r} is not allowed (setting media_hosts)")
        if reach.proxy_for(self._settings, url) is not None:
            return url, {}  # the proxy looks the name up, and is what may refuse the address
        address = checked_address(host, parts.port, self._settings.media_private)
        # The checked address itself is dialled, so that a second DNS answer cannot differ.
        netloc = f"[{address}]" if ":" in address else address
        if parts.port:
            netloc += f":{parts.port}"
        pinned = parts._replace(netloc=netloc).geturl()
        headers = {"Host": parts.netloc.rpartition("@")[2]}
        return pinned, {"headers": headers, "extensions": {"sni_hostname": host}}

    def _client(self, url: str) -> httpx.Client:
        """Return the host's own client: connections are pooled by address, and hosts share some.

        A connection whose certificate was checked for one name must not carry another's requests.
        """
        parts = urlsplit(url)
        key = parts.scheme, parts.netloc
        with self._lock:
            found = self._clients.pop(key, None)
            if found is None:
                found = reach.client(self._settings, url, timeout=self._settings.media_timeout)
            self._clients[key] = found
            if len(self._clients) > _HOSTS:  # whoever still reads from it keeps it
                self._clients.popitem(last=False)
        return found


def _check(answer: httpx.Response, own: bool) -> None:
    status = answer.status_code
    if status >= 500 or status in _PASSING:
        raise _Unwell(status, answer.headers.get("retry-after", ""))
    if status == 401 and own:
        raise _Unauthorized("HTTP 401")
    if status != 200:
        raise MediaError(f"HTTP {status}")


def _no_answer(error: httpx.HTTPError) -> MediaError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return MediaError("the host's certificate is not trusted (setting ca_file)")
    passing = isinstance(error, httpx.TransportError) and not isinstance(
        error, httpx.UnsupportedProtocol | httpx.LocalProtocolError
    )
    return MediaError(f"could not be fetched: {type(error).__name__}", passing=passing)


def _wait(state: RetryCallState) -> float:
    """Wait as long as the server asks, else longer each time, with jitter."""
    error = state.outcome.exception() if state.outcome is not None else None
    return max(getattr(error, "wait", 0.0), _WAIT(state))
