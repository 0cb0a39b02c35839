# SPDX-License-Identifier: MIT
"""convert is the compiler's own: a program that writes it is told so."""

import op_errors
import pytest

CASES = [
    (
        "T.convert(x, x)",
        AttributeError,
        "T.convert is not part of the dialect that this version supports; did you mean T.const?",
    ),
]


@pytest.mark.parametrize(("line", "kind", "text"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, text):
    assert op_errors.message(line) == (kind, text)
