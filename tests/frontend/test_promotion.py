# SPDX-License-Identifier: MIT
"""Result types of operators, as the contract's package gives them."""

import itertools

import pytest
import tilescale.language as T

INTS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float16", "float32", "float64"]
BITS = {"bool": 1, "float8_e4m3fn": 8, "bfloat16": 16}


def bits(name: str) -> int:
    return BITS.get(name) or int("".join(c for c in name if c.isdigit()))


def promoted(a: str, b: str) -> str:
    """The table of the language's reference, written independently of the builder."""
    if a == b:
        return a
    if "bool" in (a, b):
        return b if a == "bool" else a
    a_int, b_int = a in INTS, b in INTS
    if a_int != b_int:
        return b if a_int else a
    if a_int:
        if bits(a) != bits(b):
            return a if bits(a) > bits(b) else b
        return a if a.startswith("uint") else b
    if bits(a) == bits(b):
        return "float16"
    return a if bits(a) > bits(b) else b


TYPES = ["bool", *INTS, *FLOATS]


@pytest.mark.parametrize("a", TYPES)
def test_all_pairs(a):
    for b in TYPES:
        x, y = T.dtype(a)(), T.dtype(b)()
        assert (x + y).dtype == promoted(a, b), (a, b)
        assert (x < y).dtype == "bool"


@pytest.mark.parametrize(
    "a, b, result",
    [
        ("float16", "bfloat16", "float16"),
        ("int64", "float16", "float16"),
        ("int32", "float8_e4m3fn", "float8_e4m3fn"),
        ("float8_e4m3fn", "float32", "float32"),
        ("bfloat16", "float32", "float32"),
    ],
)
def test_small_floats(a, b, result):
    assert (T.dtype(a)() + T.dtype(b)()).dtype == result
    assert (T.dtype(b)() + T.dtype(a)()).dtype == result


@pytest.mark.parametrize(
    "a, number, result",
    [
        ("int8", 1, "int32"),
        ("uint32", 1, "uint32"),
        ("float16", 1, "float16"),
        ("int32", 1 << 40, "int64"),
        ("float16", 1.5, "float32"),
        ("float64", 1.5, "float64"),
        ("int64", 1.5, "float32"),
        ("int8", True, "int8"),
        ("bool", 1, "int32"),
    ],
)
def test_python_numbers_are_not_weak(a, number, result):
    assert (T.dtype(a)() + number).dtype == result
    assert (number + T.dtype(a)()).dtype == result


@pytest.mark.parametrize("a, n", itertools.product(["int8", "uint16", "int64"], [1, 3]))
def test_shift_by_a_constant_keeps_the_left_type(a, n):
    assert (T.dtype(a)() << n).dtype == a
    assert (T.dtype(a)() >> n).dtype == a


def test_unary_math_types():
    assert T.exp(T.int32()).dtype == "float32"
    assert T.exp(T.float16()).dtype == "float16"
    assert T.max(T.float16(), 1.5).dtype == "float32"
    assert T.if_then_else(T.bool(), T.int8(), T.float16()).dtype == "float16"


def test_folding():
    i = T.dynamic("i")
    assert str((i + 1) * 64 - i * 64) == "64"
    assert str(i * 1 + 0) == "i"
    assert int(T.int32(3) * 4 + 2) == 14
    assert bool(T.int32(3) == 3)


def test_equality_is_structural_in_python():
    i, j = T.dynamic("i, j")
    assert i + 1 in [j, i + 1]
    assert i + 1 not in [j, i + 2]
    assert i != "text"
    assert {i: 1}[i] == 1


def test_numpy_and_torch_scalars():
    import numpy as np
    import torch

    i = T.dynamic("i")
    assert str(i + np.int64(3)) == "i + 3"
    assert str(i * torch.tensor(2)) == "i * 2"
    assert str(np.int32(3) + i) == "3 + i"
