# SPDX-License-Identifier: MIT
"""T.ld of each semantics, scope and width, from the next rank."""

import itertools

import pytest
from rank_programs import WIDTHS, check_store_and_load

LOADS = [
    {"sem": sem, "scope": scope}
    for sem, scope in itertools.product(["weak", "volatile", "relaxed", "acquire"], ["cta", "gpu", "sys"])
]


@pytest.mark.parametrize("dtype", WIDTHS)
def test_each_semantics_scope_and_width(dtype):
    check_store_and_load(dtype, LOADS)
