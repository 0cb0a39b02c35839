# SPDX-License-Identifier: MIT
"""Every statement knows its place: file, line, column, function and the calls that led there."""

import sys

import tilescale.language as T


@T.macro
def inner(out):
    out[0, 0] = 1


@T.macro
def outer(out):
    inner(out)


def helper(out):
    out[0, 1] = (
        1 +
        2
    )  # fmt: skip


@T.prim_func
def program(A: T.Tensor((4, 4), "float32"), B: T.Tensor((4, 4), "float32")):
    with T.Kernel(4, threads=32) as bx:
        A[bx, 0] = 1
        outer(A)
        helper(B)
        T.fill(
            A,
            0,
        )
        x = A[bx, 1]
        for i in range(4):
            B[i, 0] = x


def statements(node, kind: str) -> list:
    """All statements of a kind, in order."""
    found = []
    for field in ("body", "then_case", "else_case"):
        below = getattr(node, field, None)
        for item in below if isinstance(below, (list, tuple)) else [below]:
            if item is not None:
                found += statements(item, kind)
    if type(node).__name__ == kind:
        found.append(node)
    for item in getattr(node, "stmts", ()):
        found += statements(item, kind)
    return found


def chain(span) -> list:
    places = []
    while span is not None:
        places.append((str(span.function), int(span.line)))
        span = span.caller
    return places


FIRST = program.orig_func.__code__.co_firstlineno
START = FIRST + 2  # decorator, def, then the kernel


def test_lines_of_statements():
    stores = statements(program.func.body, "Store")
    assert [chain(s.span) for s in stores] == [
        [("program", START + 1)],
        [
            ("inner", inner.orig_func.__code__.co_firstlineno + 2),
            ("outer", outer.orig_func.__code__.co_firstlineno + 2),
            ("program", START + 2),
        ],
        [("helper", helper.__code__.co_firstlineno + 1), ("program", START + 3)],
        [("program", START + 10)],
    ]


def test_a_call_over_several_lines_has_its_first():
    (fill,) = statements(program.func.body, "TileOp")
    assert chain(fill.span) == [("program", START + 4)]


def test_file_and_column():
    first = statements(program.func.body, "Store")[0]
    assert str(first.span.file) == __file__
    assert int(first.span.column) == (9 if sys.version_info >= (3, 11) else 0)


def test_loop_and_bind():
    (loop,) = statements(program.func.body, "For")
    (bind,) = statements(program.func.body, "Bind")
    assert chain(loop.span) == [("program", START + 9)]
    assert chain(bind.span) == [("program", START + 8)]


def test_twin_keeps_file_lines_and_globals():
    from tilescale.language.hooks import HOOKS
    from tilescale.language.source import twin

    made = twin(program.orig_func, HOOKS)
    assert made.__code__.co_filename == __file__
    assert made.__code__.co_firstlineno == FIRST + 1  # decorators are not part of it
    assert made.__globals__ is program.orig_func.__globals__
