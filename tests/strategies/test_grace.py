"""GRACE's criteria against per-sample autograd, and its curriculum and guards by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from strategies import STRATEGIES, LayerGradients, Pool, TargetKind
from strategies import distance_sums as sums_module
from strategies.criteria import easiness, informativeness, representativeness, rescale
from strategies.distance_sums import estimated_sums, exact_sums
from strategies.grace import curriculum_weight
from strategies.gradients import OuterProducts
from strategies.ranking import Candidates
from tests.strategies.pools import make_pool, materialised, squared_distances

MODALITIES = ("text", "audio", "video")


def everyone(size):
    return Candidates(np.arange(size), np.empty(0, np.int64), size)


def run(pool, n=10, seed=0, name="grace", **options):
    return STRATEGIES[name](pool, n, np.random.default_rng(seed), **options)


class Network(torch.nn.Module):
    """Encoders that end in a linear layer W_k, a head on each, and a fusion network on all."""

    def __init__(self, classes):
        super().__init__()
        self.first = torch.nn.ModuleList([torch.nn.Linear(5, 6) for _ in MODALITIES])
        self.last = torch.nn.ModuleList([torch.nn.Linear(6, 4) for _ in MODALITIES])
        self.heads = torch.nn.ModuleList([torch.nn.Linear(4, classes) for _ in MODALITIES])
        self.fusion = torch.nn.Sequential(
            torch.nn.Linear(12, 8), torch.nn.Tanh(), torch.nn.Linear(8, classes)
        )
        self.double()

    def inputs(self, x):
        return [torch.relu(layer(x[:, k])) for k, layer in enumerate(self.first)]

    def losses(self, outputs):
        """Per-task losses [L_1, ..., L_M, L_m] on own pseudo-labels."""
        answers = [head(torch.relu(z)) for head, z in zip(self.heads, outputs, strict=True)]
        answers.append(self.fusion(torch.cat(outputs, dim=1)))
        return [
            torch.nn.functional.cross_entropy(f, f.argmax(dim=1), reduction="none") for f in answers
        ]


@pytest.fixture(scope="module")
def network_pool():
    """The pool of 30 tasks from one batched backward, and its gradients by per-sample autograd."""
    torch.manual_seed(0)
    network, x = Network(4), torch.randn(30, 3, 5, dtype=torch.float64)
    inputs = network.inputs(x)
    outputs = [layer(h) for layer, h in zip(network.last, inputs, strict=True)]
    *own, joint = network.losses(outputs)
    shared = torch.autograd.grad(joint.sum(), outputs, retain_graph=True)
    layers = {}
    for k, name in enumerate(MODALITIES):
        (single,) = torch.autograd.grad(own[k].sum(), [outputs[k]], retain_graph=True)
        parts = inputs[k], single, shared[k]
        layers[name] = LayerGradients(*(part.detach().numpy() for part in parts))
    gradients = np.empty((30, 3, 2, 24))
    for row in range(30):
        alone = [
            layer(h)
            for layer, h in zip(network.last, network.inputs(x[row : row + 1]), strict=True)
        ]
        losses = network.losses(alone)
        for k in range(3):
            for place, loss in enumerate((losses[k], losses[3])):
                weight = network.last[k].weight
                (gradient,) = torch.autograd.grad(loss.sum(), [weight], retain_graph=True)
                gradients[row, k, place] = gradient.flatten().numpy()
    return Pool(30, MODALITIES, gradients=layers), gradients


def cosines(one, other):
    """(N, M) cosines of full gradients, 0 where one of them is 0."""
    lengths = np.linalg.norm(one, axis=2) * np.linalg.norm(other, axis=2)
    inner = (one * other).sum(axis=2)
    return np.divide(inner, lengths, out=np.zeros_like(inner), where=lengths > 0)


def test_informativeness_is_that_of_autograd(network_pool):
    pool, gradients = network_pool
    expected = np.linalg.norm(gradients.sum(axis=2), axis=2).sum(axis=1)
    np.testing.assert_allclose(informativeness(pool), expected, rtol=1e-6)


def test_easiness_is_that_of_autograd(network_pool):
    pool, gradients = network_pool
    own, shared = gradients[:, :, 0], gradients[:, :, 1]
    expected = cosines(own, shared).sum(axis=1)
    assert (cosines(own, shared) == 0).any(), "a dead unit should show the guard"
    np.testing.assert_allclose(easiness(pool), expected, rtol=1e-6, atol=1e-9)


def test_representativeness_is_that_of_autograd(network_pool):
    pool, gradients = network_pool
    total = gradients.sum(axis=2)
    expected = np.zeros(30)
    for k in range(3):
        expected += np.sqrt(squared_distances(total[:, k], total[:, k])).sum(axis=1)
    found = representativeness(pool, everyone(30), np.random.default_rng(0))
    np.testing.assert_allclose(found.sums, expected, rtol=1e-6)
    assert (found.standard_errors == 0).all()


def test_score_is_equation_7(network_pool):
    pool, gradients = network_pool
    total, own, shared = gradients.sum(axis=2), gradients[:, :, 0], gradients[:, :, 1]

    def scaled(values):
        return (values - values.min()) / (values.max() - values.min())

    s_i = scaled(np.linalg.norm(total, axis=2).sum(axis=1))
    s_r = scaled(
        sum(np.sqrt(squared_distances(total[:, k], total[:, k])).sum(axis=1) for k in range(3))
    )
    s_e = scaled(cosines(own, shared).sum(axis=1))
    for number in (1, 4, 11, 30):
        alpha = max(0, 1 - 0.1 * (number - 1))
        selection = run(replace(pool, round=number))
        np.testing.assert_allclose(selection.scores, alpha * s_e + s_i * s_r, atol=1e-6)
        assert selection.notes["alpha"] == pytest.approx(alpha)
        np.testing.assert_allclose(selection.components["easiness"], s_e, atol=1e-6)
    np.testing.assert_allclose(run(pool, name="grace_ir").scores, s_i * s_r, atol=1e-6)
    np.testing.assert_allclose(run(pool, name="grace_i").scores, s_i, atol=1e-6)
    assert run(pool).order.tolist() == np.argsort(-run(pool).scores, kind="stable").tolist()


def test_alpha_falls_by_a_tenth_a_round_and_stops_at_zero():
    weights = [curriculum_weight(t, 1.0, 0.1) for t in range(1, 14)]
    np.testing.assert_allclose(weights, [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0, 0, 0])
    assert weights[10] == 0
    assert curriculum_weight(3, 2.0, 0.5) == 1.0


def test_late_rounds_are_the_ablation_without_easiness():
    pool = make_pool(round=11)
    np.testing.assert_allclose(run(pool).scores, run(pool, name="grace_ir").scores)


@pytest.mark.parametrize(("labels", "alpha"), [(20, 1.0), (100, 1.0), (220, 0.88), (1100, 0.0)])
def test_the_curriculum_counts_labels_in_the_papers_batches(labels, alpha):
    pool = make_pool(round=9, labelled_count=labels)
    assert run(pool).notes["alpha"] == pytest.approx(alpha)
    coarse = run(replace(pool, labelled_count=2000), alpha_labels=1000)
    assert coarse.notes["alpha"] == pytest.approx(0.9)


def test_absent_modalities_contribute_nothing():
    pool = make_pool(absent=[(3, "text"), (4, "text"), (4, "image")])
    without_text = replace(
        pool, modalities=("image",), present=None, gradients={"image": pool.gradients["image"]}
    )
    one = np.array([3])
    np.testing.assert_allclose(informativeness(pool)[one], informativeness(without_text)[one])
    np.testing.assert_allclose(easiness(pool)[one], easiness(without_text)[one])
    found = representativeness(pool, everyone(40), np.random.default_rng(0)).sums
    layer = pool.gradients["image"]
    points = materialised(layer.unimodal + layer.multimodal, layer.inputs)
    others = [row for row in range(40) if row != 4]
    expected = np.sqrt(squared_distances(points[3:4], points[others])).sum()
    assert found[3] == pytest.approx(expected)
    assert informativeness(pool)[4] == easiness(pool)[4] == found[4] == 0


@pytest.mark.parametrize("zeroed", ["inputs", "unimodal", "multimodal"])
def test_cosine_with_a_zero_gradient_is_zero(zeroed):
    pool = make_pool(modalities=["text"])
    layer = pool.gradients["text"]
    changed = replace(layer, **{zeroed: np.zeros_like(getattr(layer, zeroed))})
    assert (easiness(replace(pool, gradients={"text": changed})) == 0).all()


def test_min_max_of_a_constant_is_zero():
    assert (rescale(np.full(5, 3.0), everyone(5)) == 0).all()
    nearly = 3.0 + 1e-12 * np.arange(5)
    assert (rescale(nearly, everyone(5)) == 0).all()
    np.testing.assert_allclose(rescale(np.array([1.0, 2.0, 3.0]), everyone(3)), [0, 0.5, 1])


def test_min_max_is_over_the_candidates():
    values = np.array([100.0, 1, 2, 3, -100])
    some = Candidates(np.array([1, 2, 3]), np.empty(0, np.int64), 5)
    np.testing.assert_allclose(rescale(values, some)[1:4], [0, 0.5, 1])


def test_a_pool_of_one_has_no_representativeness():
    selection = run(make_pool(1))
    assert selection.components["representativeness"].tolist() == [0]
    assert selection.order.tolist() == [0]


@pytest.mark.parametrize("copies", [2500, 50])
def test_many_exact_duplicates_leave_no_rounding_in_the_score(copies):
    pool = make_pool(2500, dtype=np.float32, copies=copies, modalities=["text"])
    pieces = run(pool).components["representativeness"].reshape(-1, copies)
    np.testing.assert_allclose(pieces, np.tile(pieces[:, :1], copies), atol=1e-4)
    if copies == 2500:
        assert (pieces == 0).all()


def test_regression_is_ranked():
    assert len(run(make_pool(target=TargetKind.REGRESSION)).order) == 40


@pytest.fixture(params=[np.float32, np.float64])
def cloud(request):
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2500, 5)), rng.normal(size=(2500, 8)) ** 2
    return left.astype(request.param), right.astype(request.param)


def direct_sums(left, right):
    points = materialised(left.astype(float), right.astype(float))
    return np.array([np.sqrt(((points - point) ** 2).sum(axis=1)).sum() for point in points])


def test_blocked_sums_are_the_direct_ones(cloud, monkeypatch):
    monkeypatch.setattr(sums_module, "BLOCK", 300)
    found = exact_sums(OuterProducts(*cloud), np.arange(2500))
    np.testing.assert_allclose(found.sums, direct_sums(*cloud), rtol=1e-5)


@pytest.mark.parametrize("spread", [1e-1, 1e-3, 1e-4])
@pytest.mark.parametrize("size", [300, 2500])
def test_sums_of_embeddings_far_from_the_origin(spread, size):
    rng = np.random.default_rng(0)
    left = (1 + spread * rng.normal(size=(size, 4))).astype(np.float32)
    right = (3 + spread * rng.normal(size=(size, 6))).astype(np.float32)
    embeddings = OuterProducts(left, right)
    found = exact_sums(embeddings, np.arange(size)).sums
    np.testing.assert_allclose(found, direct_sums(left, right), rtol=1e-4)
    estimate = estimated_sums(embeddings, np.arange(size), size, np.random.default_rng(0)).sums
    np.testing.assert_allclose(estimate, found, rtol=1e-5)


def test_sums_over_some_rows(cloud):
    left, right = cloud
    rows = np.arange(0, 2500, 7)
    found = exact_sums(OuterProducts(left, right), rows)
    np.testing.assert_allclose(found.sums, direct_sums(left[rows], right[rows]), rtol=1e-5)


def test_the_estimate_is_unbiased_and_its_standard_error_true(cloud):
    left, right = cloud
    rows = np.arange(400)
    embeddings = OuterProducts(left[:400], right[:400])
    truth = exact_sums(embeddings, rows).sums
    drawn = [
        estimated_sums(embeddings, rows, 60, np.random.default_rng(seed)) for seed in range(400)
    ]
    sums = np.array([one.sums for one in drawn])
    errors = np.array([one.standard_errors for one in drawn])
    standard = sums.std(axis=0)
    assert np.abs((sums.mean(axis=0) - truth) / (standard / np.sqrt(400))).max() < 5
    np.testing.assert_allclose(np.sqrt((errors**2).mean(axis=0)), standard, rtol=0.25)


def test_a_reference_set_of_everyone_is_exact(cloud):
    left, right = cloud
    rows = np.arange(300)
    embeddings = OuterProducts(left[:300], right[:300])
    found = estimated_sums(embeddings, rows, 300, np.random.default_rng(0))
    np.testing.assert_allclose(found.sums, exact_sums(embeddings, rows).sums, rtol=1e-6)
    assert (found.standard_errors == 0).all()


def test_above_the_limit_the_selection_says_how_it_estimated():
    pool = make_pool(600)
    exact = run(pool, exact_limit=600)
    estimate = run(pool, exact_limit=599, reference_size=150)
    assert exact.notes["representativeness"] == "exact"
    assert estimate.notes["representativeness"] == "estimated"
    assert estimate.notes["reference_size"] == 150
    assert 0 < estimate.notes["mean_standard_error"] <= estimate.notes["largest_standard_error"]
    assert (estimate.components["representativeness_standard_error"] > 0).all()
    rank = spearmanr(
        exact.components["representativeness"], estimate.components["representativeness"]
    )
    assert rank.statistic > 0.98


def test_where_all_are_alike_the_estimate_has_no_error():
    """Every distance is 0, and so is what the errors are divided by."""
    pool = make_pool(40, present=None)
    gradients = {
        name: LayerGradients(
            *(np.repeat(f[:1], 40, axis=0) for f in (one.inputs, one.unimodal, one.multimodal))
        )
        for name, one in pool.gradients.items()
    }
    found = run(replace(pool, gradients=gradients), exact_limit=30, reference_size=10)
    assert found.notes["representativeness"] == "estimated"
    assert not found.components["representativeness"].any()
    assert found.notes["largest_standard_error"] == 0
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("block", [3, 2048])
@pytest.mark.parametrize("size", [1, 2, 4, 9])
def test_an_estimate_by_hand(size, block, monkeypatch):
    monkeypatch.setattr(sums_module, "BLOCK", block)
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
    found = estimated_sums(OuterProducts(left, right), np.arange(9), size, np.random.default_rng(5))
    chosen = np.random.default_rng(5).choice(9, size=size, replace=False)
    points = materialised(left, right)
    for row in range(9):
        others = [c for c in chosen if c != row]
        apart = np.sqrt(((points[others] - points[row]) ** 2).sum(axis=1))
        count = len(apart)
        if not count:  # the only one of the reference set has nobody to be compared with
            assert (found.sums[row], found.standard_errors[row]) == (0, 0)
            continue
        spread = apart.var(ddof=1) if count > 1 else 0.0
        assert found.sums[row] == pytest.approx(8 * apart.mean())
        error = 8 * np.sqrt(spread / count * (1 - count / 8))
        assert found.standard_errors[row] == pytest.approx(error, abs=1e-7)
