"""Images through Pillow: any mode and depth, first frame of an animation, EXIF turned upright."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from model.decoding.limits import LIMITS, Limits, check_bytes
from model.sample import MediaError

if TYPE_CHECKING:
    from PIL import Image

_DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
_SHEET = 768
"""Pixels across a picture that shows several."""


def decode_image(data: bytes, limits: Limits = LIMITS, *, side: int = 0) -> Image.Image:
    """Return the picture as an upright 8-bit RGB image.

    Args:
        data: the file, of any format that Pillow reads.
        limits: refuse what exceeds these bounds.
        side: the picture will be scaled down to this side; a JPEG file may then be decoded at 1/2,
            1/4 or 1/8 of its size, as long as both of its sides stay twice as long. 0: all of it.

    Note: an animation is represented by its first frame, 16-bit grey is scaled to 8 bits, CMYK is
    converted, and transparency is put on white.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    check_bytes(data, limits)
    if _is_svg(data):
        raise MediaError("an SVG drawing, which is not read: store it as PNG")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data))
            width, height = image.size
            if width * height > limits.pixels:
                raise MediaError(
                    f"the image has {width}x{height} pixels; at most {limits.pixels:,} are decoded"
                )
            if side:
                image.draft(None, (2 * side, 2 * side))
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image)
    except MediaError:
        raise
    except UnidentifiedImageError as error:
        raise MediaError("not an image that Pillow can read") from error
    except Exception as error:  # Pillow's plug-ins raise nearly anything on broken files
        raise MediaError(f"broken image: {error}") from error


def _is_svg(data: bytes) -> bool:
    head = data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return head.startswith(b"<") and b"<svg" in head


def _to_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode in _DEEP_MODES:
        values = np.asarray(image, dtype=np.float64)
        values = np.nan_to_num(values / _white(values, image.mode) * 255.0).clip(0, 255)
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _white(values: npt.NDArray[np.float64], mode: str) -> float:
    """Return which value stands for white: floats lie in [0, 1], or are numbers of 8 or 16 bits."""
    top = float(np.max(values, initial=0.0, where=np.isfinite(values)))
    if mode == "F" and top <= 1.0:
        return 1.0
    if top > 65535.0:
        return top
    return 65535.0 if top > 255 else 255.0


def montage(files: Sequence[bytes], limits: Limits = LIMITS) -> bytes:
    """Return pictures side by side, as the bytes of one picture.

    Note: encoders take one picture per value; this shows them all of a set, the smaller the more
    there are.
    """
    side = _SHEET // _columns(len(files))
    return tiles([decode_image(file, limits, side=side) for file in files])


def tiles(pictures: Sequence[Image.Image]) -> bytes:
    """Return decoded pictures as the bytes of one: a square grid, each in a square of its own."""
    from PIL import Image

    columns = _columns(len(pictures))
    side = _SHEET // columns
    rows = math.ceil(len(pictures) / columns)
    sheet = Image.new("RGB", (side * columns, side * rows), "white")
    for place, picture in enumerate(pictures):
        square = Image.fromarray(fit_inside(picture, side).transpose(1, 2, 0))
        sheet.paste(square, (place % columns * side, place // columns * side))
    buffer = io.BytesIO()
    sheet.save(buffer, "BMP")
    return buffer.getvalue()


def _columns(count: int) -> int:
    return max(1, math.ceil(math.sqrt(count)))


def fit_inside(image: Image.Image, size: int) -> npt.NDArray[np.uint8]:
    """Scale into a square, keeping the aspect, and pad with the border's mean colour.

    Returns:
        (3, size, size) pixels.
    """
    from PIL import Image

    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))
    if width == height == size:
        return pixels.transpose(2, 0, 1)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    square = np.empty((size, size, 3), np.uint8)
    square[:] = edge.mean(axis=0).round().astype(np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square.transpose(2, 0, 1)


def fill_square(image: Image.Image, size: int) -> npt.NDArray[np.uint8]:
    """Scale the shorter side to `size` and cut out the middle: (3, size, size) pixels."""
    return fill_window(image, size, size)


def fill_window(image: Image.Image, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Cut the largest window of that shape out of the middle and scale it: (3, height, width).

    Note: the window is cut before scaling, so that a panorama does not become a huge picture first;
    torch scales bytes faster than Pillow does, to the same values but for rounding.
    """
    scale = max(width / image.width, height / image.height)
    across, down = (max(1, round(side / scale)) for side in (width, height))
    left, top = (image.width - across) // 2, (image.height - down) // 2
    return _scaled(image.crop((left, top, left + across, top + down)), height, width)


def squeeze(image: Image.Image, size: int) -> npt.NDArray[np.uint8]:
    """Scale all of the picture to a square, whatever its shape: (3, size, size) pixels."""
    return squash(image, size, size)


def squash(image: Image.Image, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Scale all of the picture to (3, height, width) pixels, whatever its shape."""
    return _scaled(image, height, width)


def _scaled(image: Image.Image, height: int, width: int) -> npt.NDArray[np.uint8]:
    import torch

    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    scaled = torch.nn.functional.interpolate(
        pixels, (height, width), mode="bilinear", antialias=True
    )
    return scaled[0].contiguous().numpy()
