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
from model.pseudo_labels import RULES
from strategies import STRATEGIES, Strategy
from strategies.pool import TargetKind

PSEUDO_LABEL = "pseudo_label"
RANDOM = "random"


@dataclass(frozen=True)
class Contender:
    """A strategy with its options, e.g. `grace:pseudo_label=teacher`.

    Attributes:
        text: as it was written; its name everywhere in the report.
        strategy: the registered strategy.
        options: of the strategy.
        pseudo_label: GRACE's rule for regression.
    """

    text: str
    strategy: Strategy
    options: Mapping[str, Value]
    pseudo_label: str

    @classmethod
    def read(cls, text: str) -> Contender:
        """Read a contender; DataError names the choices."""
        name, options = parse(text)
        if name not in STRATEGIES:
            raise DataError(f"no strategy {name!r}; choose from {', '.join(STRATEGIES)}")
        strategy = STRATEGIES[name]
        rule = options.pop(PSEUDO_LABEL, RULES[0])
        if rule not in RULES:
            raise DataError(f"{text!r}: {PSEUDO_LABEL} is one of {', '.join(RULES)}")
        unknown = sorted(options.keys() - strategy.options.keys())
        if unknown:
            known = ", ".join([PSEUDO_LABEL, *strategy.options])
            raise DataError(f"{text!r}: no option {unknown[0]!r}; it has: {known}")
        return cls(text, strategy, options, str(rule))


@dataclass(frozen=True)
class Plan:
    """One replay.

    Attributes:
        name: of the setting.
        title: one line for people.
        contenders: strategies with options.
        initial: labels of the first round, drawn at random, the same for every contender.
        batch: labels added per round.
        rounds: number of models trained per contender and seed, the initial one included.
        seeds: number of repetitions.
        pool: number of samples that may be labelled, drawn anew per seed; 0 means all.
        preset: every hyper-parameter.
        data: fingerprint of the prepared data.
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
                name
                for name in ("name", "initial", "batch", "pool", "preset", "data")
                if _plain(getattr(old, name)) != _plain(getattr(self, name))
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


def applicable(target: TargetKind) -> list[str]:
    """List every registered strategy that is defined for a kind of target."""
    return [name for name, strategy in STRATEGIES.items() if target in strategy.targets]


def contenders(text: str, target: TargetKind) -> tuple[str, ...]:
    """Read a comma-separated list; `all` stands for every applicable strategy."""
    names: Sequence[str] = [part.strip() for part in text.split(",") if part.strip()]
    listed: list[str] = []
    for name in names:
        for one in applicable(target) if name == "all" else [name]:
            if one not in listed:
                listed.append(one)
    if not listed:
        raise DataError("name at least one strategy, or `all`")
    return tuple(listed)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value.to_json())) if isinstance(value, Preset) else value
