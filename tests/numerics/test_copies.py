# SPDX-License-Identifier: MIT
"""How wide copies are, and what explain() says where they are not cp.async."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T

SM80 = {"kind": "sim", "arch": "sm_80"}


def copying(columns, block, turned=False):
    shape = (block, 128) if turned else (128, block)

    @T.prim_func
    def main(A: T.Tensor((256, columns), "float16"), B: T.Tensor((256, block), "float32")):
        with T.Kernel(2, threads=128) as bx:
            S = T.alloc_shared(shape, "float16")
            total = T.alloc_fragment((128, block), "float32")
            T.clear(total)
            for k in T.Pipelined(columns // block, num_stages=2):
                if turned:
                    T.transpose(A[bx * 128, k * block], S)
                else:
                    T.copy(A[bx * 128, k * block], S)
                for i, j in T.Parallel(128, block):
                    total[i, j] += S[j, i] if turned else S[i, j]
            T.copy(total, B[bx * 128, 0])

    return main


@pytest.mark.parametrize(
    ("columns", "block", "width"),
    [(64, 32, 16), (68, 34, 4), (40, 20, 8), (36, 12, 8), (30, 10, 4), (512, 256, 16)],
)
def test_the_width_that_rows_allow(columns, block, width):
    kernel = tilescale.compile(copying(columns, block), target=SM80)
    text = kernel.get_kernel_source()
    assert f"cp_async<{width}>" in text
    a, b = (
        np.random.default_rng().integers(-8, 8, (256, columns)).astype(np.float16),
        np.zeros((256, block), np.float32),
    )
    kernel(a, b)
    np.testing.assert_array_equal(b, a.astype(np.float32).reshape(256, -1, block).sum(1))


def test_rows_of_an_odd_number_of_elements():
    text = tilescale.compile(copying(65, 32), target=SM80).explain()
    assert "not cp_async: rows are not multiples of 4 bytes" in text


def test_vectors_count_where_a_copy_is_unrolled():
    """256 elements a thread are 32 vectors."""
    text = tilescale.compile(copying(512, 256), target=SM80).get_kernel_source()
    at = text.index("cp_async<16>")
    assert (
        "#pragma unroll"
        in text[:at].rsplit("for (", 1)[0].splitlines()[-1] + text[:at].rsplit("for (", 1)[0].splitlines()[-2]
    )
