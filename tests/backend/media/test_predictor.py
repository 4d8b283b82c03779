# ruff: noqa: F401, F811 - fixtures are imported
"""What the process that predicts does with a request, in the tests' own process."""

from __future__ import annotations

import io
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.media.decode_log import DecodeLog
from backend.predictions import process
from backend.predictions.process import Predictor
from backend.settings import Settings
from backend.store.store import Store
from model import checkpoint
from tests.backend.media.broken import CONFIG, picture, settings, start, store, studio, uri, work
from tests.backend.studio import FakeStudio

Json = dict[str, Any]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the one checkpoint of these tests is, or will be."""
    return tmp_path_factory.mktemp("kept") / "checkpoint"


@pytest.fixture
def trained(store: Store, studio: FakeStudio, kept: Path) -> Path:
    """Return the checkpoint of a round."""
    if not kept.exists():
        claim = start(store)
        assert work(claim) == 0
        shutil.copytree(store.path(store.round(claim.round).checkpoint), kept)
    return kept


@pytest.fixture
def predictor(settings: Settings) -> Iterator[Predictor]:
    config = Settings(predict_timeout=60.0)
    with DecodeLog(config.decoding).open() as decode_log:
        yield Predictor(config, decode_log)


def asked(number: int, folder: Path, *images: str) -> Json:
    """Return a request to predict pictures."""
    tasks = [{"id": 100 + i, "data": {"image": image}} for i, image in enumerate(images)]
    return {
        **{"number": number, "project": 1, "checkpoint": str(folder)},
        **{"tasks": tasks, "label_config": CONFIG},
    }


def test_requests_are_answered_by_the_model_that_they_name(
    trained: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    load = checkpoint.load

    def counted(folder: Path, **more: Any) -> Any:
        loaded.append(folder.name)
        return load(folder, **more)

    monkeypatch.setattr(process.checkpoint, "load", counted)
    answer = predictor.answer(asked(1, trained, picture(1), uri(b"no picture"), picture(1)))
    first, broken, again = answer["results"]
    assert first == again != broken
    assert [len(one) for one in (first, broken)] == [1, 1], "what cannot be read counts as absent"
    assert first[0]["value"]["choices"][0] in ("A", "B")
    assert predictor.answer(asked(2, trained)) == {"results": []}
    other = Path(shutil.copytree(trained, trained.with_name("other")))
    assert predictor.answer(asked(3, other, picture(1)))["results"] == [first]
    assert loaded == [trained.name, "other"], "each is loaded once"


def test_what_nobody_waits_for_is_not_gone_on_with(trained: Path, predictor: Predictor) -> None:
    predictor.give_up(7)
    assert predictor.answer(asked(7, trained, picture(70))) == {
        "error": "EquipoiseError: nobody waits for it any more"
    }
    assert "results" in predictor.answer(asked(8, trained, picture(80)))
    assert "results" in predictor.answer(asked(7, trained, picture(70))), "forgotten once answered"


def test_a_model_that_cannot_be_used_is_told_from_other_troubles(
    trained: Path, predictor: Predictor
) -> None:
    assert "unusable" in predictor.answer(asked(1, trained.with_name("none"), picture(1)))
    request = {**asked(2, trained, picture(1)), "label_config": "<View/>"}
    assert predictor.answer(request).keys() == {"error"}
    assert predictor._given_up == set()


def test_answers_are_lines_with_the_requests_number(predictor: Predictor, tmp_path: Path) -> None:
    out = io.StringIO()
    process._answer(predictor, asked(5, tmp_path / "none"), out, threading.Lock())
    (line,) = out.getvalue().splitlines()
    assert json.loads(line)["number"] == 5
    assert "unusable" in json.loads(line)
