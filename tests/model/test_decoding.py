"""Whatever is in a file, decoding gives an array or a reason, never a crash."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
import soundfile
from PIL import Image

from model.decoding.audio import decode_audio, resample
from model.decoding.images import decode_image, fill_square, fill_window, fit_inside, squeeze
from model.decoding.limits import Limits
from model.decoding.sequences import decode_sequence
from model.decoding.video import decode_frames
from model.encoders.hashing import plain_text
from model.preparation import prepare
from model.presets import preset
from model.sample import MediaError, Reference
from model.schema import Modality, ModalityKind, Schema, Target, TargetKind
from tests.model.conftest import clip, png, reference, wav

NOISE = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
GREY = np.full((20, 30), 90, np.uint8)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


# Images -------------------------------------------------------------------------------------------


def test_every_mode_and_format_becomes_rgb():
    rgb = np.dstack([GREY, GREY, GREY])
    files = {
        "jpeg": encoded(Image.fromarray(rgb), "jpeg"),
        "cmyk": encoded(Image.fromarray(rgb).convert("CMYK"), "jpeg"),
        "palette": encoded(Image.fromarray(rgb).convert("P"), "png"),
        "grey": png(GREY),
        "16 bit": png(GREY.astype(np.uint16) * 257),
        "webp": encoded(Image.fromarray(rgb), "webp", lossless=True),
        "tiff float": encoded(Image.fromarray(GREY.astype(np.float32)), "tiff"),
        "bilevel": encoded(Image.fromarray(rgb).convert("1"), "png"),
    }
    for name, data in files.items():
        image = decode_image(data)
        assert (image.mode, image.size) == ("RGB", (30, 20)), name
        if name != "bilevel":
            assert abs(np.asarray(image).mean() - 90) < 4, name


def test_transparency_is_put_on_white():
    clear = np.zeros((4, 4, 4), np.uint8)
    assert np.asarray(decode_image(png(clear))).min() == 255


def test_an_animation_is_its_first_frame():
    frames = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in (10, 250)]
    data = encoded(frames[0], "gif", save_all=True, append_images=frames[1:])
    assert np.asarray(decode_image(data)).max() < 30


def test_exif_orientation_is_applied():
    image = Image.fromarray(np.dstack([GREY] * 3))
    exif = image.getexif()
    exif[0x0112] = 6
    assert decode_image(encoded(image, "jpeg", exif=exif)).size == (20, 30)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded():
    data = png(np.zeros((2000, 2000), np.uint8))
    with pytest.raises(MediaError, match="2000x2000 pixels"):
        decode_image(data, Limits(pixels=1_000_000))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"not an image", "not an image"),
        (wav(np.zeros(100)), "not an image"),
        (
            png(np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8))[:600],
            "broken image|not an image",
        ),
    ],
)
def test_what_is_no_image_has_a_reason(data, reason):
    with pytest.raises(MediaError, match=reason):
        decode_image(data)


def test_pictures_of_any_aspect_fill_or_fit():
    image = decode_image(
        png(np.dstack([np.tile(np.arange(0, 240, 2, dtype=np.uint8), (4, 1))] * 3))
    )
    assert fit_inside(image, 16).shape == fill_square(image, 16).shape == (3, 16, 16)
    assert fill_window(image, 12, 20).shape == (3, 12, 20)
    assert squeeze(image, 16).shape == (3, 16, 16)
    middle = fill_square(image, 4)
    assert 100 < middle.mean() < 140  # the middle of the ramp, not all of it
    one = decode_image(png(np.zeros((1, 5000), np.uint8)))
    assert fit_inside(one, 16).shape == fill_square(one, 16).shape == (3, 16, 16)
    assert squeeze(one, 16).shape == (3, 16, 16)


def test_a_window_is_scaled_as_pillow_scales_it():
    noise = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    image = decode_image(png(noise))
    middle = image.crop((15, 0, 75, 60))
    for side in (16, 120):
        there = middle.resize((side, side), Image.Resampling.BILINEAR)
        ours = fill_window(image, side, side).transpose(1, 2, 0).astype(int)
        assert np.abs(ours - np.asarray(there)).max() <= 1
    assert fill_window(image, 60, 90).transpose(1, 2, 0).tolist() == noise.tolist()


def test_a_large_jpeg_is_decoded_no_larger_than_needed():
    ramp = np.linspace(0, 250, 800).astype(np.uint8)[None, :, None].repeat(600, 0).repeat(3, 2)
    data = encoded(Image.fromarray(ramp), "jpeg", quality=95)
    small = decode_image(data, side=64)
    assert decode_image(data).size == (800, 600)
    assert small.size == (200, 150)  # an eighth would be less than twice the side
    whole, part = (fit_inside(i, 64).astype(int) for i in (decode_image(data), small))
    assert np.abs(whole - part).max() <= 3
    with pytest.raises(MediaError, match="800x600 pixels"):
        decode_image(data, Limits(pixels=400_000), side=64)


# Sound --------------------------------------------------------------------------------------------


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


# Video --------------------------------------------------------------------------------------------


def test_frames_are_spread_over_the_video():
    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        for index in range(20):
            level = np.full((32, 32, 3), 10 * index, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(level, format="rgb24")))
        container.mux(video.encode())
    levels = [np.asarray(frame).mean() for frame in decode_frames(stream.getvalue(), 4)]
    np.testing.assert_allclose(levels, [0, 60, 130, 190], atol=12)


def test_a_short_video_repeats_frames():
    assert len(decode_frames(clip(100, frames=2), 5)) == 5


def test_a_truncated_video_gives_what_can_be_read_or_a_reason():
    data = clip(100, frames=30, size=96)
    for end in (len(data) // 3, len(data) // 2, len(data) - 40):
        try:
            frames = decode_frames(data[:end], 3)
        except MediaError:
            continue
        assert len(frames) == 3


@pytest.mark.parametrize("data", [b"", b"garbage" * 50, wav(np.zeros(1000))])
def test_what_is_no_video_has_a_reason(data):
    with pytest.raises(MediaError):
        decode_frames(data, 3)


def test_a_video_of_too_many_pixels_or_seconds_is_refused():
    with pytest.raises(MediaError, match="pixels"):
        decode_frames(clip(0), 3, Limits(pixels=100))
    with pytest.raises(MediaError, match="longer"):
        decode_frames(clip(0, frames=30), 3, Limits(seconds=1.0))


# Sequences and text -------------------------------------------------------------------------------


def saved(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def zipped(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def test_sequences_from_npy_npz_json_and_lists():
    steps = np.arange(6, dtype=np.float64).reshape(3, 2)
    for value in (saved(steps), zipped(a=steps), json.dumps(steps.tolist()), steps.tolist()):
        np.testing.assert_array_equal(decode_sequence(value), steps)
    assert decode_sequence([1, 2, 3]).shape == (1, 3)
    assert decode_sequence(saved(np.array([[np.inf, np.nan]]))).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty"),
        (b"\x93NUMPY broken", "not a feature sequence"),
        (saved(np.array([object()]), allow_pickle=True), "Python objects"),
        (saved(np.zeros((2, 2, 2))), "1 or 2 dimensions"),
        (saved(np.zeros((0, 4))), "empty"),
        (saved(np.array(["a"])), "not numbers"),
        (zipped(a=GREY, b=GREY), "exactly one array"),
        (b"PK\x03\x04 broken", "broken .npz"),
        ("[[1, 2], [3]]", "not a feature sequence"),
        ('{"a": 1}', "not a feature sequence"),
        ([["x"]], "not a feature sequence"),
        (b"[" * 100_000, "not a feature sequence"),
        ([10**400], "not a feature sequence"),
    ],
)
def test_what_is_no_sequence_has_a_reason(value, reason):
    with pytest.raises(MediaError, match=reason):
        decode_sequence(value)


def test_a_header_that_announces_terabytes_takes_no_memory():
    honest = saved(np.zeros((2, 2)))
    shape, longer = b"(2, 2), }", b"(999999999, 99999), }"
    lying = honest.replace(shape + b" " * 12, longer)
    assert len(lying) == len(honest)
    assert lying != honest
    with pytest.raises(MediaError, match="announces shape"):
        decode_sequence(lying)


def test_text_keeps_what_looks_like_tags_and_dialogues_are_lines():
    assert plain_text("List<int> & co") == "List<int> & co"
    assert plain_text([{"author": "A", "text": "hi"}, "bye"]) == "A hi\nbye"
    assert len(plain_text("x" * 10**6)) == 20_000
    assert plain_text("half \ud83d of a pair") == "half ? of a pair"
    with pytest.raises(MediaError, match="empty"):
        plain_text("   ")
    with pytest.raises(MediaError, match="UTF-8"):
        plain_text(b"\xff\xfe\x00")


# A round with broken files ------------------------------------------------------------------------


def test_broken_values_are_absent_with_a_reason_and_not_tried_again(cache):
    schema = Schema(
        (Modality("i", ModalityKind.IMAGE, "i"), Modality("s", ModalityKind.AUDIO, "s")),
        (Target("t", TargetKind.CLASSIFICATION, ("a", "b")),),
    )
    calls = {"broken": 0, "away": 0}

    def broken() -> bytes:
        calls["broken"] += 1
        return b"junk"

    def away() -> bytes:
        calls["away"] += 1
        raise OSError("connection refused")

    samples = [
        {"i": Reference("broken", broken), "s": reference("s", wav(tone(8000)))},
        {"i": reference("fine", png(GREY)), "s": Reference("away", away)},
        {"i": "text instead of a file", "s": None},
    ]
    for _ in range(2):
        inputs = prepare(samples, schema, preset("quick").preparation, cache)
        assert inputs.present.tolist() == [[False, True], [True, False], [False, False]]
        found = {(f.index, f.modality): f.reason for f in inputs.failures}
        assert "not an image" in found[0, "i"]
        assert found[1, "s"] == "connection refused"
        assert "expected" in found[2, "i"]
    assert calls == {"broken": 1, "away": 2}  # content stays broken, a network recovers
    assert inputs.take([2, 0]).failures[0].index == 1


def test_a_video_is_loaded_once_for_frames_and_sound(cache):
    loads = []
    data = clip(120, tone=500.0)
    modalities = (
        Modality("v.frames", ModalityKind.VIDEO, "v"),
        Modality("v.sound", ModalityKind.AUDIO, "v"),
    )
    schema = Schema(modalities, (Target("t", TargetKind.CLASSIFICATION, ("a", "b")),))
    sample = {"v": Reference("clip", lambda: loads.append(1) or data)}
    inputs = prepare([sample, sample], schema, preset("quick").preparation, cache)
    assert inputs.present.all()
    assert len(loads) == 1
    silent = prepare(
        [{"v": reference("silent", clip(120))}], schema, preset("quick").preparation, cache
    )
    assert silent.present.tolist() == [[True, False]]
    assert "no sound track" in silent.failures[0].reason


def test_sequences_of_another_width_are_absent(cache):
    schema = Schema(
        (Modality("x", ModalityKind.SEQUENCE, "x"),),
        (Target("t", TargetKind.CLASSIFICATION, ("a", "b")),),
    )
    samples = [{"x": [[1.0, 2.0]]}, {"x": [[1.0, 3.0]]}, {"x": [[1.0, 2.0, 3.0]]}]
    inputs = prepare(samples, schema, preset("quick").preparation, cache)
    assert inputs.present[:, 0].tolist() == [True, True, False]
    assert "has shape (3,); most have (2,)" in inputs.failures[0].reason


# Files that say more, or other, than they hold ------------------------------------------------


@pytest.mark.parametrize("kind", ["F", "I", "I;16"])
def test_deep_pictures_are_not_black(kind):
    from PIL import Image

    top = {"F": 1.0, "I": 65535, "I;16": 65535}[kind]
    ramp = np.linspace(0, top, 64).reshape(8, 8)
    dtype = {"F": np.float32, "I": np.int32, "I;16": np.uint16}[kind]
    file = io.BytesIO()
    Image.fromarray(ramp.astype(dtype)).save(file, "TIFF")
    pixels = np.asarray(decode_image(file.getvalue()))[..., 0]
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_a_drawing_is_refused_in_words():
    for head in (b"", b"\xef\xbb\xbf<?xml version='1.0'?>\n"):
        with pytest.raises(MediaError, match="SVG"):
            decode_image(head + b"<svg xmlns='http://www.w3.org/2000/svg'/>")


@pytest.mark.parametrize("announced", [0xFFFFFFFF, 0x7FFFFFFF, 40_000])
def test_a_size_beyond_the_files_end_is_the_files_end(announced):
    whole = wav(np.zeros(8_000, np.float32), 8_000)
    place = whole.index(b"data") + 4
    lying = whole[:place] + struct.pack("<I", announced) + whole[place + 4 :]
    assert decode_audio(lying, 8_000).size == 8_000
