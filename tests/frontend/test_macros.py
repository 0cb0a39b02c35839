# SPDX-License-Identifier: MIT
"""Macros, references, closures, bare regions."""

import pytest
import tilescale.language as T
from tilescale.errors import JITNoBuilderError


@T.macro
def scaled(x, factor, out):
    y = x * factor
    out[0, 0] = y


@T.macro
def bump(x: T.Ref, by=1):
    x += by


@T.macro
def bump_text(x: "T.Ref"):
    x = x + 1


@T.macro
def pair(x):
    return x + 1, x * 2


def test_arguments_are_bound_at_entry_in_order(body):
    assert body("scaled(A[0, 0], A[0, 1], B)", scaled=scaled) == [
        "bind %x = %A[0, 0]",
        "bind %factor = %A[0, 1]",
        "bind %y = %x * %factor",
        "store %B[0, 0] = %y",
    ]


def test_names_of_a_macro_are_its_own(body):
    assert body("y = 3\nscaled(A[0, 0], 2, B)\nB[0, y] = 1", scaled=scaled)[-1] == "store %B[0, 3] = 1.0"


@pytest.mark.parametrize("macro", [bump, bump_text])
def test_reference_to_a_cell(macro, body):
    assert body("v = T.alloc_var('int32', 0)\nmacro(v)", macro=macro)[1:] == ["store %v[0] = %v[0] + 1"]


def test_reference_to_an_element_evaluates_its_index_once(body):
    lines = body("i = T.alloc_var('int32', 0)\nbump(B[i, 0])", bump=bump)
    assert lines[1:] == ["bind %v = %i[0]", "store %B[%v, 0] = %B[%v, 0] + 1.0"]


def test_without_reference_a_cell_is_copied(body):
    @T.macro
    def local(x):
        x = x + 1

    assert body("v = T.alloc_var('int32', 0)\nlocal(v)", local=local)[1:] == ["bind %x = %v[0]", "bind %x_1 = %x + 1"]


def test_results(body):
    assert body("p, q = pair(A[0, 0])\nB[0, 0] = p + q", pair=pair)[-1] == "store %B[0, 0] = %p + %q"


def test_method_and_name_mangling(body):
    class Store:
        def __init__(self):
            self.__value = 7

        @T.macro
        def into(self, out):
            out[0, self.__value] = 1

    assert body("s.into(B)", s=Store()) == ["store %B[0, 7] = 1.0"]


def test_closure_sees_what_is_defined_after_it(body):
    def make():
        @T.macro
        def outer(out):
            inner(out)

        @T.macro
        def inner(out):
            out[0, 0] = 1

        return outer

    assert body("m(B)", m=make()) == ["store %B[0, 0] = 1.0"]


def test_macro_holds_a_kernel():
    @T.macro
    def kernel(out):
        with T.Kernel(4, threads=32) as bx:
            out[bx] = 1

    @T.prim_func
    def main(A: T.Tensor((4,), "float32")):
        kernel(A)
        kernel(A)

    assert main.script().count("store %A") == 2


def test_bare_region_ends_with_its_region(body):
    lines = body("if bx > 0:\n    T.ws_op('a')\n    B[0, 0] = 1\nB[0, 1] = 2")
    assert lines == ["if %bx > 0 {", "a: store %B[0, 0] = 1.0", "}", "store %B[0, 1] = 2.0"]


def test_return_from_control_flow(trace):
    @T.macro
    def clip(x):
        if x > 0:
            return x
        return 0

    with pytest.raises(NotImplementedError) as info:
        trace("B[0, 0] = clip(A[0, 0])", clip=clip)
    assert str(info.value).splitlines()[0] == (
        "In tilelang macro, return from control flow is not supported yet. Declare `r = T.alloc_var(dtype)` before it, "
        "assign to r inside, and return r after it."
    )


def test_compile_time_branch_may_return(body):
    @T.macro
    def pick(x, first):
        if first:
            return x
        return 0

    assert body("B[0, 0] = pick(A[0, 0], True)", pick=pick) == ["bind %x = %A[0, 0]", "store %B[0, 0] = %x"]


def test_reference_needs_a_place(trace):
    with pytest.raises(ValueError) as info:
        trace("bump(3)", bump=bump)
    assert str(info.value).splitlines()[0] == (
        "To pass as reference, argument `x` is expected to be a variable or a buffer region, but got 3"
    )


def test_outside_a_trace():
    with pytest.raises(JITNoBuilderError) as info:
        bump(3)
    assert str(info.value) == "T.macro can only be used inside @tilelang.jit"


def test_scheduler_state_is_named(body):
    lines = body(
        "s = T.PersistentTileScheduler(4, 6, num_workers=2, name='tiles')\ns.init(bx)\nwhile s.valid(): s.next_tile()"
    )
    assert lines[0] == "alloc %tiles_linear_idx: var i32[1] sized"
    assert "while %tiles_linear_idx[0] < 24 {" in lines
