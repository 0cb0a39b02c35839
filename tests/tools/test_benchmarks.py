# SPDX-License-Identifier: MIT
"""The benchmarks fit the programs they measure, and programs stay small on their way through the passes."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """A script of benchmarks/ as a module. What it puts on the path is gone afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name: str):
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("row", ["gemm", "attention", "copy", "rmsnorm", "softmax"])
def test_rows_of_sm80_compile(load, monkeypatch, row):
    torch = pytest.importorskip("torch")
    from tilescale.targets import Target

    sm80 = load("sm80")
    monkeypatch.setattr(sm80, "DEVICE", "meta")
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: function)
    chosen = sm80.ROWS[row]
    labels = []
    with Target({"kind": "cuda", "arch": "sm_80"}):
        for make in chosen.cases(chosen.choice):
            case = make()
            assert case.work > 0
            labels.append(case.label)
    assert len(set(labels)) == len(labels) > 0


@pytest.mark.parametrize(("program", "limit"), [("gemm", 3000), ("attention", 12000), ("attention causal", 12000)])
def test_programs_stay_small(load, program, limit):
    from tilescale._ffi import function
    from tilescale._jit import machine

    machine.configure()
    func = load("compile").traced(program)
    passes = function("driver.compile_times")(func.func, "cuda sm_90a", {})
    sizes = {str(name): int(nodes) for name, _, nodes, _ in passes}
    assert {"ingest", "assign-resources", "plan-host", "emit"} <= set(sizes)
    assert 100 < max(sizes.values()) <= limit, sizes


def test_common_kernels_need_no_solver():
    """Loading libz3 takes longer than lowering a GEMM."""
    program = """
import sys
sys.path.insert(0, "benchmarks")
import compile as benchmark
from tilescale._ffi import function
from tilescale._jit import machine
machine.configure()
for name in ("gemm", "softmax", "rms_norm"):
    func = benchmark.traced(name)
    for index in (0, 1):
        function("driver.compile")(func.func, "cuda sm_90a", {}, index)
print("z3" in open("/proc/self/maps").read())
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stdout + done.stderr


def test_compile_and_launch_run():
    """Whether bars are met is not asked here: the machine is busy with tests."""
    command = [sys.executable, BENCHMARKS / "compile.py", "--programs", "softmax", "--rounds", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "TILESCALE_VERIFY": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 1), done.stderr
    for text in ("  import: ", "  lowering: ", "  disk hit: ", "kernel  ", "eager  ", "load of the machine: "):
        assert text in done.stdout, done.stdout
    assert "found nothing" not in done.stdout
