# SPDX-License-Identifier: MIT
"""T.ld and T.st of neighbours: every order, scope and width up to 16 bytes, between ranks and in shared memory, and
through NVRTC."""

import itertools

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from rank_programs import RANKS, STORES, compile_text, launch, raw, rng
from tilescale.errors import CompileError
from tilescale.sim import MisalignedAccess

LOADS = list(itertools.product(["weak", "volatile", "relaxed", "acquire"], ["cta", "gpu", "sys"]))
WIDTHS = [
    ("uint8", 2), ("int8", 4), ("uint8", 8), ("uint8", 16), ("float16", 2), ("float16", 8),
    ("float32", 2), ("int32", 4), ("float32", 4), ("uint64", 2), ("float64", 2),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "n"), WIDTHS, ids=str)
def test_every_order_and_scope(dtype, n):
    """Stored on the next rank, loaded from there behind a barrier; and once more through shared memory."""
    ways = len(STORES)

    @T.prim_func
    def main(
        A: T.Tensor((ways, n), dtype),
        B: T.Tensor((ways, n), dtype),
        C: T.Tensor((ways, n), dtype),
        bar: T.Tensor((RANKS,), "int32"),
    ):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            peer = (T.get_rank() + 1) % T.get_num_ranks()
            v, w = T.alloc_local((n,), dtype), T.alloc_local((2 * n,), dtype)
            s = T.alloc_shared((ways, n), dtype)
            for i, (sem, scope) in enumerate(STORES):
                if tx == i:
                    T.ld(T.address_of(A[i, 0]), v)
                    T.st(T.address_of(B[i, 0]), v[0:n], scope=scope, sem=sem, dst_pe=peer)
            T.barrier_blocks(bar)
            for i, (sem, scope) in enumerate(LOADS):
                if tx == i:
                    T.ld(B[i, 0:n], w[n : 2 * n], scope=scope, sem=sem, src_pe=peer)
                    T.st(s[i, 0:n], w[n : 2 * n], scope=scope, sem=STORES[i][0])
                    T.ld(s[i, 0:n], v, scope=scope, sem=sem)
                    for k in T.serial(n):
                        C[i, k] = v[k]

    a = [raw((ways, n), dtype) for _ in range(RANKS)]
    zero = [np.zeros((ways, n), dtype) for _ in range(RANKS)]
    bar = [np.zeros((RANKS,), np.int32) for _ in range(RANKS)]
    _, b, c, _ = launch(main, {"A": a, "B": zero, "C": zero, "bar": bar})
    for r in range(RANKS):
        np.testing.assert_array_equal(b[(r + 1) % RANKS].view(np.uint8), a[r].view(np.uint8))
        np.testing.assert_array_equal(c[r].view(np.uint8), a[r].view(np.uint8))


def test_the_instructions(tmp_path):

    @T.prim_func
    def main(A: T.Tensor((64, 8), "float16"), B: T.Tensor((64, 8), "float16")):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            v = T.alloc_local((8,), "float16")
            T.ld(A[tx, 0:8], v, scope="sys", sem="acquire")
            T.st(B[tx, 0:8], v[0:8], scope="sys", sem="release")

    source = tilescale.compile(main, target={"kind": "cuda", "arch": "sm_90a"}).get_kernel_source()
    assert "ts::ptx::ld_v8<ts::Sem::acquire, ts::Scope::sys>(A + " in source
    assert "ts::ptx::st<ts::Sem::release, ts::Scope::sys>(B + " in source
    for arch in ("sm_80", "sm_90a"):
        compile_text(main, arch)


def _bits(x):
    return np.asarray(x).view(np.uint8)


