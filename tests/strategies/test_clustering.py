"""DBAL, TypiClust, GCNAL and what they stand on, where the answer is known."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from strategies import STRATEGIES, Pool, cold_start
from strategies import clusters as clusters_module
from strategies import neighbours as neighbours_module
from strategies.clusters import k_means, weighted_k_means
from strategies.factors import Dense
from strategies.gcnal import _nodes, _Propagate, _train, propagation, reduced
from strategies.neighbours import nearest_neighbours
from strategies.ranking import Candidates
from strategies.typiclust import _typicality
from tests.strategies.pools import concatenated, make_pool, squared_distances


def run(name, pool, n=10, seed=0, **keywords):
    return STRATEGIES[name](pool, n, np.random.default_rng(seed), **keywords)


def blobs(sizes, seed=0, spread=0.3):
    """Tasks in well separated groups, far from zero: features, group of each."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    centres = 20 * np.eye(len(sizes), len(sizes) + 2)
    return centres[group] + spread * rng.normal(size=(len(group), len(sizes) + 2)), group


def binary(margin):
    return np.stack([(1 + margin) / 2, (1 - margin) / 2], axis=1)


def test_dbal_takes_the_task_nearest_each_weighted_centre():
    features, group = blobs([30, 20, 10, 40])
    margin = np.random.default_rng(1).uniform(0, 0.9, 100)
    pool = Pool(100, ("a",), probabilities=binary(margin), features={"a": features})
    selection = run("dbal", pool, 4, beta=10)
    kept = np.argsort(margin)[:40]
    expected = []
    for number in range(4):
        members = kept[group[kept] == number]
        weights = 1 - margin[members]
        centre = (weights[:, None] * features[members]).sum(axis=0) / weights.sum()
        expected.append(members[np.argmin(((features[members] - centre) ** 2).sum(axis=1))])
    assert set(selection.order[:4]) == set(expected)
    assert (np.diff(margin[selection.order[:4]]) >= 0).all()
    assert (np.diff(margin[selection.order[4:]]) >= 0).all()
    np.testing.assert_allclose(selection.scores, 1 - margin)


def test_seeds_go_where_the_weight_is():
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32))
    weights = np.zeros(400)
    weights[:6] = 1
    centres = weighted_k_means(features, 6, weights, np.random.default_rng(0))
    found = torch.cdist(centres, features[:6]).min(dim=0).values
    assert float(found.max()) < 1e-3, "six rows of weight, six centres"
    assert len(weighted_k_means(features, 9, weights, np.random.default_rng(0))) == 9


def test_seeding_is_as_good_as_scikit_learns():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 16))
    points = centres[rng.integers(40, size=2000)] + 0.3 * rng.normal(size=(2000, 16))
    ours = [k_means(Dense(points), 40, np.random.default_rng(s)).inertia_ for s in range(5)]
    theirs = [KMeans(40, n_init=1, random_state=s).fit(points).inertia_ for s in range(5)]
    assert np.mean(ours) < 1.1 * np.mean(theirs)


@pytest.mark.parametrize("kept", [False, True])
def test_kmeans_takes_the_task_nearest_each_centre_largest_cluster_first(kept):
    features, group = blobs([30, 20, 10, 40])
    pool = Pool(100, ("a",), features={"a": features})
    labelled = np.flatnonzero(group == 3)[:25] if kept else None
    free = np.ones(100, bool)
    free[labelled if kept else []] = False
    nearest = []
    for number in (0, 1, 3, 2) if kept else (3, 0, 1, 2):
        members = np.flatnonzero((group == number) & free)
        distance = ((features[members] - features[members].mean(axis=0)) ** 2).sum(axis=1)
        nearest.append(members[np.argsort(distance, kind="stable")])
    selection = run("kmeans", pool, 4, labelled=labelled)
    found = selection.order[:8].tolist()
    assert found[:4] == [members[0] for members in nearest]
    assert found[4:] == [members[1] for members in nearest]
    one = selection.components["distance"][found[0]]
    centre = features[(group == group[found[0]]) & free].mean(axis=0)
    assert one == pytest.approx(np.linalg.norm(features[found[0]] - centre), rel=1e-5)
    assert selection.scores[found[0]] == pytest.approx(1 / (1 + one))


def test_kmeans_on_many_rows_samples_candidates_only(monkeypatch):
    monkeypatch.setattr(clusters_module, "SAMPLE", 300)
    features, group = blobs([300, 500, 400])
    away = np.flatnonzero(group == 2)
    selection = run("kmeans", Pool(1200, ("a",), features={"a": features}), 2, labelled=away)
    assert group[selection.order[:2]].tolist() == [1, 0]


