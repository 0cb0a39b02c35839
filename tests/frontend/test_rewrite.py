# SPDX-License-Identifier: MIT
"""The table of constructs, row by row: what a program becomes when its values are staged, and when they are Python."""

import pytest
import tilescale.language as T

STAGED = {
    "if": (
        "if bx > 0: B[0, 0] = 1",
        ["if %bx > 0 {", "store %B[0, 0] = 1.0", "}"],
    ),
    "if_else": (
        """
        if A[bx, 0] > 3:
            B[bx, 0] = 1
        else:
            B[bx, 1] = 2
        """,
        ["if %A[%bx, 0] > 3.0 {", "store %B[%bx, 0] = 1.0", "} else {", "store %B[%bx, 1] = 2.0", "}"],
    ),
    "elif": (
        """
        if bx == 0: B[0, 0] = 1
        elif bx == 1: B[0, 1] = 1
        else: B[0, 2] = 1
        """,
        [
            "if %bx == 0 {",
            "store %B[0, 0] = 1.0",
            "} else if %bx == 1 {",
            "store %B[0, 1] = 1.0",
            "} else {",
            "store %B[0, 2] = 1.0",
            "}",
        ],
    ),
    "integer_condition": ("if bx & 1: B[0, 0] = 1", ["if %bx & 1 != 0 {", "store %B[0, 0] = 1.0", "}"]),
    "range": ("for i in range(2, 5): B[0, i] = i", ["for %i in 2 +: 3 {", "store %B[0, %i] = cast.f32(%i)", "}"]),
    "nested_target": (
        "for i, j in T.grid(2, 3): B[i, j] = 0",
        ["for %i in 0..2 {", "for %j in 0..3 {", "store %B[%i, %j] = 0.0", "}", "}"],
    ),
    "while": (
        """
        i = T.alloc_var("int32", 0)
        while i < 3:
            i += 1
        """,
        ["alloc %i: var i32[1] sized init 0", "while %i[0] < 3 {", "store %i[0] = %i[0] + 1", "}"],
    ),
    "break_continue": (
        """
        for i in range(8):
            if bx == i: continue
            if bx > i: break
            B[0, i] = 1
        """,
        [
            "for %i in 0..8 {",
            "if %bx == %i {",
            "continue",
            "}",
            "if %bx > %i {",
            "break",
            "}",
            "store %B[0, %i] = 1.0",
            "}",
        ],
    ),
    "and_or_not": (
        "if bx > 0 and not (bx > 5 or bx == 3): B[0, 0] = 1",
        ["if %bx > 0 and not (%bx > 5 or %bx == 3) {", "store %B[0, 0] = 1.0", "}"],
    ),
    "ternary": ("B[0, 0] = A[0, 0] if bx > 0 else 2", ["store %B[0, 0] = if(%bx > 0, %A[0, 0], 2.0)"]),
    "chain": ("if 0 < bx < 5: B[0, 0] = 1", ["if %bx > 0 and %bx < 5 {", "store %B[0, 0] = 1.0", "}"]),
    "assign": ("x = A[0, 0]\nB[0, 0] = x", ["bind %x = %A[0, 0]", "store %B[0, 0] = %x"]),
    "multiple_targets": (
        "x = y = A[0, 0]\nB[0, 0] = x + y",
        ["bind %_ = %A[0, 0]", "store %B[0, 0] = %_ + %_"],
    ),
    "starred": (
        "x, *y = A[0, 0], A[0, 1], A[0, 2]\nB[0, 0] = y[1]",
        ["bind %x = %A[0, 0]", "bind %v_1 = %A[0, 1]", "bind %v_2 = %A[0, 2]", "store %B[0, 0] = %v_2"],
    ),
    "swap_elements": (
        "B[0, 0], B[0, 1] = B[0, 1], B[0, 0]",
        ["bind %v = %B[0, 1]", "bind %v_1 = %B[0, 0]", "store %B[0, 0] = %v", "store %B[0, 1] = %v_1"],
    ),
    "augmented_name": (
        "x = T.alloc_var('float32')\nx = 1\nx *= 2",
        ["alloc %x: var f32[1] sized", "store %x[0] = 1.0", "store %x[0] = %x[0] * 2.0"],
    ),
    "augmented_element": ("B[bx, 1] -= A[0, 0]", ["store %B[%bx, 1] = %B[%bx, 1] - %A[0, 0]"]),
    "augmented_element_index_once": (
        "B[T.cast(A[0, 0], 'int32'), 1] += 1",
        ["bind %v = cast.i32(%A[0, 0])", "store %B[%v, 1] = %B[%v, 1] + 1.0"],
    ),
    "assert": ('assert bx < 2, "too many"', ['assert %bx < 2, "too many"']),
    "assert_default": ("assert bx < 2", ['assert %bx < 2, "Assertion failed"']),
    "nested_def": (
        """
        def twice(x, k=2):
            if x > 1: return x * k
            return x
        B[0, 0] = twice(3) + twice(1)
        """,
        ["store %B[0, 0] = 7.0"],
    ),
    "lambda": ("f = lambda x: x if bx > 0 else 0\nB[0, 0] = f(A[0, 0])", None),
    "comprehension": ("xs = [A[0, i] for i in range(2)]\nB[0, 0] = xs[0] + xs[1]", None),
    "with": ("with T.ws_op('name'):\n    B[0, 0] = 1", ["name: store %B[0, 0] = 1.0"]),
    "annotation_with_value": ("x: T.float64 = 3\nB[0, x] = x", ["store %B[0, 3] = 3.0"]),
}