@pytest.mark.parametrize(("dtype", "n", "extent"), [("float32", 4, 21), ("float16", 8, 13), ("uint8", 16, 3)], ids=str)
@pytest.mark.parametrize("sem", ["weak", "relaxed"])
@pytest.mark.parametrize("safe", [None, 3])
def test_neighbours_partly_out_of_range(dtype, n, extent, sem, safe):
    """Those in range are loaded and stored; the others read as 0 or the safe value, and nothing is stored there."""
    threads = 32

    @T.prim_func
    def main(
        A: T.Tensor((extent,), dtype),
        B: T.Tensor((extent,), dtype),
        C: T.Tensor((threads, n), dtype),
        D: T.Tensor((threads,), dtype),
    ):
        with T.Kernel(1, threads=threads):
            if safe is not None:
                T.annotate_safe_value({A: safe})
            tx = T.get_thread_binding()
            v, one = T.alloc_local((n,), dtype), T.alloc_local((1,), dtype)
            T.ld(A[tx * n : tx * n + n], v, sem=sem)
            T.st(B[tx * n : tx * n + n], v[0:n], sem=sem)
            T.ld(A[tx], one[0], sem=sem)
            D[tx] = one[0]
            for k in T.serial(n):
                C[tx, k] = v[k]

    a = raw((extent,), dtype)
    b, c, d = raw((extent,), dtype), raw((threads, n), dtype), raw((threads,), dtype)
    tilescale.compile(main, target="sim")(a, b, c, d)
    want = np.full((threads * n,), 0 if safe is None else safe, dtype)
    want[:extent] = a
    np.testing.assert_array_equal(_bits(b), _bits(a))
    np.testing.assert_array_equal(_bits(c.reshape(-1)), _bits(want))
    np.testing.assert_array_equal(_bits(d), _bits(want[:threads]))
    compile_text(main, "sm_80")
    compile_text(main, "sm_90a")


@pytest.mark.parametrize("sem", ["weak", "relaxed"])
def test_the_places_are_read_once(sem):
    """What a load writes may be what its own indices read."""

    @T.prim_func
    def main(A: T.Tensor((6,), "int32"), B: T.Tensor((4, 6), "int32"), at: T.int32):
        with T.Kernel(1, threads=1):
            v = T.alloc_local((8,), "int32")
            for i in T.serial(4):
                for k in T.serial(8):
                    v[k] = i
                T.ld(A[at * v[0] : at * v[0] + 2], v[v[0] : v[0] + 2], sem=sem)
                for k in T.serial(6):
                    B[i, k] = v[k]

    a, b = rng.integers(10, 99, 6).astype("int32"), np.zeros((4, 6), "int32")
    tilescale.compile(main, target="sim")(a, b, 2)
    want = np.arange(4, dtype="int32")[:, None].repeat(6, 1)
    for i in range(4):
        want[i, i : i + 2] = a[2 * i : 2 * i + 2] if i < 3 else 0
    np.testing.assert_array_equal(b, want)


@pytest.mark.parametrize("sem", ["weak", "relaxed", "volatile"])
@pytest.mark.parametrize("store", [False, True])
def test_sixteen_bytes_at_a_multiple_of_eight(sem, store):
    """Two words in their places are no vector in its place."""

    @T.prim_func
    def main(A: T.Tensor((64,), "float32"), at: T.int32):
        with T.Kernel(1, threads=1):
            v = T.alloc_local((4,), "float32")
            T.clear(v)
            if store:
                T.st(A[at : at + 4], v[0:4], sem=sem)
            else:
                T.ld(A[at : at + 4], v, sem=sem)

    a = np.zeros(64, "float32")
    kernel = tilescale.compile(main, target="sim")
    kernel(a, 8)
    with pytest.raises(MisalignedAccess) as error:
        kernel(a, 6)
    assert "misaligned access of 16 bytes" in str(error.value)


def _placed(array, shift):
    """A copy of it, `shift` bytes above a multiple of 16."""
    raw_bytes = np.zeros(array.nbytes + 32, np.uint8)
    start = -raw_bytes.ctypes.data % 16 + shift
    out = raw_bytes[start : start + array.nbytes].view(array.dtype)
    out[:] = array
    return out


@pytest.mark.parametrize(("access", "bytes_"), [("ld", 16), ("st", 8), ("atomic_addx2", 8), ("atomic_addx4", 16)])
@pytest.mark.parametrize("beside", [False, True])
def test_an_address_that_suits_elements_only(access, bytes_, beside):
    """The program itself accesses several elements at once: no variant does without their alignment. What the
    compiler made wide (`beside`) has a slower variant still."""

    @T.prim_func
    def main(A: T.Tensor((64,), "float32"), B: T.Tensor((64,), "float32"), C: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=16):
            tx = T.get_thread_binding()
            v = T.alloc_local((4,), "float32")
            for k in T.serial(4):
                v[k] = 1
            if access == "ld":
                T.ld(A[tx * 4 : tx * 4 + 4], v)
            elif access == "st":
                T.st(A[tx * 4 : tx * 4 + 2], v[0:2])
            elif access == "atomic_addx2":
                T.atomic_addx2(A[tx * 4], v[0:2])
            else:
                T.atomic_addx4(A[tx * 4], v)
            if beside:
                for i in T.Parallel(64):
                    C[i] = B[i] * 2

    kernel = tilescale.compile(main, target="sim")
    a, b, c = (rng.random(64).astype("float32") for _ in range(3))
    kernel(_placed(a, 0), _placed(b, 0), _placed(c, 0))
    if bytes_ == 8:
        kernel(_placed(a, 8), _placed(b, 0), _placed(c, 0))
    out = _placed(c, 4)
    kernel(_placed(a, 0), _placed(b, 4), out)
    if beside:
        np.testing.assert_array_equal(out, b * np.float32(2))
    with pytest.raises(ValueError) as error:
        kernel(_placed(a, 4), _placed(b, 0), _placed(c, 0))
    assert str(error.value) == (
        f"main: `A` is accessed {bytes_} bytes at a time, its address must be a multiple of {bytes_}"
    )


