# SPDX-License-Identifier: MIT
"""ts::cast and ts::cast_vec: every pair of types, exhaustive from 8 and 16 bits, else random codes and edges."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from tests.conformance.formats import SMALL, TYPES, all_codes, decode, random_bits
from tests.conformance.harness import Case, elementwise, equal_bits, equal_codes, equal_numbers, kernel, poisoned

INTEGERS = ("i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64")
FLOATS = ("f16", "bf16", "e4m3", "e5m2", "tf32", "f32", "f64")

# Conversions that are one function of ptx/half.cuh, ptx/fp8.cuh or ptx/convert.cuh.
DIRECT = {("f32", t): (f"{t}_from_f32",) for t in ("f16", "bf16", "tf32", "e4m3", "e5m2")}
DIRECT |= {(t, "f32"): (f"{t}_to_f32",) for t in ("f16", "bf16")}
DIRECT |= {(t, "f16"): (f"{t}_to_f16",) for t in ("e4m3", "e5m2")}
DIRECT |= {(s, t): (f"f32_from_{s}_odd",) for s in ("f64", "i64", "u64") for t in SMALL}
DIRECT |= {(s, t): ("truncate",) for s in ("f32", "f64") for t in ("i32", "u32", "i64", "u64")}
PAIRED = {("f32", t): (f"{t}x2_from_f32",) for t in ("f16", "bf16", "e4m3", "e5m2")}
PAIRED |= {("f16", t): (f"{t}x2_from_f16x2",) for t in ("e4m3", "e5m2")}
PAIRED |= {(t, "f16"): (f"{t}x2_to_f16x2",) for t in ("e4m3", "e5m2")}


def edges(source: str) -> np.ndarray:
    """Values around the places where conversions change: ties, overflow, subnormals, integer bounds."""
    dtype = TYPES[source][1]
    if source in ("f32", "f64"):
        points = [0.0, 1.0, 0.5, 1.5, 2.5, 448.0, 464.0, 480.0, 57344.0, 61440.0, 65504.0, 65520.0, 3.4e38]
        points += [2.0**e for e in range(-150, 128, 1)] + [1.5 * 2.0**e for e in range(-150, 127)]
        points += [2.0**e for e in (31, 32, 63, 64)] + [2.0**31 - 1, 2.0**32 - 1]
        for fmt in SMALL.values():
            finite = fmt.values[: fmt.largest + 1]
            some = np.unique(np.linspace(0, len(finite) - 2, 150).astype(int))
            points += list(finite[some]) + list((finite[some] + finite[some + 1]) / 2)
        base = np.array(points, dtype=np.float64)
        with np.errstate(over="ignore"):
            base = base.astype(dtype)
        near = [base, np.nextafter(base, dtype(np.inf)), np.nextafter(base, dtype(-np.inf))]
        values = np.concatenate([*near, np.array([np.inf, np.nan, 0.0], dtype=dtype)])
        return np.concatenate([values, -values])
    info = np.iinfo(dtype)
    points = [0, 1, info.max, info.min, info.max - 1]
    for e in range(np.dtype(dtype).itemsize * 8 - 1):
        points += [(1 << e) + d for d in (-1, 0, 1)] + [3 << e >> 1, (3 << e >> 1) + 1]
        points += [(257 << e) + d for d in (-1, 0, 1)] + [(2049 << e) + d for d in (-1, 0, 1)]
    if info.min < 0:
        points += [-p for p in points]
    return np.array([p for p in points if info.min <= p <= info.max], dtype=dtype)


def inputs_of(source: str, rng: np.random.Generator) -> np.ndarray:
    if np.dtype(TYPES[source][1]).itemsize <= 2:
        return np.array([0, 1], dtype=np.uint8) if source == "bool" else all_codes(source)
    if source == "tf32":
        return random_bits(source, 2048, rng) & np.uint32(0xFFFFE000)
    bits = random_bits(source, 2048, rng)
    if source in ("f32", "f64"):
        scale = 2.0 ** rng.uniform(-30, 70, 2048)
        with np.errstate(over="ignore"):
            usual = (rng.standard_normal(2048) * scale).astype(TYPES[source][1])
        return np.concatenate([bits, usual, edges(source)])
    return np.concatenate([bits, bits >> rng.integers(0, 40, 2048).astype(bits.dtype), edges(source)])


def to_integer(values: np.ndarray, target: str, double: bool) -> np.ndarray:
    """Toward zero, saturating at 32 or 64 bits; the narrower ones are the low bits of 32. NaN: as an H200 does it."""
    dtype = np.dtype(TYPES[target][1])
    signed = dtype.kind == "i"
    width = max(32, dtype.itemsize * 8)
    low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
    nan = 0 if width == 32 and not double else 1 << (width - 1)
    out = []
    for v in values.astype(np.float64):
        if np.isnan(v):
            exact = nan
        elif np.isinf(v):
            exact = high if v > 0 else low
        else:
            exact = min(max(int(v), low), high)
        out.append(exact & ((1 << (8 * dtype.itemsize)) - 1))
    return np.array(out, dtype=np.uint64).astype(f"u{dtype.itemsize}").view(dtype)


def to_tf32(values: np.ndarray) -> np.ndarray:
    """Nearest with ties away, of values that are floats; the low 13 bits are not compared."""
    w = values.view(np.uint32).astype(np.uint64)
    return np.where(np.isfinite(values), (w + 0x1000) & 0xFFFFE000, w & 0xFFFFE000).astype(np.uint32)


def cast_case(source: str, target: str, rng: np.random.Generator) -> Case:
    stored = inputs_of(source, rng)
    values = decode(source, stored)
    name = f"cast_{source}_{target}"
    integer_source = source in INTEGERS or source == "bool"
    if target in SMALL:
        fmt = SMALL[target]
        if source in ("f64", "i64", "u64"):  # not exact in float64 halves of two neighbours
            exact = [fmt.round(Fraction(int(v))) if integer_source else fmt.encode(float(v)) for v in values.tolist()]
            expected = np.array(exact)
        else:
            expected = fmt.encode_array(values.astype(np.float64))
        check = equal_codes(fmt, [stored], expected)
    elif target == "tf32":
        with np.errstate(over="ignore", invalid="ignore"):
            single = values.astype(np.float32)
        expected = to_tf32(single)
        nan = np.isnan(single)

        def check(got: np.ndarray) -> None:
            equal_bits([stored[~nan]], expected[~nan])(got[~nan] & np.uint32(0xFFFFE000))
            assert np.isnan(got[nan].view(np.float32)).all()

    elif target in ("f32", "f64"):
        with np.errstate(over="ignore", invalid="ignore"):
            expected = values.astype(TYPES[target][1])
        check = equal_numbers([stored], expected)
    elif target == "bool":
        check = equal_bits([stored], (values != 0).astype(np.uint8))
    elif integer_source:
        check = equal_bits([stored], stored.astype(TYPES[target][1]))
    else:
        check = equal_bits([stored], to_integer(values, target, source == "f64"))
    expression = f"ts::cast<{TYPES[target][0]}>(a)"
    functions = ["cast", *DIRECT.get((source, target), ())]
    return elementwise(name, expression, functions, [(source, stored)], target, check)


def cast_vec_case(source: str, target: str, lanes: int, rng: np.random.Generator) -> Case:
    stored = inputs_of(source, rng)
    stored = stored[: len(stored) // lanes * lanes]
    fmt = SMALL.get(target)
    values = decode(source, stored)
    if fmt:
        check_values = equal_codes(fmt, [stored], fmt.encode_array(values))
    else:
        check_values = equal_numbers([stored], values.astype(TYPES[target][1]))
    count = len(stored) // lanes
    s, t = TYPES[source][0], TYPES[target][0]
    name = f"cast_vec_{source}_{target}_{lanes}"
    body = f"""
