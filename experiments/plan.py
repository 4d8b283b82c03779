"""What a replay runs: contenders, sizes and seeds, written down so that it can be resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.dataset import DataError
from experiments.options import Value, parse
from model.presets import Preset
from strategies import STRATEGIES, Strategy
from strategies.pool import Need, TargetKind

RANDOM = "random"
LIVE = "live"
"""The first labels are chosen as a live project's are (`strategies.cold_start`)."""
FIXED = ("name", "initial", "initial_strategy", "batch", "pool", "preset", "data")
"""What cannot change once a replay has begun."""
UNTRAINED = frozenset({Need.FEATURES, Need.LABELLED_FEATURES})
"""What there is before anything is labelled."""


@dataclass(frozen=True)
class Contender:
    """A strategy with its options, e.g. `grace:pseudo_label=teacher`.

    Attributes:
        text: as it was written; its name everywhere in the report.
        strategy: the registered strategy.
        options: of the strategy, those of the look at the pool included.
    """

    text: str
    strategy: Strategy
    options: Mapping[str, Value]

    @classmethod
    def read(cls, text: str) -> Contender:
        """Read a contender; DataError names the choices."""
        name, options = parse(text)
        if name not in STRATEGIES:
            raise DataError(f"no strategy {name!r}; choose from {', '.join(STRATEGIES)}")
        strategy = STRATEGIES[name]
        try:
            strategy.check_options(options)
        except ValueError as error:
            raise DataError(str(error)) from error
        return cls(text, strategy, options)


@dataclass(frozen=True)
class Plan:
    """One replay.

    Attributes:
        name: of the setting.
        title: one line for people.
        contenders: strategies with options.
        initial: labels of the first round, the same for every contender.
        batch: labels added per round.
        rounds: number of models trained per contender and seed, the initial one included.
        seeds: number of repetitions.
        pool: number of samples that may be labelled, drawn anew per seed; 0 means all.
        preset: every hyper-parameter.
        data: fingerprint of the prepared data.
        initial_strategy: how the first labels are chosen: `live`, or a strategy.
    """

    name: str
    title: str
    contenders: tuple[str, ...]
    initial: int
    batch: int
    rounds: int
    seeds: int
    pool: int
    preset: Preset
    data: str
    initial_strategy: str = RANDOM

    @cached_property
    def labels(self) -> list[int]:
        """Number of labels in each round."""
        return [self.initial + self.batch * number for number in range(self.rounds)]

    @property
    def cells(self) -> int:
        """Number of measurements."""
        return len(self.contenders) * self.seeds * self.rounds

    def check(self, train: int, target: TargetKind) -> None:
        """Raise DataError, saying what to change, if the plan cannot be run."""
        if min(self.initial, self.batch, self.rounds, self.seeds) < 1 or self.rounds < 2:
            raise DataError("initial, batch and seeds must be at least 1, rounds at least 2")
        size = min(self.pool or train, train)
        if self.labels[-1] > size:
            most = (size - self.initial) // self.batch + 1
            raise DataError(
                f"{self.labels[-1]} labels are planned but only {size} samples can be labelled; "
                f"with this initial and batch size at most {most} rounds are possible"
            )
        if len(set(self.contenders)) != len(self.contenders):
            raise DataError(f"a strategy is named twice: {', '.join(self.contenders)}")
        if self.initial_strategy not in first_choices():
            raise DataError(
                f"the first labels cannot be chosen by {self.initial_strategy!r}; "
                f"choose from {', '.join(first_choices())}"
            )
        for text in self.contenders:
            Contender.read(text).strategy.check(target)

    def write(self, folder: Path) -> None:
        """Write the plan, or compare it with the one that the folder was started with.

        Contenders, rounds and seeds may be added to later; everything else must be the same.

        Raises:
            DataError: the folder holds another replay.
        """
        path = folder / "plan.json"
        if path.exists():
            old = Plan.read(folder)
            differing = [
                name for name in FIXED if _plain(getattr(old, name)) != _plain(getattr(self, name))
            ]
            if differing:
                raise DataError(
                    f"{folder} holds a replay with another {', '.join(differing)}; "
                    "choose another --out, or delete it"
                )
        beside = path.with_suffix(".writing")
        values = {**asdict(self), "preset": self.preset.to_json()}
        beside.write_text(json.dumps(values, indent=2))
        os.replace(beside, path)

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """Read the plan of a folder."""
        try:
            values = json.loads((folder / "plan.json").read_text())
        except FileNotFoundError as error:
            raise DataError(f"{folder} holds no replay (plan.json is missing)") from error
        values["contenders"] = tuple(values["contenders"])
        return cls(**{**values, "preset": Preset.from_json(values["preset"])})


def first_choices() -> list[str]:
    """List how the first labels may be chosen: `live`, or a strategy that needs no model."""
    return [LIVE, *(name for name, one in STRATEGIES.items() if one.needs <= UNTRAINED)]


def applicable(target: TargetKind) -> list[str]:
    """List every registered strategy that is defined for a kind of target."""
    return [name for name, strategy in STRATEGIES.items() if target in strategy.targets]


def contenders(text: str, target: TargetKind, options: Sequence[str] = ()) -> tuple[str, ...]:
    """Read a comma-separated list; `all` stands for every applicable strategy.

    Args:
        text: the list.
        target: kind of target.
        options: `name=value` for every contender that has such an option.

    Raises:
        DataError: nothing is listed, or an option that none of them has.
    """
    names: Sequence[str] = [part.strip() for part in text.split(",") if part.strip()]
    listed: list[str] = []
    for name in names:
        for one in applicable(target) if name == "all" else [name]:
            if one not in listed:
                listed.append(one)
    if not listed:
        raise DataError("name at least one strategy, or `all`")
    for option in options:
        listed = _with_option(listed, option)
    return tuple(listed)


def _with_option(listed: Sequence[str], option: str) -> list[str]:
    """Add an option to those contenders that have it."""
    name, equals, _ = option.partition("=")
    if not equals:
        raise DataError(f"{option!r} is no option; write name=value")
    takes = {text for text in listed if name in Contender.read(text).strategy.options}
    if not takes:
        raise DataError(f"none of {', '.join(listed)} has an option {name!r}")
    joined = {text: f"{text}{'+' if ':' in text else ':'}{option}" for text in takes}
    return [joined.get(text, text) for text in listed]


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value.to_json())) if isinstance(value, Preset) else value
