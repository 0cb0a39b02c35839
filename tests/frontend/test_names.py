# SPDX-License-Identifier: MIT
"""What `name = value` means, and what a name means after the region that rebound it."""

import pytest

ESCAPED = (
    "Immutable variable `{0}` is used outside its defining region! It was bound inside a loop or branch that has "
    "ended; declare `{0} = T.alloc_var(...)` before it and assign to that."
)


def test_cell_is_stored_to(body):
    assert body("x = T.alloc_var('int32', 1)\nx = 2\nx = bx + x") == [
        "alloc %x: var i32[1] sized init 1",
        "store %x[0] = 2",
        "store %x[0] = %bx + %x[0]",
    ]


def test_named_cell_is_read_by_assignment(body):
    assert body("a = T.alloc_var('int32', 1)\nb = a\na = 2\nB[0, b] = 0") == [
        "alloc %a: var i32[1] sized init 1",
        "bind %b = %a[0]",
        "store %a[0] = 2",
        "store %B[0, %b] = 0.0",
    ]


def test_unnamed_cell_is_aliased(body):
    assert body("cells = [T.alloc_var('int32')]\nd = cells[0]\nd = 3\nB[0, cells[0]] = 0") == [
        "alloc %d: var i32[1] sized",
        "store %d[0] = 3",
        "store %B[0, %d[0]] = 0.0",
    ]


def test_fresh_cell_declares_the_name_anew(body):
    lines = body("x = T.alloc_var('int32', 1)\nx = T.alloc_var('float32', 2)\nx = 3")
    assert lines[0].startswith("alloc %x: var i32")
    assert lines[1].startswith("alloc %x_1: var f32")
    assert lines[2] == "store %x_1[0] = 3.0"


def test_swap_of_cells(body):
    assert body("a = T.alloc_var('int32', 1)\nb = T.alloc_var('int32', 2)\na, b = b, a")[2:] == [
        "bind %v = %b[0]",
        "bind %v_1 = %a[0]",
        "store %a[0] = %v",
        "store %b[0] = %v_1",
    ]


def test_symbols_take_the_users_name(body):
    assert body("tx = T.get_thread_binding()\ns = T.alloc_shared((8,), 'float32')\ns[tx] = 0") == [
        "alloc %s: shared f32[8] sized",
        "store %s[%tx] = 0.0",
    ]


def test_constant_expression_becomes_python(body):
    assert body("x = T.int32(3)\nB[0, list(range(4))[x]] = 1") == ["store %B[0, 3] = 1.0"]


def test_host_expression_is_not_bound(trace):
    func = trace("B[0, 0] = 1", params='A: T.Tensor((64,), "float32"), B: T.Tensor((64, 64), "float32"), n: T.int32')
    assert "bind" not in func.script()


def test_snapshot_is_taken_where_the_name_is_bound(body):
    assert body("x = A[0, 0]\nA[0, 0] = 5\nB[0, 0] = x") == [
        "bind %x = %A[0, 0]",
        "store %A[0, 0] = 5.0",
        "store %B[0, 0] = %x",
    ]


def test_tuple_elements_are_snapshots(body):
    assert body("t = (A[0, 0], bx)\nA[0, 0] = 5\nB[0, t[1]] = t[0]") == [
        "bind %v = %A[0, 0]",
        "store %A[0, 0] = 5.0",
        "store %B[0, %bx] = %v",
    ]


def test_bounds_of_a_slice_that_read_memory_are_bound(body):
    lines = body("n = T.alloc_var('int32', 1)\ns = A[n:n + 2, 0]\nn = 5\nT.fill(s, 1)")
    assert lines[1] == "bind %v = %n[0]"
    assert lines[-1].startswith("fill %A[%v +: 2, 0")


def test_name_bound_to_an_element_still_names_the_place(body):
    assert body("x = B[bx, 0]\nT.atomic_add(x, 1)") == [
        "bind %x = %B[%bx, 0]",
        'call red.add(&%B[%bx, 0], 1.0, "relaxed.gpu")',
    ]


def test_attribute_that_holds_a_cell_is_stored_to(body):
    class Box:
        pass

    lines = body("box.v = T.alloc_var('int32')\nbox.v = 3\nbox.v += 1", box=Box())
    assert lines[1:] == ["store %buf[0] = 3", "store %buf[0] = %buf[0] + 1"]


@pytest.mark.parametrize(
    "text",
    [
        "for i in range(3): n = i + 1\nB[0, n] = 1",
        "if bx > 0: n = A[0, 0]\nB[0, 0] = n",
        "n = 1\nif bx > 0: n = 2\nB[0, n] = 1",
        "if bx > 0: n = 1\nelse: n = 2\nB[0, n] = 1",
        "i = T.alloc_var('int32', 0)\nwhile i < 3:\n    n = i + 1\n    i = n\nB[0, n] = 1",
        "for i in range(3): n = [i]\nB[0, n[0]] = 1",
    ],
)
def test_names_of_a_staged_region_do_not_leak(text, trace):
    with pytest.raises(RuntimeError) as info:
        trace(text)
    assert str(info.value).splitlines()[0] == ESCAPED.format("n")


@pytest.mark.parametrize(
    "text",
    [
        "for i in range(3): n = 32\nB[0, n] = 1",
        "if bx > 0: n = 32\nelse: n = 32\nB[0, n] = 1",
        "n = 32\nif bx > 0: n = 32\nB[0, n] = 1",
        "if bx > 0: n = (32, 'a')\nelse: n = (32, 'a')\nB[0, n[0]] = 1",
    ],
)
def test_equal_constants_are_kept(text, body):
    assert body(text)[-1] == "store %B[0, 32] = 1.0"


def test_both_arms_start_from_the_names_before(body):
    assert body("n = 1\nif bx > 0:\n    n = 2\n    B[0, n] = 0\nelse:\n    B[1, n] = 0") == [
        "if %bx > 0 {",
        "store %B[0, 2] = 0.0",
        "} else {",
        "store %B[1, 1] = 0.0",
        "}",
    ]


def test_python_number_carried_round_a_loop_is_an_error(trace):
    with pytest.raises(RuntimeError) as info:
        trace("x = 0\nfor i in range(3): x = x + 1\nB[0, x] = 1")
    assert str(info.value).splitlines()[0] == (
        "`x` is read before it is rebound in this loop, but it is the Python value 0: every iteration sees the value "
        "from before the loop. Use `x = T.alloc_var(...)` before the loop to carry a value."
    )


def test_immutable_carried_round_a_loop_is_a_warning(trace):
    with pytest.warns(UserWarning, match="`x` is read before it is rebound in this loop, but it is immutable"):
        trace("x = bx + 1\nfor i in range(3): x = x + 1")


def test_python_loop_carries_python_values(body):
    assert body("x = 0\nfor i in [1, 2]: x = x + i\nB[0, x] = 1") == ["store %B[0, 3] = 1.0"]


def test_unbound_local_is_a_name_error(trace):
    with pytest.raises(NameError):
        trace("if n == 3: x = 1\nB[0, x] = 1", n=4)


def test_variable_of_a_closed_region_is_refused_by_the_builder(trace):
    with pytest.raises(RuntimeError, match="Immutable variable `i` is used outside its defining region"):
        trace("keep = []\nfor i in range(3): keep.append(i)\nB[0, keep[0]] = 1")


def test_labels_do_not_scope_names(body):
    assert body("with T.ws_op('a'): x = A[0, 0]\nB[0, 0] = x")[-1] == "store %B[0, 0] = %x"
