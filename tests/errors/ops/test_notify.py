# SPDX-License-Identifier: MIT
"""Messages of T.notify, exactly."""

import pytest
import rank_programs
import tilescale

CASES = [
    ("T.notify(flags[0], peer)", TypeError, "T.notify needs a signal of T.signal(buffer, index), got Load"),
    (
        "T.notify(T.signal(A, 0), peer)",
        TypeError,
        "T.notify needs an element of int32, uint32, int64 or uint64, `A` is float32",
    ),
    ("T.notify(sig, peer, add=0)", ValueError, "T.notify: add=0 raises no signal"),
    (
        "T.notify(sig)",
        TypeError,
        "T.notify needs `peer`, the rank that it reaches; peer=-1 is the rank that runs it",
    ),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert rank_programs.message(line) == (kind, text)


def test_all_threads_run_it():
    kind, text = rank_programs.message("T.clear(s)\nif A[tx] > 0: T.notify(sig, peer)", "sim")
    assert kind is tilescale.CompileError
    assert text == (
        "T.notify is reached by some threads of the group only: `A[tx] > 0.0` differs between them. "
        "All threads run it together; for a range of threads write a condition on the thread index alone, or T.ws"
    )


def test_one_thread_is_not_the_group():
    kind, text = rank_programs.message("if tx == 0: T.notify(sig, peer)", "sim")
    assert kind is tilescale.CompileError
    assert text == (
        "T.notify cannot be lowered for sm_90a: simt: all threads of the block or of a group run it together, but "
        "one thread alone comes here: take it out of the condition on the thread"
    )
