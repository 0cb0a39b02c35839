# SPDX-License-Identifier: MIT
"""`@tilelang.jit`: lazy (a factory that returns a PrimFunc) and eager (the kernel function itself)."""

import ast
import concurrent.futures
import functools
import inspect
import os
import sys
import threading
import types
from collections.abc import Iterable
from typing import Any

from .._ffi import function
from ..errors import JITNoBuilderError
from ..language.buffers import Buffer
from ..language.dtypes import dtype
from ..language.expr import Operators, Var
from ..language.functions import PrimFunc, annotations_of, trace
from ..language.report import hide_own_frames
from ..language.source import rewritten
from ..language.specs import PointerAnnotation, PointerSpec, TensorSpec
from ..pass_configs import by_text
from ..targets import Target
from . import tensors
from .kernel import JITKernel, collect, compile, has_defaults

_TENSOR_FORMS = ("Tensor", "StridedTensor", "Buffer", "ptr")
_NO_OUT_IDX = "out_idx is only supported in lazy mode. In eager mode, use T.empty() to declare output tensors instead."


def freeze(x: Any) -> Any:
    """A compile-time value as a key: containers by content."""
    if isinstance(x, dict):
        return "dict", tuple(sorted(((k, freeze(v)) for k, v in x.items()), key=repr))
    if isinstance(x, (list, tuple)):
        return type(x).__name__, tuple(map(freeze, x))
    if isinstance(x, (set, frozenset)):
        return "set", tuple(sorted(map(freeze, x), key=repr))
    try:
        hash(x)
    except TypeError:
        raise TypeError(f"Unsupported unhashable JIT compile-time cache key value of type {type(x).__name__}") from None
    return type(x), x


def _declared_parameters(fn: types.FunctionType) -> set[str]:
    """Names that the body declares as run-time parameters: `x: T.Tensor[...]`, `n: T.int32`."""
    try:
        declared = rewritten(fn).declared
    except OSError:
        return set()
    found = set()
    for name, annotation in declared.items():
        applied = isinstance(annotation, (ast.Call, ast.Subscript))
        head = annotation.func if isinstance(annotation, ast.Call) else annotation
        head = head.value if isinstance(head, ast.Subscript) else head
        if not isinstance(head, ast.Attribute):
            continue
        if (applied and head.attr in _TENSOR_FORMS) or (not applied and _is_dtype(head.attr)):
            found.add(name)
    return found


def _is_dtype(name: str) -> bool:
    try:
        dtype(name)
    except TypeError:
        return False
    return True


class _ConstSource:
    """Where a `T.const` is read: a dimension or a stride of a tensor argument."""

    def __init__(self, param: str, stride: bool, dim: int, element: dtype, last: bool) -> None:
        self.param, self.stride, self.dim, self.element, self.last = param, stride, dim, element, last

    @property
    def packed(self) -> int:
        """Logical elements per stored one: sub-byte tensors arrive packed along the last dimension."""
        return 8 // self.element.bits if self.element.bits < 8 and self.element.lanes == 1 else 1

    def read(self, tensor: Any) -> Any:
        if isinstance(tensor, (TensorSpec, Buffer)):
            return (tensor.strides or ())[self.dim] if self.stride else tensor.shape[self.dim]
        if not self.stride:
            return int(tensor.shape[self.dim]) * (self.packed if self.last else 1)
        stride = getattr(tensor, "stride", None)
        if callable(stride):
            steps = int(stride(self.dim))
        else:
            steps = int(tensor.strides[self.dim]) // int(getattr(tensor, "itemsize", 1))
        return steps * (1 if self.last else self.packed)


class _Plan:
    """What phase 1 found for one set of compile-time values."""

    def __init__(self, sources: dict[str, _ConstSource]) -> None:
        self.sources = sources
        self.places = {name: (s.param, s.stride, s.dim) for name, s in sources.items()}


