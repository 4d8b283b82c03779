"""The learning curve at the end of the demo: what was lived through against random orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from demo.screen import RoundLine


@dataclass(frozen=True)
class Comparison:
    """Held-out accuracies at the same numbers of labels.

    Attributes:
        strategy: name of the strategy that was lived through, once.
        lines: its rounds.
        random: one list of accuracies per random order.
    """

    strategy: str
    lines: Sequence[RoundLine]
    random: Sequence[Sequence[float]]

    @property
    def random_means(self) -> list[float]:
        """Mean over the random orders, per number of labels."""
        return [sum(column) / len(column) for column in zip(*self.random, strict=True)]

    def verdict(self) -> str:
        """Say how many labels the order saved, and how sure one run makes us: not very."""
        ours = [line.accuracy for line in self.lines]
        most, ends = self.lines[-1].labels, [order[-1] for order in self.random]
        mean = sum(ends) / len(ends)
        said = (
            f"With {most} labels {self.strategy} reaches {ours[-1]:.3f}; random order {mean:.3f} "
            f"on average of {len(ends)} ({min(ends):.3f} to {max(ends):.3f}). "
        )
        need = self._needed(mean)
        if need is None:
            said += f"{self.strategy} does not reach that mean: no labels saved. "
        else:
            few, many = (self._needed(end) for end in (min(ends), max(ends)))
            fewest = "none" if many is None else f"{most - many:.0f}"
            said += (
                f"{self.strategy} needed {need:.0f} labels for that mean: {most - need:.0f} of "
                f"{most} saved ({fewest} to {most - (few or 0):.0f} beside the best and the worst "
                "random order). "
            )
        return said + "One run on a small data set: an illustration, not a benchmark."

    def _needed(self, goal: float) -> float | None:
        """Return the labels with which the lived curve first reaches a goal, between points a line.

        None where it never does; the first number of labels where it began there.
        """
        before: RoundLine | None = None
        for line in self.lines:
            if line.accuracy >= goal:
                if before is None:
                    return float(line.labels)
                share = (goal - before.accuracy) / (line.accuracy - before.accuracy)
                return before.labels + share * (line.labels - before.labels)
            before = line
        return None


def plot(comparison: Comparison, path: Path) -> None:
    """Write the learning curve as a PNG."""
    labels = [line.labels for line in comparison.lines]
    figure, axes = plt.subplots(figsize=(8, 5), dpi=120)
    lowest = [min(column) for column in zip(*comparison.random, strict=True)]
    highest = [max(column) for column in zip(*comparison.random, strict=True)]
    axes.fill_between(labels, lowest, highest, color="#999999", alpha=0.25, linewidth=0)
    orders = f"random order (mean and range of {len(comparison.random)})"
    axes.plot(labels, comparison.random_means, "o--", color="#666666", label=orders)
    ours = [line.accuracy for line in comparison.lines]
    axes.plot(labels, ours, "o-", color="#0072B2", linewidth=2.5, label=comparison.strategy)
    for name, color in zip(comparison.lines[0].alone, ("#D55E00", "#009E73"), strict=True):
        alone = [line.alone[name] for line in comparison.lines]
        axes.plot(labels, alone, ".-", color=color, label=f"{comparison.strategy}, {name} alone")
    axes.set(xlabel="labels", ylabel="accuracy on held-out digits", xticks=labels)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    axes.set_title("Equipoise demo: what to label next", loc="left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