def test_dbal_never_leaves_the_prefilter():
    pool = make_pool(200)
    selection = run("dbal", pool, 5, beta=3)
    least = np.argsort(selection.components["margin"], kind="stable")[:15]
    assert set(selection.order[:5]) <= set(least)
    assert selection.notes["prefiltered"] == 15


def test_dbal_with_certain_predictions_weighs_all_alike():
    features, group = blobs([10, 10, 10])
    pool = Pool(30, ("a",), probabilities=np.tile([1.0, 0.0], (30, 1)), features={"a": features})
    assert sorted(group[run("dbal", pool, 3).order[:3]]) == [0, 1, 2]


def most_typical(features, group, number, neighbours=20):
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    members = np.flatnonzero(group == number)
    distances = np.sqrt(squared_distances(unit[members], unit[members]))
    nearest = np.sort(distances, axis=1)[:, 1 : neighbours + 1]
    return members[np.argsort(nearest.mean(axis=1), kind="stable")]


def test_typiclust_takes_the_most_typical_of_each_cluster_largest_first():
    features, group = blobs([12, 30, 20, 40])
    pool = Pool(102, ("a",), features={"a": features})
    selection = run("typiclust", pool, 4)
    by_group = {number: most_typical(features, group, number) for number in range(4)}
    assert selection.order[:4].tolist() == [by_group[number][0] for number in (3, 1, 2, 0)]
    assert selection.order[4:8].tolist() == [by_group[number][1] for number in (3, 1, 2, 0)]
    assert selection.notes["clusters"] == 4


@pytest.mark.parametrize("outside", [False, True])
def test_typiclust_leaves_covered_clusters_for_later(outside):
    features, group = blobs([12, 30, 20, 40])
    largest = np.flatnonzero(group == 3)[:1]
    if outside:
        pool = Pool(
            102, ("a",), features={"a": features}, labelled_features={"a": features[largest]}
        )
        selection = run("typiclust", pool, 3)
    else:
        selection = run(
            "typiclust", Pool(102, ("a",), features={"a": features}), 3, labelled=largest
        )
    assert group[selection.order[:3]].tolist() == [1, 2, 0]


def test_typiclust_puts_small_clusters_last():
    features, group = blobs([3, 30, 20])
    order = run("typiclust", Pool(53, ("a",), features={"a": features}), 3).order
    assert group[order[:4]].tolist() == [1, 2, 1, 2]
    assert group[order[-3:]].tolist() == [0, 0, 0]


def test_typiclust_gives_no_modality_more_say_by_its_scale():
    features, _ = blobs([12, 30, 20, 40])
    noise = np.random.default_rng(3).normal(size=(102, 2))
    one = Pool(102, ("a", "b"), features={"a": features, "b": noise})
    other = Pool(102, ("a", "b"), features={"a": features, "b": 1024 * noise})
    assert run("typiclust", one).order.tolist() == run("typiclust", other).order.tolist()


def test_typiclust_on_many_rows_samples_centres_and_density(monkeypatch):
    monkeypatch.setattr(clusters_module, "SAMPLE", 300)
    monkeypatch.setattr("strategies.typiclust.DENSITY_SAMPLE", 100)
    features, group = blobs([300, 500, 400])
    selection = run("typiclust", Pool(1200, ("a",), features={"a": features}), 3)
    assert group[selection.order[:3]].tolist() == [1, 2, 0]


@pytest.mark.parametrize("pretrained", [False, True])
def test_cold_start_covers_wherever_there_are_vectors(pretrained):
    assert cold_start(make_pool(pretrained=pretrained)).name == "max_herding"
    assert cold_start(make_pool(pretrained=pretrained, features=None)).name == "random"


def unit_cloud(size=600):
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(size, 6)).astype(np.float32))
    return torch.nn.functional.normalize(points, dim=1)


def test_exact_neighbours_are_the_brute_force_ones():
    points = unit_cloud(80)
    found = nearest_neighbours(points, 5, np.random.default_rng(0))
    similar = (points @ points.T).numpy()
    np.fill_diagonal(similar, -2)
    expected = np.argsort(-similar, axis=1, kind="stable")[:, :5]
    assert found.method == "exact"
    assert np.array_equal(found.indices.numpy(), expected)
    np.testing.assert_allclose(
        found.cosines.numpy(), np.take_along_axis(similar, expected, axis=1), atol=1e-6
    )


