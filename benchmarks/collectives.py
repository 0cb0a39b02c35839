# SPDX-License-Identifier: MIT
"""All-gather, reduce-scatter and all-reduce over the GPUs of one process, bfloat16, against NCCL in the same process,
interleaved; each is replayed from CUDA graphs. Bars: at least NCCL in the geometric mean over all sizes, no size below
0.95 of it, an all-reduce of up to 16 KB in 6 us. Sizes are what a rank holds at the end (all-gather, all-reduce) or
at the beginning (reduce-scatter). NVLink multicast stays off: run it with NCCL_NVLS_ENABLE=0.

Needs two GPUs and torch; `--target sim` moves a few kilobytes on the simulator and checks them."""

import argparse
import math
from collections.abc import Callable
from typing import Any

import measure
import numpy as np

DTYPE = "bfloat16"
SMALL = 1 << 20  # bytes: up to here it takes one step
SIZES = [1 << k for k in range(10, 31, 2)]
REPLAYED = 10  # calls in a graph
GEOMEAN_BAR, SIZE_BAR, LATENCY_BAR = 1.0, 0.95, 6.0


def shape_of(elements: int) -> tuple[int, int, int]:
    """Blocks, threads, and elements of a tile: a block for each tile until there are enough in flight."""
    threads = min(512, max(32, elements // 8))
    tile = threads * 8
    return min(64, -(-elements // tile)), threads, tile


def all_gather(ranks: int, elements: int) -> tuple[Any, int]:
    """`elements` of each rank, pushed into every rank's `out`."""
    import tilescale.language as T

    blocks, threads, _ = shape_of(elements)
    piece = -(-elements // (blocks * 8)) * 8

    @T.prim_func
    def main(
        x: T.Tensor((elements,), DTYPE),
        out: T.Tensor((ranks * elements,), DTYPE),
        words: T.Tensor((2, ranks, blocks), "int32"),
        epochs: T.Tensor((blocks,), "int32"),
    ):
        with T.Kernel(blocks, threads=threads) as b:
            epoch = T.alloc_var("int32")
            epoch = epochs[b] + 1
            rank = T.get_rank()
            first = b * piece
            count = T.max(T.min(piece, elements - first), 0)
            for p in T.serial(ranks):  # this rank's out may be written
                T.notify(T.signal(words, (0, rank, b)), peer=p)
            for step in T.serial(ranks):
                peer = (rank + step) % ranks
                T.wait(T.signal(words, (0, peer, b)), at_least=epoch)
                T.put_block(T.address_of(x[first]), T.address_of(out[rank * elements + first]), count, peer)
            for p in T.serial(ranks):
                T.notify(T.signal(words, (1, rank, b)), peer=p)
            for p in T.serial(ranks):
                T.wait(T.signal(words, (1, p, b)), at_least=epoch)
            if T.get_thread_binding() == 0:
                epochs[b] = epoch

    return main, blocks


def reduce_scatter(ranks: int, elements: int, give_to_all: bool = False) -> tuple[Any, int]:
    """Shard `rank` of all ranks' x, summed; give_to_all: into all ranks' `out`, an all-reduce in two steps."""
    import tilescale.language as T

    shard = elements // ranks
    blocks, threads, tile = shape_of(shard)
    tiles = -(-shard // tile)

    @T.prim_func
    def main(
        x: T.Tensor((ranks, shard), DTYPE),
        out: T.Tensor((ranks if give_to_all else 1, shard), DTYPE),
        words: T.Tensor((2, ranks, blocks), "int32"),
        epochs: T.Tensor((blocks,), "int32"),
    ):
        with T.Kernel(blocks, threads=threads) as b:
            epoch = T.alloc_var("int32")
            epoch = epochs[b] + 1
            rank = T.get_rank()
            parts = [T.alloc_fragment((tile,), DTYPE) for _ in range(ranks)]
            total = T.alloc_fragment((tile,), "float32")
            summed = T.alloc_fragment((tile,), DTYPE)
            for p in T.serial(ranks):  # this rank's x may be read, and its out written
                T.notify(T.signal(words, (0, rank, b)), peer=p)
            for p in T.serial(ranks):
                T.wait(T.signal(words, (0, p, b)), at_least=epoch)
            for n in T.serial(b, tiles, blocks):
                at = slice(n * tile, (n + 1) * tile)
                for r, part in list(enumerate(parts)):
                    T.get(x[rank, at], part, peer=r)
                T.clear(total)
                for part in parts:
                    for i in T.Parallel(tile):
                        total[i] += part[i]
                T.copy(total, summed)
                if give_to_all:
                    T.sync_threads()  # the block reads, then writes: mixed, links carry a tenth less
                    for step in T.serial(ranks):
                        T.put(summed, out[rank, at], peer=(rank + step) % ranks)
                else:
                    T.copy(summed, out[0, at])
            for p in T.serial(ranks):  # x has been read, out is written
                T.notify(T.signal(words, (1, rank, b)), peer=p)
            for p in T.serial(ranks):
                T.wait(T.signal(words, (1, p, b)), at_least=epoch)
            if T.get_thread_binding() == 0:
                epochs[b] = epoch

    return main, blocks


def in_one_step(operation: str, ranks: int, elements: int) -> tuple[Any, int]:
    """Each rank puts what a peer needs of its x (`elements` of it) into the peer's inbox, and takes what came into its
    own. Two inboxes in turn: who has signalled this call has read what came in the one before the last."""
    import tilescale.language as T

    scatters, gathers = operation == "reduce-scatter", operation == "all-gather"
    _, threads, tile = shape_of(elements)
    blocks = -(-elements // tile)

    @T.prim_func
    def main(
        x: T.Tensor((ranks if scatters else 1, elements), DTYPE),
        out: T.Tensor((ranks if gathers else 1, elements), DTYPE),
        words: T.Tensor((2, ranks, blocks), "int32"),
        epochs: T.Tensor((blocks,), "int32"),
        inbox: T.Tensor((2, ranks, elements), DTYPE),
    ):
        with T.Kernel(blocks, threads=threads) as b:
            epoch = T.alloc_var("int32")
            epoch = epochs[b] + 1
            rank = T.get_rank()
            mine, part = T.alloc_fragment((tile,), DTYPE), T.alloc_fragment((tile,), DTYPE)
            total = T.alloc_fragment((tile,), "float32")
            at = slice(b * tile, (b + 1) * tile)
            turn = epoch % 2
            for step in T.serial(1, ranks):
                peer = (rank + step) % ranks
                T.copy(x[peer if scatters else 0, at], mine)
                T.put(mine, inbox[turn, rank, at], peer=peer, signal=T.signal(words, (0, rank, b)))
            T.copy(x[rank if scatters else 0, at], mine)
            if gathers:
                T.copy(mine, out[rank, at])
            else:
                T.copy(mine, total)
            for step in T.serial(1, ranks):
                peer = (rank + step) % ranks
                T.wait(T.signal(words, (0, peer, b)), at_least=epoch)
                T.copy(inbox[turn, peer, at], part)
                if gathers:
                    T.copy(part, out[peer, at])
                else:
                    for i in T.Parallel(tile):
                        total[i] += part[i]
            if not gathers:
                T.copy(total, out[0, at])
            if T.get_thread_binding() == 0:
                epochs[b] = epoch

    return main, blocks


class Case:
    """One operation at one size: its kernel and tensors."""

    def __init__(self, w: Any, operation: str, size: int) -> None:
        import tilescale

        self.w, self.operation, self.size = w, operation, size
        ranks = w.ranks
        whole, shard = (size // 2,), (ranks, size // 2 // ranks)
        inbox = []
        if size <= SMALL:
            n = whole[0] if operation == "all-reduce" else shard[1]
            given = (ranks, n) if operation == "reduce-scatter" else (1, n)
            got = (ranks, n) if operation == "all-gather" else (1, n)
            made, blocks = in_one_step(operation, ranks, n)
            inbox = [w.tensor((2, ranks, n), DTYPE, name="inbox")]
        elif operation == "all-gather":
            given, got = (shard[1],), whole
            made, blocks = all_gather(ranks, shard[1])
        else:
            given, got = shard, shard if operation == "all-reduce" else (1, shard[1])
            made, blocks = reduce_scatter(ranks, whole[0], give_to_all=operation == "all-reduce")
        self.x, self.out = w.tensor(given, DTYPE, name="x"), w.tensor(got, DTYPE, name="out")
        words, epochs = w.tensor((2, ranks, blocks), "int32", name="words"), w.tensor((blocks,), "int32", name="epochs")
        self.kernel = tilescale.compile(made, target=w.target)
        self.args = (self.x, self.out, words, epochs, *inbox)

    def call(self) -> None:
        self.w.launch(self.kernel, *self.args)

    def check(self, given: list[Any], got: list[Any]) -> None:
        """Both in float64, flat."""
        ranks = len(given)
        for r in range(ranks):
            if self.operation == "all-gather":
                want = np.concatenate(given)
            else:
                want = np.sum(given, 0)
                if self.operation == "reduce-scatter":
                    want = want.reshape(ranks, -1)[r]
            error = np.abs(got[r] - want).max() / np.abs(want).max()
            if not error < 1e-2:
                raise SystemExit(f"{self.operation} of {self.size} bytes: rank {r} is wrong by {error}")


OPERATIONS = ("all-gather", "reduce-scatter", "all-reduce")


def simulated() -> None:
    import tilescale
    import torch
    from tilescale.distributed import World

    del tilescale
    for operation in OPERATIONS:
        for size in (1 << 10, 20 << 10, SMALL + (20 << 10)):
            with World(2, target="sim") as w:
                case = Case(w, operation, size)
                for _ in range(2):
                    given = []
                    for part in case.x:
                        values = torch.randn(tuple(part.shape)).to(torch.bfloat16)
                        torch.from_dlpack(part).copy_(values)
                        given.append(values.double().numpy().ravel())
                    case.call()
                    w.barrier()
                    case.check(given, [torch.from_dlpack(p).double().numpy().ravel() for p in case.out])
    print("gathered, scattered and reduced on the simulator")


def replayed(w: Any, call: Callable[[], None]) -> Callable[[], float]:
    """Microseconds of one of REPLAYED calls, from a graph a device, on the clock of device 0."""
    import torch

    devices = range(w.ranks)
    for _ in range(2):
        call()
    w.barrier()
    streams = [torch.cuda.Stream(device=d) for d in devices]
    graphs = [torch.cuda.CUDAGraph() for _ in devices]
    before = [torch.cuda.current_stream(d) for d in devices]
    for d in devices:
        torch.cuda.synchronize(d)
    for d in devices:
        torch.cuda.set_stream(streams[d])  # of its device, which becomes the current one
        graphs[d].capture_begin(capture_error_mode="relaxed")
    for _ in range(REPLAYED):
        call()
    for d in devices:
        torch.cuda.set_device(d)
        graphs[d].capture_end()
    for d in reversed(devices):
        torch.cuda.set_stream(before[d])

    def timed() -> float:
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        for _ in range(2):  # the first brings the devices together
            for d in devices:
                torch.cuda.set_device(d)
                if d == 0:
                    begin.record(streams[0])
                with torch.cuda.stream(streams[d]):
                    graphs[d].replay()
                if d == 0:
                    end.record(streams[0])
        end.synchronize()
        torch.cuda.set_device(0)
        return float(begin.elapsed_time(end)) / REPLAYED * 1e3

    return timed


def nccl(case: Case) -> Callable[[], None]:
    import torch

    x = [part.view(-1) for part in case.x]
    out = [torch.empty(part.numel(), dtype=part.dtype, device=part.device) for part in case.out]
    if case.operation == "all-gather":
        return lambda: torch.cuda.nccl.all_gather(x, out)
    if case.operation == "reduce-scatter":
        return lambda: torch.cuda.nccl.reduce_scatter(x, out)
    return lambda: torch.cuda.nccl.all_reduce(x, out)


def measured(args: argparse.Namespace) -> None:
    import torch
    from tilescale.distributed import World

    fine = True
    print(measure.header(f"collectives of {args.ranks} GPUs, {DTYPE}", torch.cuda.get_device_name(0)))
    for operation in args.operations:
        ratios = []
        for size in [s for s in SIZES if s <= args.most]:
            with World(args.ranks) as w:
                case = Case(w, operation, size)
                for part in case.x:
                    part.normal_()
                case.call()
                w.barrier()
                if size <= 1 << 26:
                    case.check(
                        [p.double().cpu().numpy().ravel() for p in case.x],
                        [p.double().cpu().numpy().ravel() for p in case.out],
                    )
                calls = {"ours": replayed(w, case.call), "nccl": replayed(w, nccl(case))}
                times = measure.interleaved(calls, args.rounds)
                ours, theirs = measure.median(times["ours"]), measure.median(times["nccl"])
            ratios.append(theirs / ours)
            met = measure.verdict(ratios[-1], SIZE_BAR, at_most=False)
            rate = size * (args.ranks - 1) / args.ranks / ours / 1e3 * (2 if operation == "all-reduce" else 1)
            line = f"  {operation:14} {size:11,} B {ours:9.2f} us, nccl {theirs:9.2f} us, {rate:6.1f} GB/s bus, "
            print(f"{line}ratio {ratios[-1]:.2f}: {met}", flush=True)
            if operation == "all-reduce" and size <= 16 << 10:
                print(f"  {'':14} bar {LATENCY_BAR} us: {measure.verdict(ours, LATENCY_BAR, at_most=True)}")
            fine &= met == "ok"
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"{operation}: geometric mean {mean:.2f}: {measure.verdict(mean, GEOMEAN_BAR, at_most=False)}")
        fine &= mean >= GEOMEAN_BAR
    raise SystemExit(0 if fine else 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=["cuda", "sim"], default="cuda")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="the largest size in bytes")
    parser.add_argument("--operations", nargs="+", default=OPERATIONS, choices=OPERATIONS)
    args = parser.parse_args()
    simulated() if args.target == "sim" else measured(args)


if __name__ == "__main__":
    main()
