"""Whatever is in a picture, decoding gives RGB or a reason, never a crash."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from model.decoding.images import decode_image, fill_square, fill_window, fit_inside, squeeze
from model.decoding.limits import Limits
from model.sample import MediaError
from tests.model.conftest import png, wav

NOISE = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
GREY = np.full((20, 30), 90, np.uint8)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


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


@pytest.mark.parametrize(("side", "seen"), [(0, 1280), (160, 320), (80, 160), (400, 1280)])
def test_a_large_jpeg_is_decoded_to_twice_the_side_or_more(side, seen):
    data = encoded(Image.new("RGB", (1280, 1280), (90, 120, 10)), "jpeg")
    assert decode_image(data, side=side).size == (seen, seen)


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
