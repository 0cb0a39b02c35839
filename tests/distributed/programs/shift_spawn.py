# SPDX-License-Identifier: MIT
"""A program as it is written for GPUs: it starts a process a rank, and knows of no simulator."""

import argparse

import tilelang
import tilelang.language as T
import torch
import torch.distributed as dist
import torch.multiprocessing
from tilelang.distributed import init_dist


def shift_kernel(M, N, block_M, threads=128, dtype="float32"):
    @T.prim_func
    def main(
        src: T.Tensor((M, N), dtype),
        dst: T.Tensor((M, N), dtype),
        barrier: T.Tensor((T.ceildiv(M, block_M),), "uint32"),
    ):
        with T.Kernel(T.ceildiv(M, block_M), threads=threads) as bx:
            tx = T.get_thread_binding()
            rank = T.alloc_local([1], "int32")
            size = T.alloc_local([1], "int32")
            rank[0] = T.get_rank()
            size[0] = T.get_num_ranks()
            T.put_block(
                T.address_of(src[bx * block_M, 0]),
                T.address_of(dst[bx * block_M, 0]),
                block_M * N,
                (rank[0] + 1) % size[0],
            )
            T.sync_threads()
            if tx == 0:
                T.st(T.address_of(barrier[bx]), 1, scope="sys", sem="release", dst_pe=(rank[0] + 1) % size[0])
                T.wait_eq(barrier[bx], 1)

    return main


def worker(local_rank: int, num_local_ranks: int, args: argparse.Namespace):
    M, N, block_M = args.M, args.N, 16
    rank, num_ranks, group = init_dist(local_rank, num_local_ranks)
    allocator = tilelang.get_allocator(
        size=2**20,
        device="cuda",
        is_distributed=True,
        local_rank=local_rank,
        num_local_ranks=num_local_ranks,
        group=group,
    )
    kernel = tilelang.compile(shift_kernel(M, N, block_M))
    kernel.initialize(allocator=allocator)

    src = tilelang.tensor((M, N), torch.float32, allocator=allocator)
    dst = tilelang.tensor((M, N), torch.float32, allocator=allocator)
    barrier = tilelang.tensor((M // block_M,), torch.uint32, allocator=allocator)
    for _ in range(args.iterations):
        src.copy_(torch.randn((M, N), dtype=torch.float32, device="cuda"))
        dst.fill_(float("nan"))
        barrier.zero_()
        torch.cuda.synchronize()
        dist.barrier(group)
        kernel(src, dst, barrier)
        torch.cuda.synchronize()
        dist.barrier(group)

        gathered = [torch.empty_like(src) for _ in range(num_ranks)]
        dist.all_gather(gathered, src, group)
        expected = gathered[(rank - 1) % num_ranks]
        assert torch.equal(dst, expected), f"rank {rank}: wrong rows"
        dist.barrier(group)
    print(f"rank {rank} of {num_ranks}: shifted rows are right", flush=True)
    dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--num-processes", type=int, default=2)
    parser.add_argument("--M", type=int, default=64)
    parser.add_argument("--N", type=int, default=40)
    parser.add_argument("--iterations", type=int, default=3)
    args = parser.parse_args()
    torch.multiprocessing.spawn(worker, args=(args.num_processes, args), nprocs=args.num_processes)


if __name__ == "__main__":
    main()
