"""Rounds in a bucket that servers share: whole or not there, never stale, kept while it is down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.errors import EquipoiseError
from backend.settings import Settings
from backend.store.backup import backup, restore
from backend.store.bucket import Bucket, Unreachable
from backend.store.store import Store, open_store
from backend.store.tables import Kind, Round
from tests.backend.s3 import S3

ROUND = "projects/1/equipoise-r0001-bmmal.0a1b2c3d"
FILES = {
    "ranking.parquet": b"ranked" * 1000,
    "checkpoint/weights.safetensors": bytes(range(256)),
    "checkpoint/model.json": b"{}",
}


@pytest.fixture
def first(s3: S3, tmp_path: Path) -> Bucket:
    """Return the bucket as the server sees it that has made a round."""
    made = Bucket(tmp_path / "first", s3.url)
    write(made, FILES)
    return made


@pytest.fixture
def second(s3: S3, tmp_path: Path) -> Bucket:
    """Return the bucket as another server sees it."""
    return Bucket(tmp_path / "second", s3.url)


def write(bucket: Bucket, files: dict[str, bytes], name: str = ROUND) -> None:
    """Write a round's files here, and what a round leaves that is not meant for others."""
    for inside, content in {**files, "ranking.writing": b"half", ".checkpoint.1/x": b""}.items():
        place = bucket.folder / name / inside
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def held(folder: Path, name: str = ROUND) -> dict[str, bytes]:
    """Return what a folder holds of a round."""
    here = folder / name
    return {str(p.relative_to(here)): p.read_bytes() for p in here.rglob("*") if p.is_file()}


def test_what_one_server_publishes_another_has(first: Bucket, second: Bucket, s3: S3) -> None:
    assert not second.has(ROUND)
    first.publish(ROUND)
    for name in (ROUND, f"{ROUND}/checkpoint", f"{ROUND}/ranking.parquet"):
        assert second.has(name)
    assert not second.has(f"{ROUND}/check")
    assert not second.has(f"{ROUND}/map.parquet")
    assert second.bring(f"{ROUND}/ranking.parquet").read_bytes() == FILES["ranking.parquet"]
    assert held(second.folder) == FILES
    assert not list(second.folder.glob("projects/1/.*")), "nothing is left beside it"
    s3.asked.clear()
    second.bring(f"{ROUND}/checkpoint")
    second.bring(ROUND)
    assert second.has(ROUND)
    assert s3.asked == [], "what is here is not asked for again"


