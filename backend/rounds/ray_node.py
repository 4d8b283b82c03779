"""A round on a Ray node: the same process as on the server's machine, under a Ray worker.

Neither tokens nor passwords come by way of Ray, which stores and shows what it is given: a node has
them in its own environment, and the round's process reads its lease token from the store.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from backend.children import python_module
from backend.errors import EquipoiseError
from backend.settings import Settings

_POLL = 0.2
_SEEN_SECONDS = 10.0
_STOP_SECONDS = 6


class UnfitNode(EquipoiseError):
    """A Ray node cannot run the round; another one may."""

    passing = True


@dataclass(frozen=True)
class Wanted:
    """What a node is told of a round.

    Attributes:
        round: its id.
        folder: the round's, which exists; "" where nodes share a bucket instead of data_dir.
        environment: the server's settings that are not secret, as environment variables.
        secrets: names of the environment variables that a node must have of its own.
        version: the server's.
    """

    round: int
    folder: str
    environment: Mapping[str, str]
    secrets: tuple[str, ...]
    version: str

    @classmethod
    def of(cls, config: Settings, round_id: int, folder: str) -> Wanted:
        """Return what a node has to know to run a round with these settings."""
        told = told_settings(config)
        return cls(round_id, folder, told, secret_names(config), version("equipoise"))

    def check(self) -> None:
        """Check that this node can do it.

        Raises:
            UnfitNode: it cannot; the message says what the node lacks.
        """
        if version("equipoise") != self.version:
            raise UnfitNode(
                f"The Ray node {_node()} has Equipoise {version('equipoise')}, the server "
                f"{self.version}: install the same on all nodes."
            )
        missing = [name for name in self.secrets if not os.environ.get(name)]
        if missing:
            raise UnfitNode(
                f"The Ray node {_node()} lacks {' and '.join(missing)}: secrets do not travel by "
                "Ray. Set them in the environment of `ray start`."
            )
        deadline = time.monotonic() + _SEEN_SECONDS  # network folders show what is new late
        while self.folder and not Path(self.folder).is_dir():
            if time.monotonic() > deadline:
                raise UnfitNode(
                    f"The Ray node {_node()} does not see {self.folder}: data_dir must be a folder "
                    "that all nodes share, at the same place, or artifacts_url a bucket."
                )
            time.sleep(_POLL)


_SERVERS = ("webhook_secret", "notify_url", "notify_secret")
"""Secrets that no round has any need of."""


def told_settings(config: Settings) -> dict[str, str]:
    """Return the settings that are not secret, as environment variables."""
    shown: dict[str, Any] = config.model_dump(mode="json", exclude=set(_secret_fields()))
    shown["data_dir"] = str(config.data_dir.absolute())
    return {
        f"EQUIPOISE_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in shown.items()
        if value is not None
    }


def secret_names(config: Settings) -> tuple[str, ...]:
    """Return the environment variables of the secrets that the server has."""
    return tuple(
        f"EQUIPOISE_{name.upper()}"
        for name in _secret_fields()
        if getattr(config, name) is not None and name not in _SERVERS
    )


def _secret_fields() -> list[str]:
    named = Settings.model_fields.items()
    return [n for n, field in named if "SecretStr" in str(field.annotation)] + ["basic_auth_user"]


def run_there(wanted: Wanted) -> int:
    """Run a round in a process of this node, which ends when we do; return its status."""
    wanted.check()
    # The server's settings and no others, but for the secrets, which are the node's own.
    own = {k: v for k, v in os.environ.items() if _is_kept(k, wanted.secrets)}
    environment = {**own, **wanted.environment}
    process = subprocess.Popen(
        python_module("backend.rounds.process"),
        stdin=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps({"round": wanted.round, "follow": True}).encode() + b"\n")
        process.stdin.flush()  # and left open: its end tells the process that we are gone
        while process.poll() is None:
            time.sleep(_POLL)
    finally:
        _end(process)
    code = process.returncode
    return code if code >= 0 else 128 - code  # as a shell says which signal ended it


def _is_kept(name: str, secrets: tuple[str, ...]) -> bool:
    return name in secrets or not name.startswith("EQUIPOISE_")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, which may say first that it was interrupted."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_STOP_SECONDS)
    process.kill()
    process.wait()


def _node() -> str:
    return os.uname().nodename
