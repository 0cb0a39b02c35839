# SPDX-License-Identifier: MIT
"""Hardware forms against the manual's rules, written here as functions of (lane, register) or of byte addresses.

The fragment tables are checked through the core's inverse; TMA plans and matrix descriptors are simulated byte by byte.
"""

import itertools
import math

import numpy as np
import pytest

from tests.layout.core import core, from_core
from tests.layout.oracle import instructions as ins
from tests.layout.oracle.modes import NotExpressible


def coordinate(text, thread, slot):
    """Where the core says that a register's element comes from."""
    got = core.inverse(text, ["thread", "slot"], [thread, slot])
    assert got != "hole", (text, thread, slot)
    return {k: int(v) for k, v in (w.split("=") for w in got.split())}


def check(layout, threads, registers, f):
    """The layout is a bijection onto threads x registers, and f(thread, register) is its coordinate."""
    text, rank = str(layout), len(layout.shape)
    assert math.prod(layout.shape) == threads * registers
    assert core.injective(text) == "yes"
    for thread, slot in itertools.product(range(threads), range(registers)):
        found = coordinate(text, thread, slot)
        assert tuple(found.get(str(d), 0) for d in range(rank)) == tuple(f(thread, slot)), (text, thread, slot)


# PTX ISA, matrix fragments for mma: groupID g = lane >> 2, threadID_in_group t = lane & 3.
MMA = {
    "m16n8k8 f16 A": (ins.mma_a(8, 16), 4, lambda g, t, i: (g if i < 2 else g + 8, t * 2 + (i & 1))),
    "m16n8k8 f16 B": (ins.mma_b(8, 16), 2, lambda g, t, i: (g, t * 2 + i)),
    "m16n8k16 f16 A": (
        ins.mma_a(16, 16),
        8,
        lambda g, t, i: (g if i < 2 or 4 <= i < 6 else g + 8, t * 2 + (i & 1) + (8 if i >= 4 else 0)),
    ),
    "m16n8k16 f16 B": (ins.mma_b(16, 16), 4, lambda g, t, i: (g, t * 2 + (i & 1) + (8 if i >= 2 else 0))),
    "m16n8k4 tf32 A": (ins.mma_a(4, 32), 2, lambda g, t, i: (g if i == 0 else g + 8, t)),
    "m16n8k8 tf32 A": (ins.mma_a(8, 32), 4, lambda g, t, i: (g if i in (0, 2) else g + 8, t if i < 2 else t + 4)),
    "m16n8k8 tf32 B": (ins.mma_b(8, 32), 2, lambda g, t, i: (g, t if i == 0 else t + 4)),
    "m16n8k16 8-bit A": (ins.mma_a(16, 8), 8, lambda g, t, i: (g if i < 4 else g + 8, t * 4 + (i & 3))),
    "m16n8k16 8-bit B": (ins.mma_b(16, 8), 4, lambda g, t, i: (g, t * 4 + i)),
    "m16n8k32 8-bit A": (
        ins.mma_a(32, 8),
        16,
        lambda g, t, i: (g if i < 4 or 8 <= i < 12 else g + 8, t * 4 + (i & 3) + (16 if i >= 8 else 0)),
    ),
    "m16n8k32 8-bit B": (ins.mma_b(32, 8), 8, lambda g, t, i: (g, t * 4 + (i & 3) + (16 if i >= 4 else 0))),
    "m16n8k64 4-bit A": (
        ins.mma_a(64, 4),
        32,
        lambda g, t, i: (g if i < 8 or 16 <= i < 24 else g + 8, t * 8 + (i & 7) + (32 if i >= 16 else 0)),
    ),
    "m16n8k64 4-bit B": (ins.mma_b(64, 4), 16, lambda g, t, i: (g, t * 8 + (i & 7) + (32 if i >= 8 else 0))),
    "m8n8k4 f64 A": (ins.mma_a8(4, 64), 1, lambda g, t, i: (g, t)),
    "m16n8k8 f64 A": (ins.mma_a(8, 64), 4, lambda g, t, i: (g if i in (0, 2) else g + 8, t if i < 2 else t + 4)),
    "m16n8k16 f64 B": (ins.mma_b(16, 64), 4, lambda g, t, i: (g, i * 4 + t)),
    "m16n8 C": (ins.MMA_C, 4, lambda g, t, i: (g if i < 2 else g + 8, t * 2 + (i & 1))),
    "m8n8 C": (ins.MMA_C8, 2, lambda g, t, i: (g, t * 2 + (i & 1))),
}


