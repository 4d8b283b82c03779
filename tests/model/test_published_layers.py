"""The `paper-*` networks against independent statements of the published layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from model import optimisation
from model.inputs import Batch
from model.network import Network
from model.options import Preparation
from model.presets import PRESETS, preset
from model.schema import Modality, ModalityKind, Schema, Target
from strategies.pool import TargetKind

WIDTHS = {"sentence": 768, "audio": 25, "video": 177}
STEPS = 9


class Branch(nn.Module):
    """One modality of AV-MC behind its encoder: dropout, two layers with ReLU, a scalar head."""

    def __init__(self, width: int, post: int) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(width, post), nn.Linear(post, post)
        self.three = nn.Linear(post, 1)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.two(torch.relu(self.one(h))))
        return x, self.three(x)


class Sequence(nn.Module):
    """AV-MC's recurrent encoder."""

    def __init__(self, width: int, hidden: int = 16) -> None:
        super().__init__()
        self.liner = nn.Linear(width, hidden)
        self.first = nn.LSTM(hidden, hidden, bidirectional=True)
        self.second = nn.LSTM(2 * hidden, hidden, bidirectional=True)
        self.norm = nn.LayerNorm(2 * hidden)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(self.liner(x), lengths, True, enforce_sorted=False)
        out, (one, _) = self.first(packed)
        padded = self.norm(pad_packed_sequence(out)[0].permute(1, 0, 2))
        packed = pack_padded_sequence(padded, lengths, True, enforce_sorted=False)
        two = self.second(packed)[1][0]
        return torch.cat((one, two), dim=2).permute(1, 0, 2).reshape(len(x), -1)


class AvMc(nn.Module):
    """AV-MC with the settings `v1` and recurrent encoders, written from its description."""

    def __init__(self) -> None:
        super().__init__()
        self.tliner = nn.Linear(768, 64)
        self.audio, self.video = Sequence(25), Sequence(177)
        self.branches = nn.ModuleList([Branch(64, 32), Branch(64, 32), Branch(64, 64)])
        self.fusion = nn.Sequential(nn.Linear(128, 16), nn.Linear(16, 16), nn.Linear(16, 1))

    def forward(
        self, cls: Tensor, audio: Tensor, video: Tensor, lengths: tuple[Tensor, Tensor]
    ) -> tuple[list[Tensor], Tensor]:
        h = [self.tliner(cls), self.audio(audio, lengths[0]), self.video(video, lengths[1])]
        found = [branch(one) for branch, one in zip(self.branches, h, strict=True)]
        joined = self.fusion(torch.cat([x for x, _ in found], dim=1))
        return [y for _, y in found], torch.sigmoid(joined) * 2 - 1


def schema() -> Schema:
    modalities = tuple(Modality(n, ModalityKind.SEQUENCE, n) for n in WIDTHS)
    own = [Target(f"y_{n}", TargetKind.REGRESSION, (), -1.0, 1.0, n) for n in WIDTHS]
    whole = Target("y", TargetKind.REGRESSION, (), -1.0, 1.0)
    return Schema(modalities, (whole, *own))


def ours() -> Network:
    chosen = preset("paper-sims", roles={"sentence": "text"}, encoders={"sentence": "mean"})
    shapes = {"sentence": (768,), "audio": (STEPS, 26), "video": (STEPS, 178)}
    return Network(schema(), chosen.preparation, chosen.network, shapes)


def copied(network: Network, published: AvMc) -> None:
    """Give the published layers our weights."""
    posts = list(network.posts)
    published.tliner.load_state_dict(posts[0][0].state_dict())
    for column, name in enumerate(("audio", "video"), start=1):
        theirs, encoder = getattr(published, name), network.encoders[column]
        theirs.liner.load_state_dict(encoder.project.state_dict())
        for part in ("first", "second", "norm"):
            getattr(theirs, part).load_state_dict(getattr(encoder, part).state_dict())
    assert network.last is not None
    for column, branch in enumerate(published.branches):
        hidden = [part for part in posts[column] if isinstance(part, nn.Linear)][-1]
        branch.one.load_state_dict(hidden.state_dict())
        if column:  # the same four final states, which we join layer by layer
            states = hidden.weight.detach().unflatten(1, (4, -1))[:, [0, 2, 1, 3]]
            branch.one.weight.data.copy_(states.flatten(1))
        branch.two.load_state_dict(network.last[column].state_dict())
        branch.three.load_state_dict(network.heads[column].state_dict())
    layers = [part for part in network.fused.layers if isinstance(part, nn.Linear)]
    for theirs, layer in zip(published.fusion, layers, strict=True):
        theirs.load_state_dict(layer.state_dict())


def test_paper_sims_gives_what_av_mc_gives_for_equal_weights() -> None:
    torch.manual_seed(0)
    network, published = ours().eval(), AvMc().eval()
    copied(network, published)
    cls, audio, video = (torch.randn(7, *shape) for shape in ((768,), (STEPS, 25), (STEPS, 177)))
    lengths = [torch.randint(1, STEPS + 1, (7,)) for _ in range(2)]
    real = [(torch.arange(STEPS) < length[:, None]).float()[..., None] for length in lengths]
    values = [cls, *(torch.cat([x * r, r], 2) for x, r in zip((audio, video), real, strict=True))]
    with torch.no_grad():
        unimodal, fused = network(Batch(tuple(values), torch.ones(7, 3, dtype=torch.bool)))
        expected, whole = published(cls, audio, video, (lengths[0], lengths[1]))
    for one, other in zip([*unimodal, fused], [*expected, whole], strict=True):
        assert one.shape == other.shape == (7, 1)
        assert float((one - other).abs().max()) < 1e-6
    assert float(fused.std()) > 0


