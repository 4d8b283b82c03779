"""Settings of one server, and what follows from them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import model_validator

from backend.errors import EquipoiseError
from backend.given import Given
from backend.hosts import bracketed
from backend.options import ProjectSettings
from backend.secret import kept_secret

__all__ = ["SECRET_HEADER", "ProjectSettings", "Settings", "settings"]

SECRET_HEADER = "X-Equipoise-Secret"
"""The HTTP header that carries `webhook_secret`."""


class Settings(Given):
    """Everything one server needs to know, read once at start."""

    @model_validator(mode="after")
    def _safe(self) -> Settings:
        if (self.basic_auth_user is None) != (self.basic_auth_pass is None):
            raise ValueError("set both basic_auth_user and basic_auth_pass, or neither")
        secret = self.notify_secret.get_secret_value() if self.notify_secret is not None else ""
        if self.notify_url is not None and not secret:
            raise ValueError("set notify_secret, too: it signs what notify_url is told")
        for project in (None, *self.projects):
            self.for_project(project, {}, {})
        return self

    @property
    def url(self) -> str:
        """Where Label Studio reaches this backend."""
        return self.public_url or f"http://{bracketed(self.host)}:{self.port}"

    @property
    def own_url(self) -> str:
        """Where a process on this machine reaches this backend."""
        anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
        return f"http://{bracketed(anywhere.get(self.host, self.host))}:{self.port}"

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the store."""
        if self.store_url is not None:
            return self.store_url.get_secret_value()
        return f"sqlite:///{(self.data_dir / 'equipoise.db').absolute()}"

    @property
    def bucket(self) -> str:
        """Where servers share rankings, checkpoints and features; "": nowhere."""
        return self.artifacts_url.get_secret_value() if self.artifacts_url is not None else ""

    @property
    def cache(self) -> Path:
        """Folder of the feature cache."""
        return self.data_dir / "cache"

    @property
    def decoding(self) -> Path:
        """Folder of the notes about what is being decoded (backend/media/decode_log.py)."""
        return self.data_dir / "decoding"

    @property
    def basic_auth(self) -> tuple[str, str] | None:
        """User and password, where set."""
        if self.basic_auth_user is None or self.basic_auth_pass is None:
            return None
        return self.basic_auth_user, self.basic_auth_pass.get_secret_value()

    @property
    def event_secret(self) -> str | None:
        """What a webhook carries: `webhook_secret`, else one that is made where a password is set.

        Whoever may manage a project's webhooks can read their headers, so never the password.

        Raises:
            EquipoiseError: other servers would make another one.
        """
        if self.webhook_secret is not None:
            return self.webhook_secret.get_secret_value()
        if self.bucket and self.basic_auth is not None:
            raise EquipoiseError(
                "Servers that share artifacts_url need one webhook_secret: set it, the same on all"
            )
        return None if self.basic_auth is None else kept_secret(self.data_dir / "webhook_secret")

    @property
    def own_hosts(self) -> list[str]:
        """The names by which this backend may be called."""
        ours = {urlsplit(url).hostname or "" for url in (self.url, self.own_url)}
        return [*sorted(ours), "localhost", *self.trusted_hosts]

    @property
    def backend_fields(self) -> dict[str, str]:
        """Fields of our row in Label Studio that every change of it must repeat.

        Label Studio checks a change with the fields it carries, not with the stored ones: without
        the password its own call to /setup would be refused.
        """
        if self.basic_auth is None:
            return {"url": self.url}
        user, password = self.basic_auth
        return {
            "url": self.url,
            "auth_method": "BASIC_AUTH",
            "basic_auth_user": user,
            "basic_auth_pass": password,
        }

    @property
    def key(self) -> str:
        """The Label Studio token.

        Raises:
            EquipoiseError: none is set.
        """
        if self.api_key is None or not self.api_key.get_secret_value():
            raise EquipoiseError(
                "No Label Studio token: set EQUIPOISE_API_KEY to a personal access token "
                "(Label Studio > Account & Settings > Personal Access Token)."
            )
        return self.api_key.get_secret_value()

    def for_project(
        self, project: int | None, extra_params: dict[str, Any], overrides: dict[str, Any]
    ) -> ProjectSettings:
        """Merge all sources for one project.

        Raises:
            ValueError: a value is unknown or out of range (pydantic's message names it).
        """
        merged = {
            name: getattr(self, name)
            for name in ProjectSettings.model_fields
            if getattr(self, name) is not None
        }
        for source in (self.projects.get(project or -1, {}), extra_params, overrides):
            merged.update(source)
        return ProjectSettings(**merged)


@cache
def settings() -> Settings:
    """Return the process's settings, read once.

    Raises:
        EquipoiseError: a setting is invalid; the message names it.
    """
    try:
        return Settings()
    except ValueError as error:
        raise EquipoiseError(f"Invalid settings. {error}") from error
