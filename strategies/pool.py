"""The two values strategies read and return: a pool of unlabelled tasks, and a selection of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Coalition = frozenset[str]


class TargetKind(StrEnum):
    """What is predicted: one class (softmax), several (sigmoid) or a number (L1)."""

    CLASSIFICATION = "classification"
    MULTILABEL = "multilabel"
    REGRESSION = "regression"


class Need(StrEnum):
    """An array a strategy reads; the model computes only what the chosen strategy needs."""

    PROBABILITIES = "probabilities"
    FEATURES = "features"
    COALITIONS = "coalitions"
    GRADIENTS = "gradients"
    MC_PROBABILITIES = "mc_probabilities"
    LABELLED_FEATURES = "labelled_features"
    HELD_OUT = "held_out"
    LINEAR_HEAD = "linear_head"


@dataclass(frozen=True)
class LayerGradients:
    """Factors of one modality's last-layer gradients (GRACE, section 3.2).

    The gradient of loss L with respect to the shared last layer W_k is the outer product of
    dL/d(pre-activation) and the layer's input, so the factors are all that is kept.

    Attributes:
        inputs: (N, H) input h_k of the last layer; a zero row where the modality is absent.
        unimodal: (N, D) d_k, gradient of the unimodal loss L_k at the pre-activation.
        multimodal: (N, D) d_mk, gradient of the multimodal loss L_m at the pre-activation.
    """

    inputs: FloatArray
    unimodal: FloatArray
    multimodal: FloatArray


@dataclass(frozen=True)
class LinearHead:
    """The multimodal head's last layer (DeepFool).

    Attributes:
        weight: (K, D) with D the width of what it reads: the concatenated features, or the vector
            that the fusion makes of them.
        logits: (N, K) outputs f of that layer.
    """

    weight: FloatArray
    logits: FloatArray


@dataclass(frozen=True)
class HeldOut:
    """Predictions for labelled tasks by models that had not seen their labels (UHerding).

    Attributes:
        probabilities: (L, K) as in the pool, by the members that were trained without the task.
        truth: (L,) class indices, or (L, K) 0 and 1 for multi-label.
    """

    probabilities: FloatArray
    truth: FloatArray | IntArray


@dataclass(frozen=True)
class Further:
    """What a model says of one more question about the same tasks; as in the pool itself.

    Attributes:
        target: kind of the question.
        probabilities: (N, K) or (N, 1).
        mc_probabilities: (T, N, K) or (T, N, 1).
        linear_head: the question's own.
        held_out: predictions for tasks that have a label of this question.
    """

    target: TargetKind
    probabilities: FloatArray | None = None
    mc_probabilities: FloatArray | None = None
    linear_head: LinearHead | None = None
    held_out: HeldOut | None = None


@dataclass(frozen=True)
class Pool:
    """N unlabelled tasks as a model sees them; what was not asked for is None.

    Where several questions are asked of a task, the first one is in the pool itself and `further`
    has the others; features are shared, coalition values are means over the questions and gradients
    are sums.

    Attributes:
        size: N.
        modalities: M names; this order is the column order wherever modalities are columns.
        target: kind of the multimodal target.
        probabilities: (N, K) softmax (classification) or per-class sigmoid (multilabel)
            probabilities; (N, 1) predicted values for regression.
        features: modality -> (N, D_m) features z_m; zero rows where absent.
        present: (N, M) whether the task has the modality; None means all present.
        coalitions: frozenset of modality names -> (N,) V(S), the multimodal probability of the
            pseudo-class when modalities outside S are zero vectors (BMMAL Eq. 10). All 2^M
            subsets. For multilabel: the mean over classes of the probability of the pseudo-label.
        gradients: modality -> LayerGradients (GRACE).
        mc_probabilities: (T, N, K) stochastic passes (dropout on); (T, N, 1) for regression.
        labelled_features: modality -> (L, D_m) features of the labelled tasks (CoreSet, GCNAL).
        fused_features: (N, D) input of the last layer where the fusion makes another vector than
            [z_1 ; ... ; z_M] of the features (`mlp`, `nl_gate`).
        labelled_fused_features: (L, D) the same of the labelled tasks.
        held_out: predictions for labelled tasks by models that had not seen them (UHerding).
        linear_head: the linear multimodal head (DeepFool).
        pretrained: whether features come from pretrained encoders (TypiClust at a cold start).
        round: the project's round number t, from 1 (GRACE Eq. 8, where nothing else is known).
        labelled_count: number of labelled tasks (GRACE's curriculum, `auto`); None: not known.
        further: other questions about the same tasks, none of them with classes if the first is a
            number.
    """

    size: int
    modalities: tuple[str, ...] = ()
    target: TargetKind = TargetKind.CLASSIFICATION
    probabilities: FloatArray | None = None
    features: Mapping[str, FloatArray] | None = None
    present: BoolArray | None = None
    coalitions: Mapping[Coalition, FloatArray] | None = None
    gradients: Mapping[str, LayerGradients] | None = None
    mc_probabilities: FloatArray | None = None
    labelled_features: Mapping[str, FloatArray] | None = None
    fused_features: FloatArray | None = None
    labelled_fused_features: FloatArray | None = None
    held_out: HeldOut | None = None
    linear_head: LinearHead | None = None
    pretrained: bool = False
    round: int = 1
    labelled_count: int | None = None
    further: tuple[Further, ...] = ()


@dataclass(frozen=True)
class Selection:
    """A ranking of a pool. Higher score = label sooner, everywhere.

    Attributes:
        order: candidate indices into the pool, most valuable first; the first n are the batch,
            the rest is every other candidate in decreasing value. Excluded and labelled rows
            are not in it.
        scores: (N,) the strategy's own published score; -inf for rows that are no candidates.
            A batch strategy's order need not be the order of its scores.
        components: name -> (N,) arrays that tell a person why a task is where it is, e.g.
            `contribution:image`, `dominance`, `informativeness`.
        notes: facts on how the selection was computed (method, reference size, standard error).
    """

    order: IntArray
    scores: FloatArray
    components: Mapping[str, FloatArray] = field(default_factory=dict)
    notes: Mapping[str, str | float | int] = field(default_factory=dict)
