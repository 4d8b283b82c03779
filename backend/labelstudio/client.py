"""What this backend asks Label Studio for."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from backend.errors import LabelStudioError
from backend.labelstudio.connection import Connection

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
_PREDICTED_PAGE = 50


class LabelStudio(Connection):
    """One Label Studio server, seen with one token. Safe to share between threads."""

    # Projects and tasks

    def project(self, project: int) -> Json:
        """Return one project.

        Raises:
            LabelStudioError: it cannot be had; with status 404 it is gone, and the message says so.
        """
        try:
            found: Json = self.call("GET", f"/api/projects/{project}/")
        except LabelStudioError as error:
            if error.status != 404:
                raise
            raise LabelStudioError(
                f"Label Studio has no project {project}, or its user may not see it. If it was "
                f"deleted there: `equipoise forget --project {project}`.",
                404,
            ) from error
        return found

    def update_project(self, project: int, **fields: Any) -> Json:
        """Change fields of a project."""
        changed: Json = self.call("PATCH", f"/api/projects/{project}/", json=fields)
        return changed

    def tasks(self, project: int) -> Iterator[Json]:
        """Yield every task with id, data and is_labeled."""
        return self._pages(project, {"include": "id,data,is_labeled"})

    def some_tasks(self, project: int, count: int) -> list[Json]:
        """Return the project's first tasks, as `tasks` does."""
        pages = self._pages(project, {"include": "id,data,is_labeled"}, size=count)
        return list(itertools.islice(pages, count))

    def open_tasks(self, project: int) -> set[int]:
        """Return the ids of tasks that are not done yet."""
        pages = self._pages(project, {"include": "id,is_labeled"})
        return {int(task["id"]) for task in pages if not task["is_labeled"]}

    def annotated(self, project: int) -> Iterator[Json]:
        """Yield every task that has annotations (skipped ones too), with them."""
        return self._pages(project, {"fields": "all", "query": json.dumps({"filters": _ANNOTATED})})

    def task_data(self, project: int, task: int) -> Json:
        """Return the data of one task of a project.

        Raises:
            LabelStudioError: the project has no such task any more.
        """
        its_id = {
            "filter": "filter:tasks:id",
            "operator": "equal",
            "type": "Number",
            "value": task,
        }
        query = json.dumps({"filters": {"conjunction": "and", "items": [its_id]}})
        wanted = {"include": "id,data", "query": query}
        for found in self._pages(project, wanted, size=1):
            data: Json = found["data"]
            return data
        raise LabelStudioError(f"Project {project} has no task {task} any more.", 404)

    def _pages(self, project: int, params: Json, *, size: int = _PAGE) -> Iterator[Json]:
        # By id, so that a task that is finished meanwhile does not shift the pages.
        page = 1
        while True:
            body = self.call(
                "GET",
                "/api/tasks",
                # Addresses in buckets as they are: what they resolve to differs from call to call,
                # and /predict gets them raw, too.
                params={
                    "project": project,
                    "page": page,
                    "page_size": size,
                    "resolve_uri": "false",
                    **params,
                },
            )
            yield from body["tasks"]
            if page * size >= body["total"]:
                return
            page += 1

    # Predictions

    def import_predictions(self, project: int, predictions: list[Json]) -> int:
        """Store predictions in one request and return how many Label Studio says it created."""
        body = self.call("POST", f"/api/projects/{project}/import/predictions", json=predictions)
        return int(body["created"])

    def predictions(self, project: int, version: str) -> Iterator[Json]:
        """Yield a version's stored predictions, page by page, whatever else the project has.

        Note: /api/predictions lists all of a project's at once; the Data Manager's filter does not.
        """
        having = {
            "filter": "filter:tasks:predictions_model_versions",
            "operator": "contains",
            "type": "List",
            "value": [version],
        }
        query = json.dumps({"filters": {"conjunction": "and", "items": [having]}})
        wanted = {"fields": "all", "include": "id,predictions", "query": query}
        for task in self._pages(project, wanted, size=_PREDICTED_PAGE):
            for found in task["predictions"]:
                if found["model_version"] == version:  # the filter takes longer names as well
                    yield {**found, "task": task["id"]}

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

    # Annotations

    def create_annotation(self, task: int, body: Json) -> Json:
        """Annotate a task, as the token's user."""
        made: Json = self.call("POST", f"/api/tasks/{task}/annotations/", json=body)
        return made

    def delete_annotation(self, annotation: int) -> None:
        """Delete one annotation."""
        try:
            self.call("DELETE", f"/api/annotations/{annotation}/")
        except LabelStudioError as error:
            if error.status != 404:
                raise

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

    def update_tab(self, tab: int, project: int, data: Json) -> None:
        """Change a Data Manager tab."""
        body = {"project": project, "data": data}
        self.call("PATCH", f"/api/dm/views/{tab}/", params={"project": project}, json=body)

    def delete_tab(self, tab: int, project: int) -> None:
        """Delete a Data Manager tab."""
        self.call("DELETE", f"/api/dm/views/{tab}/", params={"project": project})
