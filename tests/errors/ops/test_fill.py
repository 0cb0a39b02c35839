# SPDX-License-Identifier: MIT
"""Messages of T.fill and T.clear, exactly."""

import op_errors
import pytest

CASES = [
    ("T.fill(x[2:6, 0:8], 0)", ValueError, "T.fill: elements 2 to 6 of dimension 0 are outside `x`, whose extent is 4"),
    ("T.fill(x[0:2, 4:9], 0)", ValueError, "T.fill: elements 4 to 9 of dimension 1 are outside `x`, whose extent is 8"),
    ("T.fill(A[4, 0], 0)", ValueError, "T.fill: elements 4 to 5 of dimension 0 are outside `A`, whose extent is 4"),
    ("T.fill(3, 0)", TypeError, "T.fill needs a buffer, a slice or an element of a buffer, got int 3"),
    ('T.fill(x, "one")', TypeError, "str 'one' is used where a kernel value is expected"),
    ("T.clear(5)", TypeError, "T.clear needs a buffer, a slice or an element of a buffer, got int 5"),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert op_errors.message(line) == (kind, text)
