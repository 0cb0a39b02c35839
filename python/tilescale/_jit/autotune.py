# SPDX-License-Identifier: MIT
"""`@tilelang.autotune`: compiles every configuration, times those that run, keeps the fastest."""

import contextlib
import functools
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

from .decorator import JITImpl, freeze
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


class AutoTuneImpl:
    """A jit function with configurations of its tunable parameters."""

    def __init__(self, impl: JITImpl, configs: Any, options: dict[str, Any]) -> None:
        self.jit_impl = impl
        self.configs = configs
        self._options = options
        self._best: dict[Any, dict[str, Any]] = {}
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

    def _config_for(self, args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        configs = self._all_configs(args, kwargs)
        bound = self.jit_impl.signature.bind_partial(*args, **kwargs).arguments
        if all(name in bound for name in configs[0] if name != "pass_configs"):
            return {}
        key = freeze({n: v for n, v in bound.items() if not hasattr(v, "__dlpack__")})
        if key not in self._best:
            self._best[key] = self._tune(configs, args, kwargs)
        return self._best[key]

    def _tune(self, configs: list[dict[str, Any]], args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        best: tuple[float, dict[str, Any]] | None = None
        failure: Exception | None = None
        for config in configs:
            try:
                latency = self._measure(config, args, kwargs)
            except Exception as error:
                _logger.warning("configuration %s was left out: %s", config, error)
                failure = error
                continue
            if best is None or latency < best[0]:
                best = latency, config
        if best is None:
            raise RuntimeError("no configuration could be compiled and run") from failure
        return best[1]

    def _measure(self, config: dict[str, Any], args: Any, kwargs: dict[str, Any]) -> float:
        kernel = self._kernel(config, args, kwargs)
        profiler = kernel.get_profiler(self._options["supply_type"])
        inputs = getattr(_inputs, "tensors", None)
        if inputs is None and any(p.is_scalar() for p in kernel.params if not p.is_output):
            raise ValueError("a kernel with scalar inputs is tuned inside `with set_autotune_inputs(...)`")
        if inputs is None and self._options["supply_prog"] is not None:
            inputs = self._options["supply_prog"](kernel.params)
        if self._options["ref_prog"] is not None and not self._options["skip_check"]:
            profiler.assert_allclose(self._options["ref_prog"], inputs, self._options["atol"], self._options["rtol"])
        return profiler.do_bench(warmup=self._options["warmup"], rep=self._options["rep"], input_tensors=inputs)

    def _kernel(self, config: dict[str, Any], args: Any, kwargs: dict[str, Any]) -> JITKernel:
        chosen = {k: v for k, v in config.items() if k != "pass_configs"}
        return self.jit_impl.compile(*args, **{**kwargs, **chosen})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        config = self._config_for(args, kwargs)
        chosen = {k: v for k, v in config.items() if k != "pass_configs"}
        return self.jit_impl(*args, **{**kwargs, **chosen})

    def compile(self, *args: Any, **kwargs: Any) -> JITKernel:
        return self._kernel(self._config_for(args, kwargs), args, kwargs)

    def get_tir(self, *args: Any, **kwargs: Any) -> Any:
        config = self._config_for(args, kwargs)
        return self.jit_impl.get_tir(*args, **{**kwargs, **config})


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
    options = {
        "warmup": warmup,
        "rep": rep,
        "supply_type": supply_type,
        "ref_prog": ref_prog,
        "supply_prog": supply_prog,
        "rtol": rtol,
        "atol": atol,
        "skip_check": skip_check,
    }

    def decorate(impl: Any) -> AutoTuneImpl:
        assert isinstance(impl, JITImpl), (
            "The @autotune decorator can only be applied to @tilelang.jit decorated instances."
        )
        return AutoTuneImpl(impl, configs, options)

    return decorate
