# SPDX-License-Identifier: MIT
"""The table of ops: rows, signatures, binding of arguments, and agreement with the registry of the compiler."""

import inspect

import pytest
import tilescale.language as T
from tilescale._ffi import builder
from tilescale.language import table
from tilescale.language.ops import ROWS, Op

PARSED = {name: table.Row(line) for name, line in ROWS.items()}


def test_every_row_parses_and_has_known_marks():
    marks = {"", "r", "w", "m", "a", "b", "e", "f", "i", "v", "k", "t"}
    for row in PARSED.values():
        assert row.kind in table.KINDS
        assert set(row.marks.values()) <= marks, row.name
        parts = row.result.split("|") if row.result else []
        assert all(p in row.marks or p == "t:" or p == "void" or T.dtype(p) for p in parts), row.name


def test_there_are_about_260_names():
    assert 250 <= len(ROWS) + 20 <= 320


def test_documented_names_are_rows():
    assert set(table.read_docs()) <= set(ROWS)


def test_signature_and_documentation():
    assert str(inspect.signature(T.fill)) == "(buffer, value, annotations=None)"
    assert str(inspect.signature(T.copy)).startswith("(src, dst, *, coalesced_width=None, disable_tma=False")
    assert T.fill.__doc__.startswith("T.fill(buffer, value, annotations=None)\n\nSets every element of a tile")
    assert T.call_extern.__doc__ == (
        "T.call_extern(dtype, func_name, *args) -> t:\n\nCalls a function of imported source."
    )


@pytest.mark.parametrize(
    "op, signature",
    [
        ("gemm", "A B C transpose_A transpose_B policy clear_accum k_pack mbar annotations"),
        ("reduce_sum", "buffer out dim clear batch annotations"),
        ("reduce_abssum", "buffer out dim batch annotations"),
        ("cumsum", "src dst dim reverse annotations"),
        ("clamp", "dst min_val max_val"),
        ("if_then_else", "cond t f"),
        ("Select", "condition true_value false_value"),
        ("any_sync", "predicate mask"),
        ("mbarrier_expect_tx", "mbarrier tx"),
        ("finalize_reducer", "reducer dst batch annotations"),
    ],
)
def test_parameter_names_are_contract(op, signature):
    assert " ".join(PARSED[op].positional) == signature


def test_registered_ops_take_the_arguments_that_rows_send():
    """Names of parameters, in order, and defaults: neither side may drift."""
    registered = {str(name): params for name, params in builder.tile_ops()}
    for row in PARSED.values():
        if row.kind != "tile" or row.target not in registered:
            continue
        sent = [n for n, _ in row.sent if n != "annotations"]
        # What the compiler adds to an op comes last and is absent by default: a reduction's workspace.
        params = [p for p in registered[row.target] if str(p[0]) != "workspace"]
        if row.name != row.target:  # may leave what has a default to it
            assert len(sent) <= len(params), row.name
            assert all(default is not None for _, default in params[len(sent) :]), row.name
            continue
        assert len(sent) == len(params), row.name
        assert sent == [str(name) for name, _ in params], row.name
        for name, default in params:
            if default is not None and name in row.defaults:
                assert _same_default(row.defaults[str(name)], str(default)), (row.name, name)


def _same_default(python: object, text: str) -> bool:
    if python in (None, False, -1):  # -1 is this rank, by the contract
        return text in ("none", "0", "", "false")
    if python is True:
        return text in ("true", "1")
    return text == str(python)


def test_fill_is_registered():
    assert "fill" in [str(name) for name, _ in builder.tile_ops()]


def test_row_syntax():
    row = table.Row('tile f(a:r, b=[1, (2, 3)], *, c="x,y") as g(a, 0, b, "s") -> void')
    assert (row.name, row.target, row.result) == ("f", "g", "void")
    assert row.positional == ["a", "b"]
    assert row.keyword_only == ["c", "annotations"]
    assert row.defaults == {"b": [1, (2, 3)], "c": "x,y", "annotations": None}
    assert row.sent == [("a", None), (None, 0), ("b", None), (None, "s"), ("annotations", None)]


def test_keyword_frees_its_positional_place():
    bound = Op("call f(dtype:t, name, *args:v) -> t:").bind(("g", 1, 2), {"dtype": "int8"})
    assert bound == {"dtype": "int8", "name": "g", "args": [1, 2]}


def test_annotations_are_pairs():
    bound = Op("tile f(a)").bind((1,), {"annotations": {"k": (1, 2)}})
    assert bound["annotations"] == [["k", [1, 2]]]
