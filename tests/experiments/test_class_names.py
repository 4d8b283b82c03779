"""What names of classes say of texts, on a few sentences."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.class_names import ahead, both, embedded, likenesses
from model.encoders.packaged import MINILM


@pytest.mark.skipif(MINILM.place() is None, reason="weights of MiniLM are not installed")
def test_a_text_is_most_like_what_it_is_about() -> None:
    texts = ["my cat sleeps", "the train was late", "a kitten plays", "railway station"]
    found = likenesses(embedded(texts), ("cat", "train"))
    assert found.argmax(axis=1).tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-5)


def test_first_labels_are_the_clearest_of_each_class() -> None:
    like = np.array([[3, 0], [1, 0], [2, 0], [0, 1], [0, 5], [9, 0]], np.float32)
    rows = np.array([0, 1, 2, 3, 4])
    chosen = ahead(like)(rows, 4, np.random.default_rng(0))
    assert set(chosen[:2]) == {0, 4}
    assert set(chosen) == {0, 2, 3, 4}
    assert both(np.array([0, 0, 1]), np.array([0, 1, 1])) == (2 / 3, 0.75)
