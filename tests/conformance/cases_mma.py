# SPDX-License-Identifier: MIT
"""mma.sync of every shape and type, ldmatrix and stmatrix, against matrices laid out by the formulas of the PTX manual.

Fragment positions are computed here from "Matrix Fragments for mma.m16n8k16" and its neighbours, element by element,
which is not how either side computes them.
"""

from __future__ import annotations

import numpy as np

from tests.conformance.formats import F16, SMALL, TYPES, random_bits
from tests.conformance.harness import Case, Mismatch, kernel, poisoned

HEADER = ("ptx/mma_sync",)
BITS = {"f16": 16, "bf16": 16, "tf32": 32, "f64": 64, "e4m3": 8, "e5m2": 8, "s8": 8, "u8": 8, "s4": 4, "u4": 4}


def position_a(m_rows: int, bits: int, lane: int, element: int) -> tuple[int, int]:
    """Row and column of A's element `element` (a0, a1, …) of a lane."""
    group, thread = lane >> 2, lane & 3
    if bits >= 32:
        row = group + 8 * (element % (m_rows // 8))
        return row, thread + 4 * (element // (m_rows // 8))
    each = 32 // bits
    register, inside = divmod(element, each)
    row = group + 8 * (register % (m_rows // 8))
    return row, thread * each + inside + 4 * each * (register // (m_rows // 8))


def position_b(bits: int, lane: int, element: int) -> tuple[int, int]:
    """Row (k) and column (n) of B's element `element` of a lane."""
    group, thread = lane >> 2, lane & 3
    if bits >= 32:
        return thread + 4 * element, group
    each = 32 // bits
    register, inside = divmod(element, each)
    return thread * each + inside + 4 * each * register, group


def position_c(lane: int, element: int) -> tuple[int, int]:
    return (lane >> 2) + 8 * (element // 2), (lane & 3) * 2 + element % 2


def random_matrix(kind: str, rows: int, columns: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Codes and values. Floats are of like size, a few subnormal; integers cover their range."""
    shape = (rows, columns)
    if kind in ("s8", "u8", "s4", "u4"):
        width = BITS[kind]
        codes = rng.integers(0, 1 << width, shape).astype(np.uint64)
        values = codes.astype(np.int64)
        if kind[0] == "s":
            values = np.where(values >= 1 << (width - 1), values - (1 << width), values)
        return codes, values
    if kind == "f64":
        values = rng.standard_normal(shape)
        return values.view(np.uint64), values
    if kind == "tf32":
        codes = rng.standard_normal(shape).astype(np.float32).view(np.uint32)
        return codes.astype(np.uint64), (codes & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64)
    codes = SMALL[kind].encode_array(rng.standard_normal(shape))
    codes = np.where(rng.random(shape) < 0.02, rng.integers(0, 1 << SMALL[kind].mantissa, shape), codes)
    return codes.astype(np.uint64), SMALL[kind].values[codes]


def pack(codes: np.ndarray, bits: int) -> np.ndarray:
    """Elements of lanes, [32, n], as [32, words] of 32 bits, the first element lowest."""
    if bits == 64:
        return np.ascontiguousarray(codes).view(np.uint32)
    if bits == 32:
        return codes.astype(np.uint32)
    each = 32 // bits
    grouped = codes.reshape(32, -1, each) << (np.arange(each, dtype=np.uint64) * np.uint64(bits))
    return np.bitwise_or.reduce(grouped, axis=2).astype(np.uint32)


def fragment(matrix: np.ndarray, where) -> np.ndarray:
    count = matrix.size // 32
    return np.array([[matrix[where(lane, e)] for e in range(count)] for lane in range(32)])


def mma_case(m: int, k: int, c_kind: str, a_kind: str, b_kind: str, rng: np.random.Generator) -> Case:
    bits = BITS[a_kind]
    a_codes, a = random_matrix(a_kind, m, k, rng)
    b_codes, b = random_matrix(b_kind, k, 8, rng)
    storage = {"s32": "i32"}.get(c_kind, c_kind)
    if c_kind == "s32":
        # Some sums pass 2^31: they wrap.
        c = rng.integers(-(2**31), 2**31, (m, 8))
        c_stored = c.astype(np.int32)
    elif c_kind == "f16":
        c_stored = F16.encode_array(rng.standard_normal((m, 8))).astype(np.uint16)
        c = F16.values[c_stored]
    else:
        c_stored = rng.standard_normal((m, 8)).astype(TYPES[storage][1])
        c = c_stored.astype(np.float64)
    a_words = pack(fragment(a_codes, lambda lane, e: position_a(m, bits, lane, e)), bits)
    b_words = pack(fragment(b_codes, lambda lane, e: position_b(bits, lane, e)), bits)
    c_lanes = np.ascontiguousarray(fragment(c_stored, position_c))
    na, nb, nc = a_words.shape[1], b_words.shape[1], c_lanes.shape[1]
    exact = a.astype(np.float64) @ b.astype(np.float64)
    scale = np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64) + np.abs(c)

    def check(args: list) -> None:
        for got in (args[3], args[4]):  # d apart from c, and d in c's place
            d = np.zeros((m, 8), dtype=got.dtype)
            for lane in range(32):
                for e in range(nc):
                    d[position_c(lane, e)] = got.reshape(32, nc)[lane, e]
            if c_kind == "s32":
                want = (exact.astype(np.int64) + c).astype(np.int32)
                Mismatch().report((d != want).ravel(), d.ravel(), want.ravel())
                continue
            want = exact + c
            value = F16.values[d] if c_kind == "f16" else d.astype(np.float64)
            # Half a unit of the result and, for each of k additions, one of a sum no larger than the scale.
            # Machines sum products of eight-bit floats in 13 bits, in 11 for an f16 accumulator.
            unit = {"f16": 2.0**-11, "f32": 2.0**-23, "f64": 2.0**-52}[c_kind]
            per_term = {"f16": 2.0**-11, "f32": 2.0**-13}[c_kind] if bits == 8 else unit * k
            bound = np.abs(want) * unit + scale * per_term
            Mismatch().report((np.abs(value - want) > bound).ravel(), value.ravel(), want.ravel())

    name = f"mma_m{m}n8k{k}_{c_kind}_{a_kind}_{b_kind}"
    c_type = TYPES[storage][0]
    body = f"""
const int lane = ts::lane_id();
TS_LOCAL(ts::u32, a, {na});
TS_LOCAL(ts::u32, b, {nb});
TS_LOCAL({c_type}, c, {nc});
TS_LOCAL({c_type}, d, {nc});
for (int i = 0; i < {na}; ++i) a[i] = p0[lane * {na} + i];
for (int i = 0; i < {nb}; ++i) b[i] = p1[lane * {nb} + i];
for (int i = 0; i < {nc}; ++i) c[i] = p2[lane * {nc} + i];
ts::ptx::{name}(d, a, b, c);
ts::ptx::{name}(c, a, b, c);
for (int i = 0; i < {nc}; ++i) p3[lane * {nc} + i] = d[i];
for (int i = 0; i < {nc}; ++i) p4[lane * {nc} + i] = c[i];"""
    kinds = ["const u32*", "const u32*", f"const {storage}*", f"{storage}*", f"{storage}*"]
    count = 32 * nc
    return Case(
        name=f"test_{name}",
        functions=(name,),
        text=kernel(f"test_{name}", kinds, body),
        args=[a_words.ravel(), b_words.ravel(), c_lanes.ravel(), poisoned(storage, count), poisoned(storage, count)],
        check=check,
        headers=HEADER,
        feature="fp8" if a_kind in ("e4m3", "e5m2") else "",
    )


def ldmatrix_case(count: int, transpose: bool, rng: np.random.Generator) -> Case:
    """Rows lie 48 bytes apart in a shuffled order, so a wrong address shows."""
    rows = rng.permutation(32).astype(np.int32)
    tile = random_bits("u16", 32 * 24, rng)
    suffix = "_trans" if transpose else ""
    name = f"ldmatrix_x{count}{suffix}"
    body = f"""
const int lane = ts::lane_id();
TS_SMEM(ts::u16, tile, 768, 0);
for (int i = lane; i < 768; i += 32) tile[i] = p0[i];
ts::cta_sync();
TS_LOCAL(ts::u32, r, {count});
ts::ptx::{name}(r, tile + p1[lane] * 24);
for (int i = 0; i < {count}; ++i) p2[lane * {count} + i] = r[i];"""
    expected = np.zeros((32, count, 2), dtype=np.uint16)
    for lane in range(32):
        for matrix in range(count):
            for h in range(2):
                row, column = lane // 4, lane % 4 * 2 + h
                if transpose:
                    row, column = column, row
                expected[lane, matrix, h] = tile[rows[8 * matrix + row] * 24 + column]
    want = expected.reshape(-1).view(np.uint32)

    def check(args: list) -> None:
        Mismatch().report(args[2] != want, args[2], want)

    return Case(
        name=f"test_{name}",
        functions=(name,),
        text=kernel(f"test_{name}", ["const u16*", "const i32*", "u32*"], body),
        args=[tile, rows, poisoned("u32", 32 * count)],
        check=check,
        headers=("ptx/ldmatrix",),
        shared=768 * 2,
    )


def stmatrix_case(count: int, transpose: bool, rng: np.random.Generator) -> Case:
    rows = rng.permutation(32).astype(np.int32)
    registers = random_bits("u32", 32 * count, rng)
    suffix = "_trans" if transpose else ""
    name = f"stmatrix_x{count}{suffix}"
    body = f"""
const int lane = ts::lane_id();
TS_SMEM(ts::u16, tile, 768, 0);
for (int i = lane; i < 768; i += 32) tile[i] = 7;
ts::cta_sync();
TS_LOCAL(ts::u32, r, {count});
for (int i = 0; i < {count}; ++i) r[i] = p0[lane * {count} + i];
ts::ptx::{name}(tile + p1[lane] * 24, r);
ts::cta_sync();
for (int i = lane; i < 768; i += 32) p2[i] = tile[i];"""
    want = np.full(768, 7, dtype=np.uint16)
    halves = registers.view(np.uint16).reshape(32, count, 2)
    for lane in range(32):
        for matrix in range(count):
            for h in range(2):
                row, column = lane // 4, lane % 4 * 2 + h
                if transpose:
                    row, column = column, row
                want[rows[8 * matrix + row] * 24 + column] = halves[lane, matrix, h]

    def check(args: list) -> None:
        Mismatch().report(args[2] != want, args[2], want)

    return Case(
        name=f"test_{name}",
        functions=(name,),
        text=kernel(f"test_{name}", ["const u32*", "const i32*", "u16*"], body),
        args=[registers, rows, poisoned("u16", 768)],
        check=check,
        headers=("ptx/ldmatrix",),
        shared=768 * 2,
        feature="sm_90",
    )


def cases(seed: int) -> list[Case]:
    rng = np.random.default_rng(seed)
    shapes = [
        (16, 16, "f32", "f16", "f16"),
        (16, 8, "f32", "f16", "f16"),
        (16, 16, "f32", "bf16", "bf16"),
        (16, 8, "f32", "bf16", "bf16"),
        (16, 8, "f32", "tf32", "tf32"),
        (16, 4, "f32", "tf32", "tf32"),
        (16, 16, "f16", "f16", "f16"),
        (16, 8, "f16", "f16", "f16"),
        (8, 4, "f64", "f64", "f64"),
    ]
    for x in ("s", "u"):
        for y in ("s", "u"):
            shapes += [(m, k, "s32", f"{x}8", f"{y}8") for m, k in ((16, 32), (16, 16), (8, 16))]
            shapes += [(m, k, "s32", f"{x}4", f"{y}4") for m, k in ((16, 64), (16, 32), (8, 32))]
    for x in ("e4m3", "e5m2"):
        for y in ("e4m3", "e5m2"):
            shapes += [(16, 32, "f32", x, y), (16, 32, "f16", x, y)]
    result = [mma_case(*shape, rng) for shape in shapes]
    for count in (1, 2, 4):
        for transpose in (False, True):
            result += [ldmatrix_case(count, transpose, rng), stmatrix_case(count, transpose, rng)]
    return result
