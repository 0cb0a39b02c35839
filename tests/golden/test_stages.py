# SPDX-License-Identifier: MIT
"""The quickstart GEMM's text behind each pass, one file each, and its CUDA text; and for every example: each stage's
text reads back as the same program, and lowering from there gives the same CUDA text up to names.

`./dev test golden --update-golden` rewrites the files."""

import difflib
import functools
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import programs
import pytest
import run_golden

ROOT = Path(__file__).resolve().parents[2]
STAGES = Path(__file__).resolve().parent / "stages"
TARGET = "sim sm_90a"
OPT = Path(os.environ.get("TS_BUILD_DIR") or ROOT / "build" / "dev") / "bin" / "tilescale-opt"
PASSES = [
    *("ingest", "normalise", "check", "guard-bounds", "select-ops", "plan-schedule", "apply-schedule"),
    *("solve-layouts", "plan-reductions", "lower-tile-ops"),
    *("partition-and-vectorize", "place-memory", "insert-sync", "optimise", "check-registers", "assign-resources"),
]


def opt(text: str, *arguments: str) -> str:
    """What tilescale-opt prints for a program."""
    command = [str(OPT), "--target", TARGET, *arguments]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=60, env=run_golden.environment(), cwd=ROOT
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return done.stdout


@functools.cache
def quickstart() -> dict[str, str]:
    """The quickstart program's text as traced and behind each pass, as the package lowers it."""
    from tilescale._ffi import function
    from tilescale._jit import machine

    machine.configure()
    spec = importlib.util.spec_from_file_location("quickstart", ROOT / "examples" / "quickstart.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    func = module.gemm_program(256, 256, 256).func
    texts = {"traced": str(function("ir.print")(func, True))}
    for name in PASSES:
        texts[name] = str(function("driver.lower")(func, TARGET, {}, name))
    return {name: programs.relative(text) for name, text in texts.items()}


def compare(path: Path, text: str, update: bool) -> None:
    if update:
        path.write_text(text)
    expected = path.read_text() if path.exists() else ""
    if text != expected:
        lines = difflib.unified_diff(expected.splitlines(True), text.splitlines(True), str(path.name), "now")
        pytest.fail("stale; ./dev test golden --update-golden rewrites it\n" + "".join(lines), pytrace=False)


@pytest.mark.parametrize("name", ["traced", *PASSES])
def test_quickstart_text(name, request):
    compare(STAGES / f"quickstart_{name}.ir", quickstart()[name], request.config.getoption("--update-golden"))


def test_quickstart_cuda(request):
    text = opt(quickstart()["assign-resources"], "--emit", "cuda")
    compare(STAGES / "quickstart_cuda.txt", text, request.config.getoption("--update-golden"))


def test_quickstart_explained(request):
    from tilescale._ffi import function

    func = function("ir.parse")(quickstart()["traced"])
    artifact = function("driver.compile")(func, TARGET, {}, 0)
    text = str(function("runtime.executable")(artifact, None).explain(0))
    compare(STAGES / "quickstart_explain.txt", text, request.config.getoption("--update-golden"))


def test_passes_are_all_there():
    names = opt(quickstart()["traced"], "--run", "..", "--emit", "times").split()[::2]
    assert names == PASSES
    assert {path.stem for path in STAGES.glob("*.ir")} == {f"quickstart_{name}" for name in ["traced", *PASSES]}


@functools.cache
def texts() -> dict[str, str]:
    """The traced text of every example, made in a process where tilelang is an alias."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "tests" / "programs.py"), folder]
        environment = {**os.environ, "TILESCALE_TARGET": "sim", "PYTHONPATH": str(ROOT / "python")}
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)
        assert done.returncode == 0, done.stderr
        return {path.stem: path.read_text() for path in sorted(Path(folder).glob("*.ir"))}


def unnamed(cuda: str) -> str:
    """The text with its names numbered in order of appearance. Two symbols of one name become `x` and `x_1` in the
    IR's text; a pass that derives a name from theirs then says `x_1_slot` where it said `x_slot_1`."""
    numbers: dict[str, str] = {}
    return re.sub(r"[A-Za-z_]\w*", lambda m: numbers.setdefault(m.group(), f"n{len(numbers)}"), cuda)


@pytest.mark.parametrize("program", list(programs.PROGRAMS))
def test_round_trip_at_each_stage(program):
    found = [text for name, text in texts().items() if name.rpartition("_")[0] == program]
    assert found
    for text in found:
        cuda = opt(text, "--run", "..", "--emit", "cuda")
        for index, name in enumerate(PASSES):
            text = opt(text, "--run", name)
            assert opt(text) == text
            rest = ["--run", f"{PASSES[index + 1]}.."] if index + 1 < len(PASSES) else []
            assert unnamed(opt(text, *rest, "--emit", "cuda")) == unnamed(cuda), name
