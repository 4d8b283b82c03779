"""A connection to Label Studio: tokens, retries, the circuit, and plain words when a call fails.

Tokens of both kinds (personal access and legacy) are handled and refreshed by the SDK; the
requests themselves are plain JSON, because the SDK has no bulk call for most of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx
from label_studio_sdk.core.api_error import ApiError
from label_studio_sdk.core.client_wrapper import SyncClientWrapper
from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from backend.errors import LabelStudioError
from backend.labelstudio import reach
from backend.labelstudio.addresses import Addresses
from backend.labelstudio.circuit import LONGEST_DELAY, Circuit
from backend.settings import Settings

Json = dict[str, Any]


class Connection:
    """One Label Studio server, seen with one token. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = 120.0,
        attempts: int = 4,
        circuit: Circuit | None = None,
        aliases: Sequence[str] = (),
        http: httpx.Client | None = None,
    ) -> None:
        """Connect lazily.

        Args:
            url: base URL of Label Studio, a sub-path included.
            key: personal access token or legacy token.
            timeout: seconds for one request.
            attempts: tries of a request that is safe to repeat.
            circuit: refuses requests at once while Label Studio is known not to answer.
            aliases: other base URLs of the same Label Studio, as tasks may name it.
            http: what reaches it; closed with the connection.

        Raises:
            LabelStudioError: the token has expired.
        """
        self.url = url.rstrip("/")
        self.http = http or httpx.Client(timeout=timeout, trust_env=False, follow_redirects=False)
        self.addresses = Addresses(self.url, aliases)
        self._key = key
        self._attempts = attempts
        self._circuit = circuit
        self._dated = 0.0
        self.renew_token()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    @classmethod
    def of(cls, settings: Settings, **more: Any) -> Self:
        """Connect as the settings say; `more` as for a connection."""
        http = reach.client(settings, settings.label_studio_url, timeout=more.pop("timeout", 120.0))
        return cls(
            settings.label_studio_url,
            settings.key,
            aliases=settings.label_studio_aliases,
            http=http,
            **more,
        )

    def renew_token(self) -> None:
        """Forget the access token, so that the next request asks for a new one.

        Raises:
            LabelStudioError: the token has expired.
        """
        try:
            # The SDK joins paths to this: without the slash a sub-path would be lost, and the token
            # sent to whatever answers at the host's root.
            self._wrapper = SyncClientWrapper(
                api_key=self._key, base_url=self.url + "/", httpx_client=self.http, timeout=30
            )
        except ApiError as error:
            raise LabelStudioError(_token_help(self.url), 401) from error

    def check_token(self) -> None:
        """Raise LabelStudioError where the token is refused, whatever is asked for."""
        try:
            answer = self.http.get(
                self.url + "/api/current-user/whoami", headers=self.headers(), timeout=10
            )
        except httpx.HTTPError:
            return  # it does not answer: that says nothing about the token
        if answer.status_code == 401:
            raise LabelStudioError(_token_help(self.url), 401)

    def headers(self) -> dict[str, str]:
        """Return the authorization header, with a fresh access token.

        Raises:
            LabelStudioError: the token is refused, or Label Studio cannot be reached.
        """
        try:
            return {"Authorization": self._wrapper.get_headers()["Authorization"]}
        except ApiError as error:
            status = error.status_code or 0
            if status >= 500:
                raise LabelStudioError(
                    f"Label Studio at {self.url} answered {status} to a refresh of the token.",
                    status,
                ) from None
            raise LabelStudioError(_token_help(self.url), error.status_code) from error
        except (httpx.HTTPError, ValueError) as error:
            raise LabelStudioError(
                f"Label Studio at {self.url} does not answer: {type(error).__name__} {error}"
            ) from None

    @property
    def clock(self) -> float:
        """Label Studio's time when it last answered, in seconds since the epoch; else ours."""
        return self._dated or time.time()

    def refuse_while_down(self) -> None:
        """Raise LabelStudioError at once while Label Studio is known not to answer."""
        if self._circuit is not None and self._circuit.waits:
            raise self._unasked()

    @property
    def _is_open(self) -> bool:
        return self._circuit is not None and self._circuit.is_open

    def _unasked(self) -> LabelStudioError:
        return LabelStudioError(
            f"Label Studio at {self.url} does not answer; it is asked again within "
            f"{LONGEST_DELAY:.0f} seconds."
        )

    def is_up(self) -> bool:
        """Tell whether Label Studio answers at all, whatever it says of one file."""
        try:
            return self.http.get(self.url + "/health", timeout=5).status_code < 500
        except httpx.HTTPError:
            return False

    def call(self, method: str, path: str, *, repeat: bool | None = None, **kwargs: Any) -> Any:
        """Send one request and return its JSON (None for an empty body).

        Args:
            method: HTTP method.
            path: path under the base URL.
            repeat: whether sending twice is harmless; default: for GET, PUT, PATCH, DELETE.
            kwargs: `json` and `params` for httpx.

        Raises:
            LabelStudioError: no answer, or a status of 400 and above.
        """
        repeat = method != "POST" if repeat is None else repeat
        for attempt in Retrying(
            stop=stop_after_attempt(self._attempts if repeat else 1),
            wait=wait_exponential_jitter(initial=0.5, max=8),
            # While the circuit is open there is one trial, and the next one later.
            retry=retry_if_exception(lambda error: is_passing(error) and not self._is_open),
            reraise=True,
        ):
            with attempt:
                return self._counted(method, path, **kwargs)
        raise AssertionError  # pragma: no cover - Retrying returns or raises

    def _counted(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send one request unless the circuit is open, and tell it what came of it."""
        if self._circuit is None:
            return self._send(method, path, **kwargs)
        if not self._circuit.admit():
            raise self._unasked()
        try:
            answer = self._send(method, path, **kwargs)
        except LabelStudioError as error:
            if error.status is None or error.status >= 500:
                self._circuit.failed()
            else:
                self._circuit.succeeded()
            raise
        self._circuit.succeeded()
        return answer

    def _send(self, method: str, path: str, **kwargs: Any) -> Any:
        try:
            response = self.http.request(method, self.url + path, headers=self.headers(), **kwargs)
            if response.status_code == 401:  # the access token may have been taken back
                self.renew_token()
                response = self.http.request(
                    method, self.url + path, headers=self.headers(), **kwargs
                )
        except httpx.HTTPError as error:
            kind = type(error).__name__
            raise LabelStudioError(
                f"Label Studio at {self.url} does not answer {method} {path}: {kind} {error}"
            ) from None
        self._dated = _date(response)
        if response.status_code == 401:
            raise LabelStudioError(_token_help(self.url), 401)
        if response.status_code >= 400:
            raise LabelStudioError(
                f"Label Studio answered {response.status_code} to {method} {path}: "
                f"{_detail(response)}",
                response.status_code,
            )
        try:
            return response.json() if response.content else None
        except ValueError:
            raise LabelStudioError(
                f"What answered {method} {path} at {self.url} is not Label Studio, or its answer "
                "was cut off: it is not JSON."
            ) from None


def is_passing(error: BaseException) -> bool:
    """Tell whether a later try may succeed: no answer, or a server-side fault."""
    return isinstance(error, LabelStudioError) and (
        error.status is None or error.status in (429, 500, 502, 503, 504)
    )


def _date(response: httpx.Response) -> float:
    """Return when an answer was made, as its header says; 0 where none says so."""
    try:
        return parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return 0.0


def _detail(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return response.text[:200]
    if not isinstance(body, dict):
        return str(body)[:500]
    return str(body.get("validation_errors") or body.get("detail") or body)[:500]


def _token_help(url: str) -> str:
    return (
        f"Label Studio at {url} refuses the token. Set EQUIPOISE_API_KEY to a valid personal "
        "access token (Account & Settings > Personal Access Token); legacy tokens work only "
        "where the organization allows them."
    )
