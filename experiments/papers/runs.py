"""The replays that the papers' tables and figures are drawn from, with the published sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from model.presets import Preset, preset
from model.schema import Modality, ModalityKind

BMMAL_ORDER = "random,entropy,bald,coreset,kmeans,deepfool,gcnal,badge,bmmal"
GRACE_ORDER = "random,coreset,dbal,typiclust,grace_i,grace_ir,grace"
CHERMA_ORDER = "random,entropy,coreset,dbal,badge,bmmal,grace_i,grace_ir,grace"
_LOOK = 1 / 3
"""What looking at a sample costs, in training steps on one: a forward pass of three."""


@dataclass(frozen=True)
class Run:
    """One replay.

    Attributes:
        name: of its folder.
        data: name of the set.
        preset: name of the preset.
        contenders: comma-separated strategies.
        initial: labels of the first round.
        batch: labels added per round.
        rounds: models trained, the first included.
        seeds: repetitions.
        samples: samples of the set to label, and to test on, as published.
        rate: samples a second that one GPU is assumed to train on; not measured.
        options: of the preset.
    """

    name: str
    data: str
    preset: str
    contenders: str
    initial: int
    batch: int
    rounds: int
    seeds: int
    samples: tuple[int, int]
    rate: float
    options: Mapping[str, Any] = field(default_factory=dict)

    def chosen(self, modalities: tuple[Modality, ...] | None = None) -> Preset:
        """Return the preset; for `simsv2+text=features` with its sentences in the text's role."""
        found = preset(self.preset, **self.options)
        if modalities is None or all(modality.name != "sentence" for modality in modalities):
            return found
        return found.played({"sentence": "text"}).changed(encoders={"sentence": "mean"})

    @property
    def labels(self) -> int:
        """Labels of the last round."""
        return self.initial + self.batch * (self.rounds - 1)

    @property
    def hours(self) -> float:
        """GPU hours expected, from the assumed rate."""
        epochs = self.chosen().training.epochs
        count = len(self.contenders.split(","))
        sizes = [self.initial + self.batch * number for number in range(self.rounds)]
        learned = epochs * (sizes[0] + count * sum(sizes[1:]))
        looked = count * (self.rounds * self.samples[1] + (self.rounds - 1) * self.samples[0])
        return self.seeds * (learned + _LOOK * looked) / self.rate / 3600

    def small(self) -> Run:
        """Return a rehearsal that takes seconds: small networks, few labels, one epoch."""
        options = {
            **self.options,
            "encoders": {
                ModalityKind.TEXT: "hashing",
                ModalityKind.IMAGE: "small_cnn",
                ModalityKind.AUDIO: "logmel_cnn",
                ModalityKind.VIDEO: "small_cnn",
            },
            "adapter": {},
            "image_size": 16,
            "epochs": 2,
            "batch_size": 8,
            "sequence_length": 10,
        }
        return replace(self, initial=8, batch=4, rounds=3, seeds=2, options=options)


def told(hours: float) -> str:
    """Return hours for people."""
    return f"{hours:.0f}" if hours >= 10 else f"{hours:.1f}"


_FOOD = Run(
    "food101", "food101", "paper-food101", BMMAL_ORDER, 1000, 1000, 7, 5, (45_719, 15_294), 90.0
)
_KINETICS = Run(
    *("kineticssound", "kineticssound", "paper-kineticssound", BMMAL_ORDER, 1000, 1000, 7, 3),
    (14_739, 2_594),
    300.0,
)
_VGG = Run(
    *("vggsound", "vggsound", "paper-vggsound", BMMAL_ORDER, 2000, 2000, 7, 3),
    (180_911, 14_843),
    300.0,
)
_SIMS = Run("simsv2", "simsv2", "paper-sims", GRACE_ORDER, 100, 100, 8, 3, (2_722, 1_034), 400.0)
RUNS: dict[str, Run] = {
    run.name: run
    for run in (
        _FOOD,
        _KINETICS,
        _VGG,
        replace(_VGG, name="vggsound-25k", initial=5000, batch=5000, rounds=5),
        replace(_VGG, name="vggsound-gate", initial=5000, options={"fusion": "nl_gate"}),
        _SIMS,
        Run(
            *("cherma", "cherma", "paper-cherma", CHERMA_ORDER, 1000, 1000, 5, 3),
            (17_230, 5_744),
            1000.0,
        ),
    )
}
