# SPDX-License-Identifier: MIT
"""Messages of T.wait and T.wait_eq to T.wait_lt, exactly."""

import pytest
import rank_programs
import tilescale

CASES = [
    ("T.wait(T.signal(s, 0))", ValueError, "T.wait needs an element of a tensor in global memory, `s` is not"),
    ("T.wait_ge(A[0], 1)", TypeError, "T.wait_ge needs an element of int32, uint32, int64 or uint64, `A` is float32"),
    (
        "T.wait_eq(flags[0], 1, semantics='often')",
        ValueError,
        "T.wait_eq: semantics must be one of acquire, volatile, relaxed, got 'often'",
    ),
    ("T.wait_eq(flags[0], 1, scope=7)", ValueError, "T.wait_eq: scope must be one of sys, gpu, cta, got 7"),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert rank_programs.message(line) == (kind, text)


def test_all_threads_run_it():
    kind, text = rank_programs.message("T.clear(s)\nif A[tx] > 0: T.wait(sig)", "sim")
    assert kind is tilescale.CompileError
    assert text == (
        "T.wait is reached by some threads of the group only: `A[tx] > 0.0` differs between them. All threads run it "
        "together; for a range of threads write a condition on the thread index alone, or T.ws"
    )


def test_one_thread_is_not_the_group():
    kind, text = rank_programs.message("if tx == 0: T.wait(sig)", "sim")
    assert kind is tilescale.CompileError
    assert text == (
        "T.wait cannot be lowered for sm_90a: simt: all threads of the block or of a group run it together, but one "
        "thread alone comes here: take it out of the condition on the thread"
    )
