# SPDX-License-Identifier: MIT
"""Conversions between dtypes, and their constants."""

from typing import Any

from . import expr
from .dtypes import dtype as to_dtype
from .expr import const

_ROUNDINGS = ["", "rn", "rz", "rp", "rm", "rs"]


def cast(value: Any, dtype: Any, round: str = "", sat: bool = True, rbits: Any = None) -> Any:
    """`value` as another dtype, a scalar or each lane; to fp8 it saturates, from float to integer it truncates.

    `round` is one of "rn", "rz", "rp", "rm" and "rs", where the target has the conversion; "rs" takes random bits,
    `rbits`. Anything else raises ValueError."""
    if round not in _ROUNDINGS:
        raise ValueError(f"Invalid round {round!r}. Must be one of: {_ROUNDINGS}")
    if not isinstance(sat, bool):
        raise ValueError(f"Invalid sat {sat!r}. Must be True or False.")
    if round == "rs" and rbits is None:
        raise ValueError("rbits is required when round='rs' (stochastic rounding)")
    if round != "rs" and rbits is not None:
        raise ValueError("rbits is only valid with round='rs' (stochastic rounding)")
    if not round:
        return expr.cast(value, dtype)
    operands = [expr.value(value), sat, *([] if rbits is None else [expr.value(rbits)])]
    return expr.op(f"cast_{round}", operands, to_dtype(dtype))


def typed_cast(dtype: Any, x: Any) -> Any:
    """T.cast with the dtype first."""
    return expr.cast(x, dtype)


def reinterpret(value: Any, dtype: Any) -> Any:
    """The same bits as another type. The older order of the arguments is taken as well."""
    if isinstance(value, str) and not isinstance(dtype, str):
        value, dtype = dtype, value
    return expr.op("reinterpret", [expr.value(value)], to_dtype(dtype))


def infinity(dtype: Any) -> Any:
    """Positive infinity of a floating-point dtype."""
    return const(float("inf"), dtype)


_LARGEST = {
    "float64": 1.7976931348623157e308,
    "float32": 3.4028234663852886e38,
    "float16": 65504.0,
    "bfloat16": 3.3895313892515355e38,
    "float8_e4m3fn": 448.0,
    "float8_e4m3": 448.0,
    "float8_e5m2": 57344.0,
    "custom[tfloat32]": 3.4028234663852886e38,
}


def max_value(dtype: Any) -> Any:
    """The largest finite number of a dtype. TypeError for one without numbers of its own."""
    d = to_dtype(dtype)
    if d == "bool":
        return const(True, d)
    if d.is_int:
        return const((1 << (d.bits - (d.code == "int"))) - 1, d)
    if d not in _LARGEST:
        raise TypeError(f"T.max_value of {d} is not supported")
    return const(_LARGEST[d], d)


def min_value(dtype: Any) -> Any:
    """The smallest finite number of a dtype. TypeError for one without numbers of its own."""
    d = to_dtype(dtype)
    if d == "bool":
        return const(False, d)
    if d.is_int:
        return const(0 if d.code == "uint" else -(1 << (d.bits - 1)), d)
    if d not in _LARGEST:
        raise TypeError(f"T.min_value of {d} is not supported")
    return const(-_LARGEST[d], d)


def immediate(dtype: Any, value: Any, span: Any = None) -> Any:
    """`T.IntImm("int32", 3)`."""
    return const(value, dtype)
