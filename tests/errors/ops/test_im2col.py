# SPDX-License-Identifier: MIT
"""Messages of T.im2col, exactly."""

import op_errors
import pytest

CASES = [
    (
        "T.im2col(A, q, 0, 0, 3, 1, 1, 1)",
        "T.im2col: `A` must be a whole image tensor of 4 dimensions (N, H, W, C), got 2",
    ),
    ("T.im2col(A4, w, 0, 0, 3, 1, 1, 1)", "T.im2col: `w` must be a tile of 2 dimensions, got shape [2, 4, 8]"),
    ("T.im2col(A4, q, 0, 0, 0, 1, 1, 1)", "T.im2col: kernel must be positive, got 0"),
    ("T.im2col(A4, q, 0, 0, 3, 0, 1, 1)", "T.im2col: stride must be positive, got 0"),
    ("T.im2col(A4, q, 0, 0, 3, 1, 0, 1)", "T.im2col: dilation must be positive, got 0"),
    ("T.im2col(A4, q, 0, 0, 3, 1, 1, -1)", "T.im2col: pad must not be negative, got -1"),
]


@pytest.mark.parametrize(("line", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, text):
    assert op_errors.message("A4 = T.view(A, (1, 2, 2, 8))\n" + line) == (ValueError, text)
