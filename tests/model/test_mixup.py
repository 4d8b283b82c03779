"""Mixup of single modalities against a restatement of AV-MC's loss, sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from model import mixup
from model.dropout import Dropout
from model.fitting import Fit
from model.model import Model
from model.network import Network
from model.presets import PRESETS, Preset, preset
from model.schema import Modality, ModalityKind, Schema, Target, TargetKind
from model.training import evaluate, train
from tests.model.conftest import inputs_of, vector_schema
from tests.model.test_published_layers import AvMc, copied, ours, schema

WEIGHTS = {"sentence": 0.2, "audio": 0.8, "video": 0.4, "whole": 1.0}
NAMES = ("sentence", "audio", "video")
MIXED = {"audio": 1.0, "video": 1.0}


def fit_of(network: Network, chosen: Preset, about: Schema, values: list, truth: dict) -> Fit:
    """Return a training run over arrays, from the network as it is, without dropout."""
    for part in network.modules():
        if isinstance(part, Dropout):
            part.p = 0.0
    network.dropout = 0.0
    inputs = inputs_of(values)
    shapes = {n: v.shape[1:] for n, v in zip(about.names, values, strict=True)}
    model = Model(about, chosen, network, shapes, {}, {}, {}, torch.device("cpu"))
    rows = np.arange(inputs.size)
    return Fit(model, inputs, truth, rows, rows[:0], 0)


def published(
    theirs: AvMc,
    h: list[Tensor],
    y: dict[str, Tensor],
    share: float,
    partner: list[int],
    mixed: str,
) -> Tensor:
    """Return AV-MC's loss of a batch, one modality mixed ("" for none), one sample at a time."""
    total = torch.zeros(())
    for i, j in enumerate(partner):
        alone, joined = [], []
        for column, name in enumerate(NAMES):
            own = h[column][i]
            if name == mixed:
                own = share * own + (1 - share) * h[column][j]
            x, said = theirs.branches[column](own[None])
            joined.append(x)
            alone.append(said)
        whole = torch.sigmoid(theirs.fusion(torch.cat(joined, 1))) * 2 - 1
        for name, said in zip((*NAMES, "whole"), (*alone, whole), strict=True):
            loss = (said[0, 0] - y[name][i]).abs()
            if mixed and name in (mixed, "whole"):
                loss = share * loss + (1 - share) * (said[0, 0] - y[name][j]).abs()
            total = total + WEIGHTS[name] * loss / len(partner)
    return total


def test_a_step_has_av_mc_s_loss_and_gradient():
    torch.manual_seed(0)
    network, theirs = ours().train(), AvMc()
    copied(network, theirs)
    rng = np.random.default_rng(0)
    steps = [np.ones((7, 9, 1)), np.ones((7, 9, 1))]
    values = [
        rng.normal(size=(7, 768)),
        *(
            np.concatenate([rng.normal(size=(7, 9, d)), s], 2)
            for d, s in ((25, steps[0]), (177, steps[1]))
        ),
    ]
    y = {n: torch.from_numpy(rng.uniform(-1, 1, 7)).float() for n in (*NAMES, "whole")}
    chosen = preset("paper-sims", roles={"sentence": "text"}, mixup=MIXED)
    truth = {"y": y["whole"]} | {f"y_{n}": y[n] for n in NAMES}
    fit = fit_of(network, chosen, schema(), [v.astype(np.float32) for v in values], truth)

    batch = fit.inputs.batch(np.arange(7), torch.device("cpu"))
    torch.manual_seed(1)
    audio, video = mixup.draw(schema(), chosen.training, batch.present)
    assert (audio.column, video.column) == (1, 2)
    assert audio.share != video.share
    encoded = network.encode(batch).outputs
    h = [theirs.tliner(batch.values[0]), *(join(network, k, encoded[k]) for k in (1, 2))]
    expected = published(theirs, h, y, 1.0, [*range(7)], "")
    for blend, name in ((audio, "audio"), (video, "video")):
        expected = expected + published(theirs, h, y, blend.share, blend.partner.tolist(), name)
    torch.manual_seed(1)
    found = fit.loss(np.arange(7))
    assert float((found - expected).abs().detach()) < 1e-6
    found.backward()
    expected.backward()
    mine = network.last[1].weight.grad
    torch.testing.assert_close(mine, theirs.branches[1].two.weight.grad, atol=1e-6, rtol=1e-5)
    assert float(mine.abs().max()) > 0

    network.eval()
    assert (
        float((fit.loss(np.arange(7)) - published(theirs, h, y, 1, [*range(7)], "")).detach().abs())
        < 1e-6
    )


def join(network: Network, column: int, h: Tensor) -> Tensor:
    """Return an encoder's output in the published order of its four states."""
    return h.unflatten(1, (4, -1))[:, [0, 2, 1, 3]].flatten(1)


CLASSES = Target("y", TargetKind.CLASSIFICATION, ("a", "b", "c"))


