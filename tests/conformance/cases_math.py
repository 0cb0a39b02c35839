# SPDX-License-Identifier: MIT
"""Mathematical functions: within a few units of the last place of float64 or extended-precision references."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from tests.conformance.formats import SMALL, TYPES, decode, random_bits
from tests.conformance.harness import Case, close, elementwise, equal_bits, equal_numbers

COUNT = 2048
ULP = {"f32": 2.0**-23, "f64": 2.0**-52, "f16": 2.0**-10, "bf16": 2.0**-7}
TINY = {"f32": 2.0**-149, "f64": 2.0**-1074, "f16": 2.0**-24, "bf16": 2.0**-133}

# Fast forms that are one function of ptx/approx.cuh.
APPROXIMATE = {"fast_exp2": "ex2_approx", "fast_log2": "lg2_approx"}
APPROXIMATE |= {f"fast_{x}": f"{x}_approx" for x in ("rcp", "rsqrt", "sqrt", "sin", "cos", "tanh", "div")}


def erf(x: np.ndarray) -> np.ndarray:
    """In double: the C library's own, which is within one unit."""
    return np.array([math.erf(float(v)) for v in x])


def nextafter(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.nextafter(x, y)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# Name, reference, range of the inputs, units of the last place allowed (the device's documented bounds and one more).
UNARY: list[tuple[str, Callable, float, float, int]] = [
    ("exp", np.exp, -20, 20, 3),
    ("exp2", np.exp2, -20, 20, 3),
    ("exp10", lambda x: np.exp2(x * np.log2(x.dtype.type(10))), -4, 4, 8),
    ("expm1", np.expm1, -3, 3, 3),
    ("log", np.log, 1e-6, 1000, 3),
    ("log2", np.log2, 1e-6, 1000, 3),
    ("log10", np.log10, 1e-6, 1000, 4),
    ("log1p", np.log1p, -0.9, 100, 3),
    ("sqrt", np.sqrt, 0, 1000, 1),
    ("rsqrt", lambda x: 1 / np.sqrt(x), 1e-3, 1000, 3),
    ("sin", np.sin, -20, 20, 3),
    ("cos", np.cos, -20, 20, 3),
    ("tan", np.tan, -20, 20, 5),
    ("sinh", np.sinh, -9, 9, 4),
    ("cosh", np.cosh, -9, 9, 4),
    ("tanh", np.tanh, -5, 5, 4),
    ("asin", np.arcsin, -1, 1, 4),
    ("acos", np.arccos, -1, 1, 4),
    ("atan", np.arctan, -20, 20, 4),
    ("asinh", np.arcsinh, -20, 20, 4),
    ("acosh", np.arccosh, 1, 50, 5),
    ("atanh", np.arctanh, -0.99, 0.99, 4),
    ("erf", erf, -4, 4, 4),
    ("sigmoid", sigmoid, -15, 15, 4),
]
EXACT_UNARY: list[tuple[str, Callable]] = [
    ("floor", np.floor),
    ("ceil", np.ceil),
    ("trunc", np.trunc),
    ("nearbyint", np.rint),
    ("round", lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x)),
]
BINARY: list[tuple[str, Callable, int]] = [
    ("atan2", np.arctan2, 4),
    ("pow", lambda x, y: np.power(np.abs(x), y), 12),
    ("hypot", np.hypot, 4),
    ("fmod", np.fmod, 0),
    ("copysign", np.copysign, 0),
]
# Absolute errors are for arguments near which the function vanishes.
FAST: list[tuple[str, Callable, float, float, float, float]] = [
    ("fast_exp", np.exp, -10, 10, 1e-5, 0),
    ("fast_exp2", np.exp2, -10, 10, 1e-6, 0),
    ("fast_exp10", lambda x: 10.0**x, -4, 4, 1e-5, 0),
    ("fast_log", np.log, 1e-3, 1000, 1e-6, 4e-7),
    ("fast_log2", np.log2, 1e-3, 1000, 1e-6, 4e-7),
    ("fast_log10", np.log10, 1e-3, 1000, 1e-6, 4e-7),
    ("fast_sin", np.sin, -3, 3, 0, 1e-6),
    ("fast_cos", np.cos, -3, 3, 0, 1e-6),
    ("fast_tan", np.tan, -1.2, 1.2, 1e-5, 1e-6),
    ("fast_tanh", np.tanh, -5, 5, 1e-3, 0),
    ("fast_rcp", lambda x: 1 / x, 1e-3, 1000, 1e-6, 0),
    ("fast_sqrt", np.sqrt, 1e-3, 1000, 1e-6, 0),
    ("fast_rsqrt", lambda x: 1 / np.sqrt(x), 1e-3, 1000, 1e-6, 0),
]


