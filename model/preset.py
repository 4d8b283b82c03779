"""A named set of every hyper-parameter, and how it is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from model.options import Architecture, Preparation, Training, from_plain, plain
from model.schema import Modality, ModalityKind


@dataclass(frozen=True)
class Preset:
    """A named set of hyper-parameters: three values, each for those who need it.

    Outside (settings, checkpoints, `preset(...)`) options have one flat list of names.

    Attributes:
        name: the preset this started from.
        preparation: encoders and what they see.
        network: what is built on them.
        training: how it learns.
    """

    name: str
    preparation: Preparation
    network: Architecture = field(default_factory=Architecture)
    training: Training = field(default_factory=Training)

    def changed(self, name: str | None = None, **options: Any) -> Preset:
        """Return this with some options, named flatly, replaced; encoders are added to its own.

        `roles` is no option that is kept: see `played`.

        Raises:
            ValueError: no such option; the message names the choices.
        """
        if "roles" in options:
            roles = options.pop("roles")
            return self.changed(name, **options).played(roles)
        unknown = sorted(options.keys() - _PART.keys())
        if unknown:
            raise ValueError(f"no preset option {unknown}; choose from {', '.join(sorted(_PART))}")
        if "encoders" in options:
            options["encoders"] = {**self.preparation.encoders, **options["encoders"]}
        parts = {
            part: replace(
                getattr(self, part), **{k: v for k, v in options.items() if _PART[k] == part}
            )
            for part in _PARTS
        }
        return Preset(name or self.name, **parts)

    def played(self, roles: Mapping[str, str]) -> Preset:
        """Return this with modalities in the roles of others: {"acoustic": "audio"}.

        Whatever an option says of `audio` (widths, rates, decays, loss weights; not the encoder),
        it then says of `acoustic`, too.

        Raises:
            ValueError: no option says anything of such a role; the message names the choices.
        """
        tables = {
            option: value
            for part in _PARTS
            for option, value in plain(getattr(self, part)).items()
            if isinstance(value, Mapping) and option != "encoders"
        }
        known = {str(key) for table in tables.values() for key in table} - {"multimodal"}
        strange = sorted(set(roles.values()) - known)
        if strange:
            raise ValueError(f"{self.name} has no role {strange[0]!r}; it has {sorted(known)}")
        changed: dict[str, Any] = {
            option: {**table, **{name: table[r] for name, r in roles.items() if r in table}}
            for option, table in tables.items()
        }
        return self.changed(**changed)

    def without_role(self, modalities: Sequence[Modality]) -> list[str]:
        """Name the feature sequences that this preset has no role for, where it gives roles.

        The last layers' widths tell: `paper-sims` has one for audio and one for video, and what a
        sequence is called says which it is.
        """
        widths = self.network.projection
        if not isinstance(widths, Mapping):
            return []
        sequences = [m.name for m in modalities if m.kind is ModalityKind.SEQUENCE]
        return [name for name in sequences if name not in widths]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file, flatly named."""
        parts = (plain(getattr(self, part)) for part in _PARTS)
        return {"name": self.name} | {k: v for part in parts for k, v in part.items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Preset:
        """Read what `to_json` wrote; options that are no more are passed over.

        Raises:
            KeyError: it names no encoders.
        """
        known = {k: from_plain(v) for k, v in value.items() if k in _PART}
        return cls(value["name"], Preparation(known.pop("encoders"))).changed(**known)


_PARTS: dict[str, type] = {
    "preparation": Preparation,
    "network": Architecture,
    "training": Training,
}
_PART = {f.name: part for part, values in _PARTS.items() for f in fields(values)}
"""Option -> the part that holds it."""
