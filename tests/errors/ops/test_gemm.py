# SPDX-License-Identifier: MIT
"""Messages of T.gemm, exactly."""

import op_errors
import pytest

CASES = [
    ("T.gemm(r, x, x)", AssertionError, "current only support A as a 2D or higher-order tensor"),
    (
        "T.gemm(w, x, x)",
        AssertionError,
        (
            "current only support A as a 2D or higher-order tensor with the last two dimensions being "
            "the matrix dimensions"
        ),
    ),
    ("T.gemm(x, r, x)", AssertionError, "current only support B as a 2D or higher-order tensor"),
    ("T.gemm(q, s, c)", AssertionError, "current only support C as a 2D or higher-order tensor"),
    ("T.gemm(q, s, z)", AssertionError, "T.gemm M shape check failed: M_A = 4, M_C = 8"),
    ("T.gemm(q, q, x)", AssertionError, "T.gemm K shape check failed: K_A = 8, K_B = 4"),
    ("T.gemm(q, s, x)", AssertionError, "T.gemm N shape check failed: N_B = 4, N_C = 8"),
    ("T.gemm(q, q, x, transpose_B=True)", AssertionError, "T.gemm N shape check failed: N_B = 4, N_C = 8"),
    ("T.gemm(D, s, x)", ValueError, "T.gemm: the extents of A must be constants"),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert op_errors.message(line) == (kind, text)
