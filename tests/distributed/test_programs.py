# SPDX-License-Identifier: MIT
"""The programs of examples/distributed: on the simulator under fresh seeds, compiled for GPUs, and on GPUs."""

import importlib
import sys
from pathlib import Path

import pytest
from programs import recorded
from rank_programs import compile_text
from tilescale import sim

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "distributed"
PROGRAMS = {
    "put_signal": (2, 3, 4, 8),
    "simple_shift": (2, 3, 4, 8),
    "allgather": (2, 3, 4, 8),
    "put_get": (2, 3, 4, 8),
    "remote_st": (2, 3, 4, 8),
    "message_passing": (2, 3, 4, 8),
    "all_to_all": (2, 3, 4, 8),
    "pre_attn_all2all": (2, 3, 4, 8),
    "post_attn_all2all_transpose": (2, 3, 4, 8),
    "all_reduce": (2, 3, 4, 8),
    "reduce_scatter": (2, 3, 4, 8),
    "broadcast": (2, 3, 4, 8),
    "ag_gemm": (2, 3, 4, 8),
    "gemm_rs": (2, 3, 4, 8),
    "gemm_ar": (2, 3, 4, 8),
    "sp_attention": (2, 3, 4, 8),
    "cannon": (4,),
    "summa": (2, 3, 4, 8),
    "moe": (2, 4, 8),
    "moe_direct": (2, 4, 8),
}
SEEDS = {2: 20, 4: 20}  # of the slow tier; 3 with other numbers of ranks
MANY = [(name, ranks) for name, counts in PROGRAMS.items() for ranks in counts]


@pytest.fixture
def load(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    return importlib.import_module


def test_every_program_is_here():
    assert {f.stem for f in FOLDER.glob("*.py")} == {*PROGRAMS, "harness"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_on_the_simulator(load, name, seeds):
    """And its kernels compile for GPUs, without a register spilled."""
    sim.set_seed(seeds[0])
    with recorded() as calls:
        load(name).main(["--ranks", str(PROGRAMS[name][0]), "--target", "sim"])
    for kernel in {id(c.kernel): c.kernel for c in calls}.values():
        compile_text(kernel.prim_func, "sm_90a", kernel.pass_configs)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_for_sm_80(load, name):
    with recorded() as calls:
        load(name).main(["--ranks", str(PROGRAMS[name][0]), "--target", "sim"])
    for kernel in {id(c.kernel): c.kernel for c in calls}.values():
        compile_text(kernel.prim_func, "sm_80", kernel.pass_configs)


@pytest.mark.slow
@pytest.mark.parametrize("name, ranks", MANY)
def test_race_free_under_many_seeds(load, name, ranks, seeds):
    for seed in seeds[: SEEDS.get(ranks, 3)]:
        sim.set_seed(seed)
        load(name).main(["--ranks", str(ranks), "--target", "sim"])


@pytest.mark.gpu
@pytest.mark.parametrize("name, ranks", [(name, ranks) for name, ranks in MANY if ranks in (2, 4)])
def test_on_gpus(load, name, ranks):
    load(name).main(["--ranks", str(ranks), "--target", "cuda"])
