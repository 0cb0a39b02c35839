# SPDX-License-Identifier: MIT
"""T.copy and T.atomic_add with a rank, between 2 and 4 ranks: ragged edges, dynamic sizes, strides, wide accesses."""

import re

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from rank_programs import compile_text, launch, raw
from tilescale import sim
from tilescale.distributed import World

rng = np.random.default_rng()
M, N, TILE = 37, 53, 16


def tiles(direction, operand, dynamic):
    """Every rank's A goes to B of the next rank, through `operand`, tile by tile; m is known at launch if `dynamic`."""
    m = T.dynamic("m") if dynamic else M

    @T.prim_func
    def main(A: T.Tensor((m, N), "float32"), B: T.Tensor((m, N), "float16")):
        with T.Kernel(T.ceildiv(N, TILE), T.ceildiv(m, TILE), threads=64) as (bx, by):
            after = (T.get_rank() + 1) % T.get_num_ranks()
            before = (T.get_rank() + T.get_num_ranks() - 1) % T.get_num_ranks()
            s = T.alloc_shared((TILE, TILE), "float32")
            f = T.alloc_fragment((TILE, TILE), "float32")
            y, x = by * TILE, bx * TILE
            if operand == "global":
                rows, columns = slice(y, y + TILE), slice(x, x + TILE)
                if direction == "to":
                    T.copy(A[rows, columns], B[rows, columns], dst_pe=after)
                else:
                    T.copy(A[rows, columns], B[rows, columns], src_pe=before)
            else:
                stage = s if operand == "shared" else f
                if direction == "to":
                    T.copy(A[y, x], stage)
                    T.copy(stage, B[y, x], dst_pe=after)
                else:
                    T.copy(A[y, x], stage, src_pe=before)
                    T.copy(stage, B[y, x])

    return main


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("operand", ["global", "shared", "fragment"])
@pytest.mark.parametrize("direction", ["to", "from"])
def test_ragged_tiles(direction, operand, ranks):
    a = [rng.standard_normal((M, N)).astype(np.float32) for _ in range(ranks)]
    for dynamic in (False, True):
        poison = [np.full((M, N), np.nan, np.float16) for _ in range(ranks)]
        _, got = launch(tiles(direction, operand, dynamic), {"A": a, "B": poison}, ranks)
        for r in range(ranks):
            np.testing.assert_array_equal(got[r], a[r - 1].astype(np.float16))


def test_both_sides_on_other_ranks():
    @T.prim_func
    def main(A: T.Tensor((40,), "int32"), B: T.Tensor((40,), "int32")):
        with T.Kernel(1, threads=32):
            n = T.get_num_ranks()
            T.copy(A, B, src_pe=(T.get_rank() + 1) % n, dst_pe=(T.get_rank() + 2) % n)

    a = [raw((40,), "int32") for _ in range(4)]
    _, got = launch(main, {"A": a, "B": [np.zeros(40, np.int32) for _ in range(4)]}, 4)
    for r in range(4):
        np.testing.assert_array_equal(got[r], a[r - 1])


@pytest.mark.parametrize("ranks", [2, 4])
def test_strided_regions(ranks):
    """A slice with gaps between its rows, turned, of a tensor with strides, to a box in the middle of another."""

    @T.prim_func
    def main(A: T.StridedTensor((8, 12), (24, 2), "float32"), B: T.Tensor((3, 20, 30), "float32")):
        with T.Kernel(1, threads=64):
            f = T.alloc_fragment((5, 7), "float32")
            T.copy(A[2:7, 4:11], f, src_pe=(T.get_rank() + 1) % T.get_num_ranks())
            T.copy(f, B[1, 9:14, 13:20], dst_pe=(T.get_rank() + 2) % T.get_num_ranks())

    kernel = tilescale.compile(main, target="sim")
    for arch in ("sm_80", "sm_90a"):
        compile_text(main, arch)
    with World(ranks, target="sim") as w:
        A, B = w.tensor((8, 12, 2), "float32"), w.tensor((3, 20, 30), "float32")
        for r in range(ranks):
            np.asarray(A[r])[...] = rng.standard_normal((8, 12, 2))
            np.asarray(B[r])[...] = -1
        for r in range(ranks):  # the view with strides of each rank
            w._heap.enter(r, False, 0)
            kernel(np.asarray(A[r])[:, :, 0], B[r])
            w._heap.leave()
        w.barrier()
        for r in range(ranks):
            want = np.full((3, 20, 30), -1, np.float32)
            want[1, 9:14, 13:20] = np.asarray(A[(r - 1) % ranks])[2:7, 4:11, 0]
            np.testing.assert_array_equal(np.asarray(B[r]), want)


def test_width_of_remote_copies_is_that_of_local_ones():
    def width(**peers):
        @T.prim_func
        def main(A: T.Tensor((64, 64), "float16"), B: T.Tensor((64, 64), "float16")):
            with T.Kernel(1, threads=128):
                T.copy(A, B, **peers)

        return re.findall(r"vec<[^>]*>", tilescale.compile(main, target="sim").get_kernel_source())

    assert width() and width(src_pe=1) == width() == width(dst_pe=1)


