# SPDX-License-Identifier: MIT
"""The submodules of `tilelang` and `tvm` that programs import: module path to names. Values are made when the module
is first imported; a name that is missing says so."""

import functools
import types
from collections.abc import Callable, Iterable
from typing import Any

import tilescale.language as T

from .. import _settings, distributed, errors, pass_configs, profiler, targets, testing
from .._jit import autotune, decorator, kernel
from ..distributed import allocator
from ..language import buffers, expr, functions, layouts
from ..language.dtypes import dtype


class Shim(types.ModuleType):
    """A module made of table entries. `call`: what the module does when called: `import tilelang.jit.x` sets the
    attribute `tilelang.jit` to a module, which must stay the decorator."""

    def __init__(self, name: str, names: dict[str, Any], call: Callable[..., Any] | None = None) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self.__all__ = list(names)
        self._call = call
        for key, entry in names.items():
            self.__dict__[key] = Shim(f"{name}.{key}", entry) if isinstance(entry, dict) else entry

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._call is None:
            raise TypeError(f"module {self.__name__!r} is not callable")
        return self._call(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{self.__name__}.{name} is not part of the compatibility layer")


class PassContext:
    """`with PassContext(config={...})`: pass configs for the kernels compiled inside."""

    def __init__(self, opt_level: int = 2, config: dict[str, Any] | None = None, **_: Any) -> None:
        self._entered = kernel.default_pass_configs(config or {})

    def __enter__(self) -> "PassContext":
        self._entered.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._entered.__exit__(*error)


def _same(x: Any) -> Any:
    return x


def _fp8(kind: str = "e4m3") -> str:
    return "float8_e4m3fn" if kind == "e4m3" else "float8_e5m2"


def _torch_fp8(kind: str = "e4m3") -> Any:
    return dtype(_fp8(kind)).as_torch()


def _const(value: Any, data_type: Any = "int32", span: Any = None) -> Any:
    return expr.const(value, data_type)


def _symbols() -> dict[str, Any]:
    return {
        "const": _const,
        "Select": T.Select,
        "reinterpret": lambda t, v: T.reinterpret(v, t),
        "FloatImm": T.FloatImm,
        "IntImm": T.IntImm,
        "Cast": T.Cast,
        "BufferLoad": expr.Load,
        "BufferRegion": buffers.Region,
        "Call": expr.Op,
        "PrimFunc": functions.PrimFunc,
        "Var": expr.Var,
        "Buffer": buffers.Buffer,
        "PrimExpr": expr.Operators,
        "ceildiv": T.ceildiv,
        "min": T.min,
        "max": T.max,
        "Min": T.min,
        "Max": T.max,
        "floordiv": T.floordiv,
        "floormod": T.floormod,
        "if_then_else": T.if_then_else,
    }


def _tensor() -> dict[str, Any]:
    return {
        "tensor": allocator.tensor,
        "TensorSupplyType": profiler.TensorSupplyType,
        "torch_assert_close": testing.torch_assert_close,
        "get_tensor_supply": profiler.get_tensor_supply,
    }


def _driver() -> dict[str, Any]:
    return {"get_num_sms": lambda *_: targets.multiprocessor_count()}


def _errors() -> dict[str, Any]:
    return {"InternalError": errors.CompileError, "TVMError": errors.CompileError}


def _transform() -> dict[str, Any]:
    return {"PassConfigKey": pass_configs.PassConfigKey, "PassContext": PassContext, "simplify_prim_func": _same}


def _tune() -> dict[str, Any]:
    return {
        "autotune": autotune.autotune,
        "AutoTuner": autotune.AutoTuner,
        "set_autotune_inputs": autotune.set_autotune_inputs,
    }


def _of_distributed(names: Iterable[str]) -> dict[str, Any]:
    return {n: getattr(distributed, n) for n in names}


def _requirements() -> dict[str, Any]:
    names = [n for n in dir(testing) if n.startswith("requires_")]
    return {n: getattr(testing, n) for n in [*names, "distributed_test"]}


_TVM: dict[str, Callable[[], dict[str, Any]]] = {
    "target": lambda: {"Target": targets.Target},
    "error": _errors,
    "transform": lambda: {"PassContext": PassContext},
    "ir": lambda: {"PrimExpr": expr.Operators},
    "tirx": _symbols,
    "tir": _symbols,
}
_TABLE: dict[str, Callable[[], dict[str, Any]]] = {
    "testing": lambda: dict(
        _requirements(),
        main=testing.main,
        set_random_seed=testing.set_random_seed,
        torch_assert_close=testing.torch_assert_close,
    ),
    "layout": lambda: dict(
        layouts.FACTORIES,
        Layout=layouts.Layout,
        Fragment=layouts.Fragment,
        SwizzleMode=layouts.SwizzleMode,
    ),
    "utils": lambda: dict(
        _tensor(),
        tensor=_tensor(),
        allocator=_TABLE["utils.allocator"](),
        target={"determine_target": targets.determine_target},
    ),
    "utils.tensor": _tensor,
    "utils.allocator": lambda: {"get_allocator": allocator.get_allocator, "BaseAllocator": allocator.BaseAllocator},
    "utils.target": lambda: {"determine_target": targets.determine_target},
    "profiler": lambda: {
        "Profiler": profiler.Profiler,
        "do_bench": profiler.do_bench,
        "TensorSupplyType": profiler.TensorSupplyType,
    },
    "autotuner": _tune,
    "carver": lambda: {"arch": {"driver": _driver()}},
    "carver.arch": lambda: {"driver": _driver()},
    "carver.arch.driver": _driver,
    "backend": lambda: {"target": {"determine_target": targets.determine_target}},
    "backend.target": lambda: {"determine_target": targets.determine_target},
    "transform": _transform,
    "transform.pass_config": lambda: {"PassConfigKey": pass_configs.PassConfigKey},
    "distributed": lambda: _of_distributed(distributed.__all__),
    "distributed.utils": lambda: _of_distributed(distributed.__all__),
    **{
        f"distributed.{module}": functools.partial(_of_distributed, names)
        for module, names in distributed.ALIASES.items()
    },
    "math": lambda: {"next_power_of_2": _settings.next_power_of_2, "cdiv": _settings.cdiv},
    "env": lambda: {
        "env": types.SimpleNamespace(),
        "enable_cache": _settings.enable_cache,
        "disable_cache": _settings.disable_cache,
    },
    "jit": lambda: {
        "jit": decorator.jit,
        "JITKernel": kernel.JITKernel,
        "compile": kernel.compile,
        "par_compile": kernel.par_compile,
    },
    "jit.kernel": lambda: {"JITKernel": kernel.JITKernel},
    "engine": lambda: {"lower": kernel.lower},
    "engine.callback": dict,
    "cache": lambda: {"cached": kernel.compile},
    "tools": dict,
    "analysis": dict,
    "language.fp8": lambda: {"determine_fp8_type": _fp8, "determine_torch_fp8_type": _torch_fp8},
    "language.dtypes": lambda: (
        {
            n: T.dtype(n)
            for n in [
                "bool",
                "int8",
                "int16",
                "int32",
                "int64",
                "uint8",
                "uint16",
                "uint32",
                "uint64",
                "float16",
                "bfloat16",
                "float32",
                "float64",
                "float8_e4m3fn",
                "float8_e5m2",
            ]
        }
        | {"dtype": dtype, "AnyDType": dtype}
    ),
    "cuda": lambda: {"language": T},
    "tileop": lambda: {"base": {"GemmWarpPolicy": layouts.GemmWarpPolicy}},
    "tileop.base": lambda: {"GemmWarpPolicy": layouts.GemmWarpPolicy},
    "tvm": lambda: dict(_errors(), DataType=dtype, **{name: make() for name, make in _TVM.items()}),
}
_TABLE.update({f"tvm.{name}": make for name, make in _TVM.items()})


@functools.cache
def find(path: str) -> types.ModuleType | None:
    """The module behind `tilelang.<path>`, or None."""
    parent, _, last = path.rpartition(".")
    if parent in _TABLE:
        inside = getattr(find(parent), "__dict__", {}).get(last)
        if isinstance(inside, types.ModuleType):
            return inside
    if path not in _TABLE:
        return None
    return Shim("tilelang." + path, _TABLE[path](), decorator.jit if path == "jit" else None)
