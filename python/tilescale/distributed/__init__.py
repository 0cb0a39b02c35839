# SPDX-License-Identifier: MIT
"""Several ranks: in one process (`World`), or a process each (`init_dist`, `get_allocator`, `tensor`)."""

import importlib as _importlib

_NAMES = {
    "world": ("World", "SymmetricTensor", "PerRank"),
    "allocator": ("Allocator", "BaseAllocator", "get_allocator", "tensor"),
    "group": ("init_dist", "init_distributed", "dist_print", "join", "launched_ranks", "synchronize"),
    "streams": (
        "set_signal",
        "wait_eq",
        "create_mapped_tensor",
        "create_host_device_tensor",
        "cuda_stream_max_priority",
    ),
    "bench": ("do_bench", "perf_fn"),
    "watchdog": ("abort_waits", "waiting_threads"),
    "topology": ("supports_p2p_native_atomic", "has_fullmesh_nvlink", "has_fullmesh_nvlink_pynvml", "can_access_peer"),
}
# The modules of tilelang.distributed, and what programs import from them.
ALIASES = {
    "allocator": ("get_allocator", "Allocator", "BaseAllocator"),
    "tensor": ("tensor",),
    "host": ("init_dist", "init_distributed", "dist_print", "set_signal", "wait_eq", "create_mapped_tensor"),
    "bench": ("do_bench", "perf_fn"),
    "topology": _NAMES["topology"],
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> object:
    if name in _MODULE_OF:
        found = getattr(_importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    elif name in _NAMES:
        return _importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
