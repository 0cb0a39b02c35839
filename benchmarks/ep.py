# SPDX-License-Identifier: MIT
"""Tokens to the ranks of their experts and back (examples/distributed/moe_direct.py, dispatch with known places), and
an all-to-all (pre_attn_all2all.py), on the GPUs of one process: 4096 tokens a rank, hidden 7168, top 8, bfloat16. Bar:
320 GB/s of what a rank sends to others, by at most 20 blocks, a multiprocessor each; beside it the copy engine with the
same bytes. All in one process, interleaved. Sizes, blocks and threads are passed to the programs as constants; of
those that are given several values all combinations are measured, and the best of an operation is held against the bar.

Needs two GPUs and torch; `--target sim` moves less on the simulator and checks it."""

import argparse
import itertools
from collections.abc import Callable
from typing import Any

import measure
import overlap

BAR = 320.0
DTYPE = "bfloat16"
OPERATIONS = ("all-to-all", "dispatch", "combine")
DIM = 128  # of a head
# blocks; all-to-all: rows of a tile, tiles in flight; dispatch: rows a turn, turns in flight; combine:
# turns in flight of so many elements of each rank's row.
CHOICE = {
    "blocks": 20, "tile": 64, "tiles": 12, "rows": 2, "turns": 7, "stages": 6, "chunk": 7168, "unroll": 7
}  # fmt: skip
THREADS = {"all-to-all": 512, "dispatch": 512, "combine": 448}
USED = {
    "all-to-all": ("blocks", "threads", "tile", "tiles"),
    "dispatch": ("blocks", "threads", "rows", "turns"),
    "combine": ("blocks", "threads", "stages", "chunk"),
}


def fill(part: Any) -> None:
    import torch

    part.copy_(torch.randn(part.shape, device=part.device, dtype=torch.bfloat16))


