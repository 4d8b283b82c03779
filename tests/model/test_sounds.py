"""Whatever is in a sound, decoding gives samples or a reason, never a crash."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from model.decoding.audio import decode_audio, resample
from model.decoding.limits import Limits
from model.sample import MediaError
from tests.model.conftest import clip, png, wav
from tests.model.test_pictures import GREY


def tone(rate: int, seconds: float = 0.5, pitch: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * pitch * np.arange(int(rate * seconds)) / rate)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_formats_are_read_and_resampled(kind):
    stream = io.BytesIO()
    soundfile.write(stream, tone(22050), 22050, format=kind)
    wave = decode_audio(stream.getvalue(), 16000)
    assert abs(len(wave) / 16000 - 0.5) < 0.1
    spectrum = np.abs(np.fft.rfft(wave))
    assert abs(spectrum.argmax() * 16000 / len(wave) - 440) < 5


def test_channels_are_averaged():
    stereo = np.stack([tone(16000), np.zeros(8000)], axis=1)
    wave = decode_audio(wav(stereo, 16000), 16000)
    np.testing.assert_allclose(wave, tone(16000) / 2, atol=1e-3)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE", "ALAW"])
def test_sample_widths(subtype):
    wave = decode_audio(wav(tone(16000), 16000, subtype=subtype), 16000)
    np.testing.assert_allclose(wave, tone(16000), atol=0.03)


def test_a_videos_sound_track_is_read_by_pyav():
    wave = decode_audio(clip(0, tone=800.0), 16000)
    spectrum = np.abs(np.fft.rfft(wave))
    assert abs(spectrum.argmax() * 16000 / len(wave) - 800) < 10
    assert 0.2 < np.abs(wave).max() < 0.6  # no gain from the down-mix


def test_long_sounds_are_cut_in_the_middle_and_too_long_ones_refused():
    wave = np.concatenate([np.zeros(8000), tone(16000, 1.0), np.zeros(8000)])
    middle = decode_audio(wav(wave, 16000), 16000, seconds=1.0)
    assert len(middle) == 16000
    assert np.abs(middle[:200]).max() > 0.05
    with pytest.raises(MediaError, match="longer than 1 s"):
        decode_audio(wav(wave, 16000), 16000, limits=Limits(seconds=1.0))


def test_odd_sampling_rates_stay_cheap():
    assert abs(len(resample(np.zeros(44101, np.float32), 44101, 16000)) - 16000) < 200


def chunk_that_ends_outside(sound: bytes) -> bytes:
    """Let a WAV file claim 40 bytes and a chunk of 1,000."""
    chunk = b"LIST" + (1000).to_bytes(4, "little")
    return sound[:4] + (40).to_bytes(4, "little") + sound[8:36] + chunk + sound[36:]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"RIFF garbage", "not a sound"),
        (chunk_that_ends_outside(wav(np.zeros(100))), "not a sound"),
        (png(GREY), "not a sound|no sound track|no samples"),
        (wav(np.zeros(0)), "no samples"),
        (clip(0), "no sound track"),
        (wav(np.array([np.nan, 0.1]), subtype="FLOAT"), "not finite"),
    ],
)
def test_what_is_no_sound_has_a_reason(data, reason):
    with pytest.raises(MediaError, match=reason):
        decode_audio(data, 16000)


def test_silence_and_single_samples_are_sound():
    from model.encoders.logmel import picture, trim

    for wave in (np.zeros(4000), np.ones(1) * 0.1):
        decoded = decode_audio(wav(wave, 16000), 16000)
        assert np.isfinite(picture(trim(decoded), 16000, 48)).all()


@pytest.mark.parametrize("announced", [0xFFFFFFFF, 0x7FFFFFFF, 40_000])
def test_a_size_beyond_the_files_end_is_the_files_end(announced):
    whole = wav(np.zeros(8_000, np.float32), 8_000)
    place = whole.index(b"data") + 4
    lying = whole[:place] + struct.pack("<I", announced) + whole[place + 4 :]
    assert decode_audio(lying, 8_000).size == 8_000
