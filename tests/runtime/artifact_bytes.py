# SPDX-License-Identifier: MIT
"""Artifacts written by hand, for tests of the runtime that must not depend on the compiler.

The format is runtime/artifact.cc's, written a second time: a field that is added there without a new format
version makes these tests fail.
"""

import struct
from dataclasses import dataclass, field

# HostOp of runtime/host_expr.h, in its order.
OPS = {
    "const": 0,
    "symbol": 1,
    "dim": 2,
    "stride": 3,
    "scalar": 4,
    "address": 5,
    "numel": 6,
    "add": 7,
    "sub": 8,
    "mul": 9,
    "floordiv": 10,
    "floormod": 11,
    "min": 12,
    "max": 13,
    "eq": 14,
    "ne": 15,
    "lt": 16,
    "le": 17,
    "and": 18,
    "or": 19,
    "not": 20,
    "select": 21,
}
DTYPES = {
    "int32": (0, 32),
    "int64": (0, 64),
    "float16": (2, 16),
    "float32": (2, 32),
    "float64": (2, 64),
    "bool": (6, 8),
}
KINDS = {"tensor": 0, "scalar": 1, "pointer": 2}
DATA, SCALAR, EXPR, WORKSPACE = range(4)


class Expr:
    """A postfix program; operators append."""

    def __init__(self, code):
        self.code = code

    def _with(self, op, other):
        return Expr([*self.code, *expr(other).code, (OPS[op], 0, 0, 0)])

    def __add__(self, other):
        return self._with("add", other)

    def __mul__(self, other):
        return self._with("mul", other)

    def __floordiv__(self, other):
        return self._with("floordiv", other)

    def __mod__(self, other):
        return self._with("floormod", other)

    def equals(self, other):
        return self._with("eq", other)

    def ceildiv(self, other):
        return (self + (other - 1)) // other


def expr(value) -> Expr:
    return value if isinstance(value, Expr) else Expr([(OPS["const"], 0, 0, value)])


def symbol(index):
    return Expr([(OPS["symbol"], 0, 0, index)])


def dim(param, index):
    return Expr([(OPS["dim"], param, index, 0)])


def address(param):
    return Expr([(OPS["address"], param, 0, 0)])


def scalar(param):
    return Expr([(OPS["scalar"], param, 0, 0)])


@dataclass
class Param:
    name: str
    dtype: str
    shape: list = field(default_factory=list)
    kind: str = "tensor"
    strides: list = field(default_factory=list)
    is_output: bool = False
    nullable: bool = False


@dataclass
class Kernel:
    entry: str
    args: list  # (kind, index or expression, dtype)
    grid: tuple = (1, 1, 1)
    block: tuple = (128, 1, 1)
    cluster: tuple = (1, 1, 1)
    shared: object = 0
    cooperative: bool = False


@dataclass
class Variant:
    source: str
    kernels: list
    facts: list = field(default_factory=list)  # (expression, text)
    workspaces: list = field(default_factory=list)  # (name, bytes, zeroed)


@dataclass
class Artifact:
    name: str
    target: tuple
    params: list
    variants: list
    symbols: list = field(default_factory=list)  # (name, expression)
    checks: list = field(default_factory=list)  # (expression, kind, message)
    outputs: list = field(default_factory=list)
    options: list = field(default_factory=list)
    uses_heap: bool = False

    def to_bytes(self) -> bytes:
        out = Writer()
        out.raw(b"TSARTIF1" + struct.pack("<I", 5))
        out.text(self.name)
        out.text(self.target[0])
        out.text(self.target[1])
        out.each(self.params, out.param)
        out.each(self.symbols, lambda s: (out.text(s[0]), out.expr(s[1])))
        out.each(self.checks, lambda c: (out.expr(c[0]), out.text(c[1]), out.text(c[2])))
        out.each(self.variants, out.variant)
        out.each(self.outputs, lambda o: out.raw(struct.pack("<i", o)))
        out.each(self.options, out.text)
        out.raw(struct.pack("<B", self.uses_heap))
        out.raw(struct.pack("<i", 0))  # min_ranks
        out.text("")  # min_ranks_by
        out.count(0)  # flops
        out.count(0)  # bytes
        return bytes(out.data)


class Writer:
    def __init__(self):
        self.data = bytearray()

    def raw(self, data):
        self.data += data

    def count(self, value):
        self.raw(struct.pack("<Q", value))

    def each(self, items, write):
        self.count(len(items))
        for item in items:
            write(item)

    def text(self, text):
        self.count(len(text.encode()))
        self.raw(text.encode())

    def expr(self, value):
        self.each(expr(value).code, lambda c: self.raw(struct.pack("<Bhhq", *c)))

    def dtype(self, name):
        code, bits = DTYPES[name] if name else (0, 0)
        self.raw(struct.pack("<BBH", code, bits, 1 if name else 0))

    def param(self, p):
        self.text(p.name)
        self.raw(struct.pack("<B", KINDS[p.kind]))
        self.dtype(p.dtype)
        self.each(p.shape, self.expr)
        self.each(p.strides, self.expr)
        self.raw(struct.pack("<BB", p.is_output, p.nullable))
        self.text("")  # remote

    def arg(self, arg):
        kind, what, dtype = (*arg, "")[:3]
        self.raw(struct.pack("<Bi", kind, 0 if kind == EXPR else what))
        if kind == EXPR:
            self.expr(what)
        else:
            self.count(0)
        self.dtype(dtype)

    def kernel(self, k):
        self.text(k.entry)
        for extents in (k.grid, k.block, k.cluster):
            for extent in extents:
                self.expr(extent)
        self.expr(k.shared)
        self.raw(struct.pack("<iB", 1, k.cooperative))
        self.each(k.args, self.arg)

    def variant(self, v):
        self.each(v.facts, lambda f: (self.expr(f[0]), self.text(f[1])))
        self.text(v.source)
        self.each(v.kernels, self.kernel)
        self.each(v.workspaces, lambda w: (self.text(w[0]), self.expr(w[1]), self.raw(struct.pack("<BB", w[2], False))))
        self.text("")  # explain