const int i = ts::bid_x() * 256 + ts::tid_x();
if (i < p2) {{
  const ts::vec<{s}, {lanes}> a = *(const ts::vec<{s}, {lanes}>*)(p0 + i * {lanes});
  *(ts::vec<{t}, {lanes}>*)(p1 + i * {lanes}) = ts::cast_vec<{t}, {lanes}>(a);
}}"""
    return Case(
        name=name,
        functions=("cast_vec", *PAIRED.get((source, target), ())),
        text=kernel(name, [f"const {source}*", f"{target}*", "int"], body, 256),
        args=[stored, poisoned(target, len(stored)), count],
        check=lambda args: check_values(args[1]),
        grid=(count + 255) // 256,
        block=256,
    )


def nibbles(packed: np.ndarray, signed: bool) -> np.ndarray:
    out = np.stack([packed & 15, packed >> 4], -1).reshape(-1).astype(np.int64)
    return (out ^ 8) - 8 if signed else out


def unpack_case(signed: bool, target: str) -> Case:
    """All bytes as two numbers of four bits each."""
    packed = np.arange(256, dtype=np.uint8)
    values = nibbles(packed, signed)
    fmt = SMALL.get(target)
    if fmt:
        check_values = equal_codes(fmt, [values], fmt.encode_array(values.astype(np.float64)))
    else:
        check_values = equal_bits([values], values.astype(TYPES[target][1]))
    vector, t = ("i4vec" if signed else "u4vec"), TYPES[target][0]
    name = f"cast_vec_{vector}_{target}"
    body = f"""
