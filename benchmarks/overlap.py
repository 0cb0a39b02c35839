# SPDX-License-Identifier: MIT
"""All-gather + GEMM and GEMM + reduce-scatter of examples/distributed on the GPUs of one process, bfloat16: is the
communication hidden? Bar: the fused kernel takes at most 1.05 times the longer of our GEMM alone (examples/gemm.py,
same tiles) and our communication alone (collectives.py). Reported too: eta, the longer of cuBLAS alone and the bytes
at the rate of the copy engine, over the fused kernel. All in one process, interleaved, on all GPUs at a time; tile
sizes and so on are passed to the programs as constants, one choice for all shapes.

Needs two GPUs and torch; `--target sim` runs small shapes on the simulator and checks them."""

import argparse
import math
from collections.abc import Callable
from typing import Any

import collectives
import measure

BAR = 1.05
DTYPE = "bfloat16"
OPERATIONS = ("AG-GEMM", "GEMM-RS")
SHAPES = [(8192, 11008, 4096), (8192, 28672, 8192)]  # M, N, K of all ranks together
CHOICE = {"block_M": 128, "block_N": 128, "block_K": 32, "num_stages": 4, "panel": 8, "threads": 128}
SENDERS = 16  # of AG-GEMM
LEAD = 264  # of GEMM-RS: as many tiles as run at a time
LAUNCHES = 5  # between two events


