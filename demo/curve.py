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
        """Say who was better over all rounds, and how sure one run makes us: not very."""
        # The first round is the same for all: nothing has chosen yet.
        ours = [line.accuracy for line in self.lines][1:]
        means = self.random_means[1:]
        gap = sum(a - b for a, b in zip(ours, means, strict=True)) / len(ours)
        who = f"{self.strategy} was ahead" if gap > 0 else "random order was ahead or equal"
        return (
            f"With {self.lines[-1].labels} labels {self.strategy} reaches {ours[-1]:.3f}; random "
            f"order {means[-1]:.3f} on average of {len(self.random)} "
            f"({min(o[-1] for o in self.random):.3f} to {max(o[-1] for o in self.random):.3f}). "
            f"Over all rounds {who} by {abs(gap):.3f} on average{self._trust(abs(gap))}. One run "
            "on a small data set: an illustration, not a benchmark."
        )

    def _trust(self, gap: float) -> str:
        if len(self.random) < 2:
            return ""
        of_each = [sum(order[1:]) / len(order[1:]) for order in self.random]
        spread = max(of_each) - min(of_each)
        sure = "more" if gap > spread else "less"
        return f", {sure} than the random orders differ among themselves ({spread:.3f})"


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