def test_rows_that_are_no_multiple():
    @T.prim_func
    def rows(A: T.Tensor((128, 5), "float32")):
        with T.Kernel(1, threads=128):
            tx = T.get_thread_binding()
            v = T.alloc_local((4,), "float32")
            T.ld(A[tx, 0:4], v)

    with pytest.raises(CompileError) as error:
        tilescale.compile(rows, target="sim")
    assert (
        "`A[tx, 0:4]` is accessed as one of 16 bytes, which begins at a multiple of 4 elements, but it begins at "
        "element 5 of `A` where tx = 1: access its elements one by one, or give the rows a multiple of 4"
    ) in str(error.value)

    @T.prim_func
    def each_fourth(A: T.Tensor((128, 5), "float32"), B: T.Tensor((128, 4), "float32")):
        with T.Kernel(1, threads=128):
            tx = T.get_thread_binding()
            v = T.alloc_local((4,), "float32")
            if tx % 4 == 0:
                T.ld(A[tx, 0:4], v)
                T.st(B[tx, 0:4], v[0:4])
            if tx < 16:
                row = tx * 8
                T.ld(A[row, 0:4], v)
                T.st(B[row + 1, 0:4], v[0:4])

    a, b = rng.random((128, 5)).astype("float32"), np.zeros((128, 4), "float32")
    tilescale.compile(each_fourth, target="sim")(a, b)
    want = np.zeros_like(b)
    want[::4] = a[::4, :4]
    want[1::8] = a[::8, :4]
    np.testing.assert_array_equal(b, want)


LAYOUTS = {
    "transposed": (lambda i, j: (j, i), "does not keep its elements together"),
    "swizzled by four": (lambda i, j: (i, (j // 4 ^ i % 4) * 4 + j % 4), "does not keep its elements together"),
    "rotated by four": (lambda i, j: (i, (j + i * 4) % 64), "which begins at a multiple of 8 elements"),
    "swizzled by eight": (lambda i, j: (i, (j // 8 ^ i % 8) * 8 + j % 8), None),
    "rotated by eight": (lambda i, j: (i, (j + i * 8) % 64), None),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_of_shared_memory(name):
    layout, fault = LAYOUTS[name]

    @T.prim_func
    def main(A: T.Tensor((64, 64), "float16"), B: T.Tensor((64, 64), "float16"), C: T.Tensor((64, 64), "float16")):
        with T.Kernel(1, threads=128):
            tx = T.get_thread_binding()
            s, v = T.alloc_shared((64, 64), "float16"), T.alloc_local((8,), "float16")
            T.annotate_layout({s: T.Layout((64, 64), layout)})
            T.copy(A, s)
            for r in T.serial(4):
                T.ld(s[tx // 8 + r * 16, tx % 8 * 8], v)
                T.st(B[tx // 8 + r * 16, tx % 8 * 8], v[0:8])
                T.st(s[tx // 8 + r * 16, tx % 8 * 8], v[0:8])
            T.sync_threads()
            T.copy(s, C)

    if fault:
        with pytest.raises(CompileError) as error:
            tilescale.compile(main, target="sim")
        assert "`s[" in str(error.value) and fault in str(error.value)
        return
    a, b, c = rng.random((64, 64)).astype("float16"), np.zeros((64, 64), "float16"), np.zeros((64, 64), "float16")
    tilescale.compile(main, target="sim")(a, b, c)
    np.testing.assert_array_equal(b, a)
    np.testing.assert_array_equal(c, a)
