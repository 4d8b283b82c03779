"""A pickle of plain data is read, and nothing that a hostile one says is ever run."""

from __future__ import annotations

import os
import pickle
import resource
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from experiments.dataset import DataError
from experiments.sets.plain_pickle import read_plain

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
NUMBERS = st.one_of(hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes())
ARRAYS = hnp.arrays(st.one_of(NUMBERS, hnp.unicode_string_dtypes()), hnp.array_shapes(min_side=0))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | ARRAYS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        numbers = one.dtype.kind in "fc"
        alike = np.array_equal(one, other, equal_nan=numbers)
        return alike and one.dtype == other.dtype and one.shape == other.shape
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        pairs = zip(one, other, strict=True)
        return type(one) is type(other) and all(same(a, b) for a, b in pairs)
    return type(one) is type(other) and (one == other or one != one)


@settings(max_examples=150, deadline=None)
@given(value=PLAIN, protocol=st.sampled_from(PROTOCOLS))
def test_plain_data_come_back(value: Any, protocol: int) -> None:
    path = Path(f"/tmp/plain-{os.getpid()}.pkl")
    try:
        found = read_plain(written(path, pickle.dumps(value, protocol=protocol)))
        assert same(value, found)
    finally:
        path.unlink()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_shared_arrays_scalars_and_orders(tmp_path: Path, protocol: int) -> None:
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    value = {
        "twice": [array, array],
        "big": np.arange(3, dtype=">i4"),
        "scalar": np.float64(2.5),
        "words": np.array(["a", "你好"], dtype=object),
        "cut": np.arange(10)[::3],
    }
    found = read_plain(written(tmp_path / "x", pickle.dumps(value, protocol=protocol)))
    assert found["twice"][0] is found["twice"][1]
    assert np.array_equal(found["twice"][0], array)
    assert found["big"].tolist() == [0, 1, 2]
    assert found["scalar"] == 2.5
    assert found["words"] == ["a", "你好"]
    assert found["cut"].tolist() == [0, 3, 6, 9]


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (os.system, (f"touch {self.mark}",))


class Built(dict):
    def __reduce__(self) -> tuple:
        return (dict, (), {"x": 1})


def dtype_of(text: str) -> bytes:
    """Return a pickle of an array that claims a dtype."""
    body = pickle.dumps(np.zeros(4, np.float32), protocol=2)
    return body.replace(
        b"X\x02\x00\x00\x00f4", b"X" + len(text).to_bytes(4, "little") + text.encode()
    )


HOSTILE = {
    "a call by name": b"cos\nsystem\n(S'touch MARK'\ntR.",
    "a call through the stack": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0atouch MARK\x85R.",
    "an instance": b"(S'touch MARK'\nios\nsystem\n.",
    "an object": b"(cos\nsystem\nS'touch MARK'\no.",
    "eval": b'cbuiltins\neval\n(S\'open("MARK", "w")\'\ntR.',
    "getattr": b"cbuiltins\ngetattr\n(cnumpy\nndarray\nS'tofile'\ntR.",
    "a call of a string": b"(S'numpy.dtype'\n(S'f4'\ntR.",
    "numpy's loader": b"cnumpy\nload\n(S'MARK'\ntR.",
    "a new object": b"\x80\x02cnumpy\nndarray\n(K\x01\x85t\x81.",
    "a state of a dict": b"}}(S'__class__'\nI1\nub.",
    "an extension": b"\x80\x02\x82\x01.",
    "a persistent id": b"Psomething\n.",
    "a buffer beside the file": b"\x80\x05\x97.",
    "a set": b"\x80\x04\x8f.",
    "a name alone": b"cnumpy\nndarray\n.",
    "bytes alone": b"\x80\x03C\x02ab.",
    "no end": b"\x80\x04}",
    "an empty stack": b".",
    "a mark that is missing": b"\x80\x02u.",
    "a memo that is missing": b"\x80\x02h\x07.",
    "a length beyond the file": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
    "no pickle": b"hello, world\n",
    "nothing": b"",
    "an array of objects": dtype_of("O8"),
    "an array of records": dtype_of("i4,i4"),
    "an array longer than its bytes": dtype_of("f8"),
    "a dtype that is none": dtype_of("zz"),
    "a key that is a list": b"}]I1\ns.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_anything_else_is_refused(tmp_path: Path, name: str) -> None:
    mark = tmp_path / "mark"
    data = HOSTILE[name].replace(b"MARK", str(mark).encode())
    if name == "a call through the stack":
        text = f"touch {mark}".encode()
        data = data.replace(b"\x0atouch", bytes([len(text)]) + b"touch")
    with pytest.raises(DataError, match="no pickle of plain data"):
        read_plain(written(tmp_path / "x", data))
    assert not mark.exists()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_objects_that_act_when_unpickled_do_not(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "mark"
    data = pickle.dumps({"fine": np.arange(3), "x": [Runs(mark)]}, protocol=protocol)
    with pytest.raises(DataError, match=r"system, which is not read|posix"):
        read_plain(written(tmp_path / "x", data))
    assert not mark.exists()
    pickle.loads(data)  # noqa: S301
    assert mark.exists(), "the pickle was not hostile"
    for other in (OrderedDict(a=1), Path("x"), {1, 2}, 1j, Built()):
        with pytest.raises(DataError):
            read_plain(written(tmp_path / "x", pickle.dumps([other], protocol=protocol)))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_is_refused_or_still_plain(data: st.DataObject) -> None:
    whole = bytearray(pickle.dumps({"a": np.arange(9.0), "b": ["x", 1, None]}, protocol=4))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = Path(f"/tmp/plain-{os.getpid()}.pkl")
    try:
        read_plain(written(path, bytes(whole)))
    except DataError:
        pass
    finally:
        path.unlink()


def test_what_is_not_looked_at_is_not_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.pkl"
    with path.open("wb") as file:
        pickle.dump({"large": np.ones((400, 1000, 250), np.float32)}, file, protocol=4)
    before = resident()
    found = read_plain(path)["large"]
    assert found[7, 3, 2] == 1
    assert found.nbytes == 400_000_000
    assert resident() - before < 100_000_000


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
