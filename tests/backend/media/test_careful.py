# ruff: noqa: F401, F811 - fixtures are imported
"""A file that crashes its decoder, or hangs in it, costs its own task."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.media.decode_log import DecodeLog
from backend.media.quarantine import carefully
from backend.media.task_media import MediaSource
from backend.rounds.context import HUNG, Run
from backend.settings import ProjectSettings, Settings
from backend.store.store import Store
from backend.store.tables import State
from model.cache import FeatureCache
from model.preparation import prepare
from model.sample import MediaError
from tests.backend.media.broken import CONFIG, settings, start, store, studio, uri, work
from tests.backend.studio import FakeStudio


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


def test_a_file_that_grows_without_end_is_found_before_the_memory_is(
    store: Store, studio: FakeStudio
) -> None:
    studio.data[9] = {"image": uri(b"GROW")}
    first = start(store)
    assert work(first) < 0, "the system ended it"
    store.finish(first, State.FAILED, "died")
    second = start(store)
    assert work(second) == 0
    (reason,) = store.round(second.round).failures
    assert "needs more than 4 GB of memory to decode" in reason


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
