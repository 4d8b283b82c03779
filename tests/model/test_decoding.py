"""Whatever is in a video, a sequence or a text, it becomes an array or absent with a reason."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from model.decoding.limits import Limits
from model.decoding.sequences import decode_sequence
from model.decoding.video import decode_frames
from model.encoders.hashing import plain_text
from model.preparation import prepare
from model.presets import preset
from model.sample import MediaError, Reference
from model.schema import Modality, ModalityKind, Schema, Target, TargetKind
from tests.model.conftest import clip, png, reference, wav
from tests.model.test_pictures import GREY
from tests.model.test_sounds import tone

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
        assert [f.index for f in inputs.failures] == [0, 1, 2], "by task, not by modality"
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
