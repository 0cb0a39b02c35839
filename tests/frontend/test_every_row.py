# SPDX-License-Identifier: MIT
"""Every row of the table can be called: it traces, or says what is wrong or not there yet at the user's line. No error
comes from inside."""

import pytest
import tilescale.language as T
from tilescale.errors import InternalError
from tilescale.language import table
from tilescale.language.ops import ROWS

ARGUMENTS = {
    "r": "B", "w": "B", "m": "B", "a": "B[0, 0]", "b": "bars[0]", "e": "A[0, 0]", "f": "A[0, 0]", "i": "bx",
    "v": "A[0, 0]", "k": "{s: T.Layout((8,), lambda i: i)}", "t": "'float32'",
}  # fmt: skip
PLAIN = {
    "attrs": "{}",
    "vectors": "[bx]",
    "indices": "[0]",
    "reduce_type": "'sum'",
    "func_name": "'f'",
    "source": "'int x;'",
}
FINE = (NotImplementedError, TypeError, ValueError, AssertionError, RuntimeError, IndexError)


def call_text(name: str) -> str:
    row = table.Row(ROWS[name])
    parts = []
    for param in row.positional + row.keyword_only:
        mark = row.marks[param]
        if param in row.defaults and (row.defaults[param] is not None or not mark):
            continue
        text = PLAIN.get(param, "1") if not mark else ARGUMENTS[mark]
        if param in row.positional and row.rest is None:
            parts.append(f"{param}={text}")
        elif param in row.positional:
            parts.append(text)
        else:
            parts.append(f"{param}={text}")
    return f"T.{name}({', '.join(parts)})"


@pytest.mark.parametrize("name", sorted(ROWS))
def test_row(name, trace):
    body = f"s = T.alloc_shared((8,), 'float32')\nbars = T.alloc_barrier(1)\nx = {call_text(name)}\n"
    try:
        trace(body)
    except InternalError:
        raise
    except FINE as error:
        text = str(error) + "".join(getattr(error, "__notes__", []))
        assert "  --> <frontend-test-" in text
        assert text.strip()
        if isinstance(error, NotImplementedError):
            assert f"T.{name}" in text or f"T.{table.Row(ROWS[name]).target}" in text, text


def test_not_there_yet_is_said_by_name(trace):
    with pytest.raises(NotImplementedError, match=r"^T\.gemm_sp is not supported yet"):
        trace("T.gemm_sp(A, B, A, B)")


@pytest.mark.parametrize("name", sorted(set(dir(T)) - set(ROWS)))
def test_every_other_name_exists(name):
    assert getattr(T, name) is not None
