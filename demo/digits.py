"""The built-in data set: scikit-learn's handwritten digits, each with its keypad tone.

Nothing is downloaded. The image is blurred by noise, turned and partly covered; the tone has
drift, noise and drop-outs. Neither decides on its own, and they fail on different tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_digits

FloatArray = npt.NDArray[np.float64]

PIXELS = 32
SHOWN = 128  # side of the PNG: the same picture, large enough for a person to see
SAMPLE_RATE = 8000
SECONDS = 0.5
ROWS = (697.0, 770.0, 852.0, 941.0)  # Hz, the keypad's two groups of tones (ITU-T Q.23)
COLUMNS = (1209.0, 1336.0, 1477.0)
KEYS = {str(key): divmod(key - 1, 3) for key in range(1, 10)} | {"0": (3, 1)}


@dataclass(frozen=True)
class Digit:
    """One digit, seen and heard. `label` is its class name."""

    image: Path
    audio: Path
    label: str


@dataclass(frozen=True)
class Digits:
    """Digits to be annotated (`train`) and digits that nobody annotates (`held_out`).

    Attributes:
        folder: holds all their files.
    """

    folder: Path
    train: list[Digit]
    held_out: list[Digit]


@dataclass(frozen=True)
class Difficulty:
    """How much is spoilt; the defaults leave each modality alone at about .8.

    Attributes:
        smudged: share of the pictures that are hard to read.
        cover: side of the square that covers a picture, as a share of it: clean, smudged.
        pixel_noise: standard deviation of the noise on pixels in [0, 1]: clean, smudged.
        turn: standard deviation of the rotation, in degrees.
        faulty: share of the sounds that come over a bad line.
        tone_noise: loudness of the white noise against the tones: good line, bad line.
        silence: share of the sound that drops out: good line, bad line.
        mute: chance that a bad line swallows one of the two tones.
        drift: standard deviation of a tone's relative error in frequency.
    """

    smudged: float = 0.3
    cover: tuple[float, float] = (0.2, 0.6)
    pixel_noise: tuple[float, float] = (0.15, 0.45)
    turn: float = 8.0
    faulty: float = 0.3
    tone_noise: tuple[float, float] = (0.6, 3.0)
    silence: tuple[float, float] = (0.3, 0.7)
    mute: float = 0.5
    drift: float = 0.01


def synthesise(
    folder: Path,
    *,
    train: int = 1200,
    held_out: int = 400,
    seed: int = 0,
    difficulty: Difficulty | None = None,
) -> Digits:
    """Write PNG and WAV files into `folder`/digits; the same seed gives the same bytes.

    Args:
        folder: where `digits/` is made.
        train: number of digits to annotate.
        held_out: number of held-out digits; both together at most 1,797.
        seed: decides which digits are drawn and how each is spoilt.
        difficulty: how much is spoilt.
    """
    scans = load_digits()
    if train + held_out > len(scans.target):
        raise ValueError(f"There are only {len(scans.target)} digits; ask for fewer.")
    how = difficulty or Difficulty()
    home = folder / "digits"
    home.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(seed).permutation(len(scans.target))[: train + held_out]
    digits = []
    for number, row in enumerate(order):
        label = str(scans.target[row])
        rng = np.random.default_rng([seed, number])
        digit = Digit(home / f"{number:04d}.png", home / f"{number:04d}.wav", label)
        picture = Image.fromarray(draw(scans.images[row] / 16.0, how, rng))
        picture.resize((SHOWN, SHOWN), Image.Resampling.NEAREST).save(digit.image)
        soundfile.write(digit.audio, dial(label, how, rng), SAMPLE_RATE, subtype="PCM_16")
        digits.append(digit)
    return Digits(home, digits[:train], digits[train:])


def draw(scan: FloatArray, how: Difficulty, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Turn an 8x8 scan with values in [0, 1] into a spoilt (PIXELS, PIXELS) picture."""
    smudged = int(rng.random() < how.smudged)
    picture = ndimage.zoom(scan, PIXELS / scan.shape[0], order=1)
    picture = ndimage.rotate(picture, rng.normal(0, how.turn), reshape=False, order=1)
    side = round(PIXELS * how.cover[smudged])
    top, left = rng.integers(0, PIXELS - side + 1, size=2)
    picture[top : top + side, left : left + side] = 0.5
    picture = picture + rng.normal(0, how.pixel_noise[smudged], picture.shape)
    shades: npt.NDArray[np.uint8] = np.round(picture.clip(0, 1) * 255).astype(np.uint8)
    return shades


def dial(label: str, how: Difficulty, rng: np.random.Generator) -> FloatArray:
    """Return the spoilt keypad tone of a digit, values in [-1, 1], shape (SECONDS * rate,)."""
    faulty = int(rng.random() < how.faulty)
    swallowed = int(rng.integers(2)) if faulty and rng.random() < how.mute else None
    samples = int(SECONDS * SAMPLE_RATE)
    sound = np.zeros(samples)
    row, column = KEYS[label]
    for tone, frequency in enumerate((ROWS[row], COLUMNS[column])):
        start, end = frequency * (1 + rng.normal(0, how.drift, size=2))
        phase = 2 * np.pi * np.cumsum(np.linspace(start, end, samples)) / SAMPLE_RATE
        loudness = 0.0 if tone == swallowed else rng.uniform(0.6, 1.0)
        sound += loudness * np.sin(phase + rng.uniform(0, 2 * np.pi))
    gap = int(samples * how.silence[faulty])
    start_of_gap = int(rng.integers(0, samples - gap + 1))
    sound[start_of_gap : start_of_gap + gap] = 0.0
    sound += rng.normal(0, how.tone_noise[faulty], samples)
    loud: FloatArray = sound / np.abs(sound).max() * 0.9
    return loud