const int i = ts::tid_x();
const ts::{vector}<4> a = ts::bits<ts::{vector}<4>>(*(const ts::vec<ts::u8, 2>*)(p0 + i * 2));
*(ts::vec<{t}, 4>*)(p1 + i * 4) = ts::cast_vec<{t}, 4>(a);"""
    return Case(
        name=name,
        functions=("cast_vec", "to_i4" if signed else "to_u4"),
        headers=("numeric/int4",),
        text=kernel(name, ["const u8*", f"{target}*"], body, 128),
        args=[packed, poisoned(target, 512)],
        check=lambda args: check_values(args[1]),
        block=128,
    )


def pack_case(signed: bool, source: str, rng: np.random.Generator) -> Case:
    """The low four bits of integers, and of floats that are integers."""
    values = rng.integers(-1000, 1000, 512).astype(TYPES[source][1])
    low = values.astype(np.int64).reshape(-1, 2) & 15
    want = (low[:, 0] | low[:, 1] << 4).astype(np.uint8)
    vector, s = ("i4vec" if signed else "u4vec"), TYPES[source][0]
    name = f"cast_{vector}_{source}"
    body = f"""
const int i = ts::tid_x();
const ts::vec<{s}, 4> a = *(const ts::vec<{s}, 4>*)(p0 + i * 4);
*(ts::vec<ts::u8, 2>*)(p1 + i * 2) = ts::bits<ts::vec<ts::u8, 2>>(ts::cast_{vector}<4>(a));"""
    return Case(
        name=name,
        functions=(f"cast_{vector}",),
        headers=("numeric/int4",),
        text=kernel(name, [f"const {source}*", "u8*"], body, 128),
        args=[values, poisoned("u8", 256)],
        check=lambda args: equal_bits([want], want)(args[1]),
        block=128,
    )


def cases(seed: int) -> list[Case]:
    rng = np.random.default_rng(seed)
    pairs = [(s, t) for s in FLOATS for t in FLOATS if s != t]
    pairs += [(s, t) for s in FLOATS for t in (*INTEGERS, "bool")]
    pairs += [(s, t) for s in (*INTEGERS, "bool") for t in FLOATS]
    pairs += [("i64", "i8"), ("u32", "i64"), ("i32", "bool"), ("i8", "u64")]
    # Two roundings would be needed for these in float64 or float32; no program asks for them.
    unused = {(s, "tf32") for s in ("f64", "i32", "u32", "i64", "u64")}
    result = [cast_case(s, t, rng) for s, t in pairs if (s, t) not in unused]
    for target, lanes in (("f16", 4), ("bf16", 4), ("e4m3", 4), ("e5m2", 4), ("f16", 2), ("f64", 2)):
        result.append(cast_vec_case("f32", target, lanes, rng))
    for source, target, lanes in (
        ("f16", "f32", 4),
        ("bf16", "f32", 4),
        ("e4m3", "f32", 4),
        ("e5m2", "f16", 8),
        ("e4m3", "f16", 8),
        ("e5m2", "f32", 4),
        ("f16", "e4m3", 8),
        ("f16", "e5m2", 8),
        ("bf16", "e5m2", 8),
    ):
        result.append(cast_vec_case(source, target, lanes, rng))
    for signed in (True, False):
        result += [unpack_case(signed, target) for target in ("f16", "bf16", "f32", "i32")]
        result += [pack_case(signed, source, rng) for source in ("i32", "f32")]
    return result
