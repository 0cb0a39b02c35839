# SPDX-License-Identifier: MIT
"""Messages of T.atomic_* on tiles, exactly."""

import op_errors
import pytest
import rank_programs
from tilescale import CompileError

CASES = [
    (
        "T.atomic_add(x, r[0])",
        ValueError,
        "T.atomic_add needs a destination in global or shared memory, `x` is in registers",
    ),
    ("T.atomic_add(h, 1)", TypeError, "T.atomic_add of int8 is not supported"),
    (
        'T.atomic_max(s, 1.0, memory_order="later")',
        ValueError,
        (
            "atomic_max does not support memory_order='later'; expected one of ['relaxed', 'consume', "
            "'acquire', 'release', 'acq_rel', 'seq_cst']"
        ),
    ),
    ("T.atomic_add(s, x)", ValueError, "T.atomic_add: x has extent 4 where s has 8"),
    ("T.atomic_add(A, x[0:2, :])", ValueError, "T.atomic_add: x[0:2, 0:8] has extent 2 where A has 4"),
    (
        "T.atomic_add(A[0:2, :], c)",
        ValueError,
        "T.atomic_add: c and A[0:2, 0:8] have different numbers of dimensions that are not 1 (1 and 2)",
    ),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert op_errors.message(line) == (kind, text)


COMPILED = [
    (
        "T.clear(q); T.atomic_add(A, q, use_tma=True)",
        CompileError,
        "T.atomic_add cannot be lowered for sm_80: bulk: no lowering to it yet; simt: use_tma=True",
    ),
]


@pytest.mark.parametrize(("line", "kind", "text"), COMPILED, ids=[case[0] for case in COMPILED])
def test_message_of_the_compiler(line, kind, text):
    assert op_errors.message(line, {"kind": "sim", "arch": "sm_80"}) == (kind, text)


REMOTE = [
    (
        "T.atomic_add(s, A, dst_pe=peer)",
        ValueError,
        "T.atomic_add: `s` is on this rank only; other ranks reach tensor arguments that are in symmetric memory",
    ),
    (
        "T.atomic_add(A, s, dst_pe=-2)",
        ValueError,
        "T.atomic_add: there is no rank -2; ranks count from 0, and -1 is this rank",
    ),
    ("T.atomic_add(A, s, dst_pe=1.5)", TypeError, "T.atomic_add: a rank is an integer, got `1.5` of float32"),
    (
        "T.atomic_add(s[0], 1, dst_pe=peer)",
        ValueError,
        "T.atomic_add: `s` is on this rank only; other ranks reach tensor arguments that are in symmetric memory",
    ),
    (
        "T.atomic_addx2(A[0], s[0], dst_pe=-2)",
        ValueError,
        "T.atomic_addx2: there is no rank -2; ranks count from 0, and -1 is this rank",
    ),
    (
        "T.atom_add_remote(flags[0], 1, dst_pe=1.5)",
        TypeError,
        "T.atom_add_remote: a rank is an integer, got `1.5` of float32",
    ),
]


@pytest.mark.parametrize(("line", "kind", "text"), REMOTE, ids=[case[0] for case in REMOTE])
def test_message_of_remote_updates(line, kind, text):
    assert rank_programs.message(line) == (kind, text)
