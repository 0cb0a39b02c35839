# SPDX-License-Identifier: MIT
"""Arithmetic of f16 and bf16 against exact fractions rounded once."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from tests.conformance.formats import BF16, F16, TYPES, Format, all_codes, random_bits
from tests.conformance.harness import Case, elementwise, equal_bits, equal_codes, kernel, poisoned

COUNT = 1500


def operands(fmt: Format, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """`count` columns: random codes, numbers of like size (where sums cancel), and special values."""
    one = 1 << (fmt.bits - 2)
    special = np.array([0, 1, fmt.largest, fmt.largest + 1, fmt.nan, one, one - 1, 1 << fmt.mantissa], dtype=np.uint16)
    special = np.concatenate([special, special | np.uint16(fmt.sign_bit)])
    grid = np.array(np.meshgrid(*[special[: 16 if count < 3 else 10]] * count)).reshape(count, -1)
    like = (rng.integers(-300, 300, (count, COUNT)) + one).astype(np.uint16)
    like |= rng.integers(0, 2, (count, COUNT)).astype(np.uint16) << np.uint16(15)
    return [np.concatenate([random_bits(fmt.name, COUNT, rng), like[i], grid[i]]) for i in range(count)]


def exactly(
    fmt: Format,
    codes: list[np.ndarray],
    exact: Callable[..., Fraction],
    approximate: Callable[..., np.ndarray],
) -> np.ndarray:
    """`exact` on finite operands, rounded; float64 arithmetic says what the others and zeros become."""
    values = [fmt.values[c] for c in codes]
    with np.errstate(all="ignore"):
        rough = approximate(*values)
    out = np.empty(len(rough), dtype=np.uint16)
    for i, r in enumerate(rough):
        operands_i = [v[i] for v in values]
        if np.isfinite(operands_i).all() and np.isfinite(r):
            x = exact(*(Fraction(float(v)) for v in operands_i))
            out[i] = fmt.round(x, bool(np.signbit(r)))
        else:
            out[i] = fmt.encode(float(r))
    return out


def select(fmt: Format, a: np.ndarray, b: np.ndarray, largest: bool, propagate: bool) -> np.ndarray:
    """min and max: -0 below +0; NaN ignored, or propagated."""
    x, y = fmt.values[a], fmt.values[b]
    key = lambda v: np.where(v == 0, np.where(np.signbit(v), -1e-300, 1e-300), v)
    kx, ky = key(x), key(y)
    first = (kx > ky) if largest else (kx < ky)
    out = np.where(first, a, b)
    if propagate:
        return np.where(np.isnan(x) | np.isnan(y), fmt.nan, out)
    out = np.where(np.isnan(x), b, np.where(np.isnan(y), a, out))
    return np.where(np.isnan(x) & np.isnan(y), fmt.nan, out)


def arithmetic(fmt: Format, rng: np.random.Generator) -> list[Case]:
    t = fmt.name
    a, b = operands(fmt, 2, rng)
    pair = [(t, a), (t, b)]
    result = []
    operations = (
        ("add", "+", lambda x, y: x + y, np.add),
        ("sub", "-", lambda x, y: x - y, np.subtract),
        ("mul", "*", lambda x, y: x * y, np.multiply),
        ("div", "/", lambda x, y: x / y, np.divide),
    )
    for name, sign, exact, rough in operations:
        check = equal_codes(fmt, [a, b], exactly(fmt, [a, b], exact, rough))
        functions = [f"operator{sign}", f"operator{sign}="] + ([f"{t}_{name}"] if name != "div" else [])
        result.append(elementwise(f"{t}_{name}", f"a {sign} b", functions, pair, t, check))
        compound = f"[&] {{ {TYPES[t][0]} r = a; r {sign}= b; return r; }}()"
        result.append(elementwise(f"{t}_{name}_to", compound, functions, pair, t, check))
    x, y, z = operands(fmt, 3, rng)
    fused = exactly(fmt, [x, y, z], lambda p, q, r: p * q + r, lambda p, q, r: p * q + r)
    triple = [(t, x), (t, y), (t, z)]
    result.append(
        elementwise(f"{t}_fma", "ts::fma(a, b, c)", ["fma", f"{t}_fma"], triple, t, equal_codes(fmt, [x, y, z], fused))
    )
    for name, largest, propagate in (
        ("min", False, False),
        ("max", True, False),
        ("min_nan", False, True),
        ("max_nan", True, True),
    ):
        check = equal_codes(fmt, [a, b], select(fmt, a, b, largest, propagate))
        result.append(elementwise(f"{t}_{name}", f"ts::{name}(a, b)", [name, f"{t}_{name}"], pair, t, check))
    values = [fmt.values[c] for c in (a, b)]
    for name, sign, compare in (
        ("eq", "==", np.equal),
        ("ne", "!=", np.not_equal),
        ("lt", "<", np.less),
        ("le", "<=", np.less_equal),
        ("gt", ">", np.greater),
        ("ge", ">=", np.greater_equal),
    ):
        check = equal_bits([a, b], compare(*values))
        result.append(elementwise(f"{t}_{name}", f"a {sign} b", [f"operator{sign}"], pair, "bool", check))
    return result


def unary(fmt: Format) -> list[Case]:
    t, codes = fmt.name, all_codes(fmt.name)
    v = fmt.values
    one = [(t, codes)]
    result = [
        elementwise(f"{t}_neg", "-a", ["operator-"], one, t, equal_codes(fmt, [codes], codes ^ 0x8000)),
        elementwise(f"{t}_plus", "+a", ["operator+"], one, t, equal_codes(fmt, [codes], codes)),
    ]
    for name in ("abs", "fabs"):
        check = equal_codes(fmt, [codes], codes & 0x7FFF)
        result.append(elementwise(f"{t}_{name}", f"ts::{name}(a)", [name], one, t, check))
    for name, test in (("isnan", np.isnan), ("isinf", np.isinf), ("isfinite", np.isfinite)):
        check = equal_bits([codes], test(v))
        result.append(elementwise(f"{t}_{name}", f"ts::{name}(a)", [name], one, "bool", check))
    check = equal_bits([codes], codes)
    result.append(elementwise(f"{t}_bits", f"ts::{t}_bits(a)", [f"{t}_bits"], [("u16", codes)], t, check))
    return result


def pairs(fmt: Format, rng: np.random.Generator) -> list[Case]:
    """The two-element forms are the one-element ones, element by element."""
    t = fmt.name
    a, b, c = (random_bits(t, 2 * COUNT, rng) for _ in range(3))
    exact = {
        "add2": exactly(fmt, [a, b], lambda x, y: x + y, np.add),
        "sub2": exactly(fmt, [a, b], lambda x, y: x - y, np.subtract),
        "mul2": exactly(fmt, [a, b], lambda x, y: x * y, np.multiply),
        "min2": select(fmt, a, b, False, False),
        "max2": select(fmt, a, b, True, False),
        "fma2": exactly(fmt, [a, b, c], lambda x, y, z: x * y + z, lambda x, y, z: x * y + z),
    }
    result = []
    for name, expected in exact.items():
        vec = f"ts::vec<{TYPES[t][0]}, 2>"
        arguments = ", ".join(f"*(const {vec}*)(p{i} + 2 * i)" for i in range(3 if name == "fma2" else 2))
        body = f"""
const int i = ts::bid_x() * 256 + ts::tid_x();
if (i < p4) {{
  *({vec}*)(p3 + 2 * i) = ts::{name}({arguments});
}}"""
        check = equal_codes(fmt, [a, b, c], expected)
        result.append(
            Case(
                name=f"{t}_{name}",
                functions=(name, f"{t}x2_{name[:-1]}"),
                text=kernel(f"{t}_{name}", [f"const {t}*"] * 3 + [f"{t}*", "int"], body, 256),
                args=[a, b, c, poisoned(t, 2 * COUNT), COUNT],
                check=lambda args, check=check: check(args[3]),
                grid=(COUNT + 255) // 256,
                block=256,
            )
        )
    return result


def cases(seed: int) -> list[Case]:
    rng = np.random.default_rng(seed)
    result = []
    for fmt in (F16, BF16):
        result += arithmetic(fmt, rng) + unary(fmt) + pairs(fmt, rng)
    return result
