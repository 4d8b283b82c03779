"""The feature cache under kills, several processes, pruning and broken files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest

from model.cache import FeatureCache
from model.preparation import prepare
from model.presets import preset
from model.sample import Reference


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def rows(count: int, start: int = 0, width: int = 4) -> tuple[list[bytes], np.ndarray]:
    values = np.arange(start, start + count).astype(np.float16)[:, None].repeat(width, axis=1)
    return [key(n) for n in range(start, start + count)], values


def test_what_is_appended_is_found_memory_mapped(cache):
    store = cache.store("e")
    store.append(*rows(10))
    store.append(*rows(5, start=10))
    shard, row = cache.store("e").lookup([key(12), key(3), key(99), None])
    assert (shard[2:] == -1).all()
    for place, expected in ((0, 12), (1, 3)):
        assert store.shards[shard[place]].values[row[place]].tolist() == [expected] * 4
    assert not store.shards[0].values.flags.writeable


def test_what_is_found_loads_no_pandas(cache):
    cache.store("e").append(*rows(10))
    code = (
        "import sys; from pathlib import Path; from model.cache import FeatureCache; "
        f"store = FeatureCache(Path({str(cache.folder)!r})).store('e'); "
        "print(store.rows, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["10", "False"]


def test_another_process_sees_what_was_added(cache):
    reader = FeatureCache(cache.folder)
    reader.store("e")
    cache.store("e").append(*rows(3))
    assert (reader.store("e").lookup([key(1)])[0] >= 0).all()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_a_shard_cut_at_any_byte_is_dropped_and_the_rest_stays(cache, share):
    cache.store("e").append(*rows(10))
    whole, _ = cache.store("e").lookup([key(1)])
    assert whole[0] >= 0
    cache.store("e").append(*rows(10, start=10))
    path = sorted(cache.folder.glob("*/values-*.arrow"))[-1]
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    reopened = FeatureCache(cache.folder).store("e")
    shard, _ = reopened.lookup([key(1), key(11)])
    assert shard[0] >= 0
    assert shard[1] == -1
    reopened.append(*rows(10, start=10))
    assert (reopened.lookup([key(11)])[0] >= 0).all()


def test_a_writer_killed_at_any_moment_leaves_it_readable(tmp_path):
    script = (
        "import sys; from pathlib import Path; from tests.model.test_cache import rows\n"
        "from model.cache import FeatureCache\n"
        "store = FeatureCache(Path(sys.argv[1])).store('e')\n"
        "for n in range(100000):\n"
        "    store.append(*rows(200, start=200 * n, width=64))\n"
        "    print(n, flush=True)\n"
    )
    rng = np.random.default_rng(0)
    for wait in rng.uniform(0.0, 0.5, 3):
        writer = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE
        )
        writer.stdout.readline()
        time.sleep(wait)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        store = FeatureCache(tmp_path).store("e")
        assert store.rows
        assert store.rows % 200 == 0  # whole shards only
        for shard in store.shards:
            numbers = [int.from_bytes(key, "big") for key in shard.whole_keys()]
            np.testing.assert_array_equal(
                shard.values[:, 0], np.array(numbers, dtype=np.float64).astype(np.float16)
            )


def test_a_killed_merge_loses_nothing(cache, monkeypatch):
    store = cache.store("e")
    for n in range(24):
        store.append(*rows(2, start=2 * n))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        store.append(*rows(2, start=48))
    monkeypatch.undo()
    reopened = FeatureCache(cache.folder).store("e")
    assert (reopened.lookup([key(n) for n in range(50)])[0] >= 0).all()


def test_many_small_shards_are_merged(cache):
    store = cache.store("e")
    for n in range(60):
        store.append(*rows(1, start=n))
    assert len(list(cache.folder.glob("*/values-*.arrow"))) < 30
    reopened = FeatureCache(cache.folder).store("e")
    shard, row = reopened.lookup([key(n) for n in range(60)])
    values = [reopened.shards[s].values[r][0] for s, r in zip(shard, row, strict=True)]
    assert values == list(range(60))


def test_prune_deletes_the_least_recently_used_first(cache):
    for name in ("old", "new"):
        cache.store(name).append(*rows(1000))
    label = next(cache.folder.glob("*/encoder.json"))
    folders = {info.fingerprint: info for info in cache.describe()}
    assert folders["old"].rows == 1000
    for path in cache.folder.glob("*/encoder.json"):
        if "old" in path.read_text():
            os.utime(path, (1, 1))
    before = cache.size()
    freed = cache.prune(before - 100)
    assert freed > 100
    assert cache.size() == before - freed
    assert {info.fingerprint: info.rows for info in cache.describe()} == {"old": 0, "new": 1000}
    assert cache.prune(10**9) == 0
    assert label.exists()


def ages(cache: FeatureCache, **seconds: int) -> None:
    """Set when each encoder's store was last used."""
    for path in cache.folder.glob("*/encoder.json"):
        age = seconds[json.loads(path.read_text())["fingerprint"]]
        os.utime(path, (age, age))


