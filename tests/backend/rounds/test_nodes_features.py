"""A node with a disk of its own encodes for a round by the bucket, where a round then finds it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.labelstudio.client import LabelStudio
from backend.labelstudio.config import parse
from backend.media.decode_log import DecodeLog
from backend.media.prepared import prepared
from backend.rounds.encode_ray import encode_part
from backend.settings import Settings, settings
from backend.store import features
from backend.store.bucket import Bucket
from backend.store.features import SharedFeatures
from model.cache import FeatureCache
from model.presets import preset
from tests.backend.rounds.played import CONFIG, data
from tests.backend.s3 import S3
from tests.backend.studio import FakeStudio

SIZE = 12
QUICK = preset("quick").preparation


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    """Return a project of pictures with texts."""
    with FakeStudio(SIZE) as running:
        running.remote["label_config"] = CONFIG
        running.data = {task: data(task) for task in running.tasks}
        yield running


def test_what_a_node_puts_into_the_bucket_a_round_need_not_encode(
    s3: S3, studio: FakeStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "label_studio_url": studio.url,
        "api_key": "key",
        "artifacts_url": s3.url,
        "data_dir": str(tmp_path / "node"),
    }
    for name, value in values.items():
        monkeypatch.setenv(f"EQUIPOISE_{name.upper()}", value)
    settings.cache_clear()
    tasks = [{"id": task, "data": found} for task, found in studio.data.items()]
    work = {
        "project": 1,
        "folder": str(tmp_path / "round" / "not on the node"),
        "tasks": tasks,
        "label_config": CONFIG,
        "preparation": QUICK.to_json(),
    }
    encode_part(json.dumps(work), {})
    settings.cache_clear()
    kept = {key for key in s3.objects() if "/projects/1/features/" in key}
    assert len(kept) == 4, "of each modality a pack and its keys"

    config = Settings(data_dir=tmp_path / "round")
    cache = SharedFeatures(config.cache, Bucket(config.data_dir, config.bucket), 1)
    monkeypatch.setattr(features, "WORTH", 1)
    said: list[int] = []
    with LabelStudio.of(config) as client:
        log = DecodeLog(config.decoding)
        with log.open():
            inputs = prepared(
                tasks,
                parse(CONFIG),
                QUICK,
                project=1,
                studio=client,
                settings=config,
                decode_log=log,
                progress=lambda stage, done, total: said.append(done),
                cache=cache,
            )
    assert inputs.present.all()
    assert said == [], "nothing was left to encode"
    node = FeatureCache(tmp_path / "node" / "cache")
    for column in inputs.columns:
        assert node.store(column.fingerprint).rows == SIZE
