# SPDX-License-Identifier: MIT
"""`tilelang` as another name of this package: in a program, in a child process, in pytest."""

import os
import subprocess
import sys
import textwrap

import pytest


def run(tmp_path, text: str, *before: str) -> subprocess.CompletedProcess:
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(text))
    arguments = [sys.executable, *(before or ("-m", "tilescale", "run")), str(script)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120, cwd=tmp_path)


@pytest.fixture(autouse=True)
def package_path(monkeypatch):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    monkeypatch.setenv("PYTHONPATH", os.path.join(root, "python"))


PROGRAM = """
import tilelang
import tilelang.language as T
from tilelang import tvm
from tilelang.utils.tensor import TensorSupplyType
from tilelang.layout import make_swizzled_layout
from tilelang.transform import PassConfigKey
import tilelang.testing, tilelang.math
from tvm import tirx
from tvm.target import Target

@tilelang.jit(out_idx=[-1], pass_configs={tilelang.PassConfigKey.TL_DISABLE_TMA_LOWER: True})
def scale(N, dtype="float32"):
    @T.prim_func
    def main(A: T.Tensor((N,), dtype), B: T.Tensor((N,), dtype)):
        with T.Kernel(T.ceildiv(N, 128), threads=128) as bx:
            for i in T.Parallel(128):
                B[bx * 128 + i] = A[bx * 128 + i] * tirx.const(2, "float32")
    return main

print(scale.get_tir(1024).script())
import tilescale
assert tilelang is tilescale and T is tilescale.language
assert tilelang.next_power_of_2(5) == 8 and tilelang.math.cdiv(7, 2) == 4
assert tvm.error.InternalError is tilescale.CompileError and tvm.DataType("half") == T.float16
assert str(Target({"kind": "cuda", "arch": "sm_90a"})) == "cuda"
assert tilelang.jit is tilescale.jit and callable(tilelang.jit)
"""


def test_program(tmp_path):
    done = run(tmp_path, PROGRAM)
    assert done.returncode == 0, done.stderr
    assert "store %B[%bx * 128 + %i] = %A[%bx * 128 + %i] * 2.0" in done.stdout


def test_child_processes_see_the_same(tmp_path):
    text = """
    import subprocess, sys
    code = "import tilelang, tvm, tilescale; assert tilelang is tilescale; print(tvm.DataType('half'))"
    print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    """
    done = run(tmp_path, text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "float16"


def test_module(tmp_path):
    (tmp_path / "test_it.py").write_text("import tilelang.language as T\ndef test(): assert T.float16.bits == 16\n")
    done = subprocess.run(
        [sys.executable, "-m", "tilescale", "run", "-m", "pytest", "-q", "test_it.py"],
        capture_output=True, text=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_import_of_tilescale_touches_neither_name(tmp_path):
    text = """
    import importlib.util, sys, tilescale, tilescale.language as T
    T.float16
    assert "tilelang" not in sys.modules and "tvm" not in sys.modules
    try:
        import tilelang
    except ImportError:
        print("absent")
    """
    assert run(tmp_path, text, "-W", "ignore").stdout.strip() == "absent"


@pytest.mark.parametrize(
    "line, message",
    [
        (
            "import tilelang.nothing",
            "`tilelang.nothing` is a part of tilelang's internals that tilescale does not offer",
        ),
        (
            "from tilelang import layout\nlayout.nothing",
            "tilelang.layout.nothing is not part of the compatibility layer",
        ),
        ("import tvm\ntvm.relay", "tilelang.tvm.relay is not part of the compatibility layer"),
    ],
)
def test_missing_names_say_so(line, message, tmp_path):
    done = run(tmp_path, line)
    assert done.returncode != 0
    assert message in done.stderr


def test_installed_after_the_genuine_one(tmp_path):
    text = """
    import sys, types
    sys.modules["tilelang"] = types.ModuleType("tilelang")
    import tilescale.compat
    try:
        tilescale.compat.install()
    except RuntimeError as error:
        print(error)
    """
    done = run(tmp_path, text, "-W", "ignore")
    assert done.stdout.strip() == (
        "tilelang is already imported in this process; call tilescale.compat.install() before it"
    )


def test_a_module_needs_a_name():
    done = subprocess.run([sys.executable, "-m", "tilescale", "run", "-m"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("tilescale run: the following arguments are required: program")


def test_missing_script(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tilescale", "run", "none.py"], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert done.stderr.strip() == "tilescale run: no such file: none.py"


def test_arguments_reach_the_script(tmp_path):
    script = tmp_path / "p.py"
    script.write_text("import sys; print(sys.argv[1:], __name__)")
    done = subprocess.run(
        [sys.executable, "-m", "tilescale", "run", "p.py", "--x", "1"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.stdout.strip() == "['--x', '1'] __main__"


def test_seeds_of_torch_on_simulated_gpus(tmp_path):
    text = """
    import torch
    torch.manual_seed(7)
    first = torch.randn(4, device="cuda")
    torch.cuda.manual_seed(7)
    assert torch.equal(torch.randn(4, device="cuda"), first)
    torch.cuda.manual_seed_all(7)
    assert torch.equal(torch.randn(4, device="cuda"), first)
    assert isinstance(torch.Generator("cuda"), torch.Generator)
    torch.testing.assert_close(first, first.clone())  # it annotates with torch.Generator
    """
    done = run(tmp_path, text, "-m", "tilescale", "run", "--target", "sim")
    assert done.returncode == 0, done.stderr
