# SPDX-License-Identifier: MIT
"""Dispatch of tokens to the ranks of their experts and combination of what comes back, as DeepEP does in a node.

Tokens are cut into channels. Each channel has two blocks, a sender and a receiver, with one warp for each peer. From a
sender's warp to its receiver's goes a queue of slots: the tail is raised behind what was put, the head when it is read.
All blocks must be resident at once.

Run: python moe.py [--ranks N] [--target sim|cuda]
"""

import harness
import numpy as np
import tilescale
import tilescale.language as T
import torch  # noqa: F401  holds the bfloat16 parts, which numpy cannot
from tilescale.distributed import World

NONE = 1 << 25  # the slot behind all


def layout_program(ranks, experts, tokens, topk, threads=128):
    """Who gets which token: counts by rank and by expert, and a mask."""
    local = experts // ranks

    @T.prim_func
    def layout(
        topk_idx: T.Tensor((tokens, topk), "int64"),
        per_rank: T.Tensor((ranks,), "int32"),
        per_expert: T.Tensor((experts,), "int32"),
        in_rank: T.Tensor((tokens, ranks), "int32"),
    ):
        with T.Kernel(experts + ranks, threads=threads) as b:
            tx = T.get_thread_binding()
            count = T.alloc_shared((1,), "int32")
            hits = T.alloc_var("int32", init=0)
            found = T.alloc_var("int32")
            if tx == 0:
                count[0] = 0
            T.sync_threads()
            for t in T.serial(tx, tokens, threads):
                found = 0
                for k in T.serial(topk):
                    e = topk_idx[t, k]
                    if b < experts:
                        if e == b:
                            found = 1
                    elif e >= 0 and e // local == b - experts:
                        found = 1
                if b >= experts:
                    in_rank[t, b - experts] = found
                hits += found
            T.atomic_add(count[0], hits)
            T.sync_threads()
            if tx == 0:
                if b < experts:
                    per_expert[b] = count[0]
                else:
                    per_rank[b - experts] = count[0]

    return layout


def notify_program(ranks, experts, tokens, channels, alignment, threads=128):
    """Every rank learns all counts; block 0 clears the queues of the dispatch to come, between two barriers of ranks.

    rank_prefix[i, j]: tokens of ranks 0 .. i for rank j. channel_prefix[j, c]: tokens of channels 0 .. c for rank j.
    """
    local, share = experts // ranks, (tokens + channels - 1) // channels

    @T.prim_func
    def notify_dispatch(
        per_rank: T.Tensor((ranks,), "int32"),
        per_expert: T.Tensor((experts,), "int32"),
        in_rank: T.Tensor((tokens, ranks), "int32"),
        all_per_rank: T.Tensor((ranks, ranks), "int32"),
        all_per_expert: T.Tensor((ranks, local), "int32"),
        queues: T.Tensor((4, channels, ranks), "int32"),
        barrier: T.Tensor((ranks,), "int32"),
        rank_prefix: T.Tensor((ranks, ranks), "int32"),
        received: T.Tensor((1 + local,), "int32"),
        channel_prefix: T.Tensor((ranks, channels), "int32"),
    ):
        with T.Kernel(1 + ranks, threads=threads) as b:
            tx = T.get_thread_binding()
            rank = T.get_rank()
            total = T.alloc_var("int32", init=0)
            if b == 0:
                T.barrier_blocks(barrier)
                if tx < ranks:
                    for j in T.serial(ranks):
                        T.st(T.address_of(all_per_rank[rank, j]), per_rank[j], dst_pe=tx)
                    for e in T.serial(local):
                        T.st(T.address_of(all_per_expert[rank, e]), per_expert[tx * local + e], dst_pe=tx)
                T.barrier_blocks(barrier)
                if tx < ranks:
                    for i in T.serial(ranks):
                        total += all_per_rank[i, tx]
                        rank_prefix[i, tx] = total
                    if tx == rank:
                        received[0] = total
                if tx < local:
                    total = 0
                    for i in T.serial(ranks):
                        total += all_per_expert[i, tx]
                    received[1 + tx] = (total + alignment - 1) // alignment * alignment
                for q, c, r in T.Parallel(4, channels, ranks):
                    queues[q, c, r] = 0
                T.barrier_blocks(barrier)
            elif tx == 0:
                for c in T.serial(channels):
                    for t in T.serial(c * share, T.min((c + 1) * share, tokens)):
                        total += in_rank[t, b - 1]
                    channel_prefix[b - 1, c] = total

    return notify_dispatch