def test_with_one_label_the_other_modality_s_head_keeps_its_own():
    torch.manual_seed(0)
    about = vector_schema(("one", "two"), CLASSES)
    chosen = preset("quick", projection=8, mixup={"two": 0.5})
    shapes = {"one": (4,), "two": (5,)}
    network = Network(about, chosen.preparation, chosen.network, shapes).train()
    values = [torch.randn(6, 4).numpy(), torch.randn(6, 5).numpy()]
    y = torch.tensor([0, 1, 2, -1, 0, 1])
    fit = fit_of(network, chosen, about, values, {"y": y})
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm1d):
            part.momentum = 0.0
    torch.manual_seed(3)
    (blend,) = mixup.draw(about, chosen.training, torch.ones(6, 2, dtype=torch.bool))
    batch = fit.inputs.batch(np.arange(6), torch.device("cpu"))
    outputs = list(network.encode(batch).outputs)
    mixture = torch.stack(
        [
            blend.share * outputs[1][i] + (1 - blend.share) * outputs[1][j]
            for i, j in enumerate(blend.partner)
        ]
    )
    total = torch.zeros(())
    for two, share in ((outputs[1], 1.0), (mixture, blend.share)):
        ((own, fused),) = network.answered(
            network.continued([outputs[0], two], None, batch.present)
        )
        for logits, said in ((own[0], 1.0), (own[1], share), (fused, share)):
            log = logits.log_softmax(1)
            mine = [-log[i, y[i]] for i in range(6) if y[i] >= 0]
            yours = [-log[i, y[j]] for i, j in enumerate(blend.partner.tolist()) if y[j] >= 0]
            mean = said * sum(mine) / len(mine) + (1 - said) * sum(yours) / len(yours)
            total = total + mean / 3
    torch.manual_seed(3)
    torch.testing.assert_close(fit.loss(np.arange(6)), total)


def test_who_lacks_the_modality_is_mixed_with_nobody():
    about = vector_schema(("one", "two"), CLASSES)
    present = torch.ones(40, 2, dtype=torch.bool)
    present[::3, 1] = False
    training = preset("quick", mixup={"sequence": 1.0}).training
    torch.manual_seed(0)
    one, two = mixup.draw(about, training, present)
    assert sorted(one.partner.tolist()) == list(range(40))
    rows = torch.arange(40)
    assert torch.equal(two.partner[::3], rows[::3])
    assert present[two.partner[present[:, 1]], 1].all()
    assert (two.partner != rows).any()


def test_shares_follow_the_named_beta():
    about = vector_schema(("one", "two"), CLASSES)
    present = torch.ones(2, 2, dtype=torch.bool)
    torch.manual_seed(0)
    for width, deviation in ((1.0, (1 / 12) ** 0.5), (0.2, (1 / 5.6) ** 0.5)):
        training = preset("quick", mixup={"one": width}).training
        shares = [mixup.draw(about, training, present)[0].share for _ in range(2000)]
        assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
        assert np.std(shares) == pytest.approx(deviation, abs=0.02)


@pytest.mark.parametrize("fusion", ["concat", "sum", "mlp", "nl_gate"])
def test_it_trains_with_every_fusion(fusion):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 200)
    values = [rng.normal(0, 0.6, (200, 4)), rng.normal(0, 0.6, (200, 5))]
    values[0][:, 0] += 3.0 * (truth == 0)
    values[1][:, 1] += 3.0 * (truth == 1)
    inputs = inputs_of(values)
    about = vector_schema(("one", "two"), CLASSES)
    given = {"projection": 16, "min_steps": 100, "fusion": fusion}
    plain, mixed = (
        train(inputs, {"y": truth}, about, preset("quick", **given, **more), device="cpu")
        for more in ({}, {"mixup": {"one": 1.0, "two": 1.0}})
    )
    assert evaluate(mixed, inputs, {"y": truth})["accuracy"] > 0.85
    first, second = (model.predict(inputs)["y"] for model in (plain, mixed))
    assert not np.allclose(first, second)


def test_no_preset_mixes_unless_told_to_and_roles_reach_the_option():
    assert all(not chosen.training.mixup for chosen in PRESETS.values())
    chosen = preset("paper-sims", mixup=MIXED, roles={"acoustic": "audio"})
    assert chosen.training.mixup == {**MIXED, "acoustic": 1.0}
    assert Preset.from_json(chosen.to_json()) == chosen
    lone = Modality("acoustic", ModalityKind.SEQUENCE, "a")
    about = Schema((lone,), (Target("y", TargetKind.REGRESSION),))
    assert len(mixup.draw(about, chosen.training, torch.ones(3, 1, dtype=torch.bool))) == 1


@pytest.mark.parametrize("wrong", [{"audio": -1}, {"audio": "much"}, 1.0, "audio"])
def test_a_wrong_value_is_refused_with_a_right_one(wrong):
    with pytest.raises(ValueError, match="name modalities and a in Beta"):
        preset("paper-sims", mixup=wrong)
