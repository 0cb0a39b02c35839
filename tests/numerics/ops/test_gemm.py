# SPDX-License-Identifier: MIT
"""T.gemm with random tiles, transposes, dtypes, warps, policies and stages on the simulator. Operands are small
integers, whose products and sums are exact, so the result is compared bit by bit with the integers'."""

import random

import pytest
import tilescale
import tilescale.language as T
import torch

SIM = {"kind": "sim", "arch": "sm_90a"}
KINDS = {  # operands -> accumulator
    "float16": "float32",
    "bfloat16": "float32",
    "float32": "float32",  # tf32 where a matrix instruction is used
    "float64": "float64",
    "int8": "int32",
    "uint8": "int32",
    "float8_e4m3fn": "float32",
    "float8_e5m2": "float32",
}
POLICIES = [T.GemmWarpPolicy.Square, T.GemmWarpPolicy.FullRow, T.GemmWarpPolicy.FullCol]


def product(m, n, k, tile, ta, tb, dtype, stages, threads, policy, registers):
    """C = op(A) @ op(B); with `registers` A goes through a fragment."""
    tm, tn, tk = tile
    accumulator = KINDS[dtype]

    @T.prim_func
    def main(
        A: T.Tensor((k, m) if ta else (m, k), dtype),
        B: T.Tensor((n, k) if tb else (k, n), dtype),
        C: T.Tensor((m, n), accumulator),
    ):
        with T.Kernel(T.ceildiv(n, tn), T.ceildiv(m, tm), threads=threads) as (bx, by):
            a = T.alloc_shared((tk, tm) if ta else (tm, tk), dtype)
            b = T.alloc_shared((tn, tk) if tb else (tk, tn), dtype)
            c = T.alloc_fragment((tm, tn), accumulator)
            if registers:
                f = T.alloc_fragment((tm, tk), dtype)
            T.clear(c)
            for ko in T.Pipelined(T.ceildiv(k, tk), num_stages=stages):
                if ta:
                    T.copy(A[ko * tk, by * tm], a)
                else:
                    T.copy(A[by * tm, ko * tk], a)
                if tb:
                    T.copy(B[bx * tn, ko * tk], b)
                else:
                    T.copy(B[ko * tk, bx * tn], b)
                if registers:
                    T.copy(a, f)
                    T.gemm(f, b, c, transpose_B=tb, policy=policy)
                else:
                    T.gemm(a, b, c, transpose_A=ta, transpose_B=tb, policy=policy)
            T.copy(c, C[by * tm, bx * tn])

    return main


def check(case, m, n, k, ta, tb, dtype, func):
    low = 0 if dtype == "uint8" else -4
    x, y = torch.randint(low, 5, (m, k)), torch.randint(low, 5, (k, n))
    a = (x.T if ta else x).contiguous().to(getattr(torch, dtype))
    b = (y.T if tb else y).contiguous().to(getattr(torch, dtype))
    c = torch.full((m, n), -77).to(getattr(torch, KINDS[dtype]))
    tilescale.compile(func, target=SIM)(a, b, c)
    assert torch.equal(c.double(), (x @ y).double()), case


@pytest.mark.parametrize("dtype", list(KINDS))
@pytest.mark.parametrize("number", range(3))
def test_random(dtype, number):
    seed = random.randrange(2**32)
    draw = random.Random(seed)
    m, n, k = draw.randint(1, 90), draw.randint(1, 90), draw.randint(1, 100)
    tile = draw.choice([32, 64]), draw.choice([32, 64]), draw.choice([32, 64])
    ta, tb = draw.random() < 0.5, draw.random() < 0.5
    stages, threads, policy = draw.choice([1, 2, 3]), draw.choice([32, 64, 128]), draw.choice(POLICIES)
    case = f"seed {seed}: {m}x{n}x{k} by {tile}, transposes {ta} {tb}, {stages} stages, {threads} threads, {policy}"
    check(case, m, n, k, ta, tb, dtype, product(m, n, k, tile, ta, tb, dtype, stages, threads, policy, False))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8"])
def test_first_operand_in_registers(dtype):
    m, n, k = random.randint(1, 70), random.randint(1, 70), random.randint(1, 70)
    tb = random.random() < 0.5
    func = product(m, n, k, (64, 32, 32), False, tb, dtype, 2, 128, T.GemmWarpPolicy.FullRow, True)
    check(f"{m}x{n}x{k} {tb}", m, n, k, False, tb, dtype, func)


@pytest.mark.parametrize("tile", [(5, 7, 3), (16, 9, 16), (30, 30, 30)])
def test_tiles_that_fit_no_matrix_instruction(tile):
    m, n, k = 33, 21, 19
    func = product(m, n, k, tile, False, True, "float16", 2, 96, POLICIES[0], False)
    check(str(tile), m, n, k, False, True, "float16", func)


def test_clear_accum():
    @T.prim_func
    def main(A: T.Tensor((3, 16, 16), "float16"), C: T.Tensor((16, 16), "float32")):
        with T.Kernel(1, threads=32):
            a = T.alloc_shared((16, 16), "float16")
            c = T.alloc_fragment((16, 16), "float32")
            T.fill(c, 1000)
            for k in T.serial(3):
                T.copy(A[k, 0:16, 0:16], a)
                T.gemm(a, a, c, clear_accum=k == 1)
            T.copy(c, C)

    x = torch.randint(-4, 5, (3, 16, 16))
    c = torch.full((16, 16), float("nan"))
    tilescale.compile(main, target=SIM)(x.half(), c)
    assert torch.equal(c.long(), x[1] @ x[1] + x[2] @ x[2])