def found(cache: FeatureCache, name: str) -> int:
    """Count the values of the keys 0 to 19, without using the store."""
    return {info.fingerprint: info.rows for info in cache.describe()}[name]


def test_pruning_frees_just_enough_from_the_longest_unused_store_oldest_shards_first(cache):
    for name in ("a", "b", "c"):
        for start in (0, 10):
            cache.store(name).append(*rows(10, start=start))
    ages(cache, a=200, b=100, c=300)
    assert [info.fingerprint for info in cache.describe()] == ["c", "a", "b"]
    shard = next(cache.folder.glob("*/values-*.arrow")).stat().st_size
    assert cache.prune(cache.size()) == 0
    assert cache.prune(cache.size() - 1) == shard
    assert [found(cache, name) for name in "abc"] == [20, 10, 20]
    left, _ = FeatureCache(cache.folder).store("b").lookup([key(0), key(10)])
    assert left.tolist() == [-1, 0]
    ages(cache, a=200, b=100, c=300)
    assert cache.prune(cache.size() - shard - 1) == 2 * shard
    assert [found(cache, name) for name in "abc"] == [10, 0, 20]
    ages(cache, a=200, b=100, c=300)
    cache.store("a")  # used now
    assert cache.prune(cache.size() - 1) == shard
    assert [found(cache, name) for name in "abc"] == [10, 0, 10]


def test_a_pruned_store_finds_nothing_and_takes_new_values(cache):
    cache.store("e").append(*rows(10))
    cache.prune(0)
    store = cache.store("e")
    assert store.lookup([key(1)])[0].tolist() == [-1]
    store.append(*rows(10))
    assert store.lookup([key(1)])[0].tolist() == [0]


def test_folders_that_are_gone_are_not_pruned_and_come_again(cache):
    for name in ("a", "b"):
        cache.store(name).append(*rows(10))
    ages(cache, a=100, b=200)
    shutil.rmtree(next(p.parent for p in cache.folder.glob("*/encoder.json") if _is(p, "a")))
    assert cache.prune(0) > 0
    assert [(info.fingerprint, info.rows) for info in cache.describe()] == [("b", 0)]
    cache.store("a").append(*rows(10))
    assert found(cache, "a") == 10
    shutil.rmtree(cache.folder)
    assert (cache.size(), cache.prune(0), cache.describe()) == (0, 0, [])
    cache.store("a").append(*rows(10))
    assert found(cache, "a") == 10


def _is(label, name):
    return json.loads(label.read_text())["fingerprint"] == name


def test_files_that_others_remove_meanwhile_are_left_out(cache):
    store = cache.store("e")
    store.append(*rows(10))
    before = cache.size()
    for gone in ("values-0.arrow", "values-0.arrow.1.part", "encoder.json.1.part"):
        (store.folder / gone).symlink_to("nowhere")  # listed, but not there when it is asked about
    store.append(*rows(10, start=10))
    assert cache.size() > before
    assert found(cache, "e") == 20
    assert cache.prune(0) > before
    (cache.folder / "other").mkdir()
    (cache.folder / "other" / "encoder.json").symlink_to("nowhere")
    assert [info.fingerprint for info in cache.describe()] == ["e"]
    assert cache.prune(0) == 0


