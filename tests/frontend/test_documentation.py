# SPDX-License-Identifier: MIT
"""help(T.name) says something for every name of the dialect."""

import inspect

import pytest
import tilescale.language as T
from tilescale.language.dtypes import dtype
from tilescale.language.ops import Op


def callables():
    for name in dir(T):
        found = getattr(T, name)
        if callable(found) and not isinstance(found, dtype):
            yield name


@pytest.mark.parametrize("name", list(callables()))
def test_has_documentation(name):
    found = getattr(T, name)
    # A class inherits its base's text, which says nothing about it.
    text = found.__dict__.get("__doc__") if inspect.isclass(found) else found.__doc__
    assert text and text.strip(), f"T.{name} has no documentation"
    first = text.strip().splitlines()[0]
    if isinstance(found, Op):
        assert first.startswith(f"T.{name}(")
    else:
        assert len(first) > 20 and first.split("`")[0].split("(")[0].strip() != name
