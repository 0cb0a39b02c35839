# SPDX-License-Identifier: MIT
"""`tilelang.compile` and `JITKernel`."""

import concurrent.futures
import contextlib
import itertools
import logging
import os
import threading
from collections.abc import Iterator
from typing import Any

from .._ffi import builder, function
from ..errors import NvrtcError
from ..language.dtypes import dtype
from ..language.functions import PrimFunc
from ..language.hooks import warn
from ..language.report import after_trace, hide_own_frames
from ..pass_configs import by_text
from ..targets import Target
from . import machine, tensors

_BACKENDS = ("auto", "tvm_ffi", "nvrtc", "cython", "dlpack", "torch")
_logger = logging.getLogger("tilescale")
_defaults = threading.local()


@contextlib.contextmanager
def default_pass_configs(configs: dict[Any, Any]) -> Iterator[None]:
    """Pass configs for every kernel that this thread compiles inside."""
    outer = getattr(_defaults, "configs", {})
    _defaults.configs = {**outer, **by_text(configs)}
    try:
        yield
    finally:
        _defaults.configs = outer


def has_defaults() -> bool:
    """Is this thread inside `default_pass_configs`?"""
    return bool(getattr(_defaults, "configs", None))


class KernelParam:
    """A parameter of a compiled kernel: element type, and shape with names for what is bound at run time."""

    def __init__(self, record: Any) -> None:
        self.name = str(record["name"])
        self.kind = str(record["kind"])
        self.dtype = dtype(str(record["dtype"]))
        self.shape = [x if isinstance(x, int) else str(x) for x in record["shape"]]
        self.is_output = bool(record["is_output"])

    def is_scalar(self) -> bool:
        return self.kind != "tensor"

    def is_unsigned(self) -> bool:
        return self.dtype.code == "uint"

    def is_float8(self) -> bool:
        return self.dtype.is_float and self.dtype.bits == 8

    def is_float4(self) -> bool:
        return self.dtype.is_float4()

    def is_boolean(self) -> bool:
        return self.dtype == "bool"

    def torch_dtype(self) -> Any:
        return self.dtype.as_torch()

    def tilelang_dtype(self) -> dtype:
        return self.dtype

    def __repr__(self) -> str:
        return f"{self.name}: {self.dtype}{self.shape if self.kind == 'tensor' else ''}"


def _executable(func: Any, target: str, options: dict[str, Any]) -> Any:
    """What the cache has for this program, or a compilation of it. Variants that a call needs later go the same way."""
    program = function("driver.cache_text")(func, target, options)

    def compile_variant(index: int) -> Any:
        try:
            return function("driver.compile")(func, target, options, index)
        except Exception as error:
            raise after_trace(error) from None

    if program is None:
        return function("runtime.executable")(compile_variant(0), compile_variant)

    def later_variant(index: int) -> Any:
        key = f"{program}\nvariant {index}"
        artifact = function("runtime.cache_load")(key)
        if artifact is None:
            artifact = compile_variant(index)
            function("runtime.cache_store")(key, artifact)
        return artifact

    found = function("runtime.cached_executable")(program, later_variant)
    if found is None:
        found = function("runtime.executable")(compile_variant(0), later_variant)
        function("runtime.cache_executable")(program, found)
    return found


