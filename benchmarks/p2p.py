# SPDX-License-Identifier: MIT
"""Moves between two GPUs, one way, by a few blocks: T.put_block and T.get_block by bulk copies and by plain loads and
stores, and the copy engine, for 8 B to 64 MB; and the round trip of an 8-byte put with a signal against hand-written
CUDA. All in one process, interleaved. Bars: 365 GB/s at 64 MB with at most 16 blocks by bulk copies and 32 by plain
ones; a round trip of at most 1.2 times the hand-written one. Needs two GPUs and torch; `--target sim` moves less on the
simulator and checks it. `--ctas`, `--threads`, `--megabytes`: other choices."""

import argparse
import ctypes
import os
from collections.abc import Callable
from typing import Any

import measure
import numpy as np

BAR, BAR_TRIP = 365.0, 1.2  # GB/s; times the hand-written round trip
FORMS = [(move, how) for move in ("put", "get") for how in ("bulk", "plain")]
LAUNCHES = 10  # between two events
TRIPS = 1000  # of one launch

BY_HAND = """#include <tilescale/kernel.cuh>
extern "C" __global__ void trips(const ts::u64* data, ts::u64* inbox, unsigned* theirs, unsigned* mine, unsigned base,
                                 int first) {
  for (unsigned i = 1; i <= TRIPS; ++i) {
    for (int turn = 0; turn < 2; ++turn) {
      if ((turn == 0) == (first != 0)) {
        *inbox = *data;
        asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(theirs), "r"(base + i) : "memory");
      } else {
        unsigned seen;
        do {
          asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(seen) : "l"(mine) : "memory");
        } while (seen < base + i);
      }
    }
  }
}
""".replace("TRIPS", str(TRIPS))


def mover(move: str, how: str, most: int, ctas: int, threads: int, target: Any) -> Any:
    """Rank 0 moves `count` bytes to or from rank 1, `times` times; each block its own piece."""
    import tilescale
    import tilescale.language as T

    op = T.put_block if move == "put" else T.get_block

    @T.prim_func
    def main(
        A: T.Tensor((most,), "uint8"), B: T.Tensor((most,), "uint8"), count: T.int32, piece: T.int32, times: T.int32
    ):
        with T.Kernel(ctas, threads=threads) as b:
            if T.get_rank() == 0:
                for _ in T.serial(times):
                    at = b * piece
                    op(T.address_of(A[at]), T.address_of(B[at]), T.min(piece, count - at), 1)

    return tilescale.compile(main, target=target, pass_configs={"tl.disable_tma_lower": how == "plain"})


def piece_of(count: int, ctas: int) -> int:
    return (count + ctas * 16 - 1) // (ctas * 16) * 16


def tripper(target: Any) -> Any:
    """8 bytes and a signal there, 8 bytes and a signal back."""
    import tilescale
    import tilescale.language as T

    @T.prim_func
    def main(
        A: T.Tensor((2,), "float32"),
        B: T.Tensor((2,), "float32"),
        flags: T.Tensor((1,), "uint32"),
        base: T.uint32,
        trips: T.int32,
    ):
        with T.Kernel(1, threads=32):
            come = T.signal(flags)
            for i in T.serial(trips):
                if T.get_rank() == 0:
                    T.put(A, B, peer=1, signal=come)
                    T.wait(come, base + T.cast(i, "uint32") + T.cast(1, "uint32"))
                else:
                    T.wait(come, base + T.cast(i, "uint32") + T.cast(1, "uint32"))
                    T.put(A, B, peer=0, signal=come)

    return tilescale.compile(main, target=target)


def check(name: str, A: list[Any], B: list[Any], count: int, get: bool) -> None:
    source, target = (A[1], B[0]) if get else (A[0], B[1])
    if not np.array_equal(source[:count], target[:count]) or target[count:].any():
        raise SystemExit(f"{name} moved wrong values")


def simulated() -> None:
    from tilescale.distributed import World

    most, ctas = 400_000, 4
    for move, how in FORMS:
        kernel = mover(move, how, most, ctas, 64, "sim sm_90a")
        assert ("copy_run_bulk" in kernel.get_kernel_source()) == (how == "bulk")
        for count in (8, 40_000, 390_004):
            with World(2, target="sim") as w:
                A, B = (w.tensor(most, "uint8", name=name) for name in "AB")
                for part in A:
                    np.asarray(part)[...] = np.random.default_rng().integers(0, 256, most, np.uint8)
                w.launch(kernel, A, B, count, piece_of(count, ctas), 2)
                w.barrier()
                check(f"{move} {how}", [np.asarray(x) for x in A], [np.asarray(x) for x in B], count, move == "get")
    with World(2, target="sim") as w:
        A, B, flags = w.tensor(2), w.tensor(2), w.tensor(1, "uint32")
        w.launch(tripper("sim"), A, B, flags, 0, 5)
        w.barrier()
        assert [int(np.asarray(f)[0]) for f in flags] == [5, 5]
    print("moved and checked on the simulator")


def timed(call: Callable[[], None], launches: int = LAUNCHES) -> float:
    """Milliseconds of one call on the current stream of GPU 0."""
    import torch

    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(launches):
        call()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / launches


