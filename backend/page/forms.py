"""Forms that only this page can have made: each carries a token of what it does."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from backend.secret import kept_secret
from backend.settings import Settings


@dataclass(frozen=True)
class Action:
    """What a button does.

    Attributes:
        name: of the action, in its address.
        title: what the button says.
        warning: what happens, for the page that asks for confirmation.
    """

    name: str
    title: str
    warning: str


ACTIONS = {
    each.name: each
    for each in (
        Action("check", "Check now", "Label Studio is asked whether it serves this order."),
        Action(
            "connect",
            "Connect it again",
            "What `equipoise connect` does: backend, webhook, sampling and tab of the project in "
            "Label Studio are made what they must be.",
        ),
        Action("retrain", "Retrain", "A round of training starts as soon as no other one runs."),
        Action("cancel", "Cancel the round", "The running round ends; what serves stays."),
        Action(
            "rollback",
            "Let it serve again",
            "An earlier round serves again, until the next round is finished.",
        ),
        Action("offer", "See what would be accepted", "Nothing is written."),
        Action(
            "accept",
            "Accept them",
            "Predictions are written as annotations, and marked as accepted unseen.",
        ),
        Action(
            "undo",
            "Take back what was accepted",
            "Annotations that were accepted unseen are deleted; those that somebody has saved "
            "since stay.",
        ),
    )
}


def token(settings: Settings, project: int, action: str, to: str = "") -> str:
    """Return what a form of this action must carry; the same on every server of one store."""
    text = f"{project}\n{action}\n{to}".encode()
    return hmac.new(_key(settings), text, hashlib.sha256).hexdigest()


def _key(settings: Settings) -> bytes:
    """Return what servers have in common where both secrets are set, else a file of this one.

    Of the two, who may see webhooks knows one, but not the password.
    """
    if settings.basic_auth is not None and settings.webhook_secret is not None:
        known = settings.webhook_secret.get_secret_value().encode()
        return hmac.digest(settings.basic_auth[1].encode(), b"page\n" + known, "sha256")
    return kept_secret(settings.data_dir / "page_secret").encode()


def is_ours(settings: Settings, project: int, action: str, to: str, given: str) -> bool:
    """Tell whether a form was made by this page."""
    return hmac.compare_digest(token(settings, project, action, to).encode(), given.encode())