@pytest.mark.parametrize("name", [n for n, (_, lines) in STAGED.items() if lines is not None])
def test_staged(name, body):
    text, lines = STAGED[name]
    assert body(text) == lines


def test_lambda_operators_are_rewritten(body):
    assert body(STAGED["lambda"][0]) == ["store %B[0, 0] = if(%bx > 0, %A[0, 0], 0.0)"]


def test_comprehension_loops_are_pythons(body):
    assert body(STAGED["comprehension"][0]) == [
        "bind %v = %A[0, 0]",
        "bind %v_1 = %A[0, 1]",
        "store %B[0, 0] = %v + %v_1",
    ]


PYTHON = {
    "if_taken": ("if n > 3: B[0, 0] = 1\nelse: B[0, 1] = 1", ["store %B[0, 0] = 1.0"]),
    "if_not_taken": ("if n < 3: B[0, 0] = 1\nelif n == 4: B[0, 2] = 1", ["store %B[0, 2] = 1.0"]),
    "iterable": (
        "for i, (j, k) in enumerate([(1, 2), (3, 4)]): B[i, j] = k",
        ["store %B[0, 1] = 2.0", "store %B[1, 3] = 4.0"],
    ),
    "dict_items": ("for k, v in {1: 2}.items(): B[k, v] = 0", ["store %B[1, 2] = 0.0"]),
    "break": (
        "for i in [1, 2, 3]:\n    if i == 2: break\n    B[0, i] = 1",
        ["store %B[0, 1] = 1.0"],
    ),
    "continue": (
        "for i in [1, 2, 3]:\n    if i == 2: continue\n    B[0, i] = 1",
        ["store %B[0, 1] = 1.0", "store %B[0, 3] = 1.0"],
    ),
    "for_else": ("for i in [1]: pass\nelse: B[0, i] = 1", ["store %B[0, 1] = 1.0"]),
    "and_value": ("x = None or 4\ny = x and n\nB[x, y] = 1", ["store %B[4, 4] = 1.0"]),
    "not": ("x = not n\nif x: B[0, 0] = 1\nelse: B[0, 1] = 1", ["store %B[0, 1] = 1.0"]),
    "ternary": ("B[0, 0] = A[0, 0] if n else undefined", ["store %B[0, 0] = %A[0, 0]"]),
    "chain": ("if 3 < n <= 4 != 5: B[0, 0] = 1", ["store %B[0, 0] = 1.0"]),
    "in": ("if n in (1, 4) and n is not None: B[0, 0] = 1", ["store %B[0, 0] = 1.0"]),
    "augmented": ("k = n\nk <<= 1\nk |= 1\nB[0, k] = 1", ["store %B[0, 9] = 1.0"]),
    "list_append": ("xs = []\nfor i in [1, 2]: xs += [i]\nB[xs[0], xs[1]] = 1", ["store %B[1, 2] = 1.0"]),
    "match": (
        "match n:\n    case 4: B[0, 0] = 1\n    case _: B[0, 1] = 1",
        ["store %B[0, 0] = 1.0"],
    ),
    "try": ("try:\n    k = {}[0]\nexcept KeyError:\n    k = 3\nB[0, k] = 1", ["store %B[0, 3] = 1.0"]),
    "assert_true": ("assert n == 4", []),
    "range_elsewhere": ("B[0, list(range(3))[2]] = 1", ["store %B[0, 2] = 1.0"]),
    "delete": ("k = 1\ndel k\nk = 2\nB[0, k] = 1", ["store %B[0, 2] = 1.0"]),
    "import": ("import math\nB[0, math.floor(2.5)] = 1", ["store %B[0, 2] = 1.0"]),
    "f_string": ("B[0, len(f'{n}{bx}')] = 1", ["store %B[0, 3] = 1.0"]),
    "python_with": (
        "import contextlib\nwith contextlib.nullcontext(3) as k: B[0, k] = 1",
        ["store %B[0, 3] = 1.0"],
    ),
    "nonlocal": (
        "k = 1\ndef bump():\n    nonlocal k\n    k = k + 1\nbump()\nB[0, k] = 1",
        ["store %B[0, 2] = 1.0"],
    ),
    "walrus": ("x = (k := n)\nB[0, x] = k", ["store %B[0, 4] = 4.0"]),
    "attribute": ("box.v = 3\nbox.v += 1\nB[0, box.v] = 1", ["store %B[0, 4] = 1.0"]),
}


