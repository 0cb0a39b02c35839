# SPDX-License-Identifier: MIT
"""Traces one line of a kernel over a fixed set of buffers: what the error tests of the ops are written in."""

import itertools
import textwrap
from typing import Any

import tilescale
import tilescale.language as T

_number = itertools.count()

HEAD = """
x = T.alloc_fragment((4, 8), "float32")
z = T.alloc_fragment((8, 4), "float32")
r = T.alloc_fragment((4,), "float32")
c = T.alloc_fragment((8,), "float32")
s = T.alloc_shared((8, 4), "float32")
q = T.alloc_shared((4, 8), "float32")
h = T.alloc_shared((4, 8), "int8")
w = T.alloc_shared((2, 4, 8), "float32")
e = T.alloc_shared((4, 4), "float32")
p = T.alloc_local((4,), "float32")
"""


def trace(line: str):
    """The function whose kernel runs `line`. `A` has shape (4, 8), `D` (n, 8) with n known at launch."""
    head = '@T.prim_func\ndef main(A: T.Tensor((4, 8), "float32"), D: T.Tensor((T.dynamic("n"), 8), "float32")):\n'
    text = head + "    with T.Kernel(1, threads=32) as bx:\n"
    text += textwrap.indent(HEAD.strip() + "\n" + line, " " * 8) + "\n"
    return T.exec_source(text, {"T": T}, f"<op-error-test-{next(_number)}>")["main"]


def message(line: str, target: Any = None) -> tuple[type, str]:
    """The exception of tracing, or with a target of compiling, the line: its type and first line of text."""
    try:
        func = trace(line)
        if target:
            tilescale.compile(func, target=target)
    except Exception as error:
        return type(error), str(error).splitlines()[0]
    raise AssertionError(f"no error: {line}")
