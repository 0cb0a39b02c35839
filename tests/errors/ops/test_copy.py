# SPDX-License-Identifier: MIT
"""Messages of T.copy, exactly."""

import op_errors
import pytest
import rank_programs
from tilescale import CompileError

CASES = [
    ("T.copy(x, z)", ValueError, "T.copy: x has extent 4 where z has 8"),
    ("T.copy(x, c)", ValueError, "T.copy: x and c have different numbers of dimensions that are not 1 (2 and 1)"),
    ("T.copy(A, w)", ValueError, "T.copy: A and w have different numbers of dimensions that are not 1 (2 and 3)"),
    ("T.copy(A[0:2, :], x)", ValueError, "T.copy: A[0:2, 0:8] has extent 2 where x has 4"),
    (
        'T.copy(A, x, prefer_instruction="fast")',
        ValueError,
        'Unsupported T.copy prefer_instruction="fast". Expected one of: "tma", "cp_async", "sync".',
    ),
    ("T.copy(A, 3)", TypeError, "T.copy needs a buffer, a slice or an element of a buffer, got int 3"),
    ("T.copy(None, x)", TypeError, "T.copy: src must not be None"),
    ('T.copy(A, x, coalesced_width="wide")', TypeError, "coalesced_width must be a constant integer, got 'wide'"),
    ('T.copy(A, x, annotations={"colour": 1})', CompileError, 'unknown annotation "colour" of T.copy'),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert op_errors.message(line) == (kind, text)


COMPILED = [
    (
        'T.copy(A, x, prefer_instruction="cp_async")',
        CompileError,
        (
            "T.copy cannot be lowered for sm_80: tma: needs TMA, which sm_80 does not have; cp_async: "
            'copies global to shared memory only; simt: prefer_instruction="cp_async"'
        ),
    ),
]


@pytest.mark.parametrize(("line", "kind", "text"), COMPILED, ids=[case[0] for case in COMPILED])
def test_message_of_the_compiler(line, kind, text):
    assert op_errors.message(line, {"kind": "sim", "arch": "sm_80"}) == (kind, text)


REMOTE = [
    (
        "T.copy(A, s, dst_pe=peer)",
        ValueError,
        "T.copy: `s` is on this rank only; other ranks reach tensor arguments that are in symmetric memory",
    ),
    ("T.copy(A, s, src_pe=-3)", ValueError, "T.copy: there is no rank -3; ranks count from 0, and -1 is this rank"),
    ("T.copy(A, s, src_pe=0.5)", TypeError, "T.copy: a rank is an integer, got `0.5` of float32"),
]


@pytest.mark.parametrize(("line", "kind", "text"), REMOTE, ids=[case[0] for case in REMOTE])
def test_message_of_remote_copies(line, kind, text):
    assert rank_programs.message(line) == (kind, text)
