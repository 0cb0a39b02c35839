# SPDX-License-Identifier: MIT
"""Dispatch of tokens to the ranks of their experts and combination of what comes back, without queues: what is
received has its room in symmetric memory, so a rank that knows all counts puts each token where it belongs, and gets
it from there.

Counts and places can be kept: a dispatch with the handle of one before moves the tokens only.

Run: python moe_direct.py [--ranks N] [--target sim|cuda]
"""

import harness
import moe
import numpy as np
import tilescale
import tilescale.language as T
import torch  # noqa: F401  holds the bfloat16 parts, which numpy cannot
from tilescale.distributed import World


def places_program(ranks, experts, tokens, threads=128):
    """place[t, r]: the row of token t at rank r, or -1. Rows are in the order of ranks, then tokens, as in moe.py."""
    local = experts // ranks

    @T.prim_func
    def places(
        per_rank: T.Tensor((ranks,), "int32"),
        per_expert: T.Tensor((experts,), "int32"),
        in_rank: T.Tensor((tokens, ranks), "int32"),
        all_per_rank: T.Tensor((ranks, ranks), "int32"),
        all_per_expert: T.Tensor((ranks, local), "int32"),
        barrier: T.Tensor((ranks,), "int32"),
        place: T.Tensor((tokens, ranks), "int32"),
        received: T.Tensor((1 + local,), "int32"),
    ):
        with T.Kernel(1, threads=threads):
            tx = T.get_thread_binding()
            rank = T.get_rank()
            total = T.alloc_var("int32", init=0)
            base = T.alloc_var("int32", init=0)
            mine = T.alloc_shared((tokens,), "int32")
            number = T.alloc_shared((tokens,), "int32")
            T.barrier_blocks(barrier)  # the counts of the call before are read
            if tx < ranks:
                for j in T.serial(ranks):
                    T.st(T.address_of(all_per_rank[rank, j]), per_rank[j], dst_pe=tx)
                for e in T.serial(local):
                    T.st(T.address_of(all_per_expert[rank, e]), per_expert[tx * local + e], dst_pe=tx)
            T.barrier_blocks(barrier)
            for r in T.serial(ranks):
                base = 0
                for i in T.serial(rank):
                    base += all_per_rank[i, r]
                for t in T.Parallel(tokens):
                    mine[t] = in_rank[t, r]
                T.cumsum(mine, number, dim=0)
                for t in T.Parallel(tokens):
                    place[t, r] = T.if_then_else(mine[t] != 0, base + number[t] - 1, -1)
            if tx < local:
                for i in T.serial(ranks):
                    total += all_per_expert[i, tx]
                received[1 + tx] = total
            if tx == 0:
                total = 0
                for i in T.serial(ranks):
                    total += all_per_rank[i, rank]
                received[0] = total

    return places