def test_cells_find_most_of_the_true_neighbours(monkeypatch):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, 32))
    points = centres[rng.integers(60, size=5000)] + 0.5 * rng.normal(size=(5000, 32))
    points = torch.nn.functional.normalize(torch.from_numpy(points.astype(np.float32)), dim=1)
    monkeypatch.setattr(neighbours_module, "CHUNK_ELEMENTS", 1 << 16)
    truth = nearest_neighbours(points, 10, rng).indices
    found = nearest_neighbours(points, 10, rng, exact_limit=100)
    shared = [
        len(set(a) & set(b)) for a, b in zip(truth.tolist(), found.indices.tolist(), strict=True)
    ]
    assert found.method == "cells"
    assert np.mean(shared) / 10 >= 7 / 8


def test_fewer_points_than_neighbours_are_marked():
    found = nearest_neighbours(unit_cloud(3), 5, np.random.default_rng(0))
    assert (found.indices[:, 2:] == -1).all()
    assert (found.cosines[:, 2:] == 0).all()


def dense_propagation(points, k):
    """D^-1 S + I with S the symmetric graph of the k nearest, from its definition."""
    similar = (points @ points.T).double().numpy()
    np.fill_diagonal(similar, -2)
    graph = np.zeros_like(similar)
    for row in range(len(points)):
        for other in np.argsort(-similar[row], kind="stable")[:k]:
            graph[row, other] = max(similar[row, other], 0)
    graph = (graph + graph.T) / 2
    degree = graph.sum(axis=1, keepdims=True)
    return np.divide(graph, degree, out=np.zeros_like(graph), where=degree > 0) + np.eye(len(graph))


def test_propagation_and_its_gradient():
    points = unit_cloud(50)
    graph = propagation(nearest_neighbours(points, 4, np.random.default_rng(0)))
    dense = torch.from_numpy(dense_propagation(points, 4).astype(np.float32))
    np.testing.assert_allclose(graph.forward.to_dense(), dense, atol=1e-6)
    x = torch.randn(50, 3, requires_grad=True)
    weights = torch.randn(50, 3)
    (ours,) = torch.autograd.grad((_Propagate.apply(x, graph) * weights).sum(), [x])
    (theirs,) = torch.autograd.grad(((dense @ x) * weights).sum(), [x])
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_graph_network_is_the_dense_one():
    """Two graph layers, dropout .3, Adam: written out densely, with the same random numbers."""
    points = unit_cloud(60)
    labelled = torch.arange(60) < 9
    graph = propagation(nearest_neighbours(points, 4, np.random.default_rng(0)))
    ours = _train(points, graph, labelled, (16, 20, 1.2), np.random.default_rng(5))

    dense = torch.from_numpy(dense_propagation(points, 4).astype(np.float32))
    random = torch.Generator().manual_seed(int(np.random.default_rng(5).integers(2**31)))

    def start(shape, bound):
        values = torch.empty(shape).uniform_(-bound, bound, generator=random)
        return torch.nn.Parameter(values)

    first, bias = start((6, 16), (6 / 22) ** 0.5), start((16,), 0.0)
    second, offset = start((16, 1), (6 / 17) ** 0.5), start((1,), 0.0)
    adam = torch.optim.Adam([first, bias, second, offset], lr=1e-3, weight_decay=5e-4)
    for _ in range(20):
        hidden = torch.relu(dense @ points @ first + bias)
        kept = (torch.rand(60, 16, generator=random) < 0.7) / 0.7
        score = torch.sigmoid(dense @ (hidden * kept) @ second + offset)[:, 0]
        loss = -score[labelled].log().mean() - 1.2 * (1 - score[~labelled]).log().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    hidden = torch.relu(dense @ points @ first + bias)
    np.testing.assert_allclose(ours.hidden, hidden.detach(), atol=1e-4)
    score = torch.sigmoid(dense @ hidden @ second + offset)[:, 0]
    np.testing.assert_allclose(ours.labelledness, score.detach(), atol=1e-4)


