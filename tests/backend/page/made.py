"""A store with rounds as they end: for tests of the page, its benchmark and its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from backend.labelstudio.config import parse
from backend.queue.acceptable import Offer
from backend.rounds import glimpse, why
from backend.store import judgements, rankings
from backend.store.files import MAP
from backend.store.store import Store
from backend.store.tables import Kind, State
from model.measuring import main, measure
from strategies import Pool, Selection
from strategies.audit import places, with_drawn

DIGITS = tuple("0123456789")


def config(classes: tuple[str, ...] = DIGITS) -> str:
    """Return a label config of a picture and a sound."""
    from xml.sax.saxutils import quoteattr

    choices = "".join(f"<Choice value={quoteattr(name)}/>" for name in classes)
    return (
        '<View><Image name="picture" value="$image"/><Audio name="sound" value="$audio"/>'
        f'<Choices name="digit" toName="picture">{choices}</Choices></View>'
    )


def on_a_plane(table: pa.Table, classes: tuple[str, ...]) -> pa.Table:
    """Return a map of the first 10,000 ranked tasks and sixty labelled ones."""
    rng = np.random.default_rng(0)
    ranked = table.slice(0, 9940)
    predicted = ranked.column("predicted").to_pylist()
    labels = [classes[i % len(classes)] for i in range(60)]
    centres = dict(zip(classes, rng.uniform(0.1, 0.9, (len(classes), 2)), strict=True))
    at = np.array([centres[name] for name in predicted + labels])
    at = (at + rng.normal(0, 0.05, at.shape)).clip(0, 1).astype(np.float32)
    done = [None] * len(labels)
    return pa.table(
        {
            "task": [*ranked.column("task").to_pylist(), *range(10**6, 10**6 + len(labels))],
            "x": at[:, 0],
            "y": at[:, 1],
            "label": [None] * len(predicted) + labels,
            "rank": ranked.column("rank").to_pylist() + done,
            "decides": [("picture", "sound")[int(i)] for i in rng.integers(0, 2, len(predicted))]
            + done,
            "predicted": predicted + done,
            "probability": ranked.column("probability").to_pylist() + done,
        }
    )


def values(task: int) -> list[dict[str, str]]:
    """Return what a round notes of a task's picture and sound; every ninth sound is absent."""
    absent = "no such file (/data/upload/7/nine.wav)" if task % 9 == 0 else ""
    return [
        {"name": "picture", "kind": "image", "text": "", "reason": ""},
        {"name": "sound", "kind": "audio", "text": "", "reason": absent},
    ]


def measured(classes: tuple[str, ...], n: int, skill: float, seed: int) -> dict[str, Any]:
    """Return what a round measures on n tasks of a model that is right as often as `skill`."""
    target = parse(config(classes)).schema.multimodal
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, len(classes), n)
    said = {}
    for name, less in (("digit", 0.0), ("picture", 0.12), ("sound", 0.2)):
        hit = rng.random(n) < skill - less
        answer = np.where(hit, truth, (truth + 1) % len(classes))
        said[name] = np.eye(len(classes))[answer] * 0.7 + 0.3 / len(classes)
    found = measure(target, said["digit"], truth)
    counts = np.bincount(rng.integers(0, len(classes), 8 * n), minlength=len(classes))
    return {
        "audited": n,
        "needed": 20,
        "level": 0.9,
        "questions": {"digit": {"kind": "classification", **found}} if found else {},
        "modalities": {m: main(target, said[m], truth) for m in ("picture", "sound")}
        if found
        else {},
        "counts": {"digit": dict(zip(classes, counts.tolist(), strict=True))},
    }


def judged(classes: tuple[str, ...], count: int) -> dict[str, Any]:
    """Return judgements of labelled tasks, as the map has them; the first seven are suspect."""
    wrong = np.arange(count) < 7
    names = np.array(classes, object)
    given = np.arange(count) % len(names)
    return {
        "task": np.arange(10**6, 10**6 + count),
        "question": np.full(count, "digit"),
        "given": names[given],
        "likely": names[np.where(wrong, (given + 1) % len(names), given)],
        "probability": np.where(wrong, 0.3, 0.6),
        "hit": ~wrong,
        "quality": np.where(wrong, 0.05, 0.9) + np.arange(count) / 1000,
        "suspect": wrong,
        "audit": np.arange(count) % 2 == 0,
    }


