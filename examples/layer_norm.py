# SPDX-License-Identifier: MIT
"""Layer norm of rows, and the gradients of its weights: sums over columns. Run: tilescale run examples/layer_norm.py"""

import tilelang
import tilelang.language as T
import torch
from common import check, normal, poisoned, relative_error


@tilelang.jit
def layer_norm(M, N, block_M=4, threads=128, dtype="float16", eps=1e-5):
    """Y = (X - mean) * rstd * gamma + beta; mean and rstd are kept for the gradients."""

    @T.prim_func
    def forward(
        X: T.Tensor((M, N), dtype),
        gamma: T.Tensor((N,), dtype),
        beta: T.Tensor((N,), dtype),
        Y: T.Tensor((M, N), dtype),
        Mean: T.Tensor((M,), "float32"),
        Rstd: T.Tensor((M,), "float32"),
    ):
        with T.Kernel(T.ceildiv(M, block_M), threads=threads) as bx:
            x = T.alloc_fragment((block_M, N), "float32")
            square = T.alloc_fragment((block_M, N), "float32")
            mean = T.alloc_fragment((block_M,), "float32")
            rstd = T.alloc_fragment((block_M,), "float32")
            T.copy(X[bx * block_M, 0], x)
            T.reduce_sum(x, mean, dim=1)
            for i in T.Parallel(block_M):
                mean[i] = mean[i] / N
            for i, j in T.Parallel(block_M, N):
                x[i, j] = x[i, j] - mean[i]
                square[i, j] = x[i, j] * x[i, j]
            T.reduce_sum(square, rstd, dim=1)
            for i in T.Parallel(block_M):
                rstd[i] = T.rsqrt(rstd[i] / N + eps)
            for i, j in T.Parallel(block_M, N):
                x[i, j] = x[i, j] * rstd[i] * gamma[j] + beta[j]
            T.copy(x, Y[bx * block_M, 0])
            T.copy(mean, Mean[bx * block_M])
            T.copy(rstd, Rstd[bx * block_M])

    return forward


@tilelang.jit
def weight_gradients(M, N, block_M=16, block_N=64, threads=128, dtype="float16"):
    """Gradient of gamma = sum over rows of dY * (X - mean) * rstd, of beta = sum over rows of dY."""

    @T.prim_func
    def backward(
        dY: T.Tensor((M, N), dtype),
        X: T.Tensor((M, N), dtype),
        Mean: T.Tensor((M,), "float32"),
        Rstd: T.Tensor((M,), "float32"),
        dGamma: T.Tensor((N,), "float32"),
        dBeta: T.Tensor((N,), "float32"),
    ):
        with T.Kernel(T.ceildiv(N, block_N), threads=threads) as bx:
            scaled = T.alloc_fragment((block_M, block_N), "float32")
            plain = T.alloc_fragment((block_M, block_N), "float32")
            gamma = T.alloc_fragment((block_N,), "float32")
            beta = T.alloc_fragment((block_N,), "float32")
            T.clear(gamma)
            T.clear(beta)
            for k in T.serial(T.ceildiv(M, block_M)):
                for i, j in T.Parallel(block_M, block_N):
                    row = k * block_M + i
                    col = bx * block_N + j
                    plain[i, j] = dY[row, col]
                    scaled[i, j] = plain[i, j] * (X[row, col] - Mean[row]) * Rstd[row]
                T.reduce_sum(scaled, gamma, dim=0, clear=False)
                T.reduce_sum(plain, beta, dim=0, clear=False)
            T.copy(gamma, dGamma[bx * block_N])
            T.copy(beta, dBeta[bx * block_N])

    return backward


def run(M, N, block_M=4, threads=128):
    """Largest relative error of the five results."""
    dtype = torch.float16
    x, grad = normal(M, N, dtype=dtype) + 3, normal(M, N, dtype=dtype)
    gamma, beta = normal(N, dtype=dtype), normal(N, dtype=dtype)
    y, mean, rstd = poisoned(M, N, dtype=dtype), poisoned(M), poisoned(M)
    layer_norm(M, N, block_M, threads)(x, gamma, beta, y, mean, rstd)
    d_gamma, d_beta = poisoned(N), poisoned(N)
    weight_gradients(M, N, threads=threads)(grad, x, mean, rstd, d_gamma, d_beta)

    x64 = x.double()
    mean64 = x64.mean(1, keepdim=True)
    rstd64 = torch.rsqrt(x64.var(1, keepdim=True, unbiased=False) + 1e-5)
    unit = (x64 - mean64) * rstd64
    return max(
        relative_error(y, unit * gamma.double() + beta.double()),
        relative_error(mean, mean64[:, 0]),
        relative_error(rstd, rstd64[:, 0]),
        relative_error(d_gamma, (grad.double() * unit).sum(0)),
        relative_error(d_beta, grad.double().sum(0)),
    )


if __name__ == "__main__":
    for shape, threads in [((16, 256), 128), ((9, 300), 96), ((21, 257), 64)]:
        check(f"layer_norm {shape} with {threads} threads", run(*shape, threads=threads), 2e-3)
