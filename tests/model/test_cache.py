"""The feature cache under kills, several processes, pruning and broken files."""

from __future__ import annotations

import os
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


def test_pruned_values_are_prepared_again(samples, schema, cache):
    given, _ = samples(4)
    first = prepare(given, schema, preset("quick"), cache)
    cache.prune(0)
    again = prepare(given, schema, preset("quick"), cache)
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
    prepare(watched, schema, preset("quick"), cache)
    assert len(loads) == 12
    seen = []
    inputs = prepare(
        watched, schema, preset("quick"), FeatureCache(cache.folder), progress=seen.append
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
    empty = prepare([], schema, preset("quick"), cache)
    assert (empty.size, empty.present.shape) == (0, (0, 2))
    seen = []
    given, _ = samples(3)
    prepare(given, schema, preset("quick"), cache, progress=lambda *event: seen.append(event))
    assert seen[-1] == ("prepare", 3, 3)
