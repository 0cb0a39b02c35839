# SPDX-License-Identifier: MIT
"""Where the source of a traced function comes from, and what happens where there is none."""

import linecache

import pytest
import tilescale.language as T
from tilescale.errors import SourceError
from tilescale.language import source

TEXT = """
@T.prim_func
def main(A: T.Tensor((4,), "float32")):
    with T.Kernel(4) as bx:
        A[bx] = 1
"""


def test_notebook_cells_are_found_in_linecache():
    name = "<ipython-input-1-abc>"
    linecache.cache[name] = (len(TEXT), None, TEXT.splitlines(True), name)
    scope = {"T": T}
    exec(compile(TEXT, name, "exec"), scope)
    assert "store %A" in scope["main"].script()


def test_exec_source():
    assert "store %A" in T.exec_source(TEXT, {"T": T})["main"].script()


def test_exec_without_text():
    with pytest.raises(SourceError) as info:
        exec(TEXT, {"T": T, "__name__": "x"})
    assert isinstance(info.value, OSError)
    assert str(info.value) == (
        "the source text of `main` is not available ('<string>'): kernels are read from source. Put it in a file or a "
        "notebook cell; for text that is passed to exec(), use T.exec_source(text, globals), which registers the text "
        "and executes it"
    )


def test_lambda():
    with pytest.raises(SourceError, match=r"no longer defines `<lambda>` \(a lambda, or the file changed"):
        source.rewritten(lambda x: x)


def test_changed_file(tmp_path):
    name = str(tmp_path / "gone.py")
    scope = {"T": T}
    code = compile(TEXT, name, "exec")
    linecache.cache[name] = (1, None, ["x = 1\n"] * 9, name)
    with pytest.raises(SourceError, match="no longer defines `main`"):
        exec(code, scope)


def test_trailing_statements_without_byte_code_are_kept():
    def function(x):
        y = x
        z: T.int32  # noqa: F842

    assert set(source.rewritten(function).declared) == {"z"}


def test_following_code_is_not_taken():
    def function(x): return x  # fmt: skip

    after = function

    assert source.parse(function).name == "function"
    assert len(source.parse(after).body) == 1


def test_one_parse_for_a_code_object():
    def make(n):
        def function(x):
            return x + n

        return function

    assert source.rewritten(make(1)) is source.rewritten(make(2))


def test_closures_are_the_original_cells():
    def make(n):
        @T.prim_func
        def main(A: T.Tensor((8,), "float32")):
            with T.Kernel(n) as bx:
                A[bx] = n

        return main

    assert "grid(%bx: 3)" in make(3).script()
    assert "grid(%bx: 5)" in make(5).script()


def test_columns_of_indented_text_are_right():
    def function(x):
        return x

    node = source.parse(function)
    assert (node.lineno, node.col_offset) == (function.__code__.co_firstlineno, 4)


def test_multi_line_strings_keep_their_indentation(trace):
    func = trace('T.import_source("""\n  a\n""")\nB[0, 0] = 1')
    assert "\\n          a\\n" in func.script() or "\n          a\n" in func.script()
