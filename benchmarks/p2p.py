# SPDX-License-Identifier: MIT
"""Moves between two GPUs, one way, by a few blocks: T.put_block, T.get_block and T.copy against the copy engine in the
same process, interleaved. The bar is 365 GB/s at 64 MB with at most 32 blocks. Needs two GPUs and torch;
`--target sim` moves a few kilobytes on the simulator and checks them. `--ctas`, `--threads`, `--megabytes`: other
choices."""

import argparse
from collections.abc import Callable
from typing import Any

import measure
import numpy as np

BAR = 365.0  # GB/s
LAUNCHES = 10  # between two events


def mover(kind: str, count: int, ctas: int, threads: int) -> Any:
    """Rank 0 moves `count` elements to or from rank 1; each block its own piece."""
    import tilescale.language as T

    piece, tile = count // ctas, threads * 16

    @T.prim_func
    def move(A: T.Tensor((count,), "float32"), B: T.Tensor((count,), "float32")):
        with T.Kernel(ctas, threads=threads) as b:
            if T.get_rank() == 0:
                if kind == "put_block":
                    T.put_block(T.address_of(A[b * piece]), T.address_of(B[b * piece]), piece, 1)
                elif kind == "get_block":
                    T.get_block(T.address_of(A[b * piece]), T.address_of(B[b * piece]), piece, 1)
                else:
                    for i in T.serial(piece // tile):
                        at = b * piece + i * tile
                        T.copy(A[at : at + tile], B[at : at + tile], dst_pe=1)

    return move


def check(kind: str, A: Any, B: Any) -> None:
    source, target = (A[1], B[0]) if kind == "get_block" else (A[0], B[1])
    same = np.array_equal if isinstance(source, np.ndarray) else lambda x, y: bool((x.cpu() == y.cpu()).all())
    if not same(source, target):
        raise SystemExit(f"{kind} moved wrong values")


def simulated() -> None:
    import tilescale
    from tilescale.distributed import World

    count = 4 * 64 * 16
    for kind in ("put_block", "get_block", "copy"):
        kernel = tilescale.compile(mover(kind, count, 4, 64), target="sim")
        with World(2, target="sim") as w:
            A, B = (w.tensor(count, "float32", name=name) for name in "AB")
            for part in A:
                np.asarray(part)[...] = np.random.default_rng().standard_normal(count)
            w.launch(kernel, A, B)
            w.barrier()
            check(kind, [np.asarray(x) for x in A], [np.asarray(x) for x in B])
    print("moved and checked on the simulator")


def timed(call: Callable[[], None]) -> float:
    """Milliseconds of one of LAUNCHES calls on the current stream of GPU 0."""
    import torch

    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(LAUNCHES):
        call()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / LAUNCHES


def measured(args: argparse.Namespace) -> None:
    import tilescale
    import torch
    from tilescale.distributed import World

    count = args.megabytes * (1 << 20) // 4
    print(measure.header(f"one way between 2 GPUs, {args.megabytes} MB", torch.cuda.get_device_name(0)))
    with World(2) as w:
        A, B = (w.tensor(count, "float32", name=name) for name in "AB")
        for part in A:
            part.normal_()
        for ctas in args.ctas:
            calls: dict[str, Callable[[], float]] = {}
            for kind in ("put_block", "get_block", "copy"):
                kernel = tilescale.compile(mover(kind, count, ctas, args.threads))
                for part in B:
                    part.fill_(float("nan"))
                w.launch(kernel, A, B)
                w.barrier()
                check(kind, A, B)
                calls[kind] = lambda kernel=kernel: timed(lambda: w.launch(kernel, A, B))  # type: ignore[misc]
            calls["copy engine"] = lambda: timed(lambda: B[1].copy_(A[0], non_blocking=True))
            for name, times in measure.interleaved(calls, args.rounds).items():
                rate = count * 4 / measure.median(times) / 1e6
                bar = "" if name == "copy engine" else f"  bar {BAR:.0f}: {measure.verdict(rate, BAR, at_most=False)}"
                print(f"{ctas:4} blocks  {name:12} {rate:7.1f} GB/s{bar}")
            w.barrier()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=["cuda", "sim"], default="cuda")
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--ctas", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--threads", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    simulated() if args.target == "sim" else measured(args)


if __name__ == "__main__":
    main()
