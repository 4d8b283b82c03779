"""What sharing costs: a ranking, or features, go to S3 and are fetched by another server.

python -m benchmarks.artifacts [--quick] [--json FILE]

The S3 server is moto's, in a process of its own on this machine: its times are of requests, hashing
and copying, without a network between. The baseline is writing the same to the disk.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
import numpy as np

from backend.store import rankings
from backend.store.artifacts import Artifacts
from backend.store.bucket import Bucket
from backend.store.features import SharedFeatures
from benchmarks._report import Row, arguments, run, timed
from demo.background import free_port
from model.schema import Modality, ModalityKind, Schema, Target
from strategies import Pool, Selection
from strategies.pool import TargetKind

NAME = "projects/1/equipoise-r0001-bmmal.00000000"


@contextlib.contextmanager
def s3() -> Iterator[str]:
    """Run an S3 server with one bucket; yields its URL as artifacts_url has it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:
        try:
            keys = {"aws_access_key_id": "access", "aws_secret_access_key": "secret"}
            url = f"http://127.0.0.1:{port}"
            client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
            for _ in range(120):
                with contextlib.suppress(Exception):
                    client.create_bucket(Bucket="bench")
                    break
                time.sleep(0.5)
            place = f"endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
            yield f"s3://access:secret@bench/shared?{place}"
        finally:
            process.kill()


def share(quick: bool) -> Iterator[Row]:
    """Publish and fetch rankings of growing pools."""
    for tasks in (1_000,) if quick else (10_000, 100_000):
        classes = 5 if quick else 50
        with s3() as url, TemporaryDirectory() as folder:
            one, two = Bucket(Path(folder, "one"), url), Bucket(Path(folder, "two"), url)
            table = _table(tasks, classes)
            path = one.folder / NAME / "ranking.parquet"
            saved, _ = timed(lambda t=table, p=path: rankings.save(t, p))
            one.has("projects/1/nothing")  # connected
            two.has("projects/1/nothing")
            published, _ = timed(lambda b=one: b.publish(NAME))
            fetched, _ = timed(lambda b=two: b.bring(f"{NAME}/ranking.parquet"))
            again, _ = timed(lambda b=two: b.bring(f"{NAME}/ranking.parquet"), 100)
            alone, _ = timed(
                lambda f=one.folder: Artifacts(f).bring(f"{NAME}/ranking.parquet"), 100
            )
            size = os.path.getsize(path) / 1e6
        what = f"a ranking of {tasks:,} tasks, {classes} classes"
        yield Row(f"{what}: its file", size, None, "MB")
        yield Row(f"{what}: published", published.wall, saved.wall, "s")
        yield Row(f"{what}: fetched the first time", fetched.wall, saved.wall, "s")
        yield Row(f"{what}: found in the cache", again.wall * 1e3, alone.wall * 1e3, "ms")


def features(quick: bool) -> Iterator[Row]:
    """Share and fetch the features of growing projects, 384 numbers of two bytes a task."""
    for tasks in (1_000,) if quick else (10_000, 100_000):
        keys = [task.to_bytes(16, "big") for task in range(1, tasks + 1)]
        values = np.random.default_rng(0).standard_normal((tasks, 384)).astype(np.float16)
        with s3() as url, TemporaryDirectory() as folder:
            caches = [
                SharedFeatures(Path(folder, name, "cache"), Bucket(Path(folder, name), url), 1)
                for name in ("one", "two")
            ]
            mine, other = (cache.store("encoder") for cache in caches)
            written, _ = timed(lambda s=mine, k=keys, v=values: s.append(k, v))
            shared, _ = timed(lambda c=caches[0], s=mine, k=keys: c.share(s, k))
            fetched, _ = timed(lambda c=caches[1], s=other, k=keys: c.bring(s, k))
            if not (other.lookup(keys)[0] >= 0).all():
                raise RuntimeError("not everything came")
        yield Row(f"features of {tasks:,} tasks: shared", shared.wall, written.wall, "s")
        yield Row(f"features of {tasks:,} tasks: fetched", fetched.wall, written.wall, "s")


def _table(tasks: int, classes: int) -> object:
    target = Target("kind", TargetKind.CLASSIFICATION, tuple(map(str, range(classes))))
    schema = Schema((Modality("words", ModalityKind.TEXT, "words"),), (target,))
    outputs = np.random.default_rng(0).dirichlet(np.ones(classes), tasks).astype(np.float32)
    selection = Selection(np.arange(tasks), np.zeros(tasks))
    return rankings.build(range(tasks), Pool(tasks), selection, {"kind": outputs}, schema, {})


if __name__ == "__main__":
    run({"share": share, "features": features}, arguments(str(__doc__)))