class Box:
    v = 0


@pytest.mark.parametrize("name", PYTHON)
def test_python_values_stay_python(name, body):
    text, lines = PYTHON[name]
    assert body(text, n=4, box=Box()) == lines


def test_shadowed_range_is_the_users(body):
    assert body("for i in range(2): B[0, i] = 1", range=lambda n: [7, 8]) == [
        "store %B[0, 7] = 1.0",
        "store %B[0, 8] = 1.0",
    ]


def test_constant_false_while_is_dropped_with_a_warning_at_the_users_line(trace):
    with pytest.warns(UserWarning, match="its body is dropped") as record:
        trace("while False: B[0, 0] = 1")
    assert record[0].filename.startswith("<frontend-test")


def test_while_condition_effects_run_before_every_test(body):
    lines = body("while T.atomic_add(B[0, 0], 1, return_prev=True) < 3: pass")
    assert lines[0] == "while head {"
    assert "atom.add" in lines[1]
    assert lines[2] == "} %v < 3.0 {"


@pytest.mark.parametrize(
    "text, what",
    [
        ("async def f(): pass", "`async def` cannot be traced"),
        ("x = (yield 1)", "`yield` cannot be traced"),
        (
            "for i in range(3):\n    if bx == i: break\nelse: B[0, 0] = 1",
            "a loop with `else` and `break` cannot be traced",
        ),
    ],
)
def test_refused_syntax_names_the_line(text, what, trace):
    with pytest.raises(SyntaxError) as info:
        trace(text)
    assert info.value.msg == what
    assert info.value.lineno == 4


def test_assert_false_fails_while_tracing(trace):
    with pytest.raises(AssertionError, match="bad n"):
        trace("assert n == 5, f'bad n {n}'", n=4)


def test_statement_after_jump_is_dropped(body):
    assert body("for i in range(3):\n    break\n    B[0, i] = 1") == ["for %i in 0..3 {", "break", "}"]


def test_undecorated_helpers_may_store_and_call_ops(body):
    def helper(buffer, i):
        buffer[0, i] = 1
        return T.exp(buffer[0, i])

    assert body("B[1, 1] = helper(B, bx)", helper=helper) == [
        "store %B[0, %bx] = 1.0",
        "store %B[1, 1] = exp(%B[0, %bx])",
    ]
