"""Two Ray nodes of one processor against one: encoding pictures, and a replay's cells.

`python -m benchmarks.cluster`; needs the extra ray. All nodes are on this machine, so what else
runs on it takes from them: the ratio by processor time says what two machines would give (the one
node's time against that of the busier of two). Each time starts with nodes that have loaded
nothing. Results are compared bit for bit.
"""

from __future__ import annotations

import base64
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from backend.rounds.encode_ray import PART, encode_part
from backend.settings import Settings
from benchmarks._ray_nodes import Nodes, nodes
from benchmarks._report import Row, Timing, arguments, run, times_faster
from experiments import running
from experiments.cells import Cells
from experiments.dataset import Dataset, vector
from model import cluster
from model.cache import FeatureCache
from model.presets import preset
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

CONFIG = (
    '<View><Image name="i" value="$image"/><Choices name="label" toName="i">'
    '<Choice value="A"/><Choice value="B"/></Choices></View>'
)
CONTENDERS, SEEDS, ROUNDS = ("random", "bmmal"), 4, 5


def measured(work: Callable[[Nodes], None], count: int) -> Timing:
    """Time some work on `count` nodes: wall, and processor time of the busiest node."""
    with nodes() as running_nodes:
        all_nodes = [running_nodes.head, *(running_nodes.add() for _ in range(count - 1))]
        started = time.perf_counter()
        with running_nodes.processor_seconds(*all_nodes) as spent:
            work(running_nodes)
        wall = time.perf_counter() - started
    print(
        f"  {count} node(s): {wall:.0f} s, processor {[round(s, 1) for s in spent]} s", flush=True
    )
    return Timing(wall, max(spent))


# Encoding


def made_tasks(count: int) -> list[dict[str, object]]:
    """Make tasks with a picture each."""
    rng = np.random.default_rng(0)
    tasks = []
    for number in range(count):
        small = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        file = io.BytesIO()
        small.resize((192, 192), Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
        address = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
        tasks.append({"id": number + 1, "data": {"image": address}})
    return tasks


def encoding(quick: bool) -> Iterator[Row]:
    """Encode made pictures with the preset `auto`."""
    tasks = made_tasks(600 if quick else 5000)
    told: dict[str, object] = {
        "project": 1,
        "label_config": CONFIG,
        "preparation": preset("auto").preparation.to_json(),
    }
    found, times = [], []
    for count in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            told["folder"] = folder
            parts = [
                json.dumps({**told, "tasks": tasks[i : i + PART]})
                for i in range(0, len(tasks), PART)
            ]
            variables = {
                "EQUIPOISE_DATA_DIR": folder,
                "EQUIPOISE_API_KEY": "none",
                "EQUIPOISE_DEVICE": "cpu",
            }

            calls = [(part, variables) for part in parts]

            def work(on: Nodes, calls: list[tuple[str, dict[str, str]]] = calls) -> None:
                with cluster.connected(on.address) as ray:
                    for _ in cluster.each(ray, encode_part, calls, name="encode"):
                        pass

            times.append(measured(work, count))
            found.append(arrays(Settings(data_dir=Path(folder))))
    assert len(found[0]) == len(tasks)
    assert found[0] == found[1], "the features of two nodes are not those of one"
    yield times_faster(f"encode {len(tasks)} pictures", times[1], times[0], ">= 1.6", load())


def arrays(settings: Settings) -> dict[bytes, bytes]:
    """Return everything in a feature cache of one encoder: key -> array."""
    cache = FeatureCache(settings.cache)
    (info,) = cache.describe()
    return {
        key: shard.values[row].tobytes()
        for shard in cache.store(info.fingerprint).shards
        for row, key in enumerate(shard.whole_keys())
    }


# Replays


def made_dataset(size: int) -> Dataset:
    """Make ten blobs in two modalities."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 10, size)
    centres = rng.standard_normal((2, 10, 64))
    values = [centres[m, classes] + 2 * rng.standard_normal((size, 64)) for m in (0, 1)]
    samples = tuple({"a": vector(a), "b": vector(b)} for a, b in zip(*values, strict=True))
    modalities = tuple(Modality(n, ModalityKind.SEQUENCE, n) for n in ("a", "b"))
    target = Target("kind", TargetKind.CLASSIFICATION, tuple("0123456789"))
    rows = np.arange(size)
    cut = size * 4 // 5
    schema = Schema(modalities, (target,))
    return Dataset("blobs", "Ten blobs", samples, {"kind": classes}, schema, rows[:cut], rows[cut:])


def replaying(quick: bool) -> Iterator[Row]:
    """Compute the cells of a replay."""
    found, times = [], []
    small = preset("quick", epochs=5 if quick else 120)
    for count in (1, 2):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            running.prepare(
                made_dataset(1000 if quick else 4000),
                CONTENDERS,
                small,
                folder,
                initial=100,
                batch=50 if quick else 100,
                rounds=ROUNDS,
                seeds=SEEDS,
            )

            def work(on: Nodes, folder: Path = folder) -> None:
                running.run(folder, ray=on.address)

            times.append(measured(work, count))
            found.append(cells(folder))
    assert len(found[0]) == len(CONTENDERS) * SEEDS * ROUNDS
    assert found[0] == found[1], "the cells of two nodes are not those of one"
    yield times_faster(f"simulate {len(found[0])} cells", times[1], times[0], ">= 1.6", load())


def cells(folder: Path) -> list[str]:
    """Return the measurements of a replay, without how long they took."""
    stored = Cells(folder)
    return [
        repr({**vars(cell), "seconds": None})
        for contender in CONTENDERS
        for seed in range(SEEDS)
        for cell in stored.chain(contender, seed, ROUNDS)
    ]


def load() -> str:
    """Say how busy the machine is with everything that runs on it."""
    return f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, ours and others'"


if __name__ == "__main__":
    run({"encoding": encoding, "replaying": replaying}, arguments(__doc__ or ""))
