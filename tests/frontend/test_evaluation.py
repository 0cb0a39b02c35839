# SPDX-License-Identifier: MIT
"""Order of evaluation: effects happen when their call runs; an operand that may not be evaluated keeps its effects to
itself."""

ATOMIC = "T.atomic_add(B[0, 0], 1, return_prev=True)"


def test_pure_lazy_operand_is_an_opcode(body):
    assert body("if bx > 0 and A[bx, 0] > 0: B[0, 0] = 1")[0] == "if %bx > 0 and %A[%bx, 0] > 0.0 {"


def test_effect_in_and(body):
    assert body(f"if bx > 0 and {ATOMIC} > 2: A[1, 1] = 1") == [
        "alloc %buf: var bool[1] sized",
        "if %bx > 0 {",
        'call %v: f32 = atom.add(&%B[0, 0], 1.0, "relaxed.gpu")',
        "store %buf[0] = %v > 2.0",
        "} else {",
        "store %buf[0] = false",
        "}",
        "if %buf[0] {",
        "store %A[1, 1] = 1.0",
        "}",
    ]


def test_effect_in_or(body):
    lines = body(f"if bx > 0 or {ATOMIC} > 2: A[1, 1] = 1")
    assert lines[1:5] == ["if %bx > 0 {", "store %buf[0] = true", "} else {", lines[4]]
    assert "atom.add" in lines[4]


def test_effect_in_ternary(body):
    lines = body(f"x = {ATOMIC} if bx > 0 else 0\nA[1, 1] = x")
    assert lines[1] == "if %bx > 0 {"
    assert "atom.add" in lines[2]
    assert lines[-2:] == ["bind %x = %buf[0]", "store %A[1, 1] = %x"]


def test_effect_in_chain_is_evaluated_only_if_the_pairs_before_hold(body):
    lines = body(f"if 0 < bx < {ATOMIC}: A[1, 1] = 1")
    assert lines[1] == "if %bx > 0 {"
    assert "atom.add" in lines[2]


def test_if_then_else_is_a_function(body):
    lines = body(f"x = T.if_then_else(bx > 0, {ATOMIC}, 0)\nA[1, 1] = x")
    assert "atom.add" in lines[0]
    assert lines[1] == "bind %x = if(%bx > 0, %v, 0.0)"


def test_middle_of_a_chain_is_evaluated_once(body):
    assert sum("atom.add" in line for line in body(f"if 0 < {ATOMIC} < 5: A[1, 1] = 1")) == 1


def test_result_of_an_effect_is_a_value(body):
    assert body(f"old = {ATOMIC}\nA[0, 0] = old") == [
        'call %old: f32 = atom.add(&%B[0, 0], 1.0, "relaxed.gpu")',
        "store %A[0, 0] = %old",
    ]