@pytest.mark.parametrize("name", list(MMA))
def test_mma_sync_fragments(name):
    layout, registers, f = MMA[name]
    check(layout, 32, registers, lambda lane, i: f(lane >> 2, lane & 3, i))


@pytest.mark.parametrize("x", [1, 2, 4])
def test_ldmatrix_fragments(x):
    check(ins.ldmatrix(x), 32, 2 * x, lambda lane, i: (i // 2, lane // 4, 2 * (lane % 4) + i % 2))
    check(ins.ldmatrix(x, True), 32, 2 * x, lambda lane, i: (i // 2, 2 * (lane % 4) + i % 2, lane // 4))


def test_ldmatrix_feeds_mma():
    """x4 over the four quarters (rows first, then k) is operand A of m16n8k16; x2 over k is B; trans reads K by N."""
    a = core.reshape(core.permute(core.divide(str(ins.ldmatrix(4)), 0, 2), [1, 2, 0, 3]), [16, 16])
    b = core.reshape(core.permute(str(ins.ldmatrix(2)), [1, 0, 2]), [8, 16])
    bt = core.reshape(core.permute(str(ins.ldmatrix(2, True)), [2, 0, 1]), [8, 16])
    assert core.equals(a, str(ins.mma_a(16, 16))) == "yes"
    assert core.equals(b, str(ins.mma_b(16, 16))) == core.equals(bt, str(ins.mma_b(16, 16))) == "yes"


@pytest.mark.parametrize("n", [8, 24, 96, 256])
def test_wgmma_accumulator(n):
    check(
        ins.wgmma_c(n),
        128,
        n // 2,
        lambda t, i: (16 * (t // 32) + t % 32 // 4 + 8 * (i // 2 % 2), 8 * (i // 4) + 2 * (t % 4) + i % 2),
    )


# -- blocks of warps
@pytest.mark.parametrize(
    "m,n,mw,nw", [(128, 128, 2, 2), (64, 96, 4, 1), (128, 256, 4, 2), (16, 16, 1, 1), (32, 48, 1, 3)]
)
def test_mma_blocks(m, n, mw, nw):
    """Warp w owns slab (w % mw, w / mw); inside it, 16x8 atoms, columns innermost."""
    got = core.make_block("C", "16,8 | 8:4t 2:2s | 2:1s 4:1t", m, n, mw, nw)
    assert got == str(ins.mma_c_block(m, n, mw, nw).normal())
    wm, wn = m // mw, n // nw
    values = from_core(core.table(got))
    points = np.indices((m, n)).reshape(2, -1)
    i, j = points
    thread = 32 * ((j // wn) * mw + i // wm) + 4 * (i % 8) + j % 8 // 2
    slot = 4 * ((i % wm // 16) * (wn // 8) + j % wn // 8) + 2 * (i % 16 // 8) + j % 2
    assert np.array_equal(values.values("thread")[:, 0], thread)
    assert np.array_equal(values.values("slot")[:, 0], slot)
    for bits, k in ((16, 64), (8, 64), (32, 16)):
        e = 32 // bits
        a = core.make_block("A", str(ins.mma_a(8 * e, bits)), m, k, mw, nw)
        b = core.make_block("B", str(ins.mma_b(8 * e, bits)), n, k, mw, nw)
        assert core.equals(a, str(ins.mma_a_block(m, k, bits, mw, nw))) == "yes"
        assert core.equals(b, str(ins.mma_b_block(n, k, bits, mw, nw))) == "yes"


@pytest.mark.parametrize("m,n,groups", [(64, 128, 1), (128, 128, 2), (256, 128, 2), (192, 96, 3)])
def test_wgmma_blocks(m, n, groups):
    c = core.make_block("C", str(ins.wgmma_c(n)), m, n, groups, 1)
    assert core.equals(c, str(ins.wgmma_c_block(m, n, groups))) == "yes"
    a = core.make_block("A", str(ins.wgmma_a(16)), m, n, groups, 1)
    assert core.equals(a, str(ins.wgmma_a_block(m, n, 16, groups))) == "yes"
    # An fp16 accumulator is the next operand A as it lies, for any number of warpgroups and atoms.
    assert core.conversion(c, a, 16).split()[0] in ("same", "moves")


def test_a_block_refuses_what_its_warps_do_not_divide():
    with pytest.raises(NotExpressible, match="dim 0 of 48 is not a multiple of 2 warps of 16"):
        core.make_block("C", "16,8 | 8:4t 2:2s | 2:1s 4:1t", 48, 16, 2, 1)


def test_accumulators_become_operands():
    c, a = str(ins.wgmma_c_block(64, 128, 1)), str(ins.wgmma_a_block(64, 128, 8, 1))
    assert core.conversion(c, a, 8).split()[0] == "shuffle"  # fp8: 4 neighbours a thread, not 2
    c, a = str(ins.mma_c_block(64, 64, 2, 2)), str(ins.mma_a_block(64, 64, 16, 2, 2))
    assert core.conversion(c, a, 16).split()[0] == "shared"  # columns split over warps


# -- matrix descriptors
def panels(rows, cols, bits, span, transpose):
    family = f"swizzle {span}" if span else "interleaved"
    shape = [cols, rows] if transpose else [rows, cols]
    text = core.shared_layout(shape, bits, family)
    return core.permute(text, [1, 0]) if transpose else text


def descriptor(text, bits, mn, k=0):
    major, *fields, starts = [x.strip() for x in core.matrix_descriptor(text, bits, mn, k).split("|")]
    out = {name: int(value) for name, value in (f.split() for f in fields)}
    out["major"] = major
    out["starts"] = {(int(i), int(j)): int(b) for i, j, b in (w.split(":") for w in starts.split()[1:])}
    return out


def manual_address(d, bits, mn, k):
    """Byte offsets inside an instruction tile by the manual's descriptor rules, before the XOR."""
    t, w, size = 128 // bits, max(d["swizzle"] // 16, 1), bits // 8
    if d["major"] == "K":
        across = (k // t) * (d["lbo"] if w == 1 else 16)
        return (mn % 8) * 16 * w + (mn // 8) * d["sbo"] + (k % t) * size + across
    if w == 1:
        return (mn % t) * size + (mn // t) * d["sbo"] + (k % 8) * 16 + (k // 8) * d["lbo"]
    return (mn % (w * t)) * size + (mn // (w * t)) * d["lbo"] + (k % 8) * 16 * w + (k // 8) * d["sbo"]


def swizzled(address, span):
    return address ^ (((address >> 7) & (max(span // 16, 1) - 1)) << 4)


@pytest.mark.parametrize("bits,span,transpose", list(itertools.product((8, 16, 32), (0, 32, 64, 128), (False, True))))
def test_matrix_descriptors_address_every_element(bits, span, transpose):
    rows, cols, k = 128, 256, 256 // bits
    text = panels(rows, cols, bits, span, transpose)
    addr = from_core(core.table(text)).values("addr")[:, 0].reshape(rows, cols) * bits // 8
    for mn in (64, 128) if transpose else (8, 64, 128):
        d = descriptor(text, bits, mn)
        assert (d["swizzle"], d["major"]) == (span, "MN" if transpose else "K")
        i, j = np.meshgrid(np.arange(mn), np.arange(k), indexing="ij")
        for (i0, k0), start in d["starts"].items():
            want = swizzled(start + manual_address(d, bits, i, j), span)
            assert np.array_equal(addr[i0 : i0 + mn, k0 : k0 + k], want)
        assert len(d["starts"]) == rows // mn * cols // k


def test_a_row_slice_uses_the_strides_of_its_buffer():
    """128 of 256 rows with K over two panels: offsets come from the buffer's layout, not from the gemm's extents."""
    d = descriptor(core.slice(panels(256, 128, 16, 128, False), 0, 128, 128), 16, 64)
    assert d["starts"][0, 0] == 128 * 128
    assert d["starts"][0, 64] == 128 * 128 + 256 * 128
    assert d["starts"][64, 64] - d["starts"][0, 64] == 64 * 128


@pytest.mark.parametrize(
    "text,why",
    [
        ("64,64 | 64:64a | 64:1a", "not the canonical K-major form"),
        ("64,64 | 64:72a | 64:1a", "not the canonical K-major form"),
        ("64,64 | 64:64a | 64:1a | swz 3,2,3", "swizzle 3,2,3 is not a hardware swizzle for 16-bit elements"),
        ("72,64 | 72:64a | 64:1a | swz 3,3,3", "tile 72x64 is not a multiple of the instruction 64x16"),
    ],
)
def test_matrix_descriptors_refuse(text, why):
    with pytest.raises(NotExpressible, match=why):
        descriptor(text, 16, 64)


def test_a_start_inside_the_swizzle_pattern_is_refused():
    with pytest.raises(NotExpressible, match="instruction tile at 0,0 starts 512 bytes in, inside a swizzle pattern"):
        descriptor(core.slice(panels(128, 64, 16, 128, False), 0, 4, 64), 16, 64)


# -- TMA
TMA = [
    (panels, (128, 128, 16, 128, False), (8192, 2), 16, 2),
    (panels, (64, 96, 16, 64, False), (8192, 2), 16, 3),
    (panels, (64, 32, 8, 32, False), (512, 1), 8, 1),
    (panels, (64, 64, 16, 0, False), (8192, 2), 16, 8),
    ("128,32 | 128:32a | 32:1a", (), (8192, 2), 16, 1),
    ("300,64 | 300:64a | 64:1a", (), (256, 2), 16, 2),
    ("3,64,64 | 3:4096a | 64:64a | 64:1a | swz 3,3,3", (), (65536, 256, 2), 16, 1),
    ("512 | 512:1a", (), (4,), 32, 2),
]


@pytest.mark.parametrize("make,args,strides,bits,count", TMA)
def test_tma_boxes_write_exactly_the_layout(make, args, strides, bits, count):
    text = make(*args) if callable(make) else make
    box, issues, swizzle, align = [x.split()[1:] for x in core.tma_plan(text, list(strides), bits).split("|")]
    box = [tuple(map(int, w.split(":"))) for w in box]
    issues = [tuple(map(int, w.split(":"))) for w in issues]
    span = int(swizzle[0])
    assert math.prod(n for _, _, n, _ in issues) == count
    assert all(n <= 256 for _, n in box)
    assert int(align[0]) == (span * 8 or 128)
    layout = from_core(core.table(text))
    seen = {}
    for loop in itertools.product(*[range(n) for _, _, n, _ in issues]):
        start, base = [0] * len(layout.shape), 0
        for i, (dim, step, _, stride) in zip(loop, issues, strict=True):
            start[dim] += i * step
            base += i * stride * bits // 8
        for k, index in enumerate(itertools.product(*[range(n) for _, n in reversed(box)])):
            c = list(start)
            for (dim, _), i in zip(reversed(box), index, strict=True):
                c[dim] += i
            seen[tuple(c)] = swizzled(base + k * bits // 8, span)
    want = layout.values("addr")[:, 0] * bits // 8
    assert seen == {tuple(x): a for x, a in zip(layout.points().tolist(), want.tolist(), strict=True)}


@pytest.mark.parametrize(
    "text,strides,why",
    [
        ("64,64 | 64:64a | 64:1a", (130, 2), "global stride 130 of dim 0 is not a multiple of 16 bytes below 2^40"),
        ("64,64 | 64:64a | 64:1a", (2, 128), "global dim 1 is not contiguous"),
        ("64,64 | 64:72a | 64:1a", (128, 2), "a box does not start at 128 bytes"),
        ("64,128 | 64:128a | 128:1a | swz 3,3,3", (256, 2), "inner box of 256 bytes under a 128-byte swizzle"),
        ("64,64 | 64:1a | 64:64a", (128, 2), "the innermost dim is not contiguous in shared memory"),
        ("8,4 | 8:4a | 4:1a", (128, 2), "inner box of 8 bytes is not a multiple of 16"),
        ("2,2,2,2,2,16 | 2:256a | 2:128a | 2:64a | 2:32a | 2:16a | 16:1a", (512,) * 5 + (2,), "rank 6 > 5"),
        ("4,257 | *2 96:1a 11:128a", (4096, 2), "flattened dims or replicas"),
    ],
)
def test_tma_refuses_with_the_reason(text, strides, why):
    with pytest.raises(NotExpressible) as error:
        core.tma_plan(text, list(strides), 16)
    assert str(error.value) == why


# -- ldmatrix and banks
def test_ldmatrix_forms():
    def form(frag, shared, bits):
        return core.ldmatrix_form(str(frag), shared, bits)

    k_major, a = panels(128, 64, 16, 128, False), ins.mma_a_block(128, 64, 16, 2, 2)
    b = ins.mma_b_block(128, 64, 16, 2, 2)
    assert form(a, k_major, 16) == form(b, k_major, 16) == "x4"
    assert form(b, panels(128, 64, 16, 128, True), 16) == "x4 trans"
    assert form(a, "128,64 | 128:72a | 64:1a", 16) == "x4"
    assert form(ins.mma_a_block(128, 64, 8, 2, 2), panels(128, 64, 8, 64, False), 8) == "x4"
    assert form(ins.mma_c_block(128, 128, 2, 2), panels(128, 128, 16, 128, False), 16) == "x4"  # stmatrix
    for frag, shared, bits, why in [
        (ins.mma_a_block(128, 64, 8, 2, 2), panels(128, 64, 8, 64, True), 8, "neighbours of a row or a column"),
        (a, "128,64 | 128:65a | 64:1a", 16, "rows are not 16-byte aligned"),
        ("64,64 | 64:1t | 64:1s", panels(64, 64, 16, 128, False), 16, "lanes are not 8 groups of 4"),
    ]:
        with pytest.raises(NotExpressible, match=why):
            form(frag, shared, bits)


@pytest.mark.parametrize("span,bits", list(itertools.product((32, 64, 128), (8, 16, 32))))
def test_a_swizzle_of_its_own_width_is_conflict_free(span, bits):
    cols, unit = span * 8 // bits * 2, 128 // bits
    addr = from_core(core.table(panels(16, cols, bits, span, False))).values("addr")[:, 0].reshape(16, cols) * bits // 8
    for r, c in itertools.product((0, 8), range(0, cols, unit)):
        assert core.bank_cycles(addr[r : r + 8, c].tolist(), 16) == 1


def test_columns_of_16_byte_chunks():
    """8 lanes walk down a column: linear rows conflict eightfold, the swizzle not at all."""
    row, col = "64,64 | 64:64a | 64:1a", "64,64 | 8:1t 8:8s | 8:1s 8:8t"
    assert core.memory_cost(col, row, 16, "shared") == "8 512 64 16"
    assert core.memory_cost(col, row + " | swz 3,3,3", 16, "shared") == "8 64 64 16"
