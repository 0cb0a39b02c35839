# SPDX-License-Identifier: MIT
"""Messages of T.put, T.put_block and T.put_warp, exactly."""

import pytest
import rank_programs
import tilescale

CASES = [
    (
        "T.put(A, s, peer=peer)",
        ValueError,
        "T.put: `s` is on this rank only; other ranks reach tensor arguments that are in symmetric memory",
    ),
    ("T.put(s, A, peer=72)", ValueError, "T.put: there is no rank 72; a world has at most 72 ranks"),
    ("T.put(s, A, peer=-2)", ValueError, "T.put: there is no rank -2; ranks count from 0, and -1 is this rank"),
    ("T.put(s, A, peer=1.5)", TypeError, "T.put: a rank is an integer, got `1.5` of float32"),
    ("T.put(A, B[0, 0:4], peer=peer)", ValueError, "T.put: A has extent 8 where B[0, 0:4] has 4"),
    (
        "T.put_block(T.address_of(A[0]), T.address_of(B[0, 0]), 4, peer)",
        TypeError,
        "T.put_block moves elements as they are, but `A` is float32 and `B` is float16",
    ),
    (
        "T.put_block(T.address_of(A[0]), T.address_of(A[4]), 0, peer)",
        ValueError,
        "T.put_block: size must be positive, got 0",
    ),
    (
        "T.put_block(T.address_of(S[0]), T.address_of(A[4]), 2, peer)",
        ValueError,
        "T.put_block moves consecutive elements, `S` has strides; T.put and T.get take tiles",
    ),
    (
        "T.put_warp(T.address_of(A[0]), T.address_of(A[4]), 2, peer, unroll_factor=0)",
        ValueError,
        "T.put_warp: unroll_factor must be 1 to 32, got 0",
    ),
    (
        "T.put(s, A)",
        TypeError,
        "T.put needs `peer`, the rank that it reaches; peer=-1 is the rank that runs it",
    ),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert rank_programs.message(line) == (kind, text)


def test_all_threads_run_it():
    kind, text = rank_programs.message("T.clear(s)\nif A[tx] > 0: T.put(s, A, peer=peer)", "sim")
    assert kind is tilescale.CompileError
    assert text == (
        "T.put is reached by some threads of the group only: `A[tx] > 0.0` differs between them. All threads run it "
        "together; for a range of threads write a condition on the thread index alone, or T.ws"
    )
