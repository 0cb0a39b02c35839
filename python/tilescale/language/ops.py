# SPDX-License-Identifier: MIT
"""Rows of the table as functions: converts operands by their marks and calls the builder. No code per op."""

from collections.abc import Callable
from typing import Any

from .._ffi import builder
from . import tracer
from .buffers import Buffer, Cell, Ref, Region
from .dtypes import dtype
from .expr import Expr, Load, Operators, Var, load, op, value
from .frames import plain
from .layouts import Layout
from .table import Row, read_docs, read_rows

ROWS = read_rows()
_docs: dict[str, str] = {}


def _place(x: Any) -> Any:
    """`x` itself, or the place it stands for: a name bound to an element, a reference, a cell."""
    if type(x) is Var:
        t = tracer.active()
        bound = t.let(x) if t is not None else None
        return bound if type(bound) is Load else x
    if type(x) is Ref:
        return _place(x.place)
    return x


def region(x: Any, op: str) -> Any:
    """A buffer, a slice, or an element as a start address."""
    x = _place(x)
    if type(x) is Load:
        return builder.region(x.buffer, list(x.index), None)
    if type(x) is Cell:
        return x.buffer
    if type(x) in (Buffer, Region):
        return x
    raise TypeError(f"T.{op} needs a buffer, a slice or an element of a buffer, got {type(x).__name__} {x!r:.60}")


def address(x: Any, op: str) -> Any:
    """Memory: an element, a buffer, a slice, a pointer."""
    x = _place(x)
    return x if isinstance(x, (Buffer, Region, Expr, str)) else value(x)


def _barrier(x: Any, op: str) -> Any:
    x = _place(x)
    if type(x) is Buffer:
        assert x.ndim == 1, f"T.{op}: a barrier buffer must have one dimension, got shape {x.shape}"
        return load(x, [0])
    if isinstance(x, (Operators, int)):
        return value(x)
    raise TypeError(f"mbarrier must be an element of a barrier buffer or a barrier buffer, but got {type(x).__name__}")


def _typed(accepts: Callable[[dtype], bool], wanted: str) -> Callable[[Any, str], Any]:
    def convert(x: Any, op: str) -> Any:
        e = value(x)
        found = e.dtype if isinstance(e, Expr) else dtype(type(e))
        if not accepts(found):
            raise TypeError(f"T.{op} requires {wanted}, but got {found}")
        return e

    return convert


def _value_or_memory(x: Any, op: str) -> Any:
    return x if isinstance(x, (Buffer, Region, str)) else value(x)


def _buffer_map(x: Any, op: str) -> list[list[Any]]:
    """{buffer: value} as pairs. A function stands for the layout it computes."""
    entries = []
    for key, entry in dict(x).items():
        buffer = key.buffer if isinstance(key, (Cell, Region, Load)) else key
        if not isinstance(buffer, Buffer):
            raise TypeError(f"T.{op} maps buffers, got the key {key!r:.60}")
        if callable(entry) and not hasattr(entry, "layout_spec"):
            entry = Layout(buffer.shape, entry)
        entries.append([buffer, value(entry) if isinstance(entry, Operators) else plain(entry)])
    return entries


def _annotations(x: Any) -> list[list[Any]]:
    return [[str(k), plain(v)] for k, v in dict(x or {}).items()]


_CONVERT: dict[str, Callable[[Any, str], Any]] = {
    "r": region,
    "w": region,
    "m": region,
    "a": address,
    "b": _barrier,
    "v": _value_or_memory,
    "k": _buffer_map,
    "e": lambda x, op: value(x),
    "f": _typed(lambda d: d.is_float, "a floating-point operand"),
    "i": _typed(lambda d: not d.is_float, "an integer or boolean predicate"),
    "t": lambda x, op: dtype(x),
    "": lambda x, op: plain(x),
}


class Op:
    # One name of the dialect: `T.copy`, `T.exp`, … Its documentation is that of the row.

    def __init__(self, line: str) -> None:
        self.row = row = Row(line)
        self.__name__ = self.__qualname__ = row.name
        self.__signature__ = row.signature()
        self._convert = {n: _CONVERT[mark] for n, mark in row.marks.items() if n != "annotations"}

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        return _documentation(self.row)

    def __repr__(self) -> str:
        return f"<T.{self.row.name}>"

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Converted operands by name, defaults filled in."""
        row = self.row
        positional = row.positional
        if row.rest is not None:  # a keyword frees its positional place: call_extern(name, p, dtype=d)
            positional = [n for n in positional if n not in kwargs]
        elif len(args) > len(positional):
            extra = f"; {', '.join(row.keyword_only)} are keyword-only" if row.keyword_only else ""
            raise TypeError(
                f"T.{row.name}() takes at most {len(positional)} positional arguments "
                f"({', '.join(positional)}), got {len(args)}{extra}"
            )
        given = dict(zip(positional, args, strict=False))
        for name, x in kwargs.items():
            if name not in row.marks or name == row.rest:
                known = ", ".join(row.positional + row.keyword_only)
                raise TypeError(f"T.{row.name}() has no parameter {name!r}; it has {known}")
            if name in given:
                raise TypeError(f"T.{row.name}() got {name!r} twice")
            given[name] = x
        bound: dict[str, Any] = {}
        for name in row.marks:
            if name == row.rest:
                convert = self._convert[name]
                bound[name] = [convert(x, row.name) for x in args[len(positional) :]]
                continue
            if name not in given and name not in row.defaults:
                raise TypeError(f"T.{row.name}() needs {name!r}")
            x = given.get(name, row.defaults.get(name))
            if name == "annotations":
                bound[name] = _annotations(x)
            else:
                bound[name] = None if x is None else self._convert[name](x, row.name)
        return bound

    def arguments(self, bound: dict[str, Any]) -> list[Any]:
        """What the builder is given, in its order."""
        sent: list[Any] = []
        for name, literal in self.row.sent:
            if name is not None and name == self.row.rest and self.row.kind != "note":
                sent += bound[name]
            else:
                sent.append(literal if name is None else bound[name])
        return sent

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        row = self.row
        bound = self.bind(args, kwargs)
        if row.kind == "pure":
            return op(row.target, self.arguments(bound), self.result(bound))
        t = tracer.current(f"T.{row.name}")
        if row.kind == "tile":
            return t.tile(row.target, self.arguments(bound))
        if row.kind == "note":
            return t.annotate(row.target, self.arguments(bound))
        return t.call(row.target, self.arguments(bound), self.result(bound))

    def result(self, bound: dict[str, Any]) -> Any:
        """A dtype's name, or the positions of the arguments whose common type the result has; None: the opcode's
        own rule."""
        result = self.row.result
        if not result:
            return None
        if result == "t:":
            return bound["dtype"]
        names = [n for n, _ in self.row.sent]
        if bound.get("return_prev") is False:
            return "void"
        parts = result.split("|")
        return [names.index(p) for p in parts] if parts[0] in names else result


def _documentation(row: Row) -> str:
    if not _docs:
        _docs.update(read_docs())
    result = f" -> {row.result}" if row.result not in ("", "void") else ""
    text = _docs.get(row.name, "")
    return f"T.{row.name}{row.signature()}{result}" + (f"\n\n{text}" if text else "")