def test_shards_of_several_widths_are_merged_apart(cache):
    store = cache.store("e")
    for n in range(30):
        store.append(*rows(1, start=n, width=4))
        store.append(*rows(1, start=100 + n, width=6))
    store.append(*rows(1, start=200, width=5))
    assert len(list(cache.folder.glob("*/values-*.arrow"))) < 16
    for opened in (store, FeatureCache(cache.folder).store("e")):
        wanted = [(n, 4) for n in range(30)] + [(100 + n, 6) for n in range(30)] + [(200, 5)]
        shard, row = opened.lookup([key(n) for n, _ in wanted])
        for (number, width), place, where in zip(wanted, shard, row, strict=True):
            assert opened.shards[place].values[where].tolist() == [number] * width


def test_shards_with_much_in_them_are_not_written_again(cache, monkeypatch):
    monkeypatch.setattr("model.shards._SMALL_BYTES", 104)
    store = cache.store("e")
    store.append(*rows(13, start=1000))  # 104 bytes: no longer small
    large = next(cache.folder.glob("*/values-*.arrow"))
    for n in range(30):
        store.append(*rows(1, start=n))
    assert large.exists()
    assert len(list(cache.folder.glob("*/values-*.arrow"))) < 10


def test_a_file_that_another_process_writes_now_stays_and_an_abandoned_one_goes(cache):
    store = cache.store("e")
    live, dead = (store.folder / f"values-{name}.arrow.0.part" for name in ("live", "dead"))
    for path in (live, dead):
        path.write_bytes(b"half")
    os.utime(live, (time.time() - 3500,) * 2)
    os.utime(dead, (time.time() - 3700,) * 2)
    store.append(*rows(1))
    assert live.exists()
    assert not dead.exists()
    assert store.rows == 1


def test_pruned_values_are_prepared_again(samples, schema, cache):
    given, _ = samples(4)
    first = prepare(given, schema, preset("quick").preparation, cache)
    cache.prune(0)
    again = prepare(given, schema, preset("quick").preparation, cache)
    assert again.present.all()
    np.testing.assert_array_equal(
        first.columns[0].gather(slice(0, 4)), again.columns[0].gather(slice(0, 4))
    )


def test_a_second_preparation_loads_and_decodes_nothing(samples, schema, cache):
    given, _ = samples(6)
    loads = []

    def counted(reference: Reference) -> Reference:
        return Reference(reference.key, lambda: loads.append(1) or reference.load())

    watched = [{k: counted(v) for k, v in sample.items()} for sample in given]
    prepare(watched, schema, preset("quick").preparation, cache)
    assert len(loads) == 12
    seen = []
    inputs = prepare(
        watched,
        schema,
        preset("quick").preparation,
        FeatureCache(cache.folder),
        progress=seen.append,
    )
    assert len(loads) == 12
    assert not seen
    assert inputs.present.all()


def test_shards_are_plain_arrow_files(cache):
    cache.store("e").append(*rows(3))
    path = next(cache.folder.glob("*/values-*.arrow"))
    table = pa.ipc.open_file(str(path)).read_all()
    assert table.column_names == ["key", "value"]
    assert table.schema.field("value").type == pa.list_(pa.float16(), 4)


def test_no_samples_and_progress(samples, schema, cache):
    empty = prepare([], schema, preset("quick").preparation, cache)
    assert (empty.size, empty.present.shape) == (0, (0, 2))
    seen = []
    given, _ = samples(3)
    prepare(
        given,
        schema,
        preset("quick").preparation,
        cache,
        progress=lambda *event: seen.append(event),
    )
    assert seen[-1] == ("prepare", 3, 3)
