# SPDX-License-Identifier: MIT
"""The hardware in the reference model: vector width, banks and sectors, TMA boxes, matrix descriptors."""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .compose import compose
from .model import Layout
from .modes import Group, Mode, NotExpressible, cdiv, vec

prod = math.prod


# -- fragment against memory: vectors
def over_digits(frag, mem):
    """mem seen from frag's digits: [(axis, place stride, addr stride, n, coordinate, weight)], with the layout they
    came from."""
    ds = frag.digits()
    walk = lambda d: (Mode(d.n, vec({d.name: d.weight} if d.name != "rep" else {})),)
    B = Layout(tuple(d.n for d in ds), tuple(Group((k,), d.n, walk(d)) for k, d in enumerate(ds)))
    M, out = compose(mem, B), []
    for k, d in enumerate(ds):
        w = 1
        for m in M.group(k).modes:
            out.append((d.axis, d.stride * w, dict(m.v).get("addr", 0), m.n, d.name, d.weight * w))
            w *= m.n
    return out, M


def splits_unevenly(frag, ds):
    """Memory cuts a digit where it does not divide: the parts reach beyond the digit's own values."""
    return prod(n for *_, n, _, _ in ds) != prod(d.n for d in frag.digits())


def vector_width(frag, mem, bits, max_bits=128, base_bits=128):
    """Widest power of two V: every aligned run of V slots of a thread is all outside the domain, or lies on
    consecutive, V-aligned addresses."""
    cap = min(max_bits, base_bits) // bits
    frag = frag.normal()
    try:
        ds, M = over_digits(frag, mem)
    except NotExpressible:
        return width_by_definition(frag, mem, cap)
    if splits_unevenly(frag, ds):
        return width_by_definition(frag, mem, cap)
    run, walked = 1, []
    limits = {".".join(map(str, g.dims)): g.bound for g in frag.groups if prod(m.n for m in g.modes) != g.bound}
    for _axis, s, a, n, name, w in sorted(d for d in ds if d[0] == "slot"):
        if s != run or a != run:
            break
        walked.append((run, n, name, w))
        run *= n

    def ok(V):
        if run % V or dict(M.off).get("addr", 0) % V or (M.swz and (1 << M.swz.base) % V):
            return False
        for axis, s, a, *_ in ds:
            if axis == "slot" and s < V:
                continue
            if a % V or (axis == "slot" and s % V):
                return False
        for at, n, name, w in walked:
            if at < V and (V % at or n % min(n, V // at) or limits.get(name, 0) % (w * min(n, V // at))):
                return False
        return True

    V = 1
    while cap >= 2 * V and ok(2 * V):
        V *= 2
    return V


def width_by_definition(frag, mem, cap):
    pts = frag.points()
    t, s, a = frag.values("thread", pts), frag.values("slot", pts), mem.values("addr", pts)[:, :1]
    own = {
        (int(x), int(y)): int(z)
        for x, y, z in zip(t.ravel(), s.ravel(), np.broadcast_to(a, t.shape).ravel(), strict=False)
    }
    V = cap
    while V > 1:
        runs = {(x, y // V) for x, y in own}
        if all(
            own.get((x, y * V), 1) % V == 0 and all(own.get((x, y * V + i)) == own[x, y * V] + i for i in range(V))
            for x, y in runs
        ):
            return V
        V //= 2
    return 1


# -- memory cost
def bank_cycles(byte_addr, width):
    """Shared-memory wavefronts of one warp access: lanes' byte addresses (None idle), width bytes each.

    16-byte accesses go in four phases of 8 lanes, 8-byte in two of 16, up to 4-byte in one of 32; in a phase each
    bank serves one 4-byte word, equal words are free.
    """
    per = 32 // max(1, width // 4)
    cycles = 0
    for p in range(0, len(byte_addr), per):
        banks = {}
        for x in byte_addr[p : p + per]:
            if x is not None:
                for w in range(x // 4, (x + width - 1) // 4 + 1):
                    banks.setdefault(w % 32, set()).add(w)
        cycles += max(map(len, banks.values()), default=0)
    return cycles


def sectors(byte_addr, width, unit=32):
    """Distinct 32-byte sectors (or 128-byte lines) that one warp access touches."""
    return len({s for x in byte_addr if x is not None for s in range(x // unit, (x + width - 1) // unit + 1)})


def accesses(frag, mem, bits, V, threads=None):
    """Yields per (warp, vector step) the 32 byte addresses of frag <-> mem with V-element vectors; replicas other
    than the first idle."""
    pts = frag.points()
    t, s = frag.values("thread", pts)[:, 0], frag.values("slot", pts)[:, 0]
    a = mem.values("addr", pts)[:, 0]
    T = threads or int(t.max()) + 1
    steps = {}
    for ti, si, ai in zip(t.tolist(), s.tolist(), a.tolist(), strict=False):
        if si % V == 0:
            steps.setdefault((ti // 32, si // V), [None] * 32)[ti % 32] = ai * bits // 8
    return [steps[k] for k in sorted(steps)]


def memory_cost(frag, mem, bits, space):
    """(vector width, wavefronts or sectors over all warps and steps, ideal)."""
    try:
        V = vector_width(frag, mem, bits)
    except NotExpressible:
        V = 1
    acc, w = accesses(frag, mem, bits, V), max(1, V * bits // 8)
    if space == "shared":
        return (
            V,
            sum(bank_cycles(x, w) for x in acc),
            sum(max(1, cdiv(sum(y is not None for y in x) * w, 128)) for x in acc),
        )
    return V, sum(sectors(x, w) for x in acc), cdiv(len(frag.points()) * bits, 8 * 32)


# -- TMA
class TmaPlan(NamedTuple):
    box: tuple  # (global dim, extent), innermost first; all other dims have box 1
    swizzle: int  # bytes: 0, 32, 64, 128
    issues: tuple  # (global dim, coordinate step, n, shared element stride): one instruction per combination
    align: int  # of the shared base address, bytes


def swizzle_bytes(L, bits):
    """Span of the hardware swizzle that this layout's XOR is: 16-byte units, rows 128 bytes apart."""
    if not L.swz:
        return 0
    b = L.swz.base + (bits // 8).bit_length() - 1 if bits >= 8 else L.swz.base - (8 // bits).bit_length() + 1
    if b != 4 or L.swz.shift != 3 or L.swz.bits > 3:
        raise NotExpressible(f"swizzle {L.swz} is not a hardware swizzle for {bits}-bit elements")
    return 16 << L.swz.bits


def tma_plan(smem, gstrides, bits):
    """smem: tile -> addr, same rank as the tensor; gstrides: bytes per global dim.

    A box is a dense run of address digits, each walking its own global dim by 1; what is left over becomes further
    instructions. A flattened or padded-in-the-box digit is not a box.
    """
    L = smem.normal()
    span = swizzle_bytes(L, bits)
    rank = len(L.shape)
    if rank > 5:
        raise NotExpressible(f"rank {rank} > 5")
    inner = next((d for d in reversed(range(rank)) if L.shape[d] > 1), rank - 1)
    if gstrides[inner] * 8 != bits:
        raise NotExpressible(f"global dim {inner} is not contiguous")
    for d, g in enumerate(gstrides):
        if d != inner and (g % 16 or g >= 1 << 40):
            raise NotExpressible(f"global stride {g} of dim {d} is not a multiple of 16 bytes below 2^40")
    if any("." in d.name or d.name == "rep" for d in L.digits()):
        raise NotExpressible("flattened dims or replicas")
    box, issues, at, open_ = [], [], 1, True
    for d in sorted(L.digits(), key=lambda d: d.stride):
        dim, n = int(d.name), d.n
        fits = open_ and d.stride == at and d.weight == 1 and (box or dim == inner)
        if fits:
            n = max(k for k in range(1, min(n, 256) + 1) if d.n % k == 0)
            box.append((dim, n))
            at *= n
        if not fits or n < d.n:
            open_ = False
            done = n if fits else 1
            issues.append((dim, d.weight * done, d.n // done, d.stride * done))
    if not box:
        raise NotExpressible("the innermost dim is not contiguous in shared memory")
    row = box[0][1] * bits // 8
    if row % 16:
        raise NotExpressible(f"inner box of {row} bytes is not a multiple of 16")
    if span and row != span:
        raise NotExpressible(f"inner box of {row} bytes under a {span}-byte swizzle")
    starts = [s for _, _, _, s in issues] + [dict(L.off).get("addr", 0)]
    if any(s * bits % 1024 for s in starts):
        raise NotExpressible("a box does not start at 128 bytes")
    return TmaPlan(tuple(box), span, tuple(issues), {0: 128, 32: 256, 64: 512, 128: 1024}[span])


# -- shared-memory matrix descriptors (wgmma, tcgen05)
class MatrixDescriptor(NamedTuple):
    major: str  # "K" or "MN"
    swizzle: int  # bytes
    lbo: int  # bytes; 0 where the hardware does not read it
    sbo: int
    offsets: dict  # (mn, k) of each instruction tile -> byte offset of its start address (before the swizzle)

    def wgmma(self):
        return (max(self.lbo >> 4, 1), self.sbo >> 4, {0: 0, 128: 1, 64: 2, 32: 3}[self.swizzle])

    def tcgen05(self):
        return (max(self.lbo >> 4, 1), self.sbo >> 4, {0: 0, 128: 2, 64: 4, 32: 6}[self.swizzle])


def matrix_descriptor(smem, bits, mn, k=None):
    """smem: (MN, K) -> addr. Reads the canonical form at one-hot points, rebuilds it, demands equality; so it cannot
    be wrong silently."""
    k = k or 256 // bits
    span = swizzle_bytes(smem, bits)
    W, T = max(span // 16, 1), 128 // bits
    L = replace(smem.normal(), swz=None)
    at = lambda i, j: dict(L(i, j)[0]).get("addr", 0)
    if L.shape[0] % mn or L.shape[1] % k:
        raise NotExpressible(f"tile {L.shape} is not a multiple of the instruction {mn}x{k}")
    tile, o = L.slice(0, 0, mn).slice(1, 0, k), at(0, 0)
    major = "K" if at(0, 1) - o == 1 else "MN"
    if major == "K":
        step, lbo, sbo = (T if W == 1 else W * T), at(0, T) - o, at(8, 0) - o if mn > 8 else 0
        want = f"{mn},{k} | 8:{step}a {mn // 8}:{sbo}a | {T}:1a {k // T}:{T if W > 1 else lbo}a"
        if W > 1:
            lbo = 0
    else:
        mstep, kstep = at(W * T, 0) - o if mn > W * T else 0, at(0, 8) - o
        want = f"{mn},{k} | {W * T}:1a {cdiv(mn, W * T)}:{mstep}a | 8:{W * T}a {k // 8}:{kstep}a"
        lbo, sbo = (kstep, mstep) if W == 1 else (mstep, kstep)
    if replace(tile, off=()) != Layout.parse(want):
        raise NotExpressible(f"not the canonical {major}-major form: {tile} against {want}")
    offs = {}
    for i in range(0, L.shape[0], mn):
        for j in range(0, L.shape[1], k):
            if replace(L.slice(0, i, mn).slice(1, j, k), off=()) != replace(tile, off=()):
                raise NotExpressible(f"instruction tile at {i},{j} has another form")
            b = (at(i, j)) * bits // 8
            if b % 16 or (b // 128) % W:
                raise NotExpressible(f"instruction tile at {i},{j} starts {b} bytes in, inside a swizzle pattern")
            offs[i, j] = b
    return MatrixDescriptor(major, span, lbo * bits // 8, sbo * bits // 8, offs)


def smem_panels(rows, cols, bits, span, transpose=False):
    """(rows, cols), cols contiguous, in panels of `span` bytes, XOR-swizzled: what TMA writes and ldmatrix, wgmma and
    tcgen05 read.
    span 0 is the interleaved form of 16-byte columns (no swizzle). transpose: rows contiguous."""
    if transpose:
        return smem_panels(cols, rows, bits, span).permute((1, 0))
    p = max(span, 16) * 8 // bits
    if cols % p or rows % 8:
        raise NotExpressible(f"{rows}x{cols} does not divide into 8x{p} atoms")
    swz = f" | swz {(span // 16).bit_length() - 1},{(128 // bits).bit_length() - 1},3" if span else ""
    return Layout.parse(f"{rows},{cols} | {rows}:{p}a | {p}:1a {cols // p}:{rows * p}a" + swz)


def ldmatrix_form(frag, smem, bits):
    """(matrices per instruction, transposed) for loading frag from smem, else NotExpressible. stmatrix: the same
    question."""
    e, (ds, M) = 32 // bits, over_digits(frag.normal(), smem)
    t = {(ax, s): (a, n) for ax, s, a, n, _, _ in ds}
    if any(g.bound != prod(m.n for m in g.modes) for g in frag.normal().groups):
        raise NotExpressible("ragged fragment")
    if splits_unevenly(frag.normal(), ds):
        raise NotExpressible("memory splits a digit unevenly")
    if M.swz and (1 << M.swz.base) % (4 * e):
        raise NotExpressible("the swizzle splits 16-byte rows")
    pair, quad, oct_ = t.get(("slot", 1), (0, 1)), t.get(("thread", 1), (0, 1)), t.get(("thread", 4), (0, 1))
    if quad[1] != 4 or oct_[1] != 8:
        raise NotExpressible("lanes are not 8 groups of 4")
    if (pair, quad) == ((1, e), (e, 4)):
        trans = False
    elif bits == 16 and oct_[0] == 1 and pair[1] == 2 and quad[0] == 2 * pair[0]:
        trans = True
    else:
        raise NotExpressible("a thread's register does not hold neighbours of a row or a column")
    rest = [(ax, s, a, n) for ax, s, a, n, _, _ in ds if (ax, s) not in (("slot", 1), ("thread", 1), ("thread", 4))]
    row = pair[0] if trans else oct_[0]
    if any(a % (4 * e) for a in [row, dict(M.off).get("addr", 0)] + [a for _, _, a, _ in rest]):
        raise NotExpressible("rows are not 16-byte aligned")
    return max(x for x in (1, 2, 4) if prod(n for ax, _, _, n in rest if ax == "slot") % x == 0), trans
