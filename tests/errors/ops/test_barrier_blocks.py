# SPDX-License-Identifier: MIT
"""Messages of T.barrier_blocks and T.sync_blocks, exactly."""

import pytest
import rank_programs
import tilescale

CASES = [
    (
        "T.barrier_blocks(A)",
        ValueError,
        "T.barrier_blocks needs a tensor argument of int32 with one element for each rank, `A` is not one",
    ),
    ("T.sync_blocks(flags[1])", ValueError, "T.sync_blocks: the barrier begins at element 0 of `flags`"),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert rank_programs.message(line) == (kind, text)


def test_all_threads_run_it():
    kind, text = rank_programs.message("T.clear(s)\nif A[tx] > 0: T.barrier_blocks(flags)", "sim")
    assert kind is tilescale.CompileError
    assert text == (
        "T.barrier_blocks is reached by some threads of the group only: `A[tx] > 0.0` differs between them. "
        "All threads run it together; for a range of threads write a condition on the thread index alone, or T.ws"
    )
