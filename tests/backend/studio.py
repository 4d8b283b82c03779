"""A Label Studio in memory, over real HTTP: the calls that publishing makes, and its faults."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from label_studio_sdk.label_interface import LabelInterface

CONFIG = (
    '<View><Text name="txt" value="$text"/><Choices name="label" toName="txt">'
    '<Choice value="A"/><Choice value="B"/></Choices></View>'
)
Json = dict[str, Any]


class FakeStudio:
    """One project with tasks and predictions.

    As Label Studio 1.23.2 does, it dates every edit of a task's data and annotations, but neither
    deletions of tasks nor what `undated` is called after.

    Attributes:
        remote: the project as /api/projects/ID/ shows it; counts that are not in it are counted.
        tasks: open tasks' ids.
        predictions: stored predictions.
        data: task id -> data, where not empty.
        annotations: task id -> annotations, of labelled tasks.
        query: of the last request.
        title: the backend's title.
        tabs: of the Data Manager.
        requests: every request, as "METHOD path".
        broken: status to answer everything with, or None.
        forbidden: the first part of the paths, below /api/, that are answered with 403.
        lost: how many of the next POST requests are done, but not answered.
        strict: whether one answer that does not pass the check refuses all, instead of itself.
        named: at each change of the version: the version, and how many predictions it then had.
        clock: seconds since the epoch; by it edits and answers are dated.
        page: the largest page of tasks.
        listed: how many tasks it has shown in lists.
    """

    def __init__(self, tasks: int = 10) -> None:
        self.remote: Json = {
            "id": 1,
            "title": "Reviews",
            "label_config": CONFIG,
            "model_version": "",
            "sampling": "Uncertainty sampling",
            "show_collab_predictions": True,
            "min_annotations_to_start_training": 0,
            "maximum_annotations": 1,
        }
        self.tasks = set(range(1, tasks + 1))
        self.predictions: list[Json] = []
        self.title = "ours"
        self.data: dict[int, Json] = {}
        self.annotations: dict[int, list[Json]] = {}
        self.query = ""
        self.hooks: list[Json] = []
        self.tabs: list[Json] = []
        self.requests: list[str] = []
        self.broken: int | None = None
        self.forbidden = ""
        self.lost = 0
        self.strict = False
        self.named: list[tuple[str, int]] = []
        self.clock: Callable[[], float] = time.time
        self.page = 1000
        self.listed = 0
        self._seen: dict[int, str] = {}
        self._dates: dict[int, float] = {}
        self._next = 1
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.backend_url = "http://127.0.0.1:9090"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, version: str) -> int:
        """Return how many predictions a version has."""
        return sum(row["model_version"] == version for row in self.predictions)

    def date_edits(self) -> None:
        """Date what was edited since the last time; done with every request."""
        for task in self.tasks:
            now = json.dumps([self.data.get(task, {}), self.annotations.get(task, [])])
            if self._seen.get(task) != now:
                self._seen[task], self._dates[task] = now, self.clock()

    def undated(self) -> None:
        """Leave what was edited since the last time without a new date, as bulk actions do."""
        dates = dict(self._dates)
        self.date_edits()
        self._dates.update(dates)

    def counts(self) -> Json:
        """Return the counts that a project shows."""
        said = [one for task in self.tasks for one in self.annotations.get(task, [])]
        skipped = sum(bool(one.get("was_cancelled")) for one in said)
        return {
            "task_number": len(self.tasks),
            "finished_task_number": sum(map(self._is_done, self.tasks)),
            "total_annotations_number": len(said) - skipped,
            "skipped_annotations_number": skipped,
        }

    def _is_done(self, task: int) -> bool:
        said = [one for one in self.annotations.get(task, []) if not one.get("was_cancelled")]
        return len(said) >= self.remote["maximum_annotations"]

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Answer one request."""
        if path == "/health":
            return 200, {"status": "UP"}
        parts = path.strip("/").split("/")[1:]
        if parts[0] == self.forbidden:
            return 403, {"detail": "You do not have permission."}
        if parts[0] == "predictions" and method == "DELETE":
            self.predictions = [p for p in self.predictions if p["id"] != int(parts[1])]
            return 204, None
        if "annotations" in (parts[0], parts[-1]):
            return self._annotation(method, parts, body)
        if parts[0] == "dm" and method in ("PATCH", "DELETE"):
            return self._change_tab(method, int(parts[2]), body)
        known = {
            ("GET", "tasks"): self._tasks,
            ("GET", "ml"): lambda _: (200, [self._backend()]),
            ("PATCH", "ml"): self._rename,
            ("GET", "webhooks"): lambda _: (200, self.hooks),
            ("POST", "webhooks"): self._hook,
            ("PATCH", "webhooks"): self._change_hook,
            ("GET", "dm"): lambda _: (200, self.tabs),
            ("POST", "dm"): self._tab,
        }
        if parts[0] == "projects":
            return self._project(method, parts[2:], body)
        if path.startswith("/data/"):
            return 404, {"detail": "not found"}
        return known[(method, parts[0])](body)

    def _project(self, method: str, rest: list[str], body: Any) -> tuple[int, Any]:
        if rest == ["import", "predictions"]:
            if not self.tasks.issuperset(row["task"] for row in body):
                return 400, {"detail": 'contains invalid "task" field'}
            check = LabelInterface(self.remote["label_config"]).validate_prediction
            passed = [row for row in body if check(row)]
            if self.strict and len(passed) < len(body):
                return 400, {"detail": "Invalid value for control"}
            for row in passed:
                self.predictions.append({"id": self._next, **row})
                self._next += 1
            return 201, {"created": len(passed)}
        if rest == ["model-versions"]:
            names = {row["model_version"] for row in self.predictions}
            return 200, {name: self.count(name) for name in names}
        if method == "PATCH":
            version = body.get("model_version")
            if version is not None and version != self.title and not self.count(version):
                return 400, {"detail": "Model version doesn't exist"}
            self.remote.update(body)
            if version is not None:
                self.named.append((version, self.count(version)))
        return 200, {**self.counts(), **self.remote}

    def _annotation(self, method: str, parts: list[str], body: Any) -> tuple[int, Any]:
        if method == "DELETE":
            for task, made in list(self.annotations.items()):
                self.annotations[task] = [a for a in made if str(a["id"]) != parts[1]]
            return 204, None
        task = int(parts[1])
        if task not in self.tasks:
            return 404, {"detail": "Not found."}
        made = {"id": 100_000 + self._next, "was_cancelled": False, "ground_truth": False, **body}
        self._next += 1
        self.annotations.setdefault(task, []).append(made)
        return 201, made

    def _tasks(self, _: Any) -> tuple[int, Any]:
        self.date_edits()
        asked = {name: values[0] for name, values in parse_qs(self.query).items()}
        query = json.loads(asked.get("query", "{}"))
        rows = [self._row(task) for task in sorted(self.tasks)]
        selected = query.get("selectedItems", {"all": True})
        if not selected["all"]:
            rows = [row for row in rows if row["id"] in selected["included"]]
        for wanted in query.get("filters", {"items": []})["items"]:
            rows = [row for row in rows if _passes(row, wanted)]
        size = min(int(asked.get("page_size", 100)), self.page)
        start = (int(asked.get("page", 1)) - 1) * size
        shown = rows[start : start + size]
        self.listed += len(shown)
        nested = {"annotations", "predictions"} if asked.get("fields") == "all" else set()
        included = set(asked["include"].split(",")) if "include" in asked else None
        cut = [_included(row, included, nested) for row in shown]
        return 200, {"tasks": cut, "total": len(rows)}

    def _row(self, task: int) -> Json:
        return {
            "id": task,
            "data": self.data.get(task, {}),
            "annotations": self.annotations.get(task, []),
            "predictions": [p for p in self.predictions if p["task"] == task],
            "is_labeled": self._is_done(task),
            "updated_at": _written(self._dates[task]),
        }

    def _backend(self) -> Json:
        return {
            "id": 4,
            "url": self.backend_url,
            "title": self.title,
            "readable_state": "Connected",
        }

    def _rename(self, body: Json) -> tuple[int, Any]:
        self.title = body["title"]
        return 200, self._backend()

    def _tab(self, body: Json) -> tuple[int, Any]:
        self.tabs.append({"id": self._next, "data": body["data"]})
        self._next += 1
        return 201, self.tabs[-1]

    def _change_tab(self, method: str, tab: int, body: Json) -> tuple[int, Any]:
        (found,) = [one for one in self.tabs if one["id"] == tab]
        if method == "DELETE":
            self.tabs.remove(found)
            return 204, None
        found["data"] = body["data"]
        return 200, found

    def _hook(self, body: Json) -> tuple[int, Any]:
        fixed = {"id": len(self.hooks) + 1, "is_active": True, "actions": []}
        self.hooks.append({**fixed, **body})
        return 201, self.hooks[-1]

    def _change_hook(self, body: Json) -> tuple[int, Any]:
        self.hooks[0].update(body)
        return 200, self.hooks[0]


