# SPDX-License-Identifier: MIT
"""TILESCALE_HEAP_DEBUG: kernels of GPUs check the ranks that they reach. The simulator always does."""

import os
import subprocess
import sys

import pytest
import tilescale
import tilescale.language as T
from rank_programs import compile_text

PROGRAM = """
import sys
import tilescale
import tilescale.language as T
from tilescale.distributed import PerRank, World


@T.prim_func
def main(A: T.Tensor((8,), "float32"), B: T.Tensor((8,), "float32"), pe: T.int32):
    with T.Kernel(1, threads=32):
        T.put(A, B, peer=pe)  # here


kernel = tilescale.compile(main, target=sys.argv[1])
with World(2, target=sys.argv[1]) as w:
    A, B = w.tensor(8, name="A"), w.tensor(8, name="B")
    w.launch(kernel, A, B, PerRank([1, 0]))
    w.barrier()
    print("fine", flush=True)
    w.launch(kernel, A, B, PerRank([0, int(sys.argv[2])]))
    w.barrier()
"""
HERE = 1 + next(i for i, line in enumerate(PROGRAM.splitlines()) if line.endswith("# here"))


def put():
    @T.prim_func
    def main(A: T.Tensor((8,), "float32"), B: T.Tensor((8,), "float32"), pe: T.int32, bar: T.Tensor((2,), "int32")):
        with T.Kernel(1, threads=32):
            T.put(A, B, peer=pe)
            T.barrier_blocks(bar)

    return main


def test_texts_differ_only_with_the_knob(monkeypatch):
    plain = tilescale.compile(put(), target="sim").get_kernel_source()
    monkeypatch.setenv("TILESCALE_HEAP_DEBUG", "1")
    assert tilescale.compile(put(), target="sim").get_kernel_source() == "#define TS_HEAP_DEBUG 1\n" + plain
    for arch in ("sm_80", "sm_90a"):
        compile_text(put(), arch)


def run(tmp_path, target, pe):
    script = tmp_path / "reach.py"
    script.write_text(PROGRAM)
    env = {**os.environ, "TILESCALE_HEAP_DEBUG": "1"}
    done = subprocess.run([sys.executable, script, target, str(pe)], capture_output=True, text=True, env=env)
    assert done.returncode != 0 and done.stdout.startswith("fine\n")
    return done.stdout, done.stderr


@pytest.mark.parametrize("pe", [2, -3])
def test_a_rank_out_of_range_on_the_simulator(tmp_path, pe):
    _, said = run(tmp_path, "sim", pe)
    assert f"reach.py:{HERE}" in said and f"rank {pe}" in said


@pytest.mark.gpu
@pytest.mark.parametrize("pe", [2, -3])
def test_a_rank_out_of_range_on_gpus(tmp_path, pe):
    said, _ = run(tmp_path, "cuda", pe)
    lines = [line for line in said.splitlines() if line.startswith("tilescale: ")]
    assert lines and all(
        line.endswith(f"reach.py:{HERE}: rank 1 reaches rank {pe}, and there are ranks 0 to 1") for line in lines
    )
