"""`logmel_cnn`: a small network trained from scratch on time-normalised log-mel pictures."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from model.arrays import Array, Float32Array
from model.decoding.audio import Waveform, decode_audio
from model.encoders.base import Encoder, Module, Raw, as_bytes, random_mask, random_shift
from model.encoders.small_cnn import convolutions
from model.options import Preparation
from model.schema import Modality

N_FFT, HOP, BANDS = 512, 159, 40
_FLOOR = 1e-7


class LogmelCnn(Module):
    """Log-mel pictures (B, 1, bands, frames)."""

    def __init__(self, augment: bool, channels: tuple[int, ...] = (1, 16, 32, 64)) -> None:
        super().__init__()
        self.augment = augment
        self.layers = convolutions(channels)
        self.pool = nn.AdaptiveAvgPool2d((5, 2))
        self.width = 10 * channels[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width)."""
        if self.training and self.augment:
            # In time only: moved in frequency, a sound becomes another one.
            x = random_mask(random_shift(x, pixels=(3.0, 0.0)), height=6, width=8)
        return self.pool(self.layers(x)).flatten(1)


def audio_encoder(modality: Modality, source: str, preparation: Preparation) -> Encoder:
    """Prepare sounds as (1, bands, frames) log-mel pictures, standardised per sound.

    Note: whatever its length, a sound is stretched or averaged to the same number of frames; the
    picture shows its course, and short words are not drowned in padding.
    """
    rate, frames = preparation.audio_rate, preparation.audio_frames

    def decode(raw: Raw) -> Array:
        wave = trim(decode_audio(as_bytes(raw, "a sound"), rate))
        return picture(wave, rate, frames).astype(np.float16)

    fingerprint = f"logmel/1 rate={rate} fft={N_FFT} hop={HOP} bands={BANDS} frames={frames}"
    return Encoder(fingerprint, decode, lambda _: LogmelCnn(preparation.augment))


def trim(wave: Waveform, share: float = 0.02) -> Waveform:
    """Cut what is quieter than a share of the peak off both ends."""
    least = share * max(wave.max(), -wave.min())
    return wave[_first_loud(wave, least) : len(wave) - _first_loud(wave[::-1], least)]


def _first_loud(wave: Waveform, least: float) -> int:
    """Return the first place with at least that amplitude; there is one."""
    start, size = 0, 1024
    while True:
        loud = np.abs(wave[start : start + size]) >= least
        if loud.any():
            return start + int(loud.argmax())
        start, size = start + size, 2 * size


def spectrogram(wave: Waveform, rate: int) -> Tensor:
    """Return the log-mel spectrogram (bands, T)."""
    signal = torch.from_numpy(wave)
    if len(signal) <= N_FFT:
        signal = nn.functional.pad(signal, (0, N_FFT + 1 - len(signal)))
    window = torch.hann_window(N_FFT)
    power = torch.stft(signal, N_FFT, HOP, window=window, return_complex=True).abs().square()
    return (filters(rate, N_FFT, BANDS) @ power + _FLOOR).log()


def stretched(mel: Tensor, frames: int) -> Tensor:
    """Average or interpolate (bands, T) to (1, bands, frames), of mean 0 and deviation 1."""
    mel = mel[None]
    if mel.shape[-1] > frames:
        mel = nn.functional.adaptive_avg_pool1d(mel, frames)
    else:
        mel = nn.functional.interpolate(mel, frames, mode="linear", align_corners=False)
    return (mel - mel.mean()) / mel.std().clamp(min=1e-3)


def picture(wave: Waveform, rate: int, frames: int) -> Float32Array:
    """Return the (1, bands, frames) log-mel spectrogram with mean 0 and deviation 1."""
    return stretched(spectrogram(wave, rate), frames).numpy()


@lru_cache(maxsize=8)
def filters(rate: int, window: int, bands: int) -> Tensor:
    """Return (bands, window / 2 + 1) triangular mel filters."""
    import torchaudio.functional as audio

    return audio.melscale_fbanks(window // 2 + 1, 0.0, rate / 2, bands, rate).T.contiguous()
