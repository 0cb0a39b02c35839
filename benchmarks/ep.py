# SPDX-License-Identifier: MIT
"""Tokens to the ranks of their experts and back (examples/distributed/moe_direct.py, dispatch with known places), and
an all-to-all (pre_attn_all2all.py), on the GPUs of one process: 4096 tokens a rank, hidden 7168, top 8, bfloat16. Bar:
320 GB/s of what a rank sends to others, by at most 20 blocks, a multiprocessor each; beside it the copy engine with the
same bytes. All in one process, interleaved. Sizes, blocks and threads are passed to the programs as constants.

Needs two GPUs and torch; `--target sim` moves less on the simulator and checks it."""

import argparse
from collections.abc import Callable
from typing import Any

import measure
import overlap

BAR = 320.0
DTYPE = "bfloat16"
OPERATIONS = ("all-to-all", "dispatch", "combine")
DIM = 128  # of a head


def fill(part: Any) -> None:
    import torch

    part.copy_(torch.randn(part.shape, device=part.device, dtype=torch.bfloat16))


class AllToAll:
    """All heads of a piece of the sequence for a head's whole sequence, twice: as many bytes as a dispatch."""

    def __init__(self, w: Any, tokens: int, hidden: int, blocks: int, rows: int) -> None:
        import tilescale

        R, self.w = w.ranks, w
        heads = hidden // DIM // R * R
        program = measure.example("distributed/pre_attn_all2all").pre_attn_program
        made = program(R, 2, heads, tokens * R, DIM, False, rows, 128, DTYPE, blocks)
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

    def __init__(self, w: Any, tokens: int, hidden: int, topk: int, experts: int, choice: dict[str, Any]) -> None:
        import torch

        program = measure.example("distributed/moe_direct")
        self.w, self.tokens = w, tokens
        self.buffer = program.Buffer(w, tokens, hidden, topk, experts, DTYPE, **choice)
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


def cases(w: Any, operations: list[str], args: argparse.Namespace) -> dict[str, tuple[Callable[[], None], int, Any]]:
    """By operation: a call, the bytes it sends to others, and a check."""
    found: dict[str, tuple[Callable[[], None], int, Any]] = {}
    if "all-to-all" in operations:
        moved = AllToAll(w, args.tokens, args.hidden, args.blocks, args.rows)
        found["all-to-all"] = moved.call, moved.sent, moved.check
    if "dispatch" in operations or "combine" in operations:
        choice = {name: getattr(args, name) for name in ("blocks", "threads", "unroll", "chunk")}
        moe = Experts(w, args.tokens, args.hidden, args.topk, args.experts, choice)
        moe.dispatch()
        moe.combine()
        found["dispatch"] = moe.dispatch, moe.sent, moe.check
        found["combine"] = moe.combine, moe.sent, moe.check
    return {name: found[name] for name in operations}


def simulated(args: argparse.Namespace) -> None:
    import torch  # noqa: F401  the parts of tensors are torch's
    from tilescale.distributed import World

    args.tokens, args.hidden, args.topk, args.experts = 50, 512, 3, 12
    args.blocks, args.threads, args.rows, args.chunk = 3, 64, 16, 256
    for ranks in (2, 3):
        with World(ranks, target="sim") as w:
            for name, (call, sent, check) in cases(w, list(OPERATIONS), args).items():
                call()
                w.barrier()
                if not check() or sent <= 0:
                    raise SystemExit(f"{name} with {ranks} ranks moved wrong values")
    print("moved and checked on the simulator")


def measured(args: argparse.Namespace) -> None:
    import torch
    from tilescale.distributed import World

    print(measure.header(f"ep, {args.ranks} GPUs", f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}"))
    print(f"{args.tokens} tokens, hidden {args.hidden}, top {args.topk} of {args.experts}, {args.blocks} blocks")
    fine = True
    with World(args.ranks) as w:
        for name, (call, sent, check) in cases(w, args.operations, args).items():
            here = [torch.randint(0, 256, (sent,), dtype=torch.uint8, device=w.device(r)) for r in range(w.ranks)]
            there = [torch.empty_like(part) for part in here]

            def copies(here: list[Any] = here, there: list[Any] = there) -> None:  # one way
                there[1].copy_(here[0], non_blocking=True)

            calls = {"ours": call, "copy engine": copies}
            times = measure.interleaved({n: overlap.milliseconds(w, c) for n, c in calls.items()}, args.rounds)
            w.barrier()
            if not check():
                raise SystemExit(f"{name} moved wrong values")
            ours, engine = measure.median(times["ours"]), measure.median(times["copy engine"])
            rate = sent / ours / 1e6
            met = measure.verdict(rate, BAR, at_most=False)
            fine &= met == "ok"
            print(
                f"{name:11} {ours * 1e3:7.1f} us, {sent / 1e6:.1f} MB to others: {rate:.1f} GB/s, bar {BAR:.0f}: {met}"
            )
            print(
                f"  copy engine {engine * 1e3:.1f} us, {sent / engine / 1e6:.1f} GB/s: {engine / ours:.2f}", flush=True
            )
    raise SystemExit(0 if fine else 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=["cuda", "sim"], default="cuda")
    parser.add_argument("--operations", nargs="+", default=OPERATIONS, choices=OPERATIONS)
    sizes = {"ranks": 2, "tokens": 4096, "hidden": 7168, "topk": 8, "experts": 256}
    choice = {"blocks": 20, "threads": 896, "unroll": 7, "chunk": 1792, "rows": 1024, "rounds": 10}
    for name, value in (sizes | choice).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    simulated(args) if args.target == "sim" else measured(args)


if __name__ == "__main__":
    main()
