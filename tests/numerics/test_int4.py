# SPDX-License-Identifier: MIT
"""Integers of four bits: two a byte in tensors, shared memory and fragments, the even element in the low half."""

import re

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale._ffi import function

SIM = {"kind": "sim", "arch": "sm_90a"}
RANGE = {"int4": (-8, 8), "uint4": (0, 16)}
CARRIER = {"int4": np.int8, "uint4": np.uint8}


@pytest.fixture
def rng():
    return np.random.default_rng()


def draw(rng, dtype, *shape):
    return rng.integers(*RANGE[dtype], shape)


def pack(x, dtype):
    nibbles = (x & 15).astype(np.uint8)
    return (nibbles[..., ::2] | nibbles[..., 1::2] << 4).view(CARRIER[dtype])


def unpack(x, dtype):
    x = x.view(np.uint8)
    out = np.stack([x & 15, x >> 4], -1).reshape(*x.shape[:-1], -1).astype(np.int64)
    return (out ^ 8) - 8 if dtype == "int4" else out


def compiled(program, **options):
    return tilescale.compile(program, target=SIM, **options)


@pytest.mark.parametrize("dtype", ["int4", "uint4"])
@pytest.mark.parametrize("shape, tile", [((64, 128), (32, 64)), ((50, 90), (16, 32)), ((7, 38), (4, 64))])
@pytest.mark.parametrize("through", ["shared", "fragment", "both"])
def test_copies(rng, dtype, shape, tile, through):
    (M, N), (m, n) = shape, tile

    @T.prim_func
    def main(A: T.Tensor((M, N), dtype), B: T.Tensor((M, N), dtype)):
        with T.Kernel(T.ceildiv(N, n), T.ceildiv(M, m), threads=64) as (bx, by):
            S = T.alloc_shared((m, n), dtype)
            F = T.alloc_fragment((m, n), dtype)
            if through == "shared":
                T.copy(A[by * m, bx * n], S)
                T.copy(S, B[by * m, bx * n])
            elif through == "fragment":
                T.copy(A[by * m, bx * n], F)
                T.copy(F, B[by * m, bx * n])
            else:
                T.copy(A[by * m, bx * n], S)
                T.copy(S, F)
                T.copy(F, B[by * m, bx * n])

    a = draw(rng, dtype, M, N)
    b = rng.integers(0, 256, (M, N // 2)).astype(np.uint8).view(CARRIER[dtype])
    compiled(main)(pack(a, dtype), b)
    assert (unpack(b, dtype) == a).all()


@pytest.mark.parametrize("dtype", ["int4", "uint4"])
@pytest.mark.parametrize("other", ["float16", "bfloat16", "float32", "int8", "int32"])
def test_casts(rng, dtype, other):
    """To a wider type and back, on values that a fragment holds packed in between."""

    @T.prim_func
    def main(A: T.Tensor((32, 64), dtype), W: T.Tensor((32, 64), other), B: T.Tensor((32, 64), dtype)):
        with T.Kernel(1, threads=64):
            F = T.alloc_fragment((32, 64), dtype)
            G = T.alloc_fragment((32, 64), other)
            T.copy(A, F)
            for i, j in T.Parallel(32, 64):
                G[i, j] = T.cast(F[i, j], other)
            T.copy(G, W)
            for i, j in T.Parallel(32, 64):
                B[i, j] = T.cast(G[i, j], dtype)

    import torch

    a = draw(rng, dtype, 32, 64)
    w = torch.full((32, 64), 77, dtype=getattr(torch, other))
    b = np.zeros((32, 32), CARRIER[dtype])
    compiled(main)(pack(a, dtype), w, b)
    assert (w.double().numpy() == a).all()
    assert (unpack(b, dtype) == a).all()


@pytest.mark.parametrize("dtype", ["int4", "uint4"])
def test_arithmetic_wraps(rng, dtype):
    @T.prim_func
    def main(A: T.Tensor((64, 64), dtype), B: T.Tensor((64, 64), dtype), C: T.Tensor((64, 64), "int32")):
        with T.Kernel(1, threads=128):
            a = T.alloc_fragment((64, 64), dtype)
            b = T.alloc_fragment((64, 64), dtype)
            T.copy(A, a)
            T.copy(B, b)
            for i, j in T.Parallel(64, 64):
                a[i, j] = a[i, j] * b[i, j] + a[i, j]
            for i, j in T.Parallel(64, 64):
                C[i, j] = T.cast(a[i, j], "int32") + T.cast(B[i, j], "int32")

    a, b = draw(rng, dtype, 64, 64), draw(rng, dtype, 64, 64)
    c = np.full((64, 64), -999, np.int32)
    compiled(main)(pack(a, dtype), pack(b, dtype), c)
    want = (a * b + a) & 15
    assert (c == (((want ^ 8) - 8) if dtype == "int4" else want) + b).all()


def matmul(M, N, K, dtype, stages=2, form="cast"):
    """C = A · (W - zero) · scale, one scale for 32 elements of K: weights of four bits, activations of 16."""
    weights = T.Tensor((N, K), dtype) if form == "cast" else T.Tensor((N, K // 2), "uint8")
    held = dtype if form == "cast" else "uint8"
    columns = 64 if form == "cast" else 32

    @T.prim_func
    def main(
        A: T.Tensor((M, K), "float16"),
        W: weights,
        S: T.Tensor((N, K // 32), "float16"),
        C: T.Tensor((M, N), "float32"),
    ):
        with T.Kernel(T.ceildiv(N, 64), T.ceildiv(M, 64), threads=128) as (bx, by):
            As = T.alloc_shared((64, 64), "float16")
            Ws = T.alloc_shared((64, columns), held)
            Wl = T.alloc_fragment((64, columns), held)
            Wd = T.alloc_fragment((64, 64), "float16")
            Wf = T.alloc_shared((64, 64), "float16")
            acc = T.alloc_fragment((64, 64), "float32")
            T.clear(acc)
            for k in T.Pipelined(T.ceildiv(K, 64), num_stages=stages):
                T.copy(A[by * 64, k * 64], As)
                T.copy(W[bx * 64, k * columns], Ws)
                T.copy(Ws, Wl)
                for i, j in T.Parallel(64, 64):
                    if form == "cast":
                        Wd[i, j] = T.cast(Wl[i, j], "float16") * S[bx * 64 + i, k * 2 + j // 32]
                    else:
                        nibble = (Wl[i, j // 2] >> T.cast((j % 2) * 4, "uint8")) & T.cast(15, "uint8")
                        Wd[i, j] = (T.cast(nibble, "float16") - T.cast(8, "float16")) * S[bx * 64 + i, k * 2 + j // 32]
                T.copy(Wd, Wf)
                T.gemm(As, Wf, acc, transpose_B=True)
            T.copy(acc, C[by * 64, bx * 64])

    return main


def weights_of(rng, N, K, dtype, form):
    w = draw(rng, dtype if form == "cast" else "uint4", N, K)
    return w - (8 if form == "shift" else 0), pack(w, dtype if form == "cast" else "uint4")


@pytest.mark.parametrize("form", ["cast", "shift"])
@pytest.mark.parametrize("M, N, K", [(64, 128, 128), (100, 72, 192)])
def test_matmul_of_packed_weights(rng, form, M, N, K):
    w, packed = weights_of(rng, N, K, "int4", form)
    a = rng.standard_normal((M, K)).astype(np.float16)
    s = rng.uniform(0.5, 2, (N, K // 32)).astype(np.float16)
    c = np.full((M, N), np.nan, np.float32)
    compiled(matmul(M, N, K, "int4", form=form))(a, packed, s, c)
    scaled = (w * np.repeat(s, 32, 1).astype(np.float64)).astype(np.float16).astype(np.float64)
    np.testing.assert_allclose(c, a.astype(np.float64) @ scaled.T, atol=0.02 * np.sqrt(K))


def test_weights_travel_in_wide_accesses():
    """The copies of packed weights are asynchronous and of 16 bytes, the casts of whole vectors."""
    kernel = tilescale.compile(matmul(256, 256, 256, "int4"), target={"kind": "cuda", "arch": "sm_80"})
    source = kernel.get_kernel_source()
    assert "TS_SMEM(ts::u8, Ws, " in source
    assert re.search(r"cp_async(<16>|_16)?\(.*Ws", source)
    assert "ts::cast_vec<ts::f16, 8>" in source
    assert "ts::to_i4" not in source


@pytest.mark.parametrize("arch", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("form, dtype", [("cast", "int4"), ("cast", "uint4"), ("shift", "uint4")])
def test_nvrtc(arch, form, dtype):
    source = tilescale.compile(
        matmul(256, 256, 256, dtype, form=form), target={"kind": "cuda", "arch": arch}
    ).get_kernel_source()
    assert function("runtime.nvrtc_compile")("main", source, arch, [])["usage"][0]["spill_store_bytes"] == 0


def test_symbolic_extents(rng):
    M, N = T.dynamic("m"), T.dynamic("n")

    @T.prim_func
    def main(A: T.Tensor((M, N), "int4"), B: T.Tensor((M, N), "float32")):
        with T.Kernel(T.ceildiv(N, 64), T.ceildiv(M, 8), threads=64) as (bx, by):
            F = T.alloc_fragment((8, 64), "int4")
            T.copy(A[by * 8, bx * 64], F)
            for i, j in T.Parallel(8, 64):
                B[by * 8 + i, bx * 64 + j] = T.cast(F[i, j], "float32")

    kernel = compiled(main)
    for shape in ((8, 64), (13, 70), (3, 258)):
        a, b = draw(rng, "int4", *shape), np.full(shape, np.nan, np.float32)
        kernel(pack(a, "int4"), b)
        assert (b == a).all()
    with pytest.raises(ValueError, match=r"main\.B\.shape\[1\]"):
        kernel(pack(a, "int4"), np.zeros((3, 129), np.float32))


def test_outputs_are_tensors_of_bytes(rng):
    @T.prim_func
    def main(A: T.Tensor((16, 64), "float32"), B: T.Tensor((16, 64), "int4")):
        with T.Kernel(1, threads=64):
            for i, j in T.Parallel(16, 64):
                B[i, j] = T.cast(A[i, j], "int4")

    a = draw(rng, "int4", 16, 64)
    b = np.from_dlpack(compiled(main, out_idx=[1])(a.astype(np.float32)))
    assert b.dtype == np.int8 and b.shape == (16, 32)
    assert (unpack(b, "int4") == a).all()


def test_one_thread_writes_single_elements(rng):
    @T.prim_func
    def main(A: T.Tensor((64,), "int4"), B: T.Tensor((64,), "int4")):
        with T.Kernel(1, threads=32):
            if T.get_thread_binding() == 0:
                for i in T.serial(64):
                    B[63 - i] = A[i]

    a = draw(rng, "int4", 64)
    b = np.zeros(32, np.int8)
    compiled(main)(pack(a, "int4"), b)
    assert (unpack(b, "int4") == a[::-1]).all()


class TestErrors:
    def test_neighbours_in_different_threads(self):
        @T.prim_func
        def main(A: T.Tensor((64, 64), "int4"), B: T.Tensor((64, 64), "int4")):
            with T.Kernel(1, threads=64):
                for i, j in T.Parallel(64, 64):
                    B[i, (j + 1) % 64] = A[i, j]

        text = (
            "elements of `B` (int4) share bytes, and this loop gives those of one byte to different threads; "
            "write rows of an even extent, in the order of memory"
        )
        with pytest.raises(tilescale.CompileError, match=re.escape(text)):
            compiled(main)

    def test_an_odd_row(self):
        text = "parameter `A`: 2 elements of int4 share a byte, its last dimension must be a multiple of 2, got 33"
        with pytest.raises(ValueError, match=re.escape(text)):

            @T.prim_func
            def main(A: T.Tensor((8, 33), "int4")):
                with T.Kernel(1):
                    A[0, 0] = 0

    def test_arguments(self):
        @T.prim_func
        def main(A: T.Tensor((8, 64), "int4"), B: T.Tensor((8, 64), "int4")):
            with T.Kernel(1, threads=32):
                T.copy(A, B)

        kernel, good = compiled(main), np.zeros((8, 32), np.uint8)
        kernel(good.view(np.int8), good.copy())
        with pytest.raises(ValueError, match=r"main\.A\.shape\[1\] .*32.*64|main\.A\.shape\[1\] .*64.*32"):
            kernel(np.zeros((8, 64), np.int8), good)
        text = "main.A.dtype is expected to be int4, but got incompatible dtype float32"
        with pytest.raises(TypeError, match=re.escape(text)):
            kernel(np.zeros((8, 32), np.float32), good)
