# SPDX-License-Identifier: MIT
"""TileScale: tile kernels for one GPU and for many. Everything is imported on first use; torch and numpy never."""

import importlib as _importlib

# name -> the module of this package that defines it, and its name there
_NAMES = {
    "jit": ("_jit.decorator", "jit"),
    "lazy_jit": ("_jit.decorator", "lazy_jit"),
    "compile": ("_jit.kernel", "compile"),
    "par_compile": ("_jit.kernel", "par_compile"),
    "JITKernel": ("_jit.kernel", "JITKernel"),
    "autotune": ("_jit.autotune", "autotune"),
    "CompileError": ("errors", "CompileError"),
    "InternalError": ("errors", "InternalError"),
    "CudaError": ("errors", "CudaError"),
    "NvrtcError": ("errors", "NvrtcError"),
    "BootstrapError": ("errors", "BootstrapError"),
    "TimeoutError": ("errors", "TimeoutError"),
    "PassConfigKey": ("pass_configs", "PassConfigKey"),
    "get_allocator": ("distributed.allocator", "get_allocator"),
    "tensor": ("distributed.allocator", "tensor"),
    "Profiler": ("profiler", "Profiler"),
    "TensorSupplyType": ("profiler", "TensorSupplyType"),
    "DataType": ("language.dtypes", "dtype"),
    "Layout": ("language.layouts", "Layout"),
    "Fragment": ("language.layouts", "Fragment"),
    "determine_target": ("targets", "determine_target"),
    "enable_cache": ("_settings", "enable_cache"),
    "disable_cache": ("_settings", "disable_cache"),
    "is_cache_enabled": ("_settings", "is_cache_enabled"),
    "set_log_level": ("_settings", "set_log_level"),
    "__version__": ("_settings", "VERSION"),
    "next_power_of_2": ("_settings", "next_power_of_2"),
    "cdiv": ("_settings", "cdiv"),
}
_MODULES = ("language", "distributed", "sim", "errors", "profiler", "testing", "compat", "targets")
# Modules of the dialect's package that programs also reach as attributes: compat/modules.py
_COMPATIBILITY = [
    "layout",
    "utils",
    "autotuner",
    "carver",
    "transform",
    "math",
    "env",
    "engine",
    "cache",
    "tools",
    "analysis",
    "cuda",
    "tileop",
    "backend",
    "tvm",
]


def __getattr__(name: str) -> object:
    if name in _NAMES:
        module, attribute = _NAMES[name]
        found = getattr(_importlib.import_module(f"{__name__}.{module}"), attribute)
    elif name in _MODULES:
        found = _importlib.import_module(f"{__name__}.{name}")
    elif name in _COMPATIBILITY:
        found = _importlib.import_module(f"{__name__}.compat.modules").find(name)
    else:  # also our own submodules while they load: `from . import errors` asks here first
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES, *_MODULES])
