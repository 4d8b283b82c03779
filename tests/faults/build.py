"""Making a stand: a project in Label Studio and a connected server, gone afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

from backend.labelstudio.client import LabelStudio as Api
from backend.queue import connect as connecting
from backend.settings import Settings
from backend.store.store import Store
from demo.labelstudio import LabelStudio
from demo.project import create_project, serve_folder
from tests.faults.plan import SEED
from tests.faults.server import Server
from tests.faults.stand import Stand, config

SMALL = {
    "epochs": 1,
    "min_steps": 4,
    "image_size": 16,
    "projection": 16,
    "fusion_hidden": [16],
}


@contextlib.contextmanager
def build(
    studio: LabelStudio, folder: Path, *, tasks: int = 40, via: str = "", **extra: str
) -> Iterator[Stand]:
    """Make a project and a connected server with a first ranking; both are gone afterwards.

    Args:
        studio: the real Label Studio.
        folder: the server's place.
        tasks: how many tasks.
        via: the address that the server calls, such as a proxy's.
        extra: EQUIPOISE_* settings in lower case.
    """
    rng = random.Random(f"{SEED}:{folder.name}")
    settings = {
        "poll_seconds": "2",
        "retrain_after": "1000",  # rounds are asked for, unless a test says otherwise
        "publish": "20",
        "batch": "10",
        "keep_rounds": "2",
        "overrides": json.dumps(SMALL),
        **extra,
    }
    server = Server(
        folder,
        via or studio.url,
        studio.api_key,
        {f"EQUIPOISE_{name.upper()}": value for name, value in settings.items()},
    )
    with studio.client() as client:
        project = create_project(client, f"faults {folder.name}", config())
        stand = Stand(studio, client, server, project, rng)
        try:
            stand.add_tasks(tasks)
            serve_folder(client, project, studio.media / "faults")
            server.start()
            connect(stand)
            yield stand
        finally:
            for pid in server.workers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            server.stop()
            client.delete(f"/api/projects/{project}/")


def connect(stand: Stand) -> None:
    """Connect the project as `equipoise connect` does, and wait for the first ranking."""
    data = stand.server.data
    settings = Settings(
        label_studio_url=stand.studio.url,
        port=stand.server.port,
        data_dir=data,
        store_url=stand.store_url,
    )
    store = Store(settings.database, data)
    with Api(stand.studio.url, stand.studio.api_key) as api:
        connecting.connect(api, store, settings, stand.project)
    store.close()
    stand.server.post("/api/wake", {})
    stand.until(
        lambda: (
            (found := stand.current()) is not None
            and stand.remote()["model_version"] == found["version"]
            and not stand.server.workers()
        ),
        "the first ranking is served",
    )
