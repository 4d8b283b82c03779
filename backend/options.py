"""What can be set for each project."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from model.presets import PRESETS, preset
from strategies.names import NAMES

LEAST_AUDIT = 0.05
Value = str | int | float | bool
_MOST = 2**31 - 1
_AGO = re.compile(r"(\d{1,6}) (hour|day|week)s?")


def since(text: str, now: datetime) -> datetime:
    """Return the moment that `newer_than` says: a time, or so many hours, days or weeks ago.

    Raises:
        ValueError: it says none.
    """
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return now - timedelta(**{f"{ago[2]}s": int(ago[1])})
        found = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):  # no time, or one before the year 1
        raise ValueError(f"{text!r} is no time: write 2026-01-31, or 30 days") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class ProjectSettings(BaseModel):
    """What can differ between projects.

    Later sources win: defaults < environment and TOML < TOML `[projects.ID]` <
    Label Studio's extra params < `equipoise set` on the command line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    strategy: str = Field("auto", description="How the pool is ranked.")
    batch: int = Field(
        100, ge=1, le=_MOST, description="Tasks chosen together, as one diverse batch."
    )
    retrain_after: int = Field(20, ge=1, le=_MOST, description="New labels that start a round.")
    publish: int | None = Field(
        None,
        ge=1,
        le=_MOST,
        description="Top tasks whose rank Label Studio is told; default: ten times retrain_after, "
        "and batch at least. The next round replaces them.",
    )
    audit_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of the tasks served that chance chooses, to measure on: .05 or more, "
        "or 0 to measure nothing.",
    )
    want: dict[str, Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]] = Field(
        default_factory=dict,
        description='How much tasks of a class count, e.g. {"defect": 2}; 1 where nothing is said.',
    )
    priority_key: str | None = Field(
        None, description="Key of the task's data with a number: how much the task counts."
    )
    only: dict[str, Value | list[Value]] = Field(
        default_factory=dict,
        description='What the data of tasks must hold to be served, e.g. {"lang": ["en", "de"]}.',
    )
    newer_than: dict[str, str] = Field(
        default_factory=dict,
        description='From when on, e.g. {"recorded": "2026-01-31"} or {"recorded": "30 days"}.',
    )
    once: bool = Field(True, description="Put near-duplicates of other tasks last.")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="Seed of training and selection.")
    preset: str = Field("auto", description="Encoders, fusion and training recipe.")
    strategy_options: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description='By strategy, e.g. {"grace": {"alpha_init": 1.0}}; docs/strategies.md.',
    )
    overrides: dict[str, Any] = Field(
        default_factory=dict, description="Preset fields to change, e.g. fusion or epochs."
    )

    @property
    def options(self) -> dict[str, Any]:
        """The options of the strategy in force."""
        return self.strategy_options.get(self.strategy, {})

    @property
    def published(self) -> int:
        """How many tasks are published: more than will be served before the next round.

        Storing and deleting a prediction costs Label Studio a tenth of a second each.
        """
        return self.publish or max(self.batch, 10 * self.retrain_after)

    @field_validator("strategy")
    @classmethod
    def _known_strategy(cls, value: str) -> str:
        if value not in NAMES:
            raise ValueError(f"unknown strategy {value!r}; choose one of {', '.join(NAMES)}")
        return value

    @field_validator("audit_share")
    @classmethod
    def _enough_audit(cls, value: float) -> float:
        if 0 < value < LEAST_AUDIT:
            raise ValueError(f"must be {LEAST_AUDIT} or more, or 0 to measure nothing")
        return value

    @field_validator("newer_than")
    @classmethod
    def _times(cls, value: dict[str, str]) -> dict[str, str]:
        for text in value.values():
            since(text, datetime.now(UTC))
        return value

    @model_validator(mode="after")
    def _known_options(self) -> ProjectSettings:
        if self.strategy_options:
            from strategies import STRATEGIES  # loads what ranks, which most commands need not

            for name, options in self.strategy_options.items():
                if name not in STRATEGIES:
                    raise ValueError(f"strategy_options: no strategy {name!r}")
                STRATEGIES[name].check_options(options)
        return self

    @model_validator(mode="after")
    def _known_preset(self) -> ProjectSettings:
        if self.preset not in PRESETS:
            raise ValueError(f"unknown preset {self.preset!r}; choose one of {', '.join(PRESETS)}")
        preset(self.preset, **self.overrides)
        return self
