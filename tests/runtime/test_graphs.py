# SPDX-License-Identifier: MIT
"""CUDA graphs capture launches, and replay them over what the tensors hold then."""

import pytest
import tilescale
import tilescale.language as T
import torch

pytestmark = pytest.mark.gpu


def scaled_sum(M, N, out_idx=None):
    @T.prim_func
    def main(A: T.Tensor((M, N), "float32"), B: T.Tensor((M,), "float32")):
        with T.Kernel(T.ceildiv(M, 32), threads=128) as bx:
            tile = T.alloc_fragment((32, N), "float32")
            sums = T.alloc_fragment((32,), "float32")
            T.copy(A[bx * 32, 0], tile)
            T.reduce_sum(tile, sums, dim=1)
            for i in T.Parallel(32):
                sums[i] = sums[i] * 2
            T.copy(sums, B[bx * 32])

    return tilescale.compile(main, target="cuda", out_idx=out_idx)


@pytest.mark.parametrize("allocates", [False, True])
def test_a_captured_launch_is_replayed(allocates):
    M, N = 70, 48
    kernel = scaled_sum(M, N, [1] if allocates else None)
    A = torch.zeros(M, N, device="cuda")
    B = torch.empty(M, device="cuda")

    def step():
        if allocates:
            return kernel(A)
        kernel(A, B)
        return B

    step()  # loads the kernel: that is no part of a capture
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = step()
    for _ in range(3):
        A.copy_(torch.randn(M, N, device="cuda"))
        result.fill_(float("nan"))
        graph.replay()
        torch.testing.assert_close(result.double(), A.double().sum(1) * 2, rtol=1e-5, atol=1e-4)
