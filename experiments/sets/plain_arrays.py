"""What a pickle of plain data may call: numpy arrays, dtypes and scalars, made from their bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_KINDS = frozenset("biufSU")
_CORE = ("numpy.core", "numpy._core")


class Unbuilt:
    """An array or a dtype before its state is set, and where it was remembered meanwhile."""

    def __init__(self, dtype: np.dtype | None = None) -> None:
        self.dtype = dtype
        self.places: list[int] = []

    def built(self, state: tuple[Any, ...]) -> Any:
        """Return what it is with its state set: an array, a list, or a dtype."""
        return _array(*state) if self.dtype is None else _ordered(self.dtype, *state)


def _reconstructed(kind: Any, shape: Any, code: Any) -> Unbuilt:
    if kind != "numpy.ndarray":
        raise ValueError(f"it makes an array of class {kind!s:.80}")
    return Unbuilt()


def _dtype(code: Any, *_: Any) -> Unbuilt:
    if not isinstance(code, str):
        raise ValueError("it names a dtype by what is no text")
    return Unbuilt(np.dtype(code))


def _ordered(dtype: np.dtype, _: Any, order: str, *rest: Any) -> np.dtype:
    if any(part is not None for part in rest[:3]):
        raise ValueError("it holds an array of records")
    return dtype.newbyteorder(">") if order == ">" else dtype


def _plain_dtype(dtype: Any) -> np.dtype:
    dtype = dtype.dtype if isinstance(dtype, Unbuilt) else dtype
    if not isinstance(dtype, np.dtype) or dtype.kind not in _KINDS:
        raise ValueError(f"it holds an array of {dtype!s:.80}")
    return dtype


def _array(version: Any, shape: tuple[int, ...], dtype: Any, fortran: bool, data: Any) -> Any:
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        if not isinstance(data, list) or len(shape) != 1:
            raise ValueError("it holds an array of objects that is no plain list")
        return data
    return _from_buffer(data, dtype, shape, "F" if fortran else "C")


def _from_buffer(data: Any, dtype: Any, shape: tuple[int, ...], order: Any) -> np.ndarray:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ValueError("it holds an array without its bytes")
    if any(not isinstance(side, int) or side < 0 for side in shape):
        raise ValueError("it holds an array of no shape")
    flat = np.frombuffer(data, _plain_dtype(dtype)) if len(data) else np.empty(0, dtype)
    return flat.reshape(shape, order=order)


def _scalar(dtype: Any, data: Any) -> Any:
    return _from_buffer(data, dtype, (1,), "C")[0].item()


def _encoded(text: str, how: str) -> bytes:
    if how not in ("latin1", "latin-1"):
        raise ValueError(f"it encodes as {how!s:.80}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


MAKERS: dict[str, Callable[..., Any]] = {"numpy.dtype": _dtype, "_codecs.encode": _encoded}
MAKERS.update({f"{module}.bytes": _no_bytes for module in ("builtins", "__builtin__")})
for _core in _CORE:
    MAKERS[f"{_core}.multiarray._reconstruct"] = _reconstructed
    MAKERS[f"{_core}.multiarray.scalar"] = _scalar
    MAKERS[f"{_core}.numeric._frombuffer"] = _from_buffer
"""What may be called by name -> what it makes."""
