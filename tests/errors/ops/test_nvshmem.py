# SPDX-License-Identifier: MIT
"""Messages of the names of NVSHMEM and of barriers of one GPU, exactly."""

import pytest
import rank_programs

CASES = [
    ("T.putmem_block(A, s, 0, peer)", ValueError, "T.putmem_block: nelems must be positive, got 0"),
    (
        "T.getmem_nbi_warp(s, A, 4, -2)",
        ValueError,
        "T.getmem_nbi_warp: there is no rank -2; ranks count from 0, and -1 is this rank",
    ),
    (
        "T.putmem(f, A, 4, peer)",
        ValueError,
        "T.putmem moves between global and shared memory, `f` is in registers; T.put and T.get take tiles",
    ),
    (
        "T.putmem_nbi(s, A, 4, peer)",
        ValueError,
        "T.putmem_nbi: `s` is on this rank only; other ranks reach tensor arguments that are in symmetric memory",
    ),
    (
        "T.getmem_block(S, A, 8, peer)",
        ValueError,
        "T.getmem_block moves consecutive elements, `S` has strides; T.put and T.get take tiles",
    ),
    (
        "T.putmem_signal_block(A, s, 8, A[0], 1, T.Amo.SIGNAL_SET, peer)",
        TypeError,
        "T.signal_op needs an element of int32, uint32, int64 or uint64, `A` is float32",
    ),
    (
        "T.putmem_signal(A, s, 8, flags[0], 1, 8, peer)",
        ValueError,
        "T.putmem_signal: sig_op must be one of signal_set, signal_add, got 8",
    ),
    ("T.signal_op(flags[0], 0, T.Amo.SIGNAL_ADD, peer)", ValueError, "T.signal_op: add=0 raises no signal"),
    (
        'T.signal_wait_until(flags[0], "about", 1)',
        ValueError,
        "T.signal_wait_until: cmp must be one of eq, ne, gt, le, lt, ge, got 'about'",
    ),
    (
        "T.broadcast_block(T.Team.SAME_GPU, A, A, 8, 0)",
        NotImplementedError,
        "T.broadcast_block: the team SAME_GPU is not supported yet, take Team.WORLD",
    ),
    (
        "T.barrier_all(9)",
        ValueError,
        "T.barrier_all: team must be one of world, shared, node, same_mype_node, same_gpu, gpu_leaders, got 9",
    ),
    ("T.init_barrier_gpu(flags[0], 4)", TypeError, "T.init_barrier_gpu needs an element of uint32, got int32"),
    (
        "T.arrive_barrier_gpu(A[0])",
        TypeError,
        "T.arrive_barrier_gpu needs an element of int32, uint32, int64 or uint64, `A` is float32",
    ),
    (
        "T.wait_barrier_gpu(A[0])",
        TypeError,
        "T.wait_barrier_gpu needs an element of int32, uint32, int64 or uint64, `A` is float32",
    ),
    ("T.sync_barrier_gpu(flags)", ValueError, "T.arrive_barrier_gpu takes one element, got flags"),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert rank_programs.message(line) == (kind, text)
