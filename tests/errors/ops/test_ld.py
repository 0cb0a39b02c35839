# SPDX-License-Identifier: MIT
"""Messages of T.ld, exactly."""

import pytest
import rank_programs

CASES = [
    (
        "T.ld(T.address_of(A[0]), v, scope='world')",
        ValueError,
        "T.ld: scope must be one of ['cta', 'gpu', 'sys'], got 'world'",
    ),
    ("T.ld(T.address_of(A[0]), v, sem='acquire', nc=True)", ValueError, "T.ld: nc=True is for sem='weak' only"),
    (
        "T.ld(T.address_of(A[0]), s[0])",
        ValueError,
        "T.ld loads into a T.alloc_var or an element of T.alloc_local, `s` is neither",
    ),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert rank_programs.message(line) == (kind, text)
