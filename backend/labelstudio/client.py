"""What this backend asks Label Studio for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from backend.errors import LabelStudioError
from backend.labelstudio.registrations import Registrations

Json = dict[str, Any]
COUNTS = (
    "task_number",
    "finished_task_number",
    "total_annotations_number",
    "skipped_annotations_number",
)
"""Of a project: tasks, those that are done, annotations that were made, and skipped ones."""
_PAGE = 1000
_PREDICTED_PAGE = 50
_NAMED_PAGE = 100
_PLAIN = "id,data,is_labeled,updated_at"
# What is included of a task is included of its annotations as well, by the same names.
_WHOLE = f"{_PLAIN},annotations,result,was_cancelled,ground_truth,completed_by,lead_time"


def _filter(name: str, operator: str, kind: str, value: Any) -> Json:
    return {"filter": f"filter:tasks:{name}", "operator": operator, "type": kind, "value": value}


_ANNOTATED = _filter("annotations_ids", "greater", "Number", 0)
"""Tasks with annotations, skipped ones too.

Its own "is not empty" can take minutes on PostgreSQL, soon after 100,000 tasks were imported.
"""


class LabelStudio(Registrations):
    """One Label Studio server, seen with one token. Safe to share between threads."""

    # Projects and tasks

    def project(self, project: int, *fields: str) -> Json:
        """Return one project.

        Args:
            project: project id.
            fields: those that are needed, so that Label Studio need not count for the others; an
                old one tells all.

        Raises:
            LabelStudioError: it cannot be had; with status 404 it is gone, and the message says so.
        """
        params = {"include": ",".join(fields)} if fields else {}
        try:
            found: Json = self.call("GET", f"/api/projects/{project}/", params=params)
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

    def tasks(self, project: int) -> Iterator[list[Json]]:
        """Yield every task with id, data, is_labeled and updated_at, in pages, by id."""
        return self._pages(project, {"include": _PLAIN})

    def some_tasks(self, project: int, count: int) -> list[Json]:
        """Return the project's first tasks, as `tasks` does."""
        pages = self._pages(project, {"include": _PLAIN}, size=count)
        return next(pages)

    def open_tasks(self, project: int) -> set[int]:
        """Return the ids of tasks that are not done yet."""
        pages = self._pages(project, {"include": "id,is_labeled"})
        return {int(task["id"]) for page in pages for task in page if not task["is_labeled"]}

    def annotated(self, project: int) -> Iterator[Json]:
        """Yield every task that has annotations (skipped ones too), with them."""
        pages = self._pages(project, {"fields": "all"}, _ANNOTATED)
        return (task for page in pages for task in page)

    def annotated_pages(self, project: int) -> Iterator[list[Json]]:
        """Yield the same in pages, by id, and of each what the mirror keeps."""
        return self._pages(project, {"fields": "all", "include": _WHOLE}, _ANNOTATED)

    def changed(self, project: int, since: str) -> Iterator[list[Json]]:
        """Yield what was changed since a moment, with annotations, in pages, by id.

        Label Studio notes the moment with every edit of a task and of its annotations by a person;
        not with bulk actions that write data fields, and not when a task is deleted.

        Args:
            project: project id.
            since: its own clock's, ISO 8601 with microseconds and Z.
        """
        moved = _filter("updated_at", "greater_or_equal", "Datetime", since)
        return self._pages(project, {"fields": "all", "include": _WHOLE}, moved)

    def newer(self, project: int, task: int) -> Iterator[list[Json]]:
        """Yield the tasks with larger ids than one, as `changed` does."""
        return self._pages(project, {"fields": "all", "include": _WHOLE}, after=task)

    def these(self, project: int, tasks: Sequence[int]) -> Iterator[list[Json]]:
        """Yield those of some tasks that are there, as `changed` does."""
        for start in range(0, len(tasks), _NAMED_PAGE):
            some = list(tasks[start : start + _NAMED_PAGE])
            yield from self._pages(project, {"fields": "all", "include": _WHOLE}, some=some)

    def task_data(self, project: int, task: int) -> Json:
        """Return the data of one task of a project.

        Raises:
            LabelStudioError: the project has no such task any more.
        """
        its_id = _filter("id", "equal", "Number", task)
        for page in self._pages(project, {"include": "id,data"}, its_id, size=1):
            for found in page:
                data: Json = found["data"]
                return data
        raise LabelStudioError(f"Project {project} has no task {task} any more.", 404)

    def _pages(
        self,
        project: int,
        params: Json,
        *filters: Json,
        after: int = 0,
        some: list[int] | None = None,
        size: int = _PAGE,
    ) -> Iterator[list[Json]]:
        # From id to id, so that no task is missed where another is deleted or done meanwhile.
        while True:
            behind = [_filter("id", "greater", "Number", after)] if after else []
            query: Json = {"filters": {"conjunction": "and", "items": [*filters, *behind]}}
            if some is not None:
                query["selectedItems"] = {"all": False, "included": some}
            body = self.call(
                "GET",
                "/api/tasks",
                # Addresses in buckets as they are: what they resolve to differs from call to call,
                # and /predict gets them raw, too.
                params={
                    "project": project,
                    "page": 1,
                    "page_size": size,
                    "resolve_uri": "false",
                    "query": json.dumps(query),
                    **params,
                },
            )
            page = body["tasks"]
            yield page
            if body["total"] <= len(page) or not page:
                return
            after = int(page[-1]["id"])

    # Predictions

    def import_predictions(self, project: int, predictions: list[Json]) -> int:
        """Store predictions in one request and return how many Label Studio says it created."""
        body = self.call("POST", f"/api/projects/{project}/import/predictions", json=predictions)
        return int(body["created"])

    def predictions(self, project: int, version: str) -> Iterator[Json]:
        """Yield a version's stored predictions, page by page, whatever else the project has.

        Note: /api/predictions lists all of a project's at once; the Data Manager's filter does not.
        """
        having = _filter("predictions_model_versions", "contains", "List", [version])
        wanted = {"fields": "all", "include": "id,predictions"}
        for page in self._pages(project, wanted, having, size=_PREDICTED_PAGE):
            for task in page:
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
