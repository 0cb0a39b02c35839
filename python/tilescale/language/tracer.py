# SPDX-License-Identifier: MIT
"""The state of one function that is being traced: a C++ builder, the open regions, the user's place.

Every statement goes to the builder through a method of `Tracer`, which first tells the builder the span: the
Python frames from the call to the traced function, without ours.
"""

import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from .._ffi import builder, tvm_ffi
from ..errors import JITNoBuilderError
from .dtypes import dtype

_FFI = str(Path(tvm_ffi.__file__).parent)
_PACKAGE = str(Path(__file__).resolve().parents[1])
_state = threading.local()


def active() -> "Tracer | None":
    return getattr(_state, "tracer", None)


def activate(tracer: "Tracer | None") -> "Tracer | None":
    """Makes `tracer` the current one of this thread; returns the one before."""
    old = active()
    _state.tracer = tracer
    return old


def current(what: str = "this T.… call") -> "Tracer":
    found = getattr(_state, "tracer", None)
    if found is None:
        raise JITNoBuilderError(
            f"{what} emits kernel code; it can only be used inside @T.prim_func, @T.macro or @tilelang.jit"
        )
    return found


@contextlib.contextmanager
def whole_expressions() -> Iterator[None]:
    """What is computed inside is no value of the traced function: a layout, over coordinates of its own."""
    t = active()
    if t is None:
        yield
        return
    outer, t.whole = t.whole, True
    try:
        yield
    finally:
        t.whole = outer


class _OwnFiles(dict[str, bool]):
    """Is a file part of this package or of the machinery below it? Remembered per name."""

    def __missing__(self, name: str) -> bool:
        own = name.startswith((_PACKAGE, _FFI, "<frozen")) or name.endswith("contextlib.py")
        self[name] = own
        return own


is_own_file = _OwnFiles()


def _columns(code: CodeType) -> list[int]:
    """The column of each instruction, from 1; 0 where it is not known, as everywhere on Python 3.10."""
    if not hasattr(code, "co_positions"):
        return []
    return [0 if column is None else column + 1 for _, _, column, _ in code.co_positions()]


