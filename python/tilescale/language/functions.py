# SPDX-License-Identifier: MIT
"""Traced functions: `@T.prim_func`, `@T.macro`, the declaration of parameters, tracebacks."""

import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

from .._ffi import function as core_function
from ..errors import JITNoBuilderError
from . import tracer
from .buffers import Buffer, Ref
from .dtypes import dtype
from .hooks import HOOKS
from .launch import Phase1Done
from .poison import Poison
from .report import during_trace, hide_own_frames
from .source import rewritten, twin
from .specs import declare

_REFERENCE_NAMES = ("Ref", "Var")


# Parameters


def _filled_cells(function: types.FunctionType) -> dict[str, Any]:
    values = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            values[name] = cell.cell_contents
        except ValueError:
            continue
    return values


def annotations_of(function: types.FunctionType, frame: types.FrameType | None) -> dict[str, Any]:
    """Signature annotations as objects. Strings are evaluated in globals, closure and the frame of the decorator,
    so names of the enclosing factory resolve."""
    found = {}
    for name, annotation in function.__annotations__.items():
        if name == "return":
            continue
        if isinstance(annotation, str):
            names = {**(frame.f_locals if frame else {}), **_filled_cells(function)}
            try:
                annotation = eval(annotation, function.__globals__, names)
            except NameError:
                try:
                    annotation = dtype(annotation)
                except TypeError:
                    annotation = None
                if annotation is None:
                    raise
        found[name] = annotation
    return found


def _refuse_positional_only(function: types.FunctionType) -> None:
    for name, p in inspect.signature(function).parameters.items():
        if p.kind is p.POSITIONAL_ONLY:
            raise TypeError(f"PrimFunc does not support positional-only parameters: `{name}`")


# Tracing


class PrimFunc:
    """A traced function: the tile-stage IR and what Python knows about it."""

    def __init__(self, t: tracer.Tracer, function: types.FunctionType, func: Any) -> None:
        self.func = func
        self.orig_func = function
        self.__name__ = t.name
        self.params = list(t.params.values())
        self.param_names = list(t.params)
        self.buffer_map = {p: p for p in self.params if isinstance(p, Buffer)}
        self.attrs: dict[str, Any] = dict(t.attributes)
        self.num_outputs = len(t.outputs)
        self.compiled: dict[Any, Any] = {}
        if t.outputs:
            self.attrs["tilelang_out_idx"] = list(range(-len(t.outputs), 0))

    def script(self, *_: Any, **__: Any) -> str:
        """The text of the tile stage."""
        return str(core_function("ir.print")(self.func, True))

    def show(self, *_: Any, **__: Any) -> None:
        print(self.script())

    def with_attr(self, key: Any, attribute: Any = None) -> "PrimFunc":
        self.attrs.update(key if isinstance(key, dict) else {key: attribute})
        return self

    with_attrs = with_attr

    def __str__(self) -> str:
        return self.script()

    def __repr__(self) -> str:
        return f"<prim_func {self.__name__}({', '.join(self.param_names)})>"


class Traced:
    """What a trace of an eager function's first phase found: parameters, where each constant is read."""

    def __init__(self, t: tracer.Tracer) -> None:
        self.params = dict(t.params)
        self.const_symbols = list(t.const_symbols)


def trace(
    function: types.FunctionType,
    given: dict[str, Any],
    params: dict[str, Any],
    phase1: bool = False,
    constants: dict[str, Any] | None = None,
) -> Any:
    """Runs the traced twin once. `given`: compile-time values by name; `params`: run-time parameters, name to
    annotation, or to None where the body declares it. Phase 1 stops at the first T.Kernel."""
    t = tracer.Tracer(function.__name__)
    t.phase1, t.constants = phase1, constants or {}
    old = tracer.activate(t)
    try:
        made = twin(function, HOOKS)
        t.root = made.__code__
        values = dict(given)
        for name, spec in params.items():
            values[name] = _undeclared(t, name) if spec is None else declare(t, name, spec)
        try:
            _call(made, function, values)
        except Phase1Done:
            result: Any = Traced(t)
        else:
            t.close_bare()
            result = Traced(t) if phase1 else None
        if t.undeclared:
            raise ValueError(f"Argument `{next(iter(t.undeclared))}` is not annotated")
        if phase1:
            return result
        if t.outputs and not t.returned:
            raise RuntimeError("Not all tensor allocated from `T.empty` are returned")
        return PrimFunc(t, function, t.finish())
    except Exception as error:
        raise during_trace(error) from None
    finally:
        tracer.activate(old)


def _undeclared(t: tracer.Tracer, name: str) -> Poison:
    """A parameter that the body declares: keeps its place among the parameters, cannot be used before."""
    t.params[name] = None
    t.undeclared[name] = Poison(ValueError, f"Argument `{name}` is not annotated before it is used")
    return t.undeclared[name]


def _call(made: Callable[..., Any], function: types.FunctionType, values: dict[str, Any]) -> None:
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for name, p in inspect.signature(function).parameters.items():
        if p.kind is p.VAR_POSITIONAL:
            positional += values.get(name, ())
        elif p.kind is p.VAR_KEYWORD:
            named.update(values.get(name, {}))
        elif name in values:
            named[name] = values[name]
    made(*positional, **named)


def prim_func(function: Any = None, **_: Any) -> Any:
    """`@T.prim_func`: traces the function now; its parameters are annotated."""
    frame = sys._getframe(1)
    if function is None:
        return lambda f: _trace_prim_func(f, frame)
    try:
        return _trace_prim_func(function, frame)
    except Exception as error:
        hide_own_frames(error)
        raise


def _trace_prim_func(function: types.FunctionType, frame: types.FrameType | None) -> PrimFunc:
    _refuse_positional_only(function)
    annotations = annotations_of(function, frame)
    declared = rewritten(function).declared
    params: dict[str, Any] = {}
    for name, p in inspect.signature(function).parameters.items():
        if name in declared:
            params[name] = None
        elif name in annotations:
            params[name] = annotations[name]
        elif p.default is p.empty:
            raise ValueError(f"Argument `{name}` is not annotated")
    return trace(function, {}, params)


# Macros


def _is_reference(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.rsplit(".", 1)[-1] in _REFERENCE_NAMES
    return annotation is Ref or getattr(annotation, "is_reference", False)


class Macro:
    """`@T.macro`: the body is traced inline at each call."""

    def __init__(self, function: types.FunctionType, owner: Any = None) -> None:
        self.orig_func = function
        self.__name__ = getattr(function, "__name__", "macro")
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        self._owner = owner
        self._twin: Callable[..., Any] | None = None
        references = (n for n, a in function.__annotations__.items() if _is_reference(a))
        self._references = frozenset(references)

    def __get__(self, instance: Any, cls: type | None = None) -> "Macro":
        return self if instance is None else Macro(self.orig_func, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        t = tracer.active()
        if t is None:
            raise JITNoBuilderError("T.macro can only be used inside @tilelang.jit")
        if self._twin is None:
            self._twin = twin(self.orig_func, HOOKS)
        if self._owner is not None:
            args = (self._owner, *args)
        depth = len(t.regions)
        t.macros.append(tracer.MacroCall(self._references, depth))
        try:
            result = self._twin(*args, **kwargs)
        finally:
            t.macros.pop()
        t.close_bare(depth)
        return result

    def __repr__(self) -> str:
        return f"<macro {self.__name__}>"


def macro(function: Any = None, **_: Any) -> Any:
    """Decorates a function that kernels call: `@T.macro`. Its body is traced into the kernel at each call."""
    if function is None:
        return macro
    return function if isinstance(function, Macro) else Macro(function)
