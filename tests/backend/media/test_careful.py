"""A file that crashes its decoder, or hangs in it, costs its own task; disks may be full."""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.errors import NoRoom, UnusableCheckpoint
from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.media.decode_log import DecodeLog
from backend.media.quarantine import carefully
from backend.media.task_media import MediaSource
from backend.page.status import status
from backend.predictions.client import Unranked
from backend.predictions.served import Serving
from backend.rounds.context import HUNG, Run
from backend.rounds.loop import Reconciler
from backend.settings import ProjectSettings, Settings
from backend.store import disk
from backend.store.store import Claim, Store
from backend.store.tables import Kind, State
from model.cache import FeatureCache
from model.preparation import prepare
from model.sample import MediaError
from tests.backend.studio import FakeStudio
from tests.stopwatch import Stopwatch

CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="A"/><Choice value="B"/></Choices></View>'
)
BROKEN_DECODER = """
import io, os, signal, sys, time
if any("backend" in word for word in sys.orig_argv):
    import PIL.Image
    real = PIL.Image.open
    def broken(file, *rest, **more):
        content = file.getvalue()
        if content.startswith(b"CRASH"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if content.startswith(b"HANG"):
            time.sleep(1000)
        return real(file, *rest, **more)
    PIL.Image.open = broken
"""
"""Put before every process of a test: a decoder with the faults that fuzzers find in real ones."""


def uri(content: bytes) -> str:
    """Return a data URI."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def picture(seed: int) -> str:
    """Return a small picture."""
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 16), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return uri(file.getvalue())


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    """Return a project of 10 pictures, 6 of them labelled."""
    with FakeStudio(10) as running:
        running.remote["label_config"] = CONFIG
        running.data = {task: {"image": picture(task)} for task in running.tasks}
        for task in range(1, 7):
            value = {"choices": ["A" if task % 2 else "B"]}
            item = {"from_name": "label", "type": "choices", "value": value}
            running.annotations[task] = [{"id": task, "result": [item]}]
        yield running


@pytest.fixture
def settings(studio: FakeStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings that other processes read from the environment, with a broken decoder."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(BROKEN_DECODER)
    root = Path(__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'first'}{os.pathsep}{root}")
    values = {
        "label_studio_url": studio.url,
        "api_key": "key",
        "data_dir": str(tmp_path / "data"),
        "min_free_bytes": "0",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"EQUIPOISE_{name.upper()}", value)
    return Settings()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Return a store with the connected project 1."""
    opened = Store(settings.database, settings.data_dir)
    opened.save_project(1, connected=True, label_config=CONFIG, backend_id=4)
    yield opened
    opened.close()


def start(store: Store) -> Claim:
    """Claim a round of training."""
    options = {"settings": ProjectSettings(overrides={"epochs": 2}).model_dump()}
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", options)
    assert claim is not None
    return claim


def work(claim: Claim) -> int:
    """Run a round's worker and return its status."""
    told = json.dumps({"round": claim.round, "token": claim.token}) + "\n"
    command = [sys.executable, "-m", "backend.rounds.process"]
    return subprocess.run(command, input=told, text=True, check=False).returncode


def test_a_crashing_file_costs_one_round_and_then_only_its_task(
    store: Store, studio: FakeStudio
) -> None:
    studio.data[9] = {"image": uri(b"CRASH")}
    first = start(store)
    assert work(first) < 0, "a signal ended it"
    assert store.running(1) is not None
    store.finish(first, State.FAILED, "died")
    second = start(store)
    assert work(second) == 0
    found = store.round(second.round)
    assert found.state == State.DONE
    assert (found.labels, found.pool, found.published) == (6, 4, 4)
    (reason,) = found.failures
    assert "crashed its decoder" in reason
    assert (found.work["cache_hits"], found.work["cache_misses"]) == (9, 1)
    assert studio.remote["model_version"] == found.version
    assert list(Settings().decoding.glob("*.journal")) == []
    assert len(DecodeLog(Settings().decoding).refused()) == 1, "and it is never tried again"


