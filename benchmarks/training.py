"""Seconds of a round: frozen training, and preparing a pool for the second time.

python -m benchmarks.training [--quick] [--json PATH] [--only NAME]
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch._dynamo  # noqa: F401  3 s of the first step; a worker has loaded it before its round
from PIL import Image

from benchmarks._report import Row, arguments, run, timed, times_faster
from benchmarks.vectors import cached_vectors, media_schema, schema, vectors_preset
from model.cache import FeatureCache
from model.preparation import prepare
from model.presets import preset
from model.sample import Reference, Sample
from model.training import train

LABELS, EPOCHS, CLASSES, TASKS = 5_000, 30, 10, 1_000
SECONDS = 20.0


def frozen(quick: bool) -> list[Row]:
    """Train 5,000 labels of three frozen modalities for 30 epochs."""
    size, epochs = (500, 2) if quick else (LABELS, EPOCHS)
    with tempfile.TemporaryDirectory() as folder:
        inputs = cached_vectors(Path(folder), size, 512)
        labels = {"y": np.random.default_rng(1).integers(0, CLASSES, size)}
        chosen = vectors_preset(epochs=epochs, min_steps=0)
        taken, model = timed(lambda: train(inputs, labels, schema(CLASSES), chosen, device="cpu"))
        what = f"frozen, {size:,} labels, 3 x D=512, {model.metadata['epochs']} epochs"
        ratio = taken.wall / SECONDS
        note = f"baseline is the allowance; {taken.cpu:.1f} s of processor time"
        return [Row(what, taken.wall, SECONDS, "s", ratio, "<= 1", note, taken.cpu / SECONDS)]


def second_round(quick: bool) -> list[Row]:
    """Prepare the same pool again: what a second round spends in decoding and encoding."""
    samples = [_task(number) for number in range(100 if quick else TASKS)]
    chosen, of = preset("quick"), media_schema(CLASSES)
    with tempfile.TemporaryDirectory() as folder:
        first, _ = timed(
            lambda: prepare(samples, of, chosen.preparation, FeatureCache(Path(folder)))
        )
        again, _ = timed(
            lambda: prepare(samples, of, chosen.preparation, FeatureCache(Path(folder)))
        )
        what = f"second preparation of {len(samples):,} pictures and sounds"
        return [times_faster(what, again, first, ">= 20", "under 5% of the first")]


def _task(number: int) -> Sample:
    """Return a small photo-like picture and a second of sound."""
    rng = np.random.default_rng(number)
    picture, sound = io.BytesIO(), io.BytesIO()
    coarse = rng.integers(0, 255, (15, 20, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((320, 240)).save(picture, "jpeg")
    soundfile.write(sound, rng.normal(0, 0.1, 8000), 8000, format="WAV")
    return {
        "picture": Reference(f"p{number}", picture.getvalue),
        "sound": Reference(f"s{number}", sound.getvalue),
    }


if __name__ == "__main__":
    run({"frozen": frozen, "second": second_round}, arguments(__doc__ or ""))
