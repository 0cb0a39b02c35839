# SPDX-License-Identifier: MIT
"""Messages of the builder as a user sees them: exact text, and the line of the program that is wrong. Each program
is one line of a kernel over `A` and `B` (64 x 64 floats)."""

import itertools
import textwrap

import pytest
import tilescale.language as T
from tilescale.errors import CompileError

_number = itertools.count()

CASES = [
    # operators
    (
        "x = bx / 2",
        TypeError,
        "`/` of two integers (int32 and int32) is ambiguous in a kernel: use // (floor), T.truncdiv, T.ceildiv, or "
        "cast an operand to a float dtype",
    ),
    ("x = A[0, 0] // 2", TypeError, "`//` needs integer operands, got float32 and int32"),
    ("x = A[0, 0] & 1", TypeError, "`&` needs integer operands, got float32 and int32"),
    ("x = bx % 0", ZeroDivisionError, "`%` by zero: `bx % 0`"),
    ("x = -T.cast(bx, 'uint8')", TypeError, "unary `-` of uint8: cast it to a signed dtype first"),
    # literals
    ("A[0, 0] = 1e300", ValueError, "Literal value 1e+300 exceeds maximum of float32"),
    ("x = T.float16(70000)", ValueError, "Literal value 70000 exceeds maximum of float16"),
    ("x = T.alloc_var('int8', 200)", ValueError, "Literal value 200 exceeds maximum of int8"),
    # functions
    ("x = T.__exp(bx)", TypeError, "T.__exp requires a floating-point operand, but got int32"),
    (
        "x = T.ieee_add(A[0, 0], A[0, 1], 'up')",
        ValueError,
        "Invalid rounding mode 'up'. Must be one of: ['rn', 'rz', 'ru', 'rd']",
    ),
    # loops and launches
    ("for i in range(0, 4, 0): pass", ValueError, "Invalid stepped serial: step must be non-zero"),
    (
        "for i in T.Pipelined(4, num_stages=-1): pass",
        ValueError,
        "num_stages must not be negative, got -1",
    ),
    (
        "for i in T.serial(4, annotations={'nonsense': 1}): pass",
        CompileError,
        'unknown annotation "nonsense" of a loop',
    ),
    # memory
    (
        "x = T.alloc_shared((bx, 4), 'float32')",
        ValueError,
        'memory of scope "shared.dyn" needs a constant shape, got `bx`: pass the extent as a Python integer',
    ),
    (
        "x = T.reshape(A, (63, 64))",
        AssertionError,
        "T.reshape/view shape check failed. reshape of float32[64, 64] as float32[63, 64]: 131072 bits against 129024",
    ),
    # builtins
    (
        "x = T.atomic_load(A[0, 0], memory_order='release')",
        ValueError,
        "atomic_load does not support memory_order='release'; expected one of ['relaxed', 'consume', 'acquire', "
        "'seq_cst']",
    ),
    ("T.cluster_sync()", NotImplementedError, "T.cluster_sync is not supported on this version"),
    (
        "T.any_sync(A[0, 0])",
        TypeError,
        "T.any_sync requires an integer or boolean predicate, but got float32",
    ),
    # annotations
    ("T.use_swizzle(4, order='diagonal')", ValueError, "Unsupported swizzle order: diagonal"),
    (
        "T.annotate_safe_value({T.alloc_shared((4,), 'float32'): 1.0})",
        ValueError,
        "T.annotate_safe_value: `buf` is on chip, only accesses of global memory are guarded",
    ),
]


def trace(body: str):
    """Traces the program; its faulty line is the fourth."""
    text = (
        '@T.prim_func\ndef main(A: T.Tensor((64, 64), "float32"), B: T.Tensor((64, 64), "float32")):\n'
        "    with T.Kernel(2, threads=128) as bx:\n" + textwrap.indent(body, " " * 8) + "\n"
    )
    return T.exec_source(text, {"T": T}, f"<builder-error-{next(_number)}>")["main"]


@pytest.mark.parametrize(("body", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_text_and_line(body, kind, text):
    with pytest.raises(kind) as caught:
        trace(body)
    assert str(caught.value).split("\n  --> ")[0] == text
    shown = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert ":4 in main" in shown