class ByHand:
    """The round trip in CUDA, a kernel on each GPU, launched by the driver."""

    def __init__(self) -> None:
        from tilescale._ffi import function
        from tilescale.targets import gpu_arch

        self.driver = ctypes.CDLL(os.environ.get("TILESCALE_LIBCUDA") or "libcuda.so.1")
        self.cubin = bytes(function("runtime.nvrtc_compile")("trips", BY_HAND, str(gpu_arch()), [])["cubin"])
        self.functions: list[ctypes.c_void_p] = []

    def _check(self, error: int) -> None:
        if error:
            raise SystemExit(f"the driver answered {error}")

    def load(self) -> None:
        """On the current GPU; first 0, then 1."""
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self._check(self.driver.cuModuleLoadData(ctypes.byref(module), self.cubin))
        self._check(self.driver.cuModuleGetFunction(ctypes.byref(function), module, b"trips"))
        self.functions.append(function)

    def launch(self, gpu: int, stream: int, addresses: list[int], base: int) -> None:
        values = [*map(ctypes.c_void_p, addresses), ctypes.c_uint(base), ctypes.c_int(gpu == 0)]
        args = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
        self._check(
            self.driver.cuLaunchKernel(self.functions[gpu], 1, 1, 1, 1, 1, 1, 0, ctypes.c_void_p(stream), args, None)
        )


def round_trips(rounds: int) -> None:
    import torch
    from tilescale.distributed import World

    with World(2) as w:
        A, B, flags = w.tensor(2), w.tensor(2), w.tensor(1, "uint32")
        C, D, words = w.tensor(2), w.tensor(2), w.tensor(1, "uint32")
        kernel, by_hand = tripper(None), ByHand()
        done = {"T.put with a signal": 0, "by hand": 0}
        for gpu in range(2):
            with torch.cuda.device(gpu):
                torch.zeros(1, device="cuda")
                by_hand.load()

        def ours() -> None:
            w.launch(kernel, A, B, flags, done["T.put with a signal"], TRIPS)
            done["T.put with a signal"] += TRIPS

        def theirs() -> None:
            for gpu in range(2):
                with torch.cuda.device(gpu):
                    places = [C[gpu], D[1 - gpu], words[1 - gpu], words[gpu]]
                    stream = torch.cuda.current_stream().cuda_stream
                    by_hand.launch(gpu, stream, [p.data_ptr() for p in places], done["by hand"])
            done["by hand"] += TRIPS

        def both(call: Callable[[], None]) -> Callable[[], float]:
            def run() -> float:
                for gpu in range(2):
                    torch.cuda.synchronize(gpu)
                return timed(call, 1) * 1000 / TRIPS

            return run

        times = measure.interleaved({"T.put with a signal": both(ours), "by hand": both(theirs)}, rounds)
        w.barrier()
    mine, hand = (measure.median(times[name]) for name in ("T.put with a signal", "by hand"))
    print(f"round trip of 8 bytes and a signal  {mine:6.3f} us, by hand {hand:6.3f} us: {mine / hand:.2f} times")
    print(f"  bar {BAR_TRIP}: {measure.verdict(mine / hand, BAR_TRIP, at_most=True)}")


def measured(args: argparse.Namespace) -> None:
    import torch
    from tilescale.distributed import World

    most = args.megabytes * (1 << 20)
    print(measure.header("one way between 2 GPUs, GB/s", torch.cuda.get_device_name(0)))
    sizes = [8, 64, 1 << 10, 16 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, most]
    with World(2) as w:
        A, B = (w.tensor(most, "uint8", name=name) for name in "AB")
        kernels = {(f, c): mover(*f, most, c, args.threads, None) for f in FORMS for c in args.ctas}
        for count in sizes:
            times = max(1, min(256, (16 << 20) // count))
            calls: dict[str, Callable[[], float]] = {}
            for ((move, how), ctas), kernel in kernels.items():
                for part in A:
                    part.random_(0, 256)
                for part in B:
                    part.zero_()
                w.barrier()
                launch = [w, kernel, A, B, count, piece_of(count, ctas), times]
                w.launch(*launch[1:])
                w.barrier()
                cpu = [[x.cpu().numpy() for x in t] for t in (A, B)]
                check(f"{move} {how} of {count} bytes", *cpu, count, move == "get")

                def call(launch: list[Any] = launch) -> float:
                    return timed(lambda: launch[0].launch(*launch[1:])) / launch[-1]

                calls[f"{move} {how} {ctas:3} blocks"] = call
            calls["copy engine"] = (
                lambda count=count, times=times: (  # type: ignore[misc]
                    timed(lambda: [B[1][:count].copy_(A[0][:count], non_blocking=True) for _ in range(times)] and None)
                    / times
                )
            )
            for name, found in measure.interleaved(calls, args.rounds).items():
                rate = count / measure.median(found) / 1e6
                bar = ""
                if count == most and (("bulk" in name and " 16 " in name) or ("plain" in name and " 32 " in name)):
                    bar = f"  bar {BAR:.0f}: {measure.verdict(rate, BAR, at_most=False)}"
                print(f"{count:9} bytes  {name:20} {rate:9.3f} GB/s{bar}")
            w.barrier()
    round_trips(args.rounds)


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
