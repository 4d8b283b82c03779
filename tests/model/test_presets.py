"""Presets: what they hold, that they survive JSON, and that wrong ones are refused."""

from __future__ import annotations

import dataclasses
import json

import pytest

from model.encoders import ENCODERS
from model.options import Preparation
from model.presets import PRESETS, Preset, preset
from model.schema import Modality, ModalityKind


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json_and_name_encoders_that_exist(name):
    chosen = PRESETS[name]
    again = type(chosen).from_json(json.loads(json.dumps(chosen.to_json())))
    assert dataclasses.asdict(again) == dataclasses.asdict(chosen)
    for kind in ModalityKind:
        assert (
            chosen.preparation.encoder(Modality("x", kind, "x")).partition(":")[0] in ENCODERS[kind]
        )


def test_paper_hyper_parameters():
    chosen = (PRESETS[f"paper-{name}"] for name in ("food101", "kineticssound", "vggsound", "sims"))
    (food, kinetics, vgg, sims), sound = zip(
        *((c.training, c.preparation) for c in chosen), strict=True
    )
    assert (food.epochs, food.milestones, food.optimizer, food.weight_decay) == (
        *(15, (10,), "adamw", 0.01),
    )
    assert (food.lr, food.encoder_lr["text"], food.encoder_lr["image"]) == (1e-3, 1e-5, 1e-4)
    assert (kinetics.epochs, kinetics.milestones, kinetics.warmup) == (45, (20, 30, 40), 10)
    assert (kinetics.betas, kinetics.weight_decay) == ((0.95, 0.999), 1e-4)
    assert (kinetics.encoder_lr["video"], vgg.encoder_lr["video"]) == (2e-3, 1e-3)
    assert (sound[2].audio_mean, sound[2].audio_deviation) == (-3.0093, 2.7911)
    assert (sims.epochs, sims.lr, sims.batch_size) == (5, 5e-4, 32)
    assert PRESETS["paper-sims"].network.bounded
    weights = [sims.loss_weights[k] for k in ("text", "audio", "video", "multimodal")]
    assert weights == [0.2, 0.8, 0.4, 1.0]


def test_unknown_presets_and_options_name_the_choices():
    with pytest.raises(ValueError, match="paper-sims"):
        preset("fast")
    with pytest.raises(ValueError, match="batch_size"):
        preset("quick", learning_rate=1)


def test_each_consumer_gets_its_own_part_and_names_stay_flat():
    chosen = preset("quick", epochs=3, fusion="sum", image_size=16)
    assert (chosen.training.epochs, chosen.network.fusion) == (3, "sum")
    assert chosen.preparation.image_size == 16
    assert {"epochs", "fusion", "image_size", "name"} <= chosen.to_json().keys()
    again = Preparation.from_json(json.loads(json.dumps(chosen.preparation.to_json())))
    assert again == chosen.preparation


def test_a_checkpoints_preset_with_an_option_that_is_no_more_is_read():
    stored = {**preset("quick", epochs=3).to_json(), "was_once": 1}
    assert Preset.from_json(stored).training.epochs == 3
