"""What can be set of a strategy: names, kinds, defaults and what they mean, in one place.

A strategy's own options are the keyword-only arguments of its function, annotated with
`Annotated[kind, "what it means"]`. Options of the look at the pool (how many stochastic passes,
which pseudo-labels) follow from what the strategy needs of it.
"""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from strategies.pool import Need

Device = Annotated[str | None, "where factors are kept and multiplied; none: where the arrays are"]
PseudoLabel = Literal["polarity", "mc_mean", "teacher"]


@dataclass(frozen=True)
class Option:
    """One option of a strategy.

    Attributes:
        default: the paper's value.
        kind: int, float, bool or str.
        meaning: one line.
        choices: the words that a str may be; empty: any.
        optional: whether it may be None.
        of_look: whether `model.look` obeys it rather than the strategy.
    """

    default: Any
    kind: type
    meaning: str
    choices: tuple[str, ...] = ()
    optional: bool = False
    of_look: bool = False

    def check(self, owner: str, name: str, value: Any) -> None:
        """Raise ValueError, naming the option and what it may be, unless the value fits."""
        if value is None and self.optional:
            return
        kinds = (int, float) if self.kind is float else (self.kind,)
        fits = isinstance(value, kinds) and (self.kind is bool or not isinstance(value, bool))
        if fits and self.kind is float:
            fits = math.isfinite(value)
        if fits and self.choices:
            fits = value in self.choices
        if not fits:
            raise ValueError(f"{owner}: option {name!r} must be {self.wanted}, not {value!r}.")

    @property
    def wanted(self) -> str:
        """What the value may be, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
        return words[self.kind] + (" or none" if self.optional else "")


_PASSES = Option(5, int, "stochastic passes T with dropout on", of_look=True)
_OF_LOOK: Mapping[Need, Mapping[str, Option]] = {
    Need.MC_PROBABILITIES: {"mc_passes": _PASSES},
    Need.GRADIENTS: {
        "pseudo_label": Option(
            "polarity",
            str,
            "what GRACE takes for the label of a number",
            choices=typing.get_args(PseudoLabel),
            of_look=True,
        ),
        "mc_passes": _PASSES,
    },
}


def own(function: Callable[..., Any]) -> dict[str, Option]:
    """Read the options of a strategy's function."""
    hints = typing.get_type_hints(function, include_extras=True)
    return {
        parameter.name: _read(hints[parameter.name], parameter.default)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def of_look(needs: frozenset[Need]) -> dict[str, Option]:
    """Return the options of the look that concern these needs."""
    return {name: one for need in sorted(needs) for name, one in _OF_LOOK.get(need, {}).items()}


def _read(hint: Any, default: Any) -> Option:
    kind, meaning = typing.get_args(hint)
    if typing.get_origin(kind) is Literal:
        return Option(default, str, meaning, choices=typing.get_args(kind))
    optional = isinstance(kind, types.UnionType)
    if optional:
        (kind,) = (one for one in typing.get_args(kind) if one is not type(None))
    return Option(default, kind, meaning, optional=optional)
