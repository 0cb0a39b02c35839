# SPDX-License-Identifier: MIT
"""Random scalar expressions. Intervals are carried along, so that no value overflows its dtype, no integer division
meets zero, and everything that must be exact is."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from .program import ERROR, EXACT, Value, chance, is_float, is_unsigned

Leaf = Callable[[], Value]


def cast(v: Value, dtype: str) -> Value:
    """`v` in `dtype`; it must fit."""
    if v.dtype == dtype:
        return v
    out = Value(f'T.cast({v.text}, "{dtype}")', dtype, v.lo, v.hi, v.exact, v.error)
    if not v.exact:
        out.error += ERROR[dtype]
    return out


def fits(v: Value, dtype: str) -> bool:
    if is_unsigned(dtype) and v.lo < 0:
        return False
    if not is_float(dtype) and not v.exact:
        return False
    return v.size <= EXACT[dtype]


class Expressions:
    def __init__(self, rng: random.Random, leaves: list[Leaf]) -> None:
        self.rng = rng
        self.leaves = leaves

    def constant(self, dtype: str) -> Value:
        n = self.rng.randint(0 if is_unsigned(dtype) else -3, 4)
        return Value(f"{float(n)}" if is_float(dtype) else str(n), dtype, n, n)

    def leaf(self) -> Value:
        return self.rng.choice(self.leaves)()

    def of(self, dtype: str, depth: int = 2) -> Value:
        """A value that fits `dtype`, in `dtype`."""
        for _ in range(8):
            v = self.value(depth)
            if fits(v, dtype):
                return cast(v, dtype)
        return self.constant(dtype)

    def value(self, depth: int) -> Value:
        if depth == 0 or chance(self.rng, 0.15):
            return self.leaf()
        a = self.value(depth - 1)
        roll = self.rng.random()
        if roll < 0.15:
            return self.unary(a)
        b = self.value(depth - 1)
        if roll < 0.3:
            return self.choice(a, b)
        return self.binary(a, b)

    def together(self, a: Value, b: Value) -> tuple[Value, Value] | None:
        """Both in one dtype."""
        wide = "float32" if is_float(a.dtype) or is_float(b.dtype) else "int32"
        for dtype in (a.dtype, b.dtype, wide, "float64"):
            if "float8" not in dtype and fits(a, dtype) and fits(b, dtype):
                return cast(a, dtype), cast(b, dtype)
        return None

    def binary(self, a: Value, b: Value) -> Value:
        if a.dtype != b.dtype or "float8" in a.dtype:
            pair = self.together(a, b)
            if pair is None:
                return a
            a, b = pair
        ops = ["+", "-", "*", "max", "min"]
        if not is_float(a.dtype) and chance(self.rng, 0.4):
            return self.integer(a, b)
        if is_float(a.dtype) and a.dtype != "bfloat16" and chance(self.rng, 0.1):
            return self.divide(a, b)
        op = self.rng.choice(ops)
        corners = [f(x, y) for f in [_PLAIN[op]] for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
        out = Value(f"({a.text} {op} {b.text})", a.dtype, min(corners), max(corners), a.exact and b.exact)
        if op in ("max", "min"):
            out.text = f"T.{op}({a.text}, {b.text})"
        if not fits(out, a.dtype) or (not out.exact and out.size > 1e4):
            low = min(a, b, key=lambda v: v.hi)
            out = Value(f"T.min({a.text}, {b.text})", a.dtype, min(a.lo, b.lo), low.hi, a.exact and b.exact)
        # An error relative to the operand is larger relative to a difference.
        scale = max(a.size, b.size, 1e-6) / max(out.size, 1e-6) if op in "+-" else 1
        out.error = (a.error + b.error) * max(scale, 1) + (0 if out.exact else ERROR[a.dtype])
        return out

    def integer(self, a: Value, b: Value) -> Value:
        n = self.rng.randint(1, 9)
        op = self.rng.choice(["//", "%", "&", "<<"])
        if op == "//":
            return Value(f"({a.text} // {n})", a.dtype, a.lo // n, a.hi // n)
        if op == "<<" and a.lo >= 0 and a.hi * 4 <= EXACT[a.dtype]:
            return Value(f"({a.text} << 2)", a.dtype, a.lo * 4, a.hi * 4)
        if op == "&" and a.lo >= 0 and b.lo >= 0:
            kind = self.rng.choice("&|^")
            top = (1 << max(int(a.hi), int(b.hi), 1).bit_length()) - 1
            return Value(f"({a.text} {kind} {b.text})", a.dtype, 0, top)
        return Value(f"({a.text} % {n})", a.dtype, 0, n - 1)

    def divide(self, a: Value, b: Value) -> Value:
        # Away from zero.
        bottom = f"(T.abs({b.text}) + {1.0 if not is_float(b.dtype) else '1.0'})"
        out = Value(f"({a.text} / {bottom})", a.dtype, min(a.lo, 0), max(a.hi, 0), False)
        out.error = a.error + b.error + ERROR[a.dtype]
        return out

    def unary(self, a: Value) -> Value:
        if "float8" in a.dtype:
            return cast(a, "float32")
        if chance(self.rng, 0.4):
            targets = [t for t in ("float32", "float16", "bfloat16", "int32", "int64", "int8", "float64") if fits(a, t)]
            if targets:
                return cast(a, self.rng.choice(targets))
        if a.dtype == "float32" and chance(self.rng, 0.5):
            return self.function(a)
        if is_unsigned(a.dtype):
            return a
        if chance(self.rng, 0.5):
            low = 0 if a.lo <= 0 <= a.hi else min(abs(a.lo), abs(a.hi))
            return Value(f"T.abs({a.text})", a.dtype, low, a.size, a.exact, a.error)
        return Value(f"(-{a.text})", a.dtype, -a.hi, -a.lo, a.exact, a.error)

    def function(self, a: Value) -> Value:
        name = self.rng.choice(["exp", "exp2", "sin", "cos", "sqrt", "tanh", "sigmoid"])
        if name in ("exp", "exp2"):
            # Clamped: its error is that of the argument times the result.
            text, hi = f"T.{name}(T.min(T.max({a.text}, -4.0), 2.0))", math.exp(2.0)
            return Value(text, a.dtype, 0, hi, False, a.error * max(a.size, 1) + ERROR[a.dtype])
        if name == "sqrt":
            return Value(
                f"T.sqrt(T.abs({a.text}) + 1.0)", a.dtype, 1, math.sqrt(a.size + 1), False, a.error + ERROR[a.dtype]
            )
        return Value(f"T.{name}({a.text})", a.dtype, -1, 1, False, a.error * max(a.size, 1) + ERROR[a.dtype])

    def condition(self) -> str:
        """Of exact values only: an error could flip it."""
        for _ in range(6):
            a, b = self.leaf(), self.leaf()
            pair = self.together(a, b)
            if pair is None or not (a.exact and b.exact):
                continue
            text = f"{pair[0].text} {self.rng.choice(['<', '<=', '==', '!=', '>', '>='])} {pair[1].text}"
            if chance(self.rng, 0.2):
                return f"not ({text})"
            if chance(self.rng, 0.2):
                return f"({text}) {self.rng.choice(['and', 'or'])} ({self.condition()})"
            return text
        return "True"

    def choice(self, a: Value, b: Value) -> Value:
        pair = self.together(a, b)
        if pair is None:
            return a
        a, b = pair
        condition = self.condition()
        if condition == "True":
            return a
        text = (
            f"T.if_then_else({condition}, {a.text}, {b.text})"
            if " and " not in condition
            and " or " not in condition
            and "not " not in condition
            and chance(self.rng, 0.5)
            else f"({a.text} if {condition} else {b.text})"
        )
        out = Value(text, a.dtype, min(a.lo, b.lo), max(a.hi, b.hi), a.exact and b.exact)
        out.error = max(a.error * a.size, b.error * b.size) / max(out.size, 1e-6)
        return out


_PLAIN: dict[str, Callable[[float, float], float]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "max": max,
    "min": min,
}
