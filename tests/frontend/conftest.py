# SPDX-License-Identifier: MIT
"""Fixtures of the front end's tests."""

import re
import textwrap

import pytest
import tilescale.language as T

_count = 0


PARAMS = 'A: T.Tensor((64, 64), "float32"), B: T.Tensor((64, 64), "float32")'


def trace_source(body: str, params: str = PARAMS, **names):
    """A prim_func whose body, inside T.Kernel(2, threads=64) as bx, is `body`."""
    global _count
    _count += 1
    text = (
        "@T.prim_func\n"
        f"def main({params}):\n"
        "    with T.Kernel(2, threads=64) as bx:\n" + textwrap.indent(textwrap.dedent(body).strip("\n"), " " * 8) + "\n"
    )
    scope = {"T": T, **names}
    T.exec_source(text, scope, f"<frontend-test-{_count}>")
    return scope["main"]


def body_lines(func) -> list[str]:
    """The statements of the kernel as IR text, without spans and indentation."""
    lines = [re.sub(r"  @\S+", "", line).strip() for line in func.script().splitlines()]
    start = next(i for i, line in enumerate(lines) if line.startswith("kernel"))
    return [line for line in lines[start + 1 : -2] if line]


@pytest.fixture
def trace():
    return trace_source


@pytest.fixture
def body():
    def lines(text: str, **names):
        return body_lines(trace_source(text, **names))

    return lines
