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
        "T.ld(T.address_of(A[0]), l)",
        ValueError,
        "T.ld of 8 elements of float32 is an access of 32 bytes, and there are accesses of 1, 2, 4, 8 and 16",
    ),
    ("T.ld(A[4:8], l[0:2])", ValueError, "T.ld takes 2 elements here, got A[4:8]"),
    (
        "T.ld(T.address_of(A[0]), s[0])",
        ValueError,
        "T.ld loads into a T.alloc_var or an element of T.alloc_local, `s` is neither",
    ),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert rank_programs.message(line) == (kind, text)
