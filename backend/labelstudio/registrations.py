"""Label Studio's API for what connects a project to us: its backends, webhooks and tabs."""

from __future__ import annotations

from typing import Any

from backend.labelstudio.connection import Connection, Json


class Registrations(Connection):
    """What of a project names us."""

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
