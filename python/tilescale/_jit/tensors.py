# SPDX-License-Identifier: MIT
"""Results in the caller's framework. Arguments need nothing: all frameworks speak DLPack."""

import importlib
import sys
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


def refusal(x: Any, name: str, dtype: Any) -> str | None:
    """Why a framework does not hand out this tensor, argument `name` of a kernel that takes elements of `dtype`."""
    package = type(x).__module__.partition(".")[0]
    if package == "numpy" and isinstance(x, sys.modules["numpy"].ndarray):
        if x.dtype.kind not in "biufc":
            return f"{name} has elements of {x.dtype}, which no kernel takes: pass x.astype({str(dtype)!r})"
        if not x.dtype.isnative:
            return (
                f"{name} has elements of {x.dtype}, of another byte order than this machine: pass "
                "x.astype(x.dtype.newbyteorder('='))"
            )
        if not x.flags.writeable:
            return f"{name} is a read-only array, which numpy does not hand out: pass x.copy()"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        if x.is_nested:
            return f"{name} is a nested tensor: pass x.to_padded_tensor(0.0), or each of x.unbind()"
        if x.layout != torch.strided:
            return f"{name} is a sparse tensor ({x.layout}): pass x.to_dense()"
        if x.is_meta:
            return f"{name} is on the device meta and has no elements: pass a tensor of a real device"
        if x.is_quantized:
            return f"{name} is a quantized tensor ({x.dtype}): pass x.int_repr() or x.dequantize()"
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
