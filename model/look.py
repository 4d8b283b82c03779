"""Look at a pool: one streaming pass that gives exactly the arrays a strategy needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from model import fusion
from model.arrays import Array, Float32Array
from model.coalitions import mean_coalition_values
from model.gradients import Factors, write_layer_gradients
from model.heads import Answers
from model.inputs import Batch, Inputs
from model.model import Model
from model.needs import check_needs
from model.network import Encoded
from model.presence import zero_absent
from strategies.pool import Coalition, Further, LayerGradients, LinearHead, Need, Pool, TargetKind


@dataclass
class _Arrays:
    """Result arrays by name, allocated when the first batch shows their width."""

    size: int
    found: dict[str, Float32Array] = field(default_factory=dict)

    def slot(self, name: str, rows: slice, shape: tuple[int, ...]) -> Tensor:
        """Return the rows of an array as a CPU tensor to write into."""
        if name not in self.found:
            self.found[name] = np.empty((self.size, *shape), np.float32)
        return torch.from_numpy(self.found[name][rows])

    def put(self, name: str, rows: slice, values: Tensor) -> None:
        self.slot(name, rows, tuple(values.shape[1:])).copy_(values)


def look(
    model: Model,
    inputs: Inputs,
    needs: frozenset[Need],
    *,
    labelled: Inputs | None = None,
    round: int = 1,
    mc_passes: int = 5,
    labelled_count: int | None = None,
    seed: int = 0,
    pseudo_label: str = "polarity",
) -> Pool:
    """Compute what a strategy needs of a pool, in one streaming pass.

    Memory: the arrays that are returned, one batch, and nothing of the media. With N tasks and
    features of width D_m: 4 N (K + sum D_m) bytes for gradient embeddings, 4 N sum (H_m + 2 D_m)
    for GRACE's gradients.

    Args:
        model: a trained model.
        inputs: N prepared tasks.
        needs: the arrays to compute.
        labelled: prepared labelled tasks, where LABELLED_FEATURES is needed.
        round: the project's round number.
        mc_passes: stochastic passes T, where MC_PROBABILITIES is needed.
        labelled_count: number of labelled tasks; None: that of `labelled`, if given.
        seed: of the stochastic passes.
        pseudo_label: GRACE's rule for regression: `polarity`, `mc_mean` or `teacher`.

    Raises:
        ValueError: the network cannot give what is needed; the message says what can be done.
    """
    check_needs(model, needs, labelled, pseudo_label)
    names, questions = model.schema.names, model.schema.questions
    first = questions.index(model.schema.ranking)
    arrays = _Arrays(inputs.size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for rows, batch in model.stream(inputs):
            _look_at(model, batch, rows, needs, arrays, mc_passes, pseudo_label)
    found = arrays.found
    if not inputs.size:
        raise ValueError("the pool is empty: there is nothing to look at")
    held_out = model.held_out if Need.HELD_OUT in needs else {}
    known = _features(model, labelled) if Need.LABELLED_FEATURES in needs else None
    if labelled_count is None and labelled is not None:
        labelled_count = labelled.size
    return Pool(
        size=inputs.size,
        modalities=names,
        target=questions[first].kind,
        probabilities=found.get(f"probabilities:{first}"),
        features=_by_modality(found, "features", names),
        present=model.fitting(inputs).present,
        coalitions=_coalitions_of(found, names),
        gradients=_gradients_of(found, names),
        mc_probabilities=_passes_first(found.get(f"mc:{first}")),
        labelled_features=None if known is None else _by_modality(known, "features", names),
        fused_features=found.get("fused"),
        labelled_fused_features=None if known is None else known.get("fused"),
        held_out=held_out.get(questions[first].name),
        linear_head=_linear_head(model, first, found),
        pretrained=bool(model.metadata.get("pretrained", False)),
        round=round,
        labelled_count=labelled_count,
        further=tuple(
            Further(
                question.kind,
                found[f"probabilities:{place}"],
                _passes_first(found.get(f"mc:{place}")),
                _linear_head(model, place, found),
                held_out.get(question.name),
            )
            for place, question in enumerate(questions)
            if place != first
        ),
    )


def predicted(model: Model, pool: Pool, inputs: Inputs) -> dict[str, Float32Array]:
    """Predict every target of a pool that a model has looked at; as `model.predict(inputs)` does.

    What the look has found already is taken from there: on a large pool that is seconds. Targets
    of one modality, which no strategy reads, are not in it.
    """
    questions = model.schema.questions
    if pool.probabilities is None or len(questions) < len(model.schema.targets):
        return model.predict(inputs)
    rest = iter(pool.further)
    found = {}
    for question in questions:
        of = pool if question == model.schema.ranking else next(rest)
        values = np.asarray(of.probabilities, np.float32)
        found[question.name] = values[:, 0] if question.kind is TargetKind.REGRESSION else values
    return found


def _look_at(
    model: Model,
    batch: Batch,
    rows: slice,
    needs: frozenset[Need],
    arrays: _Arrays,
    mc_passes: int,
    pseudo_label: str,
) -> None:
    network, questions = model.network, model.schema.questions
    with torch.no_grad():
        encoded = network.encode(batch)
        features = network.features(encoded.activations, encoded.present)
        joined = network.joined(encoded, features)
        logits = [network.multimodal_logits(joined, of) for of in network.questions]
        probabilities = [model.activate(q, f) for q, f in zip(questions, logits, strict=True)]
        for place, question in enumerate(questions):
            arrays.put(f"probabilities:{place}", rows, probabilities[place])
            if Need.LINEAR_HEAD in needs and question.kind is not TargetKind.REGRESSION:
                arrays.put(f"logits:{place}", rows, logits[place])
        if Need.FEATURES in needs:
            _put_features(model, encoded, features, rows, arrays)
        if Need.COALITIONS in needs:
            arrays.put("coalitions", rows, mean_coalition_values(model, joined, probabilities))
        if Need.MC_PROBABILITIES in needs:
            passes = list(network.stochastic_passes(encoded, mc_passes))
            for place, question in enumerate(questions):
                drawn = [model.activate(question, answers[place][1]) for answers in passes]
                arrays.put(f"mc:{place}", rows, torch.stack(drawn, 1))
        if Need.GRADIENTS in needs:
            own = [of.unimodal_logits(features) for of in network.questions]
            answers = list(zip(own, logits, strict=True))
            _put_gradients(model, encoded, features, answers, rows, arrays, pseudo_label, mc_passes)


def _put_features(
    model: Model, encoded: Encoded, features: list[Tensor], rows: slice, arrays: _Arrays
) -> None:
    """Store each modality's z_m and, where it is another vector, what the last layer reads."""
    network = model.network
    joined = network.joined(encoded, features)
    published = network.published_features(joined, features, encoded.present)
    for name, z in zip(model.schema.names, published, strict=True):
        arrays.put(f"features:{name}", rows, z)
    if isinstance(network.fused, fusion.Stepwise):
        arrays.put("fused", rows, network.fused.joined(joined, network.lent))


