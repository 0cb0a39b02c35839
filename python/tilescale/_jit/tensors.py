# SPDX-License-Identifier: MIT
"""Results in the caller's framework. Arguments need nothing: all frameworks speak DLPack."""

import importlib
from typing import Any

from .._ffi import tvm_ffi

_FROM_DLPACK = {"numpy": "numpy", "cupy": "cupy", "jax": "jax.dlpack", "jaxlib": "jax.dlpack", "torch": "torch"}
_Tensor = tvm_ffi.Tensor
_Array = tvm_ffi.Array


def framework_of(args: Any) -> str | None:
    """The package of the first tensor among the arguments."""
    for x in args:
        if hasattr(type(x), "__dlpack__"):
            return type(x).__module__.partition(".")[0]
    return None


def present(result: Any, args: Any) -> Any:
    """What a call returns: the one output, or a list of outputs. A tensor that the launcher allocated becomes the kind
    of tensor that was passed in."""
    kind = type(result)
    if kind is _Array:
        return [_to_framework(r, args) for r in result]
    return [] if result is None else _to_framework(result, args)


def _to_framework(result: Any, args: Any) -> Any:
    if type(result) is not _Tensor:
        return result
    package = framework_of(args)
    module = _FROM_DLPACK.get(package or "")
    return importlib.import_module(module).from_dlpack(result) if module else result
