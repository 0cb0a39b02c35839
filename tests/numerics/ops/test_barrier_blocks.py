# SPDX-License-Identifier: MIT
"""T.barrier_blocks publishes what all ranks did, and leaves its words zero."""

import numpy as np
import tilescale.language as T
from rank_programs import RANKS, launch


def test_barriers_of_ranks_publish():
    """Each rank writes to all; behind the barrier everything is there. Five rounds with the same words."""
    rounds, blocks = 5, 1

    @T.prim_func
    def main(
        board: T.Tensor((RANKS, blocks), "int32"), out: T.Tensor((rounds, blocks, RANKS), "int32"),
        word: T.Tensor((RANKS,), "int32"),
    ):  # fmt: skip
        with T.Kernel(blocks, threads=64) as b:
            tx = T.get_thread_binding()
            for i in range(rounds):
                if tx < RANKS:
                    T.st(T.address_of(board[T.get_rank(), b]), 100 * i + T.get_rank(), scope="sys", dst_pe=tx)
                T.barrier_blocks(word)
                if tx < RANKS:
                    out[i, b, tx] = board[tx, b]
                T.barrier_blocks(word)

    board = [np.zeros((RANKS, blocks), np.int32) for _ in range(RANKS)]
    out = [np.full((rounds, blocks, RANKS), -1, np.int32) for _ in range(RANKS)]
    word = [np.zeros((RANKS,), np.int32) for _ in range(RANKS)]
    _, out, word = launch(main, {"board": board, "out": out, "word": word})
    for r in range(RANKS):
        assert not word[r].any()
        for i in range(rounds):
            assert out[r][i, 0].tolist() == [100 * i + k for k in range(RANKS)]