def _written(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _passes(row: Json, wanted: Json) -> bool:
    """Tell whether a task passes one filter of the Data Manager's."""
    name, value = wanted["filter"].removeprefix("filter:tasks:"), wanted["value"]
    match name, wanted["operator"], wanted["type"]:
        case "id", "equal", "Number":
            return bool(row["id"] == value)
        case "id", "greater", "Number":
            return bool(row["id"] > value)
        case "updated_at", "greater_or_equal", "Datetime":
            datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ")  # else it is refused there
            return bool(row["updated_at"] >= value)
        case "annotations_ids", "greater", "Number":
            return any(one["id"] > value for one in row["annotations"])
        case "predictions_model_versions", "contains", "List":
            return any(value[0] in one["model_version"] for one in row["predictions"])
    raise AssertionError(f"no such filter is known here: {wanted}")


def _included(row: Json, included: set[str] | None, nested: set[str]) -> Json:
    """Leave out of a task what was not asked for; the names hold for what is in it as well."""
    inner = ("annotations", "predictions")
    found = {k: v for k, v in row.items() if k not in inner or k in nested}
    if included is None:
        return found
    found = {k: v for k, v in found.items() if k in included}
    if "annotations" in found:
        found["annotations"] = [
            {k: v for k, v in said.items() if k in included} for said in found["annotations"]
        ]
    return found


def _handler(studio: FakeStudio) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and content need not wait for each other

        def _any(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            path = urlsplit(self.path).path
            studio.query = urlsplit(self.path).query
            studio.requests.append(f"{self.command} {path}")
            status, answer = (
                (studio.broken, {"detail": "broken"})
                if studio.broken
                else studio.answer(self.command, path, body)
            )
            if self.command == "POST" and studio.lost:
                studio.lost -= 1
                self.close_connection = True
                return
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._any()

        def do_POST(self) -> None:
            self._any()

        def do_PATCH(self) -> None:
            self._any()

        def do_DELETE(self) -> None:
            self._any()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(timestamp or int(studio.clock()))

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    return Handler
