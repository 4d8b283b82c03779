"""The one notation for names with options: `name` or `name:key=value+key=value`."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.dataset import DataError

Value = str | int | float | bool


def parse(text: str) -> tuple[str, dict[str, Value]]:
    """Split `avdigits:split=speakers+audio_noise=2` into a name and its options.

    Raises:
        DataError: an option has no `=`.
    """
    name, _, rest = text.strip().partition(":")
    options: dict[str, Value] = {}
    for part in filter(None, rest.split("+")):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise DataError(f"{text!r}: {part!r} is no option; write name:key=value+key=value")
        options[key.strip()] = _value(value.strip())
    return name, options


def checked(
    name: str, options: Mapping[str, Value], choices: Mapping[str, tuple[str, ...] | float]
) -> dict[str, Value]:
    """Return the options with defaults filled in.

    Args:
        name: what has the options, for messages.
        options: what was asked for.
        choices: option -> allowed words, the default first; or a number, the default.

    Raises:
        DataError: an unknown option or value; the message names the choices.
    """
    unknown = sorted(options.keys() - choices.keys())
    if unknown:
        raise DataError(f"{name} has no option {unknown[0]!r}; it has: {', '.join(choices)}")
    filled: dict[str, Value] = {}
    for key, allowed in choices.items():
        value = options.get(key, allowed[0] if isinstance(allowed, tuple) else allowed)
        if isinstance(allowed, tuple) and value not in allowed:
            raise DataError(f"{name}: {key} is one of {', '.join(allowed)}, not {value!r}")
        if not isinstance(allowed, tuple) and isinstance(value, str):
            raise DataError(f"{name}: {key} is a number, not {value!r}")
        filled[key] = value
    return filled


_WORDS: dict[str, Value] = {"true": True, "false": False}


def _value(text: str) -> Value:
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
