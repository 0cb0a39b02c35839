# SPDX-License-Identifier: MIT
"""Numbers that are not, tables that are too large, folders without headers: refused with the limit, exactly."""

import os
import subprocess
import sys

import pytest
import tilescale
import tilescale.language as T


def build(body, **names):
    text = f"""@T.prim_func
def main(A: T.Tensor((128, 64), "float32"), B: T.Tensor((128, 64), "float32")):
    with T.Kernel(1, threads=128) as bx:
        {body}
"""
    return T.exec_source(text, {"T": T, **names}, f"<limits {abs(hash(body))}>")["main"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("for k in T.Pipelined(8, num_stages=True): pass", "num_stages must be a constant integer, got a bool"),
        ("T.alloc_shared((True,), 'float32')", "an extent must be an integer, got True"),
        ("T.alloc_fragment((4, False), 'float32')", "an extent must be an integer, got False"),
    ],
)
def test_bools_are_no_numbers(body, message):
    with pytest.raises(TypeError) as raised:
        build(body)
    assert str(raised.value).split("\n")[0] == message


def test_a_large_table_without_a_formula():
    """Triangular numbers are a permutation modulo a power of two, and no sum of multiples of digits."""
    layout = T.Layout((128, 64), lambda i, j: (i * 64 + j) * (i * 64 + j + 1) // 2 % 8192)
    body = """S = T.alloc_shared((128, 64), "float32")
        T.annotate_layout({S: layout})
        T.copy(A, S)
        T.copy(S, B)"""
    with pytest.raises(tilescale.CompileError) as raised:
        tilescale.compile(build(body, layout=layout), target="sim")
    assert str(raised.value).split("\n")[0] == (
        "the layout of `S` has no formula for the places of its 8192 elements (a linear sum modulo a number, or an XOR "
        "of bits of the index), and at most 4096 are looked up one by one: annotate a layout with a formula, or a "
        "smaller tile"
    )


HEADERS = """
import sys
import tilescale, tilescale.language as T
main = T.exec_source('''@T.prim_func
def main(A: T.Tensor((128,), "float32")):
    with T.Kernel(1, threads=128) as bx:
        A[T.get_thread_binding()] = 1.0
''', {"T": T}, "<headers>")["main"]
try:
    tilescale.compile(main, target="sim")(__import__("numpy").zeros(128, "float32"))
except RuntimeError as e:
    print(str(e).split("\\n")[0])
"""


def test_a_folder_without_the_simulators_headers(tmp_path):
    folder = tmp_path / "device"
    folder.mkdir()
    environment = {**os.environ, "TILESCALE_INCLUDE_DIR": str(folder), "TILESCALE_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", HEADERS], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        f"TILESCALE_INCLUDE_DIR names '{folder}', and the simulator's headers (sim/include/tilescale/kernel.cuh) are "
        f"not beside it in '{tmp_path}'"
    )


@pytest.mark.parametrize(
    ("extent", "error", "shown"), [(1.5, TypeError, "1.5"), (float("nan"), TypeError, "nan"), (-3, ValueError, "-3")]
)
def test_extents_of_parameters(extent, error, shown):
    with pytest.raises(error) as raised:
        T.exec_source(
            '@T.prim_func\ndef main(A: T.Tensor((n, 4), "float32")):\n    with T.Kernel(1):\n        pass\n',
            {"T": T, "n": extent},
            f"<extent {extent}>",
        )
    assert str(raised.value).split("\n")[0] == (
        f"parameter `A`: the extent of a dimension is an integer of at least 0, got {shown}"
    )


def test_a_function_without_a_kernel():
    main = T.exec_source('@T.prim_func\ndef main(A: T.Tensor((4,), "float32")):\n    pass\n', {"T": T}, "<empty>")[
        "main"
    ]
    with pytest.raises(ValueError) as raised:
        tilescale.compile(main, target="sim")
    assert str(raised.value).split("\n")[0] == "`main` launches nothing: its body needs a `with T.Kernel(...)`"