class JITKernel:
    """A compiled kernel. Call it with its inputs, in order; outputs are allocated and returned."""

    def __init__(self, func: PrimFunc, target: Target, out_idx: list[int], options: dict[str, Any]) -> None:
        machine.configure()
        self.prim_func = func
        self.target = target
        self.out_idx = out_idx
        self.pass_configs = options
        self.execution_backend = "tvm_ffi"
        self.latency: float | None = None
        self.ref_latency: float | None = None
        self.config: dict[str, Any] | None = None
        given = len(func.params) - func.num_outputs
        returned = out_idx if not func.num_outputs else list(range(given, len(func.params)))
        marked = builder.set_outputs(func.func, returned) if out_idx else func.func

        self.executable = _executable(marked, target.text, options)
        self.params = [KernelParam(record) for record in self.executable.params()]
        self._input_names = [p.name for p in self.params if not p.is_output]
        self._returns = bool(returned)
        self._run = self.executable.entry()
        for text in self.warnings():
            warn(f"{func.__name__}: {text}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if kwargs:
                args = self._positional(args, kwargs)
            return tensors.present(self._run(*args), args)
        except (BufferError, RuntimeError) as error:
            self.check_tensors(args)
            hide_own_frames(error)
            raise
        except Exception as error:
            hide_own_frames(error)
            raise

    @property
    def entry_without_results(self) -> Any:
        """What a call comes down to; None if it allocates outputs."""
        return None if self._returns else self._run

    def check_tensors(self, args: tuple[Any, ...]) -> None:
        """A framework's refusal of a tensor names no argument: finds it. For a launch that failed."""
        given = [p for p in self.params if not p.is_output]
        for x, param in zip(args, given, strict=False):
            reason = tensors.refusal(x, f"{self.prim_func.__name__}.{param.name}", param.dtype)
            if reason is not None:
                raise TypeError(reason) from None

    def _positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """All inputs by position."""
        filled = list(args)
        for name in self._input_names[len(args) :]:
            if name not in kwargs:
                raise TypeError(f"missing a required argument: {name!r}")
            filled.append(kwargs.pop(name))
        if kwargs:
            name = next(iter(kwargs))
            problem = "multiple values for" if name in self._input_names else "an unexpected keyword"
            raise TypeError(f"{self.prim_func.__name__}() got {problem} argument {name!r}")
        return tuple(filled)

    def initialize(self, allocator: Any, stream: Any = None) -> None:
        """Binds the kernel to an allocator's heap. Needed only by one that asks for ranks and is given no tensor of the
        heap: tensors say theirs."""
        if not allocator.initialized():
            raise RuntimeError("kernel.initialize: the allocator is closed")
        allocator.bind(self.executable.keep_place)

    # Text

    @property
    def artifact(self) -> Any:
        """The compiled function as plain data: parameters, checks, launch record, text."""
        return self.executable

    def get_kernel_source(self, kernel_only: bool = True) -> str:
        """The CUDA text, without the `#line` directives by which compilers and the simulator name the user's lines;
        `artifact.source(0)` has them."""
        lines = str(self.executable.source(0)).splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("#line "))

    @property
    def kernel_source(self) -> str:
        return self.get_kernel_source()

    def get_host_source(self) -> str:
        raise NotImplementedError(
            "no host code is generated: the launch record is data that the runtime interprets; "
            "print(kernel.artifact.text()) shows it"
        )

    @property
    def host_source(self) -> str:
        return self.get_host_source()

    def show_source(self, which: str = "kernel") -> None:
        if which not in ("kernel", "host", "both"):
            raise ValueError(f"show_source: which must be 'kernel', 'host' or 'both', got {which!r}")
        print(self.get_kernel_source() if which == "kernel" else self.get_host_source())

    print_source_code = show_source

    def export_sources(self, kernel_path: str | None = None, host_path: str | None = None) -> None:
        if host_path is not None:
            self.get_host_source()
        if kernel_path is not None:
            with open(kernel_path, "w", encoding="utf-8") as file:
                file.write(self.get_kernel_source())

    def warnings(self) -> list[str]:
        """What the compiler thinks may be wrong; part of explain(), and a Python warning when the kernel is made."""
        _, _, rest = str(self.executable.explain(0)).partition("\nwarnings\n")
        return [line.strip() for line in itertools.takewhile(lambda x: x.startswith(" "), rest.splitlines())]

    def explain(self) -> str:
        """Per tile op: the chosen instruction, layouts, widths, conflicts, why better choices were refused; the
        resources of the compiled text. One part for each variant that is made."""
        parts = []
        for index in range(self.executable.num_variants()):
            text = str(self.executable.explain(index))
            parts.append(text + self._resources(index) if text else f"variant {index}: made when a call needs it\n")
        return "\n".join(parts)

    def _resources(self, variant: int) -> str:
        try:
            kernels = self.executable.resources(variant)
        except NvrtcError as error:
            return f"resources\n  not known: {str(error).splitlines()[0]}\n"
        lines = [f"  {function('driver.resources')(self.target.text, kernel)}\n" for kernel in kernels]
        return "resources\n" + "".join(lines) if lines else ""

    # Resources of the compiled text

    @property
    def resource_usage(self) -> list[dict[str, Any]]:
        """Registers, spills and shared memory per kernel, compiled for the first device."""
        return [dict(record) for record in self.executable.load(0, 0)["usage"]]

    def _most(self, what: str) -> int:
        return max((int(usage[what]) for usage in self.resource_usage), default=-1)

    @property
    def n_regs(self) -> int:
        return self._most("registers")

    @property
    def n_spills(self) -> int:
        return self._most("spill_store_bytes")

    # Measuring

    def get_profiler(self, tensor_supply_type: Any = None) -> Any:
        from ..profiler import Profiler, TensorSupplyType

        return Profiler(self, TensorSupplyType.Auto if tensor_supply_type is None else tensor_supply_type)

    def run_once(self, func: Any = None) -> Any:
        return self.get_profiler().run_once(func)

    def update_tuner_result(self, latency: float, config: Any, ref_latency: float | None) -> "JITKernel":
        self.latency, self.config, self.ref_latency = latency, config, ref_latency
        return self

    def get_tuner_result(self) -> tuple[float | None, Any, float | None]:
        return self.latency, self.config, self.ref_latency

    def __repr__(self) -> str:
        return f"<JITKernel {self.prim_func.__name__} for {self.target.text}>"


