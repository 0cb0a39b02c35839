# SPDX-License-Identifier: MIT
"""`@tilelang.autotune`: compiles every configuration, times those that run, keeps the fastest."""

import contextlib
import dataclasses
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import TimeoutError
from ..pass_configs import by_text
from .decorator import JITImpl, freeze, jit
from .kernel import JITKernel

_logger = logging.getLogger("tilescale")
_inputs = threading.local()


@contextlib.contextmanager
def set_autotune_inputs(*tensors: Any) -> Iterator[None]:
    """Inputs that the tuning inside runs with."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    _inputs.tensors = list(given)
    try:
        yield
    finally:
        _inputs.tensors = None


@dataclasses.dataclass
class AutotuneResult:
    """The best configuration and its kernel."""

    latency: float
    config: dict[str, Any]
    ref_latency: float | None
    libcode: str
    func: Any
    kernel: JITKernel


@dataclasses.dataclass
class ProfileOptions:
    """How a configuration is measured and checked."""

    warmup: float = 25
    rep: float = 100
    supply_type: Any = None
    ref_prog: Any = None
    supply_prog: Any = None
    rtol: float = 1e-2
    atol: float = 1e-2
    max_mismatched_ratio: float = 0.01
    skip_check: bool = False
    manual_check_prog: Any = None
    timeout: float | None = None  # seconds for one configuration
    cache_input_tensors: bool = False  # one set of inputs for all configurations
    do_not_specialize: tuple[str, ...] = ()  # parameters that do not choose a configuration
    early_stop_factor: float | None = None  # times the best so far, beyond which measuring ends

    def __post_init__(self) -> None:
        if self.timeout is not None and self.timeout <= 0:
            raise ValueError(f"timeout must be a positive number of seconds, got {self.timeout}")
        if self.early_stop_factor is not None and self.early_stop_factor < 1:
            raise ValueError(f"early_stop_factor must be at least 1, got {self.early_stop_factor}")


class AutoTuneImpl:
    """A jit function with configurations of its tunable parameters."""

    def __init__(self, impl: JITImpl, configs: Any, options: ProfileOptions) -> None:
        self.jit_impl = impl
        self.configs = configs
        self._options = options
        self._with_options: dict[Any, JITImpl] = {}  # by the pass configs that configurations bring
        self._best: dict[Any, AutotuneResult] = {}
        self._supplied: tuple[Any, Any] | None = None  # inputs of the tuning that runs, and what they are for
        unknown = sorted(set(options.do_not_specialize) - set(impl.signature.parameters))
        if unknown:
            raise ValueError(f"do_not_specialize names {', '.join(unknown)}, which the function does not take")
        functools.update_wrapper(self, impl)

    def _all_configs(self, args: Any, kwargs: dict[str, Any]) -> list[dict[str, Any]]:
        found = self.configs(*args, **kwargs) if callable(self.configs) else self.configs
        configs = [dict(c) for c in found or ()]
        if not configs:
            raise ValueError("No configurations to tune, `configs` is empty")
        known = self.jit_impl.signature.parameters
        unused = sorted({k for c in configs for k in c if k not in known and k != "pass_configs"})
        if unused:
            raise ValueError(f"Unused keys in config: {', '.join(unused)}")
        return configs

    def tune(self, *args: Any, **kwargs: Any) -> AutotuneResult | None:
        """The best configuration for these arguments, measured once. None if they choose all parameters themselves."""
        configs = self._all_configs(args, kwargs)
        bound = self.jit_impl.signature.bind_partial(*args, **kwargs).arguments
        if all(name in bound for name in configs[0] if name != "pass_configs"):
            return None
        free = self._options.do_not_specialize
        key = freeze({n: v for n, v in bound.items() if n not in free and not hasattr(v, "__dlpack__")})
        if key not in self._best:
            self._best[key] = self._tune(configs, args, kwargs)
        return self._best[key]

    def _tune(self, configs: list[dict[str, Any]], args: Any, kwargs: dict[str, Any]) -> AutotuneResult:
        best: AutotuneResult | None = None
        failure: Exception | None = None
        try:
            for config in configs:
                try:
                    result = self._measure(config, args, kwargs, best)
                except Exception as error:
                    _logger.warning("configuration %s was left out: %s", config, error)
                    failure = error
                    continue
                if best is None or result.latency < best.latency:
                    best = result
        finally:
            self._supplied = None
        if best is None:
            raise RuntimeError("no configuration could be compiled and run") from failure
        best.kernel.latency, best.kernel.config = best.latency, best.config
        best.kernel.ref_latency = best.ref_latency
        return best

    def _inputs_for(self, kernel: JITKernel) -> Any:
        """The inputs that were given, or None: each measurement makes its own."""
        o = self._options
        inputs = getattr(_inputs, "tensors", None)
        if inputs is None and any(p.is_scalar() for p in kernel.params if not p.is_output):
            raise ValueError("a kernel with scalar inputs is tuned inside `with set_autotune_inputs(...)`")
        if inputs is not None or not (o.supply_prog or o.cache_input_tensors):
            return inputs
        of = [(p.dtype, tuple(p.shape)) for p in kernel.params if not p.is_output]
        if o.cache_input_tensors and self._supplied is not None and self._supplied[1] == of:
            return self._supplied[0]
        made = o.supply_prog(kernel.params) if o.supply_prog else kernel.get_profiler(o.supply_type).inputs()
        if o.cache_input_tensors:
            self._supplied = (made, of)
        return made

    def _measure(
        self, config: dict[str, Any], args: Any, kwargs: dict[str, Any], best: AutotuneResult | None
    ) -> AutotuneResult:
        o = self._options
        start = time.monotonic()

        def check_time() -> None:
            # Between steps: a kernel that runs cannot be stopped.
            if o.timeout is not None and time.monotonic() - start > o.timeout:
                raise TimeoutError(f"it took more than {o.timeout:g} s: give it a larger timeout")

        impl, chosen = self._chosen(config)
        kernel = impl.compile(*args, **{**kwargs, **chosen})
        check_time()
        profiler = kernel.get_profiler(o.supply_type)
        inputs = self._inputs_for(kernel)
        ref_latency = None
        if o.ref_prog is not None:
            if o.manual_check_prog is not None and not o.skip_check:
                profiler.manual_assert_close(o.ref_prog, inputs, o.manual_check_prog)
            elif not o.skip_check:
                profiler.assert_allclose(o.ref_prog, inputs, o.atol, o.rtol, o.max_mismatched_ratio)
            check_time()
            ref_latency = profiler.do_bench(o.ref_prog, warmup=o.warmup, rep=o.rep, input_tensors=inputs)
        limit = o.early_stop_factor * best.latency if o.early_stop_factor is not None and best is not None else None
        latency = profiler.do_bench(warmup=o.warmup, rep=o.rep, input_tensors=inputs, early_stop_baseline=limit)
        check_time()
        return AutotuneResult(latency, config, ref_latency, kernel.get_kernel_source(), kernel.prim_func, kernel)

    def _chosen(self, config: dict[str, Any]) -> tuple[JITImpl, dict[str, Any]]:
        """The jit function with the pass configs of a configuration, and its parameters."""
        parameters = {k: v for k, v in config.items() if k != "pass_configs"}
        extra = config.get("pass_configs")
        if not extra:
            return self.jit_impl, parameters
        key = freeze(by_text(extra))
        if key not in self._with_options:
            self._with_options[key] = self.jit_impl.with_pass_configs(extra)
        return self._with_options[key], parameters

    def _for(self, args: Any, kwargs: dict[str, Any]) -> tuple[JITImpl, dict[str, Any]]:
        best = self.tune(*args, **kwargs)
        impl, chosen = self._chosen(best.config if best else {})
        return impl, {**kwargs, **chosen}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        impl, arguments = self._for(args, kwargs)
        return impl(*args, **arguments)

    def compile(self, *args: Any, **kwargs: Any) -> JITKernel:
        impl, arguments = self._for(args, kwargs)
        return impl.compile(*args, **arguments)

    def get_tir(self, *args: Any, **kwargs: Any) -> Any:
        impl, arguments = self._for(args, kwargs)
        return impl.get_tir(*args, **arguments)


class AutoTuner:
    """`AutoTuner.from_kernel(kernel=make, configs=[…]).set_compile_args(out_idx=[-1]).run()`: the best of the programs
    that a Python function makes."""

    def __init__(self, kernel: Any, configs: Any) -> None:
        self._kernel = kernel
        self._configs = configs
        self._compile: dict[str, Any] = {}
        self._profile: dict[str, Any] = {}

    @classmethod
    def from_kernel(cls, kernel: Any, configs: Any) -> "AutoTuner":
        return cls(kernel, configs)

    def set_compile_args(
        self,
        out_idx: Any = None,
        target: Any = "auto",
        execution_backend: str = "auto",
        target_host: Any = None,
        verbose: bool | None = None,
        pass_configs: Any = None,
    ) -> "AutoTuner":
        """Options of tilelang.jit."""
        self._compile = {
            "out_idx": out_idx,
            "target": target,
            "target_host": target_host,
            "execution_backend": execution_backend,
            "verbose": verbose,
            "pass_configs": pass_configs,
        }
        return self

    def set_profile_args(
        self,
        warmup: float = 25,
        rep: float = 100,
        timeout: float = 30,
        supply_type: Any = None,
        ref_prog: Any = None,
        supply_prog: Any = None,
        rtol: float = 1e-2,
        atol: float = 1e-2,
        max_mismatched_ratio: float = 0.01,
        skip_check: bool = False,
        manual_check_prog: Any = None,
        cache_input_tensors: bool = False,
        backend: str = "event",
    ) -> "AutoTuner":
        """How a configuration is measured and checked; run() may give other times."""
        if backend != "event":
            raise NotImplementedError(f"AutoTuner: backend={backend!r} is not supported yet; use 'event'")
        self._profile = {
            "warmup": warmup,
            "rep": rep,
            "timeout": timeout,
            "supply_type": supply_type,
            "ref_prog": ref_prog,
            "supply_prog": supply_prog,
            "rtol": rtol,
            "atol": atol,
            "max_mismatched_ratio": max_mismatched_ratio,
            "skip_check": skip_check,
            "manual_check_prog": manual_check_prog,
            "cache_input_tensors": cache_input_tensors,
        }
        return self

    def run(
        self,
        warmup: float | None = None,
        rep: float | None = None,
        timeout: float | None = None,
        *,
        use_pipeline: bool = False,
        enable_grouped_compile: bool = False,
        group_compile_size: int = 2,
        benchmark_devices: Any = None,
        benchmark_multi_gpu: bool = False,
        early_stop: bool = False,
        early_stop_factor: float = 2.0,
    ) -> AutotuneResult:
        """The best configuration. Each is compiled and measured by itself, on one device."""
        refused = {
            "use_pipeline": use_pipeline,
            "enable_grouped_compile": enable_grouped_compile,
            "benchmark_devices": benchmark_devices,
            "benchmark_multi_gpu": benchmark_multi_gpu,
        }
        for name, given in refused.items():
            if given:
                raise NotImplementedError(
                    f"AutoTuner.run: {name} is not supported yet: configurations are measured one by one, on one device"
                )
        impl = self._kernel
        if not isinstance(impl, JITImpl):
            impl = jit(**self._compile)(impl)
        times = {"warmup": warmup, "rep": rep, "timeout": timeout}
        given_times = {name: value for name, value in times.items() if value is not None}
        chosen = {"timeout": 180, **self._profile, **given_times}
        options = ProfileOptions(**chosen, early_stop_factor=early_stop_factor if early_stop else None)
        best = AutoTuneImpl(impl, self._configs, options).tune()
        assert best is not None  # no argument was given
        return best


def autotune(
    func: Any = None,
    *,
    configs: Any = None,
    warmup: float = 25,
    rep: float = 100,
    timeout: float = 100,
    supply_type: Any = None,
    ref_prog: Any = None,
    supply_prog: Any = None,
    rtol: float = 1e-2,
    atol: float = 1e-2,
    max_mismatched_ratio: float = 0.01,
    skip_check: bool = False,
    manual_check_prog: Any = None,
    cache_input_tensors: bool = False,
    do_not_specialize: Any = None,
    early_stop: bool = False,
    early_stop_factor: float = 2.0,
) -> Callable[[Any], AutoTuneImpl]:
    """Above `@tilelang.jit`: `@tilelang.autotune(configs=[{"block": 64}, {"block": 128}])`.

    A configuration that fails, differs from `ref_prog` or takes longer than `timeout` seconds is left out, with a line
    in the log. `early_stop` ends the measurement of one that is `early_stop_factor` times slower than the best so far;
    `cache_input_tensors` measures all on the same inputs; parameters named in `do_not_specialize` share a result."""
    if func is not None:
        raise ValueError("Use tilelang.autotune to decorate func without arguments is not supported yet.")
    if early_stop_factor < 1:
        raise ValueError(f"early_stop_factor must be at least 1, got {early_stop_factor}")
    options = ProfileOptions(
        warmup,
        rep,
        supply_type,
        ref_prog,
        supply_prog,
        rtol,
        atol,
        max_mismatched_ratio,
        skip_check,
        manual_check_prog,
        timeout,
        cache_input_tensors,
        (do_not_specialize,) if isinstance(do_not_specialize, str) else tuple(do_not_specialize or ()),
        early_stop_factor if early_stop else None,
    )

    def decorate(impl: Any) -> AutoTuneImpl:
        assert isinstance(impl, JITImpl), (
            "The @autotune decorator can only be applied to @tilelang.jit decorated instances."
        )
        return AutoTuneImpl(impl, configs, options)

    return decorate
