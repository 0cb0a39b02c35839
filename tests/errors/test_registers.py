# SPDX-License-Identifier: MIT
"""Registers that nothing has set: an error with the line that reads them where it is certain, else nothing."""

import itertools
import textwrap

import numpy as np
import pytest
import tilescale
import tilescale.language as T

_number = itertools.count()

PROLOGUE = """
@T.prim_func
def main(A: T.Tensor((64, 128), "float32"), B: T.Tensor((64, 128), "float32"), n: T.int32):
    with T.Kernel(1, threads=128):
        x = T.alloc_fragment((64, 128), "float32")
        y = T.alloc_fragment((64,), "float32")
"""


def program(body: str):
    text = PROLOGUE + textwrap.indent(textwrap.dedent(body).strip(), " " * 8) + "\n"
    return T.exec_source(text.lstrip(), {"T": T}, f"<registers-{next(_number)}>")["main"]


def kernel(body: str, **options):
    return tilescale.compile(program(body), target={"kind": "sim", "arch": "sm_80"}, **options)


MAXIMUM = """
for i, j in T.Parallel(64, 128):
    if j < 100:
        x[i, j] = A[i, j]
T.reduce_max(x, y, dim=1)
for i, j in T.Parallel(64, 128):
    B[i, j] = y[i]
"""
SUM = """
for k in range(n):
    T.copy(A, x)
    for i in T.Parallel(64):
        y[i] = y[i] + A[i, k]
for i, j in T.Parallel(64, 128):
    B[i, j] = y[i]
"""
ACCUMULATOR = """
a = T.alloc_shared((64, 32), "float16")
b = T.alloc_shared((32, 128), "float16")
T.fill(a, 1.0)
T.fill(b, 1.0)
for k in range(4):
    T.gemm(a, b, x)
T.copy(x, B)
"""

READ = "elements of `{}` are read by threads 0 to 127 before anything is written to them"
FILL = ": fill all of it first (T.clear, T.fill), or read only what was written"
# Program, buffer, the line that reads it, and what uses the value elsewhere.
CERTAIN = {
    "a maximum over columns that nothing wrote": (MAXIMUM, "x", 9, ", and line 11 uses the value"),
    "a sum that was not cleared": (SUM, "y", 9, ", and line 11 uses the value"),
    "an accumulator that was not cleared": (ACCUMULATOR, "x", 11, ", and line 12 uses the value"),
}


@pytest.mark.parametrize("name", CERTAIN)
def test_certain(name):
    body, buffer, line, used = CERTAIN[name]
    with pytest.raises(tilescale.CompileError) as error:
        kernel(body)
    assert str(error.value) == READ.format(buffer) + used + FILL
    notes = "\n".join(getattr(error.value, "__notes__", []))
    assert f">:{line}" in notes or f'>", line {line}' in notes, notes


def test_may_be_switched_off():
    kernel(MAXIMUM, pass_configs={"tl.disable_buffer_init_check": True})


FINE = {
    "written under a condition of the launch": """
        if n > 3:
            T.copy(A, x)
        T.copy(x, B)
    """,
    "written and read under one condition on columns": """
        for i, j in T.Parallel(64, 128):
            if j < 100:
                x[i, j] = A[i, j]
        for i, j in T.Parallel(64, 128):
            if j < 100:
                B[i, j] = x[i, j] * 2.0
    """,
    "a loop that may not run": """
        for k in range(n):
            T.copy(A, x)
        T.copy(x, B)
    """,
    "set in the first iteration": """
        for k in range(4):
            if k == 0:
                T.copy(A, x)
            else:
                for i, j in T.Parallel(64, 128):
                    x[i, j] = x[i, j] + A[i, j]
        T.copy(x, B)
    """,
    "set in an iteration before": """
        for k in range(n):
            if k > 0:
                T.copy(x, B)
            T.copy(A, x)
    """,
    "padding that is computed with": """
        for i, j in T.Parallel(64, 128):
            if j < 100:
                x[i, j] = A[i, j]
        for i, j in T.Parallel(64, 128):
            x[i, j] = x[i, j] * 2.0
        for i, j in T.Parallel(64, 128):
            if j < 100:
                B[i, j] = x[i, j]
    """,
    "rows that the launch guards": """
        for i, j in T.Parallel(64, 128):
            if j < 100:
                x[i, j] = A[i, j]
        for i, j in T.Parallel(64, 128):
            if j < n:
                B[i, j] = x[i, j]
    """,
}


@pytest.mark.parametrize("name", FINE)
def test_not_certain(name):
    kernel(FINE[name])


def test_padding_is_not_seen():
    a = np.random.default_rng().standard_normal((64, 128)).astype(np.float32)
    b = np.full((64, 128), np.nan, np.float32)
    kernel(FINE["padding that is computed with"])(a, b, 1)
    np.testing.assert_array_equal(b[:, :100], a[:, :100] * 2)
    assert np.isnan(b[:, 100:]).all()