def _output_indices(out_idx: Any, count: int) -> list[int]:
    """`out_idx` as increasing positions."""
    if out_idx is None:
        return []
    given = list(out_idx) if isinstance(out_idx, (list, tuple)) else [out_idx]
    for i in given:
        if not isinstance(i, int) or not -count <= i < count:
            raise ValueError(f"out_idx {i!r} is not the position of one of the {count} parameters")
    return sorted({i % count for i in given})


def compile(
    func: Any,
    out_idx: Any = None,
    execution_backend: str | None = None,
    target: Any = None,
    target_host: Any = None,
    verbose: bool | None = None,
    pass_configs: Any = None,
    compile_flags: Any = None,
) -> JITKernel:
    """A `JITKernel` of a `@T.prim_func`. Equal calls for one function give one kernel."""
    try:
        return _compile(func, out_idx, execution_backend, target, pass_configs, compile_flags)
    except Exception as error:
        hide_own_frames(error)
        raise


def _compile(
    func: Any, out_idx: Any, execution_backend: str | None, target: Any, pass_configs: Any, compile_flags: Any
) -> JITKernel:
    if isinstance(func, JITKernel):
        return func
    assert isinstance(func, PrimFunc), (
        f"tilelang.compile needs a PrimFunc (a function decorated with @T.prim_func), got {type(func).__name__}"
    )
    if out_idx is not None and func.num_outputs:
        raise ValueError("Out index conflict: out_idx is specified and prim_func have returned `T.empty` tensors")
    if execution_backend is not None and execution_backend not in _BACKENDS:
        raise ValueError(
            f"Invalid execution backend {execution_backend!r} for target {str(Target(target))!r}. "
            f"Allowed: {', '.join(_BACKENDS[1:])}"
        )
    options = {
        **getattr(_defaults, "configs", {}),
        **by_text(func.attrs.get("tilelang_pass_configs")),
        **by_text(pass_configs),
    }
    flags = list(func.attrs.get("tilelang_compile_flags", ()))
    flags += compile_flags.split() if isinstance(compile_flags, str) else list(compile_flags or ())
    if flags:
        options["compile_flags"] = flags
    resolved = Target(target)
    outputs = _output_indices(out_idx, len(func.params))
    key = (resolved.text, tuple(outputs), repr(sorted(options.items())))
    kernel = func.compiled.get(key)
    if kernel is None:
        kernel = func.compiled[key] = JITKernel(func, resolved, outputs, options)
    return kernel


def par_compile(
    funcs: Any, *args: Any, num_workers: int | None = None, ignore_error: bool = False, **kwargs: Any
) -> list[JITKernel | None]:
    """Kernels of several functions, compiled by a pool of threads, in the order of `funcs`."""
    todo = list(funcs)
    workers = num_workers or max(1, min(len(todo), os.cpu_count() or 1))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        pending = [pool.submit(compile, f, *args, **kwargs) for f in todo]
        return collect(pending, ignore_error)


def collect(pending: list[Any], ignore_error: bool) -> list[Any]:
    """Results in order; with `ignore_error`, None for what failed."""
    results: list[Any] = []
    for future in pending:
        try:
            results.append(future.result())
        except Exception as error:
            if not ignore_error:
                raise
            _logger.warning("a kernel was not compiled: %s", error)
            results.append(None)
    return results


def lower(func: Any, target: Any = "auto", **options: Any) -> JITKernel:
    """The compiled function with its text, `kernel_source`."""
    return compile(func, target=target, pass_configs=options.get("pass_configs"))
