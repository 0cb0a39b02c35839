# SPDX-License-Identifier: MIT
"""A program that a launcher starts once a rank. The first argument says what it does."""

import os
import sys
import time

import tilelang
import tilelang.language as T
import torch
import torch.distributed as dist
from tilelang.distributed import do_bench, init_distributed, set_signal, wait_eq

N = 512


def exchange(release=True, wait=True):
    @T.prim_func
    def main(A: T.Tensor((N,), "float32"), inbox: T.Tensor((N,), "float32"), flag: T.Tensor((1,), "uint32")):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            peer = (T.get_rank() + 1) % T.get_num_ranks()
            T.put_block(T.address_of(A[0]), T.address_of(inbox[0]), N, peer)
            T.sync_threads()
            if tx == 0:
                T.st(T.address_of(flag[0]), 1, scope="sys", sem="release" if release else "relaxed", dst_pe=peer)
                if wait:
                    T.wait_eq(flag[0], 1)
            T.sync_threads()
            T.copy(inbox, A)

    return tilelang.compile(main)


def double():
    @T.prim_func
    def main(A: T.Tensor((N,), "float32"), B: T.Tensor((N,), "float32")):
        with T.Kernel(1, threads=64):
            for i in T.Parallel(N):
                B[i] = A[i] * 2

    return tilelang.compile(main)


def heap(size=2**20):
    world, rank, local, group = init_distributed(return_tp_group=True)
    return rank, world, tilelang.get_allocator(size, "cuda", True, local, world, group)


def tensors(allocator):
    return [tilelang.tensor(n, d, allocator=allocator) for n, d in [((N,), torch.float32)] * 2 + [((1,), torch.uint32)]]


def run_exchange(kernel):
    rank, world, allocator = heap()
    A, inbox, flag = tensors(allocator)
    mine = torch.randn(N, dtype=torch.float32, device="cuda")
    A.copy_(mine)
    dist.barrier()
    kernel(A, inbox, flag)
    every = [torch.empty_like(mine) for _ in range(world)]
    dist.all_gather(every, mine)
    assert torch.equal(A, every[rank - 1])  # waits for the kernel, as in a stream


def clean():
    run_exchange(exchange())


def meets():
    """Ranks that meet without a tensor, before and behind allocations of their own."""

    @T.prim_func
    def main(A: T.Tensor((N,), "float32"), inbox: T.Tensor((N,), "float32")):
        with T.Kernel(1, threads=64):
            T.putmem_nbi_block(inbox, A, N * 4, (T.get_pe() + 1) % T.get_pe_num())
            T.barrier_all_block()
            T.copy(inbox, A)

    kernel = tilelang.compile(main)
    rank, world, allocator = heap()
    held = []
    for _ in range(2):
        A, inbox, flag = tensors(allocator)
        held += [A, inbox, flag]
        mine = torch.randn(N, dtype=torch.float32, device="cuda")
        A.copy_(mine)
        kernel(A, inbox)
        every = [torch.empty_like(mine) for _ in range(world)]
        dist.all_gather(every, mine)
        assert torch.equal(A, every[rank - 1])


def race():
    run_exchange(exchange(release=False))


def peers():
    """Tensors of other ranks as torch sees them, through kernels without ranks, copies and signals of streams."""
    rank, world, allocator = heap()
    views = tilelang.tensor((N,), torch.float32, allocator=allocator, return_peers=True)
    flags = tilelang.tensor((world,), torch.int32, allocator=allocator, return_peers=True)
    assert len(views) == world
    mine = torch.randn(N, device="cuda", dtype=torch.float32)
    dist.barrier()
    comm = torch.cuda.Stream()
    doubled = torch.empty(N, device="cuda", dtype=torch.float32)
    double()(mine, doubled)
    comm.wait_stream(torch.cuda.current_stream())
    to = (rank + 1) % world
    with torch.cuda.stream(comm):
        views[to].copy_(doubled)
        set_signal(flags[to][rank : rank + 1], 7)
    start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    wait_eq(flags[rank][(rank - 1) % world :], 7)
    stop.record()
    stop.synchronize()
    assert start.elapsed_time(stop) >= 0
    every = [torch.empty_like(mine) for _ in range(world)]
    dist.all_gather(every, mine)
    assert torch.equal(views[rank], every[rank - 1] * 2)
    assert tilelang.distributed.perf_fn(lambda: double()(mine, doubled)) > 0 and do_bench is not None


def graph():
    """A captured launch, replayed over memory that other ranks write."""
    _, world, allocator = heap()
    A, inbox, flag = tensors(allocator)
    kernel = exchange()

    def step():
        kernel(A, inbox, flag)
        flag.zero_()

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        dist.barrier()
        step()
    side.synchronize()
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured, stream=side):
        step()
    for _ in range(5):
        mine = torch.randn(N, dtype=torch.float32, device="cuda")
        A.copy_(mine)
        inbox.fill_(float("nan"))
        torch.cuda.synchronize()
        dist.barrier()
        captured.replay()
        torch.cuda.synchronize()
        dist.barrier()
        every = [torch.empty_like(mine) for _ in range(world)]
        dist.all_gather(every, mine)
        assert torch.equal(A, every[dist.get_rank() - 1])


def several():
    """Two heaps and two kernels at a time, memory that is used again, a heap that ends early."""
    rank, world, first = heap(4096)
    with tilelang.get_allocator(2**20, "cuda", True, rank, world) as second:
        for _ in range(8):
            big = tilelang.tensor((768,), torch.float32, allocator=first)
            assert big.sum().item() == 0
            big.fill_(rank + 1)
            del big
            dist.barrier()
        A, inbox, flag = tensors(second)
        dist.barrier()
        exchange()(A, inbox, flag)
        torch.cuda.synchronize()
    try:
        tilelang.tensor((4,), torch.float32, allocator=second)
    except RuntimeError as error:
        assert str(error) == "the world of this allocation is closed"
    else:
        raise AssertionError
    dist.barrier()
    A, inbox, flag = (
        tilelang.tensor((n,), d, allocator=first) for n, d in ((N, "float32"), (64, "float32"), (1, "uint32"))
    )


def dies():
    rank, _world, allocator = heap()
    A, inbox, flag = tensors(allocator)
    dist.barrier()
    if rank == 1:
        os.kill(os.getpid(), 9)
    exchange()(A, inbox, flag)
    started = time.monotonic()
    try:
        torch.cuda.synchronize()
    finally:
        print(f"told after {time.monotonic() - started:.1f} s", file=sys.stderr)


def shapes():
    rank, _world, allocator = heap()
    tilelang.tensor((8 + 64 * rank,), torch.float32, allocator=allocator)


def sizes():
    rank, _world, _allocator = heap()
    heap(2**20 + 2**16 * rank)


def full():
    _, _, allocator = heap(4096)
    tilelang.tensor((2048,), torch.float32, allocator=allocator)


def outside():
    _, _, allocator = heap()
    A, _inbox, flag = tensors(allocator)
    exchange()(A, torch.empty(N, device="cuda", dtype=torch.float32), flag)


def unequal():
    rank, _world, allocator = heap()
    assert rank == 0
    allocator.close()
    allocator.close()


def hang():
    rank, _world, allocator = heap()
    A, inbox, flag = tensors(allocator)
    dist.barrier()
    if rank == 0:
        exchange()(A, inbox, flag)
        torch.cuda.synchronize()
    dist.barrier()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print("done", flush=True)
