"""Sound through soundfile, then PyAV: any format either can read, mono by the mean of channels."""

from __future__ import annotations

import io
import math

import numpy as np

from model.arrays import Float32Array
from model.decoding.limits import LIMITS, Limits, check_bytes
from model.sample import MediaError

Waveform = Float32Array


def decode_audio(
    data: bytes, rate: int, *, seconds: float | None = None, limits: Limits = LIMITS
) -> Waveform:
    """Return the sound as mono at the given sampling rate.

    Args:
        data: the file, of any format; a video's sound track is read, too.
        rate: samples per second of the result.
        seconds: keep only the middle part of a longer sound; None keeps all of it.
        limits: refuse what exceeds these bounds.

    Returns:
        (n,) samples in [-1, 1], n >= 1.
    """
    check_bytes(data, limits)
    wave, source_rate = _read(data, seconds, limits)
    if wave.size == 0:
        raise MediaError("the sound has no samples")
    if not np.isfinite(wave).all():
        raise MediaError("the sound holds values that are not finite")
    wave = _middle(wave, source_rate, seconds)
    return resample(wave, source_rate, rate).clip(-1.0, 1.0)


def _read(data: bytes, seconds: float | None, limits: Limits) -> tuple[Waveform, int]:
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check_length(file.frames / file.samplerate, limits)
            start, count = 0, file.frames
            if seconds is not None:
                count = min(file.frames, math.ceil(seconds * file.samplerate))
                start = (file.frames - count) // 2
            if start and file.seekable():
                file.seek(start)
            values = file.read(count, dtype="float32", always_2d=True)
            return values.mean(axis=1, dtype=np.float32), file.samplerate
    except (soundfile.SoundFileError, RuntimeError):
        return _read_av(data, limits)


def _read_av(data: bytes, limits: Limits) -> tuple[Waveform, int]:
    import av

    try:
        with av.open(io.BytesIO(data)) as container:
            if not container.streams.audio:
                raise MediaError("the file has no sound track")
            stream = container.streams.audio[0]
            rate = int(stream.rate or 0)
            if rate <= 0:
                raise MediaError("the sound track names no sampling rate")
            # PyAV's own down-mix scales by sqrt(2), so channels are averaged here.
            resampler = av.AudioResampler(format="fltp", rate=rate)
            blocks: list[Waveform] = []
            total = 0
            for frame in container.decode(stream):
                for block in resampler.resample(frame):
                    blocks.append(block.to_ndarray().mean(axis=0, dtype=np.float32))
                    total += blocks[-1].size
                _check_length(total / rate, limits)
            return (np.concatenate(blocks) if blocks else np.empty(0, np.float32)), rate
    except MediaError:
        raise
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise MediaError(f"not a sound that can be read: {error}") from error


def _check_length(seconds: float, limits: Limits) -> None:
    if seconds > limits.seconds:
        raise MediaError(f"the sound is longer than {limits.seconds:g} s")


def _middle(wave: Waveform, rate: int, seconds: float | None) -> Waveform:
    if seconds is None or wave.size <= seconds * rate:
        return wave
    count = int(seconds * rate)
    start = (wave.size - count) // 2
    return wave[start : start + count]


def resample(wave: Waveform, source: int, target: int) -> Waveform:
    """Change the sampling rate of (n,) samples with an anti-aliasing filter."""
    if source == target:
        return wave
    import torch
    import torchaudio.functional as audio

    divisor = math.gcd(source, target)
    if max(source, target) // divisor > 4000:  # odd rates would need a filter bank of gigabytes
        source, target = round(source / target * 1000), 1000
    return audio.resample(torch.from_numpy(wave), source, target).numpy()
