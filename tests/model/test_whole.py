"""Pictures that are stored as a whole, against torchvision's own Resize and crops."""

from __future__ import annotations

import io
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from model.cache import FeatureCache
from model.decoding.images import squash
from model.encoders import encoder_for
from model.encoders.torchvision_nets import Pictures
from model.encoders.whole import stored, window
from model.look import look
from model.preparation import prepare
from model.presets import PRESETS, preset
from model.sample import Reference
from model.schema import Modality, ModalityKind, Schema, Target, TargetKind
from model.training import train
from strategies.pool import Need

SHAPES = [(40, 40), (40, 61), (61, 40), (33, 60), (90, 47), (40, 200), (200, 40)]


def picture(height: int, width: int) -> Image.Image:
    rng = np.random.default_rng(height * 1000 + width)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def published(image: Image.Image) -> torch.Tensor:
    """Return torchvision's Resize(32) of a picture."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return functional.resize(pixels, 32, antialias=True)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Compare bytes that were rounded in two places."""
    assert found.shape == expected.shape
    assert int((found.int() - expected.int()).abs().max()) <= 1


@pytest.mark.parametrize("shape", SHAPES[:5])
def test_the_middle_is_what_resize_and_center_crop_give(shape):
    image = picture(*shape)
    row = torch.from_numpy(stored(image, 32, 2.0))
    assert row.shape == (3, 32 * 64 + 1)
    found = window(row[None], 32, 25, random=False)[0]
    close(found, functional.center_crop(published(image), [25, 25]))


@pytest.mark.parametrize("shape", SHAPES[:5])
def test_windows_reach_every_place_of_a_picture_equally_often(shape):
    height, width = published(picture(*shape)).shape[1:]
    whole = torch.from_numpy(squash(picture(*shape), height, width))
    row = torch.from_numpy(stored(picture(*shape), 32, 2.0))
    places = {
        bytes(whole[:, top : top + 30, left : left + 30].numpy().tobytes()): (top, left)
        for top in range(whole.shape[1] - 29)
        for left in range(whole.shape[2] - 29)
    }
    torch.manual_seed(0)
    draws = 60 * len(places)
    seen = [places[one.numpy().tobytes()] for one in window(row.expand(draws, 3, -1), 32, 30, True)]
    counts = np.unique(seen, axis=0, return_counts=True)[1]
    assert len(counts) == len(places)
    assert ((counts - 60) ** 2 / 60).sum() < len(places) + 5 * np.sqrt(2 * len(places))


@pytest.mark.parametrize("shape", SHAPES[5:])
def test_of_a_panorama_the_middle_is_kept(shape):
    image = picture(*shape)
    row = torch.from_numpy(stored(image, 32, 2.0))
    assert row[:, -1].tolist() == [0, 64, int(shape[0] > shape[1])]
    middle = image.crop((60, 0, 140, 40)) if shape[1] > shape[0] else image.crop((0, 60, 40, 140))
    pixels = row[:, :-1].view(3, *((64, 32) if shape[0] > shape[1] else (32, 64)))
    close(pixels, published(middle))


def test_pictures_of_every_shape_train_together(tmp_path):
    files = []
    for shape in [*SHAPES, None]:
        stream = io.BytesIO()
        if shape:
            picture(*shape).save(stream, "png")
        files.append(stream.getvalue())
    samples = [
        {"image": Reference(str(n), partial(bytes, data)) if data else None, "text": f"word {n}"}
        for n, data in enumerate(files)
    ]
    schema = Schema(
        (
            Modality("text", ModalityKind.TEXT, "text"),
            Modality("image", ModalityKind.IMAGE, "image"),
        ),
        (Target("dish", TargetKind.CLASSIFICATION, ("a", "b")),),
    )
    chosen = preset(
        *("paper-food101",),
        encoders={"image": "resnet18:scratch", "text": "hashing"},
        resize=32,
        crop=28,
        epochs=1,
    )
    inputs = prepare(samples, schema, chosen.preparation, FeatureCache(tmp_path))
    assert not inputs.failures
    assert inputs.columns[1].shape == (3, 32 * 64 + 1)
    assert inputs.present[:, 1].sum() == len(SHAPES)
    model = train(inputs, {"dish": np.arange(len(files)) % 2}, schema, chosen, device="cpu")
    pool = look(model, inputs, frozenset({Need.FEATURES}))
    assert not pool.features["image"][-1].any()
    assert np.isfinite(pool.features["image"]).all()


def test_only_networks_that_are_trained_store_whole_pictures(tmp_path):
    from safetensors.torch import save_file
    from torchvision.models import resnet18

    save_file(resnet18(weights=None).state_dict(), tmp_path / "net.safetensors")
    modality = Modality("image", ModalityKind.IMAGE, "image")
    shapes = {}
    for mode in ("frozen", "finetune"):
        chosen = preset("paper-food101", encoders={"image": f"resnet18:{tmp_path}/net.safetensors"})
        encoder = encoder_for(modality, chosen.changed(mode=mode).preparation)
        stream = io.BytesIO()
        picture(40, 60).save(stream, "png")
        shapes[mode] = encoder.decode(stream.getvalue()).shape
    assert shapes == {"frozen": (3, 256, 256), "finetune": (3, 256 * 512 + 1)}
    assert isinstance(encoder.build(shapes["finetune"]), Pictures)
    assert PRESETS["paper-food101"].preparation.widest == 2
    assert PRESETS["quick"].preparation.widest == 1
    with pytest.raises(ValueError, match="1 is the middle square"):
        preset("quick", widest=0.5)