def dispatch_program(ranks, experts, tokens, most, hidden, topk, blocks, threads, dtype, unroll):
    """A warp takes a token, and all that it has, to each of its ranks. recv_src: its number among all ranks' tokens.

    Behind `places` all ranks have let go of what they received. `arrived[r]`: blocks of rank r that are done.
    """
    local, warps = experts // ranks, threads // 32

    @T.prim_func
    def dispatch(
        x: T.Tensor((tokens, hidden), dtype),
        topk_idx: T.Tensor((tokens, topk), "int64"),
        topk_weights: T.Tensor((tokens, topk), "float32"),
        place: T.Tensor((tokens, ranks), "int32"),
        recv_x: T.Tensor((most, hidden), dtype),
        recv_src: T.Tensor((most,), "int32"),
        recv_idx: T.Tensor((most, topk), "int64"),
        recv_weights: T.Tensor((most, topk), "float32"),
        arrived: T.Tensor((ranks,), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(blocks, threads=threads) as b:
            tx = T.get_thread_binding()
            warp, lane = tx // 32, tx % 32
            rank = T.get_rank()
            for t in T.serial(b * warps + warp, tokens, blocks * warps):
                for step in T.serial(ranks):
                    peer = (rank + 1 + step) % ranks
                    to = place[t, peer]
                    if to >= 0:
                        T.put_warp(T.address_of(x[t, 0]), T.address_of(recv_x[to, 0]), hidden, peer, unroll)
                        if lane == 0:
                            T.st(T.address_of(recv_src[to]), rank * tokens + t, dst_pe=peer)
                        if lane < topk:
                            e = topk_idx[t, lane]
                            mine = e >= 0 and e // local == peer
                            there = T.if_then_else(mine, e - peer * local, T.int64(-1))
                            weight = T.if_then_else(mine, topk_weights[t, lane], 0.0)
                            T.st(T.address_of(recv_idx[to, lane]), there, dst_pe=peer)
                            T.st(T.address_of(recv_weights[to, lane]), weight, dst_pe=peer)
            for step in T.serial(ranks):
                T.notify(T.signal(arrived, rank), peer=(rank + 1 + step) % ranks)
            if b == 0:  # the kernel ends when all has come
                for r in T.serial(ranks):
                    T.wait(T.signal(arrived, r), at_least=(iteration + 1) * blocks)

    return dispatch


def fetch_program(ranks, local, tokens, most, hidden, blocks, threads, dtype, stages, rows):
    """A dispatch of which all but the rows is known: they are fetched, as links carry more reads than writes, `rows` a
    turn and several turns ahead. Rows of all ranks follow each other, so that what is near comes between what is far.

    `ready[r]`: launches in which rank r has its tokens; `done[r]`: blocks of rank r that have read.
    """
    most_share = (most + blocks * ranks - 1) // (blocks * ranks)

    @T.prim_func
    def fetch(
        x: T.Tensor((tokens, hidden), dtype),
        received: T.Tensor((1 + local,), "int32"),
        recv_src: T.Tensor((most,), "int32"),
        recv_x: T.Tensor((most, hidden), dtype),
        ready: T.Tensor((ranks,), "int32"),
        done: T.Tensor((ranks,), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(blocks, threads=threads) as b:
            rank = T.get_rank()
            origin = T.alloc_shared((ranks * most_share + rows,), "int32")
            held = [T.alloc_shared((hidden,), dtype) for _ in range(rows)]
            if b == 0:
                for step in T.serial(ranks):
                    T.notify(T.signal(ready, rank), peer=(rank + 1 + step) % ranks)
            count = received[0]
            share = (count + blocks * ranks - 1) // (blocks * ranks)  # of a block, about, of each rank's rows
            for j in T.Parallel(ranks * most_share + rows):
                to = (j % ranks * blocks + b) * share + j // ranks
                origin[j] = T.if_then_else(j < share * ranks and to < count, recv_src[to], 0)
            for r in T.serial(ranks):
                T.wait(T.signal(ready, r), at_least=iteration + 1)
            for i in T.Pipelined((share * ranks + rows - 1) // rows, num_stages=stages):
                for k, row in enumerate(held):
                    T.copy(x[origin[i * rows + k] % tokens, 0:hidden], row, src_pe=origin[i * rows + k] // tokens)
                for k, row in enumerate(held):
                    j = i * rows + k
                    to = (j % ranks * blocks + b) * share + j // ranks
                    if j < share * ranks and to < count:
                        T.copy(row, recv_x[to, 0:hidden])
            for step in T.serial(ranks):
                T.notify(T.signal(done, rank), peer=(rank + 1 + step) % ranks)
            if b == 0:  # x is this rank's again when the kernel ends
                for r in T.serial(ranks):
                    T.wait(T.signal(done, r), at_least=(iteration + 1) * blocks)

    return fetch


def combine_program(ranks, tokens, most, hidden, topk, blocks, threads, dtype, stages, chunk):
    """A block fetches `chunk` elements of a token's rows from all ranks, several turns ahead, and sums them in float32.
    A rank that has no row gives zeros: its number -1 is out of range.

    `ready[r]`: launches in which rank r has its rows; `done[r]`: blocks of rank r that have read them.
    """
    mine, chunks = (tokens + blocks - 1) // blocks, (hidden + chunk - 1) // chunk

    @T.prim_func
    def combine(
        x: T.Tensor((most, hidden), dtype),
        weights: T.Tensor((most, topk), "float32"),
        place: T.Tensor((tokens, ranks), "int32"),
        out: T.Tensor((tokens, hidden), dtype),
        out_weights: T.Tensor((tokens, topk), "float32"),
        ready: T.Tensor((ranks,), "int32"),
        done: T.Tensor((ranks,), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(blocks, threads=threads) as b:
            rank = T.get_rank()
            places = T.alloc_shared((mine, ranks), "int32")
            rows = [T.alloc_shared((chunk,), dtype) for _ in range(ranks)]
            parts = [T.alloc_shared((topk,), "float32") for _ in range(ranks)]
            total = T.alloc_fragment((chunk,), "float32")
            if b == 0:
                for step in T.serial(ranks):
                    T.notify(T.signal(ready, rank), peer=(rank + 1 + step) % ranks)
            for i, r in T.Parallel(mine, ranks):
                places[i, r] = T.if_then_else(b * mine + i < tokens, place[b * mine + i, r], -1)
            for r in T.serial(ranks):
                T.wait(T.signal(ready, r), at_least=iteration + 1)
            for i in T.Pipelined(mine * chunks, num_stages=stages):
                t, part = b * mine + i // chunks, i % chunks * chunk
                for r, (row, some) in enumerate(zip(rows, parts, strict=True)):
                    T.copy(x[places[i // chunks, r], part : part + chunk], row, src_pe=r)
                    T.copy(weights[places[i // chunks, r], 0:topk], some, src_pe=r)
                T.clear(total)
                for row in rows:
                    for j in T.Parallel(chunk):
                        total[j] += row[j]
                T.copy(total, out[t, part : part + chunk])
                for k in T.Parallel(topk):
                    if t < tokens:
                        out_weights[t, k] = sum(some[k] for some in parts)
            for step in T.serial(ranks):
                T.notify(T.signal(done, rank), peer=(rank + 1 + step) % ranks)
            if b == 0:  # the rows are this rank's again when the kernel ends
                for r in T.serial(ranks):
                    T.wait(T.signal(done, r), at_least=(iteration + 1) * blocks)

    return combine


class Buffer:
    """What is received has its room here until the next dispatch; results in the order of moe.py."""

    def __init__(
        self,
        w,
        tokens,
        hidden,
        topk,
        experts,
        dtype="float16",
        blocks=2,
        threads=128,
        unroll=4,
        rows=2,
        turns=3,
        stages=3,
        chunk=24,
    ):
        """A dispatch by fetching has `rows` rows a turn and `turns` turns in flight in a block, a combine `stages`
        turns of `chunk` elements of a token's rows."""
        R = w.ranks
        self.w, self.shape, self.dtype = w, (tokens, hidden, topk, experts), dtype
        self.most = most = R * tokens
        how = blocks, threads, dtype
        make = {
            "layout": moe.layout_program(R, experts, tokens, topk),
            "places": places_program(R, experts, tokens),
            "dispatch": dispatch_program(R, experts, tokens, most, hidden, topk, *how, unroll),
            "fetch": fetch_program(R, experts // R, tokens, most, hidden, *how, turns, rows),
            "combine": combine_program(R, tokens, most, hidden, topk, *how, stages, chunk),
        }
        self.kernels = {name: tilescale.compile(func, target=w.target) for name, func in make.items()}
        self.barrier = w.tensor((R,), "int32", name="barrier")
        self.counts = (
            w.tensor((R, R), "int32", name="all_per_rank"),
            w.tensor((R, experts // R), "int32", name="all_per_expert"),
        )
        self.recv_x, self.recv_src = w.tensor((most, hidden), dtype, name="recv_x"), w.tensor((most,), "int32")
        self.recv_idx = w.tensor((most, topk), "int64", name="recv_topk_idx")
        self.recv_weights = w.tensor((most, topk), "float32", name="recv_topk_weights")
        signals = {"dispatch": 1, "fetch": 2, "combine": 2}
        self.signals = {name: [w.tensor((R,), "int32") for _ in range(n)] for name, n in signals.items()}
        self.launches = dict.fromkeys(self.signals, 0)
        self.received = self.empty((1 + experts // R,), "int32", "num_recv_tokens")
        self.out = self.empty((tokens, hidden), dtype, "combined_x")
        self.out_weights = self.empty((tokens, topk), "float32", "combined_topk_weights")
        harness.poison(*self.counts, self.recv_x, self.recv_src, self.recv_idx, self.recv_weights)

    def empty(self, shape, dtype, name):
        tensor = self.w.tensor(shape, dtype, name=name)
        harness.poison(tensor)
        return tensor

    def launch(self, kernel, *args):
        self.w.launch(self.kernels[kernel], *args, *self.signals[kernel], self.launches[kernel])
        self.launches[kernel] += 1

    def get_dispatch_layout(self, topk_idx):
        """num_tokens_per_rank, num_tokens_per_expert, is_token_in_rank"""
        tokens, _, _, experts = self.shape
        per_rank = self.empty((self.w.ranks,), "int32", "num_tokens_per_rank")
        per_expert = self.empty((experts,), "int32", "num_tokens_per_expert")
        in_rank = self.empty((tokens, self.w.ranks), "int32", "is_token_in_rank")
        self.w.launch(self.kernels["layout"], topk_idx, per_rank, per_expert, in_rank)
        return per_rank, per_expert, in_rank

    def dispatch(self, x, topk_idx, topk_weights, layout=None, handle=None):
        """recv_x, recv_topk_idx, recv_topk_weights, num_recv_tokens (all, and by expert), handle. With a handle the
        tokens go where they went before; all but recv_x is as it was then."""
        if handle is None:
            handle = self.empty((self.shape[0], self.w.ranks), "int32", "place")
            per_rank, per_expert, in_rank = layout
            given = per_rank, per_expert, in_rank, *self.counts, self.barrier
            self.w.launch(self.kernels["places"], *given, handle, self.received)
            came = self.recv_x, self.recv_src, self.recv_idx, self.recv_weights
            self.launch("dispatch", x, topk_idx, topk_weights, handle, *came)
        else:
            self.launch("fetch", x, self.received, self.recv_src, self.recv_x)
        return self.recv_x, self.recv_idx, self.recv_weights, self.received, handle

    def combine(self, handle):
        """combined_x, combined_topk_weights, of what stands in recv_x and recv_topk_weights"""
        self.launch("combine", self.recv_x, self.recv_weights, handle, self.out, self.out_weights)
        return self.out, self.out_weights


def random_topk(ranks, tokens, topk, experts):
    """Different experts for each token, some of them none."""
    rng = np.random.default_rng()
    idx = np.array([[rng.permutation(experts)[:topk] for _ in range(tokens)] for _ in range(ranks)], np.int64)
    idx[rng.random(idx.shape) < 0.2] = -1
    return idx, rng.random((ranks, tokens, topk), np.float32)


def experts_program(most, hidden, dtype, threads=128):
    """What experts make of their tokens: twice as much."""

    @T.prim_func
    def work(x: T.Tensor((most, hidden), dtype)):
        with T.Kernel(most, threads=threads) as b:
            for i in T.Parallel(hidden):
                x[b, i] = x[b, i] * 2

    return work


def run_one(w, dtype, tokens, hidden, topk, local, iterations):
    """Launches follow each other without a barrier of the host."""
    late = harness.Late(w)
    experts = w.ranks * local
    buffer = Buffer(w, tokens, hidden, topk, experts, dtype)
    came = {"recv_x": buffer.recv_x, "recv_src_idx": buffer.recv_src, "num_recv": buffer.received}
    came |= {"recv_topk_idx": buffer.recv_idx, "recv_topk_weights": buffer.recv_weights}
    back = {"combined_x": buffer.out, "combined_topk_weights": buffer.out_weights}
    both = came | back
    keep = {name: tilescale.compile(harness.copy_program(t, t), target=w.target) for name, t in both.items()}
    kept = [{name: buffer.empty(t.shape, t.dtype, f"{name}{i}") for name, t in both.items()} for i in range(iterations)]
    work, spoil = (tilescale.compile(experts_program(n, hidden, dtype), target=w.target) for n in (buffer.most, tokens))
    x = [harness.normal(w.ranks, tokens, hidden, dtype=dtype) for _ in range(iterations)]
    given = [w.tensor((tokens, hidden), dtype, name=f"x{i}") for i in range(iterations)]
    tokens_now = w.tensor((tokens, hidden), dtype, name="x")
    take = tilescale.compile(harness.copy_program(tokens_now, tokens_now), target=w.target)
    idx, weights = w.tensor((tokens, topk), "int64", name="idx"), w.tensor((tokens, topk), name="weights")
    topk_idx, topk_weights = random_topk(w.ranks, tokens, topk, experts)
    harness.spread(idx, topk_idx)
    harness.spread(weights, topk_weights)
    for i in range(iterations):
        harness.spread(given[i], x[i])
    layout, handle = buffer.get_dispatch_layout(idx), None
    for i in range(iterations):
        late()
        w.launch(take, given[i], tokens_now)
        handle = buffer.dispatch(tokens_now, idx, weights, layout, handle if i % 2 else None)[-1]
        w.launch(spoil, tokens_now)  # the tokens are this rank's again
        for name, tensor in came.items():
            w.launch(keep[name], tensor, kept[i][name])
        late()
        w.launch(work, buffer.recv_x)
        buffer.combine(handle)
        w.launch(work, buffer.recv_x)  # the rows are this rank's again
        for name, tensor in back.items():
            w.launch(keep[name], tensor, kept[i][name])
    w.barrier()
    found = 0.0
    for i in range(iterations):
        want = moe.expected(topk_idx, x[i], topk_weights, w.ranks, experts, 1, dtype)
        for r in range(w.ranks):
            want[r]["combined_x"] = want[r]["combined_x"] * 2
            counts = np.diff(want[r]["rank_prefix_matrix"][:, r], prepend=0)
            want[r]["recv_src_idx"] = want[r]["recv_src_idx"] + tokens * np.repeat(np.arange(w.ranks), counts)
            for name, tensor in kept[i].items():
                found += harness.wrong(harness.numbers(tensor[r])[: len(want[r][name])], want[r][name])
    return found


def run(ranks=2, target=None, tokens=13, hidden=40, topk=3, local=2, iterations=4):
    """How many elements of what comes back are wrong. Every second dispatch has the places of the one before."""
    found = 0.0
    for dtype in ("float16", "bfloat16"):
        with World(ranks, target=target) as w:
            found += run_one(w, dtype, tokens, hidden, topk, local, iterations)
    return found


def main(arguments=None):
    return harness.main("MoE dispatch and combine without queues", __doc__, run, 0, arguments)


if __name__ == "__main__":
    main()
