# SPDX-License-Identifier: MIT
"""Mistakes that published programs of several ranks are known to have, each as a small program of the same pattern: the
simulator shows it. With the part that is missing there the same program is clean."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale import sim
from tilescale.distributed import World

M, N = 16, 32
rng = np.random.default_rng()
BY_HAND = {tilescale.PassConfigKey.TL_DISABLE_THREAD_STORAGE_SYNC: True}


def allgather_gemm(right):
    """One thread waits for the shard, all of the block read it at once."""

    @T.prim_func
    def main(
        A: T.Tensor((M, N), "float16"),
        inbox: T.Tensor((M, N), "float16"),
        C: T.Tensor((M, M), "float32"),
        flags: T.Tensor((1,), "int32"),
    ):
        with T.Kernel(1, threads=128):
            tx = T.get_thread_binding()
            peer = 1 - T.get_rank()
            a = T.alloc_shared((M, N), "float16")
            c = T.alloc_fragment((M, M), "float32")
            T.put_block(T.address_of(A[0, 0]), T.address_of(inbox[0, 0]), M * N, peer)
            T.sync_threads()
            if tx == 0:
                T.st(T.address_of(flags[0]), 1, scope="sys", sem="release", dst_pe=peer)
                T.wait_eq(flags[0], 1)
            if right:
                T.sync_threads()
            for i, j in T.Parallel(M, N):
                a[i, j] = inbox[i, j]
            T.sync_threads()
            T.clear(c)
            T.gemm(a, a, c, transpose_B=True)
            T.copy(c, C)

    return main, (((M, N), "float16"), ((M, N), "float16"), ((M, M), "float32"), ((1,), "int32"))


def gemm_reduce_scatter_counter(right):
    """A block counts its tile as done while threads of it still write: a second block sends half a tile."""

    @T.prim_func
    def main(
        A: T.Tensor((M, N), "float32"),
        tile: T.Tensor((M, N), "float32"),
        inbox: T.Tensor((M, N), "float32"),
        count: T.Tensor((1,), "uint32"),
    ):
        with T.Kernel(2, threads=128) as b:
            tx = T.get_thread_binding()
            if b == 0:
                for i, j in T.Parallel(M, N):
                    tile[i, j] = A[i, j] * 2
                if right:
                    T.sync_threads()
                if tx == 0:
                    T.atom_add(count[0], 1, scope="gpu", sem="release")
            else:
                if tx == 0:
                    T.wait_ge(count[0], 1, scope="gpu")
                T.sync_threads()
                T.put_block(T.address_of(tile[0, 0]), T.address_of(inbox[0, 0]), M * N, 1 - T.get_rank())

    return main, (((M, N), "float32"),) * 3 + (((1,), "uint32"),)


def scatter_then_reduce(right):
    """Each rank puts its slab and sums what it has, without a barrier of the ranks between."""

    @T.prim_func
    def main(
        A: T.Tensor((M, N), "float32"),
        inbox: T.Tensor((2, M, N), "float32"),
        out: T.Tensor((M, N), "float32"),
        barrier: T.Tensor((2,), "int32"),
    ):
        with T.Kernel(1, threads=128):
            rank = T.get_rank()
            for r in T.serial(2):
                T.put(A, inbox[rank, 0:M, 0:N], peer=r)
            if right:
                T.barrier_blocks(barrier)
            for i, j in T.Parallel(M, N):
                out[i, j] = inbox[0, i, j] + inbox[1, i, j]

    return main, (((M, N), "float32"), ((2, M, N), "float32"), ((M, N), "float32"), ((2,), "int32"))


def attention_barrier(right):
    """The barrier before a peer's K is read orders nothing: it does not release what the block wrote."""

    @T.prim_func
    def main(
        A: T.Tensor((M, N), "float32"),
        K: T.Tensor((M, N), "float32"),
        out: T.Tensor((M, N), "float32"),
        barrier: T.Tensor((2,), "int32"),
    ):
        with T.Kernel(1, threads=128):
            for i, j in T.Parallel(M, N):
                K[i, j] = A[i, j] + 1
            if right:
                T.barrier_blocks(barrier)
            else:
                T.sync_blocks(barrier)
            T.get(K, out, peer=1 - T.get_rank())

    return main, (((M, N), "float32"),) * 3 + (((2,), "int32"),)


def gemm_all_reduce_signal(right):
    """One thread fences and signals, while other threads' stores of the tile are under way."""

    @T.prim_func
    def main(
        A: T.Tensor((M, N), "float32"),
        C: T.Tensor((M, N), "float32"),
        out: T.Tensor((M, N), "float32"),
        flags: T.Tensor((1,), "uint32"),
    ):
        with T.Kernel(1, threads=128):
            tx = T.get_thread_binding()
            peer = 1 - T.get_rank()
            for i, j in T.Parallel(M, N):
                C[i, j] = A[i, j] * 3
            T.fence_sys()
            if right:
                T.sync_threads()
            if tx == 0:
                T.atom_add_remote(flags[0], 1, scope="sys", sem="release", dst_pe=peer)
                T.wait_ge(flags[0], 1)
            T.sync_threads()
            T.get(C, out, peer=peer)

    return main, (((M, N), "float32"),) * 3 + (((1,), "uint32"),)


