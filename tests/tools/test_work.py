# SPDX-License-Identifier: MIT
"""The compiler's work grows with the program: visits of nodes are counted, never time."""

import importlib.util
import sys

import pytest
from tilescale._ffi import function
from tilescale._jit import machine

HEAD = """
import tilescale.language as T

A_TYPE = T.Tensor((1 << 20,), "float32")
"""
PART = 10  # loops a macro: Python nests at most 20 blocks


def traced(tmp_path, name, text):
    path = tmp_path / f"{name}.py"
    path.write_text(HEAD + text)
    spec = importlib.util.spec_from_file_location(f"work_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.main.func


def nest(depth, extent, level, leaf):
    """`depth` loops with `level` in each and `leaf` in the innermost; `at` is the sum of their variables."""
    parts = [range(first, min(first + PART, depth)) for first in range(0, depth, PART)]
    names = "A, B, S, R, at, n"
    text = ""
    for part in reversed(parts):
        text += f"\n@T.macro\ndef part{part[0]}({names}):\n"
        indent = "    "
        for loop in part:
            text += f"{indent}for i{loop} in T.serial({extent}):\n"
            indent += "  "
            text += "".join(f"{indent}{line}\n" for line in level)
        at = "at + " + " + ".join(f"i{loop}" for loop in part)
        if part[-1] + 1 < depth:
            text += f"{indent}part{part[-1] + 1}(A, B, S, R, {at}, n)\n"
        else:
            text += "".join(f"{indent}{line.replace('at', '(' + at + ')')}\n" for line in leaf)
    return (
        text
        + f"""
@T.prim_func
def main(A: A_TYPE, B: A_TYPE, n: T.int32):
    with T.Kernel(1, threads=128) as bx:
        S = T.alloc_shared((128,), "float32")
        R = T.alloc_shared((128,), "float32")
        part0({names.replace("at", "bx")})
"""
    )


NESTS = {
    "barriers": (
        [],
        ["for j in T.Parallel(128): S[j] = A[j + at]", "for j in T.Parallel(128): B[j + at] = S[127 - j]"],
    ),
    "barriers of every loop": (
        ["for j in T.Parallel(128): S[j] = A[j]", "for j in T.Parallel(128): B[j] = S[127 - j] + R[127 - j]"],
        ["for j in T.Parallel(128): R[j] = S[127 - j]"],
    ),
    "bounds": ([], ["for j in T.Parallel(128): B[j + at] = A[j + at]"]),
    "branches": (
        ["if n > 3:", "    for j in T.Parallel(128): S[j] = A[j]"],
        ["for j in T.Parallel(128): B[j] = S[127 - j]"],
    ),
    "a pipeline": (
        [],
        [
            "for ko in T.Pipelined(4, num_stages=3):",
            "    T.copy(A[ko * 128:ko * 128 + 128], S)",
            "    for j in T.Parallel(128): B[j + at] = S[127 - j]",
        ],
    ),
}


def visits(func):
    machine.configure()
    passes = function("driver.compile_times")(func, "sim sm_90a", {})
    return {str(name): int(visited) for name, _, _, visited in passes}


@pytest.mark.parametrize("extent", [2, "n"])
@pytest.mark.parametrize("kind", NESTS)
def test_a_nest_costs_its_depth(tmp_path, kind, extent):
    """Each of d loops holds the others, so a walk of every loop's body sees d * d / 2 of them, and no pass more than
    that; a pass that walks a body twice at each level would see 2 ** d."""
    few, many = (visits(traced(tmp_path, f"nest{d}", nest(d, extent, *NESTS[kind]))) for d in (8, 30))
    for name, count in many.items():
        assert count <= 20 * few[name], (name, few[name], count)


def test_many_names_cost_their_number(tmp_path):
    """Equal wishes for a name, a thousand and two thousand of them."""

    def program(count):
        lines = "".join(f"        x = A[{i}] + 1.0\n        B[{i}] = x * x\n" for i in range(count))
        return f"\n@T.prim_func\ndef main(A: A_TYPE, B: A_TYPE):\n    with T.Kernel(1, threads=32):\n{lines}"

    few, many = (visits(traced(tmp_path, f"names{n}", program(n))) for n in (250, 500))
    for name, count in many.items():
        assert count <= 2.5 * few[name] + 1000, (name, few[name], count)