class Case:
    """One operation on one shape. The parts of A, B and C that a rank has; fused: one launch of the program."""

    def __init__(
        self, w: Any, operation: str, shape: tuple[int, int, int], choice: dict[str, int], senders: int
    ) -> None:
        import tilescale

        self.w, self.gathers = w, operation == "AG-GEMM"
        M, N, K = shape
        R = w.ranks
        self.mine = (M, N // R, K) if self.gathers else (M, N, K // R)  # of the GEMM that a rank does
        _, n, k = self.mine
        rows, columns = -(-(M // R) // choice["block_M"]), -(-n // choice["block_N"])
        types = {"dtype": DTYPE, "out_dtype": DTYPE}
        self.B = w.tensor((k, n), DTYPE, name="B")
        self.all_A = w.tensor((R, M // R, k), DTYPE, name="all_A")
        if self.gathers:
            program = measure.example("distributed/ag_gemm").push_program
            made = program(R, M // R, n, k, senders=senders, **choice, **types)
            self.A, self.C = w.tensor((M // R, k), DTYPE, name="A"), w.tensor((R, M // R, n), DTYPE, name="C")
            ready, arrived = w.tensor((R,), "int32", name="ready"), w.tensor((R, rows), "int32", name="arrived")
            self.args = (self.A, self.B, self.C, self.all_A, ready, arrived)
            self.sent = (R - 1) * (M // R) * k * 2
        else:
            program = measure.example("distributed/gemm_rs").gemm_rs_program
            made = program(R, M // R, n, k, lead=LEAD, **choice, **types)
            self.A, self.C = self.all_A, w.tensor((M // R, n), DTYPE, name="C")
            tiles = rows * columns
            inbox = w.tensor((2, R, tiles, choice["block_M"], choice["block_N"]), DTYPE, name="inbox")
            arrived = w.tensor((R, tiles), "int32", name="arrived")
            self.args = (self.A, self.B, self.C, inbox, arrived)
            self.sent = (R - 1) * (M // R) * n * 2
        self.kernel = tilescale.compile(made, target=w.target)
        self.launches = 0

    def fused(self) -> None:
        self.w.launch(self.kernel, *self.args, self.launches)
        self.launches += 1

    def fill(self) -> None:
        import torch

        for r in range(self.w.ranks):
            for t in (self.B, self.all_A):
                t[r].copy_(torch.randn(t.shape, device=t[r].device, dtype=torch.bfloat16))
            if self.gathers:
                self.A[r].copy_(self.all_A[r][r])
        self.w.barrier()
        for r in range(self.w.ranks):
            for p in range(self.w.ranks):
                if self.gathers and p != r:  # what no rank has sent yet is as random as what it will send
                    self.all_A[r][p].fill_(math.nan)
            self.C[r].fill_(math.nan)
        self.w.barrier()

    def check(self) -> None:
        """Some rows of each rank's C, in float64."""
        import torch

        R = self.w.ranks
        for r in range(R):
            where = self.C[r].device
            took = torch.randint(0, self.all_A.shape[1], (32,), device=where)
            if self.gathers:
                A = torch.stack([self.A[p].to(where)[took] for p in range(R)]).double()
                want, got = A @ self.B[r].double(), self.C[r][:, took].double()
            else:
                want = sum(self.A[p][r].to(where)[took].double() @ self.B[p].to(where).double() for p in range(R))
                got = self.C[r][took].double()
            error = float((got - want).norm() / want.norm())
            if not error < 1e-2:
                raise SystemExit(f"rank {r} is wrong by {error}")


def simulated(choice: dict[str, int], senders: int) -> None:
    import torch  # noqa: F401  the parts of tensors are torch's
    from tilescale.distributed import World

    for operation in OPERATIONS:
        for ranks, shape in ((2, (640, 384, 256)), (3, (480, 384, 192))):
            with World(ranks, target="sim") as w:
                case = Case(w, operation, shape, choice, senders)
                for _ in range(2):
                    case.fill()
                    case.fused()
                    case.fused()
                    w.barrier()
                    case.check()
    print("fused and checked on the simulator")


def milliseconds(w: Any, call: Callable[[], None]) -> Callable[[], float]:
    """Of one of LAUNCHES calls in a row, on the slowest GPU."""
    import torch

    def run() -> float:
        for d in range(w.ranks):
            torch.cuda.synchronize(d)
        events = []
        for d in range(w.ranks):
            with torch.cuda.device(d):
                events.append([torch.cuda.Event(enable_timing=True) for _ in range(2)])
                events[d][0].record()
        for _ in range(LAUNCHES):
            call()
        for d in range(w.ranks):
            with torch.cuda.device(d):
                events[d][1].record()
        w.barrier()
        return max(float(begin.elapsed_time(end)) for begin, end in events) / LAUNCHES

    return run


def others(case: Case, operation: str, choice: dict[str, int]) -> dict[str, Callable[[], None]]:
    """What the fused kernel is held against."""
    import torch
    from tilescale.distributed import PerRank

    w = case.w
    m, n, k = case.mine
    gemm = measure.example("gemm").matmul(m, n, k, dtype=DTYPE, out_dtype=DTYPE, **choice)
    A = [part.reshape(m, k) for part in case.all_A]
    C = [torch.empty(m, n, dtype=torch.bfloat16, device=part.device) for part in A]
    parts = PerRank(A), case.B, PerRank(C)
    kind, size = ("all-gather", m * k * 2) if case.gathers else ("reduce-scatter", m * n * 2)
    alone = collectives.Case(w, kind, size)
    there = [torch.empty(case.sent, dtype=torch.uint8, device=part.device) for part in A]
    here = [torch.randint(0, 256, (case.sent,), dtype=torch.uint8, device=part.device) for part in A]

    def cublas() -> None:
        for r in range(w.ranks):
            with torch.cuda.device(r):
                torch.mm(A[r], case.B[r], out=C[r])

    def copies() -> None:
        there[1].copy_(here[0], non_blocking=True)  # one way

    return {"GEMM": lambda: w.launch(gemm, *parts), kind: alone.call, "cuBLAS": cublas, "copy engine": copies}


def measured(args: argparse.Namespace, choice: dict[str, int]) -> None:
    import torch
    from tilescale.distributed import World

    print(measure.header(f"overlap, {args.ranks} GPUs", f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}"))
    print(", ".join(f"{name} {value}" for name, value in choice.items()))
    fine = True
    for operation in args.operations:
        for shape in args.shapes:
            with World(args.ranks) as w:
                case = Case(w, operation, shape, choice, args.senders)
                case.fill()
                case.fused()
                w.barrier()
                case.check()
                calls = {"fused": case.fused, **others(case, operation, choice)}
                found = measure.interleaved({name: milliseconds(w, call) for name, call in calls.items()}, args.rounds)
                case.check()
            times = {name: measure.median(t) for name, t in found.items()}
            communication = next(name for name in times if name in collectives.OPERATIONS)
            hidden = times["fused"] / max(times["GEMM"], times[communication])
            eta = max(times["cuBLAS"], times["copy engine"]) / times["fused"]
            met = measure.verdict(hidden, BAR, at_most=True)
            fine &= met == "ok"
            rate = case.sent / times["copy engine"] / 1e6
            work = 2 * math.prod(case.mine) / 1e9
            print(f"{operation} {'x'.join(map(str, shape))} " + ", ".join(f"{x} {t:.3f} ms" for x, t in times.items()))
            print(
                f"  fused / alone {hidden:.3f}, bar {BAR}: {met}; eta {eta:.3f}; fused {work / times['fused']:.0f} "
                f"TFLOP/s, GEMM {work / times['GEMM']:.0f}, cuBLAS {work / times['cuBLAS']:.0f}; link {rate:.0f} GB/s",
                flush=True,
            )
            torch.cuda.empty_cache()
    raise SystemExit(0 if fine else 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=["cuda", "sim"], default="cuda")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--operations", nargs="+", default=OPERATIONS, choices=OPERATIONS)
    parser.add_argument(
        "--shapes", nargs="+", type=lambda text: tuple(map(int, text.split("x"))), default=SHAPES, help="MxNxK"
    )
    for name, value in CHOICE.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--senders", type=int, default=SENDERS, help="blocks of AG-GEMM that send")
    args = parser.parse_args()
    choice = {name: getattr(args, name) for name in CHOICE}
    simulated(choice, args.senders) if args.target == "sim" else measured(args, choice)


if __name__ == "__main__":
    main()