def test_pipelined_loads_from_a_peer_are_asynchronous(seeds):
    """A product whose one factor is another rank's."""

    @T.prim_func
    def main(A: T.Tensor((64, 128), "float16"), B: T.Tensor((128, 64), "float16"), C: T.Tensor((64, 64), "float32")):
        with T.Kernel(1, threads=128):
            a = T.alloc_shared((64, 32), "float16")
            b = T.alloc_shared((32, 64), "float16")
            c = T.alloc_fragment((64, 64), "float32")
            T.clear(c)
            for k in T.Pipelined(4, num_stages=2):
                T.copy(A[0, k * 32], a, src_pe=(T.get_rank() + 1) % T.get_num_ranks())
                T.copy(B[k * 32, 0], b)
                T.gemm(a, b, c)
            T.copy(c, C)

    text = tilescale.compile(main, target={"kind": "sim", "arch": "sm_80"}).get_kernel_source()
    assert re.search(r"cp_async<16>\(a .*, A_peer ", text)
    for seed in seeds[:4]:
        sim.set_seed(seed)
        a = [rng.standard_normal((64, 128)).astype(np.float16) for _ in range(2)]
        b = [rng.standard_normal((128, 64)).astype(np.float16) for _ in range(2)]
        _, _, got = launch(main, {"A": a, "B": b, "C": [np.full((64, 64), np.nan, np.float32)] * 2}, 2)
        for r in range(2):
            want = a[1 - r].astype(np.float64) @ b[r].astype(np.float64)
            np.testing.assert_allclose(got[r], want, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("operand", ["global", "shared", "fragment", "scalar"])
def test_atomic_adds_of_tiles_meet(operand, ranks, seeds):
    """All ranks add their tiles to those of rank 0, at its edge."""

    @T.prim_func
    def main(A: T.Tensor((M, N), "int32"), total: T.Tensor((M, N), "int32")):
        with T.Kernel(T.ceildiv(N, TILE), T.ceildiv(M, TILE), threads=64) as (bx, by):
            s = T.alloc_shared((TILE, TILE), "int32")
            f = T.alloc_fragment((TILE, TILE), "int32")
            y, x = by * TILE, bx * TILE
            place = total[y : y + TILE, x : x + TILE]
            if operand == "global":
                T.atomic_add(place, A[y : y + TILE, x : x + TILE], dst_pe=0)
            elif operand == "scalar":
                T.atomic_add(place, 3, dst_pe=0)
            else:
                stage = s if operand == "shared" else f
                T.copy(A[y, x], stage)
                T.atomic_add(total[y, x], stage, dst_pe=0)

    for seed in seeds[:3]:
        sim.set_seed(seed)
        a = [rng.integers(-1000, 1000, (M, N), np.int32) for _ in range(ranks)]
        start = [rng.integers(-1000, 1000, (M, N), np.int32) for _ in range(ranks)]
        _, got = launch(main, {"A": a, "total": start}, ranks)
        want = start[0] + (3 * ranks if operand == "scalar" else sum(a))
        np.testing.assert_array_equal(got[0], want)
        for r in range(1, ranks):
            np.testing.assert_array_equal(got[r], start[r])


def test_atomics_of_elements_on_a_peer():
    @T.prim_func
    def main(
        A: T.Tensor((64,), "float16"),
        total: T.Tensor((2,), "float16"),
        old: T.Tensor((64,), "int32"),
        count: T.Tensor((1,), "int32"),
    ):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            old[tx] = T.atomic_add(count[0], 2, return_prev=True, dst_pe=1)
            if tx < 32:
                T.atomic_addx2(total[0], A[tx * 2], dst_pe=1)

    a = [rng.integers(0, 4, (64,)).astype(np.float16) for _ in range(3)]
    zero = [np.zeros((2,), np.float16) for _ in range(3)]
    old = [np.zeros((64,), np.int32) for _ in range(3)]
    _, total, old, count = launch(main, {"A": a, "total": zero, "old": old, "count": [np.zeros(1, np.int32)] * 3}, 3)
    assert [int(c[0]) for c in count] == [0, 2 * 64 * 3, 0]
    assert sorted(np.concatenate(old).tolist()) == list(range(0, 2 * 64 * 3, 2))
    np.testing.assert_array_equal(total[1], sum(x.reshape(32, 2).sum(0) for x in a))
    assert not total[0].any() and not total[2].any()


def test_rows_of_a_peer_are_fetched_ahead(seeds):
    """By cp.async, also where a thread has one element of 4 bytes. A row that is not there gives zeros."""
    rows, turns, wide, narrow = 5, 7, 256, 3

    @T.prim_func
    def main(
        A: T.Tensor((rows, wide), "uint16"),
        B: T.Tensor((rows, narrow), "uint32"),
        order: T.Tensor((turns,), "int32"),
        C: T.Tensor((turns, wide), "uint16"),
        D: T.Tensor((turns, narrow), "uint32"),
    ):
        with T.Kernel(1, threads=32):
            peer = (T.get_rank() + 1) % T.get_num_ranks()
            a, b = T.alloc_shared((wide,), "uint16"), T.alloc_shared((narrow,), "uint32")
            for i in T.Pipelined(turns, num_stages=3):
                T.copy(A[order[i], 0:wide], a, src_pe=peer)
                T.copy(B[order[i], 0:narrow], b, src_pe=peer)
                T.copy(a, C[i, 0:wide])
                T.copy(b, D[i, 0:narrow])

    source = tilescale.compile(main, target="sim").get_kernel_source()
    assert "cp_async_zfill<16>(" in source and "cp_async_zfill<4>(" in source
    for seed in seeds[:3]:
        sim.set_seed(seed)
        a, b = [raw((rows, wide), "uint16") for _ in range(3)], [raw((rows, narrow), "uint32") for _ in range(3)]
        order = [rng.integers(-1, rows, turns).astype(np.int32) for _ in range(3)]
        full = [np.full((turns, wide), 7, np.uint16)] * 3, [np.full((turns, narrow), 7, np.uint32)] * 3
        got = launch(main, {"A": a, "B": b, "order": order, "C": full[0], "D": full[1]}, 3)[3:]
        for tensor, found in zip((a, b), got, strict=True):
            for r in range(3):
                want = tensor[(r + 1) % 3][order[r]]
                want[order[r] < 0] = 0
                np.testing.assert_array_equal(found[r], want)