def test_paper_sims_counts_av_mc_s_parameters_and_rates() -> None:
    network = ours()
    training = preset("paper-sims", roles={"sentence": "text"}).training
    optimizer = optimisation.optimizer(network, schema(), training)
    assert sum(p.numel() for p in network.parameters()) == sum(
        p.numel() for p in AvMc().parameters()
    )
    groups = {
        (group["lr"], group["weight_decay"]): sum(p.numel() for p in group["params"])
        for group in optimizer.param_groups
        if group["params"]
    }
    audio, video = (
        sum(p.numel() for p in Sequence(WIDTHS[n]).parameters()) for n in ("audio", "video")
    )
    whole = sum(p.numel() for p in network.parameters())
    assert groups == {(5e-4, 0.0): audio, (1e-3, 0.0): video, (5e-4, 5e-4): whole - audio - video}


def test_dropout_of_the_text_branch_is_behind_its_first_layer() -> None:
    text = [type(part).__name__ for part in ours().posts[0]]
    assert text == ["Linear", "Dropout", "Linear", "ReLU"]


@pytest.mark.parametrize("name", ["paper-food101", "paper-kineticssound", "paper-vggsound"])
def test_encoders_of_bmmal_decay_as_a_whole(name: str) -> None:
    chosen = PRESETS[name].changed(encoders={"sequence": "mlp"}, projection=4)
    modalities = tuple(Modality(n, ModalityKind.SEQUENCE, n) for n in ("one", "two"))
    two = Schema(modalities, (Target("y", TargetKind.CLASSIFICATION, ("a", "b")),))
    network = Network(two, chosen.preparation, chosen.network, {"one": (4,), "two": (5,)})
    groups = optimisation.optimizer(network, two, chosen.training).param_groups
    assert {group["weight_decay"] for group in groups} == {chosen.training.weight_decay}


def test_roles_say_which_widths_rates_and_weights_a_sequence_has() -> None:
    plain = PRESETS["paper-sims"]
    modalities = tuple(Modality(n, ModalityKind.SEQUENCE, n) for n in ("acoustic", "video"))
    assert plain.without_role(modalities) == ["acoustic"]
    played = preset("paper-sims", roles={"acoustic": "audio"})
    assert played.without_role(modalities) == []
    assert played.network.projection["acoustic"] == 32
    assert played.training.loss_weights["acoustic"] == 0.8
    assert played.training.encoder_weight_decay["acoustic"] == 0.0
    assert "acoustic" not in played.preparation.encoders
    assert played.changed(epochs=2).network == played.network
    with pytest.raises(ValueError, match="no role 'smell'; it has"):
        preset("paper-sims", roles={"acoustic": "smell"})
    assert PRESETS["quick"].without_role(modalities) == []


def test_the_first_ten_seconds_of_sound() -> None:
    import io

    import soundfile

    from model.encoders.torchvision_nets import sound_print, stored_sound

    def stored(seconds: float, part: str) -> np.ndarray:
        stream = io.BytesIO()
        ramp = np.linspace(0, 0.9, int(16000 * seconds))
        soundfile.write(stream, ramp, 16000, format="WAV", subtype="PCM_16")
        names = {ModalityKind.AUDIO: "resnet18_1ch"}
        return stored_sound(stream.getvalue(), Preparation(names, audio_part=part))

    long = stored(20, "first")
    assert len(long) == 160_000
    assert (long[0], round(long[-1] / 32767, 2)) == (0, 0.45)
    assert round(stored(20, "middle")[0] / 32767, 3) == 0.225
    short = stored(4, "first")
    assert short[:64_000].any()
    assert not short[64_001:].any()
    assert PRESETS["paper-vggsound"].preparation.audio_part == "first"
    prints = {sound_print(PRESETS[name].preparation) for name in ("quick", "paper-vggsound")}
    assert len(prints) == 2


def test_a_wide_film_is_squashed_not_cut() -> None:
    from PIL import Image

    from model.decoding.images import squash

    wide = np.zeros((40, 200, 3), np.uint8)
    wide[:, :20, 0] = wide[:, -20:, 1] = 255
    seen = squash(Image.fromarray(wide), 128, 171)
    assert seen.shape == (3, 128, 171)
    assert seen[0, :, 0].min() == seen[1, :, -1].min() == 255


def test_the_gate_s_fourth_stage_is_its_own() -> None:
    from torchvision.models.video import r2plus1d_18

    from model.encoders.torchvision_nets import Clips

    names = {ModalityKind.VIDEO: "r2plus1d_18:scratch", ModalityKind.AUDIO: "resnet18_1ch"}
    encoder = Clips(r2plus1d_18(weights=None), Preparation(names))
    tail = encoder.new_tail().eval()
    maps = torch.randn(2, 256, 2, 7, 7)
    assert tail(maps).shape == (2, 512)
    theirs = encoder.fourth.state_dict()
    own = {k: v for k, v in tail.stage.state_dict().items() if v.ndim > 1}
    assert own.keys() <= theirs.keys()
    assert all(not torch.equal(v, theirs[k]) for k, v in own.items())
    count = sum(p.numel() for p in tail.parameters())
    assert count == sum(p.numel() for p in encoder.fourth.parameters()) + 512 * 512 + 512
