# SPDX-License-Identifier: MIT
"""What importing costs, as counts: wall time is measured by the benchmark, not by tests."""

import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", code + "\nimport sys\nprint('\\n'.join(sys.modules))"],
        capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "PYTHONPATH": os.path.join(ROOT, "python")},
    )  # fmt: skip
    return set(done.stdout.split())


def test_package_import_loads_nothing_else():
    loaded = modules_after("import tilescale, tilescale.language as T")
    ours = {m for m in loaded if m.startswith("tilescale")}
    assert ours == {"tilescale", "tilescale.language", "tilescale.language._facade"}
    assert not loaded & {"torch", "numpy", "tvm_ffi", "inspect", "ast"}


def test_tracing_loads_neither_torch_nor_numpy():
    loaded = modules_after(
        """
import tilescale.language as T
T.exec_source('''
@T.prim_func
def main(A: T.Tensor((4,), "float32")):
    with T.Kernel(4) as bx:
        A[bx] = 1
''', {"T": T})
"""
    )
    assert "tvm_ffi" in loaded
    assert not loaded & {"torch", "numpy"}
    assert len({m for m in loaded if m.startswith("tilescale")}) < 33


@pytest.mark.parametrize("first", ["torch", "numpy"])
def test_frameworks_imported_first_are_kept(first):
    loaded = modules_after(f"import {first}\nimport tilescale.language as T\nT.float16(3)")
    assert first in loaded


def test_frameworks_can_be_imported_after():
    loaded = modules_after("import tilescale.language as T\nT.float16(3)\nimport torch, numpy\ntorch.ones(1).numpy()")
    assert {"torch", "numpy"} <= loaded


def test_unknown_names():
    with pytest.raises(subprocess.CalledProcessError):
        modules_after("import tilescale\ntilescale.nothing")


def test_an_ascii_locale():
    done = subprocess.run(
        [sys.executable, "-c", "import tilescale.language as T; print(T.copy.__name__, bool(T.copy.__doc__))"],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert (done.stdout, done.stderr) == ("copy True\n", "")