def all_to_all_slots(right):
    """Every rank's tokens go to row 0 of the receiver."""

    @T.prim_func
    def main(
        A: T.Tensor((M, N), "float32"),
        inbox: T.Tensor((2, M, N), "float32"),
        out: T.Tensor((2, M, N), "float32"),
        barrier: T.Tensor((2,), "int32"),
    ):
        with T.Kernel(1, threads=128):
            slot = T.get_rank() if right else 0
            for r in T.serial(2):
                T.putmem_nbi_block(T.address_of(inbox[slot, 0, 0]), T.address_of(A[0, 0]), M * N * 4, r)
            T.quiet()
            T.barrier_blocks(barrier)
            T.copy(inbox, out)

    return main, (((M, N), "float32"), ((2, M, N), "float32"), ((2, M, N), "float32"), ((2,), "int32"))


def credit(right):
    """The receiver gives a slot back by a relaxed store: the sender may write what the receiver still reads."""

    @T.prim_func
    def main(
        A: T.Tensor((M, N), "float32"),
        slot: T.Tensor((N,), "float32"),
        out: T.Tensor((M, N), "float32"),
        queue: T.Tensor((2,), "int32"),
    ):
        with T.Kernel(2, threads=32) as b:
            tx = T.get_thread_binding()
            peer = 1 - T.get_rank()
            for i in T.serial(M):
                if b == 0:
                    if tx == 0:
                        T.wait_ge(queue[1], i, peer)
                    T.sync_warp()
                    T.put_warp(T.address_of(A[i, 0]), T.address_of(slot[0]), N, peer)
                    T.sync_warp()
                    if tx == 0:
                        T.st(T.address_of(queue[0]), i + 1, scope="sys", sem="release", dst_pe=peer)
                else:
                    if tx == 0:
                        T.wait_ge(queue[0], i + 1)
                    T.sync_warp()
                    T.put_warp(T.address_of(slot[0]), T.address_of(out[i, 0]), N)
                    T.sync_warp()
                    if tx == 0:
                        T.st(T.address_of(queue[1]), i + 1, scope="sys", sem="release" if right else "relaxed")

    return main, (((M, N), "float32"), ((N,), "float32"), ((M, N), "float32"), ((2,), "int32"))


def partial_sums(right):
    """Partial sums that go through C, which nobody cleared."""

    @T.prim_func
    def main(
        A: T.Tensor((M, N), "float32"),
        inbox: T.Tensor((M, N), "float32"),
        C: T.Tensor((M, N), "float32"),
        flags: T.Tensor((2,), "int32"),
    ):
        with T.Kernel(1, threads=128):
            peer = 1 - T.get_rank()
            if right:
                for i, j in T.Parallel(M, N):
                    C[i, j] = 0
            for s in T.serial(2):
                T.put(A, inbox, peer=peer, signal=T.signal(flags, 0))
                T.wait(T.signal(flags, 0), at_least=s + 1)
                for i, j in T.Parallel(M, N):
                    C[i, j] += inbox[i, j]
                T.notify(T.signal(flags, 1), peer=peer)
                T.wait(T.signal(flags, 1), at_least=s + 1)

    return main, (((M, N), "float32"),) * 3 + (((2,), "int32"),)


BUGS = {
    allgather_gemm: lambda x: x[::-1].astype(np.float64) @ x[::-1].astype(np.float64).swapaxes(1, 2),
    gemm_reduce_scatter_counter: lambda x: 2 * x[::-1],
    scatter_then_reduce: lambda x: np.stack([x[0] + x[1]] * 2),
    attention_barrier: lambda x: x[::-1] + 1,
    gemm_all_reduce_signal: lambda x: 3 * x[::-1],
    all_to_all_slots: lambda x: np.stack([x] * 2),
    credit: lambda x: x[::-1],
    partial_sums: lambda x: 2 * x[::-1],
}


def result(make, right):
    """The largest error of the third tensor, all but the first and the flags poisoned before."""
    func, tensors = make(right)
    kernel = tilescale.compile(func, target="sim", pass_configs=BY_HAND if make is not partial_sums else {})
    with World(2, target="sim") as w:
        given = [w.tensor(shape, dtype, name=f"t{i}") for i, (shape, dtype) in enumerate(tensors)]
        inputs = rng.standard_normal((2, M, N)).astype(tensors[0][1])
        for r in range(2):
            np.asarray(given[0][r])[...] = inputs[r]
            for t in given[1:-1]:
                np.asarray(t[r])[...] = np.nan
        w.launch(kernel, *given)
        w.barrier()
        got = np.stack([np.asarray(given[2][r]) for r in range(2)])
    return float(np.abs(got - BUGS[make](inputs)).max())


@pytest.mark.parametrize("make", BUGS, ids=lambda make: make.__name__)
def test_the_mistake_is_shown(make, seeds):
    for seed in seeds[:5]:
        sim.set_seed(seed)
        if make is partial_sums:
            assert not result(make, False) < 1e-4
        else:
            with pytest.raises(sim.DataRace):
                result(make, False)


@pytest.mark.parametrize("make", BUGS, ids=lambda make: make.__name__)
def test_the_repaired_program_is_clean(make, seeds):
    for seed in seeds[:5]:
        sim.set_seed(seed)
        assert result(make, True) < 1e-2
