# SPDX-License-Identifier: MIT
"""T.fill and T.clear of whole tiles and of parts, in every memory, against torch."""

import random

import pytest
import tilescale
import tilescale.language as T
import torch

DTYPES = ["float32", "float16", "bfloat16", "float64", "int32", "int8", "uint8", "int64", "float8_e4m3fn", "bool"]


@pytest.mark.parametrize("space", ["shared", "fragment", "global"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_whole_then_part(space, dtype):
    draw = random.Random()
    m, n, threads = draw.randint(1, 40), draw.choice([1, 7, 33, 64, 257]), draw.choice([32, 96, 128])
    rows, cols = draw.randint(1, m), draw.randint(1, n)
    top, left = draw.randint(0, m - rows), draw.randint(0, n - cols)
    value = bool(draw.randint(0, 1)) if dtype == "bool" else draw.randint(1, 9)
    part = (slice(top, top + rows), slice(left, left + cols))
    make = {"shared": T.alloc_shared, "fragment": T.alloc_fragment}

    def on_chip(O: T.Tensor((m, n), dtype)):
        with T.Kernel(1, threads=threads):
            x = make[space]((m, n), dtype)
            T.clear(x)
            T.fill(x[part[0], part[1]], value)
            T.copy(x, O)

    def in_place(O: T.Tensor((m, n), dtype)):
        with T.Kernel(1, threads=threads):
            T.clear(O)
            T.fill(O[part[0], part[1]], value)

    out = torch.full((m, n), 3).to(getattr(torch, dtype))
    tilescale.compile(T.prim_func(in_place if space == "global" else on_chip), target="sim")(out)
    want = torch.zeros(m, n)
    want[part] = float(value)
    assert torch.equal(out.float(), want), f"{m}x{n}, rows {part[0]}, columns {part[1]}, {threads} threads"


def test_a_value_of_the_kernel_beyond_the_edge():
    m, n = 37, 50

    @T.prim_func
    def main(O: T.Tensor((m, n), "float32"), scale: T.float32):
        with T.Kernel(T.ceildiv(m, 16), threads=64) as bx:
            T.fill(O[bx * 16 : (bx + 1) * 16, :], scale * bx)

    out = torch.full((m, n), float("nan"))
    tilescale.compile(main, target="sim")(out, 0.5)
    assert torch.equal(out, (torch.arange(m) // 16 * 0.5).reshape(m, 1).expand(m, n))
