# SPDX-License-Identifier: MIT
"""Programs as users of the dialect write them, whole: rows gathered by ids, work split at run time."""

import pytest
import tilescale as tilelang
import tilescale.language as T
import torch

SIM = {"kind": "sim", "arch": "sm_90a"}


@tilelang.jit(out_idx=[-1], target=SIM)
def moe_gather_gemm(tokens, N, K, E, topk, block_M=32, block_N=64, block_K=32, threads=128, dtype="bfloat16"):
    """Tokens sorted by expert, padded to whole blocks; one expert a block."""
    EM = T.dynamic("EM")
    nb = T.dynamic("nb")

    @T.prim_func
    def main(
        A: T.Tensor((tokens, K), dtype),
        B: T.Tensor((E, N, K), dtype),
        W: T.Tensor((tokens * topk,), "float32"),
        sorted_ids: T.Tensor((EM,), "int32"),
        expert_ids: T.Tensor((nb,), "int32"),
        C: T.Tensor((tokens * topk, N), dtype),
    ):
        with T.Kernel(T.ceildiv(N, block_N), nb, threads=threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_N, block_K), dtype)
            ids = T.alloc_shared((block_M,), "int32")
            C_local = T.alloc_fragment((block_M, block_N), "float32")
            e = expert_ids[by]
            T.copy(sorted_ids[by * block_M], ids)
            T.clear(C_local)
            for ko in T.Pipelined(T.ceildiv(K, block_K), num_stages=2):
                for i, j in T.Parallel(block_M, block_K):
                    A_shared[i, j] = T.if_then_else(
                        ids[i] < tokens * topk, A[ids[i] // topk, ko * block_K + j], T.cast(0, dtype)
                    )
                T.copy(B[e, bx * block_N, ko * block_K], B_shared)
                T.gemm(A_shared, B_shared, C_local, transpose_B=True)
            for i, j in T.Parallel(block_M, block_N):
                if ids[i] < tokens * topk:
                    C[ids[i], bx * block_N + j] = C_local[i, j] * W[ids[i]]

    return main


@tilelang.jit(target=SIM)
def stream_k(M, N, K, blocks, block_M=64, block_N=64, block_K=32):
    """Every block takes an equal share of all iterations, whichever tiles they belong to."""
    columns, per_tile = tilelang.cdiv(N, block_N), tilelang.cdiv(K, block_K)
    total = tilelang.cdiv(M, block_M) * columns * per_tile
    share = tilelang.cdiv(total, blocks)

    @T.prim_func
    def main(A: T.Tensor((M, K), "float16"), B: T.Tensor((K, N), "float16"), C: T.Tensor((M, N), "float32")):
        with T.Kernel(blocks, threads=128) as b:
            A_shared = T.alloc_shared((block_M, block_K), "float16")
            B_shared = T.alloc_shared((block_K, block_N), "float16")
            part = T.alloc_fragment((block_M, block_N), "float32")
            at = T.alloc_var("int32", b * share)
            end = T.min((b + 1) * share, total)
            while at < end:
                row, column = at // per_tile // columns * block_M, at // per_tile % columns * block_N
                first = at % per_tile
                count = T.min(per_tile - first, end - at)
                T.clear(part)
                for k in T.Pipelined(count, num_stages=2):
                    T.copy(A[row, (first + k) * block_K], A_shared)
                    T.copy(B[(first + k) * block_K, column], B_shared)
                    T.gemm(A_shared, B_shared, part)
                if count == per_tile:
                    T.copy(part, C[row, column])
                else:
                    for i, j in T.Parallel(block_M, block_N):
                        T.atomic_add(C[row + i, column + j], part[i, j])
                at += count

    return main


def test_experts_gather_their_tokens():
    tokens, N, K, experts, topk, block = 25, 72, 64, 3, 2, 32
    chosen = torch.randint(0, experts, (tokens * topk,))
    ids, owners = [], []
    for e in range(experts):
        mine = [i for i in range(tokens * topk) if chosen[i] == e]
        mine += [tokens * topk] * (-len(mine) % block)
        ids += mine
        owners += [e] * (len(mine) // block)
    a, b = torch.randn(tokens, K).bfloat16(), torch.randn(experts, N, K).bfloat16()
    weights = torch.rand(tokens * topk)
    kernel = moe_gather_gemm(tokens, N, K, experts, topk)
    got = kernel(a, b, weights, torch.tensor(ids, dtype=torch.int32), torch.tensor(owners, dtype=torch.int32))
    rows = [a[i // topk].double() @ b[chosen[i]].double().T * weights[i].double() for i in range(tokens * topk)]
    expected = torch.stack(rows)
    assert float((got.double() - expected).abs().max()) <= 1e-2 * float(expected.abs().max())


@pytest.mark.parametrize("blocks", [1, 5, 7])
def test_stream_k(blocks):
    """Tiles that blocks share are added up, whole ones stored: loops whose extents only the kernel knows."""
    M, N, K = 150, 200, 100
    a, b, c = torch.randn(M, K).half(), torch.randn(K, N).half(), torch.zeros(M, N)
    stream_k(M, N, K, blocks)(a, b, c)
    expected = a.double() @ b.double()
    assert float((c.double() - expected).abs().max()) <= 1e-2 * float(expected.abs().max())
