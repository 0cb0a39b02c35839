# SPDX-License-Identifier: MIT
"""T.get and its forms between ranks against numpy, on fresh data; and their text through NVRTC."""

import pytest
from rank_programs import MOVES, check_run, check_tiles


@pytest.mark.parametrize("form", ["get_block", "get_warp"])
@pytest.mark.parametrize(("dtype", "n", "at", "size", "of"), MOVES)
def test_runs_of_elements(form, dtype, n, at, size, of):
    check_run(form, dtype, n, at, size, of)


@pytest.mark.parametrize("operand", ["global", "shared", "fragment"])
def test_tiles(operand):
    check_tiles("get", operand)
