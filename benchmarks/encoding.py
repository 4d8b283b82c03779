"""Throughput of load + decode + encode + cache, against the bare encoder fed from memory.

python -m benchmarks.encoding [--quick] [--json PATH] [--only NAME]
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from benchmarks._report import Row, arguments, peak_memory, run, timed, times_faster
from model.arrays import Array
from model.cache import FeatureCache
from model.decoding.images import decode_image, fill_square
from model.encoders import encoder_for
from model.encoders.hashing import _vectorizer
from model.encoders.lite0 import Pictures
from model.encoders.logmel import picture
from model.encoders.minilm import Sentences, tokenizer
from model.encoders.resident import in_pieces, resident
from model.inputs import Inputs
from model.preparation import prepare
from model.presets import Preset, preset
from model.sample import RawValue, Reference
from model.schema import Modality, ModalityKind, Schema, Target, TargetKind

REQUIRED = ">= 0.85"
WORKERS = 2
TURNS = 7
NOTE = (
    "ratio of throughputs, raw files to features against the same encoder fed with decoded values "
    f"from memory; {WORKERS} workers each"
)
SENTENCE = (
    "a red bicycle with two bells stands near the old town hall while rain falls on green roofs "
    "and people wait for their evening train home"
)
Bare = Callable[[], Iterable[Array]]


def resnet(quick: bool) -> list[Row]:
    """ResNet-18 at 224 on 640x480 JPEG files; bare: on pixels of 256x256."""
    count = 32 if quick else 192
    files = [_jpeg(number, 640, 480) for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "resnet18.safetensors"
        save_file(torchvision.models.resnet18(weights=None).state_dict(), weights)
        chosen = preset("quick", encoders={ModalityKind.IMAGE: f"resnet18:{weights}"})
        encoder = encoder_for(Modality("x", ModalityKind.IMAGE, "x"), chosen.preparation)
        decoded = np.stack([encoder.decode(data) for data in files])
        embed, size = encoder.embed, encoder.batch_size
        assert embed is not None
        values: list[RawValue] = [Reference(str(n), _reader(data)) for n, data in enumerate(files)]

        def bare() -> Iterable[Array]:
            for start in range(0, count, size):
                yield from embed(decoded[start : start + size])

        return [_row("resnet18 at 224, JPEG 640x480", ModalityKind.IMAGE, chosen, values, bare)]


def pictures(quick: bool) -> list[Row]:
    """`vector` on JPEG files of 640x480; bare: EfficientNet-Lite0 alone, on pixels."""
    count = 64 if quick else 512
    files = [_jpeg(number, 640, 480) for number in range(count)]
    encoder = encoder_for(Modality("x", ModalityKind.IMAGE, "x"), preset("auto").preparation)
    decoded = np.stack([encoder.decode(data) for data in files])
    values: list[RawValue] = [Reference(str(n), _reader(data)) for n, data in enumerate(files)]
    net = resident("efficientnet", Pictures)
    return [
        _against("JPEG 640x480", ModalityKind.IMAGE, values, lambda: in_pieces(net, decoded, 4))
    ]


def texts(quick: bool) -> list[Row]:
    """`vector` on texts of 8 words; bare: MiniLM alone, on tokens."""
    count = 256 if quick else 1024
    rng = np.random.default_rng(0)
    found = [f"{' '.join(rng.choice(SENTENCE.split(), 8))} {number}" for number in range(count)]
    tokens = [tokenizer(100).encode(text).ids for text in found]
    ids = np.full((count, max(map(len, tokens))), -1)
    for row, some in zip(ids, tokens, strict=True):
        row[: len(some)] = some
    net = resident("minilm", Sentences)
    values: list[RawValue] = list(found)
    return [
        _against("texts of 8 words", ModalityKind.TEXT, values, lambda: in_pieces(net, ids, 16))
    ]


def _against(
    what: str, kind: ModalityKind, values: list[RawValue], bare: Callable[[], object]
) -> Row:
    """Compare raw values to cached vectors with the network alone, in turns."""
    ours, theirs, count = [], [], len(values)
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(TURNS):
            ours.append(timed(_preparing(kind, preset("auto"), values, f"{folder}/{turn}"))[0])
            theirs.append(timed(bare)[0])
    mine, alone = (min(times, key=lambda t: t.wall) for times in (ours, theirs))
    cpu = min(t.cpu for t in theirs) / min(t.cpu for t in ours)
    note = "raw values to cached vectors against the network alone, fed from memory"
    per_second = count / mine.wall, count / alone.wall
    ratio = per_second[0] / per_second[1]
    return Row(f"vector, {what}, {count} values", *per_second, "/s", ratio, REQUIRED, note, cpu)


def logmel(quick: bool) -> list[Row]:
    """Log-mel pictures and their network on WAV files of 5 s at 16 kHz; bare: on waveforms."""
    count, rate = 100 if quick else 1000, 16000
    waves = [np.random.default_rng(n).normal(0, 0.1, 5 * rate).astype(np.float32) for n in range(8)]
    files = [_wav(wave, rate) for wave in waves]
    chosen = preset("quick")
    values: list[RawValue] = [Reference(str(n), _reader(files[n % 8])) for n in range(count)]

    def bare() -> Iterable[Array]:
        with ThreadPoolExecutor(WORKERS) as pool:
            waveforms = (waves[n % 8] for n in range(count))
            yield from pool.map(lambda w: picture(w, rate, chosen.audio_frames), waveforms)

    return [_row("logmel_cnn, WAV of 5 s", ModalityKind.AUDIO, chosen, values, bare)]


def hashing(quick: bool) -> list[Row]:
    """Hashed n-grams of texts of some 100 words; bare: the vectorizer alone."""
    count = 300 if quick else 2000
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghij"), rng.integers(2, 9))) for _ in range(5000)]
    texts = [" ".join(rng.choice(words, 100)) for _ in range(count)]
    values: list[RawValue] = list(texts)

    def bare() -> Iterable[Array]:
        with ThreadPoolExecutor(WORKERS) as pool:
            yield from pool.map(lambda text: _vectorizer().transform([text]).toarray()[0], texts)

    return [_row("hashing, texts of 100 words", ModalityKind.TEXT, preset("quick"), values, bare)]


def photos(quick: bool) -> list[Row]:
    """Photographs of 6 MP to 256x256: JPEG decoded at a fraction, or whole."""
    data, count = _jpeg(0, 3000, 2000), 4 if quick else 20

    def scaled(side: int) -> Callable[[], object]:
        return lambda: [fill_square(decode_image(data, side=side), 256) for _ in range(count)]

    ours, whole = timed(scaled(256), repeats=3)[0], timed(scaled(0), repeats=3)[0]
    return [times_faster(f"{count} JPEG of 6 MP to 256x256", ours, whole, "", "baseline: whole")]


def memory(quick: bool) -> list[Row]:
    """Show that preparing does not hold media: twice the pictures, the same peak."""
    rows, counts = [], (20, 40) if quick else (60, 120)
    data = _jpeg(0, 3000, 2000)
    peaks = []
    for count in counts:
        values: list[RawValue] = [Reference(f"{count} {n}", _reader(data)) for n in range(count)]
        with tempfile.TemporaryDirectory() as folder:
            peaks.append(
                peak_memory(_preparing(ModalityKind.IMAGE, preset("quick"), values, folder))
            )
    what = f"peak memory, preparing {counts[1]} pictures of 6 MP; baseline {counts[0]}"
    ours, baseline = (peak / 2**30 for peak in reversed(peaks))
    rows.append(Row(what, ours, baseline, "GiB", ours / baseline, "<= 1.1"))
    return rows


def _row(what: str, kind: ModalityKind, chosen: Preset, values: list[RawValue], bare: Bare) -> Row:
    """Time both in turns, so that a busy neighbour slows both."""
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        _encoding(kind, chosen, values[:8], f"{folder}/warm")()
        for turn in range(TURNS):
            ours.append(timed(_encoding(kind, chosen, values, f"{folder}/{turn}"))[0])
            theirs.append(timed(lambda: _forward(kind, chosen, bare()))[0])
    mine, plain = (min(times, key=lambda t: t.wall) for times in (ours, theirs))
    return times_faster(f"{what}, {len(values)} values", mine, plain, REQUIRED, NOTE)


def _encoding(
    kind: ModalityKind, chosen: Preset, values: list[RawValue], folder: str
) -> Callable[[], object]:
    """Return a call that prepares the values and runs the trainable rest of their encoder."""
    prepared = _preparing(kind, chosen, values, folder)
    return lambda: _forward(kind, chosen, prepared().columns[0].gather(slice(None)))


def _forward(kind: ModalityKind, chosen: Preset, arrays: Iterable[Array]) -> None:
    """Run what is on top of prepared arrays, 64 at a time."""
    encoder, waiting = encoder_for(Modality("x", kind, "x"), chosen.preparation), iter(arrays)
    module = None
    while some := list(islice(waiting, 64)):
        batch = torch.from_numpy(np.stack(some)).float()
        module = module or encoder.build(tuple(batch.shape[1:])).eval()
        with torch.inference_mode():
            module(batch)


def _preparing(
    kind: ModalityKind, chosen: Preset, values: list[RawValue], folder: str
) -> Callable[[], Inputs]:
    of = Schema((Modality("x", kind, "x"),), (Target("y", TargetKind.CLASSIFICATION, ("a", "b")),))
    samples = [{"x": value} for value in values]
    return lambda: prepare(
        samples, of, chosen.preparation, FeatureCache(Path(folder)), workers=WORKERS
    )


def _reader(data: bytes) -> Callable[[], bytes]:
    return lambda: data


def _jpeg(number: int, width: int, height: int) -> bytes:
    coarse = np.random.default_rng(number).integers(0, 255, (15, 20, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(stream, "jpeg")
    return stream.getvalue()


def _wav(wave: np.ndarray, rate: int) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, wave, rate, format="WAV")
    return stream.getvalue()


if __name__ == "__main__":
    run(
        {
            "pictures": pictures,
            "texts": texts,
            "resnet": resnet,
            "logmel": logmel,
            "hashing": hashing,
            "photos": photos,
            "memory": memory,
        },
        arguments(__doc__ or ""),
    )
