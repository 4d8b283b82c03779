"""What a look at the pool costs: against a forward pass, per-sample autograd, and in memory.

python -m benchmarks.scoring [--quick] [--json PATH] [--only NAME]
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks._report import Row, arguments, memory_now, peak_memory, run, timed, times_faster
from benchmarks.vectors import (
    cached_media,
    cached_vectors,
    media_schema,
    schema,
    vectors_preset,
)
from model.inputs import Inputs
from model.look import look
from model.model import Model
from model.presets import preset
from model.training import train
from strategies import STRATEGIES

SIZE, LARGE, CLASSES = 5_000, 200_000, 10
METHODS = ("bmmal", "grace")


def trained(folder: Path, size: int, kind: str = "vectors") -> tuple[Model, Inputs]:
    """Train on a few of N cached tasks: three frozen vectors, or a picture and a sound."""
    labels = np.random.default_rng(1).integers(0, CLASSES, 200)
    if kind == "vectors":
        chosen, of = vectors_preset(min_steps=20, epochs=1), schema(CLASSES)
        inputs = cached_vectors(folder, size, 512)
    else:
        chosen, of = preset("quick", min_steps=20, epochs=1), media_schema(CLASSES)
        inputs = cached_media(folder, size)
    return train(inputs.take(range(200)), {"y": labels}, of, chosen, device="cpu"), inputs


def against_forward(quick: bool) -> list[Row]:
    """Compare a look with the probabilities' forward pass over the same cache."""
    rows = []
    for kind, sizes in (("media", "picture and sound"), ("vectors", "3 x D=512")):
        with tempfile.TemporaryDirectory() as folder:
            model, inputs = trained(Path(folder), 500 if quick else SIZE, kind)
            what = f"look / forward pass, {inputs.size:,} tasks, {sizes}"
            rows += [_look_row(model, inputs, method, what) for method in METHODS]
    return rows


def _look_row(model: Model, inputs: Inputs, method: str, what: str) -> Row:
    call = _looker(model, inputs, STRATEGIES[method].needs)
    call()
    model.predict(inputs)
    looks, passes = [], []
    for _ in range(7):  # in turns, so that a busy neighbour slows both
        looks.append(timed(call)[0])
        passes.append(timed(lambda: model.predict(inputs))[0])
    ours, plain = (min(times, key=lambda t: t.cpu) for times in (looks, passes))
    ratio = ours.cpu / plain.cpu
    name = f"{method} {what}"
    note = "required of the ratio by processor time"
    return Row(name, ours.wall * 1e3, plain.wall * 1e3, "ms", ratio, "<= 1.15", note, ratio)


def _looker(model: Model, inputs: Inputs, needs: frozenset) -> Callable[[], object]:
    return lambda: look(model, inputs, needs)


def against_autograd(quick: bool) -> list[Row]:
    """Compare GRACE's factors with one backward pass per sample and loss."""
    with tempfile.TemporaryDirectory() as folder:
        model, inputs = trained(Path(folder), 250 if quick else SIZE)
        needs = STRATEGIES["grace"].needs
        ours, _ = timed(lambda: look(model, inputs, needs), repeats=3)
        some = inputs.take(range(min(200, inputs.size)))
        part, _ = timed(lambda: _per_sample(model, some))
        whole = part.per(some.size)
        whole = type(whole)(whole.wall * inputs.size, whole.cpu * inputs.size)
        what = f"grace look, {inputs.size:,} tasks, against per-sample autograd"
        note = f"autograd measured on {some.size} tasks and scaled up"
        return [times_faster(what, ours, whole, ">= 25", note)]


def _per_sample(model: Model, inputs: Inputs) -> float:
    """Take the gradients of every last layer for every sample and loss, as GRACE's text has it."""
    total, network = 0.0, model.network.eval()
    for index in range(inputs.size):
        batch = inputs.batch(np.array([index]), model.device)
        own, fused = network(batch)
        for column, layer in enumerate(network.last):
            for logits in (own[column], fused):
                loss = torch.nn.functional.cross_entropy(logits, logits.argmax(dim=1))
                (gradient,) = torch.autograd.grad(loss, layer.weight, retain_graph=True)
                total += float(gradient.norm())
    return total


def memory(quick: bool) -> list[Row]:
    """Print the peak memory of ranking a large cached pool; media are never opened."""
    with tempfile.TemporaryDirectory() as folder:
        model, inputs = trained(Path(folder), 5_000 if quick else LARGE)
        files = sum(path.stat().st_size for path in Path(folder).rglob("*.arrow")) / 2**30
        rows = []
        for method in METHODS:
            before = memory_now()
            peak = peak_memory(lambda method=method: _rank(model, inputs, method))
            note = (
                f"resident {before / 2**30:.2f} GiB before, {peak / 2**30:.2f} GiB at the peak, "
                f"of which up to {files:.2f} GiB are pages of the memory-mapped cache; "
                "no media are read, so their size does not matter"
            )
            what = f"peak memory, {method} ranks {inputs.size:,} tasks, 3 x D=512"
            rows.append(Row(what, (peak - before) / 2**30, None, "GiB", note=note))
        return rows


def _rank(model: Model, inputs: Inputs, method: str) -> None:
    strategy = STRATEGIES[method]
    pool = look(model, inputs, strategy.needs)
    strategy(pool, 100, np.random.default_rng(0))


if __name__ == "__main__":
    run(
        {"forward": against_forward, "autograd": against_autograd, "memory": memory},
        arguments(__doc__ or ""),
    )
