"""Mutants of a module: one small change of its syntax tree each, none on disk."""

from __future__ import annotations

import ast
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LINE = 100
_AXES = (
    "all", "amax", "amin", "any", "argmax", "argmin", "chunk", "flatten", "logsumexp", "max",
    "mean", "min", "permute", "softmax", "squeeze", "sum", "swapaxes", "transpose", "unbind",
    "unsqueeze",
)  # fmt: skip
"""Methods whose plain numbers are axes."""
Edit = Callable[[], None]
"""Changes a node of a parsed tree, in place."""

_COMPARISON: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
"""Of an order both the bound and the direction."""
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.Pow: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """name: module, function, the code before and after, and which of several alike.

    It does not change with what is around it, so that results and justifications outlive edits.
    site, variant: where it is in ``sites`` of the module as it is now.
    """

    name: str
    module: str
    operator: str
    site: int
    variant: int


def source_of(module: str) -> Path:
    return ROOT / f"{module.replace('.', '/')}.py"


def mutants(module: str) -> list[Mutant]:
    """All mutants of a module of the suite, in the order of its source."""
    tree = ast.parse(source_of(module).read_text("utf-8"))
    alike: Counter[str] = Counter()
    out = []
    for site, (where, around) in enumerate(_nodes(tree)):
        seen = _context(around)
        before = ast.unparse(seen)
        for variant in range(len(list(_edits(around[-1])))):
            around[-1].site = True  # type: ignore[attr-defined]  # found again in the copy
            copy = deepcopy(seen)
            del around[-1].site  # type: ignore[attr-defined]
            node = next(n for n in ast.walk(copy) if hasattr(n, "site"))
            operator, edit = list(_edits(node))[variant]
            edit()
            if operator == "constant" and _in_slice(around):
                operator = "index"
            name = f"{module}:{where} | {before} | {ast.unparse(copy)}"
            out.append(Mutant(f"{name} | {alike[name]}", module, operator, site, variant))
            alike[name] += 1
    return out


def _context(around: list[ast.expr]) -> ast.expr:
    """The largest expression around the last one that fits on a line."""
    for node in around:
        if len(ast.unparse(node)) <= _LINE:
            return node
    return around[-1]


def _in_slice(around: list[ast.expr]) -> bool:
    """Is the last expression part of an index?"""
    pairs = pairwise(around)
    return any(isinstance(a, ast.Subscript) and b is a.slice for a, b in pairs)


def mutated(mutant: Mutant) -> ast.Module:
    """The module's tree with the mutant in it."""
    tree = ast.parse(source_of(mutant.module).read_text("utf-8"))
    _, around = list(_nodes(tree))[mutant.site]
    _, edit = list(_edits(around[-1]))[mutant.variant]
    edit()
    return ast.fix_missing_locations(tree)


def sample(modules: list[str], count: int, seed: int | str) -> list[Mutant]:
    """``count`` mutants at random: those whose names hash lowest.

    So a mutant is drawn or not whatever others there are: a new function changes few of them.
    """
    drawn = [mutant for module in modules for mutant in mutants(module)]
    return sorted(drawn, key=lambda m: hashlib.sha256(f"{seed} {m.name}".encode()).digest())[:count]


def _nodes(tree: ast.Module) -> Iterator[tuple[str, list[ast.expr]]]:
    """(function, expressions outside in) for everything that may be mutated, in source order.

    Not annotations, decorators, what is raised, formatted text; not ``strict`` of a zip, which
    changes nothing that is right; nor the axes of arrays: a wrong one mostly raises at once, or
    is the same by another name.
    """

    def visit(
        node: ast.AST, where: str, around: list[ast.expr]
    ) -> Iterator[tuple[str, list[ast.expr]]]:
        around = [*around, node] if isinstance(node, ast.expr) else []
        if around:
            yield where, around
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            where = f"{where}.{node.name}" if where else node.name
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if _is_axis(node, child):
                    continue
                if isinstance(child, ast.keyword):
                    yield from visit(child.value, where, around)
                elif isinstance(child, ast.AST) and not isinstance(
                    child, (ast.JoinedStr, ast.Raise)
                ):
                    yield from visit(child, where, around)

    return visit(tree, "", [])


def _is_axis(call: ast.AST, argument: object) -> bool:
    """Is it an axis among the arguments of a call, or ``strict``?"""
    if isinstance(argument, ast.keyword):
        return argument.arg in ("axis", "dim", "keepdim", "keepdims", "strict")
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return False
    return (
        call.func.attr in _AXES
        and argument is not call.func
        and (isinstance(argument, (ast.Constant, ast.UnaryOp)))
    )


def _edits(node: ast.AST) -> Iterator[tuple[str, Edit]]:
    """(operator, edit) of one node."""
    if isinstance(node, ast.Compare):
        for place, op in enumerate(node.ops):
            for other in _COMPARISON[type(op)]:
                yield "comparison", _put(node.ops, place, other())
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC and not _is_text(node):
        yield "arithmetic", _set(node, "op", _ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.BoolOp):
        other_op: ast.boolop = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "boolean", _set(node, "op", other_op)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "sign", _set(node, "op", ast.UAdd())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.Invert)):
        again = ast.UnaryOp(type(node.op)(), node.operand)
        yield "boolean", _set(node, "operand", again)
    elif isinstance(node, ast.Constant):
        yield from _constants(node)


def _constants(node: ast.Constant) -> Iterator[tuple[str, Edit]]:
    value = node.value
    if isinstance(value, bool):
        yield "boolean", _set(node, "value", not value)
    elif isinstance(value, int):
        yield "constant", _set(node, "value", value + 1)
    elif isinstance(value, float) and math.isfinite(value):
        yield "constant", _set(node, "value", 2 * value if value else 1.0)


def _is_text(node: ast.BinOp) -> bool:
    """Does it join or format text?"""
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )


def _set(node: ast.AST, name: str, value: object) -> Edit:
    return lambda: setattr(node, name, value)


def _put(values: list[ast.cmpop], place: int, value: ast.cmpop) -> Edit:
    def edit() -> None:
        values[place] = value

    return edit
