"""The page of a project of 100,000 tasks: how soon it is there, and how large it is.

python -m benchmarks.page [--quick] [--json PATH] [--only NAME]
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import uvicorn

from backend.server.app import create_app
from backend.settings import Settings
from backend.store.store import Store
from benchmarks._report import Row, arguments, run, timed
from model.plane import plane
from tests.backend.page.made import fill

PROJECT = 7


@contextmanager
def served(tasks: int) -> Iterator[httpx.Client]:
    """Serve a store with a project of so many tasks on loopback, without Label Studio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Store(f"sqlite:///{folder / 'store.db'}", folder)
        fill(store, PROJECT, tasks=tasks, rounds=30)
        settings = Settings(api_key="key", data_dir=folder, min_free_bytes=0)
        app = create_app(settings, store)
        server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="error"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield client
        server.should_exit = True
        thread.join()
        store.close()


def pages(quick: bool) -> Iterator[Row]:
    """The page and the map's data over HTTP, each asked for again and again."""
    tasks = 10_000 if quick else 100_000
    with served(tasks) as client:
        for what, address, bytes_, seconds in (
            ("page", f"/projects/{PROJECT}", 300, 300.0),
            ("map's data", f"/projects/{PROJECT}/map", 0, 0.0),
        ):
            took, count = [], 20 if quick else 100
            worked = time.process_time()
            for _ in range(count):
                began = time.perf_counter()
                answer = client.get(address)
                took.append(1000 * (time.perf_counter() - began))
                assert answer.status_code == 200
            worked = 1000 * (time.process_time() - worked) / count
            size = int(answer.headers.get("content-length", 0)) / 1000
            name = f"{what}, {tasks:,} tasks"
            slow = float(np.percentile(took, 95))
            limit = f"<= {seconds}" if seconds else ""
            yield Row(f"{name}: first of all", took[0], None, "ms")
            yield Row(f"{name}: 95 of 100 within", slow, None, "ms", slow, limit)
            yield Row(f"{name}: processor time of one, and of asking", worked, None, "ms")
            limit = f"<= {bytes_}" if bytes_ else ""
            yield Row(f"{name}: size", size, None, "kB", size, limit)


def planes(quick: bool) -> Iterator[Row]:
    """What the map adds to a round: two directions of 10,000 vectors."""
    count = 1000 if quick else 10_000
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(count, 1000)).astype(np.float32) * rng.exponential(size=1000)
    found, _ = timed(lambda: plane(vectors.astype(np.float32)), 3)
    yield Row(f"map of {count:,} vectors of 1,000", found.wall, None, "s")


if __name__ == "__main__":
    run({"pages": pages, "planes": planes}, arguments(__doc__ or ""))
