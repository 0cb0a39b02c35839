# SPDX-License-Identifier: MIT
"""softmax(Q @ K^T / sqrt(D)) @ V without the score matrix in memory. Run: tilescale run examples/flash_attention.py"""

import math

import tilelang
import tilelang.language as T
import torch
from common import check, normal, poisoned, relative_error


@tilelang.jit(pass_configs={tilelang.PassConfigKey.TL_ENABLE_FAST_MATH: True})
def flash_attention(
    batch, heads, seq_q, seq_kv, dim, causal=False, block_M=64, block_N=64, num_stages=2, threads=128, dtype="float16"
):
    scale = math.log2(math.e) / math.sqrt(dim)
    past = seq_kv - seq_q  # causal: query i sees the keys 0..past + i

    @T.prim_func
    def forward(
        Q: T.Tensor((batch, seq_q, heads, dim), dtype),
        K: T.Tensor((batch, seq_kv, heads, dim), dtype),
        V: T.Tensor((batch, seq_kv, heads, dim), dtype),
        Output: T.Tensor((batch, seq_q, heads, dim), dtype),
    ):
        with T.Kernel(T.ceildiv(seq_q, block_M), heads, batch, threads=threads) as (bx, by, bz):
            Q_shared = T.alloc_shared((block_M, dim), dtype)
            K_shared = T.alloc_shared((block_N, dim), dtype)
            V_shared = T.alloc_shared((block_N, dim), dtype)
            scores = T.alloc_fragment((block_M, block_N), "float32")
            weights = T.alloc_fragment((block_M, block_N), dtype)
            out = T.alloc_fragment((block_M, dim), "float32")
            row_max = T.alloc_fragment((block_M,), "float32")
            row_max_before = T.alloc_fragment((block_M,), "float32")
            rescale = T.alloc_fragment((block_M,), "float32")
            block_sum = T.alloc_fragment((block_M,), "float32")
            row_sum = T.alloc_fragment((block_M,), "float32")

            T.copy(Q[bz, bx * block_M : (bx + 1) * block_M, by, :], Q_shared)
            T.clear(out)
            T.clear(row_sum)
            T.fill(row_max, -T.infinity("float32"))
            blocks = T.ceildiv(seq_kv, block_N)
            if causal:
                blocks = T.min(blocks, T.ceildiv((bx + 1) * block_M + past, block_N))
            for k in T.Pipelined(blocks, num_stages=num_stages):
                T.copy(K[bz, k * block_N : (k + 1) * block_N, by, :], K_shared)
                T.clear(scores)
                T.gemm(Q_shared, K_shared, scores, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                if causal and (k + 1) * block_N > bx * block_M + past + 1:
                    for i, j in T.Parallel(block_M, block_N):
                        hidden = k * block_N + j > bx * block_M + past + i
                        scores[i, j] = T.if_then_else(hidden, -T.infinity("float32"), scores[i, j])
                if not causal and seq_kv % block_N and (k + 1) * block_N > seq_kv:
                    for i, j in T.Parallel(block_M, block_N):
                        hidden = k * block_N + j >= seq_kv
                        scores[i, j] = T.if_then_else(hidden, -T.infinity("float32"), scores[i, j])
                T.copy(row_max, row_max_before)
                T.reduce_max(scores, row_max, dim=1, clear=False)
                for i in T.Parallel(block_M):
                    rescale[i] = T.exp2((row_max_before[i] - row_max[i]) * scale)
                for i, j in T.Parallel(block_M, dim):
                    out[i, j] = out[i, j] * rescale[i]
                for i, j in T.Parallel(block_M, block_N):
                    scores[i, j] = T.exp2(scores[i, j] * scale - row_max[i] * scale)
                T.reduce_sum(scores, block_sum, dim=1)
                for i in T.Parallel(block_M):
                    row_sum[i] = row_sum[i] * rescale[i] + block_sum[i]
                T.copy(scores, weights)
                T.copy(V[bz, k * block_N : (k + 1) * block_N, by, :], V_shared)
                T.gemm(weights, V_shared, out, policy=T.GemmWarpPolicy.FullRow)
            for i, j in T.Parallel(block_M, dim):
                out[i, j] = out[i, j] / row_sum[i]
            T.copy(out, Output[bz, bx * block_M : (bx + 1) * block_M, by, :])

    return forward


def reference(q, k, v, causal):
    """Attention in float64; tensors are (batch, sequence, heads, dim)."""
    q, k, v = (x.double().transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
    if causal:
        seq_q, seq_kv = scores.shape[2:]
        seen = torch.ones(seq_q, seq_kv, dtype=torch.bool, device=q.device).tril(seq_kv - seq_q)
        scores = scores.masked_fill(~seen, -math.inf)
    return (scores.softmax(3) @ v).transpose(1, 2)


def run(batch, heads, seq_q, seq_kv, dim, causal, **choice):
    """Relative error of one forward pass."""
    dtype = torch.float16
    q = normal(batch, seq_q, heads, dim, dtype=dtype)
    k, v = (normal(batch, seq_kv, heads, dim, dtype=dtype) for _ in range(2))
    out = poisoned(batch, seq_q, heads, dim, dtype=dtype)
    flash_attention(batch, heads, seq_q, seq_kv, dim, causal, **choice)(q, k, v, out)
    return relative_error(out, reference(q, k, v, causal))


if __name__ == "__main__":
    for shape in [(1, 2, 128, 128, 64), (1, 1, 100, 150, 64), (1, 1, 64, 192, 128)]:
        for causal in (False, True):
            check(f"flash_attention {shape} causal {causal}", run(*shape, causal), 2e-3)
