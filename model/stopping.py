"""Is it time to stop labelling? Hints from how much successive models' predictions change.

In the manner of stabilising predictions (Bloodgood & Vijay-Shanker, CoNLL 2009): successive models
are compared on the same unlabelled tasks. If they agree, more labels change little: the accuracy
on these tasks cannot move by more than the share of predictions that changed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from strategies.pool import TargetKind

WINDOW = 2


@dataclass(frozen=True)
class Calibration:
    """What our replays say about the hint; written with docs/evidence.md, never by hand.

    Attributes:
        agreement: mean agreement from which the curve counts as flat.
        share: share of the changed predictions that became an improvement.
        given: hints given on data sets that had no say in the threshold.
        wrong: of these, hints after which the curve still rose.
    """

    agreement: float
    share: float
    given: int
    wrong: int

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """Read what `write` wrote."""
        return cls(**json.loads(path.read_text()))

    def write(self, path: Path) -> None:
        """Write it for the next start."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


CALIBRATION_FILE = Path(__file__).with_name("stopping.json")
CALIBRATION = Calibration.read(CALIBRATION_FILE)
AGREEMENT, YIELD = CALIBRATION.agreement, CALIBRATION.share


@dataclass(frozen=True)
class Step:
    """How one round's model compares with the one before, on tasks that neither was trained on.

    Attributes:
        labels: number of labels the newer model was trained on.
        agreement: Cohen's kappa of the predictions; for numbers Lin's concordance. 1 is the same.
        changed: share of predictions that changed; for numbers the mean change as a share of the
            range.
    """

    labels: int
    agreement: float
    changed: float


@dataclass(frozen=True)
class Hint:
    """Whether the learning curve has flattened.

    Attributes:
        flattened: whether the last models agree so well that more labels promise little.
        agreement: mean agreement of the last steps.
        most: the next batch can change the accuracy on the pool by about this much at most.
        likely: what it brought in our replays when predictions changed as much.
        text: one or two sentences for people.
    """

    flattened: bool
    agreement: float
    most: float
    likely: float
    text: str


def compare(
    kind: TargetKind, before: npt.NDArray, after: npt.NDArray, spread: float | None = None
) -> tuple[float, float]:
    """Return agreement and share of change of two models' predictions on the same tasks.

    Args:
        kind: of the target.
        before: (N,) class indices or numbers, or (N, K) 0/1 of several labels.
        after: the same by the newer model.
        spread: for numbers, the length of the label range; None: that of the predictions.
    """
    if before.shape != after.shape or not before.size:
        raise ValueError(f"nothing to compare: {before.shape} and {after.shape} predictions")
    if kind is TargetKind.REGRESSION:
        length = spread or float(np.ptp(np.concatenate([before, after]))) or 1.0
        return _concordance(before, after), float(np.abs(after - before).mean() / length)
    one, other = before.ravel(), after.ravel()
    return _kappa(one, other), float((one != other).mean())


def _kappa(one: npt.NDArray, other: npt.NDArray) -> float:
    """Return Cohen's kappa; 1 where both say one and the same class everywhere."""
    observed = float((one == other).mean())
    expected = sum(float((one == c).mean() * (other == c).mean()) for c in np.unique(one))
    return 1.0 if expected >= 1.0 else (observed - expected) / (1.0 - expected)


def _concordance(one: npt.NDArray, other: npt.NDArray) -> float:
    """Return Lin's concordance correlation coefficient."""
    x, y = one.astype(np.float64), other.astype(np.float64)
    below = float(x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    return 1.0 if below == 0 else 2.0 * float(((x - x.mean()) * (y - y.mean())).mean()) / below


def hint(
    steps: Sequence[Step], *, window: int = WINDOW, threshold: float = AGREEMENT
) -> Hint | None:
    """Read a project's rounds; None while there are fewer than `window` comparisons.

    Args:
        steps: one per round after the first, oldest first.
        window: steps that must agree.
        threshold: mean agreement from which the curve counts as flat.
    """
    if len(steps) < window:
        return None
    last = steps[-window:]
    agreement = float(np.mean([step.agreement for step in last]))
    most = float(np.mean([step.changed for step in last]))
    likely = YIELD * most
    flattened = agreement >= threshold
    found = f"The last {window} models agree with the ones before at {agreement:.2f}"
    change = (
        f"the next batch will likely bring about {100 * likely:.1f} points, "
        f"at most {100 * most:.0f}"
    )
    if flattened:
        text = f"{found} (1 is the same): the curve has flattened; {change}.{_reliability()}"
    else:
        text = f"{found} (flat from {threshold:.2f}): still learning; {change}."
    return Hint(flattened, agreement, most, likely, text)


def _reliability(found: Calibration = CALIBRATION) -> str:
    if not found.given:
        return ""
    return f" In replays {found.wrong} of {found.given} such hints were wrong."