def dispatch_program(ranks, experts, tokens, most, hidden, topk, channels, slots, chunk, dtype, cached):
    """queues: start, end, tail and head of each channel and peer. The first two are sent as -n - 1: 0 is not there yet.

    send_head[t, r]: the number in its queue of token t for rank r, or -1. channel_start[r, c]: the tokens of rank r
    that came before its channel c. cached: tokens only, what else they have came with the dispatch of the handle.
    """
    local, share = experts // ranks, (tokens + channels - 1) // channels

    @T.prim_func
    def dispatch(
        x: T.Tensor((tokens, hidden), dtype),
        topk_idx: T.Tensor((tokens, topk), "int64"),
        topk_weights: T.Tensor((tokens, topk), "float32"),
        in_rank: T.Tensor((tokens, ranks), "int32"),
        rank_prefix: T.Tensor((ranks, ranks), "int32"),
        channel_prefix: T.Tensor((ranks, channels), "int32"),
        queues: T.Tensor((4, channels, ranks), "int32"),
        x_slots: T.Tensor((channels, ranks, slots, hidden), dtype),
        src_slots: T.Tensor((channels, ranks, slots), "int32"),
        idx_slots: T.Tensor((channels, ranks, slots, topk), "int64"),
        weight_slots: T.Tensor((channels, ranks, slots, topk), "float32"),
        recv_x: T.Tensor((most, hidden), dtype),
        recv_src: T.Tensor((most,), "int32"),
        recv_idx: T.Tensor((most, topk), "int64"),
        recv_weights: T.Tensor((most, topk), "float32"),
        channel_start: T.Tensor((ranks, channels), "int32"),
        send_head: T.Tensor((tokens, ranks), "int32"),
    ):
        with T.Kernel(2 * channels, threads=32 * ranks) as b:
            tx = T.get_thread_binding()
            peer, lane = tx // 32, tx % 32
            rank = T.get_rank()
            c = b // 2
            sent = T.alloc_var("int32", init=0)
            ahead = T.alloc_var("int32", init=0)
            first = T.alloc_var("int32", init=0)
            last = T.alloc_var("int32", init=0)
            if b % 2 == 0:
                if lane == 0:
                    before = T.if_then_else(c == 0, 0, channel_prefix[peer, T.max(c - 1, 0)])
                    T.st(T.address_of(queues[0, c, rank]), -before - 1, "sys", "relaxed", dst_pe=peer)
                    T.st(T.address_of(queues[1, c, rank]), -channel_prefix[peer, c] - 1, "sys", "relaxed", dst_pe=peer)
                for t in T.serial(c * share, T.min((c + 1) * share, tokens)):
                    if lane == 0 and not cached:
                        send_head[t, peer] = T.if_then_else(in_rank[t, peer] == 0, -1, sent)
                    if in_rank[t, peer] != 0:
                        if sent == ahead:  # room for a chunk
                            if lane == 0:
                                T.wait_ge(queues[3, c, rank], sent + chunk - slots, peer)
                            T.sync_warp()
                            ahead = sent + chunk
                        slot = sent % slots
                        T.put_warp(T.address_of(x[t, 0]), T.address_of(x_slots[c, rank, slot, 0]), hidden, peer)
                        if not cached:
                            if lane == 0:
                                T.st(T.address_of(src_slots[c, rank, slot]), t, dst_pe=peer)
                            if lane < topk:
                                e = topk_idx[t, lane]
                                mine = e >= 0 and e // local == peer
                                there = T.if_then_else(mine, e - peer * local, T.int64(-1))
                                weight = T.if_then_else(mine, topk_weights[t, lane], 0.0)
                                T.st(T.address_of(idx_slots[c, rank, slot, lane]), there, dst_pe=peer)
                                T.st(T.address_of(weight_slots[c, rank, slot, lane]), weight, dst_pe=peer)
                        sent += 1
                        if sent == ahead:
                            T.sync_warp()
                            if lane == 0:
                                T.st(T.address_of(queues[2, c, rank]), sent, "sys", "release", dst_pe=peer)
                T.sync_warp()
                if lane == 0:
                    T.st(T.address_of(queues[2, c, rank]), sent, "sys", "release", dst_pe=peer)
            else:
                if lane == 0:
                    first = -T.wait_ne(queues[0, c, peer], 0) - 1
                    last = -T.wait_ne(queues[1, c, peer], 0) - 1
                    channel_start[peer, c] = first
                first = T.shfl_sync(first, 0)
                last = T.shfl_sync(last, 0)
                base = first + T.if_then_else(peer == 0, 0, rank_prefix[T.max(peer - 1, 0), rank])
                while sent < last - first:
                    ahead = 0
                    if lane == 0:
                        ahead = T.wait_ne(queues[2, c, peer], sent)
                    ahead = T.shfl_sync(ahead, 0)
                    T.sync_warp()  # a shuffle orders no memory
                    for n in T.serial(sent, ahead):
                        slot, to = n % slots, base + n
                        T.put_warp(T.address_of(x_slots[c, peer, slot, 0]), T.address_of(recv_x[to, 0]), hidden)
                        if not cached:
                            if lane == 0:
                                recv_src[to] = src_slots[c, peer, slot]
                            if lane < topk:
                                recv_idx[to, lane] = idx_slots[c, peer, slot, lane]
                                recv_weights[to, lane] = weight_slots[c, peer, slot, lane]
                    sent = ahead
                    T.sync_warp()
                    if lane == 0:
                        T.st(T.address_of(queues[3, c, peer]), sent, "sys", "release")

    return dispatch