def test_nothing_is_seen_before_the_manifest(first: Bucket, second: Bucket, s3: S3) -> None:
    first.publish(ROUND)
    manifest = s3.get(f"shared/{ROUND}/manifest.json")
    for content in (None, manifest[: len(manifest) // 2], b"", b"[]", b'{"sha256": 3}'):
        s3.delete(f"shared/{ROUND}/manifest.json")
        if content is not None:
            s3.put(f"shared/{ROUND}/manifest.json", content)
        assert not second.has(ROUND)
        assert not second.bring(f"{ROUND}/ranking.parquet").exists()
    s3.put(f"shared/{ROUND}/manifest.json", manifest)
    second.bring(ROUND)
    assert held(second.folder) == FILES


@pytest.mark.parametrize("inside", sorted(FILES))
def test_a_damaged_file_is_as_if_the_round_were_not_there(
    first: Bucket, second: Bucket, s3: S3, inside: str
) -> None:
    first.publish(ROUND)
    s3.put(f"shared/{ROUND}/{inside}", FILES[inside][:-1])
    assert not second.bring(f"{ROUND}/ranking.parquet").exists()
    assert not second.has(ROUND), "so that a round makes another"
    assert [path for path in second.folder.rglob("*") if path.is_file()] == []


def test_a_file_that_is_gone_is_as_if_the_round_were_not_there(
    first: Bucket, second: Bucket, s3: S3
) -> None:
    first.publish(ROUND)
    s3.delete(f"shared/{ROUND}/checkpoint/model.json")
    assert not second.bring(ROUND).exists()
    assert [path for path in second.folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "name", ["../../../../out", "/out", "a/../../out", "a//out", ".hidden", ""]
)
def test_a_manifest_names_nothing_outside_its_round(
    first: Bucket, second: Bucket, s3: S3, name: str
) -> None:
    first.publish(ROUND)
    found = json.loads(s3.get(f"shared/{ROUND}/manifest.json"))
    found["sha256"][name] = "0"
    s3.put(f"shared/{ROUND}/manifest.json", json.dumps(found).encode())
    assert not second.has(ROUND)
    assert not second.bring(ROUND).exists()


def test_a_part_that_somebody_deleted_comes_back(first: Bucket, s3: S3) -> None:
    first.publish(ROUND)
    (first.folder / ROUND / "ranking.parquet").unlink()
    assert first.has(f"{ROUND}/ranking.parquet")
    assert first.bring(f"{ROUND}/ranking.parquet").read_bytes() == FILES["ranking.parquet"]


def test_publishing_again_writes_only_what_is_another(
    first: Bucket, second: Bucket, s3: S3
) -> None:
    first.publish(ROUND)
    s3.asked.clear()
    first.publish(ROUND)
    assert not {"PUT", "POST", "DELETE"} & set(s3.asked)
    write(first, {"ranking.parquet": b"another"})
    first.publish(ROUND)
    assert second.bring(f"{ROUND}/ranking.parquet").read_bytes() == b"another"


def test_what_is_removed_is_gone_everywhere(first: Bucket, second: Bucket, s3: S3) -> None:
    first.publish(ROUND)
    other = ROUND.replace("r0001", "r0002")
    write(first, FILES, other)
    first.publish(other)
    second.bring(ROUND)
    assert second.names("projects/1") == {ROUND, other}
    second.remove(ROUND)
    assert not second.has(ROUND)
    assert {key for key in s3.objects() if "r0001" in key} == set()
    assert second.names("projects/1") == {other}
    second.remove(ROUND)
    assert held(first.folder, other)["ranking.parquet"] == FILES["ranking.parquet"]


def test_a_bucket_that_refuses_is_told_and_left_alone_for_a_while(first: Bucket, s3: S3) -> None:
    first.publish(ROUND)
    s3.refuses = True
    try:
        assert first.bring(ROUND).exists()
        assert first.has(ROUND)
        with pytest.raises(Unreachable, match="does not answer, or refuses us"):
            first.has("projects/1/another")
        asked = len(s3.asked)
        for ask in (first.has, first.bring, first.remove, first.names, first.publish):
            with pytest.raises(Unreachable, match="does not answer now"):
                ask("projects/1/another")
        assert len(s3.asked) == asked
    finally:
        s3.refuses = False
    assert Unreachable.passing, "a round comes again"
    assert held(first.folder).keys() >= FILES.keys(), "what is here stays"


def test_a_shared_folder_is_a_bucket_too(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/shared"
    one, other = Bucket(tmp_path / "one", url), Bucket(tmp_path / "other", url)
    (tmp_path / "shared").mkdir()
    write(one, FILES)
    one.publish(ROUND)
    other.bring(ROUND)
    assert held(other.folder) == FILES
    one.remove(ROUND)
    assert one.names("projects/1") == set()


def test_a_url_that_means_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(EquipoiseError, match="artifacts_url cannot be used"):
        Bucket(tmp_path, "nothing://there").has(ROUND)
    with pytest.raises(ValueError, match="must be a URL like"):
        Settings(artifacts_url="bucket/prefix")
    assert Settings(artifacts_url="").bucket == ""
    assert "hush" not in repr(Settings(artifacts_url="s3://access:hush@bucket"))


# The store


def finish(store: Store, kind: Kind = Kind.TRAIN) -> Round:
    """Commit a round with a ranking, and a checkpoint where it trains."""
    claim = store.claim(1, kind, "bmmal", "test", {})
    assert claim is not None
    found = store.round(claim.round)
    current = store.current(1)
    checkpoint = current.checkpoint if current else ""
    store.path(found.folder).mkdir(parents=True)
    (store.path(found.folder) / "ranking.parquet").write_text(found.folder)
    if kind is Kind.TRAIN:
        checkpoint = f"{found.folder}/checkpoint"
        store.path(checkpoint).mkdir()
        (store.path(checkpoint) / "model.json").write_text(found.folder)
    store.artifacts.publish(found.folder)
    store.commit(claim, checkpoint=checkpoint)
    return store.round(claim.round)


def settings_of(tmp_path: Path, name: str, s3: S3) -> Settings:
    """Return the settings of one of several servers on one database and one bucket."""
    database = f"sqlite:///{tmp_path / 'store.db'}"
    return Settings(data_dir=tmp_path / name, store_url=database, artifacts_url=s3.url)


@pytest.fixture
def stores(tmp_path: Path, s3: S3) -> Iterator[tuple[Store, Store]]:
    """Return the store as two servers see it; the project is 1."""
    both = tuple(open_store(settings_of(tmp_path, name, s3)) for name in ("one", "two"))
    both[0].save_project(1, connected=True)
    yield both  # type: ignore[misc]
    for store in both:
        store.close()


def test_old_rounds_go_here_there_and_from_the_bucket(stores: tuple[Store, Store], s3: S3) -> None:
    one, two = stores
    base = finish(one)
    newest = [finish(one, Kind.RANK) for _ in range(3)][-1]
    assert two.ranking(newest).read_text() == newest.folder
    assert two.has_model(newest)
    assert two.ranking(base).read_text() == base.folder
    (two.path(base.folder) / "ranking.parquet").unlink()
    s3.put("shared/projects/1/of-another-store/manifest.json", b"{}")
    two.prune_files(1, keep=1)
    kept = {base.folder, newest.folder, "projects/1/of-another-store"}
    assert two.artifacts.names("projects/1") == kept
    one.prune_files(1, keep=1)
    assert {path.name for path in one.path("projects/1").iterdir()} == {
        Path(found.folder).name for found in (base, newest)
    }


def test_a_version_that_comes_again_is_not_the_cached_one(stores: tuple[Store, Store]) -> None:
    one, two = stores
    old = finish(one)
    assert two.ranking(old).read_text() == old.folder
    one.forget(1)
    one.remove_files(1)
    one.save_project(1, connected=True)
    new = finish(one)
    assert new.version == old.version
    assert two.ranking(new).read_text() == new.folder != old.folder


def test_a_backup_holds_what_only_the_bucket_has(
    stores: tuple[Store, Store], tmp_path: Path, s3: S3
) -> None:
    one, two = stores
    found = finish(one)
    config = settings_of(tmp_path, "two", s3)
    backup(config, two, tmp_path / "backup.tar")
    for key in s3.objects():
        s3.delete(key)
    said = restore(settings_of(tmp_path, "three", s3), tmp_path / "backup.tar")
    assert "1 rounds published to artifacts_url" in said
    fourth = open_store(settings_of(tmp_path, "four", s3))
    assert fourth.ranking(found).read_text() == found.folder
    assert (fourth.artifacts.bring(found.checkpoint) / "model.json").is_file()
    fourth.close()
