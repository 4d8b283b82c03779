"""A full disk, a store that cannot be written to, and clocks that jump."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.plan import full_only, note
from tests.faults.promises import Watch, check_serves_at_once, check_settled
from tests.faults.stand import Stand
from tests.stopwatch import Stopwatch

SIZE = 48 * 2**20
DAY = 86_400.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 48 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "faults", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted by root, where mounts are allowed")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all space that is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return ballast


@full_only("disk")
def test_a_full_and_a_read_only_disk(make_stand: Callable[..., Stand], small_disk: Path) -> None:
    whole = Stopwatch()
    own = {"data_dir": str(small_disk / "data"), "min_free_bytes": "1000000"}
    stand = make_stand("disk", tasks=40, **own)
    stand.label(4)
    stand.settle()
    version = stand.remote()["model_version"]
    with Watch(stand) as watch:
        ballast = fill(small_disk)
        stand.label(4)  # events arrive while nothing can be written
        asked = stand.server.post(f"/api/projects/{stand.project}/retrain", {})
        event = {"action": "ANNOTATION_CREATED", "project": {"id": stand.project}}
        heard = stand.server.post("/webhook", event)
        check_serves_at_once(stand)
        stand.until(lambda: space_is_named(stand), "status or log name the full disk")
        assert stand.remote()["model_version"] == version
        check_serves_at_once(stand)
        watch.check()
        ballast.unlink()
        freed = Stopwatch()
        stand.settle()
        recovered = freed.wall
    check_settled(stand)
    note(
        "disk-full",
        "the file system of the store, the cache and the checkpoints full",
        1,
        "promise 8: serves on, names the full disk, the next round is exact once there is space",
        f"/webhook answered {heard.status_code}, a request for a round {asked.status_code}; next "
        f"round done {recovered:.1f} s after space came; {watch.answers}",
        whole,
    )
    read_only(stand, small_disk)


def space_is_named(stand: Stand) -> bool:
    """Tell whether a person who looks at the status learns that there is no space."""
    status = stand.server.status(stand.project)
    told = f"{status['problem']} {status['last_error']}".lower()
    return any(word in told for word in ("full", "no space", "are free"))


def read_only(stand: Stand, disk: Path) -> None:
    """Start on a disk that cannot be written to: one clear sentence, and no half start."""
    whole = Stopwatch()
    stand.server.stop()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        with pytest.raises(Exception, match="Equipoise") as failed:
            stand.server.start()
        told = stand.server.log
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert "Traceback" not in told, told[-2000:]
    assert str(stand.server.data) in told, told[-2000:]
    assert failed.value
    said = " ".join(told.replace(str(stand.server.data), "FOLDER").split())[-160:]
    stand.server.start()
    check_serves_at_once(stand)
    stand.label(2)
    stand.settle()
    check_settled(stand)
    note(
        "disk-read-only",
        "the store on a read-only disk",
        1,
        "refuses to start with a sentence that names the folder; starts and goes on once it is "
        "writable",
        f"said: {said!r}",
        whole,
    )


@full_only("clock")
@pytest.mark.parametrize("direction", [1, -1], ids=["back", "ahead"])
def test_a_clock_that_jumped(shared: Stand, direction: int) -> None:
    """All stored times are moved by a day: what a clock that was set back or ahead looks like."""
    whole = Stopwatch()
    stand = shared
    stand.label(4)
    stand.settle()
    stand.label(2)
    stand.retrain()
    stand.until(lambda: stand.server.workers(), "a worker runs")
    pids = stand.server.workers()
    stand.server.kill()
    for pid in pids:
        os.kill(pid, 9)
    shift = direction * DAY
    stand.change(
        "UPDATE rounds SET lease = lease + :shift, started = started + :shift, "
        "finished = finished + :shift",
        shift=shift,
    )
    stand.change("UPDATE projects SET compared = compared + :shift", shift=shift)
    stand.server.start()
    begun = Stopwatch()
    stand.server.post(f"/api/projects/{stand.project}/retrain", {})
    stand.until(
        lambda: (found := stand.running()) is None or stand.server.workers() or found["lease"] < 0,
        "the dead round no longer blocks the project",
    )
    freed = begun.wall
    stand.settle()
    check_settled(stand)
    # What was asked for twice, before the kill and after it, may start a second round.
    stand.until(
        lambda: stand.server.status(stand.project)["state"] == "idle", "nothing is left to do"
    )
    note(
        f"clock-{'back' if direction > 0 else 'ahead'}",
        f"the clock set {'back' if direction > 0 else 'ahead'} by a day, a round killed in it",
        1,
        "the dead round blocks nobody, the next one is exact",
        f"the project was free {freed:.1f} s after the restart",
        whole,
    )
