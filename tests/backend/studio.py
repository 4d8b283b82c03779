"""A Label Studio in memory, over real HTTP: the calls that publishing makes, and its faults."""

from __future__ import annotations

import json
import threading
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

    Attributes:
        remote: the project as /api/projects/ID/ shows it.
        tasks: open tasks' ids.
        predictions: stored predictions.
        data: task id -> data, where not empty.
        annotations: task id -> annotations, of labelled tasks.
        query: of the last request.
        title: the backend's title.
        tabs: of the Data Manager.
        requests: every request, as "METHOD path".
        broken: status to answer everything with, or None.
        lost: how many of the next POST requests are done, but not answered.
        strict: whether one answer that does not pass the check refuses all, instead of itself.
        named: at each change of the version: the version, and how many predictions it then had.
    """

    def __init__(self, tasks: int = 10) -> None:
        self.remote: Json = {
            "id": 1,
            "title": "Reviews",
            "label_config": CONFIG,
            "model_version": "",
            "task_number": tasks,
            "total_annotations_number": 0,
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
        self.lost = 0
        self.strict = False
        self.named: list[tuple[str, int]] = []
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

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Answer one request."""
        if path == "/health":
            return 200, {"status": "UP"}
        parts = path.strip("/").split("/")[1:]
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
        return 200, self.remote

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
        rows = [
            {
                "id": task,
                "data": self.data.get(task, {}),
                "annotations": self.annotations.get(task, []),
                "is_labeled": any(
                    not said.get("was_cancelled") for said in self.annotations.get(task, [])
                ),
            }
            for task in sorted(self.tasks)
        ]
        asked = parse_qs(self.query)
        query = asked.get("query", [""])[0]
        if "filter:tasks:id" in query:
            (wanted,) = json.loads(query)["filters"]["items"]
            rows = [row for row in rows if row["id"] == wanted["value"]]
        if "annotations_ids" in query:
            rows = [row for row in rows if row["annotations"]]
        if "predictions_model_versions" in query:
            (wanted,) = json.loads(query)["filters"]["items"][0]["value"]
            for row in rows:
                row["predictions"] = [p for p in self.predictions if p["task"] == row["id"]]
            having = lambda row: any(wanted in p["model_version"] for p in row["predictions"])  # noqa: E731
            rows = [row for row in rows if having(row)]
        return 200, {"tasks": rows, "total": len(rows)}

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


def _handler(studio: FakeStudio) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

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

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    return Handler
