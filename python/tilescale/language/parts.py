# SPDX-License-Identifier: MIT
"""Expressions too large for one: in a kernel they are evaluated in parts, where they are written.

Passes walk expressions as trees, so the builder bounds their size (`ExpressionSizeError`). A Python loop in a helper
easily passes that bound: `x = x + x`, sixty times, is a tree of 2**60 operations. Names in a traced function never get
there: each assignment is evaluated once.
"""

from collections.abc import Callable
from typing import Any

from .._ffi import builder
from ..errors import ExpressionSizeError
from . import tracer
from .buffers import Cell
from .expr import Load, Op, value

_LAZY = {"if": 3, "land": 2, "lor": 2}


def in_parts(make: Callable[..., Any], opcode: str, operands: list[Any], error: ExpressionSizeError) -> Any:
    """`make(operands)`, which the builder refused as too large, with names for the large operands."""
    t = tracer.active()
    if t is None or t.kernel is None or t.whole:
        raise error
    if len(operands) == _LAZY.get(opcode):
        return _lazily(opcode, *operands)
    names: dict[int, Any] = {}
    return make([_name(t, e, names) for e in operands])


def _name(t: tracer.Tracer, e: Any, names: dict[int, Any]) -> Any:
    if type(e) not in (Op, Load) or e.dtype == "handle":
        return e
    key = e.__chandle__()
    if key not in names:
        names[key] = t.bind("part", e)
    return names[key]


def _lazily(opcode: str, c: Any, *sides: Any) -> Any:
    """The operands that may not be evaluated stay behind their condition."""
    if opcode == "if":
        return branches(c, sides[0], None, sides[1], None)
    return branches(c, sides[0], None, False, None) if opcode == "land" else branches(c, True, None, sides[0], None)


def branches(c: Any, x: Any, x_side: Any, y: Any, y_side: Any) -> Any:
    """`x if c else y` as statements: each side's own ones run only where it is taken."""
    t = tracer.current()
    zeros = [builder.const(0, builder.dtype(v)) if hasattr(v, "dtype") else v for v in (x, y)]
    cell = Cell(t.alloc("local.var", builder.op("if", [True, *zeros], [1, 2]).dtype, [1]))
    t.begin_if(c)
    _store(cell, x, x_side)
    t.begin_else()
    _store(cell, y, y_side)
    t.close()
    return cell.load()


def _store(cell: Cell, x: Any, side: Any) -> None:
    if side is not None:
        builder.splice(tracer.current().handle, side)
    cell.store(value(x))