def belief(classes: tuple[str, ...], tasks: int) -> dict[str, Any]:
    """Return what a round says of the labels, and of what may be accepted."""
    agree = {name: round(0.95 - 0.03 * place, 2) for place, name in enumerate(classes)}
    of = {"several": 40, "alpha": 0.83, "classes": agree}
    people = {
        "1": {"labels": 210, "agree": [0.93, 0.86, 0.97], "alone": 190, "suspect": 5},
        "2": {"labels": 150, "agree": [0.88, 0.79, 0.94], "alone": 130, "suspect": 2},
    }
    offer = Offer(
        0.05,
        tasks,
        {task: classes[task % len(classes)] for task in range(1, tasks // 3)},
        probability={name: 0.9 + place / 200 for place, name in enumerate(classes)},
        labels=51,
        wrong=0,
        version="any",
    )
    review = {"judged": 360, "suspect": 7, "questions": {"digit": {**of, "annotators": people}}}
    return {"review": review, "accept": offer.to_json()}


def fill(
    store: Store,
    project: int = 7,
    *,
    tasks: int = 300,
    rounds: int = 6,
    classes: tuple[str, ...] = DIGITS,
    title: str = "Digits, seen and heard",
    trained_on: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Commit rounds of a project and return the version that serves."""
    store.save_project(project, title=title, label_config=config(classes), connected=True)
    schema = parse(config(classes)).schema
    rng = np.random.default_rng(0)
    version = checkpoint = ""
    for number in range(1, rounds + 1):
        claim = store.claim(project, Kind.TRAIN, "auto", "20 new labels", {})
        assert claim is not None
        found = store.round(claim.round)
        version = found.version
        if number == rounds:
            outputs = rng.dirichlet(np.full(len(classes), 0.4), tasks).astype(np.float32)
            place = places(np.arange(tasks), (0, project))
            order, drawn = with_drawn(rng.permutation(tasks), place, 0.1, 200, 0.5)
            head = order[:200]
            each = {m: rng.dirichlet(np.full(len(classes), 0.4), len(head)) for m in schema.names}
            alone = why.Alone(head, each, np.ones((len(head), 2), bool))
            reasons = why.sentences(schema.multimodal, outputs, drawn, alone, rng.random(len(head)))
            table = rankings.build(
                list(range(1, tasks + 1)),
                Pool(size=tasks),
                Selection(order=order, scores=rng.random(tasks)),
                {"digit": outputs},
                schema,
                {"strategy": "auto", "round": number, "model_version": version},
                drawn=drawn,
                why=reasons,
            )
            rankings.save(table, store.ranking(found))
            rankings.save(on_a_plane(table, classes), store.ranking(found).with_name(MAP))
            first = table.column("task").slice(0, glimpse.HEAD).to_pylist()
            glimpse.save({str(task): values(task) for task in first}, store.path(found.folder))
            checkpoint = f"{found.folder}/checkpoint"
            store.path(checkpoint).mkdir(exist_ok=True)
            judgements.save(judged(classes, 120), store, found)
        skill = 0.95 - 0.5 / number
        store.commit(
            claim,
            checkpoint=checkpoint,
            work={
                "absent": {"sound: no such file (/data/upload/7/nine.wav)": [9, 18, 27]},
                "twins": {"count": 12, "examples": [[40, 3], [41, 10**6]]},
            },
            labels=60 * number,
            pool=tasks,
            tasks=tasks + 60 * number,
            trained_on=dict(trained_on),
            published=200,
            schema=schema.to_json(),
            durations={"fetch": 1.0, "train": 8.0},
            measured={**measured(classes, 9 * number, skill, number), **belief(classes, tasks)},
            metrics={
                "pool_contribution:picture": 0.7 - 0.01 * number,
                "pool_contribution:sound": 0.3 + 0.01 * number,
                "pool_dominance": 0.4 - 0.02 * number,
            },
            failures={"sound: no such file (/data/upload/7/nine.wav)": 3},
        )
    store.save_project(project, announced=version, new_labels=13)
    claim = store.claim(project, Kind.TRAIN, "auto", "20 new labels", {})
    assert claim is not None
    store.finish(claim, State.FAILED, "Label Studio does not answer GET /api/projects/7/.")
    return version
