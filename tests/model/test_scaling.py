# ruff: noqa: F401 - fixtures are imported
"""How vectors of views are scaled: on the pool, whatever is labelled."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.encoders.scaling import Scaled, ScaledView
from model.encoders.views import View
from model.look import look
from model.training import train
from model.untrained import look_untrained
from strategies.pool import Need
from tests.model.views import AUTO, CLASSIFY, VIEWS, _encoder, learnt, project, schema_of


def test_dense_views_are_standardised_on_the_pool_and_outliers_cut() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 8)) * np.geomspace(1e-3, 1e3, 8) + 5000
    values[:, 3] = 7.0
    values[0, 5] = 1e9
    view = ScaledView(View("v", 8))
    view.fit(values.astype(np.float32))
    flat = view.flat(torch.from_numpy(values.astype(np.float32)))
    assert flat[:, 3].eq(0).all(), "a constant says nothing"
    assert flat.abs().max() <= 5
    usual = flat[1:, [1, 2, 4, 5, 6, 7]]
    assert usual.std(dim=0).sub(1).abs().max() < 0.15, usual.std(dim=0)
    reduced = view(torch.from_numpy(values.astype(np.float32)))
    assert float(reduced.square().sum(dim=1).mean()) == pytest.approx(1.0, abs=1e-3)
    assert reduced.mean(dim=0).abs().max() < 1e-3


def test_counts_are_weighted_by_how_rare_they_are() -> None:
    """Smooth idf, log (1 + N) / (1 + found) + 1, on log (1 + count), then unit length."""
    values = np.array([[3, 0, 1], [1, 0, 0], [2, 5, 0], [7, 0, 0]], np.float32)
    view = ScaledView(View("v", 3, "counts"))
    view.fit(values)
    rare = np.log(np.array([5 / 5, 5 / 2, 5 / 2])) + 1
    wanted = np.log1p(values) * rare
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(view.flat(torch.from_numpy(values)).numpy(), wanted, rtol=1e-5)


def test_a_thousand_values_around_5000_stay_distinct() -> None:
    values = (5000 + np.arange(1000) / 1000)[:, None].astype(np.float32)
    view = ScaledView(View("v", 1))
    view.fit(values)
    assert len(np.unique(view(torch.from_numpy(values)).numpy())) >= 900


def test_counts_are_reduced_and_rare_ones_weigh_more() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.geomspace(3, 0.01, 400), (300, 400)).astype(np.float32)
    view = ScaledView(View("v", 400, "counts"))
    view.fit(counts)
    reduced = view(torch.from_numpy(counts))
    assert reduced.shape == (300, 200)
    assert float(reduced.square().sum(dim=1).mean()) == pytest.approx(1.0, abs=1e-3)
    assert view.scale[-1] > view.scale[0]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_pool_of_a_few_tasks_can_be_scaled(size: int) -> None:
    inputs, _ = project(size)
    for column, views in zip(inputs.columns, VIEWS.values(), strict=True):
        scaling = Scaled(views, column.shape[0])
        scaling.fit(column)
        assert scaling(torch.from_numpy(column.gather(slice(None)))).isfinite().all()


def test_each_modality_has_the_same_mean_square_length() -> None:
    model, _, _ = learnt()
    inputs, _ = project(600)
    features = look(model, inputs, frozenset({Need.FEATURES})).features
    assert features is not None
    for name in VIEWS:
        assert np.square(features[name]).sum(axis=1).mean() == pytest.approx(1.0, abs=0.02)


def test_labels_do_not_move_the_scale() -> None:
    inputs, truth = project(600)
    some = [np.arange(40), np.arange(300, 360)]
    buffers = []
    for rows in some:
        model = train(
            inputs.take(rows), {"kind": truth[rows]}, schema_of(CLASSIFY), AUTO, pool=inputs
        )
        buffers.append({k: v for k, v in model.network.state_dict().items() if "encoders" in k})
    assert all(torch.equal(value, buffers[1][name]) for name, value in buffers[0].items())


def test_before_any_label_vectors_are_on_one_scale() -> None:
    inputs, _ = project(200, absent=0.3)
    pool = look_untrained(inputs, schema_of(CLASSIFY), AUTO.preparation)
    assert pool.pretrained
    assert pool.features is not None
    for column, name in enumerate(VIEWS):
        found = np.asarray(pool.features[name])
        assert (found[~inputs.present[:, column]] == 0).all()
        here = found[inputs.present[:, column]]
        assert np.square(here).sum(axis=1).mean() == pytest.approx(1.0, abs=1e-3)
