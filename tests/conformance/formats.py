# SPDX-License-Identifier: MIT
"""Number formats, written from their definitions and sharing no code with either side under test.

A format is sign, exponent and mantissa bits. Values are exact (`Fraction`, or float64 where that is enough), and
rounding is done on fractions, so an expected result has exactly one rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Format:
    name: str
    bits: int
    mantissa: int
    bias: int
    infinite: bool = True  # has infinities; otherwise the top exponent holds numbers
    saturating: bool = False  # overflow, infinities too, becomes the largest finite value
    nan: int = 0  # the code of a NaN result

    @property
    def sign_bit(self) -> int:
        return 1 << (self.bits - 1)

    @cached_property
    def values(self) -> np.ndarray:
        """float64 value of every code (formats of at most 16 bits)."""
        codes = np.arange(1 << self.bits)
        exponent = (codes & (self.sign_bit - 1)) >> self.mantissa
        fraction = codes & ((1 << self.mantissa) - 1)
        normal = (1 + fraction / 2.0**self.mantissa) * 2.0 ** (exponent - float(self.bias))
        subnormal = fraction * 2.0 ** (1 - self.bias - self.mantissa)
        value = np.where(exponent == 0, subnormal, normal)
        top = (1 << (self.bits - 1 - self.mantissa)) - 1
        if self.infinite:
            value = np.where((exponent == top) & (fraction == 0), np.inf, value)
            value = np.where((exponent == top) & (fraction != 0), np.nan, value)
        else:
            last = (1 << self.mantissa) - 1
            value = np.where((exponent == top) & (fraction == last), np.nan, value)
        return np.where(codes & self.sign_bit, -value, value)

    @cached_property
    def largest(self) -> int:
        """The code of the largest finite value."""
        if self.infinite:
            top = (1 << (self.bits - 1 - self.mantissa)) - 1
            return (top << self.mantissa) - 1
        return self.sign_bit - 2

    def round(self, x: Fraction, negative_zero: bool = False) -> int:
        """The code nearest to x, ties to even; `negative_zero`: the sign of an exact zero."""
        if x == 0:
            return self.sign_bit if negative_zero else 0
        sign = self.sign_bit if x < 0 else 0
        x = abs(x)
        exponent = x.numerator.bit_length() - x.denominator.bit_length()
        if Fraction(2) ** exponent > x:
            exponent -= 1
        exponent = max(exponent, 1 - self.bias)
        unit = Fraction(2) ** (exponent - self.mantissa)
        steps = round(x / unit)  # Python rounds a fraction's ties to even
        # `steps` counts units above zero of this binade; the code follows, carries included.
        code = ((exponent + self.bias - 1) << self.mantissa) + steps
        if code > self.largest:
            overflow = self.largest if self.saturating else self.largest + 1
            code = overflow
        return sign | code

    def encode(self, x: float) -> int:
        """The code of a float with infinities, NaN and signed zeros."""
        if x != x:
            return self.nan
        if np.isinf(x):
            code = self.largest if self.saturating else self.largest + 1
            return code | (self.sign_bit if x < 0 else 0)
        return self.round(Fraction(float(x)), bool(np.signbit(x)))

    def encode_array(self, x: np.ndarray) -> np.ndarray:
        """`encode` of each element, by search among the values; x is exact in float64."""
        x = np.asarray(x, dtype=np.float64)
        table = self.values[: self.largest + 1]
        magnitude = np.abs(x)
        upper = np.clip(np.searchsorted(table, magnitude), 1, self.largest)
        lower = upper - 1
        # Halfway to the value that would follow the largest is where overflow begins.
        middle = (table[lower] + table[upper]) / 2
        code = np.where((magnitude > middle) | ((magnitude == middle) & (upper % 2 == 0)), upper, lower)
        limit = table[-1] + (table[-1] - table[-2]) / 2
        code = np.where(magnitude >= limit, self.largest if self.saturating else self.largest + 1, code)
        code = np.where(np.signbit(x), code | self.sign_bit, code)
        return np.where(np.isnan(x), self.nan, code)


F16 = Format("f16", 16, 10, 15, nan=0x7FFF)
BF16 = Format("bf16", 16, 7, 127, nan=0x7FFF)
E4M3 = Format("e4m3", 8, 3, 7, infinite=False, saturating=True, nan=0x7F)
E5M2 = Format("e5m2", 8, 2, 15, saturating=True, nan=0x7F)
F32 = Format("f32", 32, 23, 127, nan=0x7FFFFFFF)
SMALL = {f.name: f for f in (F16, BF16, E4M3, E5M2)}

# Kernel-text type and storage of each name used in the tables.
TYPES = {
    "bool": ("bool", np.uint8),
    "i8": ("ts::i8", np.int8),
    "u8": ("ts::u8", np.uint8),
    "i16": ("ts::i16", np.int16),
    "u16": ("ts::u16", np.uint16),
    "i32": ("ts::i32", np.int32),
    "u32": ("ts::u32", np.uint32),
    "i64": ("ts::i64", np.int64),
    "u64": ("ts::u64", np.uint64),
    "f32": ("float", np.float32),
    "f64": ("double", np.float64),
    "f16": ("ts::f16", np.uint16),
    "bf16": ("ts::bf16", np.uint16),
    "tf32": ("ts::tf32", np.uint32),
    "e4m3": ("ts::e4m3", np.uint8),
    "e5m2": ("ts::e5m2", np.uint8),
}


def decode(name: str, stored: np.ndarray) -> np.ndarray:
    """float64 (or integer) values of an array as stored."""
    if name in SMALL:
        return SMALL[name].values[stored.astype(np.int64)]
    with np.errstate(invalid="ignore"):  # signalling NaN
        if name == "tf32":
            return stored.view(np.float32).astype(np.float64)
        return stored.astype(np.float64) if name in ("f32", "f64") else stored


def random_bits(name: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform codes of a type: every exponent, subnormals, infinities and NaN."""
    dtype = np.dtype(TYPES[name][1])
    raw = rng.integers(0, 256, size=count * dtype.itemsize, dtype=np.uint8).view(dtype)
    return raw & 1 if name == "bool" else raw


def all_codes(name: str) -> np.ndarray:
    dtype = np.dtype(TYPES[name][1])
    return np.arange(1 << (8 * dtype.itemsize), dtype=np.uint64).astype(dtype)
