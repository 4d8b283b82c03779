"""Whoever publishes or fetches a round may die at any moment: nobody ever sees half of one."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from backend.children import python_module
from backend.store.bucket import Bucket
from tests.backend.s3 import S3
from tests.faults.plan import note, rng, turns
from tests.faults.publisher import FIRST, content
from tests.stopwatch import Stopwatch

ROW = "kill-publishing"


def test_half_a_round_is_never_seen(tmp_path: Path) -> None:
    """Kill a publisher and a reader in turn; a third server then looks at all there is."""
    whole = Stopwatch()
    chance = rng(ROW)
    s3 = S3()
    published: set[str] = set()
    looked_at: set[str] = set()
    times = halves = 0
    try:
        for turn in turns(ROW, 4, 50):
            what = "publish" if turn % 2 == 0 else "bring"
            said = kill(what, tmp_path / what, s3.url, 1000 * turn, chance.uniform(0, 3))
            published |= set(said)
            # A new server for what a publisher has left, the killed one's folder for a reader.
            other = Bucket(tmp_path / (f"fresh{turn}" if what == "publish" else what), s3.url)
            names = other.names("projects/1") - looked_at if what == "publish" else {FIRST}
            halves += sum(is_half(other, name, published) for name in names)
            looked_at |= names
            times += 1
    finally:
        s3.stop()
    assert published
    note(
        ROW,
        "the process that publishes a round to S3, or fetches one, killed",
        times,
        "another server sees whole rounds only, all that were published, and caches are right",
        f"{len(published)} rounds published, {halves} left half behind",
        whole,
    )


def kill(what: str, folder: Path, url: str, first: int, times: float) -> list[str]:
    """Kill a process when it has been at work for some times as long as its second round took.

    Returns:
        The rounds that it has said to be done.
    """
    command = python_module("tests.faults.publisher", what, str(folder), url, str(first))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        before = process.stdout.readline().split()[0]  # with it, it has found its server
        done, taken = process.stdout.readline().split()
        time.sleep(times * float(taken))  # the moment: any is right
        process.kill()
        return [before, done, *(line.split()[0] for line in process.stdout)]


def is_half(bucket: Bucket, name: str, published: set[str]) -> bool:
    """Check that a round is seen whole or not at all; tell whether it is there, but not whole."""
    seen = bucket.has(name)
    held = files(bucket.bring(name))
    assert held == (content(name) if seen else {}), f"half of {name} is seen"
    assert seen or name not in published, f"{name} was published and is not there"
    return not seen


def files(folder: Path) -> dict[str, bytes]:
    """Return what a folder holds."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
