"""Video frames through PyAV, streamed: only the frames that are kept are converted."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from model.decoding.images import decode_image
from model.decoding.limits import LIMITS, Limits, check_bytes
from model.sample import MediaError

if TYPE_CHECKING:
    from PIL import Image


def decode_frames(
    data: bytes | Sequence[bytes], count: int, limits: Limits = LIMITS
) -> list[Image.Image]:
    """Return `count` pictures spread evenly over a video file, or over a list of picture files."""
    if isinstance(data, bytes):
        return _of_video(data, count, limits)
    if not data:
        raise MediaError("the video has no frames")
    wanted = np.linspace(0, len(data) - 1, count).round().astype(int)
    return [decode_image(data[place], limits) for place in wanted]


def _of_video(data: bytes, count: int, limits: Limits) -> list[Image.Image]:
    """Return `count` pictures spread evenly over a video; a short video repeats frames.

    Note: streams whose length is not stored are decoded twice, once to count the frames, so that
    memory never holds more than `count` pictures.
    """
    import av

    check_bytes(data, limits)
    try:
        total = _frames_in(data, limits)
        if total == 0:
            raise MediaError("the video has no frames")
        wanted = np.linspace(0, total - 1, count).round().astype(int)
        kept: dict[int, Image.Image] = {}
        chosen = set(wanted.tolist())
        last: Any = None
        with av.open(io.BytesIO(data)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for index, frame in enumerate(container.decode(stream)):
                last = frame
                if index in chosen:
                    kept[index] = frame.to_image()
                if index >= total - 1:
                    break
    except MediaError:
        raise
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise MediaError(f"not a video that can be read: {error}") from error
    if last is None:
        raise MediaError("no frame of the video can be decoded")
    # A header may promise more frames than the stream holds: the nearest earlier one stands in.
    found = np.array(sorted(kept)) if kept else np.array([0])
    if not kept:
        kept[0] = last.to_image()
    return [kept[int(found[max(0, np.searchsorted(found, i, "right") - 1)])] for i in wanted]


def _frames_in(data: bytes, limits: Limits) -> int:
    import av

    with av.open(io.BytesIO(data)) as container:
        if not container.streams.video:
            raise MediaError("the file has no picture track")
        stream = container.streams.video[0]
        if stream.codec_context.width * stream.codec_context.height > limits.pixels:
            raise MediaError(f"video frames have more than {limits.pixels:,} pixels")
        if container.duration and container.duration / 1e6 > limits.seconds:
            raise MediaError(f"the video is longer than {limits.seconds:g} s")
        if stream.frames:
            return int(stream.frames)
        count = 0
        for frame in container.decode(stream):
            count += 1
            if frame.time is not None and frame.time > limits.seconds:
                raise MediaError(f"the video is longer than {limits.seconds:g} s")
        return count
