"""What one server has encoded another one takes from the bucket: whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.store import features
from backend.store.artifacts import Artifacts
from backend.store.bucket import Bucket
from backend.store.features import WORTH, SharedFeatures
from model.cache import FeatureCache
from model.inputs import Inputs
from model.preparation import prepare
from model.presets import preset
from model.sample import Reference, Sample
from model.schema import Modality, ModalityKind, Schema, Target, TargetKind
from tests.backend.s3 import S3

SIZE = WORTH + 44
SCHEMA = Schema(
    (
        Modality("words", ModalityKind.TEXT, "words"),
        Modality("numbers", ModalityKind.SEQUENCE, "numbers"),
    ),
    (Target("label", TargetKind.CLASSIFICATION, ("a", "b")),),
)


class Machine:
    """One server with a disk of its own, which counts what it had to read."""

    def __init__(self, folder: Path, url: str, project: int = 1, **limits: int) -> None:
        bucket = Bucket(folder, url)
        self.cache = SharedFeatures(folder / "cache", bucket, project, **limits)
        self.bucket = bucket
        self.read: list[str] = []

    def samples(self, size: int) -> list[Sample]:
        """Return samples of two modalities; whoever encodes one reads it first."""

        def load(n: int, kind: str) -> Any:
            self.read.append(f"{kind}{n}")
            rng = np.random.default_rng(n)
            if kind == "words":
                return " ".join(f"w{word}" for word in rng.integers(0, 50, 6)).encode()
            return json.dumps(rng.standard_normal((4, 3)).round(3).tolist()).encode()

        return [
            {
                kind: Reference(f"{kind}{n}", lambda n=n, kind=kind: load(n, kind))  # type: ignore[misc]
                for kind in ("words", "numbers")
            }
            for n in range(size)
        ]

    def prepared(self, size: int = SIZE, cache: FeatureCache | None = None) -> Inputs:
        """Prepare the first samples."""
        found = prepare(
            self.samples(size), SCHEMA, preset("quick").preparation, cache or self.cache
        )
        assert not found.failures
        return found


def values(inputs: Inputs) -> list[np.ndarray]:
    """Return what was prepared of each modality, in the samples' order."""
    return [column.gather(np.arange(inputs.size)) for column in inputs.columns]


def same(one: Inputs, other: Inputs) -> None:
    """Both hold the same bits."""
    for a, b in zip(values(one), values(other), strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


def packs(s3: S3, ending: str = "") -> set[str]:
    """Return the objects of features in the bucket."""
    return {key for key in s3.objects() if "/features/" in key and key.endswith(ending)}


def test_what_one_machine_encodes_another_does_not(s3: S3, tmp_path: Path) -> None:
    one, other = Machine(tmp_path / "one", s3.url), Machine(tmp_path / "other", s3.url)
    made = one.prepared()
    assert len(set(one.read)) == 2 * SIZE
    found = other.prepared()
    assert other.read == []
    same(made, found)
    s3.asked.clear()
    same(made, other.prepared())
    assert s3.asked == [], "nothing is lacking, nothing is asked"
    alone = Machine(tmp_path / "alone", s3.url)
    same(made, alone.prepared(cache=FeatureCache(tmp_path / "alone" / "cache")))


def test_only_the_new_ones_are_encoded_and_shared(s3: S3, tmp_path: Path) -> None:
    one, other = Machine(tmp_path / "one", s3.url), Machine(tmp_path / "other", s3.url)
    one.prepared()
    before = packs(s3)
    other.prepared(2 * SIZE)
    assert set(other.read) == {
        f"{k}{n}" for k in ("words", "numbers") for n in range(SIZE, 2 * SIZE)
    }
    assert before < packs(s3)
    third = Machine(tmp_path / "third", s3.url)
    third.prepared(2 * SIZE)
    assert third.read == []
    written = packs(s3)
    third.cache.share(third.cache.store("no such encoder"), {b"0" * 16})
    assert packs(s3) == written


def test_of_few_the_bucket_is_not_asked(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Machine(tmp_path / "one", s3.url)
    one.prepared(WORTH - 1)
    assert s3.asked == []
    node = Machine(tmp_path / "node", s3.url, shared_from=1)
    node.prepared(3)
    assert len(packs(s3, ".keys")) == 2
    few = Machine(tmp_path / "few", s3.url)
    few.prepared(3)
    assert len(set(few.read)) == 6
    monkeypatch.setattr(features, "WORTH", 1)
    another = Machine(tmp_path / "another", s3.url)
    another.prepared(3)
    assert another.read == []


def test_what_is_much_goes_in_several_packs(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.shards._PACKED_BYTES", 40000)
    made = Machine(tmp_path / "one", s3.url).prepared()
    assert len(packs(s3, ".keys")) > 4
    assert len(packs(s3, ".keys")) == len(packs(s3, ".arrow"))
    other = Machine(tmp_path / "other", s3.url)
    same(made, other.prepared())
    assert other.read == []


@pytest.mark.parametrize("fault", ["damaged", "gone", "no keys", "half the keys", "no words"])
def test_a_pack_that_is_not_whole_is_not_there(s3: S3, tmp_path: Path, fault: str) -> None:
    made = Machine(tmp_path / "one", s3.url).prepared()
    for key in packs(s3, ".keys"):
        content = key.removesuffix(".keys") + ".arrow"
        match fault:
            case "damaged":
                s3.put(content, s3.get(content)[:-9] + b"otherwise")
            case "gone":
                s3.delete(content)
            case "no keys":
                s3.delete(key)
            case "half the keys":
                s3.put(key, s3.get(key)[: len(s3.get(key)) // 2])
            case "no words":
                s3.put(key, b'{"sha256": 3, "keys": [4]}')
    other = Machine(tmp_path / "other", s3.url)
    same(made, other.prepared())
    assert len(set(other.read)) == 2 * SIZE, "it is encoded again"


def test_a_bucket_that_is_away_costs_nothing_but_time(s3: S3, tmp_path: Path) -> None:
    one = Machine(tmp_path / "one", s3.url)
    s3.refuses = True
    made = one.prepared()
    s3.refuses = False
    other = Machine(tmp_path / "other", s3.url)
    same(made, other.prepared())
    assert len(set(other.read)) == 2 * SIZE


def test_features_go_with_their_project_and_are_no_other_s(s3: S3, tmp_path: Path) -> None:
    one = Machine(tmp_path / "one", s3.url)
    one.prepared()
    stranger = Machine(tmp_path / "stranger", s3.url, project=2)
    stranger.prepared()
    assert stranger.read
    one.bucket.remove("projects/1")
    assert {key for key in packs(s3) if "/projects/1/" in key} == set()
    assert packs(s3)


def test_without_a_bucket_it_is_the_cache_alone(tmp_path: Path) -> None:
    cache = SharedFeatures(tmp_path / "cache", Artifacts(tmp_path), 1, shared_from=1)
    store = cache.store("e")
    store.append([bytes(16)] * 1, np.ones((1, 2), np.float32))
    cache.share(store, {bytes(16)})
    cache.bring(store, {number.to_bytes(16, "big") for number in range(2 * WORTH)})
    assert store.rows == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]