class AllToAll:
    """All heads of a piece of the sequence for a head's whole sequence, twice: as many bytes as a dispatch."""

    def __init__(self, w: Any, tokens: int, hidden: int, choice: dict[str, int]) -> None:
        import tilescale

        R, self.w = w.ranks, w
        heads = hidden // DIM // R * R
        program = measure.example("distributed/pre_attn_all2all").pre_attn_program
        how = {"threads": choice["threads"], "dtype": DTYPE, "resident": choice["blocks"], "stages": choice["tiles"]}
        made = program(R, 2, heads, tokens * R, DIM, False, choice["tile"], **how)
        self.kernel = tilescale.compile(made, target=w.target)
        self.src = w.tensor((2, heads, tokens, DIM), DTYPE, name="src")
        self.out = w.tensor((2, heads // R, R, tokens, DIM), DTYPE, name="out")
        self.signals = [w.tensor((R,), "int32") for _ in range(2)]
        self.sent = 2 * 2 * heads // R * (R - 1) * tokens * DIM
        self.launches = 0
        for part in self.src:
            fill(part)
        w.barrier()

    def call(self) -> None:
        self.w.launch(self.kernel, self.src, self.out, *self.signals, self.launches)
        self.launches += 1

    def check(self) -> bool:
        R = self.w.ranks
        heads = self.out.shape[1]
        return all(
            bool((self.out[p][:, :, r] == self.src[r][:, p * heads : (p + 1) * heads].to(self.out[p].device)).all())
            for r in range(R)
            for p in range(R)
        )


class Experts:
    """Dispatch and combine. Off-rank bytes are those of the rows for other ranks, or from them."""

    def __init__(self, w: Any, tokens: int, hidden: int, topk: int, experts: int, choice: dict[str, int]) -> None:
        import torch

        program = measure.example("distributed/moe_direct")
        self.w, self.tokens = w, tokens
        how = {name: choice[name] for name in ("blocks", "threads", "unroll", "rows", "turns", "stages", "chunk")}
        self.buffer = program.Buffer(w, tokens, hidden, topk, experts, DTYPE, **how)
        self.x = w.tensor((tokens, hidden), DTYPE, name="x")
        self.idx, self.weights = w.tensor((tokens, topk), "int64"), w.tensor((tokens, topk), "float32")
        for r in range(w.ranks):
            fill(self.x[r])
            self.idx[r].copy_(torch.rand(tokens, experts).topk(topk).indices)
            self.weights[r].copy_(torch.rand(tokens, topk))
        w.barrier()
        layout = self.buffer.get_dispatch_layout(self.idx)
        self.handle = self.buffer.dispatch(self.x, self.idx, self.weights, layout)[-1]
        w.barrier()
        local = experts // w.ranks
        self.there = [
            torch.stack([((i.cpu() // local) == p).any(1) for p in range(w.ranks)], 1) for i in self.idx
        ]  # is token t of rank r at rank p
        off = max(int(self.there[r].sum()) - int(self.there[r][:, r].sum()) for r in range(w.ranks))
        self.sent = off * hidden * 2

    def dispatch(self) -> None:
        self.buffer.dispatch(self.x, self.idx, self.weights, handle=self.handle)

    def combine(self) -> None:
        self.buffer.combine(self.handle)

    def check(self) -> bool:
        """Behind a dispatch and a combine: each row is where its place says, and each sum that of equal rows."""
        import torch

        fine = True
        for r in range(self.w.ranks):
            for p in range(self.w.ranks):
                own, place = self.there[r][:, p], self.handle[r][:, p].cpu()
                rows = self.buffer.recv_x[p][place[own].to(self.x[p].device)]
                fine &= bool((rows == self.x[r][own.to(self.x[r].device)].to(rows.device)).all())
            count = self.there[r].sum(1, keepdim=True).to(self.x[r].device)
            fine &= bool((self.buffer.out[r] == (self.x[r].float() * count).to(torch.bfloat16)).all())
        return fine


def case(
    w: Any, operation: str, args: argparse.Namespace, choice: dict[str, int]
) -> tuple[Callable[[], None], int, Any]:
    """A call, the bytes it sends to others, and a check."""
    if operation == "all-to-all":
        moved = AllToAll(w, args.tokens, args.hidden, choice)
        return moved.call, moved.sent, moved.check
    moe = Experts(w, args.tokens, args.hidden, args.topk, args.experts, choice)
    moe.dispatch()
    moe.combine()
    return (moe.dispatch if operation == "dispatch" else moe.combine), moe.sent, moe.check


def simulated(args: argparse.Namespace) -> None:
    import torch  # noqa: F401  the parts of tensors are torch's
    from tilescale.distributed import World

    args.tokens, args.hidden, args.topk, args.experts = 50, 512, 3, 12
    small = {"blocks": 3, "threads": 64, "tile": 16, "tiles": 3, "rows": 3, "turns": 2, "stages": 3, "chunk": 192}
    for ranks, operation in itertools.product((2, 3), OPERATIONS):
        with World(ranks, target="sim") as w:
            call, sent, check = case(w, operation, args, CHOICE | small)
            call()
            w.barrier()
            if not check() or sent <= 0:
                raise SystemExit(f"{operation} with {ranks} ranks moved wrong values")
    print("moved and checked on the simulator")


def choices(operation: str, args: argparse.Namespace) -> list[dict[str, int]]:
    """All combinations of what the operation uses."""
    default = CHOICE | {"threads": THREADS[operation]}
    given = [getattr(args, name) or [value] if name in USED[operation] else [value] for name, value in default.items()]
    return [dict(zip(default, values, strict=True)) for values in itertools.product(*given)]


def timed(w: Any, operation: str, args: argparse.Namespace, choice: dict[str, int]) -> tuple[float, float, int]:
    """Milliseconds of ours and of the copy engine, and the bytes that both move."""
    import torch

    call, sent, check = case(w, operation, args, choice)
    here = [torch.randint(0, 256, (sent,), dtype=torch.uint8, device=w.device(r)) for r in range(w.ranks)]
    there = [torch.empty_like(part) for part in here]

    def copies() -> None:  # one way
        there[1].copy_(here[0], non_blocking=True)

    calls = {"ours": call, "copy engine": copies}
    times = measure.interleaved({n: overlap.milliseconds(w, c) for n, c in calls.items()}, args.rounds)
    w.barrier()
    if not check():
        raise SystemExit(f"{operation} moved wrong values")
    return measure.median(times["ours"]), measure.median(times["copy engine"]), sent


def measured(args: argparse.Namespace) -> None:
    import torch
    from tilescale.distributed import World

    print(measure.header(f"ep, {args.ranks} GPUs", f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}"))
    print(f"{args.tokens} tokens, hidden {args.hidden}, top {args.topk} of {args.experts}")
    fine = True
    for operation in args.operations:
        best = 0.0
        for choice in choices(operation, args):
            with World(args.ranks) as w:
                ours, engine, sent = timed(w, operation, args, choice)
            torch.cuda.empty_cache()
            rate = sent / ours / 1e6
            best = max(best, rate)
            print(f"{operation:11} {', '.join(f'{name} {choice[name]}' for name in USED[operation])}")
            print(
                f"  {ours * 1e3:.1f} us, {sent / 1e6:.1f} MB to others: {rate:.1f} GB/s; copy engine "
                f"{engine * 1e3:.1f} us, {sent / engine / 1e6:.1f} GB/s: {engine / ours:.2f}",
                flush=True,
            )
        met = measure.verdict(best, BAR, at_most=False)
        fine &= met == "ok"
        print(f"{operation:11} {best:.1f} GB/s, bar {BAR:.0f}: {met}", flush=True)
    raise SystemExit(0 if fine else 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=["cuda", "sim"], default="cuda")
    parser.add_argument("--operations", nargs="+", default=OPERATIONS, choices=OPERATIONS)
    sizes = {"ranks": 2, "tokens": 4096, "hidden": 7168, "topk": 8, "experts": 256, "rounds": 10}
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    for name in ("threads", *CHOICE):
        parser.add_argument(f"--{name}", type=int, nargs="+")
    args = parser.parse_args()
    simulated(args) if args.target == "sim" else measured(args)


if __name__ == "__main__":
    main()
