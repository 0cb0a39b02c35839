# SPDX-License-Identifier: MIT
"""Statements and objects of the language that are no tile op, each in a small program on the simulator."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T

SIM = {"kind": "sim", "arch": "sm_90a"}


@pytest.fixture
def rng():
    return np.random.default_rng()


def call(program, *arguments):
    tilescale.compile(program, target=SIM)(*arguments)


def poison(*shape, dtype=np.float32):
    return np.full(shape, np.nan if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).min, dtype)


def test_while_over_a_variable(rng):
    @T.prim_func
    def main(A: T.Tensor((64,), "int32"), B: T.Tensor((64,), "int32")):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            bits = T.alloc_var("int32", init=0)
            x = T.alloc_var("int32", init=0)
            x = A[tx]
            while x > 0:
                x = x // 2
                bits = bits + 1
            B[tx] = bits

    a, b = rng.integers(0, 1000, 64).astype(np.int32), poison(64, dtype=np.int32)
    call(main, a, b)
    assert b.tolist() == [int(x).bit_length() for x in a]


def test_strided_tensor(rng):
    @T.prim_func
    def main(A: T.StridedTensor((8, 16), (32, 1), "float32"), B: T.Tensor((8, 16), "float32")):
        with T.Kernel(1, threads=32):
            for i, j in T.Parallel(8, 16):
                B[i, j] = A[i, j] * 2.0

    a, b = rng.standard_normal((8, 32), np.float32)[:, :16], poison(8, 16)
    call(main, a, b)
    assert (b == a * 2).all()


@pytest.mark.parametrize("shape", [(4, 32), (7, 33), (13, 100)])
def test_symbolic_shapes(rng, shape):
    M, N = T.dynamic("m"), T.symbolic("n")

    @T.prim_func
    def main(A: T.Tensor((M, N), "float32"), B: T.Tensor((M,), "float32")):
        with T.Kernel(T.ceildiv(M, 4), threads=64) as bx:
            total = T.alloc_fragment((4,), "float32")
            tile = T.alloc_fragment((4, 32), "float32")
            part = T.alloc_fragment((4,), "float32")
            T.clear(total)
            for k in T.serial(T.ceildiv(N, 32)):
                T.copy(A[bx * 4, k * 32], tile)
                T.reduce_sum(tile, part, dim=1)
                for i in T.Parallel(4):
                    total[i] += part[i]
            T.copy(total, B[bx * 4])

    a, b = rng.standard_normal(shape, np.float32), poison(shape[0])
    call(main, a, b)
    np.testing.assert_allclose(b, a.astype(np.float64).sum(1), atol=1e-4)


def test_macro_on_a_reshaped_tile(rng):
    @T.macro
    def scale(buffer, factor, n):
        for i in T.Parallel(n):
            buffer[i] = buffer[i] * factor

    @T.prim_func
    def main(A: T.Tensor((4, 32), "float32"), B: T.Tensor((128,), "float32")):
        with T.Kernel(1, threads=64):
            tile = T.alloc_shared((4, 32), "float32")
            T.copy(A, tile)
            flat = T.reshape(tile, (128,))
            scale(flat, 3.0, 128)
            T.copy(flat, B)

    a, b = rng.standard_normal((4, 32), np.float32), poison(128)
    call(main, a, b)
    assert (b == a.ravel() * 3).all()


@pytest.mark.parametrize(
    "shape, other, threads",
    [
        ((257, 4), (4, 257), 128),
        ((6, 35), (14, 15), 96),
        ((5, 300), (300, 5), 96),
        ((16, 16), (8, 32), 128),
    ],
)
def test_a_ragged_fragment_in_two_shapes(rng, shape, other, threads):
    @T.prim_func
    def main(A: T.Tensor(shape, "float32"), B: T.Tensor(other, "float32")):
        with T.Kernel(1, threads=threads):
            tile = T.alloc_fragment(shape, "float32")
            total = T.alloc_fragment((other[0],), "float32")
            T.copy(A, tile)
            view = T.reshape(tile, other)
            for i, j in T.Parallel(*other):
                view[i, j] = view[i, j] * 2.0
            for i, j in T.Parallel(*shape):
                tile[i, j] = tile[i, j] + 1.0
            T.reduce_sum(view, total, dim=1)
            for i, j in T.Parallel(*other):
                B[i, j] = view[i, j] + total[i]

    a, b = rng.standard_normal(shape, np.float32), poison(*other)
    call(main, a, b)
    want = (a.astype(np.float64) * 2 + 1).reshape(other)
    np.testing.assert_allclose(b, want + want.sum(1, keepdims=True), atol=1e-3)


def test_persistent_tiles(rng):
    @T.prim_func
    def main(A: T.Tensor((8, 64), "float32"), B: T.Tensor((8, 64), "float32")):
        with T.Kernel(3, threads=64) as bx:
            for i, j in T.Persistent([4, 2], 3, bx):
                for k in T.Parallel(64):
                    B[i * 2 + j, k] = A[i * 2 + j, k] + 1.0

    a, b = rng.standard_normal((8, 64), np.float32), poison(8, 64)
    call(main, a, b)
    assert (b == a + 1).all()


def test_raw_pointer_and_scalar(rng):
    @T.prim_func
    def main(A: T.ptr("float32"), B: T.Tensor((64,), "float32"), n: T.int32):
        with T.Kernel(1, threads=16):
            tensor = T.make_tensor(A, (64,), "float32")
            for i in T.Parallel(64):
                B[i] = tensor[i] + T.cast(n, "float32")

    a, b = rng.standard_normal(64, np.float32), poison(64)
    call(main, a, b, 3)
    assert (b == a + 3).all()


def test_kernels_in_order_through_a_workspace(rng):
    @T.prim_func
    def main(A: T.Tensor((64,), "float32"), B: T.Tensor((64,), "float32")):
        W = T.alloc_global((64,), "float32")
        with T.Kernel(2, threads=32) as bx:
            for i in T.Parallel(32):
                W[bx * 32 + i] = A[bx * 32 + i] + 1.0
        with T.Kernel(1, threads=64):
            for i in T.Parallel(64):
                B[i] = W[63 - i] * 2.0

    a, b = rng.standard_normal(64, np.float32), poison(64)
    call(main, a, b)
    assert (b == (a[::-1] + 1) * 2).all()


def test_a_guarded_gather_reads_zero_outside(rng):
    @T.prim_func
    def main(A: T.Tensor((100,), "float32"), I: T.Tensor((64,), "int32"), B: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=32):
            for i in T.Parallel(64):
                B[i] = A[I[i]]

    a, i, b = rng.standard_normal(100, np.float32), rng.integers(0, 130, 64).astype(np.int32), poison(64)
    call(main, a, i, b)
    assert (b == np.where(i < 100, a[np.minimum(i, 99)], 0)).all()


def test_barrier_between_halves_of_a_block(rng):
    @T.prim_func
    def main(A: T.Tensor((128,), "float32"), B: T.Tensor((128,), "float32")):
        with T.Kernel(1, threads=256):
            tile = T.alloc_shared((128,), "float32")
            full = T.alloc_barrier(128)
            tx = T.get_thread_binding()
            if tx < 128:
                tile[tx] = A[tx]
                T.barrier_arrive(full[0])
            else:
                T.barrier_wait(full[0], 0)
                B[tx - 128] = tile[255 - tx] * 2.0

    a, b = rng.standard_normal(128, np.float32), poison(128)
    call(main, a, b)
    assert (b == 2 * a[::-1]).all()


def test_atomics_in_a_nest(rng):
    @T.prim_func
    def main(A: T.Tensor((1024,), "int32"), H: T.Tensor((16,), "int32"), M: T.Tensor((1,), "float32")):
        with T.Kernel(4, threads=64) as bx:
            for i in T.Parallel(256):
                T.atomic_add(H[A[bx * 256 + i]], 1)
                T.atomic_max(M[0], T.cast(A[bx * 256 + i], "float32"))

    a = rng.integers(0, 16, 1024).astype(np.int32)
    histogram, largest = np.zeros(16, np.int32), np.zeros(1, np.float32)
    call(main, a, histogram, largest)
    assert (histogram == np.bincount(a, minlength=16)).all()
    assert largest[0] == a.max()


@pytest.mark.parametrize("n", [1, 4, 6])
def test_branches(rng, n):
    @T.prim_func
    def main(A: T.Tensor((128,), "float32"), B: T.Tensor((128,), "float32"), n: T.int32):
        with T.Kernel(2, threads=64) as bx:
            if bx == 0 and n > 3:
                for i in T.Parallel(64):
                    B[i] = A[i] if A[i] > 0 else -A[i]
            elif n > 5:
                for i in T.Parallel(64):
                    B[64 + i] = T.if_then_else(A[64 + i] > 0.0, 1.0, 2.0)
            else:
                for i in T.Parallel(64):
                    B[bx * 64 + i] = T.Select(A[bx * 64 + i] > 0, T.float32(3.0), T.float32(4.0))

    a, b = rng.standard_normal(128, np.float32), poison(128)
    call(main, a, b, n)
    expected = np.where(a > 0, 3, 4).astype(np.float32)
    if n > 3:
        expected[:64] = abs(a[:64])
    if n > 5:
        expected[64:] = np.where(a[64:] > 0, 1, 2)
    assert (b == expected).all()


def test_function_of_imported_source(rng):
    source = "__device__ __forceinline__ float twice_plus(float a, float b) { return a * 2.0f + b; }"

    @T.prim_func
    def main(A: T.Tensor((64,), "float32"), B: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=64):
            T.import_source(source)
            tx = T.get_thread_binding()
            B[tx] = T.call_extern("float32", "twice_plus", A[tx], T.float32(3))

    a, b = rng.standard_normal(64, np.float32), poison(64)
    call(main, a, b)
    np.testing.assert_allclose(b, a.astype(np.float64) * 2 + 3, rtol=1e-6)