class JITImpl:
    """A function decorated with `@tilelang.jit`."""

    def __init__(
        self, fn: types.FunctionType, options: dict[str, Any], frame: types.FrameType | None, mode: str | None = None
    ) -> None:
        self.func = self.orig_func = fn
        self.options = options
        self.mode = mode
        self.signature = inspect.signature(fn)
        self._frame = frame
        self._kernels: dict[Any, JITKernel] = {}
        self._plans: dict[Any, _Plan] = {}
        self._traced: dict[Any, PrimFunc] = {}
        self._runtime: dict[str, Any] | None = None
        self._dispatch: Any = None
        self._one_plan = True
        self._call = threading.local()
        self._defaults: tuple[Any, ...] | None = None
        functools.update_wrapper(self, fn)

    def with_pass_configs(self, configs: Any) -> "JITImpl":
        """The same function, compiled with these pass configs over its own."""
        merged = {**by_text(self.options["pass_configs"] or {}), **by_text(configs)}
        return JITImpl(self.func, {**self.options, "pass_configs": merged}, self._frame, self.mode)

    # Mode

    def initialize_jit_mode(self, *args: Any, **kwargs: Any) -> str:
        """ "lazy" or "eager", decided at the first call."""
        if self.mode is None:
            self.mode = self._find_mode(args, kwargs)
        if self.mode == "eager" and self.options["out_idx"] is not None:
            raise ValueError(_NO_OUT_IDX)
        return self.mode

    def _find_mode(self, args: Any, kwargs: Any) -> str:
        code = self.func.__code__
        names = {*code.co_names, *code.co_freevars}
        nested = any(isinstance(c, types.CodeType) for c in code.co_consts)
        if nested and "prim_func" in names:
            return "lazy"
        if names & {"Kernel", "ClusterKernel", "const", "empty"} or _declared_parameters(self.func):
            return "eager"
        try:
            return "lazy" if isinstance(self.func(*args, **kwargs), PrimFunc) else "eager"
        except JITNoBuilderError:
            return "eager"

    def is_lazy_mode(self) -> bool:
        return self.mode == "lazy"

    # Lazy

    def _lazy_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        merged = {**kwargs, **(kwargs.get("__tune_params") or {})}
        merged.pop("__tune_params", None)
        merged.pop("__return_compile_arguments", None)
        return merged

    def _lazy_func(self, args: Any, kwargs: dict[str, Any]) -> PrimFunc:
        self.signature.bind(*args, **kwargs)
        made = self.func(*args, **kwargs)
        assert isinstance(made, PrimFunc), f"`{self.func.__name__}` must return a PrimFunc, got {type(made).__name__}"
        return made

    # Eager: parameters

    def runtime_parameters(self) -> dict[str, Any]:
        """Name to annotation, or to None where the body declares it. All others are compile-time."""
        if self._runtime is None:
            annotations = annotations_of(self.func, self._frame)
            declared = _declared_parameters(self.func)
            self._runtime = {}
            for name in self.signature.parameters:
                annotation = annotations.get(name)
                if name in declared:
                    self._runtime[name] = None
                elif isinstance(annotation, (TensorSpec, PointerSpec, PointerAnnotation, dtype, Var)):
                    self._runtime[name] = annotation
        return self._runtime

    def _bind(self, args: Any, kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Arguments by name, and the keywords that are no parameters (values of consts)."""
        kwargs = self._lazy_arguments(kwargs)
        params = self.signature.parameters.values()
        positional = [p for p in params if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        if len(args) > len(positional) and not any(p.kind is p.VAR_POSITIONAL for p in params):
            raise TypeError(
                f"too many positional arguments for JIT function: expected at most {len(positional)}, got {len(args)}"
            )
        extra = {}
        if not any(p.kind is p.VAR_KEYWORD for p in params):
            extra = {n: kwargs.pop(n) for n in list(kwargs) if n not in self.signature.parameters}
        for p, _ in zip(positional, args, strict=False):
            if p.name in kwargs:
                raise TypeError(f"got multiple values for argument {p.name!r}")
        return dict(self.signature.bind_partial(*args, **kwargs).arguments), extra

    def _compile_time(self, given: dict[str, Any]) -> dict[str, Any]:
        values = {}
        for name, p in self.signature.parameters.items():
            if name in self.runtime_parameters():
                continue
            if name in given:
                values[name] = given[name]
            elif p.default is not p.empty:
                values[name] = p.default
            elif p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                raise TypeError(f"missing a required argument: {name!r}")
        return values

    # Eager: the two phases

    def _plan(self, key: Any, compile_time: dict[str, Any]) -> _Plan:
        """Phase 1: which parameters there are and where each const is read."""
        plan = self._plans.get(key)
        if plan is None:
            found = trace(self.func, compile_time, self.runtime_parameters(), phase1=True)
            plan = _Plan(_const_sources(found))
            if any(other.places != plan.places for other in self._plans.values()):
                # Consts are read from other places than before: no one key finds all kernels.
                self._one_plan, self._dispatch = False, None
            self._plans[key] = plan
        return plan

    def _constants(self, plan: _Plan, given: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        values = {}
        for name, source in plan.sources.items():
            found = extra.get(name)
            if found is None and given.get(source.param) is not None:
                found = source.read(given[source.param])
            if found is None:
                raise ValueError(
                    f"Cannot find value for constexpr variable `{name}`: pass the tensor it is read from "
                    f"(`{source.param}`), or {name}=… by keyword"
                )
            values[name] = found if isinstance(found, Operators) else int(found)
        return values

    def _eager_func(self, args: Any, kwargs: dict[str, Any]) -> tuple[PrimFunc, list[Any]]:
        """Phase 2, and the arguments of the kernel."""
        given, extra = self._bind(args, kwargs)
        compile_time = self._compile_time(given)
        key = freeze(compile_time)
        plan = self._plan(key, compile_time)
        constants = self._constants(plan, given, extra)
        full_key = (key, freeze(constants))
        traced = self._traced.get(full_key)
        if traced is None:
            traced = trace(self.func, compile_time, self.runtime_parameters(), constants=constants)
            self._traced[full_key] = traced
        return traced, [given.get(name) for name in self.runtime_parameters()]

    # Compilation

    def get_tir(self, *args: Any, **kwargs: Any) -> PrimFunc:
        """The traced function, not compiled."""
        if self.initialize_jit_mode(*args, **kwargs) == "lazy":
            return self._lazy_func(args, self._lazy_arguments(kwargs))
        return self._eager_func(args, kwargs)[0]

    def _compiled(self, func: PrimFunc) -> JITKernel:
        o = self.options
        kernel = compile(
            func, o["out_idx"], o["execution_backend"], o["target"], None, None, o["pass_configs"], o["compile_flags"]
        )
        if o["debug_root_path"]:
            self._write_debug(o["debug_root_path"], func, kernel)
        return kernel

    def _write_debug(self, folder: str, func: PrimFunc, kernel: JITKernel) -> None:
        os.makedirs(folder, exist_ok=True)
        for kind, ending, text in (
            ("kernel", "c", kernel.get_kernel_source()),
            ("program", "py", func.script()),
        ):
            path = os.path.join(folder, f"tilelang_jit_{kind}_{self.func.__name__}.{ending}")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)

    def parse_cache_key(self, *args: Any, **kwargs: Any) -> Any:
        return freeze(args), freeze(kwargs), Target(self.options["target"]).text

    def compile(self, *args: Any, **kwargs: Any) -> JITKernel:
        """The kernel for these arguments; tensors may be placeholders such as `T.Tensor((128, 128), "float16")`."""
        if self.initialize_jit_mode(*args, **kwargs) == "eager":
            return self._compiled(self._eager_func(args, kwargs)[0])
        kwargs = self._lazy_arguments(kwargs)
        key = self.parse_cache_key(*args, **kwargs)
        kernel = self._kernels.get(key)
        if kernel is None:
            kernel = self._kernels[key] = self._compiled(self._lazy_func(args, kwargs))
        return kernel

    def par_compile(
        self, configs: Iterable[Any], num_workers: int | None = None, ignore_error: bool = False
    ) -> list[JITKernel | None]:
        todo = list(configs)
        workers = num_workers or max(1, min(len(todo), os.cpu_count() or 1))
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            pending = [
                pool.submit(self.compile, **c) if isinstance(c, dict) else pool.submit(self.compile, *c) for c in todo
            ]
            return collect(pending, ignore_error)

    def get_kernel_source(self, *args: Any, **kwargs: Any) -> str:
        return self.compile(*args, **kwargs).get_kernel_source()

    # Calls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        dispatch = self._dispatch
        try:
            if dispatch is None or kwargs or Target.is_entered() or has_defaults():
                return self._find_and_call(args, kwargs)
            self._call.args = args
            if self._defaults and len(args) < len(self.signature.parameters):
                args = args + self._defaults[len(args) :]
            return tensors.present(dispatch(*args), args)
        except Exception as error:
            hide_own_frames(error)
            raise

    def _find_and_call(self, args: Any, kwargs: dict[str, Any]) -> Any:
        if self.initialize_jit_mode(*args, **kwargs) == "lazy":
            return self.compile(*args, **kwargs)
        traced, runtime_args = self._eager_func(args, kwargs)
        kernel = self._compiled(traced)
        if self._dispatch is None:
            self._prepare_dispatch()
        return kernel(*runtime_args)

    def _prepare_dispatch(self) -> None:
        """The C++ call path: finds the kernel by compile-time values and the extents that consts are read from."""
        params = list(self.signature.parameters.values())
        plain = all(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in params)
        names = [p.name for p in params]
        sources = next(iter(self._plans.values())).sources
        if not self._one_plan or not plain or any(s.packed > 1 for s in sources.values()):
            return
        runtime = self.runtime_parameters()
        consts = [[names.index(s.param), s.dim, int(s.stride)] for s in sources.values()]
        self._defaults = tuple(None if p.default is p.empty else p.default for p in params)
        self._dispatch = function("runtime.dispatch")([n in runtime for n in names], consts, self._resolve)

    def _resolve(self, *_: Any) -> Any:
        """Called on a miss. The arguments are read where the caller left them: the boundary has turned dtypes into
        strings and tensors into views."""
        traced, _args = self._eager_func(self._call.args, {})
        return self._compiled(traced).executable


def _const_sources(found: Any) -> dict[str, _ConstSource]:
    """Where each const of a phase 1 is read: the first tensor that has it as a dimension or a stride."""
    places: dict[int, _ConstSource] = {}
    for name, param in found.params.items():
        if not isinstance(param, Buffer):
            continue
        for stride, extents in ((False, param.shape), (True, param.strides)):
            for dim, extent in enumerate(extents):
                if type(extent) is Var:
                    last = dim == len(extents) - 1
                    place = _ConstSource(name, stride, dim, param.dtype, last)
                    places.setdefault(extent.__chandle__(), place)
    sources = {}
    for symbol in found.const_symbols:
        found_place = places.get(symbol.__chandle__())
        if found_place is None:
            raise RuntimeError(
                f"Constexpr variable `{symbol.name}` is not used in any buffer shape or stride. "
                "At least one **DIRECT** usage is required."
            )
        sources[symbol.name] = found_place
    return sources


def _decorate(f: Any, options: dict[str, Any], frame: types.FrameType | None, mode: str | None = None) -> Any:
    if isinstance(f, PrimFunc):
        return compile(
            f,
            options["out_idx"],
            options["execution_backend"],
            options["target"],
            None,
            None,
            options["pass_configs"],
            options["compile_flags"],
        )
    return JITImpl(f, options, frame, mode)


def _options(
    out_idx: Any, target: Any, execution_backend: Any, pass_configs: Any, debug_root_path: Any, compile_flags: Any
) -> dict[str, Any]:
    return {
        "out_idx": out_idx,
        "target": target,
        "execution_backend": execution_backend,
        "pass_configs": pass_configs,
        "debug_root_path": debug_root_path,
        "compile_flags": compile_flags,
    }


def jit(
    func: Any = None,
    *,
    out_idx: Any = None,
    target: Any = "auto",
    target_host: Any = None,
    execution_backend: str = "auto",
    verbose: bool | None = None,
    pass_configs: Any = None,
    debug_root_path: str | None = None,
    compile_flags: Any = None,
) -> Any:
    """`@tilelang.jit`, `@tilelang.jit(out_idx=[-1])`."""
    options = _options(out_idx, target, execution_backend, pass_configs, debug_root_path, compile_flags)
    frame = sys._getframe(1)
    if func is None:
        return lambda f: _decorate(f, options, frame)
    return _decorate(func, options, frame)


def lazy_jit(
    func: Any = None,
    *,
    target: Any = "auto",
    target_host: Any = None,
    execution_backend: str = "auto",
    verbose: bool | None = None,
    pass_configs: Any = None,
    debug_root_path: str | None = None,
    compile_flags: Any = None,
) -> Any:
    """The older name of the eager mode."""
    options = _options(None, target, execution_backend, pass_configs, debug_root_path, compile_flags)
    frame = sys._getframe(1)
    if func is None:
        return lambda f: _decorate(f, options, frame, "eager")
    return _decorate(func, options, frame, "eager")
