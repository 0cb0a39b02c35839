# SPDX-License-Identifier: MIT
"""The examples, as their files run them, in a process where tilelang is an alias."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("name", ["elementwise", "gemm", "softmax"])
def test_example(name):
    command = [sys.executable, "-m", "tilescale", "run", str(EXAMPLES / f"{name}.py")]
    environment = {**os.environ, "TILESCALE_TARGET": "sim"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "error" in done.stdout