def test_a_hanging_file_is_left_out_and_the_others_are_not(
    store: Store, studio: FakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_DECODE_TIMEOUT", "3")
    settings = Settings()
    studio.data[9] = {"image": uri(b"HANG")}
    claim = start(store)
    tasks = [{"id": task, "data": data} for task, data in sorted(studio.data.items())]
    with LabelStudio(studio.url, "key") as client:
        found = store.round(claim.round)
        run = Run(store, settings, client, claim, found, ProjectSettings())
        carefully(
            tasks,
            CONFIG,
            run.preset.preparation,
            folder=run.folder,
            project=1,
            decode_log=run.decode_log,
            decode_timeout=settings.decode_timeout,
            alive=lambda: run.progress("decode", 0, 0),
        )
        config = parse(CONFIG)
        source = MediaSource(client, settings, decode_log=run.decode_log)
        samples = [source.sample(task, config) for task in tasks]
        inputs = prepare(
            samples, config.schema, run.preset.preparation, FeatureCache(settings.cache)
        )
    assert inputs.present[:, 0].tolist() == [task != 9 for task in range(1, 11)]
    (failure,) = inputs.failures
    assert failure.reason == "took longer than 3 s to decode"


STUCK = """
import sys, time
from pathlib import Path
from backend.rounds import context
from backend.store import lease
from backend.settings import ProjectSettings, Settings
from backend.page.status import status
from backend.store.store import Claim, Store
lease.LEASE_SECONDS = 0.4
settings = Settings(decode_timeout=0.5)
store = Store(settings.database, settings.data_dir)
claim = Claim(int(sys.argv[1]), sys.argv[2])
found = store.round(claim.round)
run = context.Run(store, settings, None, claim, found, ProjectSettings())
with run.heartbeat(), run.decode_log.open() as decode_log:
    decode_log.load("held", 1, lambda: b"")
    time.sleep(300)
"""


def test_a_round_with_a_hanging_decoder_ends_by_itself(store: Store) -> None:
    claim = start(store)
    command = [sys.executable, "-c", STUCK, str(claim.round), claim.token]
    assert subprocess.run(command, check=False, timeout=250).returncode == HUNG
    assert DecodeLog(Settings().decoding).suspects(1) == {"held"}


HOLD = """
import sys, time
from pathlib import Path
from backend.media.decode_log import DecodeLog
decode_log = DecodeLog(Path(sys.argv[1]))
with decode_log.open():
    decode_log.load("done", 1, lambda: b"")
    decode_log.end("done")
    decode_log.load("held", 1, lambda: b"")
    decode_log.load("other", 2, lambda: b"")
    print("ready", flush=True)
    time.sleep(100)
"""


def test_only_what_a_dead_process_was_decoding_is_suspect(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    decode_log = DecodeLog(tmp_path)
    assert decode_log.suspects(1) == set(), "it lives"
    assert set(decode_log.of(process.pid)) == {"held", "other"}
    process.kill()
    process.wait()
    process.stdout.close()
    for _ in range(2):
        assert decode_log.suspects(1) == {"held"}
    decode_log.clear(1, {"held"})
    assert decode_log.suspects(1) == set()
    assert decode_log.suspects(2) == {"other"}, "no round of project 2 has looked at it"


def test_a_file_that_is_stuck_is_not_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode_log = DecodeLog(tmp_path)
    with decode_log.open():
        assert decode_log.load("x", 1, lambda: b"1") == b"1"
        assert decode_log.load("x", 1, lambda: b"1") == b"1"
        monkeypatch.setattr("backend.media.decode_log._STUCK", 0.0)
        time.sleep(0.01)
        with pytest.raises(MediaError, match="still being decoded"):
            decode_log.load("x", 1, lambda: b"1")
        assert decode_log.oldest() > 0
        decode_log.end("x")
        assert decode_log.oldest() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_crashing_file_ends_no_server(store: Store, studio: FakeStudio) -> None:
    claim = start(store)
    assert work(claim) == 0
    version = store.round(claim.round).version
    settings = Settings(predict_timeout=60.0)
    serving = Serving(store, settings)

    def asked(*contents: str) -> list[int]:
        tasks = [{"id": 100 + i, "data": {"image": image}} for i, image in enumerate(contents)]
        items = serving.predict(1, tasks, CONFIG)
        assert [item["model_version"] for item in items] == [version] * len(tasks)
        return [len(item["result"]) for item in items]

    try:
        assert asked(picture(100), picture(101)) == [1, 1]
        first = serving._unranked._process
        assert asked(picture(102), uri(b"CRASH")) == [0, 0]
        assert asked(picture(102)) == [1], "another process answers"
        assert serving._unranked._process is not first
        assert asked(uri(b"CRASH")) == [1], "it waits for a careful round, and counts as absent"
        assert len(DecodeLog(Settings().decoding).suspects(1)) >= 1
    finally:
        serving.stop()


def test_a_file_that_hangs_is_given_up_and_then_its_process(
    store: Store, studio: FakeStudio
) -> None:
    assert work(start(store)) == 0
    serving = Serving(store, Settings(predict_timeout=60.0, decode_timeout=3.0))
    hanging = {"id": 100, "data": {"image": uri(b"HANG")}}
    try:
        assert serving.predict(1, [{"id": 101, "data": {"image": picture(1)}}], CONFIG)[0]["result"]
        first = serving._unranked._process
        serving._settings = Settings(predict_timeout=0.5)
        watch = Stopwatch()
        assert serving.predict(1, [hanging], CONFIG)[0]["result"] == []
        watch.taken.check(2, "/predict with half a second for media")
        serving._settings = Settings(predict_timeout=60.0)
        time.sleep(3.5)
        assert serving.predict(1, [{"id": 102, "data": {"image": picture(2)}}], CONFIG)[0]["result"]
        assert serving._unranked._process is not first
        assert len(DecodeLog(Settings().decoding).suspects(1)) == 1
    finally:
        serving.stop()


@pytest.mark.parametrize("hangs_up", [False, True])
def test_work_that_nobody_waits_for_any_more_ends(
    store: Store, studio: FakeStudio, hangs_up: bool
) -> None:
    assert work(start(store)) == 0
    serving = Serving(store, Settings(predict_timeout=60.0))
    asked, given = [], studio.answer

    def slowly(method: str, path: str, body: Any) -> tuple[int, Any]:
        if not path.startswith("/data/"):
            return given(method, path, body)
        asked.append(path)
        time.sleep(0.1)
        return 404, {}

    studio.answer = slowly  # type: ignore[method-assign]
    try:
        assert serving.predict(1, [{"id": 101, "data": {"image": picture(1)}}], CONFIG)[0]["result"]
        gone: Future[None] | None = None
        if hangs_up:
            gone = Future()
            threading.Timer(1.5, gone.set_result, [None]).start()
        else:
            serving._settings = Settings(predict_timeout=0.05)  # 1.5 s for all of them
        tasks = [{"id": 200 + i, "data": {"image": f"/data/{i}.png"}} for i in range(300)]
        watch = Stopwatch()
        assert {len(item["result"]) for item in serving.predict(1, tasks, CONFIG, gone)} == {0}
        watch.taken.check(4, "/predict that is given up after 1.5 s")
        time.sleep(8)
        seen = len(asked)
        time.sleep(3)
        assert 0 < len(asked) == seen < len(tasks)
    finally:
        serving.stop()


def test_a_model_that_cannot_be_loaded_is_told_once_it_was_tried(
    store: Store, studio: FakeStudio
) -> None:
    claim = start(store)
    assert work(claim) == 0
    found = store.round(claim.round)
    (store.path(found.checkpoint) / "weights.safetensors").write_bytes(b"no weights")
    serving = Serving(store, Settings())
    try:
        end = time.monotonic() + 60
        with pytest.raises(UnusableCheckpoint, match="train again"):  # noqa: PT012
            while time.monotonic() < end:
                serving.warm(1)
                time.sleep(0.1)
    finally:
        serving.stop()


def test_the_process_ends_with_its_server(tmp_path: Path) -> None:
    asking = Unranked(DecodeLog(tmp_path), 60.0)
    answer = asking.ask(1, tmp_path / "nothing", [], "")
    with pytest.raises(UnusableCheckpoint, match="train one first"):
        answer.result(timeout=60)
    process = asking._process
    assert process is not None
    process._asked.put(None)  # closes its input, as the kernel does when the server dies
    assert process._popen.wait(timeout=60) == 0


# Disks


def test_too_little_room_is_said_with_the_figures(tmp_path: Path) -> None:
    disk.check(tmp_path, 0)
    with pytest.raises(NoRoom, match=r"MB are free .* 1,000,000,000,000 MB are wanted"):
        disk.check(tmp_path, 10**18)


def test_a_full_disk_is_recognised() -> None:
    assert disk.is_full(OSError(errno.ENOSPC, "No space left on device"))
    assert not disk.is_full(OSError(errno.ENOENT, "No such file"))
    assert disk.is_full(RuntimeError("[Errno 28] Error writing: No space left on device"))


def test_a_round_stops_where_room_runs_out(
    store: Store, studio: FakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = start(store)
    monkeypatch.setenv("EQUIPOISE_MIN_FREE_BYTES", str(10**18))
    with LabelStudio(studio.url, "key") as client:
        found = store.round(claim.round)
        run = Run(store, Settings(), client, claim, found, ProjectSettings())
        with pytest.raises(NoRoom, match="no round runs"), run.phase("fetch"):
            pass
        with pytest.raises(NoRoom, match="no round runs"):
            run.progress("prepare", 1, 2)


def test_no_round_starts_without_room(store: Store, studio: FakeStudio) -> None:
    settings = Settings(min_free_bytes=10**18)
    reconciler = Reconciler(store, settings, Serving(store, settings))
    store.request(1, Kind.TRAIN, "asked for")
    reconciler.look(1)
    assert store.rounds(1) == []
    owner = store.project(1)
    assert "no round runs until there is room" in owner.problem
    assert owner.requested, "it starts when there is room"


def test_the_status_tells_of_a_full_disk_though_nothing_can_be_stored(store: Store) -> None:
    told = status(store, Settings(min_free_bytes=10**18), 1)["problem"]
    assert "no round runs until there is room" in told
    assert store.project(1).problem == ""
    assert status(store, Settings(min_free_bytes=0), 1)["problem"] == ""