def test_gcnal_is_k_centre_greedy_on_the_hidden_layer():
    pool = make_pool(60)
    nodes, labelled = _nodes(pool, Candidates(np.arange(60), np.empty(0, np.int64), 60))
    rng = np.random.default_rng(0)
    graph = propagation(nearest_neighbours(nodes, 10, rng))
    scored = _train(nodes, graph, labelled, (128, 5, 1.2), rng)
    points = torch.cat([scored.hidden, scored.labelledness[:, None]], dim=1).double().numpy()
    nearest = squared_distances(points[:60], points[60:]).min(axis=1)
    expected = []
    for _ in range(12):
        row = int(np.argmax(np.where(np.isin(np.arange(60), expected), -1, nearest)))
        expected.append(row)
        nearest = np.minimum(nearest, squared_distances(points[:60], points[[row]])[:, 0])
    assert run("gcnal", pool, 12, epochs=5).order[:12].tolist() == expected


def test_reduced_features_keep_their_cosines():
    rng = np.random.default_rng(0)
    deep = rng.normal(size=(200, 8)) @ rng.normal(size=(8, 60))
    points = torch.nn.functional.normalize(torch.from_numpy(deep.astype(np.float32)), dim=1)
    found = reduced(points, 8)
    assert found.shape == (200, 8)
    np.testing.assert_allclose(found @ found.T, points @ points.T, atol=1e-5)
    assert reduced(points, 60) is points
    apart = (reduced(points, 4) @ reduced(points, 4).T - points @ points.T).abs().max()
    assert apart > 0.1


@pytest.mark.parametrize("width", [10, 60])
def test_few_wide_features_keep_their_cosines_as_many_do(width: int) -> None:
    torch.manual_seed(0)
    few = torch.nn.functional.normalize(torch.randn(30, 400), dim=1)
    found, many = reduced(few, width), reduced(few.repeat(20, 1), width)[:30]
    torch.testing.assert_close(found @ found.T, many @ many.T, atol=1e-5, rtol=0)


def test_gcnal_works_on_reduced_features():
    features, group = blobs([30, 30, 30], spread=1.0)
    pool = Pool(90, ("a",), features={"a": np.hstack([features, np.zeros((90, 200))])})
    done = np.flatnonzero(group == 0)[:15]
    wide, narrow = (run("gcnal", pool, 6, labelled=done, width=w) for w in (300, 5))
    # The network begins elsewhere on turned features, so that only what it learns is alike.
    np.testing.assert_allclose(
        narrow.components["labelledness"], wide.components["labelledness"], atol=0.2
    )


def test_gcnal_learns_what_is_labelled():
    features, group = blobs([30, 30, 30], spread=1.0)
    done = np.flatnonzero(group == 0)[:15]
    pool = Pool(90, ("a",), features={"a": features})
    selection = run("gcnal", pool, 6, labelled=done)
    score = selection.components["labelledness"]
    assert score[group == 0].mean() > score[group != 0].mean() + 0.1
    assert set(group[selection.order[:4]]) >= {1, 2}
    assert selection.notes["neighbours"] == "exact"


def test_gcnal_with_nothing_labelled_is_coreset_on_unit_features():
    pool = make_pool(labelled=0, modalities=["image"])
    unit = concatenated(pool) / np.linalg.norm(concatenated(pool), axis=1, keepdims=True)
    same = make_pool(labelled=0, modalities=["image"], features={"image": unit.astype(np.float32)})
    selection = run("gcnal", pool, 10)
    assert selection.order[:10].tolist() == run("coreset", same, 10).order[:10].tolist()
    assert "nothing is labelled" in selection.notes["neighbours"]


def test_typicality_by_hand():
    points = Dense(np.array([[0.0], [1.0], [3.0], [10.0]]))
    clusters = np.array([0, 0, 0, 1])
    rng = np.random.default_rng(0)
    # Mean distances to the nearest two of the cluster: 2, 1.5 and 2.5; to the nearest: 1, 1 and 2.
    assert _typicality(points, clusters, 2, rng) == pytest.approx([1 / 3, 1 / 2.5, 1 / 3.5, 0])
    assert _typicality(points, clusters, 1, rng) == pytest.approx([1 / 2, 1 / 2, 1 / 3, 0])
    assert _typicality(points, clusters, 9, rng) == pytest.approx([1 / 3, 1 / 2.5, 1 / 3.5, 0])


@pytest.mark.parametrize(("size", "count", "fitted"), [(80, 5, 80), (300, 5, 100), (300, 40, 160)])
def test_k_means_of_many_rows_is_that_of_a_sample(size, count, fitted, monkeypatch):
    monkeypatch.setattr(clusters_module, "SAMPLE", 100)
    points = np.random.default_rng(0).normal(size=(size, 3))
    found = k_means(Dense(points), count, np.random.default_rng(1))
    assert len(found.labels_) == fitted
    assert len(np.unique(found.labels_)) == count
