"""Pickle files of plain data, read without unpickling: nothing that a file says is run.

CH-SIMS v2 is published as a pickle. Its opcodes are interpreted here, by a machine that knows how
to make dicts, lists, tuples, strings, numbers and numpy arrays of numbers or strings, and nothing
else. Arrays are views into the mapped file: what is not looked at is never in memory.
"""

from __future__ import annotations

import mmap
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from experiments.dataset import DataError
from experiments.sets.plain_arrays import MAKERS, Unbuilt

_SMALL = 4096
_PLAIN = (str, int, float, type(None), list, tuple, dict, np.ndarray)
_PUSHED = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"}
    | {"BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)
_CONSTANT = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_PUT = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GET = frozenset({"GET", "BINGET", "LONG_BINGET"})


class _Mark:
    """Where a run of values on the stack begins."""


class _Name(str):
    """A function or class that the file names; never looked up."""


def read_plain(path: Path) -> Any:
    """Return what a pickle file holds: dicts, lists, tuples, strings, numbers, numpy arrays.

    Arrays are read-only views into the file, and object arrays of one dimension are lists.

    Raises:
        DataError: the file is damaged, or holds anything else; nothing of it was run.
        FileNotFoundError: there is no such file.
    """
    with path.open("rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return _checked(_Machine().run(_Mapped(mapped)))
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise DataError(f"{path} is no pickle of plain data: {error}") from error


class _Mapped:
    """A mapped file as `pickletools` reads it: what is large stays where it is."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._view, self._mapped, self._place = memoryview(mapped), mapped, 0

    def read(self, size: int) -> bytes | memoryview:
        part = self._view[self._place : self._place + size]
        self._place += len(part)
        return part if size > _SMALL else bytes(part)

    def readline(self) -> bytes:
        self._mapped.seek(self._place)
        line = self._mapped.readline()
        self._place += len(line)
        return line


class _Machine:
    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, file: _Mapped) -> Any:
        """Interpret the file and return what is left on the stack at its end."""
        for opcode, arg, _ in pickletools.genops(file):  # type: ignore[arg-type]
            name = opcode.name
            if name == "STOP":
                return self._stack.pop()
            if name in _PUSHED:
                self._stack.append(arg)
            elif name in _CONSTANT:
                self._stack.append(_CONSTANT[name])
            elif name in _PUT or name == "MEMOIZE":
                self._remember(len(self._memo) if arg is None else int(arg))
            elif name in _GET and arg is not None:
                self._stack.append(self._memo[int(arg)])
            elif name not in ("PROTO", "FRAME"):
                step = getattr(self, f"_{name.lower()}", None)
                if step is None:
                    raise ValueError(f"it asks for {name}, which is not read")
                step(*([] if arg is None else [arg]))
        raise ValueError("it has no end")

    def _remember(self, place: int) -> None:
        top = self._stack[-1]
        if isinstance(top, Unbuilt):
            top.places.append(place)
        self._memo[place] = top

    def _run_of_values(self) -> list[Any]:
        places = range(len(self._stack) - 1, -1, -1)
        start = next((place for place in places if self._stack[place] is _Mark), None)
        if start is None:
            raise ValueError("a mark is missing")
        values = self._stack[start + 1 :]
        del self._stack[start:]
        return values

    def _mark(self) -> None:
        self._stack.append(_Mark)

    def _pop(self) -> None:
        self._stack.pop()

    def _empty_dict(self) -> None:
        self._stack.append({})

    def _empty_list(self) -> None:
        self._stack.append([])

    def _empty_tuple(self) -> None:
        self._stack.append(())

    def _tuple(self) -> None:
        self._stack.append(tuple(self._run_of_values()))

    def _list(self) -> None:
        self._stack.append(self._run_of_values())

    def _dict(self) -> None:
        self._stack.append({})
        top = self._stack.pop()
        values = self._run_of_values()
        self._stack.append(top)
        self._fill(values)

    def _last(self, count: int) -> None:
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _tuple1(self) -> None:
        self._last(1)

    def _tuple2(self) -> None:
        self._last(2)

    def _tuple3(self) -> None:
        self._last(3)

    def _append(self) -> None:
        self._extend([self._stack.pop()])

    def _appends(self) -> None:
        self._extend(self._run_of_values())

    def _extend(self, values: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise ValueError("it appends to what is no list")
        self._stack[-1].extend(values)

    def _setitem(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._fill([key, value])

    def _setitems(self) -> None:
        self._fill(self._run_of_values())

    def _fill(self, values: list[Any]) -> None:
        found = self._stack[-1]
        if not isinstance(found, dict) or len(values) % 2:
            raise ValueError("it sets items of what is no dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | int | float):
                raise ValueError(f"a key is a {type(key).__name__}")
            found[key] = value

    def _global(self, said: str) -> None:
        self._stack.append(_known(".".join(said.split(" ", 1))))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._stack.append(_known(f"{module}.{name}"))

    def _reduce(self) -> None:
        given, made_by = self._stack.pop(), self._stack.pop()
        if not isinstance(made_by, _Name) or made_by not in MAKERS:
            raise ValueError(f"it calls {made_by!s:.80}")
        self._stack.append(MAKERS[made_by](*given))

    def _build(self) -> None:
        state, unbuilt = self._stack.pop(), self._stack.pop()
        if not isinstance(unbuilt, Unbuilt):
            raise ValueError(f"it sets the state of a {type(unbuilt).__name__}")
        made = unbuilt.built(state)
        for place in unbuilt.places:
            self._memo[place] = made
        self._stack.append(made)


def _known(name: str) -> _Name:
    if name not in MAKERS and name != "numpy.ndarray":
        raise ValueError(f"it names {name:.80}, which is not read")
    return _Name(name)


def _checked(value: Any) -> Any:
    """Return the value if all of it is plain; what contains itself is walked once."""
    waiting, seen = [value], set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, _Name) or not isinstance(one, _PLAIN):
            raise ValueError(f"it holds a {type(one).__name__}")
        if isinstance(one, list | tuple | dict) and id(one) not in seen:
            seen.add(id(one))
            waiting.extend(one.values() if isinstance(one, dict) else one)
    return value
