# SPDX-License-Identifier: MIT
"""What a generated program is: its text in the user's dialect, its arguments, and what must come of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

# The largest n up to which a dtype holds every integer from -n (or 0).
EXACT = {
    "float8_e4m3fn": 16,
    "float8_e5m2": 8,
    "bfloat16": 256,
    "float16": 2048,
    "float32": 1 << 24,
    "float64": 1 << 53,
    "int8": 127,
    "uint8": 255,
    "int16": 32767,
    "int32": (1 << 31) - 1,
    "uint32": (1 << 31) - 1,
    "int64": 1 << 53,
}
# Relative error of results that went through roundings in a dtype.
ERROR = {"float8_e4m3fn": 0.2, "float8_e5m2": 0.4, "bfloat16": 4e-2, "float16": 6e-3, "float32": 1e-4, "float64": 1e-9}


def is_float(dtype: str) -> bool:
    return "float" in dtype


def is_unsigned(dtype: str) -> bool:
    return dtype[0] == "u"


@dataclass
class Value:
    """A scalar expression: every value it can take lies in [lo, hi]; exact: they are integers."""

    text: str
    dtype: str
    lo: float
    hi: float
    exact: bool = True
    error: float = 0.0  # relative to the largest value

    @property
    def size(self) -> float:
        return max(abs(self.lo), abs(self.hi))


@dataclass
class Tile:
    """A buffer on chip, all of whose elements are written."""

    name: str
    scope: str  # shared, fragment
    shape: tuple[int, ...]
    dtype: str
    lo: float = 0
    hi: float = 0
    exact: bool = True
    error: float = 0.0

    def at(self, *index: str) -> Value:
        return Value(f"{self.name}[{', '.join(index)}]", self.dtype, self.lo, self.hi, self.exact, self.error)

    def hold(self, v: Value, widen: bool = False) -> None:
        """Its elements are values of `v` from now on; `widen`: or what they were."""
        lo, hi, exact, error = v.lo, v.hi, v.exact, v.error
        if widen:
            lo, hi, exact, error = min(lo, self.lo), max(hi, self.hi), exact and self.exact, max(error, self.error)
        self.lo, self.hi, self.exact, self.error = lo, hi, exact, error


@dataclass
class Argument:
    """A parameter. A tensor is filled with values in [lo, hi]: integers where `exact`. An output is compared with the
    oracle's: equal where `exact`, else within `error` of the largest value."""

    name: str
    dtype: str
    shape: tuple[int, ...] | None  # None: a scalar
    lo: float = 0
    hi: float = 0
    exact: bool = True
    output: bool = False
    error: float = 0.0
    declared: str = ""  # the annotation
    shift: int = 0  # elements by which the data is off its alignment


@dataclass
class Program:
    seed: int
    text: str
    name: str
    arguments: list[Argument] = field(default_factory=list)
    arch: str = "sm_90a"
    illegal: str = ""  # what is wrong with it, empty for a legal program
    error_line: int = 0  # where the error must point, 0: anywhere in it
    may_refuse: str = ""  # the error that a legal program may be refused with

    def lines(self) -> list[str]:
        return self.text.split("\n")


class Writer:
    """Lines of a program under construction."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0

    def __call__(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def indented(self) -> Writer:
        self.depth += 1
        return self

    def __enter__(self) -> Writer:
        self.depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


def chance(rng: random.Random, p: float) -> bool:
    return rng.random() < p


SHARED_LIMIT = 24 << 10
BYTES = {"8": 1, "16": 2, "32": 4, "64": 8}


def product(shape) -> int:
    total = 1
    for n in shape:
        total *= n
    return total


def size_of(dtype: str) -> int:
    digits = dtype.removeprefix("b").lstrip("uintfloa").split("_")[0]
    return BYTES[digits]
