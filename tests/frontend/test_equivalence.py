# SPDX-License-Identifier: MIT
"""A function over Python values does the same after rewriting: random programs, traced twin against the original."""

import itertools
import linecache

from hypothesis import given, settings
from hypothesis import strategies as st
from tilescale.language import tracer
from tilescale.language.hooks import HOOKS
from tilescale.language.source import twin

NAMES = ["a", "b", "c"]
_number = itertools.count()

atoms = st.sampled_from([*NAMES, "0", "1", "2", "7", "-3", "xs[0]", "xs[-1]", "len(xs)"])
expressions = st.recursive(
    atoms,
    lambda e: st.one_of(
        st.tuples(e, st.sampled_from(["+", "-", "*", "|", "&", "^"]), e).map(lambda t: f"({' '.join(t)})"),
        st.tuples(e, st.sampled_from(["and", "or"]), e).map(lambda t: f"({' '.join(t)})"),
        st.tuples(e, e, e).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
        st.tuples(e, e, e).map(lambda t: f"int({t[0]} < {t[1]} <= {t[2]})"),
        st.tuples(e, e, e, e).map(lambda t: f"int({t[0]} == {t[1]} != {t[2]} >= {t[3]})"),
        e.map(lambda t: f"int(not {t})"),
        e.map(lambda t: f"sum([{t} for k in [1, 2] if k > 1])"),
        e.map(lambda t: f"(lambda y: y + {t})(1)"),
    ),
    max_leaves=6,
)


def indent(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


simple = st.one_of(
    st.tuples(st.sampled_from(NAMES), expressions).map(lambda t: [f"{t[0]} = {t[1]}"]),
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["+=", "-=", "^="]), expressions).map(lambda t: [" ".join(t)]),
    st.tuples(expressions, expressions).map(lambda t: [f"a, (b, *xs) = {t[0]}, ({t[1]}, c, 1)"]),
    expressions.map(lambda e: [f"xs[0] += {e}"]),
    expressions.map(lambda e: [f"xs.append({e} & 255)"]),
    expressions.map(lambda e: [f"box.v = {e}", "box.v -= 1", "b = box.v"]),
    st.just(["a, b = b, a"]),
    st.just(["b = c = a"]),
    st.just(["del c", "c = 4"]),
    st.just(["assert True"]),
)


def compound(block):
    body = block.map(lambda blocks: indent([line for b in blocks for line in b] or ["pass"]))
    jump = st.sampled_from([[], ["if a > 2: break"], ["if b & 1: continue"], ["if c == 1: return (a, b, c)"]])
    return st.one_of(
        st.tuples(expressions, body).map(lambda t: [f"if {t[0]}:", *t[1]]),
        st.tuples(expressions, body, body).map(lambda t: [f"if {t[0]}:", *t[1], "else:", *t[2]]),
        st.tuples(expressions, body, expressions, body, body).map(
            lambda t: [f"if {t[0]}:", *t[1], f"elif {t[2]}:", *t[3], "else:", *t[4]]
        ),
        st.tuples(body, jump).map(lambda t: ["for a in [1, 2, 3]:", *indent(t[1]), *t[0]]),
        st.tuples(body, jump).map(lambda t: ["for i, (b, c) in enumerate(zip([1, 5], [2, 3])):", *t[0], *indent(t[1])]),
        body.map(lambda b: ["def inner(a, b=2):", *b, "    return a + b", "c = inner(b)"]),
        body.map(lambda b: ["try:", *b, "    xs[99]", "except IndexError:", "    c = 5"]),
        body.map(lambda b: ["with nothing() as a:", *b]),
        body.map(lambda b: ["match a:", "    case 1:", *indent(b), "    case _:", "        b = 2"]),
    )


statements = st.recursive(simple, lambda s: compound(st.lists(s, max_size=3)), max_leaves=8)


class Box:
    v = 0


class nothing:
    def __enter__(self):
        return 6

    def __exit__(self, *error):
        return None


def outcome(function, *args):
    try:
        return "value", function(*args)
    except RecursionError:
        raise
    except Exception as error:
        # A read of an unbound local is an UnboundLocalError there and a NameError here.
        return "error", NameError if isinstance(error, NameError) else type(error)


@settings(max_examples=120, deadline=None)
@given(st.lists(statements, min_size=1, max_size=5), st.integers(-3, 3), st.integers(0, 5))
def test_same_result(blocks, a, b):
    body = [line for block in blocks for line in block]
    text = "\n".join(["def program(a, b, xs, box):", *indent(["c = 3", *body, "return a, b, c, xs, box.v"])]) + "\n"
    name = f"<equivalence-{next(_number)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    scope = {"nothing": nothing}
    exec(compile(text, name, "exec"), scope)
    program = scope["program"]
    expected = outcome(program, a, b, [1, 2], Box())
    t = tracer.Tracer("program")
    t.macros.append(tracer.MacroCall(frozenset(), 0))  # results of a macro are returned as they are
    old = tracer.activate(t)
    try:
        got = outcome(twin(program, HOOKS), a, b, [1, 2], Box())
    finally:
        tracer.activate(old)
    assert got == expected, text
