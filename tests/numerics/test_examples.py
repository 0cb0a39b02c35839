# SPDX-License-Identifier: MIT
"""The examples, as their files run them, in a process where tilelang is an alias; and their text through NVRTC."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
NAMES = sorted(f.stem for f in EXAMPLES.glob("*.py") if "import tilelang.language" in f.read_text())


def tilescale_run(*arguments, **environment):
    command = [sys.executable, "-m", "tilescale", "run", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_on_the_simulator(name):
    assert "error" in tilescale_run(EXAMPLES / f"{name}.py", TILESCALE_TARGET="sim")


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_on_the_gpu(name):
    assert "error" in tilescale_run(EXAMPLES / f"{name}.py", TILESCALE_TARGET="cuda")


@pytest.mark.parametrize("name", NAMES)
def test_text_compiles(name):
    archs = ["sm_89", "sm_90a"] if name == "gemm_fp8" else ["sm_80", "sm_90a"]
    output = tilescale_run(HERE / "nvrtc_examples.py", name, *archs)
    lines = re.findall(r"^\w+ (\w+): \d+ registers, (\d+) spilled bytes$", output, re.MULTILINE)
    assert {arch for arch, _ in lines} == set(archs), output
    # Attention with 128 rows a warpgroup fills the register file: a few addresses of its prologue may not fit.
    assert all(int(spilled) <= (64 if name == "flash_attention" else 0) for _, spilled in lines), output
