# SPDX-License-Identifier: MIT
"""T.copy through random chains of memories, dtypes, tiles and threads on the simulator. The values are small integers,
exact in every dtype, so every element must arrive as it left."""

import itertools
import random

import pytest
import tilescale
import tilescale.language as T
import torch

DTYPES = [
    "float32",
    "float16",
    "bfloat16",
    "float64",
    "int32",
    "int8",
    "uint8",
    "int64",
    "float8_e4m3fn",
    "float8_e5m2",
]


def chain(m, n, tile, spaces, dtypes, threads):
    """A -> one buffer for each space -> B, tile by tile; dtypes has one more at each end for A and B."""
    tm, tn = tile
    make = {"shared": T.alloc_shared, "fragment": T.alloc_fragment}

    @T.prim_func
    def main(A: T.Tensor((m, n), dtypes[0]), B: T.Tensor((m, n), dtypes[-1])):
        with T.Kernel(T.ceildiv(n, tn), T.ceildiv(m, tm), threads=threads) as (bx, by):
            buffers = [make[space]((tm, tn), dtype) for space, dtype in zip(spaces, dtypes[1:-1], strict=True)]
            T.copy(A[by * tm, bx * tn], buffers[0])
            for source, target in list(itertools.pairwise(buffers)):
                T.copy(source, target)
            T.copy(buffers[-1], B[by * tm, bx * tn])

    return main


def numbers(*shape, dtype):
    low = 0 if dtype == "uint8" else -8
    return torch.randint(low, 9, shape).to(getattr(torch, dtype))


@pytest.mark.parametrize("number", range(14))
def test_random_chains(number):
    seed = random.randrange(2**32)
    draw = random.Random(seed)
    length = draw.randint(1, 3)
    spaces = [draw.choice(["shared", "fragment"]) for _ in range(length)]
    dtypes = [draw.choice(DTYPES) for _ in range(length + 2)]
    if "uint8" in dtypes:
        dtypes[0] = "uint8"  # nothing negative
    m, n = draw.randint(1, 70), draw.choice([1, 5, 31, 64, 77, 96, 128])
    tile = draw.choice([1, 3, 8, 17, 32]), draw.choice([7, 16, 33, 64])
    case = f"seed {seed}: {m}x{n} by {tile}, {spaces}, {dtypes}"
    a = numbers(m, n, dtype=dtypes[0])
    b = torch.full((m, n), 99).to(getattr(torch, dtypes[-1]))
    func = chain(m, n, tile, spaces, dtypes, draw.choice([32, 64, 96, 128]))
    tilescale.compile(func, target="sim")(a, b)
    assert torch.equal(b.double(), a.double()), case


@pytest.mark.parametrize("stages", [2, 3, 4])
@pytest.mark.parametrize(("rows", "cols"), [(64, 64), (50, 72), (33, 30)])
def test_pipelined(stages, rows, cols):
    """cp.async where rows allow it, loads and stores where not; ragged last tiles are zeros."""

    @T.prim_func
    def main(A: T.Tensor((rows, cols), "float16"), B: T.Tensor((cols,), "float32")):
        with T.Kernel(1, threads=64):
            s = T.alloc_shared((16, cols), "float16")
            total = T.alloc_fragment((cols,), "float32")
            T.clear(total)
            for k in T.Pipelined(T.ceildiv(rows, 16), num_stages=stages):
                T.copy(A[k * 16, 0], s)
                for j in T.Parallel(cols):
                    for i in T.serial(16):
                        total[j] += s[i, j]
            T.copy(total, B)

    a = torch.randint(-8, 9, (rows, cols)).half()
    b = torch.full((cols,), float("nan"))
    tilescale.compile(main, target="sim")(a, b)
    assert torch.equal(b.double(), a.double().sum(0))


def test_shapes_that_differ_by_ones():
    @T.prim_func
    def main(A: T.Tensor((5, 1, 40), "float32"), B: T.Tensor((40, 5), "float32")):
        with T.Kernel(5, threads=32) as bx:
            x = T.alloc_fragment((40,), "float32")
            T.copy(A[bx, 0, 0:40], x)
            T.copy(x, B[0:40, bx])

    a, b = torch.randn(5, 1, 40), torch.full((40, 5), float("nan"))
    tilescale.compile(main, target="sim")(a, b)
    assert torch.equal(b, a[:, 0].T)
