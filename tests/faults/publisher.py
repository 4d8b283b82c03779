"""Publishes or fetches a few rounds, to be killed meanwhile: arguments WHAT FOLDER URL FIRST."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

from backend.logs import configure
from backend.store.bucket import Bucket

FIRST = "projects/1/round-000000"
SIZES = {"ranking.parquet": 300_000, "checkpoint/weights.safetensors": 100_000, "map.parquet": 9}


def content(name: str) -> dict[str, bytes]:
    """Return what a round of this name holds, and no other."""
    return {
        inside: hashlib.shake_128(f"{name}/{inside}".encode()).digest(size)
        for inside, size in SIZES.items()
    }


def write(bucket: Bucket, name: str) -> None:
    """Write a round's files here, as a round does."""
    for inside, data in content(name).items():
        place = bucket.folder / name / inside
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def main() -> None:
    """Publish five rounds from FIRST on, or fetch the first one five times."""
    what, folder, url, first = sys.argv[1:]
    configure("WARNING")
    bucket = Bucket(Path(folder), url)
    for number in range(int(first), int(first) + 5):
        started = time.monotonic()
        name = f"projects/1/round-{number:06d}"
        if what == "publish":
            write(bucket, name)
            bucket.publish(name)
        else:
            name = FIRST
            if (bucket.folder / name).exists():
                (bucket.folder / name).rename(bucket.folder / f"old{number}")  # all of it at once
            bucket.bring(name)
        print(name, time.monotonic() - started, flush=True)


if __name__ == "__main__":
    main()
