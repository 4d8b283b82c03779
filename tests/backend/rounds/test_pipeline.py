# ruff: noqa: F401, F811 - fixtures are imported
"""Whole rounds of each kind in this process, against a Label Studio in memory."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backend.rounds import learn
from backend.settings import ProjectSettings, Settings, settings
from backend.store import rankings
from backend.store.bucket import Bucket
from backend.store.store import Store
from backend.store.tables import Kind, State
from model import checkpoint
from tests.backend.rounds.played import (
    LABELLED,
    OPEN,
    TASKS,
    Run,
    annotation,
    check_served,
    config,
    data,
    label,
    queue,
    run,
    store,
    studio,
    truth,
)
from tests.backend.studio import FakeStudio


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
