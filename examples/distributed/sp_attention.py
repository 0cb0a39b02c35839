# SPDX-License-Identifier: MIT
"""Attention over a sequence that is spread over ranks: each has a piece of Q, K and V, and needs K and V of all.

gather: one block a head puts this rank's K and V into all ranks. ring: they travel from rank to rank, each hands on
what came. The other blocks attend to a piece when it has come, this rank's first.

Run: python sp_attention.py [--ranks N] [--target sim|cuda]
"""

import math

import harness
import numpy as np
import tilescale
import tilescale.language as T
from tilescale.distributed import World


def sp_attention_program(ranks, heads, seq, dim, ring, causal, block_M=64, block_N=32, threads=128):
    """seq: of each rank's piece. `arrived[r, h]`: K and V of rank r; `ready[r, h]`: launches of rank r."""
    scale = math.log2(math.e) / math.sqrt(dim)
    blocks = (seq + block_M - 1) // block_M

    @T.prim_func
    def sp_attention(
        Q: T.Tensor((heads, seq, dim), "float16"),
        K: T.Tensor((heads, seq, dim), "float16"),
        V: T.Tensor((heads, seq, dim), "float16"),
        all_K: T.Tensor((ranks, heads, seq, dim), "float16"),
        all_V: T.Tensor((ranks, heads, seq, dim), "float16"),
        Output: T.Tensor((heads, seq, dim), "float16"),
        ready: T.Tensor((ranks, heads), "int32"),
        arrived: T.Tensor((ranks, heads), "int32"),
        iteration: T.int32,
    ):
        with T.Kernel(heads * (1 + blocks), threads=threads) as bx:
            rank = T.get_rank()
            if bx < heads:  # the first blocks: none that waits for them can keep them from running
                h = bx
                for p in T.serial(ranks):
                    T.notify(T.signal(ready, (rank, h)), peer=p)
                if ring:
                    right = (rank + 1) % ranks
                    T.put(K[h, 0:seq, 0:dim], all_K[rank, h, 0:seq, 0:dim], peer=rank)
                    T.put(V[h, 0:seq, 0:dim], all_V[rank, h, 0:seq, 0:dim], rank, T.signal(arrived, (rank, h)))
                    T.wait(T.signal(ready, (right, h)), at_least=iteration + 1)
                    for step in T.serial(ranks - 1):
                        origin = (rank + ranks - step) % ranks
                        piece = T.signal(arrived, (origin, h))
                        T.wait(piece, at_least=iteration + 1)
                        T.put(all_K[origin, h, 0:seq, 0:dim], all_K[origin, h, 0:seq, 0:dim], peer=right)
                        T.put(all_V[origin, h, 0:seq, 0:dim], all_V[origin, h, 0:seq, 0:dim], right, piece)
                else:
                    for step in T.serial(ranks):
                        peer = (rank + step) % ranks
                        T.wait(T.signal(ready, (peer, h)), at_least=iteration + 1)
                        T.put(K[h, 0:seq, 0:dim], all_K[rank, h, 0:seq, 0:dim], peer=peer)
                        T.put(V[h, 0:seq, 0:dim], all_V[rank, h, 0:seq, 0:dim], peer, T.signal(arrived, (rank, h)))
            else:
                h, b = (bx - heads) // blocks, (bx - heads) % blocks
                Q_tile = T.alloc_shared((block_M, dim), "float16")
                K_tile = T.alloc_shared((block_N, dim), "float16")
                V_tile = T.alloc_shared((block_N, dim), "float16")
                scores = T.alloc_fragment((block_M, block_N), "float32")
                weights = T.alloc_fragment((block_M, block_N), "float16")
                out = T.alloc_fragment((block_M, dim), "float32")
                row_max = T.alloc_fragment((block_M,), "float32")
                before = T.alloc_fragment((block_M,), "float32")
                rescale = T.alloc_fragment((block_M,), "float32")
                block_sum = T.alloc_fragment((block_M,), "float32")
                row_sum = T.alloc_fragment((block_M,), "float32")
                T.copy(Q[h, b * block_M : (b + 1) * block_M, 0:dim], Q_tile)
                T.clear(out)
                T.clear(row_sum)
                T.fill(row_max, -T.infinity("float32"))
                for step in T.serial(ranks):
                    origin = (rank + ranks - step) % ranks
                    T.wait(T.signal(arrived, (origin, h)), at_least=iteration + 1)
                    if not causal or origin <= rank:
                        for k in T.Pipelined(T.ceildiv(seq, block_N), num_stages=2):
                            part = slice(k * block_N, (k + 1) * block_N)
                            T.copy(all_K[origin, h, part, 0:dim], K_tile)
                            T.clear(scores)
                            T.gemm(Q_tile, K_tile, scores, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                            for i, j in T.Parallel(block_M, block_N):
                                key = k * block_N + j
                                hidden = key >= seq
                                if causal:
                                    hidden = T.Or(hidden, origin * seq + key > rank * seq + b * block_M + i)
                                scores[i, j] = T.if_then_else(hidden, -T.infinity("float32"), scores[i, j])
                            T.copy(row_max, before)
                            T.reduce_max(scores, row_max, dim=1, clear=False)
                            for i in T.Parallel(block_M):
                                rescale[i] = T.exp2((before[i] - row_max[i]) * scale)
                            for i, j in T.Parallel(block_M, dim):
                                out[i, j] = out[i, j] * rescale[i]
                            for i, j in T.Parallel(block_M, block_N):
                                scores[i, j] = T.exp2(scores[i, j] * scale - row_max[i] * scale)
                            T.reduce_sum(scores, block_sum, dim=1)
                            for i in T.Parallel(block_M):
                                row_sum[i] = row_sum[i] * rescale[i] + block_sum[i]
                            T.copy(scores, weights)
                            T.copy(all_V[origin, h, part, 0:dim], V_tile)
                            T.gemm(weights, V_tile, out, policy=T.GemmWarpPolicy.FullRow)
                for i, j in T.Parallel(block_M, dim):
                    out[i, j] = out[i, j] / row_sum[i]
                T.copy(out, Output[h, b * block_M : (b + 1) * block_M, 0:dim])

    return sp_attention


def reference(q, k, v, causal):
    """Attention in float64; arrays are (heads, sequence, dim)."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    scores = q @ k.swapaxes(1, 2) / math.sqrt(q.shape[2])
    if causal:
        scores[:, ~np.tri(scores.shape[1], dtype=bool)] = -np.inf
    weights = np.exp(scores - scores.max(2, keepdims=True))
    return weights / weights.sum(2, keepdims=True) @ v


def run_one(ring, causal, ranks, target, heads, seq, dim, iterations):
    kernel = tilescale.compile(sp_attention_program(ranks, heads, seq, dim, ring, causal), target=target)
    with World(ranks, target=target) as w:
        late = harness.Late(w)
        shape = (heads, seq, dim)
        given = [[w.tensor(shape, "float16", name=f"{name}{i}") for name in "QKV"] for i in range(iterations)]
        out = [w.tensor(shape, "float16", name=f"Output{i}") for i in range(iterations)]
        all_K, all_V = (w.tensor((ranks, *shape), "float16", name=name) for name in ("all_K", "all_V"))
        ready, arrived = (w.tensor((ranks, heads), "int32", name=name) for name in ("ready", "arrived"))
        inputs = harness.normal(iterations, 3, ranks, *shape, dtype=np.float16)
        harness.poison(all_K, all_V, *out)
        for i in range(iterations):
            for tensor, values in zip(given[i], inputs[i], strict=True):
                harness.spread(tensor, values)
        for i in range(iterations):
            late()
            w.launch(kernel, *given[i], all_K, all_V, out[i], ready, arrived, i)
        w.barrier()
        errors = []
        for i in range(iterations):
            q, k, v = (np.concatenate(list(x), axis=1) for x in inputs[i])
            got = np.concatenate(list(harness.gathered(out[i])), axis=1)
            errors.append(harness.error(got, reference(q, k, v, causal)))
        return float(np.max(errors))


def run(ranks=2, target=None, heads=2, seq=40, dim=32, iterations=2):
    """The larger error of the two forms."""
    forms = [(False, True), (True, False)]
    return float(np.max([run_one(*form, ranks, target, heads, seq, dim, iterations) for form in forms]))


def main(arguments=None):
    return harness.main("attention over ranks", __doc__, run, 4e-3, arguments)


if __name__ == "__main__":
    main()
