# SPDX-License-Identifier: MIT
"""Messages of T.get, T.get_block and T.get_warp, exactly."""

import pytest
import rank_programs
import tilescale

CASES = [
    (
        "T.get(f, A, peer=peer)",
        ValueError,
        "T.get: `f` is on this rank only; other ranks reach tensor arguments that are in symmetric memory",
    ),
    (
        "T.get_warp(T.address_of(A[0]), T.address_of(f[0]), 4, peer)",
        ValueError,
        "T.get_warp moves between global and shared memory, `f` is in registers; T.put and T.get take tiles",
    ),
    ("T.get(B[0, 0:4], s, peer=peer)", ValueError, "T.get: B[0, 0:4] has extent 4 where s has 8"),
    (
        "T.get(A, s)",
        TypeError,
        "T.get needs `peer`, the rank that it reaches; peer=-1 is the rank that runs it",
    ),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert rank_programs.message(line) == (kind, text)


def test_all_threads_run_it():
    kind, text = rank_programs.message("T.clear(s)\nif A[tx] > 0: T.get(A, s, peer=peer)", "sim")
    assert kind is tilescale.CompileError
    assert text == (
        "T.get is reached by some threads of the group only: `A[tx] > 0.0` differs between them. All threads run it "
        "together; for a range of threads write a condition on the thread index alone, or T.ws"
    )