def notify_cached_program(ranks, channels, threads=128):
    """Clears the queues of a dispatch whose counts are known."""

    @T.prim_func
    def notify_cached(queues: T.Tensor((4, channels, ranks), "int32"), barrier: T.Tensor((ranks,), "int32")):
        with T.Kernel(1, threads=threads):
            T.barrier_blocks(barrier)
            for q, c, r in T.Parallel(4, channels, ranks):
                queues[q, c, r] = 0
            T.barrier_blocks(barrier)

    return notify_cached


def notify_combine_program(ranks, tokens, channels):
    """Clears the queues, and gives tokens that a rank did not get the number -n - 1: n of the next one it got."""
    share = (tokens + channels - 1) // channels

    @T.prim_func
    def notify_combine(
        send_head: T.Tensor((tokens, ranks), "int32"),
        queues: T.Tensor((4, channels, ranks), "int32"),
        barrier: T.Tensor((ranks,), "int32"),
    ):
        with T.Kernel(1 + channels, threads=max(32, ranks)) as b:
            tx = T.get_thread_binding()
            following = T.alloc_var("int32", init=NONE)
            if b == 0:
                T.barrier_blocks(barrier)
                for q, c, r in T.Parallel(4, channels, ranks):
                    queues[q, c, r] = 0
                T.barrier_blocks(barrier)
            elif tx < ranks:
                end = T.min(b * share, tokens)
                for n in T.serial(end - T.min((b - 1) * share, tokens)):
                    if send_head[end - 1 - n, tx] < 0:
                        send_head[end - 1 - n, tx] = -following - 1
                    else:
                        following = send_head[end - 1 - n, tx]

    return notify_combine


