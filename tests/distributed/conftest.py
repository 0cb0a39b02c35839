# SPDX-License-Identifier: MIT
"""Programs of several ranks on the simulator. `seeded` runs under a seed that a failure prints."""

import random

import pytest
from tilescale import sim


@pytest.fixture
def seeds():
    """Fresh seeds, put back when the test ends."""
    drawn = [random.randrange(1, 2**31) for _ in range(20)]
    print("seeds", drawn)
    yield drawn
    sim.set_seed(None)
