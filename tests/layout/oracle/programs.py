# SPDX-License-Identifier: MIT
"""The worked examples of the layout design, as programs of the reference solver."""

from .hardware import smem_panels
from .instructions import mma_b_block, mma_c_block, wgmma_a_block, wgmma_c_block
from .solver import Anchor, Frag, Mem, Nest, Reduce, Scan, choose_shared, row_major


def load(n, L, b):
    return Mem("ld " + n, "global", L, b)


def store(n, L, b):
    return Mem("st " + n, "global", L, b, True)


def rows(M, N, T, bits=32):
    """load, max over a row, exp(x - max), sum, divide, store: the softmax and norm shape."""
    x, sh = ("x", (0, 1)), (M, N)
    ops = [
        Nest("load", sh, (), (x,), (load("X", row_major(sh), bits),)),
        Reduce("x", "m", 1),
        Nest("exp", sh, (x, ("m", (0,))), (x,), (), 4),
        Reduce("x", "l", 1),
        Nest("store", sh, (x, ("l", (0,))), (), (store("Y", row_major(sh), bits),)),
    ]
    return ops, [Frag("x", sh, bits), Frag("m", (M,), 32), Frag("l", (M,), 32)], T


def examples():
    E, R, ij = {}, row_major, (0, 1)

    def nest(name, shape, reads=(), writes=(), mem=(), ops=1):
        return Nest(name, shape, tuple(reads), tuple(writes), tuple(mem), ops)

    sq = (128, 128)
    E["1 gemm epilogue with bias"] = (
        [
            Anchor("C", mma_c_block(128, 128, 2, 2), "T.gemm mma.sync, 2x2 warps"),
            nest("bias", (128,), writes=[("b", (0,))], mem=[load("bias", R((128,)), 32)]),
            nest("add", sq, [("C", ij), ("b", (1,))], [("C", ij)]),
            nest("store", sq, [("C", ij)], mem=[store("D", R(sq), 16)]),
        ],
        [Frag("C", sq, 32), Frag("b", (128,), 32)],
        128,
    )
    for name, bits in (("2 attention, wgmma, 2 warpgroups", 16), ("2b the same with fp8 P", 8)):
        E[name] = (
            [
                Anchor("S", wgmma_c_block(128, 128, 2), "T.gemm wgmma"),
                Reduce("S", "m", 1),
                nest("exp", sq, [("S", ij), ("m", (0,))], [("P", ij)]),
                Reduce("P", "l", 1),
                Anchor("P", wgmma_a_block(128, 128, bits, 2), "T.gemm wgmma operand A", "read"),
                Anchor("O", wgmma_c_block(128, 64, 2), "T.gemm wgmma"),
                nest("scale", (128, 64), [("O", ij), ("l", (0,))], [("O", ij)]),
            ],
            [
                Frag("S", sq, 32),
                Frag("m", (128,), 32),
                Frag("P", sq, bits),
                Frag("l", (128,), 32),
                Frag("O", (128, 64), 32),
            ],
            256,
        )
    E["3 softmax 4x300"] = rows(4, 300, 128)
    E["4 column sum 128x64"] = (
        [
            nest("load", (128, 64), writes=[("x", ij)], mem=[load("X", R((128, 64)), 32)]),
            Reduce("x", "s", 0),
            nest("store", (64,), [("s", (0,))], mem=[store("S", R((64,)), 32)]),
        ],
        [Frag("x", (128, 64), 32), Frag("s", (64,), 32)],
        128,
    )
    E["6a layernorm 1x257, 96 threads"] = rows(1, 257, 96)
    E["6b layernorm 8x257, 96 threads"] = rows(8, 257, 96)
    E["6c long row 1x4096 fp16, 256 threads"] = rows(1, 4096, 256, 16)
    E["7 int4 unpack into an mma operand B"] = (
        [
            Anchor("w", mma_b_block(64, 64, 16, 2, 2), "T.gemm mma.sync operand B"),
            nest("load", (64, 32), writes=[("q", ij)], mem=[load("Q", R((64, 32)), 8)]),
            nest("unpack", (64, 64), [("q", (0, (1, 2)))], [("w", ij)], ops=2),
        ],
        [Frag("w", (64, 64), 16), Frag("q", (64, 32), 8)],
        128,
    )
    cube = (3, 5, 40)
    E["8 elementwise 3x5x40 fp16"] = ([nest("f", cube, mem=[load("A", R(cube), 16), store("B", R(cube), 16)])], [], 128)
    E["9 cumsum 4x256"] = (
        [
            nest("load", (4, 256), writes=[("x", ij)], mem=[load("X", R((4, 256)), 32)]),
            Scan("x", 1),
            nest("store", (4, 256), [("x", ij)], mem=[store("Y", R((4, 256)), 32)]),
        ],
        [Frag("x", (4, 256), 32)],
        128,
    )
    E["10 softmax 1x20: fewer elements than threads"] = rows(1, 20, 128)
    return E


def transpose_example():
    """5: B = A^T for a 64x64 fp16 tile through shared memory; the buffer's family is part of the choice."""
    t = (64, 64)
    gm = row_major(t)
    families = (
        [("linear", gm)]
        + [(f"swizzle {n}", smem_panels(64, 64, 16, n)) for n in (128, 64, 32)]
        + [(f"pad {p}", row_major(t, 64 + p)) for p in (8, 2)]
    )

    def ops_of(S):
        return [
            Nest("in", t, (), (), (load("A", gm, 16), Mem("st S", "shared", S, 16, True))),
            Nest("out", t, (), (), (Mem("ld S", "shared", S.permute((1, 0)), 16), store("B", gm, 16))),
        ]

    return choose_shared(families, ops_of, [], 128)
