# SPDX-License-Identifier: MIT
"""T.im2col, alone and in convolutions: strides, dilation, padding, channels that are no multiple of a vector, and
images that end within a tile."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T

SIM = {"kind": "sim", "arch": "sm_90a"}
# N, C, H, W, kernel, stride, dilation, pad
SHAPES = [(2, 32, 9, 7, 3, 1, 1, 1), (1, 16, 10, 8, 3, 2, 1, 0), (1, 5, 8, 9, 2, 1, 3, 2), (3, 8, 6, 6, 1, 1, 1, 0)]


def patches(x, kernel, stride, dilation, pad):
    """The matrix of patches, another way: by slices of the padded image."""
    n, h, w, c = x.shape
    padded = np.zeros((n, h + 2 * pad, w + 2 * pad, c))
    padded[:, pad : pad + h, pad : pad + w] = x
    oh = (h + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
    ow = (w + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
    columns = []
    for kh in range(kernel):
        for kw in range(kernel):
            rows = padded[:, kh * dilation :][:, : (oh - 1) * stride + 1 : stride]
            columns.append(rows[:, :, kw * dilation :][:, :, : (ow - 1) * stride + 1 : stride])
    return np.concatenate(columns, axis=-1).reshape(n * oh * ow, kernel * kernel * c)


@pytest.mark.parametrize("shape", SHAPES)
def test_matrix(shape):
    N, C, H, W, kernel, stride, dilation, pad = shape
    x = np.random.default_rng().standard_normal((N, H, W, C), np.float32)
    expected = patches(x, kernel, stride, dilation, pad)
    m, k = expected.shape
    rows, columns = -(-m // 16), -(-k // 32)

    @T.prim_func
    def main(X: T.Tensor((N, H, W, C), "float32"), O: T.Tensor((rows * 16, columns * 32), "float32")):
        with T.Kernel(rows, columns, threads=64) as (by, bx):
            tile = T.alloc_shared((16, 32), "float32")
            T.im2col(X, tile, by, bx, kernel, stride, dilation, pad)
            T.copy(tile, O[by * 16, bx * 32])

    out = np.full((rows * 16, columns * 32), np.nan, np.float32)
    tilescale.compile(main, target=SIM)(x, out)
    assert (out[:m, :k] == expected).all()
    assert (out[m:] == 0).all() and (out[:, k:] == 0).all()


@pytest.mark.parametrize("stages", [0, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_convolution(shape, stages):
    N, C, _, _, kernel, stride, dilation, pad = shape
    F, H, W = 32, T.dynamic("h"), T.dynamic("w")
    x = np.random.default_rng().standard_normal((N, shape[2], shape[3], C)).astype(np.float16)
    w = np.random.default_rng().standard_normal((kernel * kernel * C, F)).astype(np.float16)
    expected = patches(x, kernel, stride, dilation, pad) @ w.astype(np.float64)
    m = expected.shape[0]

    @T.prim_func
    def main(
        X: T.Tensor((N, H, W, C), "float16"), K: T.Tensor((kernel * kernel * C, F), "float16"),
        O: T.Tensor((m, F), "float32"),
    ):  # fmt: skip
        with T.Kernel(T.ceildiv(m, 64), threads=128) as bx:
            data = T.alloc_shared((64, 32), "float16")
            weights = T.alloc_shared((32, F), "float16")
            total = T.alloc_fragment((64, F), "float32")
            T.clear(total)
            for k in T.Pipelined(T.ceildiv(kernel * kernel * C, 32), num_stages=stages):
                T.c2d_im2col(X, data, bx, k, kernel, stride, dilation, pad)
                T.copy(K[k * 32, 0], weights)
                T.gemm(data, weights, total)
            T.copy(total, O[bx * 64, 0])

    out = np.full((m, F), np.nan, np.float32)
    compiled = tilescale.compile(main, target=SIM)
    assert (f"pad={pad}: cp_async" in compiled.explain()) == (stages > 0 and C % 8 == 0)
    compiled(x, w, out)
    np.testing.assert_allclose(out, expected, atol=1e-2 * np.abs(expected).max())
