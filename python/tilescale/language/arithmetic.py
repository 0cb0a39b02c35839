# SPDX-License-Identifier: MIT
"""Functions that stay Python when all operands are Python, so that shapes and constants fold."""

import functools
from typing import Any

from .buffers import Buffer, Region
from .expr import Operators, op, value


def _is_python(*values: Any) -> bool:
    return not any(isinstance(v, (Operators, Region, Buffer)) for v in values)


def floordiv(a: Any, b: Any) -> Any:
    """a // b, rounded down. Python numbers give a Python number."""
    return a // b if _is_python(a, b) else op("floordiv", [value(a), value(b)])


def floormod(a: Any, b: Any) -> Any:
    """a - floordiv(a, b) * b, with the sign of `b`. Python numbers give a Python number."""
    return a % b if _is_python(a, b) else op("floormod", [value(a), value(b)])


def ceildiv(a: Any, b: Any) -> Any:
    """a / b of integers, rounded up: how many tiles of `b` cover `a`. Python numbers give a Python number."""
    return -(-a // b) if _is_python(a, b) else op("floordiv", [value(a) + value(b) - 1, value(b)])


def align_up(x: Any, a: Any) -> Any:
    """The least multiple of `a` that is at least `x`."""
    return ceildiv(x, a) * a


def _extreme(opcode: str, of_numbers: Any, values: tuple[Any, ...]) -> Any:
    if _is_python(*values):
        return of_numbers(values)
    return functools.reduce(lambda a, b: op(opcode, [a, b]), map(value, values))


def maximum(*values: Any) -> Any:
    """The largest of two or more values, in their common dtype. Python numbers give a Python number."""
    return _extreme("max", max, values)


def minimum(*values: Any) -> Any:
    """The smallest of two or more values, in their common dtype. Python numbers give a Python number."""
    return _extreme("min", min, values)


def index_to_coordinates(index: Any, shape: Any) -> list[Any]:
    """The coordinates of a row-major flat index."""
    coordinates = []
    for extent in reversed(shape):
        coordinates.append(floormod(index, extent))
        index = floordiv(index, extent)
    return coordinates[::-1]