def sample(kind: str, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    values = rng.uniform(low, high, COUNT)
    if kind in SMALL:
        codes = SMALL[kind].encode_array(values).astype(np.uint16)
        decoded = SMALL[kind].values[codes]
        return codes[(decoded >= low) & (decoded <= high)]
    stored = values.astype(TYPES[kind][1])
    return stored[(stored >= low) & (stored <= high)]


def wide(kind: str, stored: np.ndarray) -> np.ndarray:
    """The values in a type with spare precision."""
    return stored.astype(np.longdouble) if kind == "f64" else decode(kind, stored)


def within(kind: str, inputs: list[np.ndarray], expected: np.ndarray, ulps: int) -> Callable:
    # A result of 16 bits is the float result rounded: at most the neighbour of the nearest.
    units = ulps if kind in ("f32", "f64") else 1
    expected = expected.astype(np.float64)
    if kind in SMALL:
        expected = SMALL[kind].values[SMALL[kind].encode_array(expected)]
    compare = close(inputs, expected, units * ULP[kind], units * TINY[kind])
    return lambda got: compare(decode(kind, got))


def unary_cases(rng: np.random.Generator) -> list[Case]:
    result = []
    for kind in ("f32", "f64", "f16", "bf16"):
        for name, reference, low, high, ulps in UNARY:
            stored = sample(kind, low, high, rng)
            check = within(kind, [stored], reference(wide(kind, stored)), ulps)
            inputs = [(kind, stored)]
            result.append(elementwise(f"{name}_{kind}", f"ts::{name}(a)", [name], inputs, kind, check))
        for name, reference in EXACT_UNARY:
            stored = np.concatenate([sample(kind, -40, 40, rng), halves(kind)])
            expected = reference(decode(kind, stored))
            if kind in SMALL:
                check = equal_bits([stored], SMALL[kind].encode_array(expected))
            else:
                check = equal_numbers([stored], expected)
            result.append(elementwise(f"{name}_{kind}", f"ts::{name}(a)", [name], [(kind, stored)], kind, check))
    return result


def halves(kind: str) -> np.ndarray:
    values = np.arange(-40, 41) / 2.0
    values = np.concatenate([values, [-0.0, -0.25]])
    if kind in SMALL:
        return SMALL[kind].encode_array(values).astype(np.uint16)
    return values.astype(TYPES[kind][1])


def binary_cases(rng: np.random.Generator) -> list[Case]:
    result = []
    for kind in ("f32", "f64", "f16", "bf16"):
        x, y = sample(kind, -6, 6, rng), sample(kind, -6, 6, rng)
        count = min(len(x), len(y))
        x, y = x[:count], y[:count]
        for name, reference, ulps in BINARY:
            check = within(kind, [x, y], reference(wide(kind, x), wide(kind, y)), ulps)
            expression = f"ts::{name}({'ts::abs(a)' if name == 'pow' else 'a'}, b)"
            inputs = [(kind, x), (kind, y)]
            result.append(elementwise(f"{name}_{kind}", expression, [name, "abs"], inputs, kind, check))
        e = rng.integers(-8, 8, count).astype(np.int32)
        check = within(kind, [x, e], wide(kind, x) * 2.0**e, 0)
        inputs = [(kind, x), ("i32", e)]
        result.append(elementwise(f"ldexp_{kind}", "ts::ldexp(a, b)", ["ldexp"], inputs, kind, check))
    for kind in ("f32", "f64"):
        dtype = TYPES[kind][1]
        a, b, c = (rng.standard_normal(COUNT).astype(dtype) for _ in range(3))
        exact = [Fraction(float(p)) * Fraction(float(q)) + Fraction(float(r)) for p, q, r in zip(a, b, c, strict=True)]
        expected = np.array([directed(x, kind, "rn") for x in exact])
        inputs = [(kind, a), (kind, b), (kind, c)]
        result.append(
            elementwise(f"fma_{kind}", "ts::fma(a, b, c)", ["fma"], inputs, kind, equal_numbers([a, b, c], expected))
        )
        x, y = random_bits(kind, COUNT, rng), random_bits(kind, COUNT, rng)
        check = equal_numbers([x, y], nextafter(x, y))
        result.append(
            elementwise(f"nextafter_{kind}", "ts::nextafter(a, b)", ["nextafter"], [(kind, x), (kind, y)], kind, check)
        )
        result += selection_cases(kind, rng)
    return result


def selection_cases(kind: str, rng: np.random.Generator) -> list[Case]:
    """min, max, abs and the classes of float and double, on every kind of value."""
    dtype = TYPES[kind][1]
    special = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, np.finfo(dtype).tiny], dtype=dtype)
    grid = np.array(np.meshgrid(special, special)).reshape(2, -1)
    x = np.concatenate([random_bits(kind, COUNT, rng), grid[0]])
    y = np.concatenate([random_bits(kind, COUNT, rng), grid[1]])
    signed = lambda v: np.where(v == 0, np.where(np.signbit(v), -1, 1) * np.finfo(dtype).tiny, v)
    less = signed(x) < signed(y)
    any_nan = np.isnan(x) | np.isnan(y)
    smaller, larger = np.where(less, x, y), np.where(less, y, x)
    one = np.where(np.isnan(x), y, x)
    expected = {
        "min": np.where(any_nan, one, smaller),
        "max": np.where(any_nan, one, larger),
        "min_nan": np.where(any_nan, dtype(np.nan), smaller),
        "max_nan": np.where(any_nan, dtype(np.nan), larger),
    }
    # tiny itself is among the values and would tie with zero in the order above.
    keep = ~((np.abs(x) <= np.finfo(dtype).tiny) & (np.abs(y) <= np.finfo(dtype).tiny) & (np.abs(x) != np.abs(y)))
    inputs = [(kind, x[keep]), (kind, y[keep])]
    result = []
    for name, value in expected.items():
        check = equal_numbers([x[keep], y[keep]], value[keep])
        result.append(elementwise(f"{name}_{kind}", f"ts::{name}(a, b)", [name], inputs, kind, check))
    for name in ("abs", "fabs"):
        check = equal_numbers([x], np.abs(x))
        result.append(elementwise(f"{name}_{kind}", f"ts::{name}(a)", [name], [(kind, x)], kind, check))
    for name, test in (("isnan", np.isnan), ("isinf", np.isinf), ("isfinite", np.isfinite)):
        check = equal_bits([x], test(x))
        result.append(elementwise(f"{name}_{kind}", f"ts::{name}(a)", [name], [(kind, x)], "bool", check))
    return result


