# SPDX-License-Identifier: MIT
"""Messages of T.st and T.atom_add, exactly."""

import pytest
import rank_programs

CASES = [
    (
        "T.st(T.address_of(A[0]), 1, sem='acquire')",
        ValueError,
        "T.st: sem must be one of ['weak', 'volatile', 'release', 'relaxed'], got 'acquire'",
    ),
    ("T.st(v, 1)", ValueError, "T.st writes global or shared memory, `v` is in registers"),
    ("T.st(A[0:2], 1)", ValueError, "T.st takes one element, got A[0:2]"),
    ("T.st(A[0:2], l[0:4])", ValueError, "T.st takes 4 elements here, got A[0:2]"),
    ("T.st(A[2], l[0:4])", ValueError, "T.st of 4 elements begins at a multiple of 4, got 2"),
    ("T.st(S[0], l[0:2])", ValueError, "T.st of several elements needs neighbours in memory, `S` has strides"),
    (
        "T.atom_add(flags[0], 1, sem='weak')",
        ValueError,
        "atom_add does not support memory_order='weak'; expected one of ['relaxed', 'acquire', 'release', 'acq_rel']",
    ),
    (
        "T.atom_add_remote(s[0], 1, dst_pe=peer)",
        ValueError,
        "T.atom_add_remote: `s` is on this rank only; other ranks reach tensor arguments that are in symmetric memory",
    ),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert rank_programs.message(line) == (kind, text)