def _put_gradients(
    model: Model,
    encoded: Encoded,
    features: list[Tensor],
    answers: list[Answers],
    rows: slice,
    arrays: _Arrays,
    rule: str,
    passes: int,
) -> None:
    """Store h_k, d_k and d_mk of every modality (GRACE, section 3.2)."""
    names, widths = model.schema.names, model.network.widths
    into = Factors(
        [arrays.slot(f"unimodal:{n}", rows, (w,)) for n, w in zip(names, widths, strict=True)],
        [arrays.slot(f"multimodal:{n}", rows, (w,)) for n, w in zip(names, widths, strict=True)],
    )
    write_layer_gradients(model, encoded, features, answers, into, rule, passes)
    for name, h in zip(names, zero_absent(encoded.inputs, encoded.present), strict=True):
        arrays.put(f"inputs:{name}", rows, h)


@torch.no_grad()
def _features(model: Model, inputs: Inputs | None) -> dict[str, Float32Array]:
    """Return the arrays of `_put_features` for L labelled tasks, which may be none."""
    network = model.network
    arrays = _Arrays(0 if inputs is None else inputs.size)
    if inputs is None or not inputs.size:
        nothing = slice(0, 0)
        for name, width in zip(model.schema.names, network.published_widths, strict=True):
            arrays.slot(f"features:{name}", nothing, (width,))
        if isinstance(network.fused, fusion.Stepwise):
            arrays.slot("fused", nothing, (network.fused.width,))
        return arrays.found
    for rows, batch in model.stream(inputs):
        encoded = network.encode(batch)
        features = network.features(encoded.activations, encoded.present)
        _put_features(model, encoded, features, rows, arrays)
    return arrays.found


def _by_modality(found: dict, kind: str, names: tuple[str, ...]) -> dict | None:
    if f"{kind}:{names[0]}" not in found:
        return None
    return {name: found[f"{kind}:{name}"] for name in names}


def _coalitions_of(found: dict, names: tuple[str, ...]) -> Mapping[Coalition, Array] | None:
    if "coalitions" not in found:
        return None
    values = found["coalitions"]
    return {group: values[:, place] for place, group in enumerate(fusion.subsets(names))}


def _gradients_of(found: dict, names: tuple[str, ...]) -> Mapping[str, LayerGradients] | None:
    if f"inputs:{names[0]}" not in found:
        return None
    return {
        name: LayerGradients(*(found[f"{k}:{name}"] for k in ("inputs", "unimodal", "multimodal")))
        for name in names
    }


def _passes_first(values: Array | None) -> Array | None:
    return None if values is None else values.swapaxes(0, 1)


def _linear_head(model: Model, place: int, found: dict) -> LinearHead | None:
    logits = found.get(f"logits:{place}")
    if logits is None:
        return None
    of = model.network.questions[place]
    weight = of.fused.weight(model.network.lent_to(of))
    return LinearHead(weight.detach().float().cpu().numpy(), logits)
