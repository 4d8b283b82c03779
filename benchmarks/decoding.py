"""What decoding in processes of their own would cost, against threads: pebble's ProcessPool.

python -m benchmarks.decoding [--quick] [--json PATH] [--only NAME]

Needs `uv pip install pebble`. The pool is what the issue tracker asked about for files that crash
their decoders: one task, one time-out, one dead process known at once.
"""

from __future__ import annotations

import io
import multiprocessing
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from PIL import Image

from benchmarks._report import Row, arguments, run
from model import device as devices
from model.arrays import Array
from model.encoders import Encoder, encoder_for
from model.presets import preset
from model.schema import Modality, ModalityKind

WORKERS = 2
NOTE = (
    f"files a second, {WORKERS} processes against {WORKERS} threads; the array comes back pickled"
)


def decode(kind: str, content: bytes) -> Array:
    """Decode in a pool's process; its encoder is made once."""
    return _encoder(kind).decode(content)


@cache
def _encoder(kind: str) -> Encoder:
    return encoder_for(Modality("x", ModalityKind(kind), "x"), preset("auto").preparation)


def pictures(quick: bool) -> list[Row]:
    """JPEG files of 1024x768, which become 3 x 160 x 160 bytes."""
    rng = np.random.default_rng(0)
    files = []
    for _ in range(50 if quick else 400):
        small = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(small).resize((1024, 768)).save(file, "JPEG")
        files.append(file.getvalue())
    return _rows("JPEG 1024x768", "image", files)


def sounds(quick: bool) -> list[Row]:
    """WAV files of 5 s at 44.1 kHz, which become a vector."""
    rng = np.random.default_rng(0)
    files = []
    for _ in range(20 if quick else 120):
        file = io.BytesIO()
        soundfile.write(file, rng.normal(0, 0.1, 5 * 44100), 44100, format="WAV")
        files.append(file.getvalue())
    return _rows("WAV 5 s", "audio", files)


def start(quick: bool) -> list[Row]:
    """A pool's first answer, and what its processes keep in memory."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "PNG")
    began = time.perf_counter()
    with _pool() as pool:
        both = [pool.schedule(decode, args=("image", file.getvalue())) for _ in range(WORKERS)]
        for future in both:
            future.result()
        seconds = time.perf_counter() - began
        memory = sum(_anonymous(child.pid) for child in multiprocessing.active_children())
        pool.stop()
    what = f"{WORKERS} decoding processes"
    return [
        Row(f"{what}: until the first answers", seconds, None, "s"),
        Row(f"{what}: memory of their own", memory / 2**20, None, "MiB"),
    ]


def _pool() -> Any:
    from pebble import ProcessPool

    return ProcessPool(
        WORKERS,
        context=multiprocessing.get_context("spawn"),
        initializer=torch.set_num_threads,  # as in devices.decoders
        initargs=[1],
    )


def _anonymous(process: int | None) -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def _rows(what: str, kind: str, files: Sequence[bytes]) -> list[Row]:
    with _pool() as pool:

        def apart(content: bytes) -> Callable[[], Array]:
            return pool.schedule(decode, args=(kind, content), timeout=60).result

        in_processes = _rate(apart, files)
        pool.stop()
    with devices.decoders(WORKERS) as threads:
        in_threads = _rate(lambda content: threads.submit(decode, kind, content).result, files)
    return [Row(what, in_processes, in_threads, "1/s", in_processes / in_threads, note=NOTE)]


def _rate(submit: Callable[[bytes], Callable[[], Array]], files: Sequence[bytes]) -> float:
    """Return files per second, the better of two turns; the pool has started before."""
    for future in [submit(content) for content in files[: 2 * WORKERS]]:
        future()
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        for future in [submit(content) for content in files]:
            future()
        seconds.append(time.perf_counter() - began)
    return len(files) / min(seconds)


if __name__ == "__main__":
    run({"start": start, "pictures": pictures, "sounds": sounds}, arguments(__doc__ or ""))
