# SPDX-License-Identifier: MIT
"""The programs of examples/distributed, on the simulator under fresh seeds and on GPUs."""

import importlib
import sys
from pathlib import Path

import pytest
from tilescale import sim

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "distributed"


@pytest.fixture(params=["simple_shift", "allgather"])
def program(request, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    return importlib.import_module(request.param)


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_on_the_simulator(program, ranks, seeds):
    for seed in seeds[:5]:
        sim.set_seed(seed)
        program.main(["--ranks", str(ranks), "--target", "sim"])


@pytest.mark.gpu
@pytest.mark.parametrize("ranks", [2, 4])
def test_on_gpus(program, ranks):
    program.main(["--ranks", str(ranks), "--target", "cuda"])
