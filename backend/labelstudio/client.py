"""Label Studio's HTTP API: the calls this backend makes, with plain words when one fails.

Tokens of both kinds (personal access and legacy) are handled and refreshed by the SDK; the
requests themselves are plain JSON, because the SDK has no bulk call for most of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import urlsplit

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
from backend.labelstudio.circuit import LONGEST_DELAY, Circuit

Json = dict[str, Any]
_ANNOTATED = {
    "conjunction": "and",
    "items": [
        {
            "filter": "filter:tasks:annotations_ids",
            "operator": "empty",
            "type": "String",
            "value": False,
        }
    ],
}
_PAGE = 1000


class LabelStudio:
    """One Label Studio server, seen with one token. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = 120.0,
        attempts: int = 4,
        circuit: Circuit | None = None,
    ) -> None:
        """Connect lazily.

        Args:
            url: base URL of Label Studio, a sub-path included.
            key: personal access token or legacy token.
            timeout: seconds for one request.
            attempts: tries of a request that is safe to repeat.
            circuit: refuses requests at once while Label Studio is known not to answer.

        Raises:
            LabelStudioError: the token has expired.
        """
        self.url = url.rstrip("/")
        self.http = httpx.Client(timeout=timeout, trust_env=False, follow_redirects=False)
        self._attempts = attempts
        self._circuit = circuit
        try:
            self._wrapper = SyncClientWrapper(
                api_key=key, base_url=self.url, httpx_client=self.http, timeout=30
            )
        except ApiError as error:
            raise LabelStudioError(_token_help(self.url), 401) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

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

    def is_own(self, url: str) -> bool:
        """Tell whether an absolute URL is on this server (same scheme, host and port)."""
        ours, theirs = urlsplit(self.url), urlsplit(url)
        return (ours.scheme, ours.hostname, _port(ours)) == (
            theirs.scheme,
            theirs.hostname,
            _port(theirs),
        )

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
        except httpx.HTTPError as error:
            kind = type(error).__name__
            raise LabelStudioError(
                f"Label Studio at {self.url} does not answer {method} {path}: {kind} {error}"
            ) from None
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

    # Projects and tasks

    def project(self, project: int) -> Json:
        """Return one project."""
        found: Json = self.call("GET", f"/api/projects/{project}/")
        return found

    def update_project(self, project: int, **fields: Any) -> Json:
        """Change fields of a project."""
        changed: Json = self.call("PATCH", f"/api/projects/{project}/", json=fields)
        return changed

    def tasks(self, project: int) -> Iterator[Json]:
        """Yield every task with id, data and is_labeled."""
        return self._pages(project, {"include": "id,data,is_labeled"})

    def open_tasks(self, project: int) -> set[int]:
        """Return the ids of tasks that are not done yet."""
        pages = self._pages(project, {"include": "id,is_labeled"})
        return {int(task["id"]) for task in pages if not task["is_labeled"]}

    def annotated(self, project: int) -> Iterator[Json]:
        """Yield every task that has annotations (skipped ones too), with them."""
        return self._pages(project, {"fields": "all", "query": json.dumps({"filters": _ANNOTATED})})

    def task(self, task: int) -> Json:
        """Return one task."""
        found: Json = self.call("GET", f"/api/tasks/{task}/")
        return found

    def _pages(self, project: int, params: Json) -> Iterator[Json]:
        # By id, so that a task that is finished meanwhile does not shift the pages.
        page = 1
        while True:
            body = self.call(
                "GET",
                "/api/tasks",
                params={"project": project, "page": page, "page_size": _PAGE, **params},
            )
            yield from body["tasks"]
            if page * _PAGE >= body["total"]:
                return
            page += 1

    # Predictions

    def import_predictions(self, project: int, predictions: list[Json]) -> int:
        """Store predictions in one request and return how many Label Studio says it created."""
        body = self.call("POST", f"/api/projects/{project}/import/predictions", json=predictions)
        return int(body["created"])

    def predictions(self, project: int) -> list[Json]:
        """Return every stored prediction of a project."""
        found: list[Json] = self.call("GET", "/api/predictions/", params={"project": project})
        return found

    def delete_prediction(self, prediction: int) -> None:
        """Delete one prediction; project.model_version is left alone."""
        try:
            self.call("DELETE", f"/api/predictions/{prediction}/")
        except LabelStudioError as error:
            if error.status != 404:
                raise

    def version_counts(self, project: int) -> dict[str, int]:
        """Return how many predictions each model version has."""
        found: dict[str, int] = self.call("GET", f"/api/projects/{project}/model-versions")
        return found

    # Backends, webhooks, tabs

    def backends(self, project: int) -> list[Json]:
        """Return the project's backends (Label Studio re-checks each: /health and /setup)."""
        found: list[Json] = self.call("GET", "/api/ml", params={"project": project})
        return found

    def create_backend(self, project: int, fields: Json) -> Json:
        """Register a backend."""
        made: Json = self.call("POST", "/api/ml", json={"project": project, **fields})
        return made

    def update_backend(self, backend: int, project: int, **fields: Any) -> Json:
        """Change a backend; the fields must hold its url and, where it has one, its password."""
        body = {"project": project, **fields}
        changed: Json = self.call("PATCH", f"/api/ml/{backend}", json=body)
        return changed

    def delete_backend(self, backend: int) -> None:
        """Unregister a backend; its webhook stays."""
        self.call("DELETE", f"/api/ml/{backend}")

    def webhooks(self, project: int) -> list[Json]:
        """Return the project's webhooks."""
        found: list[Json] = self.call("GET", "/api/webhooks/", params={"project": project})
        return [hook for hook in found if hook.get("project") == project]

    def create_webhook(self, project: int, url: str, headers: Json) -> Json:
        """Create a webhook for every event of a project."""
        made: Json = self.call(
            "POST",
            "/api/webhooks/",
            json={
                "project": project,
                "url": url,
                "headers": headers,
                "send_payload": True,
                "send_for_all_actions": True,
            },
        )
        return made

    def update_webhook(self, webhook: int, **fields: Any) -> Json:
        """Change a webhook."""
        changed: Json = self.call("PATCH", f"/api/webhooks/{webhook}/", json=fields)
        return changed

    def delete_webhook(self, webhook: int) -> None:
        """Delete a webhook."""
        self.call("DELETE", f"/api/webhooks/{webhook}/")

    def tabs(self, project: int) -> list[Json]:
        """Return the project's Data Manager tabs."""
        found: list[Json] = self.call("GET", "/api/dm/views/", params={"project": project})
        return found

    def create_tab(self, project: int, data: Json) -> Json:
        """Create a Data Manager tab."""
        made: Json = self.call("POST", "/api/dm/views/", json={"project": project, "data": data})
        return made

    def delete_tab(self, tab: int, project: int) -> None:
        """Delete a Data Manager tab."""
        self.call("DELETE", f"/api/dm/views/{tab}/", params={"project": project})


def is_passing(error: BaseException) -> bool:
    """Tell whether a later try may succeed: no answer, or a server-side fault."""
    return isinstance(error, LabelStudioError) and (
        error.status is None or error.status in (429, 500, 502, 503, 504)
    )


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


def _port(parts: Any) -> int:
    return int(parts.port or (443 if parts.scheme == "https" else 80))
