# SPDX-License-Identifier: MIT
"""Element types. A dtype is its name: it equals and hashes as the string, and is called to cast."""

import difflib
import re
from typing import Any

_ALIASES = {
    "short": "int16",
    "int": "int32",
    "long": "int64",
    "uint": "uint32",
    "ulong": "uint64",
    "half": "float16",
    "float": "float32",
    "double": "float64",
    "boolean": "bool",
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "bf16": "bfloat16",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "u8": "uint8",
    "u16": "uint16",
    "u32": "uint32",
    "u64": "uint64",
    "ptr": "int64",
    "tfloat32": "custom[tfloat32]",
    "float4_e2m1_unpacked": "custom[float4_e2m1_unpacked]",
    "float4_e2m1fn_x2": "float4_e2m1fnx2",
}
_WIDTHS = {
    "bool": (8,),
    "handle": (64,),
    "void": (0,),
    "int": (4, 8, 16, 32, 64),
    "uint": (4, 8, 16, 32, 64),
    "float": (4, 6, 8, 16, 32, 64),
    "bfloat": (16,),
}
_FORMATS = {  # bits of a float with a named format
    "e3m4": 8,
    "e4m3": 8,
    "e4m3b11fnuz": 8,
    "e4m3fn": 8,
    "e4m3fnuz": 8,
    "e5m2": 8,
    "e5m2fnuz": 8,
    "e8m0fnu": 8,
    "e2m3fn": 6,
    "e3m2fn": 6,
    "e2m1fn": 4,
}
_CUSTOM = {"custom[tfloat32]": 32, "custom[float4_e2m1_unpacked]": 8}
_NAME = re.compile(r"(bool|handle|void|uint|int|bfloat|float)(\d+)?(?:_(e\w+?))?(?:x(\d+))?")
_PYTHON = {bool: "bool", int: "int32", float: "float32"}


def _parse(name: str) -> tuple[str, int, int] | None:
    """(code, bits, lanes) of a canonical name, or None."""
    if name.startswith("custom["):
        base, _, lanes = name.partition("]")
        bits = _CUSTOM.get(base + "]")
        if bits is None or not re.fullmatch(r"(x\d+)?", lanes):
            return None
        return "float", bits, int(lanes[1:] or 1)
    m = _NAME.fullmatch(name)
    if m is None:
        return None
    code, width, fmt, lanes = m.groups()
    bits = int(width) if width else {"bool": 8, "handle": 64, "void": 0}.get(code, -1)
    if bits not in _WIDTHS[code] or (fmt is not None) != (code == "float" and bits < 16):
        return None
    if fmt is not None and _FORMATS.get(fmt) != bits:
        return None
    return code, bits, int(lanes or 1)


def _hint(name: str) -> str:
    """What may have been meant, of the names that other packages use."""
    meant = {
        "fp8": "'float8_e4m3fn' or 'float8_e5m2'",
        "float8": "'float8_e4m3fn' or 'float8_e5m2'",
        "e4m3": "'float8_e4m3fn'",
        "e5m2": "'float8_e5m2'",
        "tf32": "'tfloat32'",
    }.get(name)
    spelled = re.fullmatch(r"(fp|bfp|[su]?int)(\d+)", name)
    if meant is None and spelled:
        kind = {"fp": "float", "bfp": "bfloat", "sint": "int"}.get(spelled[1], spelled[1])
        meant = repr(kind + spelled[2]) if _parse(kind + spelled[2]) else None
    if meant is None:
        near = difflib.get_close_matches(name, [*_ALIASES, *(f"{c}{w}" for c, ws in _WIDTHS.items() for w in ws)], 1)
        meant = repr(near[0]) if near else None
    return f"; did you mean {meant}?" if meant else ""


class dtype(str):
    """`T.float16`, `T.dtype("float16")`: a name with `bits`, `lanes` and `code`. `T.float16(x)` casts,
    `T.int32()` makes a symbol, `T.float32x2(a, b)` makes a vector."""

    code: str
    bits: int
    lanes: int

    def __new__(cls, value: Any = "float32") -> "dtype":
        if type(value) is cls:
            return value
        name = _name_of(value)
        known = _known.get(name)
        if known is not None:
            return known
        canonical = _ALIASES.get(name, name)
        parts = _parse(canonical)
        if parts is None:
            raise TypeError(f"Invalid DataType {value!r}" + _hint(name))
        self = str.__new__(cls, canonical)
        self.code, self.bits, self.lanes = parts
        _known[name] = self
        return self

    @property
    def is_float(self) -> bool:
        return self.code in ("float", "bfloat")

    @property
    def is_int(self) -> bool:
        return self.code in ("int", "uint")

    @property
    def bytes(self) -> int:
        return (self.bits * self.lanes + 7) // 8

    itemsize = bytes

    @property
    def type_code(self) -> str:
        return self.code

    def with_lanes(self, lanes: int) -> "dtype":
        base = re.sub(r"x\d+$", "", self)
        return dtype(f"{base}x{lanes}" if lanes > 1 else base)

    def is_float4(self) -> bool:
        return "float4" in self

    def is_float4_e2m1fn(self) -> bool:
        return self.startswith("float4_e2m1fn")

    def is_float4_e2m1_unpacked(self) -> bool:
        return self.startswith("custom[float4_e2m1_unpacked]")

    def as_torch(self) -> Any:
        """The torch dtype that stores this one, or None for pointers."""
        import torch

        if self.code in ("handle", "void"):
            return None
        name = _TORCH.get(self, self)
        found = getattr(torch, name, None)
        if found is None:
            raise ValueError(f"torch has no dtype for {self}")
        return found

    def __call__(self, *values: Any) -> Any:
        from . import expr

        return expr.convert(self, values)

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        if isinstance(other, dtype):
            return str.__eq__(self, other)
        if isinstance(other, (str, type)) or hasattr(other, "itemsize"):
            try:
                return str.__eq__(self, dtype(other))
            except TypeError:
                return False
        return False

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return dtype, (str(self),)


_known: dict[str, dtype] = {}
_TORCH = {
    "float4_e2m1fn": "int8",
    "int4": "int8",
    "uint4": "uint8",
    "custom[tfloat32]": "float32",
    "custom[float4_e2m1_unpacked]": "uint8",
    "float8_e4m3": "float8_e4m3fn",
}


def _name_of(value: Any) -> str:
    """The name inside a string, a Python type, a numpy or a torch dtype."""
    if isinstance(value, str):
        text = str.__str__(value)
    elif isinstance(value, type):
        text = _PYTHON.get(value) or str(value.__name__)
    else:
        text = str(getattr(value, "name", None) or value)
    return text.removeprefix("torch.")


def is_float4(value: Any) -> bool:
    """Whether a dtype is one of the 4-bit floats."""
    return dtype(value).is_float4()


def is_float4_e2m1fn(value: Any) -> bool:
    """Whether a dtype is float4_e2m1fn, two to a byte."""
    return dtype(value).is_float4_e2m1fn()


def is_float4_e2m1_unpacked(value: Any) -> bool:
    """Whether a dtype is the 4-bit float that takes a byte."""
    return dtype(value).is_float4_e2m1_unpacked()


INT32, INT64, UINT64 = dtype("int32"), dtype("int64"), dtype("uint64")
FLOAT32, BOOL, HANDLE, VOID = dtype("float32"), dtype("bool"), dtype("handle"), dtype("void")