# The function of ptx/bits.cuh behind it, where the name differs.
COUNTS = {"popcount": ("popc",)}


def integer_cases(rng: np.random.Generator) -> list[Case]:
    result = []
    for kind in ("i32", "u32", "i64", "u64", "i8", "u16"):
        dtype = np.dtype(TYPES[kind][1])
        x = random_bits(kind, COUNT, rng) >> rng.integers(0, dtype.itemsize * 8, COUNT).astype(dtype)
        x[:4] = [0, 1, np.iinfo(dtype).max, np.iinfo(dtype).min]
        y = random_bits(kind, COUNT, rng) >> rng.integers(0, dtype.itemsize * 8 - 1, COUNT).astype(dtype)
        y[(y == 0) | ((dtype.kind == "i") & (y == dtype.type(-1 if dtype.kind == "i" else 0)))] = 3
        width = dtype.itemsize * 8
        bits = [format(int(v) & ((1 << width) - 1), f"0{width}b") for v in x]
        table = {
            "popcount": ("ts::popcount(a)", "i32", [b.count("1") for b in bits]),
            "clz": ("ts::clz(a)", "i32", [width - len(b.lstrip("0")) for b in bits]),
            "ffs": ("ts::ffs(a)", "i32", [b[::-1].find("1") + 1 for b in bits]),
            "floordiv": ("ts::floordiv(a, b)", kind, [int(p) // int(q) for p, q in zip(x, y, strict=True)]),
            "floormod": ("ts::floormod(a, b)", kind, [int(p) % int(q) for p, q in zip(x, y, strict=True)]),
            "min": ("ts::min(a, b)", kind, np.minimum(x, y)),
            "max": ("ts::max(a, b)", kind, np.maximum(x, y)),
            "wrapping_add": ("ts::wrapping_add(a, b)", kind, x + y),
            "wrapping_sub": ("ts::wrapping_sub(a, b)", kind, x - y),
            "wrapping_mul": ("ts::wrapping_mul(a, b)", kind, x * y),
            "wrapping_neg": ("ts::wrapping_neg(a)", kind, np.zeros_like(x) - x),
            "wrapping_shl": ("ts::wrapping_shl(a, 3)", kind, x << dtype.type(3)),
        }
        if dtype.kind == "i":
            table["abs"] = ("ts::abs(a)", kind, np.abs(x))
        for name, (expression, out, expected) in table.items():
            # The dtype is named: a list of integers beyond int64 would become float64.
            check = equal_bits([x, y], np.array(expected, dtype=TYPES[out][1]))
            inputs = [(kind, x), (kind, y)] if "b)" in expression else [(kind, x)]
            functions = [name, *COUNTS.get(name, ())]
            result.append(elementwise(f"{name}_{kind}", expression, functions, inputs, out, check))
    return result


def fast_cases(rng: np.random.Generator) -> list[Case]:
    result = []
    for name, reference, low, high, relative, absolute in FAST:
        x = sample("f32", low, high, rng)
        check = close([x], reference(x.astype(np.float64)), relative, absolute)
        functions = [name, APPROXIMATE.get(name, name)]
        result.append(elementwise(name, f"ts::{name}(a)", functions, [("f32", x)], "f32", check))
    x, y = sample("f32", 0.1, 10, rng), sample("f32", 0.1, 10, rng)
    count = min(len(x), len(y))
    x, y = x[:count], y[:count]
    inputs = [("f32", x), ("f32", y)]
    for name, expected, relative in (
        ("fast_div", x.astype(np.float64) / y, 1e-6),
        ("fast_pow", x.astype(np.float64) ** y, 1e-4),
    ):
        check = close([x, y], expected, relative)
        functions = [name, APPROXIMATE.get(name, name)]
        result.append(elementwise(name, f"ts::{name}(a, b)", functions, inputs, "f32", check))
    return result


def directed(x: Fraction, kind: str, mode: str) -> float:
    """A fraction as float or double, rounded by the mode; the values here neither overflow nor vanish."""
    dtype = TYPES[kind][1]
    mantissa = 23 if kind == "f32" else 52
    if x == 0:
        return dtype(0)
    exponent = abs(x.numerator).bit_length() - x.denominator.bit_length()
    if Fraction(2) ** exponent > abs(x):
        exponent -= 1
    unit = Fraction(2) ** (exponent - mantissa)
    steps = x / unit
    floor = steps.numerator // steps.denominator
    if mode == "rn":
        rounded = round(steps)
    elif mode == "rm" or (mode == "rz" and x > 0):
        rounded = floor
    else:
        rounded = floor + (floor != steps)
    return dtype(float(rounded * unit))


def square_root(x: Fraction) -> Fraction:
    """To 200 bits, with a last bit that says inexact: enough for any rounding to 53."""
    scaled = (x.numerator << 400) // x.denominator
    root = math.isqrt(scaled)
    inexact = root * root != scaled or (scaled * x.denominator) != (x.numerator << 400)
    return Fraction(2 * root + inexact, 1 << 201)


def rounded_cases(rng: np.random.Generator) -> list[Case]:
    operations = {
        "add": (2, lambda x, y: x + y),
        "sub": (2, lambda x, y: x - y),
        "mul": (2, lambda x, y: x * y),
        "div": (2, lambda x, y: x / y),
        "rcp": (1, lambda x: 1 / x),
        "sqrt": (1, lambda x: square_root(abs(x))),
        "fma": (3, lambda x, y, z: x * y + z),
    }
    result = []
    for kind in ("f32", "f64"):
        dtype = TYPES[kind][1]
        values = [(rng.standard_normal(600) * 2.0 ** rng.integers(-9, 9, 600)).astype(dtype) for _ in range(3)]
        fractions = [[Fraction(float(v)) for v in column] for column in values]
        for name, (arity, exact) in operations.items():
            results = [exact(*row) for row in zip(*fractions[:arity], strict=True)]
            for mode in ("rn", "rz", "rm", "rp"):
                expected = np.array([directed(x, kind, mode) for x in results], dtype=dtype)
                arguments = "ts::abs(a)" if name == "sqrt" else ", ".join("abc"[:arity])
                inputs = [(kind, v) for v in values[:arity]]
                full = f"{name}_{mode}"
                check = equal_numbers(values[:arity], expected)
                result.append(elementwise(f"{full}_{kind}", f"ts::{full}({arguments})", [full], inputs, kind, check))
    x = sample("f32", 1e-3, 1000, rng)
    expected = np.array([directed(square_root(1 / Fraction(float(v))), "f32", "rn") for v in x])
    check = equal_numbers([x], expected)
    result.append(elementwise("rsqrt_rn_f32", "ts::rsqrt_rn(a)", ["rsqrt_rn"], [("f32", x)], "f32", check))
    return result


def cases(seed: int) -> list[Case]:
    rng = np.random.default_rng(seed)
    return [
        *unary_cases(rng),
        *binary_cases(rng),
        *integer_cases(rng),
        *fast_cases(rng),
        *rounded_cases(rng),
    ]