class Tracer:
    """One traced function. `regions` are the open ones, outermost first: (kind, bare). A bare region was opened by
    a statement without `with` and ends with the one around it."""

    def __init__(self, name: str) -> None:
        self.handle = builder.create()
        self.name = name
        self.root: CodeType | None = None
        self.regions: list[tuple[str, bool]] = []
        self.loops: list[tuple[str, int]] = []
        self.macros: list[MacroCall] = []
        self.params: dict[str, Any] = {}
        self.declared: list[str] = []
        self.undeclared: dict[str, Any] = {}
        self.outputs: list[Any] = []
        self.returned: int | None = None
        self.values_read: dict[int, Any] = {}
        self.constants: dict[str, Any] = {}
        self.const_symbols: list[Any] = []
        self.phase1 = False
        self.kernel: Any = None
        self.whole = False  # expressions are not evaluated in parts
        self.attributes: dict[str, Any] = {}
        self._spans: dict[tuple[Any, ...], int] = {}
        self._span = -1
        self._columns: dict[int, list[int]] = {}
        self._codes: list[CodeType] = []  # kept alive: they are known by their identity
        builder.begin_func(self.handle, name)

    def finish(self) -> Any:
        """The function, its parameters in the order of the signature."""
        func = builder.end_func(self.handle)
        order = [self.declared.index(name) for name in self.params]
        return func if order == sorted(order) else builder.order_params(func, order)

    # The user's place

    def at(self) -> Any:
        """Sets the span of the statements to come; returns the builder's handle."""
        frame: FrameType | None = sys._getframe(2)
        key: list[Any] = []
        root = self.root
        while frame is not None:
            code = frame.f_code
            if not is_own_file[code.co_filename] and not code.co_name.startswith("<"):
                key.append(id(code))
                key.append(frame.f_lasti)
            if code is root:
                break
            frame = frame.f_back
        chain = tuple(key)
        span = self._spans.get(chain)
        if span is None:
            span = self._spans[chain] = builder.at(self.handle, self._describe())
            self._span = span
        elif span != self._span:
            builder.at(self.handle, span)
            self._span = span
        return self.handle

    def _describe(self) -> list[Any]:
        """[file, line, column, function, …] of the user's frames, innermost first."""
        chain: list[Any] = []
        frame: FrameType | None = sys._getframe(3)
        while frame is not None:
            code = frame.f_code
            if not is_own_file[code.co_filename] and not code.co_name.startswith("<"):
                columns = self._columns.get(id(code))
                if columns is None:
                    self._codes.append(code)
                    columns = self._columns[id(code)] = _columns(code)
                at = frame.f_lasti // 2
                column = columns[at] if at < len(columns) else 0
                chain += [code.co_filename, frame.f_lineno or 0, column, code.co_name]
            if code is self.root:
                break
            frame = frame.f_back
        return chain

    # Regions

    def open(self, kind: str, bare: bool = False) -> None:
        """Notes a region that the builder has just opened."""
        self.regions.append((kind, bare))

    def close(self) -> None:
        """Ends the innermost region, and the bare ones that were opened inside it."""
        self.close_bare()
        self._end()

    def close_bare(self, depth: int = 0) -> None:
        """Ends the bare regions on top, down to `depth` open regions."""
        while len(self.regions) > depth and self.regions[-1][1]:
            self._end()

    def _end(self) -> None:
        kind, _ = self.regions.pop()
        if kind == "label":
            builder.end_label(self.handle)
        elif kind != "note":
            builder.end(self.handle)

    def mark_bare(self) -> None:
        """The region opened last ends with the one around it."""
        self.regions[-1] = (self.regions[-1][0], True)

    def begin_if(self, condition: Any) -> None:
        builder.begin_if(self.at(), condition)
        self.open("if")

    def begin_else(self) -> None:
        self.close_bare()
        builder.begin_else(self.handle)

    # Statements

    def bind(self, name: str, expression: Any) -> Any:
        var = builder.bind(self.at(), name, expression)
        self.values_read[var.__chandle__()] = expression
        return var

    def let(self, var: Any) -> Any:
        """The expression that a name was bound to, or None."""
        return self.values_read.get(var.__chandle__())

    def set_name(self, symbol: Any, name: str) -> None:
        builder.name(self.handle, symbol, name)

    def alloc(
        self,
        scope: str,
        data_type: Any,
        shape: list[Any],
        init: Any = None,
        arrivals: list[Any] | None = None,
        reducer: str | None = None,
        replication: str | None = None,
    ) -> Any:
        options = [init, arrivals, reducer, replication]
        return builder.alloc(self.at(), scope, dtype(data_type), shape, options)

    def view(self, base: Any, how: str, data_type: Any, shape: Any, strides: Any = None) -> Any:
        return builder.view(self.at(), base, how, dtype(data_type), shape, strides)

    def store(self, buffer: Any, index: list[Any], new: Any) -> None:
        builder.store(self.at(), buffer, index, new)

    def tile(self, name: str, args: list[Any]) -> None:
        builder.tile(self.at(), name, args)

    def call(self, name: str, args: list[Any], result: Any) -> Any:
        return builder.call(self.at(), name, args, result)

    def annotate(self, name: str, args: list[Any]) -> None:
        builder.annotate(self.at(), name, args)

    def check(self, kind: str, condition: Any, message: str) -> None:
        builder.check(self.at(), kind, condition, message)

    def jump(self, kind: str) -> None:
        builder.jump(self.at(), kind)

    def param(
        self,
        kind: str,
        name: str,
        data_type: Any,
        shape: Any = None,
        strides: Any = None,
        scope: str = "global",
        is_out: bool = False,
    ) -> Any:
        made = builder.param(self.handle, kind, name, dtype(data_type), shape, strides, scope, is_out)
        self.params[name] = made
        self.declared.append(name)
        return made


class MacroCall:
    """A macro that is being inlined: its by-reference parameters and where it was entered."""

    __slots__ = ("depth", "references")

    def __init__(self, references: frozenset[str], depth: int) -> None:
        self.references = references
        self.depth = depth
