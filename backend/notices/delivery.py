"""One event, signed and posted to `notify_url`, and to no other address."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

import httpx

from backend.errors import EquipoiseError
from backend.labelstudio import reach
from backend.notices.events import Event
from backend.settings import Settings

Json = dict[str, Any]
TIMESTAMP, SIGNATURE = "X-Equipoise-Timestamp", "X-Equipoise-Signature"
_TIMEOUT = 10.0


class NotDelivered(EquipoiseError):
    """The receiver did not take an event.

    Attributes:
        passing: whether it may take it later.
    """

    def __init__(self, message: str, *, passing: bool) -> None:
        """Say why; the address is not part of it, because addresses hold secrets."""
        super().__init__(message)
        self.passing = passing


def message(settings: Settings, project: int, title: str, event: Event) -> Json:
    """Return what is sent; `id` is the same each time the same event is sent."""
    identity = json.dumps([settings.url, project, event.name, event.cause])
    return {
        "id": hashlib.sha256(identity.encode()).hexdigest()[:32],
        "event": event.name,
        "project": project,
        "title": title,
        "text": event.text,
        "url": f"{settings.url}/projects/{project}",
    }


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return what the receiver compares: HMAC-SHA256 over timestamp, a dot and the body."""
    signed = timestamp.encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def deliver(settings: Settings, told: Json) -> None:
    """Post a message; redirects are not followed, and nothing of the answer is read.

    Raises:
        EquipoiseError: no `notify_url` is set.
        NotDelivered: it was not taken.
    """
    if settings.notify_url is None or settings.notify_secret is None:
        raise EquipoiseError("Nobody is told: set notify_url and notify_secret (docs/settings.md).")
    url = settings.notify_url.get_secret_value()
    body, now = json.dumps(told).encode(), str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        TIMESTAMP: now,
        SIGNATURE: signature(settings.notify_secret.get_secret_value(), now, body),
    }
    try:
        with (
            reach.client(settings, url, timeout=_TIMEOUT) as client,
            client.stream("POST", url, content=body, headers=headers) as answer,
        ):
            status = answer.status_code
    except httpx.HTTPError as error:
        kind = type(error).__name__
        raise NotDelivered(f"notify_url does not answer ({kind})", passing=True) from None
    if not 200 <= status < 300:
        passing = status in (408, 425, 429) or status >= 500
        raise NotDelivered(f"notify_url answered {status}", passing=passing)
