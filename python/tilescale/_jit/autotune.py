# SPDX-License-Identifier: MIT
"""`@tilelang.autotune`: compiles every configuration, times those that run, keeps the fastest."""

import contextlib
import dataclasses
import functools
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

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


class AutoTuneImpl:
    """A jit function with configurations of its tunable parameters."""

    def __init__(self, impl: JITImpl, configs: Any, options: ProfileOptions) -> None:
        self.jit_impl = impl
        self.configs = configs
        self._options = options
        self._with_options: dict[Any, JITImpl] = {}  # by the pass configs that configurations bring
        self._best: dict[Any, AutotuneResult] = {}
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
        key = freeze({n: v for n, v in bound.items() if not hasattr(v, "__dlpack__")})
        if key not in self._best:
            self._best[key] = self._tune(configs, args, kwargs)
        return self._best[key]

    def _tune(self, configs: list[dict[str, Any]], args: Any, kwargs: dict[str, Any]) -> AutotuneResult:
        best: AutotuneResult | None = None
        failure: Exception | None = None
        for config in configs:
            try:
                result = self._measure(config, args, kwargs)
            except Exception as error:
                _logger.warning("configuration %s was left out: %s", config, error)
                failure = error
                continue
            if best is None or result.latency < best.latency:
                best = result
        if best is None:
            raise RuntimeError("no configuration could be compiled and run") from failure
        best.kernel.latency, best.kernel.config = best.latency, best.config
        best.kernel.ref_latency = best.ref_latency
        return best

    def _measure(self, config: dict[str, Any], args: Any, kwargs: dict[str, Any]) -> AutotuneResult:
        o = self._options
        impl, chosen = self._chosen(config)
        kernel = impl.compile(*args, **{**kwargs, **chosen})
        profiler = kernel.get_profiler(o.supply_type)
        inputs = getattr(_inputs, "tensors", None)
        if inputs is None and any(p.is_scalar() for p in kernel.params if not p.is_output):
            raise ValueError("a kernel with scalar inputs is tuned inside `with set_autotune_inputs(...)`")
        if inputs is None and o.supply_prog is not None:
            inputs = o.supply_prog(kernel.params)
        ref_latency = None
        if o.ref_prog is not None:
            if o.manual_check_prog is not None and not o.skip_check:
                profiler.manual_assert_close(o.ref_prog, inputs, o.manual_check_prog)
            elif not o.skip_check:
                profiler.assert_allclose(o.ref_prog, inputs, o.atol, o.rtol, o.max_mismatched_ratio)
            ref_latency = profiler.do_bench(o.ref_prog, warmup=o.warmup, rep=o.rep, input_tensors=inputs)
        latency = profiler.do_bench(warmup=o.warmup, rep=o.rep, input_tensors=inputs)
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
        self._compile = {
            "out_idx": out_idx,
            "target": target,
            "execution_backend": execution_backend,
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
        self._profile = {
            "supply_type": supply_type,
            "ref_prog": ref_prog,
            "supply_prog": supply_prog,
            "rtol": rtol,
            "atol": atol,
            "max_mismatched_ratio": max_mismatched_ratio,
            "skip_check": skip_check,
            "manual_check_prog": manual_check_prog,
        }
        return self

    def run(self, warmup: float = 25, rep: float = 100, timeout: float = 180, **_: Any) -> AutotuneResult:
        impl = self._kernel
        if not isinstance(impl, JITImpl):
            impl = jit(**self._compile)(impl)
        tuned = AutoTuneImpl(impl, self._configs, ProfileOptions(warmup, rep, **self._profile))
        best = tuned.tune()
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
    """Above `@tilelang.jit`: `@tilelang.autotune(configs=[{"block": 64}, {"block": 128}])`."""
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
    )

    def decorate(impl: Any) -> AutoTuneImpl:
        assert isinstance(impl, JITImpl), (
            "The @autotune decorator can only be applied to @tilelang.jit decorated instances."
        )
        return AutoTuneImpl(impl, configs, options)

    return decorate
