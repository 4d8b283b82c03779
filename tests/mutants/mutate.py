"""Single-point mutants of a source file, found in its syntax tree."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
LOGS = {"log", "logger", "warnings"}
"""What only people read is not mutated, nor are messages, annotations and type aliases."""


@dataclass(frozen=True)
class Mutant:
    """A file with one change.

    Attributes:
        path: of the file, relative to the tree.
        line: where the change is, from 1.
        statement_line: where its statement begins, which is where coverage counts it.
        before: the changed expression or statement.
        after: what stands there instead.
        text: the line as it is.
        source: the whole changed file.
    """

    path: str
    line: int
    statement_line: int
    before: str
    after: str
    text: str
    source: str

    @property
    def key(self) -> str:
        """Name of the change that lasts while lines move: the list of equivalents has it."""
        where = "" if self.text == self.before else f"  in  {self.text}"
        return f"{self.path}: {self.before} -> {self.after}{where}"


def mutants(tree: Path, path: str) -> list[Mutant]:
    """Return every mutant of a file, in the order of the file."""
    source = (tree / path).read_text()
    found = []
    for statement, node, changed in _changes(ast.parse(source)):
        first, last = _offset(source, node.lineno, node.col_offset), _end(source, node)
        after = ast.unparse(changed) if changed is not None else "pass"
        whole = f"({after})" if isinstance(node, ast.expr) else after
        found.append(
            Mutant(
                path,
                node.lineno,
                statement.lineno,
                " ".join(source[first:last].split()),
                after,
                source.splitlines()[node.lineno - 1].strip(),
                source[:first] + whole + source[last:],
            )
        )
    return found


def _offset(source: str, line: int, column: int) -> int:
    """Return the place of a column that Python counts in bytes."""
    lines = source.splitlines(keepends=True)
    return sum(map(len, lines[: line - 1])) + len(lines[line - 1].encode()[:column].decode())


def _end(source: str, node: ast.expr | ast.stmt) -> int:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return _offset(source, node.end_lineno, node.end_col_offset)


def _changes(
    module: ast.Module,
) -> Iterator[tuple[ast.stmt, ast.expr | ast.stmt, ast.AST | None]]:
    """Yield (statement, node, changed node or None for a deleted statement)."""
    waiting: list[tuple[ast.stmt, ast.AST]] = [(s, s) for s in module.body]
    while waiting:
        statement, node = waiting.pop(0)
        if _is_for_people(node):
            continue
        if isinstance(node, ast.stmt | ast.expr):
            for changed in _alternatives(node):
                yield statement, node, changed
        inner = []
        for child in _children(node):
            inner.append((child if isinstance(child, ast.stmt) else statement, child))
        waiting = inner + waiting


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_comment"):
            continue
        if isinstance(node, ast.Subscript) and name == "slice" and _is_type(node.value):
            continue
        yield from (v for v in (value if isinstance(value, list) else [value]) if _is_node(v))


def _is_node(value: object) -> bool:
    return isinstance(value, ast.AST)


def _is_type(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in {"Callable", "Literal", "cast", "dict", "list"}


def _is_for_people(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING",):
        return True
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        return called.split(".")[0] in LOGS or called in ("cast", "TypeVar")
    return False


def _alternatives(node: ast.stmt | ast.expr) -> Iterator[ast.AST | None]:
    """Yield what a node may be changed into; None where it is deleted."""
    for kinds, change in _KINDS:
        if isinstance(node, kinds):
            yield from change(node)


def _comparisons(node: ast.Compare) -> Iterator[ast.AST]:
    if len(node.ops) == 1:
        for other in COMPARISONS[type(node.ops[0])]:
            yield _with(node, ops=[other()])


def _arithmetic(node: ast.BinOp | ast.AugAssign) -> Iterator[ast.AST]:
    right = node.right if isinstance(node, ast.BinOp) else node.value
    words = isinstance(right, ast.Constant) and isinstance(right.value, str)
    if type(node.op) in ARITHMETIC and not words:
        yield _with(node, op=ARITHMETIC[type(node.op)]())


def _booleans(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield _with(node, op=ast.And() if isinstance(node.op, ast.Or) else ast.Or())


def _signs(node: ast.UnaryOp) -> Iterator[ast.AST]:
    if isinstance(node.op, ast.Not | ast.USub):
        yield node.operand


def _constants(node: ast.Constant) -> Iterator[ast.AST]:
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
    elif isinstance(node.value, float):
        yield ast.Constant(node.value * 2 or 1.0)


def _calls(node: ast.Expr) -> Iterator[None]:
    if isinstance(node.value, ast.Call) and not _is_for_people(node.value):
        yield None


def _returns(node: ast.Return) -> Iterator[ast.AST]:
    if node.value is not None and ast.unparse(node.value) != "None":
        yield ast.Return(ast.Constant(None))


_KINDS: tuple[tuple[Any, Callable[[Any], Iterator[ast.AST | None]]], ...] = (
    (ast.Compare, _comparisons),
    (ast.BinOp | ast.AugAssign, _arithmetic),
    (ast.BoolOp, _booleans),
    (ast.UnaryOp, _signs),
    (ast.Constant, _constants),
    (ast.Expr, _calls),
    (ast.Return, _returns),
)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
