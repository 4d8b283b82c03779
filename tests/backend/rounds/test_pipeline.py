"""Whole rounds of each kind in this process, against a Label Studio in memory."""

from __future__ import annotations

import base64
import io
import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
import torch
from PIL import Image
from tenacity import wait_none

from backend.media import download
from backend.rounds import learn, process
from backend.rounds.due import Due
from backend.rounds.start import claim_round
from backend.settings import ProjectSettings, Settings, settings
from backend.store import rankings
from backend.store.bucket import Bucket
from backend.store.store import Store
from backend.store.tables import Kind, Round, State
from model import checkpoint
from tests.backend.studio import FakeStudio

CONFIG = (
    '<View><Image name="i" value="$image"/><Text name="t" value="$text"/>'
    '<Choices name="label" toName="i"><Choice value="A"/><Choice value="B"/></Choices></View>'
)
TASKS, LABELLED = 90, 60
SMALL = {"epochs": 4, "min_steps": 80, "projection": 16}
Run = Callable[..., Round]


def truth(task: int) -> str:
    """Return a task's class."""
    return "A" if task % 2 else "B"


def picture(level: int, seed: int) -> str:
    """Return a noisy grey picture as a data URI."""
    file = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 60, (16, 16, 3))
    Image.fromarray((noise + level).astype(np.uint8)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def data(task: int) -> dict[str, str]:
    """Return a task whose picture and text tell its class."""
    light, word = (150, "sunny") if truth(task) == "A" else (20, "rainy")
    return {"image": picture(light, task), "text": f"a {word} day number {task}"}


def annotation(task: int, *said: str, **more: Any) -> dict[str, Any]:
    """Return an annotation."""
    value = {"choices": list(said)}
    result = [{"from_name": "label", "type": "choices", "value": value}] if said else []
    return {"id": task, "result": result, **more}


def label(studio: FakeStudio, *tasks: int) -> None:
    """Label tasks with their classes."""
    for task in tasks:
        studio.annotations[task] = [annotation(task, truth(task))]


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    """Return a project of pictures with texts; the first tasks are labelled."""
    with FakeStudio(TASKS) as running:
        running.remote["label_config"] = CONFIG
        running.data = {task: data(task) for task in running.tasks}
        label(running, *range(1, LABELLED + 1))
        yield running


@pytest.fixture
def config(
    studio: FakeStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Return the settings that a round's process reads, and leave this process as it was."""
    values = {"label_studio_url": studio.url, "api_key": "key", "min_free_bytes": "0"}
    for name, value in {**values, "data_dir": str(tmp_path / "data"), "device": "cpu"}.items():
        monkeypatch.setenv(f"EQUIPOISE_{name.upper()}", value)
    comm, handler = Path("/proc/self/comm").read_text(), signal.getsignal(signal.SIGTERM)
    settings.cache_clear()
    yield settings()
    settings.cache_clear()
    signal.signal(signal.SIGTERM, handler)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    Path("/proc/self/comm").write_text(comm)


@pytest.fixture
def store(config: Settings) -> Iterator[Store]:
    """Return a store with the connected project 1."""
    opened = Store(config.database, config.data_dir)
    opened.save_project(1, connected=True, label_config=CONFIG, backend_id=4)
    yield opened
    opened.close()


@pytest.fixture
def run(store: Store, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return `run(kind, strategy, status=0, dry=False, **options) -> Round`, ended."""

    def go(
        kind: Kind, strategy: str = "bmmal", *, status: int = 0, dry: bool = False, **options: Any
    ) -> Round:
        named = strategy
        chosen = ProjectSettings(
            **{"strategy": named, "preset": "quick", "overrides": SMALL, **options}
        )
        claim = store.claim(
            1, kind, strategy, "test", {"settings": chosen.model_dump(), "dry": dry}
        )
        assert claim is not None
        told = json.dumps({"round": claim.round, "token": claim.token}) + "\n"
        monkeypatch.setattr("sys.stdin", io.StringIO(told))
        assert process.main() == status
        return store.round(claim.round)

    return go


def queue(studio: FakeStudio, version: str) -> list[int]:
    """Return the tasks of a version as Label Studio serves them: the lowest score first."""
    rows = [row for row in studio.predictions if row["model_version"] == version]
    return [row["task"] for row in sorted(rows, key=lambda row: row["score"])]


def check_served(studio: FakeStudio, store: Store, found: Round, tasks: set[int]) -> None:
    """A round is committed, and Label Studio serves its ranking of these tasks and no others."""
    assert (found.state, found.error) == (State.DONE, "")
    current = store.current(1)
    assert current is not None
    assert current.id == found.id
    assert set(queue(studio, found.version)) == tasks
    assert found.published == len(tasks)
    table = rankings.load(store.ranking(found))
    assert table.column("task").to_pylist() == queue(studio, found.version)
    rows = [row for row in studio.predictions if row["model_version"] == found.version]
    places = np.arange(len(tasks)) / (len(tasks) - 1)
    assert sorted(row["score"] for row in rows) == pytest.approx(places)
    assert studio.named[-1] == (found.version, len(tasks)), "named before it was wholly there"
    assert studio.remote["model_version"] == studio.title == found.version
    assert store.project(1).announced == found.version


OPEN = set(range(LABELLED + 1, TASKS + 1))


def test_a_cold_round_puts_every_task_into_the_queue_in_a_random_order(
    studio: FakeStudio, store: Store, run: Run, config: Settings
) -> None:
    studio.annotations.clear()
    found = run(Kind.COLD, "random")
    check_served(studio, store, found, studio.tasks)
    assert (found.number, found.checkpoint, found.metrics) == (0, "", {})
    assert (found.labels, found.pool, found.tasks) == (0, TASKS, TASKS)
    assert found.strategy == "random"
    order = queue(studio, found.version)
    assert order != sorted(order)
    assert all(row["result"] == [] for row in studio.predictions)
    assert set(found.durations) == {"fetch", "rank", "publish"}
    # What was encoded meanwhile is not encoded again by the first round with labels.
    label(studio, *range(1, LABELLED + 1))
    trained = run(Kind.TRAIN)
    assert (trained.work["cache_hits"], trained.work["cache_misses"]) == (TASKS, 0)
    assert not config.decoding.exists() or not list(config.decoding.glob("*"))


def test_another_seed_is_another_random_order(studio: FakeStudio, run: Run) -> None:
    studio.annotations.clear()
    orders = [queue(studio, run(Kind.COLD, "random", seed=s).version) for s in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_a_cold_round_covers_the_pool_whatever_the_encoders_know(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    studio.annotations.clear()
    found = run(Kind.COLD, "max_herding")
    check_served(studio, store, found, studio.tasks)
    assert found.strategy == "max_herding"
    named = rankings.load(store.ranking(found)).column("strategy").to_pylist()
    assert named == ["max_herding"] * TASKS
    assert "encode" in found.durations
    assert found.work["order"]["because"] == "nothing is labelled yet: the batch covers the pool"
    first = [truth(task) for task in queue(studio, found.version)[:2]]
    assert set(first) == {"A", "B"}, "both kinds of picture are seen at once"


def test_a_training_round_as_a_project_gets_it(studio: FakeStudio, store: Store, run: Run) -> None:
    found = run(Kind.TRAIN, "auto", preset="auto", overrides={})
    assert found.work["order"]["strategy"] == "u_herding"
    assert found.work["order"]["because"].startswith("classes are asked for")
    assert "efficientnet" in found.work["sees"]["i"]
    check_served(studio, store, found, OPEN)
    assert (found.strategy, found.failures) == ("auto", {})
    assert found.measured["questions"] == {}, "none of these labels was chosen by chance"
    assert found.measured["counts"] == {"label": {"A": LABELLED / 2, "B": LABELLED / 2}}
    said = {row["task"]: row["result"][0]["value"]["choices"] for row in studio.predictions}
    assert np.mean([said[task] == [truth(task)] for task in OPEN]) > 0.9


def test_a_training_round_of_two_modalities(studio: FakeStudio, store: Store, run: Run) -> None:
    studio.annotations[TASKS] = [annotation(TASKS, "A", was_cancelled=True)]  # skipped
    studio.annotations[1].append(annotation(1, "A", was_cancelled=True))
    pool = OPEN
    found = run(Kind.TRAIN)
    check_served(studio, store, found, pool)
    assert (found.number, found.strategy, found.failures) == (1, "bmmal", {})
    assert (found.labels, found.pool, found.tasks) == (LABELLED, len(pool), TASKS)
    assert set(found.durations) == {"fetch", "encode", "train", "evaluate", "rank", "publish"}
    assert (found.work["cache_hits"], found.work["cache_misses"]) == (0, TASKS)
    assert found.work["order"] == {"strategy": "bmmal", "because": ""}
    assert found.work["sees"] == {"i": ["pixels"], "t": ["hashing"]}
    assert store.trained_on(1) == {
        str(task): f"label=['{truth(task)}']" for task in range(1, LABELLED + 1)
    }
    for row in studio.predictions:
        assert row["result"][0]["value"]["choices"] == [truth(row["task"])]
        assert row["result"][0]["from_name"] == "label"
    metrics = found.metrics
    shares = [metrics[f"pool_contribution:{name}"] for name in ("i", "t")]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert "pool_agreement" not in metrics  # nothing to agree with yet
    table = rankings.load(store.ranking(found))
    assert table.column("contribution:i").to_numpy().mean() == pytest.approx(shares[0], abs=1e-3)
    gap = np.abs(
        table.column("contribution:i").to_numpy() - table.column("contribution:t").to_numpy()
    )
    assert table.column("dominance").to_numpy() == pytest.approx(gap, abs=1e-5)
    assert metrics["pool_dominance"] == pytest.approx(gap.mean(), abs=1e-3)
    assert set(table.column("model_version").to_pylist()) == {found.version}
    assert set(table.column("round").to_pylist()) == {1}
    model = checkpoint.load(store.path(found.checkpoint), device="cpu")
    assert (model.metadata["version"], model.metadata["round"]) == (found.version, 1)
    assert model.metadata["n_labels"] == LABELLED  # what serves has seen all labels


def test_the_next_training_round_says_how_much_it_agrees(studio: FakeStudio, run: Run) -> None:
    studio.clock = lambda: time.time() - 1000
    studio.date_edits()
    studio.clock = time.time
    run(Kind.TRAIN)
    label(studio, *range(61, 66))
    studio.requests.clear()
    studio.listed = 0
    found = run(Kind.TRAIN)
    assert len(studio.requests) == 9, "whatever the number of tasks"
    assert studio.listed == 10, "what is labelled now, at the start and before it is published"
    assert found.number == 2
    assert found.labels == LABELLED + 5
    assert found.metrics["pool_agreement"] == 1
    assert found.metrics["pool_changed"] == 0
    assert (found.work["cache_hits"], found.work["cache_misses"]) == (TASKS, 0)


def test_a_round_that_only_ranks_uses_the_model_there_is_and_another_strategy(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    trained = run(Kind.TRAIN)
    label(studio, 61)
    studio.tasks.add(200)
    studio.data[200] = data(200)
    found = run(Kind.RANK, "entropy")
    check_served(studio, store, found, OPEN - {61} | {200})
    assert (found.checkpoint, found.number) == (trained.checkpoint, trained.number)
    assert found.version != trained.version
    assert found.measured == trained.measured
    assert (found.work["cache_hits"], found.work["cache_misses"]) == (TASKS, 1)
    assert set(found.durations) == {"fetch", "encode", "rank", "publish"}
    assert store.trained_on(1).keys() == {str(task) for task in range(1, LABELLED + 1)}
    p = rankings.outputs_of(rankings.load(store.ranking(found)))["label"].astype(np.float64)
    chance = rankings.load(store.ranking(found)).column("audit").to_numpy()
    p = p[~chance]
    entropy = -np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0).sum(axis=1)
    assert (np.diff(entropy) <= 1e-6).all(), "the least sure come first"
    assert entropy[0] > entropy[-1]


def test_without_a_model_nothing_can_be_ranked_again(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    assert "run `equipoise retrain` first" in run(Kind.RANK, status=1).error
    studio.annotations.clear()
    cold = run(Kind.COLD, "random")
    failed = run(Kind.RANK, status=1)
    assert failed.state == State.FAILED
    assert "There is no trained model yet" in failed.error
    current = store.current(1)
    assert current is not None
    assert current.id == cold.id
    assert studio.remote["model_version"] == cold.version


def test_a_dry_round_ranks_and_publishes_nothing(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    trained = run(Kind.TRAIN)
    before = len(studio.requests), list(studio.predictions)
    found = run(Kind.RANK, "margin", dry=True)
    assert found.state == State.DONE
    assert rankings.load(store.ranking(found)).num_rows == len(OPEN)
    assert set(found.durations) == {"fetch", "encode", "rank"}
    assert studio.predictions == before[1]
    assert all(r.startswith("GET") for r in studio.requests[before[0] :])
    current = store.current(1)
    assert current is not None
    assert current.id == trained.id


def test_a_round_puts_the_tasks_on_a_map(studio: FakeStudio, store: Store, run: Run) -> None:
    studio.annotations.clear()
    assert not store.ranking(run(Kind.COLD, "random")).with_name("map.parquet").exists()
    first = rankings.load(store.ranking(run(Kind.COLD, "max_herding")).with_name("map.parquet"))
    assert first.column("label").null_count == TASKS
    label(studio, *range(1, LABELLED + 1))
    found = run(Kind.TRAIN)
    table = rankings.load(store.ranking(found).with_name("map.parquet"))
    seen = {row["task"]: row for row in table.to_pylist()}
    assert set(seen) == studio.tasks
    ranked = rankings.load(store.ranking(found)).to_pylist()
    for row in ranked:
        at = seen[row["task"]]
        assert (at["rank"], at["predicted"]) == (row["rank"], row["predicted"])
        assert (at["probability"], at["label"]) == (row["probability"], None)
        most = max(("i", "t"), key=lambda name: row[f"contribution:{name}"])
        assert at["decides"] == most
    for task in range(1, LABELLED + 1):
        assert (seen[task]["label"], seen[task]["predicted"]) == (truth(task), None)
        assert seen[task]["rank"] is None
    sides = [[seen[t]["x"] for t in seen if truth(t) == kind] for kind in "AB"]
    assert np.mean(sides[0]) - np.mean(sides[1]) != pytest.approx(0, abs=0.5)
    before = {row["task"]: [row["x"], row["y"]] for row in first.to_pylist()}
    for task, row in seen.items():
        assert [row["x"], row["y"]] == pytest.approx(before[task], abs=1e-3), "it has moved"


@pytest.mark.parametrize("strategy", ["random", "max_herding", "trained"])
def test_a_round_notes_what_its_first_tasks_hold(
    studio: FakeStudio, store: Store, run: Run, strategy: str
) -> None:
    studio.data[TASKS] = {"image": "data:image/png;base64,AAAA", "text": "word " * 100}
    studio.data[TASKS - 1] = {"text": " "}
    if strategy != "trained":
        studio.annotations.clear()
    # The same seed orders all: what is broken comes among the first where there are few tasks.
    studio.tasks -= set(range(1, TASKS - 20)) if strategy != "trained" else set()
    found = run(Kind.TRAIN) if strategy == "trained" else run(Kind.COLD, strategy)
    noted = json.loads(store.ranking(found).with_name("glimpses.json").read_text())
    ranked = rankings.load(store.ranking(found)).column("task").to_pylist()
    assert list(noted) == [str(task) for task in ranked[:50]]
    picture, text = noted[str(TASKS)]
    seen = "" if strategy == "random" else "not an image that Pillow can read"
    assert picture == {"name": "i", "kind": "image", "text": "", "reason": seen}
    assert (text["kind"], len(text["text"]), text["text"][-1]) == ("text", 300, "…")
    picture, text = noted[str(TASKS - 1)]
    assert picture["reason"] == "the task has no $image"
    assert text["reason"] == ("" if strategy == "random" else "the text is empty")


def test_what_is_said_to_look_at_a_modality_is_what_the_model_sees_by(run: Run) -> None:
    run(Kind.TRAIN)
    again = run(Kind.RANK, preset="auto", overrides={})  # set since; the next training obeys it
    assert again.work["sees"] == {"i": ["pixels"], "t": ["hashing"]}


@pytest.mark.parametrize("kind", [Kind.COLD, Kind.TRAIN])
def test_what_annotators_skipped_comes_last(studio: FakeStudio, run: Run, kind: Kind) -> None:
    if kind is Kind.COLD:
        studio.annotations.clear()
    first = queue(studio, run(kind, "random").version)[:5]
    for task in first:
        studio.annotations[task] = [annotation(task, was_cancelled=True)]
    found = queue(studio, run(kind, "random").version)
    assert set(found[-5:]) == set(first)
    assert set(found) == (studio.tasks if kind is Kind.COLD else OPEN)


def test_a_network_too_large_for_the_gpu_is_trained_on_the_cpu(
    studio: FakeStudio, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = learn.train, []

    def small_gpu(*args: Any, device: str, **kwargs: Any) -> Any:
        asked.append(device)
        if device != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(*args, device=device, **kwargs)

    monkeypatch.setattr(learn, "train", small_gpu)
    monkeypatch.setenv("EQUIPOISE_DEVICE", "auto")
    settings.cache_clear()
    found = run(Kind.TRAIN)
    assert found.state == State.DONE
    assert asked == ["auto", "cpu"], "the GPU is tried once a round"
    assert found.work["on_cpu"] == 1


def test_a_strategy_that_does_not_fit_is_refused_before_anything_is_encoded(
    studio: FakeStudio, run: Run
) -> None:
    studio.remote["label_config"] = (
        '<View><Image name="i" value="$image"/><Rating name="label" toName="i"/></View>'
    )
    for task, said in studio.annotations.items():
        said[0]["result"][0] |= {"type": "rating", "value": {"rating": 1 + task % 5}}
    failed = run(Kind.TRAIN, "bmmal", status=1)
    assert "bmmal" in failed.error
    assert failed.lasting
    assert "encode" not in failed.phase


def test_ten_times_the_labels_of_a_round_are_published_unless_told_otherwise() -> None:
    assert ProjectSettings().published == 200
    assert ProjectSettings(retrain_after=5).published == 100, "the whole batch"
    assert ProjectSettings(publish=7).published == 7


def test_only_the_top_is_published(studio: FakeStudio, store: Store, run: Run) -> None:
    found = run(Kind.TRAIN, publish=7)
    table = rankings.load(store.ranking(found))
    assert found.published == 7
    assert queue(studio, found.version) == table.column("task").to_pylist()[:7]
    assert table.num_rows == len(OPEN)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ((), "No task is labelled with 'label' yet."),
        (("A", "A", "A"), "All labels of 'label' are 'A'"),
    ],
)
def test_too_little_to_train_on_is_said(
    studio: FakeStudio, store: Store, run: Run, said: tuple[str, ...], reason: str
) -> None:
    studio.annotations = {n + 1: [annotation(n + 1, one)] for n, one in enumerate(said)}
    failed = run(Kind.TRAIN, status=1)
    assert failed.state == State.FAILED
    assert failed.lasting, "only another label helps"
    assert reason in failed.error
    assert store.current(1) is None
    assert studio.predictions == []


def test_when_every_task_is_labelled_nothing_is_left_to_rank(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    label(studio, *studio.tasks)
    assert "every task is labelled" in run(Kind.TRAIN, status=1).error
    assert store.current(1) is None


def test_files_that_cannot_be_read_are_counted_by_reason(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    broken = "data:image/png;base64," + base64.b64encode(b"no picture").decode()
    for task in (1, 2, 61):
        studio.data[task] = {**data(task), "image": broken}
    found = run(Kind.TRAIN)
    check_served(studio, store, found, OPEN)
    assert [(reason.split(":")[0], n) for reason, n in found.failures.items()] == [("i", 3)]
    assert list(found.work["absent"].values()) == [[1, 2, 61]], "examples of it"
    table = rankings.load(store.ranking(found))
    absent = table.column("task").to_numpy()[~table.column("present:i").to_numpy(zero_copy_only=0)]
    assert absent.tolist() == [61]


def test_what_was_never_there_is_counted_as_well_also_before_the_first_labels(
    studio: FakeStudio, run: Run
) -> None:
    del studio.data[71]["text"]
    studio.data[72]["text"] = ["a", "b"]  # type: ignore[assignment]
    studio.data[73]["image"] = " "
    studio.data[74]["image"] = "http://elsewhere.example/x.png"
    expected = {
        "t: the task has no $text": 1,
        "t: $text is a list, which is not read": 1,
        "i: $image is empty": 1,
        "i: host 'elsewhere.example' is not allowed (setting media_hosts)": 1,
    }
    assert run(Kind.COLD, "max_herding").failures == expected
    assert run(Kind.TRAIN).failures == expected


def test_what_stands_in_the_way_of_learning_is_named(studio: FakeStudio, run: Run) -> None:
    studio.remote["label_config"] = CONFIG.replace('<Text name="t" value="$text"/>', "")
    for task in studio.tasks:
        studio.data[task]["image"] = f"http://elsewhere.example/{task}.png"
    failed = run(Kind.TRAIN, status=1)
    assert "host 'elsewhere.example' is not allowed (setting media_hosts) (90)" in failed.error


def test_a_round_does_not_go_on_without_what_comes_later(
    studio: FakeStudio, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_WAIT", wait_none())
    given = studio.answer
    away = {f"/data/{task}.png" for task in range(1, 31)}

    def answer(method: str, path: str, body: Any) -> tuple[int, Any]:
        return (429, {}) if path in away else given(method, path, body)

    studio.answer = answer  # type: ignore[method-assign]
    for task in range(1, 31):
        studio.data[task]["image"] = f"/data/{task}.png"
    failed = run(Kind.TRAIN, status=1)
    assert "30 of 90 values of 'i' cannot be had now: HTTP 429 (30)" in failed.error
    assert not failed.lasting
    for task in range(11, 31):  # 10 of 90 are not too many
        studio.data[task] = data(task)
    assert run(Kind.TRAIN).failures == {"i: HTTP 429": 10}


def test_a_cancelled_round_changes_nothing_and_a_stranger_s_token_neither(
    studio: FakeStudio, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"settings": ProjectSettings(overrides=SMALL).model_dump()}
    claim = store.claim(1, Kind.TRAIN, "bmmal", "test", options)
    assert claim is not None
    for token, cancelled in (("other", False), (claim.token, True)):
        if cancelled:
            store.cancel(1)
        told = json.dumps({"round": claim.round, "token": token}) + "\n"
        monkeypatch.setattr("sys.stdin", io.StringIO(told))
        assert process.main() == 3
    assert store.round(claim.round).state == State.CANCELLED
    assert store.current(1) is None
    assert studio.predictions == []


def test_a_worker_that_is_told_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert process.main() == 0


def test_a_fault_of_ours_is_kept_with_the_round(
    studio: FakeStudio, store: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.remote["label_config"] = "<View/>"
    assert run(Kind.TRAIN, status=1).error
    studio.remote["label_config"] = CONFIG
    store.save_project(1, backend_id=None)
    monkeypatch.setattr(studio, "_tasks", lambda _: (200, {"tasks": [{"id": "x"}], "total": 1}))
    failed = run(Kind.TRAIN, status=2)
    assert failed.state == State.FAILED
    assert "Error" in failed.error


# Levels ---------------------------------------------------------------------------------------


def ask(studio: FakeStudio, store: Store, control: str) -> None:
    """Let the project ask something else about its texts; nothing is annotated yet."""
    text = f'<View><Text name="t" value="$text"/>{control}</View>'
    studio.remote["label_config"] = text
    studio.annotations.clear()
    store.save_project(1, label_config=text)


def test_free_text_covers_the_pool_and_what_is_annotated(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    ask(studio, store, '<TextArea name="c" toName="t"/>')
    first = run(Kind.COLD, "max_herding")
    check_served(studio, store, first, studio.tasks)
    assert first.strategy == "max_herding"
    result = [{"from_name": "c", "type": "textarea", "value": {"text": ["so it is"]}}]
    sunny = [task for task in studio.tasks if truth(task) == "A"][:20]
    studio.annotations = {task: [{"id": task, "result": result}] for task in sunny}
    again = run(Kind.COLD, "max_herding")
    check_served(studio, store, again, studio.tasks - set(sunny))
    assert (again.strategy, again.labels, again.checkpoint) == ("max_herding", 20, "")
    assert truth(queue(studio, again.version)[0]) == "B", "what is unlike the annotated comes first"
    assert store.trained_on(1) == dict.fromkeys(map(str, sunny), "annotated")
    assert all(row["result"] == [] for row in studio.predictions)


def test_a_wish_to_train_what_cannot_be_learned_covers(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    ask(studio, store, '<TextArea name="c" toName="t"/>')
    found = run(Kind.TRAIN, "max_herding")
    check_served(studio, store, found, studio.tasks)
    assert found.checkpoint == ""


def test_which_labels_occur_orders_the_queue_and_pre_annotates_nothing(
    studio: FakeStudio, store: Store, run: Run
) -> None:
    labels = '<Label value="sun"/><Label value="rain"/>'
    ask(studio, store, f'<Labels name="c" toName="t">{labels}</Labels>')
    for task in range(1, LABELLED + 1):
        word = "sun" if truth(task) == "A" else "rain"
        value = {"start": 0, "end": 3, "labels": [word]}
        result = [{"from_name": "c", "to_name": "t", "type": "labels", "value": value}]
        studio.annotations[task] = [{"id": task, "result": result}]
    found = run(Kind.TRAIN)
    check_served(studio, store, found, OPEN)
    assert all(row["result"] == [] for row in studio.predictions)
    table = rankings.load(store.ranking(found))
    said = dict(zip(*(table.column(c).to_pylist() for c in ("task", "predicted")), strict=True))
    right = [said[task] == ("sun" if truth(task) == "A" else "rain") for task in OPEN]
    assert np.mean(right) > 0.8


def test_a_rating_alone_is_ranked_with_default_settings(
    studio: FakeStudio, store: Store, run: Run, config: Settings
) -> None:
    ask(studio, store, '<Rating name="c" toName="t" maxRating="10"/>')
    for task in range(1, LABELLED + 1):
        value = {"rating": 9 if truth(task) == "A" else 2}
        result = [{"from_name": "c", "to_name": "t", "type": "rating", "value": value}]
        studio.annotations[task] = [{"id": task, "result": result}]
    claim = claim_round(store, config, 1, Due(Kind.TRAIN, "60 new labels"))
    assert claim is not None
    begun = store.round(claim.round)
    assert begun.strategy == begun.options["settings"]["strategy"] == "auto"
    store.finish(claim, State.INTERRUPTED, "the test runs it itself")
    found = run(Kind.TRAIN, "auto")
    check_served(studio, store, found, OPEN)


def test_results_that_are_not_understood_are_noted_with_the_round(
    studio: FakeStudio, run: Run
) -> None:
    studio.annotations[1] = [annotation(1, "C")]
    found = run(Kind.TRAIN)
    assert found.work["unread"] == 1
    assert found.labels == LABELLED - 1


def test_a_round_is_shared_before_it_is_named(
    studio: FakeStudio, store: Store, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv("EQUIPOISE_ARTIFACTS_URL", f"file://{shared}")
    settings.cache_clear()
    trained = run(Kind.TRAIN, "entropy")
    other = Bucket(tmp_path / "other", f"file://{shared}")
    ours, theirs = store.ranking(trained), other.bring(f"{trained.folder}/ranking.parquet")
    assert rankings.load(theirs).equals(rankings.load(ours))
    shutil.rmtree(store.path(trained.folder))  # as on another machine, which fetches the model
    again = run(Kind.RANK, "margin")
    assert (again.state, again.checkpoint) == (State.DONE, trained.checkpoint)
    shared.rename(tmp_path / "away")
    shared.write_text("no folder any more")
    lost = run(Kind.RANK, "entropy", status=1)
    assert (lost.state, lost.lasting) == (State.FAILED, False)
    assert "bucket of artifacts_url does not answer" in lost.error
    assert queue(studio, lost.version) == []
    assert store.current(1).id == again.id  # type: ignore[union-attr]
