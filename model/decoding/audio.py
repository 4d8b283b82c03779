"""Sound through soundfile, then PyAV: any format either can read, mono by the mean of channels."""

from __future__ import annotations

import io
import math
import struct
import wave
from dataclasses import dataclass

import numpy as np

from model.arrays import Float32Array
from model.decoding.limits import LIMITS, Limits, check_bytes
from model.sample import MediaError

Waveform = Float32Array


@dataclass(frozen=True)
class Part:
    """The middle, or the first, seconds of a sound; None: all of it."""

    seconds: float | None
    first: bool

    def place(self, frames: int, rate: int) -> tuple[int, int]:
        """Return where to begin reading and how much to read, a sample more rather than less."""
        if self.seconds is None:
            return 0, frames
        count = min(frames, math.ceil(self.seconds * rate))
        return 0 if self.first else (frames - count) // 2, count

    def of(self, samples: Waveform, rate: int) -> Waveform:
        """Cut samples (n,) to it."""
        if self.seconds is None or samples.size <= self.seconds * rate:
            return samples
        count = int(self.seconds * rate)
        start = 0 if self.first else (samples.size - count) // 2
        return samples[start : start + count]


def decode_audio(
    data: bytes,
    rate: int,
    *,
    seconds: float | None = None,
    first: bool = False,
    limits: Limits = LIMITS,
) -> Waveform:
    """Return the sound as mono at the given sampling rate.

    Args:
        data: the file, of any format; a video's sound track is read, too.
        rate: samples per second of the result.
        seconds: keep only the middle part of a longer sound; None keeps all of it.
        first: keep the first part instead of the middle.
        limits: refuse what exceeds these bounds.

    Returns:
        (n,) samples in [-1, 1], n >= 1.
    """
    samples, source_rate, plain = _samples(data, Part(seconds, first), limits)
    if plain and source_rate == rate:
        return samples
    samples = resample(samples, source_rate, rate)
    return np.clip(samples, -1.0, 1.0, out=samples)


def read_audio(
    data: bytes, *, seconds: float | None = None, limits: Limits = LIMITS
) -> tuple[Waveform, int]:
    """Return the sound as mono samples (n,) at its own rate, and that rate; as `decode_audio`."""
    samples, rate, _ = _samples(data, Part(seconds, first=False), limits)
    return np.clip(samples, -1.0, 1.0), rate


def _samples(data: bytes, part: Part, limits: Limits) -> tuple[Waveform, int, bool]:
    """Return samples, their rate, and whether they are of a plain 16-bit file."""
    data = _whole(check_bytes(data, limits))
    plain = _read_plain(data, part, limits)
    samples, rate = plain or _read(data, part, limits)
    if samples.size == 0:
        raise MediaError("the sound has no samples")
    if plain is None and not np.isfinite(samples).all():
        raise MediaError("the sound holds values that are not finite")
    return part.of(samples, rate), rate, plain is not None


def _whole(data: bytes) -> bytes:
    """Return a WAV file whose data chunk ends with the file, if its header says that it goes on.

    What streams to a file, or is cut off, leaves a size there that means nothing (often FFFFFFFF).
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return data
    place = 12
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        left = len(data) - place - 8
        if name == b"data":
            if size <= left:
                return data
            return data[: place + 4] + struct.pack("<I", left) + data[place + 8 :]
        place += 8 + size + size % 2
    return data


def _read(data: bytes, part: Part, limits: Limits) -> tuple[Waveform, int]:
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check_length(file.frames / file.samplerate, limits)
            start, count = part.place(file.frames, file.samplerate)
            if start and file.seekable():
                file.seek(start)
            values = file.read(count, dtype="float32", always_2d=True)
            return _mono(values.T), file.samplerate
    except (soundfile.SoundFileError, RuntimeError):
        return _read_av(data, limits)


def _read_plain(data: bytes, part: Part, limits: Limits) -> tuple[Waveform, int] | None:
    """Return the samples of an intact 16-bit WAV file, the commonest of all; None if it is not.

    Note: soundfile gives the same samples, but calls back for every few kilobytes of a file in
    memory, which takes five times as long and stalls the other decoding threads.
    """
    if data[:4] != b"RIFF":
        return None
    try:
        with wave.open(io.BytesIO(data)) as file:
            if file.getsampwidth() != 2 or file.getframerate() <= 0:
                return None
            frames, channels, rate = file.getnframes(), file.getnchannels(), file.getframerate()
            _check_length(frames / rate, limits)
            start, count = part.place(frames, rate)
            file.setpos(start)
            found = file.readframes(count)
    except (wave.Error, EOFError, ValueError, RuntimeError):  # a chunk that ends outside the file
        return None
    if len(found) != 2 * channels * count:  # cut off: soundfile says how much there is
        return None
    values = np.frombuffer(found, "<i2").reshape(count, channels)
    return _mono(values.T * np.float32(1 / 32768)), rate


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
                    blocks.append(_mono(block.to_ndarray()))
                    total += blocks[-1].size
                _check_length(total / rate, limits)
            return (np.concatenate(blocks) if blocks else np.empty(0, np.float32)), rate
    except MediaError:
        raise
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise MediaError(f"not a sound that can be read: {error}") from error


def _mono(channels: Waveform) -> Waveform:
    """Return the mean (n,) of channels (C, n), in place of the first.

    Note: NumPy's own mean is slow where C is the short axis.
    """
    total = np.ascontiguousarray(channels[0])
    for channel in channels[1:]:
        total += channel
    if len(channels) > 1:
        total /= len(channels)
    return total


def _check_length(seconds: float, limits: Limits) -> None:
    if seconds > limits.seconds:
        raise MediaError(f"the sound is longer than {limits.seconds:g} s")


def resample(samples: Waveform, source: int, target: int) -> Waveform:
    """Change the sampling rate of (n,) samples with an anti-aliasing filter."""
    if source == target:
        return samples
    import torch
    import torchaudio.functional as audio

    divisor = math.gcd(source, target)
    if max(source, target) // divisor > 4000:  # odd rates would need a filter bank of gigabytes
        source, target = round(source / target * 1000), 1000
    return audio.resample(torch.from_numpy(samples), source, target).numpy()