def combine_program(ranks, tokens, most, hidden, topk, channels, slots, chunk, dtype):
    """Rows go back to the ranks they came from, through queues again; there each token's are summed in float32."""
    share = (tokens + channels - 1) // channels
    threads = 32 * ranks

    @T.prim_func
    def combine(
        x: T.Tensor((most, hidden), dtype),
        weights: T.Tensor((most, topk), "float32"),
        rank_prefix: T.Tensor((ranks, ranks), "int32"),
        channel_start: T.Tensor((ranks, channels), "int32"),
        send_head: T.Tensor((tokens, ranks), "int32"),
        queues: T.Tensor((4, channels, ranks), "int32"),
        x_slots: T.Tensor((channels, ranks, slots, hidden), dtype),
        weight_slots: T.Tensor((channels, ranks, slots, topk), "float32"),
        out: T.Tensor((tokens, hidden), dtype),
        out_weights: T.Tensor((tokens, topk), "float32"),
    ):
        with T.Kernel(2 * channels, threads=threads) as b:
            tx = T.get_thread_binding()
            rank = T.get_rank()
            c = b // 2
            sent = T.alloc_var("int32", init=0)
            ahead = T.alloc_var("int32", init=0)
            if b % 2 == 0:
                peer, lane = (tx // 32 + c) % ranks, tx % 32
                base = T.if_then_else(peer == 0, 0, rank_prefix[T.max(peer - 1, 0), rank])
                begin = base + channel_start[peer, c]
                end = T.if_then_else(
                    c == channels - 1, rank_prefix[peer, rank], base + channel_start[peer, T.min(c + 1, channels - 1)]
                )
                for t in T.serial(begin, end):
                    if sent == ahead:
                        if lane == 0:
                            T.wait_ge(queues[3, c, rank], sent + chunk - slots, peer)
                        T.sync_warp()
                        ahead = sent + chunk
                    slot = sent % slots
                    T.put_warp(T.address_of(x[t, 0]), T.address_of(x_slots[c, rank, slot, 0]), hidden, peer)
                    if lane < topk:
                        T.st(T.address_of(weight_slots[c, rank, slot, lane]), weights[t, lane], dst_pe=peer)
                    sent += 1
                    if sent == ahead:
                        T.sync_warp()
                        if lane == 0:
                            T.st(T.address_of(queues[2, c, rank]), sent, "sys", "release", dst_pe=peer)
                T.sync_warp()
                if lane == 0:
                    T.st(T.address_of(queues[2, c, rank]), sent, "sys", "release", dst_pe=peer)
            else:
                total = T.alloc_fragment((hidden,), "float32")
                weight = T.alloc_fragment((topk,), "float32")
                for t in T.serial(c * share, T.min((c + 1) * share, tokens)):
                    if tx < ranks and send_head[t, tx] >= 0:
                        T.wait_gt(queues[2, c, tx], send_head[t, tx])
                    T.sync_threads()
                    T.clear(total)
                    T.clear(weight)
                    for r in T.serial(ranks):
                        if send_head[t, r] >= 0:
                            slot = send_head[t, r] % slots
                            for i in T.Parallel(hidden):
                                total[i] += x_slots[c, r, slot, i]
                            for k in T.Parallel(topk):
                                weight[k] += weight_slots[c, r, slot, k]
                    T.copy(total, out[t, 0:hidden])
                    T.copy(weight, out_weights[t, 0:topk])
                    T.sync_threads()
                    if tx < ranks:
                        head = send_head[t, tx]
                        T.st(
                            T.address_of(queues[3, c, tx]),
                            T.if_then_else(head >= 0, head + 1, -head - 1),
                            "sys",
                            "release",
                        )

    return combine


class Buffer:
    """The queues of a world, and the kernels between them. Results in the order in which DeepEP gives them."""

    def __init__(self, w, tokens, hidden, topk, experts, channels=2, slots=4, chunk=2, alignment=1, dtype="float16"):
        R, C = w.ranks, channels
        self.w, self.shape, self.dtype = w, (tokens, hidden, topk, experts), dtype
        self.most = R * tokens
        self.channels = channels
        sizes = R, experts, tokens, self.most, hidden, topk, C, slots, chunk, dtype
        make = {
            "layout": layout_program(R, experts, tokens, topk),
            "notify_dispatch": notify_program(R, experts, tokens, C, alignment),
            "dispatch": dispatch_program(*sizes, cached=False),
            "notify_cached": notify_cached_program(R, C),
            "cached": dispatch_program(*sizes, cached=True),
            "notify_combine": notify_combine_program(R, tokens, C),
            "combine": combine_program(R, tokens, self.most, hidden, topk, C, slots, chunk, dtype),
        }
        self.kernels = {name: tilescale.compile(func, target=w.target) for name, func in make.items()}
        self.barrier = w.tensor((R,), "int32", name="barrier")
        self.counts = (
            w.tensor((R, R), "int32", name="all_per_rank"),
            w.tensor((R, experts // R), "int32", name="all_per_expert"),
        )
        self.queues = w.tensor((4, C, R), "int32", name="queues")
        self.x_slots = w.tensor((C, R, slots, hidden), dtype, name="x_slots")
        self.src_slots = w.tensor((C, R, slots), "int32", name="src_slots")
        self.idx_slots = w.tensor((C, R, slots, topk), "int64", name="idx_slots")
        self.weight_slots = w.tensor((C, R, slots, topk), "float32", name="weight_slots")
        harness.poison(*self.counts, self.x_slots, self.src_slots, self.idx_slots, self.weight_slots)

    def empty(self, shape, dtype, name):
        tensor = self.w.tensor(shape, dtype, name=name)
        harness.poison(tensor)
        return tensor

    def get_dispatch_layout(self, topk_idx):
        """num_tokens_per_rank, num_tokens_per_expert, is_token_in_rank"""
        tokens, _, _, experts = self.shape
        per_rank = self.empty((self.w.ranks,), "int32", "num_tokens_per_rank")
        per_expert = self.empty((experts,), "int32", "num_tokens_per_expert")
        in_rank = self.empty((tokens, self.w.ranks), "int32", "is_token_in_rank")
        self.w.launch(self.kernels["layout"], topk_idx, per_rank, per_expert, in_rank)
        return per_rank, per_expert, in_rank

    def dispatch(self, x, layout, topk_idx, topk_weights, handle=None):
        """recv_x, recv_topk_idx, recv_topk_weights, num_recv_tokens (all, and by expert), handle. layout: what
        get_dispatch_layout gave. With a handle the tokens go where they went with it: recv_x alone is filled."""
        R, C = self.w.ranks, self.channels
        tokens, hidden, topk, experts = self.shape
        received = self.empty((1 + experts // R,), "int32", "num_recv_tokens")
        if handle is None:
            rank_prefix = self.empty((R, R), "int32", "rank_prefix_matrix")
            channel_prefix = self.empty((R, C), "int32", "channel_prefix_matrix")
            per_rank, per_expert, in_rank = layout
            found = rank_prefix, received, channel_prefix
            given = per_rank, per_expert, in_rank, *self.counts, self.queues, self.barrier
            self.w.launch(self.kernels["notify_dispatch"], *given, *found)
            recv_src = self.empty((self.most,), "int32", "recv_src_idx")
            channel_start = self.empty((R, C), "int32", "recv_channel_prefix_matrix")
            send_head = self.empty((tokens, R), "int32", "send_head")
            kernel = "dispatch"
        else:
            rank_prefix, channel_prefix, channel_start, recv_src, in_rank, send_head = handle
            self.w.launch(self.kernels["notify_cached"], self.queues, self.barrier)
            kernel = "cached"
        recv_x = self.empty((self.most, hidden), self.dtype, "recv_x")
        recv_idx = self.empty((self.most, topk), "int64", "recv_topk_idx")
        recv_weights = self.empty((self.most, topk), "float32", "recv_topk_weights")
        slots = self.x_slots, self.src_slots, self.idx_slots, self.weight_slots
        came = recv_x, recv_src, recv_idx, recv_weights, channel_start, send_head
        given = x, topk_idx, topk_weights, in_rank, rank_prefix, channel_prefix
        self.w.launch(self.kernels[kernel], *given, self.queues, *slots, *came)
        handle = rank_prefix, channel_prefix, channel_start, recv_src, in_rank, send_head
        return recv_x, recv_idx, recv_weights, received, handle

    def combine(self, x, handle, topk_weights):
        """combined_x, combined_topk_weights"""
        tokens, hidden, topk, _ = self.shape
        rank_prefix, _, channel_start, _, _, send_head = handle
        out = self.empty((tokens, hidden), self.dtype, "combined_x")
        out_weights = self.empty((tokens, topk), "float32", "combined_topk_weights")
        self.w.launch(self.kernels["notify_combine"], send_head, self.queues, self.barrier)
        given = x, topk_weights, rank_prefix, channel_start, send_head
        self.w.launch(self.kernels["combine"], *given, self.queues, self.x_slots, self.weight_slots, out, out_weights)
        return out, out_weights


def expected(topk_idx, x, topk_weights, ranks, experts, channels, dtype="float16"):
    """The same in numpy, for every rank: a dictionary of arrays by name."""
    local = experts // ranks
    tokens = x.shape[1]
    share = -(-tokens // channels)
    in_rank = np.stack([((topk_idx >= 0) & (topk_idx // local == j)).any(2) for j in range(ranks)], axis=2)
    per_expert = np.stack([[(topk_idx[i] == e).sum() for e in range(experts)] for i in range(ranks)])
    per_rank = in_rank.sum(1)
    prefix = per_rank.cumsum(0)
    by_channel = np.stack([in_rank[:, c * share : (c + 1) * share].sum(1) for c in range(channels)], axis=2)
    number = np.concatenate(
        [in_rank[:, c * share : (c + 1) * share].cumsum(1) - 1 for c in range(channels)], axis=1
    )  # of each token in its queue
    head = np.where(in_rank, number, 0)
    for i, j, c in np.ndindex(ranks, ranks, channels):
        following = NONE
        for t in reversed(range(c * share, min((c + 1) * share, tokens))):
            if in_rank[i, t, j]:
                following = number[i, t, j]
            else:
                head[i, t, j] = -following - 1
    came = []
    for j in range(ranks):
        rows = [(i, t) for i in range(ranks) for t in range(tokens) if in_rank[i, t, j]]
        idx = np.array([topk_idx[i, t] for i, t in rows], np.int64).reshape(len(rows), -1)
        mine = (idx >= 0) & (idx // local == j)
        weights = np.array([topk_weights[i, t] for i, t in rows], np.float32).reshape(mine.shape)
        came.append(
            {
                "recv_x": np.array([x[i, t] for i, t in rows], x.dtype).reshape(len(rows), -1),
                "recv_topk_idx": np.where(mine, idx - j * local, -1),
                "recv_topk_weights": np.where(mine, weights, 0),
                "recv_src_idx": np.array([t for _, t in rows], np.int32),
                "num_recv": np.array([len(rows), *per_expert.sum(0)[j * local : (j + 1) * local]]),
                "num_tokens_per_rank": per_rank[j],
                "num_tokens_per_expert": per_expert[j],
                "is_token_in_rank": in_rank[j],
                "rank_prefix_matrix": prefix,
                "channel_prefix_matrix": by_channel[j].cumsum(1),
                "recv_channel_prefix_matrix": by_channel[:, j].cumsum(1) - by_channel[:, j],
                "send_head": head[j],
                "combined_x": harness.rounded(in_rank[j].sum(1)[:, None] * x[j].astype(np.float32), dtype),
                "combined_topk_weights": np.where(topk_idx[j] >= 0, topk_weights[j], 0),
            }
        )
    return came


def run_one(w, dtype, tokens, hidden, topk, local, iterations):
    """Each iteration dispatches twice: once to find the places, and other tokens with the handle."""
    rng = np.random.default_rng()
    late = harness.Late(w)
    experts = w.ranks * local
    buffer = Buffer(w, tokens, hidden, topk, experts, dtype=dtype)
    runs = []
    for i in range(iterations):
        x = [harness.normal(w.ranks, tokens, hidden, dtype=dtype) for _ in range(2)]
        idx = np.array([[rng.permutation(experts)[:topk] for _ in range(tokens)] for _ in range(w.ranks)], np.int64)
        idx[rng.random(idx.shape) < 0.2] = -1
        weights = rng.random((w.ranks, tokens, topk), np.float32)
        given = [w.tensor((tokens, hidden), dtype, name=f"x{i}") for _ in x]
        topk_given = (
            w.tensor((tokens, topk), "int64", name=f"idx{i}"),
            w.tensor((tokens, topk), "float32", name=f"weights{i}"),
        )
        for tensor, values in zip([*given, *topk_given], [*x, idx, weights], strict=True):
            harness.spread(tensor, values)
        late()
        layout = buffer.get_dispatch_layout(topk_given[0])
        late()
        recv_x, recv_idx, recv_weights, received, handle = buffer.dispatch(given[0], layout, *topk_given)
        late()
        combined = buffer.combine(recv_x, handle, recv_weights)
        want = expected(idx, x[0], weights, w.ranks, experts, buffer.channels, dtype)
        names = ["rank_prefix_matrix", "channel_prefix_matrix", "recv_channel_prefix_matrix", "recv_src_idx"]
        got = dict(zip([*names, "is_token_in_rank", "send_head"], handle, strict=True))
        got |= {"num_tokens_per_rank": layout[0], "num_tokens_per_expert": layout[1], "num_recv": received}
        got |= {"recv_x": recv_x, "recv_topk_idx": recv_idx, "recv_topk_weights": recv_weights}
        got |= {"combined_x": combined[0], "combined_topk_weights": combined[1]}
        runs.append((want, got))
        late()
        again = buffer.dispatch(given[1], layout, *topk_given, handle)[0]
        late()
        combined = buffer.combine(again, handle, recv_weights)
        want = expected(idx, x[1], weights, w.ranks, experts, buffer.channels, dtype)
        got = {"recv_x": again, "combined_x": combined[0], "combined_topk_weights": combined[1]}
        runs.append(([{name: of_rank[name] for name in got} for of_rank in want], got))
    w.barrier()
    found = 0.0
    for want, got in runs:
        for r in range(w.ranks):
            for name, values in want[r].items():
                here = harness.numbers(got[name][r])[: len(values)]  # what came has room for more
                found += harness.wrong(here, values)
    return found


def run(ranks=2, target=None, tokens=13, hidden=40, topk=3, local=2, iterations=1):
    """How many elements of what comes back are wrong. Launches follow each other without a barrier of the host."""
    found = 0.0
    for dtype in ("float16", "bfloat16"):
        with World(ranks, target=target) as w:
            found += run_one(w, dtype, tokens, hidden, topk, local, iterations)
    return found


def main(arguments=None):
    return harness.main("MoE dispatch and combine", __doc__, run, 0, arguments)


if __name__ == "__main__":
    main()
