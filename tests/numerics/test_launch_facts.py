# SPDX-License-Identifier: MIT
"""Launch facts: what the fast text relies on and types cannot prove. A call that breaks one runs the slower variant,
correctly; a call that keeps all of them runs the fast one. Each fact by itself."""

import math

import numpy as np
import pytest
import tilescale
import tilescale.language as T
import torch
from tilescale._ffi import function

FAST, SLOW = [1, 0], [0, 1]


@pytest.fixture(scope="module")
def gemm():
    M, N, K = T.dynamic("M"), T.dynamic("N"), T.dynamic("K")

    @T.prim_func
    def main(A: T.Tensor((M, K), "float16"), B: T.Tensor((K, N), "float16"), C: T.Tensor((M, N), "float32")):
        with T.Kernel(T.ceildiv(N, 64), T.ceildiv(M, 64), threads=128) as (bx, by):
            A_shared = T.alloc_shared((64, 32), "float16")
            B_shared = T.alloc_shared((32, 64), "float16")
            C_local = T.alloc_fragment((64, 64), "float32")
            T.clear(C_local)
            for ko in T.Pipelined(T.ceildiv(K, 32), num_stages=2):
                T.copy(A[by * 64, ko * 32], A_shared)
                T.copy(B[ko * 32, bx * 64], B_shared)
                T.gemm(A_shared, B_shared, C_local)
            T.copy(C_local, C[by * 64, bx * 64])

    return tilescale.compile(main, target="sim")


def placed(shape, dtype, shift):
    """A contiguous tensor whose data starts `shift` elements behind a multiple of 16 bytes."""
    count = math.prod(shape)
    base = torch.empty(count + 64, dtype=dtype)
    start = -base.data_ptr() % 16 // dtype.itemsize + shift
    return base[start : start + count].view(shape)


def check_gemm(kernel, M, N, K, expected, shifts=(0, 0, 0)):
    a = placed((M, K), torch.float16, shifts[0]).normal_()
    b = placed((K, N), torch.float16, shifts[1]).normal_()
    c = placed((M, N), torch.float32, shifts[2]).fill_(math.nan)
    before = list(kernel.artifact.launch_counts())
    kernel(a, b, c)
    assert [y - x for x, y in zip(before, kernel.artifact.launch_counts(), strict=True)] == expected
    reference = a.double() @ b.double()
    assert float((c.double() - reference).abs().max()) <= 1e-3 * float(reference.abs().max())


def test_all_facts_hold(gemm):
    assert gemm.artifact.num_variants() == 2
    check_gemm(gemm, 100, 72, 40, FAST)


@pytest.mark.parametrize("shifts", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (4, 0, 0)])
def test_a_tensor_sliced_at_an_odd_offset(gemm, shifts):
    check_gemm(gemm, 100, 72, 40, SLOW, shifts)


@pytest.mark.parametrize(("N", "K"), [(72, 37), (72, 44), (70, 40), (33, 17)])
def test_a_size_that_vectors_do_not_divide(gemm, N, K):
    check_gemm(gemm, 100, N, K, SLOW)


@pytest.mark.parametrize("shift", [1, 3, 5])
def test_static_shapes_still_need_alignment(shift):
    @T.prim_func
    def scale(A: T.Tensor((33, 128), "float16"), B: T.Tensor((33, 128), "float16")):
        with T.Kernel(33, threads=32) as bx:
            for j in T.Parallel(128):
                B[bx, j] = A[bx, j] * 2

    kernel = tilescale.compile(scale, target="sim")
    for shifts, expected in [((0, 0), FAST), ((shift, 0), SLOW), ((0, shift), SLOW)]:
        a = placed((33, 128), torch.float16, shifts[0]).normal_()
        b = placed((33, 128), torch.float16, shifts[1]).fill_(math.nan)
        before = list(kernel.artifact.launch_counts())
        kernel(a, b)
        assert [y - x for x, y in zip(before, kernel.artifact.launch_counts(), strict=True)] == expected
        assert torch.equal(b, a * 2)


def last_column():
    """O[i] = A[I[i], N - 1]: touches few elements of a tensor of any size."""
    M, N = T.dynamic("M"), T.dynamic("N")

    @T.prim_func
    def main(A: T.Tensor((M, N), "int8"), I: T.Tensor((64,), "int32"), O: T.Tensor((64,), "int8")):
        with T.Kernel(1, threads=64):
            for i in T.Parallel(64):
                O[i] = A[I[i], N - 1]

    return main


def test_more_elements_than_32_bits_count():
    """The choice for a tensor of 2^31 elements and for one of a row less. Pages that nobody touches cost nothing."""
    program = last_column()
    kernel = tilescale.compile(program, target="sim")
    choose = kernel.artifact.variant_selector()
    index, out = np.zeros(64, np.int32), np.zeros(64, np.int8)
    for rows, variant in [(2**16 - 1, 0), (2**16, 1), (2**16 + 5, 1)]:
        assert choose(np.zeros((rows, 2**15), np.int8), index, out) == variant
    compiled = [function("driver.compile")(program.func, "sim sm_90a", {}, variant) for variant in (0, 1)]
    fast, slow = (str(function("runtime.executable")(compiled[i], None).source(i)) for i in (0, 1))
    assert "i64" not in fast.partition("TS_LAUNCH")[0]
    assert "(ts::i64)N) * ((ts::i64)I[" in slow


@pytest.mark.slow
def test_an_element_beyond_32_bits_is_read():
    rows, columns = 2**16 + 5, 2**15 + 3
    rng = np.random.default_rng()
    a = np.zeros((rows, columns), np.int8)
    index = rng.integers(0, rows, 64, dtype=np.int32)
    index[:8] = rows - 1 - np.arange(8)
    a[index, -1] = rng.integers(1, 127, 64)
    out = np.full(64, -1, np.int8)
    kernel = tilescale.compile(last_column(), target="sim")
    kernel(a, index, out)
    assert list(kernel.artifact.launch_counts()) == SLOW
    assert (out == a[index, -1]).all()


def test_places_that_only_the_kernel_knows():
    """Columns that begin where a tensor says: no launch can state a fact about them."""

    @T.prim_func
    def main(A: T.Tensor((64, 1024), "float16"), First: T.Tensor((4,), "int32"), C: T.Tensor((4, 64, 64), "float32")):
        with T.Kernel(4, threads=128) as b:
            tile = T.alloc_shared((64, 32), "float16")
            total = T.alloc_fragment((64, 64), "float32")
            T.clear(total)
            first = First[b]
            for _ in T.Pipelined(2, num_stages=2):
                T.copy(A[0, first], tile)
                T.gemm(tile, tile, total, transpose_B=True)
            T.copy(total, C[b, 0, 0])

    a, c = torch.randn(64, 1024).half(), torch.full((4, 64, 64), math.nan)
    first = torch.tensor([0, 3, 8, 1000], dtype=torch.int32)
    tilescale.compile(main, target="sim")(a, first, c)
    padded = torch.nn.functional.pad(a.double(), (0, 64))
    for i, f in enumerate(first.tolist()):
        x = padded[:, f : f + 32]
        assert float((c[i].double() - 2 * x @ x.T).abs().max()) < 1e-2
