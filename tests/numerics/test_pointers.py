# SPDX-License-Identifier: MIT
"""Memory that a kernel reaches by its address: a pointer parameter, a table of pointers, a view of other elements."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T

SIM = {"kind": "sim", "arch": "sm_90a"}


@pytest.fixture
def rng():
    return np.random.default_rng()


def placed(rng, count, shift):
    """Floats that start `shift` bytes behind a multiple of 16."""
    base = np.zeros(count * 4 + 64, np.uint8)
    start = -base.ctypes.data % 16 + shift
    values = base[start : start + count * 4]
    values[:] = rng.standard_normal(count, np.float32).view(np.uint8)
    return values


@T.prim_func
def through_a_pointer(A: T.ptr("float32"), B: T.Tensor((64,), "float32")):
    with T.Kernel(1, threads=16):
        tensor = T.make_tensor(A, (64,), "float32")
        for i in T.Parallel(64):
            B[i] = tensor[i] + 1.0


@T.prim_func
def through_a_view(A: T.Tensor((256,), "uint8"), B: T.Tensor((64,), "float32")):
    with T.Kernel(1, threads=16):
        tensor = T.view(A, (64,), "float32")
        for i in T.Parallel(64):
            B[i] = tensor[i] + 1.0


@pytest.mark.parametrize("shift", [0, 4, 12])
@pytest.mark.parametrize("program", [through_a_pointer, through_a_view])
def test_address_aligned_to_elements(program, shift, rng):
    kernel = tilescale.compile(program, target=SIM)
    a, b = placed(rng, 64, shift), np.full(64, np.nan, np.float32)
    before = list(kernel.artifact.launch_counts())
    kernel(a, b)
    assert (b == a.copy().view(np.float32) + np.float32(1)).all()
    ran = [y - x for x, y in zip(before, kernel.artifact.launch_counts(), strict=True)]
    assert ran == ([1, 0] if shift == 0 else [0, 1])


@pytest.mark.parametrize("program", [through_a_pointer, through_a_view])
def test_address_between_elements(program, rng):
    kernel = tilescale.compile(program, target=SIM)
    with pytest.raises(ValueError) as error:
        kernel(placed(rng, 64, 2), np.empty(64, np.float32))
    name = program.__name__
    assert str(error.value) == f"{name}: `A` is accessed as elements of 4 bytes, its address must be a multiple of 4"


@T.prim_func
def gemm_of_a_view(A: T.Tensor((64 * 64 + 64,), "float16"), C: T.Tensor((64, 64), "float32"), n: T.int32):
    with T.Kernel(1, threads=128):
        rows = T.view(A[n : n + 4096], (64, 64), "float16")
        tile = T.alloc_shared((64, 32), "float16")
        total = T.alloc_fragment((64, 64), "float32")
        T.clear(total)
        for k in T.Pipelined(2, num_stages=2):
            T.copy(rows[0, k * 32], tile)
            T.gemm(tile, tile, total, transpose_B=True)
        T.copy(total, C)


@pytest.mark.parametrize("first", [0, 8, 3])
def test_asynchronous_copies_of_a_view(first, rng):
    a, c = rng.standard_normal(64 * 64 + 64).astype(np.float16), np.full((64, 64), np.nan, np.float32)
    tilescale.compile(gemm_of_a_view, target=SIM)(a, c, first)
    x = a[first : first + 4096].reshape(64, 64).astype(np.float64)
    np.testing.assert_allclose(c, x @ x.T, atol=1e-2)


@T.prim_func
def gemm_of_a_workspace(A: T.Tensor((64, 64), "float16"), C: T.Tensor((64, 64), "float32")):
    W = T.alloc_global((64, 64), "float16")
    with T.Kernel(1, threads=128):
        T.copy(A, W)
    with T.Kernel(1, threads=128):
        tile = T.alloc_shared((64, 32), "float16")
        total = T.alloc_fragment((64, 64), "float32")
        T.clear(total)
        for k in T.Pipelined(2, num_stages=2):
            T.copy(W[0, k * 32], tile)
            T.gemm(tile, tile, total, transpose_B=True)
        T.copy(total, C)


def test_asynchronous_copies_of_a_workspace(rng):
    a, c = rng.standard_normal((64, 64)).astype(np.float16), np.full((64, 64), np.nan, np.float32)
    kernel = tilescale.compile(gemm_of_a_workspace, target=SIM)
    kernel(a, c)
    assert "cp_async<" in kernel.get_kernel_source()
    x = a.astype(np.float64)
    np.testing.assert_allclose(c, x @ x.T, atol=1e-2)


def made_by_the_simulator(shape, values):
    """A copy in memory of the simulated machine, whose address kernels may follow."""

    @T.prim_func
    def copy(A: T.Tensor(shape, "float16"), B: T.Tensor(shape, "float16")):
        with T.Kernel(1, threads=32):
            for i, j in T.Parallel(*shape):
                B[i, j] = A[i, j]

    return tilescale.compile(copy, out_idx=[1], target=SIM)(values)


@pytest.mark.parametrize("named", [False, True])
def test_grouped_gemm_over_tables_of_pointers(named, rng):
    rows, K, N = (70, 0, 33), 64, 64

    @T.prim_func
    def main(
        As: T.Tensor((3,), T.ptr), Bs: T.Tensor((3,), T.ptr), Cs: T.Tensor((3,), T.ptr),
        Rows: T.Tensor((3,), "int32"), most: T.int32,
    ):  # fmt: skip
        with T.Kernel(T.ceildiv(most, 64), 3, threads=128) as (by, g):
            m = Rows[g]
            if named:
                address = As[g]
                A = T.make_tensor(address, (m, K), "float16")
            else:
                A = T.make_tensor(As[g], (m, K), "float16")
            B = T.make_tensor_from_addr(Bs[g], (K, N), "float16")
            C = T.Tensor((m, N), "float16", Cs[g])
            A_s = T.alloc_shared((64, 32), "float16")
            B_s = T.alloc_shared((32, N), "float16")
            acc = T.alloc_fragment((64, N), "float32")
            if by * 64 < m:
                T.clear(acc)
                for k in T.Pipelined(K // 32, num_stages=2):
                    T.copy(A[by * 64, k * 32], A_s)
                    T.copy(B[k * 32, 0], B_s)
                    T.gemm(A_s, B_s, acc)
                T.copy(acc, C[by * 64, 0])

    a = [rng.standard_normal((max(m, 1), K)).astype(np.float16) for m in rows]
    b = [rng.standard_normal((K, N)).astype(np.float16) for _ in rows]
    c = [np.full((max(m, 1), N), 7, np.float16) for m in rows]
    there = [[made_by_the_simulator(x.shape, x) for x in group] for group in (a, b, c)]
    tables = [np.array([x.ctypes.data for x in group], np.int64) for group in there]
    kernel = tilescale.compile(main, target=SIM)
    kernel(*tables, np.array(rows, np.int32), max(rows))
    assert "cp_async" in kernel.get_kernel_source()
    for m, x, y, z in zip(rows, a, b, there[2], strict=True):
        np.testing.assert_allclose(z[:m], x[:m].astype(np.float64) @ y.astype(np.float64), atol=0.1)
    assert (there[2][1] == 7).all()


def test_no_tensor_is_restrict_beside_a_pointer():
    """Behind the pointer may lie the tensor itself."""
    assert "TS_RESTRICT" not in tilescale.compile(through_a_pointer, target=SIM).get_kernel_source()
    assert "TS_RESTRICT" in tilescale.compile(through_a_view, target=SIM).get_kernel_source()
