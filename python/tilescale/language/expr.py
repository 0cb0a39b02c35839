# SPDX-License-Identifier: MIT
"""Scalar values of a kernel: handles of builder nodes with Python's operators.

Every operator is one call of `tilescale.builder.op`, which promotes, folds and checks; no rule about types is
written here. The concrete classes are siblings: were one a subclass of another, Python would ask the subclass's
reflected method first and comparisons would come out mirrored.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

from .._ffi import Object, builder, reflected, register_object
from ..errors import ExpressionSizeError
from .dtypes import dtype
from .tracer import active

_whole_op = builder.op
_whole_cast = builder.cast
_whole_load = builder.load
_text = builder.text
_dtype_of = builder.dtype
_same = builder.same


def op(opcode: str, args: list[Any], result: Any = None) -> "Expr":
    """An operation of the builder, in parts where it is too large."""
    try:
        return _whole_op(opcode, args, result)
    except ExpressionSizeError as error:
        return _in_parts(lambda parts: _whole_op(opcode, parts, result), opcode, args, error)


def _cast(x: Any, target: dtype) -> "Expr":
    try:
        return _whole_cast(x, target)
    except ExpressionSizeError as error:
        return _in_parts(lambda parts: _whole_cast(parts[0], target), "cast", [x], error)


def load(buffer: Any, index: list[Any]) -> "Load":
    """An element of a buffer."""
    try:
        return _whole_load(buffer, index)
    except ExpressionSizeError as error:
        return _in_parts(lambda parts: _whole_load(buffer, parts), "load", index, error)


def _in_parts(*args: Any) -> Any:
    from .parts import in_parts  # which needs all of this module

    return in_parts(*args)


class Operators:
    """What a scalar of the kernel can do: expressions, `T.alloc_var` cells and `T.Ref` parameters."""

    __slots__ = ()

    def _as_value(self) -> Any:
        """The node to compute with."""
        return self

    @property
    def dtype(self) -> dtype:
        return dtype(_dtype_of(self._as_value()))

    def astype(self, target: Any, *_: Any, **__: Any) -> "Expr":
        return _cast(self._as_value(), dtype(target))

    def equal(self, other: Any) -> Any:
        return self == other

    def __neg__(self) -> "Expr":
        return op("neg", [self._as_value()])

    def __pos__(self) -> Any:
        return self

    def __invert__(self) -> "Expr":
        e = self._as_value()
        return op("not" if _dtype_of(e) == "bool" else "bitnot", [e])

    def __abs__(self) -> "Expr":
        return op("abs", [self._as_value()])

    def __bool__(self) -> bool:
        e = self._as_value()
        if type(e) is Const:
            return bool(e.value)
        if type(e) is Op and e.opcode() in ("==", "!="):
            same = _same(*e.args)
            t = active()
            # Outside of a kernel symbols are compared as symbols, as of extents; inside, two may have equal values.
            if same or t is None or t.kernel is None:
                return same == (e.opcode() == "==")
        raise ValueError(
            f"`{_text(e)}` is a value of the kernel, it has no truth value while the kernel is traced. "
            "Inside a traced function use if / and / or / not / ternary directly (they become kernel code); "
            "in a helper make it a T.macro, or use T.if_then_else, T.And, T.Or, T.Not."
        )

    def __index__(self) -> int:
        e = self._as_value()
        if type(e) is Const and not isinstance(e.value, float):
            return int(e.value)
        raise TypeError(
            f"`{_text(e)}` is a value of the kernel, a Python integer is needed here (shape of on-chip memory, "
            "range of a Python loop, list index, …)."
        )

    def __int__(self) -> int:
        e = self._as_value()
        return int(e.value) if type(e) is Const else self.__index__()

    def __float__(self) -> float:
        e = self._as_value()
        if type(e) is Const:
            return float(e.value)
        raise TypeError(
            f"`{_text(e)}` is a value of the kernel, not a Python number. Use T.cast(x, dtype) to convert it, and "
            "T.sqrt, T.exp, … instead of the functions of math."
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """numpy's scalars and arrays meet values in Python's operators; its functions cannot compute with them."""
        name = ufunc.__name__
        if name not in _NUMPY_OPERATORS or method != "__call__" or kwargs:
            own = {"maximum": "max", "minimum": "min"}.get(name, name.replace("arc", "a"))
            if own in _NUMPY_FUNCTIONS:
                raise self._use(own, f"numpy.{name}")
            raise TypeError(
                f"`{_text(self._as_value())}` is a value of the kernel: numpy.{name} cannot compute with it"
            )
        numpy = sys.modules["numpy"]
        boxes = []
        for x in inputs:
            box = x
            if isinstance(x, Operators):
                box = numpy.empty((), dtype=object)
                box[()] = x
            boxes.append(box)
        return ufunc(*boxes, dtype=object)

    def _use(self, name: str, other: str = "") -> TypeError:
        e = self._as_value()
        return TypeError(f"`{_text(e)}` is a value of the kernel: use T.{name}, not {other or 'math.' + name}")

    def __ceil__(self) -> int:
        raise self._use("ceil")

    def __floor__(self) -> int:
        raise self._use("floor")

    def __trunc__(self) -> int:
        raise self._use("trunc")

    def __round__(self, digits: int | None = None) -> int:
        raise TypeError(f"`{_text(self._as_value())}` is a value of the kernel: use T.round, not round()")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"`{_text(self._as_value())}` is a value of the kernel, it has no attribute `{name}`")

    def __iter__(self) -> Iterator[Any]:
        """A scalar iterates as itself: `with T.Kernel(n) as (bx,)`."""
        return iter((self,))

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return _text(self._as_value())

    def __format__(self, spec: str) -> str:
        return format(_text(self._as_value()), spec)

    __hash__ = object.__hash__


def _binary(opcode: str, reflected: bool) -> Callable[[Any, Any], Any]:
    def operator(self: Any, other: Any) -> Any:
        if not isinstance(other, _OPERANDS):
            other = _foreign(other)
            if other is None:
                return NotImplemented
        a, b = self._as_value(), value(other)
        return op(opcode, [b, a] if reflected else [a, b])

    return operator


def _foreign(x: Any) -> Any:
    """A numpy or torch scalar as a Python number; None for anything that is not a scalar."""
    item = getattr(x, "item", None)
    return item() if item is not None and getattr(x, "shape", ()) == () else None


_ARITHMETIC = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truediv": "div",
    "floordiv": "floordiv",
    "mod": "floormod",
    "pow": "pow",
    "lshift": "shl",
    "rshift": "shr",
    "and": "and",
    "or": "or",
    "xor": "xor",
}
for _method, _opcode in _ARITHMETIC.items():
    setattr(Operators, f"__{_method}__", _binary(_opcode, False))
    setattr(Operators, f"__r{_method}__", _binary(_opcode, True))
for _method in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Operators, f"__{_method}__", _binary(_method, False))
_OPERANDS = (Operators, int, float)
_NUMPY_OPERATORS = frozenset(
    [
        "add",
        "subtract",
        "multiply",
        "divide",
        "floor_divide",
        "remainder",
        "power",
        "left_shift",
        "right_shift",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "equal",
        "not_equal",
        "negative",
        "positive",
        "absolute",
        "invert",
    ]
)
_NUMPY_FUNCTIONS = frozenset(
    [
        "sqrt",
        "exp",
        "exp2",
        "log",
        "log2",
        "log10",
        "log1p",
        "sin",
        "cos",
        "tan",
        "sinh",
        "cosh",
        "tanh",
        "asin",
        "acos",
        "atan",
        "atan2",
        "asinh",
        "acosh",
        "atanh",
        "ceil",
        "floor",
        "trunc",
        "round",
        "max",
        "min",
        "pow",
        "isnan",
        "isinf",
        "isfinite",
    ]
)


@register_object("tilescale.ir.Expr")
class Expr(Operators, Object):
    """Any expression. `hash(e)` is the identity of the node."""

    __slots__ = ()
    __hash__ = Object.__hash__

    def __reduce__(self) -> Any:
        raise TypeError(f"`{_text(self)}` is a value of a kernel that is being traced; it cannot be pickled")


@register_object("tilescale.ir.Var")
class Var(Expr):
    """A symbol: loop variable, block or thread index, scalar parameter, dynamic extent, bound name."""

    name: str


@register_object("tilescale.ir.Const")
class Const(Expr):
    """A literal."""

    @property
    def value(self) -> bool | int | float:
        return _value_of_const(self)


_value_of_const = reflected(Const, "value")


@register_object("tilescale.ir.Op")
class Op(Expr):
    """An operation: its operands, and `opcode()` as the IR text writes it."""

    args: Any
    opcode: Callable[[], str]

    @property
    def a(self) -> Any:
        return self.args[0]

    @property
    def b(self) -> Any:
        return self.args[1]


@register_object("tilescale.ir.Load")
class Load(Expr):
    """An element of a buffer: a value where one is computed with, a place where a tile op or atomic wants one."""

    buffer: Any
    index: Any

    @property
    def indices(self) -> list[Any]:
        return list(self.index)


@register_object("tilescale.ir.Addr")
class Addr(Expr):
    """A pointer into a buffer."""


_PLAIN = frozenset((int, float, bool, Var, Const, Op, Load, Addr))


def value(x: Any) -> Any:
    """`x` as the builder takes a value: an expression, or a Python number as it is."""
    if type(x) in _PLAIN:
        return x
    convert_self = getattr(x, "_as_value", None)
    if convert_self is not None:
        return convert_self()
    if isinstance(x, float):
        return float(x)
    if isinstance(x, int):
        return int(x)
    number = _foreign(x)
    if number is not None:
        return number
    raise TypeError(f"{type(x).__name__} {x!r:.60} is used where a kernel value is expected")


def is_value(x: Any) -> bool:
    """A number or an expression: what can be stored in a cell."""
    return isinstance(x, _OPERANDS)


def text(x: Any) -> str:
    """The notation of the IR text, for messages."""
    if isinstance(x, Operators):
        return _text(x._as_value())
    return _text(x) if isinstance(x, Object) else repr(x)


def var(name: str, data_type: Any = "int32", kind: str = "var") -> Var:
    return builder.var(name, dtype(data_type), kind)


def const(number: Any, data_type: Any = None) -> Const:
    return builder.const(number, None if data_type is None else dtype(data_type))


def cast(x: Any, data_type: Any) -> Expr:
    return _cast(value(x), dtype(data_type))


def convert(data_type: dtype, values: tuple[Any, ...]) -> Any:
    """What calling a dtype means: a symbol, a cast, or a vector of several values."""
    if not values or (len(values) == 1 and isinstance(values[0], dtype)):
        return var("v", data_type)
    if len(values) == 1:
        x = value(values[0])
        return _cast(x, data_type) if isinstance(x, Expr) else builder.const(x, data_type)
    return op("vector", [value(x) for x in values], data_type)
