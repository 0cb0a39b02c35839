# SPDX-License-Identifier: MIT
"""Random inputs by the type of a parameter. Needs torch."""

import enum
from collections.abc import Callable
from typing import Any


class TensorSupplyType(enum.Enum):
    Integer = 1
    Uniform = 2
    Normal = 3
    Randn = 4
    Zero = 5
    One = 6
    Auto = 7


_AUTO_FLOATS = ("float16", "float32", "bfloat16")


def _integers(param: Any, shape: list[int], device: str) -> Any:
    import torch

    dtype = param.torch_dtype()
    if param.is_float8():
        return torch.randint(-128, 128, shape, device=device, dtype=torch.int8).to(dtype)
    if param.is_float4():
        return torch.randint(0, 16, shape, device=device, dtype=dtype)
    if param.is_boolean():
        return torch.randint(0, 2, shape, device=device, dtype=dtype)
    low, high = (0, 3) if param.is_unsigned() else (-2, 3)
    return torch.randint(low, high, shape, device=device).to(dtype)


def _floats(kind: TensorSupplyType, shape: list[int], device: str) -> Any:
    import torch

    if kind is TensorSupplyType.Normal:
        return torch.empty(shape, device=device).normal_(-1.0, 1.0)
    if kind is TensorSupplyType.Randn:
        return torch.randn(shape, device=device)
    return torch.empty(shape, device=device).uniform_(-1.0, 1.0)


def get_tensor_supply(kind: TensorSupplyType = TensorSupplyType.Integer, device: str = "cpu") -> Callable[[Any], Any]:
    """A function from a KernelParam to a tensor."""

    def supply(param: Any) -> Any:
        import torch

        if param.is_scalar() or not param.shape:
            raise ValueError(f"parameter `{param.name}` is a scalar: pass input_tensors with a value for it")
        unknown = [n for n in param.shape if not isinstance(n, int)]
        if unknown:
            raise ValueError(
                f"parameter `{param.name}` has the symbolic extent {unknown[0]}: pass input_tensors, or "
                "dynamic_symbolic_constraints with its value"
            )
        dtype = param.torch_dtype()
        if kind is TensorSupplyType.Zero:
            return torch.zeros(param.shape, device=device).to(dtype)
        if kind is TensorSupplyType.One:
            return torch.ones(param.shape, device=device).to(dtype)
        if kind is TensorSupplyType.Auto:
            if param.dtype in _AUTO_FLOATS:
                return _floats(TensorSupplyType.Uniform, param.shape, device).to(dtype)
            return _integers(param, param.shape, device)
        if kind is TensorSupplyType.Integer or not param.dtype.is_float:
            return _integers(param, param.shape, device)
        return _floats(kind, param.shape, device).to(dtype)

    return supply
