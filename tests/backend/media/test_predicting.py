# ruff: noqa: F401, F811 - fixtures are imported
"""The process that predicts: a file may crash or hang it, and nobody may wait for it any more."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from backend.errors import UnusableCheckpoint
from backend.media.decode_log import DecodeLog
from backend.predictions.client import Unranked
from backend.predictions.served import Serving
from backend.settings import Settings
from backend.store.store import Store
from tests.backend.media.broken import CONFIG, picture, settings, start, store, studio, uri, work
from tests.backend.studio import FakeStudio
from tests.stopwatch import Stopwatch


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
        end = time.monotonic() + 30
        while True:
            seen = len(asked)
            time.sleep(3)  # one takes a tenth of a second
            if len(asked) == seen:
                break
            assert time.monotonic() < end, "it goes on"
        assert 0 < seen < len(tasks)
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
