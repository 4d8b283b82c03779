"""A raw value -> something small to look at or to listen to, made anew.

No byte of a task's file goes to a browser: pictures are painted again, sounds written again.
"""

from __future__ import annotations

import io
import itertools
import wave

import numpy as np
from PIL import Image

from backend.media.shown import shortened
from model.arrays import Float32Array
from model.decoding.audio import read_audio
from model.decoding.images import decode_image
from model.decoding.sequences import decode_sequence
from model.decoding.video import decode_frames
from model.sample import MediaError
from model.schema import ModalityKind

SIDE = 256
"""Pixels of a thumbnail's longer side, at most."""
SECONDS = 60.0
"""Of a longer sound the middle part is shown, as it is the part that is learned from."""
CHARACTERS = 2000
_RATE = 16_000
_BARS, _HEIGHT = 160, 48
_BLUE = "#3b82c4"
"""Readable on white and on black: a picture cannot know the page's colours."""


def small(kind: ModalityKind, value: bytes | str | list[object], play: bool = False) -> bytes:
    """Return a thumbnail, a waveform or the sound itself, or the beginning of a text.

    Args:
        kind: of the modality.
        value: its content, as a sample's reference loads it.
        play: of a sound, the sound and not its picture.

    Raises:
        MediaError: it cannot be read.
    """
    if kind is ModalityKind.SEQUENCE:
        steps, width = decode_sequence(value).shape
        return f"A sequence of {steps} steps with {width} values each.".encode()
    if kind is ModalityKind.TEXT:
        if not isinstance(value, str):
            raise MediaError("not a text")
        return shortened(value, CHARACTERS).encode(errors="replace")
    if not isinstance(value, bytes):
        raise MediaError("not a file")
    if kind is ModalityKind.AUDIO:
        samples, rate = read_audio(value, seconds=SECONDS)
        return sound(samples, rate) if play else waveform(samples)
    if kind is ModalityKind.VIDEO:
        return thumbnail(decode_frames(value, 1)[0])
    return thumbnail(decode_image(value, side=SIDE))


def thumbnail(picture: Image.Image) -> bytes:
    """Return a JPEG of a picture, as large as `SIDE` at most."""
    picture = picture.convert("RGB")
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return file.getvalue()


def waveform(samples: Float32Array) -> bytes:
    """Return an SVG drawing of (n,) samples: the loudest of each part of the time."""
    ends = np.linspace(0, len(samples), _BARS + 1).astype(int)
    parts = [np.abs(samples[a:b]).max(initial=0.0) for a, b in itertools.pairwise(ends)]
    scale = (_HEIGHT / 2 - 1) / max(1e-4, *parts)
    bars = "".join(
        f"M{2 * i + 1} {_HEIGHT / 2 - size:.1f}V{_HEIGHT / 2 + size:.1f}"
        for i, size in enumerate(max(0.5, float(part) * scale) for part in parts)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * _BARS} {_HEIGHT}" '
        f'width="{2 * _BARS}" height="{_HEIGHT}"><path d="{bars}" stroke="{_BLUE}"/></svg>'
    ).encode()


def sound(samples: Float32Array, rate: int) -> bytes:
    """Return a WAV file of (n,) samples, at 16 kHz at most."""
    if rate > _RATE:
        step = -(-rate // _RATE)  # the mean of neighbours, so that what is too high stays out
        samples = samples[: len(samples) // step * step].reshape(-1, step).mean(axis=1)
        rate = round(rate / step)
    file = io.BytesIO()
    with wave.open(file, "wb") as to:
        to.setnchannels(1)
        to.setsampwidth(2)
        to.setframerate(rate)
        to.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()
