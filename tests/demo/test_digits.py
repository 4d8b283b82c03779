"""The built-in data set: the same bytes every time, and hard in the way the demo needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from scipy import signal
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from demo.digits import KEYS, Difficulty, Digit, Digits, dial, synthesise

SPOTLESS = Difficulty(smudged=0, faulty=0, tone_noise=(0, 0), drift=0, silence=(0, 0))


def test_every_key_has_its_own_pair_of_tones() -> None:
    assert sorted(KEYS) == list("0123456789")
    assert len(set(KEYS.values())) == 10
    assert KEYS["1"] == (0, 0)
    assert KEYS["6"] == (1, 2)
    assert KEYS["0"] == (3, 1)  # below the 8, as on a telephone


def test_a_clean_five_sounds_770_and_1336_hertz() -> None:
    sound = dial("5", SPOTLESS, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(sound))
    loudest = np.sort(np.fft.rfftfreq(len(sound), 1 / 8000)[np.argsort(spectrum)[-2:]])
    assert loudest == pytest.approx([770, 1336], abs=2)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    runs = [
        synthesise(tmp_path / name, train=8, held_out=4, seed=seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    contents = [
        [(d.image.read_bytes(), d.audio.read_bytes(), d.label) for d in run.train + run.held_out]
        for run in runs
    ]
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_more_digits_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only 1797 digits"):
        synthesise(tmp_path, train=1500, held_out=300)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return synthesise(tmp_path_factory.mktemp("demo"))


def test_files_are_small_pictures_and_half_a_second_of_sound(digits: Digits) -> None:
    assert (len(digits.train), len(digits.held_out)) == (1200, 400)
    assert not {d.image for d in digits.train} & {d.image for d in digits.held_out}
    with Image.open(digits.train[0].image) as picture:
        assert picture.format == "PNG"
        assert picture.size == (128, 128)
    sound, rate = soundfile.read(digits.train[0].audio)
    assert (rate, sound.shape) == (8000, (4000,))


def test_neither_modality_suffices_and_both_together_do(digits: Digits) -> None:
    def score(columns: slice) -> float:
        train, held_out = _features(digits.train), _features(digits.held_out)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.02, max_iter=500))
        model.fit(train[:, columns], [d.label for d in digits.train])
        return float(model.score(held_out[:, columns], [d.label for d in digits.held_out]))

    image, audio, both = score(slice(0, 256)), score(slice(256, None)), score(slice(None))
    assert 0.75 <= image <= 0.88
    assert 0.68 <= audio <= 0.85
    assert both >= 0.93
    assert both - max(image, audio) >= 0.07


def _features(digits: list[Digit]) -> np.ndarray:
    """Return (N, 256 + 80): pictures at 16x16, and the mean log spectrum of the sounds."""
    rows = []
    for digit in digits:
        with Image.open(digit.image) as picture:
            pixels = np.asarray(picture, float).reshape(16, 8, 16, 8).mean((1, 3)).ravel()
        sound, rate = soundfile.read(digit.audio)
        _, _, power = signal.spectrogram(sound, rate, nperseg=512, noverlap=352)
        rows.append(np.concatenate([pixels / 255, np.log(power + 1e-9)[30:110].mean(1)]))
    return np.array(rows)
