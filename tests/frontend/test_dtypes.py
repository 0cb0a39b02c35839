# SPDX-License-Identifier: MIT
"""Element types: names, widths, what they equal, what they refuse."""

import pickle

import numpy as np
import pytest
import tilescale.language as T
import torch

WIDTHS = {
    "bool": 8, "int4": 4, "int8": 8, "int16": 16, "int32": 32, "int64": 64, "uint4": 4, "uint8": 8,
    "uint16": 16, "uint32": 32, "uint64": 64, "float16": 16, "bfloat16": 16, "float32": 32,
    "float64": 64, "float8_e4m3fn": 8, "float8_e4m3": 8, "float8_e5m2": 8, "float8_e8m0fnu": 8,
    "float4_e2m1fn": 4, "float6_e2m3fn": 6, "handle": 64,
}  # fmt: skip


@pytest.mark.parametrize("name", WIDTHS)
def test_names(name):
    d = getattr(T, name)
    assert (d, d.bits, d.lanes) == (name, WIDTHS[name], 1)
    assert T.dtype(name) is d


def test_tf32_is_stored_in_32_bits():
    assert T.tfloat32 == "custom[tfloat32]"
    assert T.tfloat32.bits == 32
    assert T.tfloat32.is_float


def test_lanes():
    assert T.float16x2.lanes == 2
    assert T.float16.with_lanes(8) == "float16x8"
    assert T.float16x2.with_lanes(1) == "float16"
    assert T.uint32x4.bytes == 16
    assert T.float4_e2m1fnx2.bytes == 1


@pytest.mark.parametrize(
    "given, name",
    [
        ("half", "float16"), ("f16", "float16"), ("long", "int64"), (int, "int32"), (float, "float32"),
        (bool, "bool"), (np.float64, "float64"), (np.dtype("int16"), "int16"), (torch.bfloat16, "bfloat16"),
        (torch.float8_e4m3fn, "float8_e4m3fn"), ("double", "float64"),
    ],
)  # fmt: skip
def test_spellings(given, name):
    assert T.dtype(given) == name


@pytest.mark.parametrize("given", ["float", "int", "half"])
def test_equality(given):
    assert T.dtype(given) == given
    assert T.dtype(given) != "int8"
    assert T.float16 == torch.float16
    assert T.float32 == np.float32
    assert T.float16 != 3
    assert {T.float16: 1}["float16"] == 1


@pytest.mark.parametrize("given", ["int7", "float8", "float9_e4m3", "bool3x", "custom[x]", "e4m3", "uint", "coppy"])
def test_refused(given):
    if given == "uint":
        assert T.dtype(given) == "uint32"
        return
    with pytest.raises(TypeError) as info:
        T.dtype(given)
    assert str(info.value).partition(";")[0] == f"Invalid DataType {given!r}"


@pytest.mark.parametrize(
    "given, meant",
    [
        ("fp16", "'float16'"),
        ("fp64", "'float64'"),
        ("bfp16", "'bfloat16'"),
        ("sint8", "'int8'"),
        ("fp8", "'float8_e4m3fn' or 'float8_e5m2'"),
        ("e5m2", "'float8_e5m2'"),
        ("flaot32", "'float32'"),
        ("bolean", "'boolean'"),
    ],
)
def test_what_may_be_meant(given, meant):
    with pytest.raises(TypeError) as info:
        T.dtype(given)
    assert str(info.value) == f"Invalid DataType {given!r}; did you mean {meant}?"


def test_no_suggestion_where_nothing_is_near():
    with pytest.raises(TypeError) as info:
        T.dtype("qqq")
    assert str(info.value) == "Invalid DataType 'qqq'"


def test_torch():
    assert T.bfloat16.as_torch() is torch.bfloat16
    assert T.tfloat32.as_torch() is torch.float32
    assert T.int4.as_torch() is torch.int8
    assert T.handle.as_torch() is None
    with pytest.raises(ValueError, match="torch has no dtype for float6_e2m3fn"):
        T.float6_e2m3fn.as_torch()


def test_pickle():
    assert pickle.loads(pickle.dumps(T.float16)) is T.float16


def test_calls():
    assert T.int32().dtype == "int32"
    assert T.float16(2).dtype == "float16"
    assert float(T.float16(2)) == 2.0
    assert T.float16(T.int32()).dtype == "float16"
    assert T.float32x2(T.float32(), 1).dtype == "float32x2"
