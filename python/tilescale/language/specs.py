# SPDX-License-Identifier: MIT
"""What parameter annotations say: `T.Tensor(shape, dtype)`, `T.StridedTensor`, `T.ptr`. Plain values until a
function declares a parameter with them."""

from typing import Any

from . import tracer
from .buffers import Buffer
from .dtypes import HANDLE, dtype
from .expr import Expr, Operators, Var
from .frames import integer


def shape_of(shape: Any) -> tuple[Any, ...]:
    """A shape as a tuple of integers and expressions; one extent stands for itself."""
    if isinstance(shape, (tuple, list)) or type(shape).__name__ == "Size":
        return tuple(map(integer, shape))
    return (integer(shape),)


class TensorSpec:
    """A tensor parameter: shape, element type, strides if they are declared, and scope."""

    def __init__(self, shape: Any, data_type: Any = "float32", strides: Any = None, scope: str | None = None) -> None:
        self.shape = shape_of(shape)
        # A tensor of pointers is stored as 64-bit addresses.
        self.dtype = dtype("int64") if getattr(data_type, "is_pointer_spec", False) else dtype(data_type)
        self.strides = None if strides is None else shape_of(strides)
        self.scope = scope or "global"
        if self.strides is not None and len(self.strides) != len(self.shape):
            raise ValueError(f"{len(self.shape)} dimension(s) but {len(self.strides)} stride(s) in {self!r}")

    def stride_list(self) -> list[Any] | None:
        return None if self.strides is None else list(self.strides)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __repr__(self) -> str:
        strides = "" if self.strides is None else f", strides={self.strides}"
        return f"T.Tensor({self.shape}, {self.dtype}{strides})"


class PointerSpec:
    """A raw pointer parameter."""

    def __repr__(self) -> str:
        return "T.ptr"


class TensorAnnotation:
    """`T.Tensor`, `T.StridedTensor`, …: called or subscripted it gives a TensorSpec; with a pointer, inside a
    kernel, a view of the memory there."""

    def __init__(self, name: str, scope: str, strided: bool = False) -> None:
        self.__name__ = name
        self._scope = scope
        self._strided = strided

    def __call__(self, shape: Any, *args: Any, **kwargs: Any) -> Any:
        known = ("strides", "dtype", "data", "scope") if self._strided else ("dtype", "data", "scope")
        values: dict[str, Any] = dict(zip(known, args, strict=False))
        values.update(kwargs)
        data = values.get("data")
        if data is not None and not isinstance(data, str):
            return make_tensor(data, shape, values.get("dtype", "float32"), values.get("strides"))
        scope = values.get("scope") or (data if isinstance(data, str) else None) or self._scope
        if self._strided and "strides" not in values:
            raise TypeError(f"T.{self.__name__} needs strides")
        return TensorSpec(shape, values.get("dtype", "float32"), values.get("strides"), scope)

    def __getitem__(self, item: Any) -> Any:
        parts = (tuple, list, dtype, str, type, PointerAnnotation)
        if isinstance(item, tuple) and any(isinstance(x, parts) for x in item):
            return self(*item)
        return self(item)

    def from_ptr(self, ptr: Any, shape: Any, dtype: Any = "float32", strides: Any = None) -> Any:
        return make_tensor(ptr, shape, dtype, strides)

    def __repr__(self) -> str:
        return f"T.{self.__name__}"


class PointerAnnotation:
    """`T.ptr`: as an annotation a pointer parameter; as an element type a table of addresses."""

    is_pointer_spec = True

    def __call__(self, dtype: Any = None, storage_scope: str = "global", *, is_size_var: bool = False) -> PointerSpec:
        return PointerSpec()

    def __repr__(self) -> str:
        return "T.ptr"


def make_tensor(ptr: Any, shape: Any, dtype: Any = "float32", strides: Any = None) -> Any:
    """A tensor over the memory at a pointer."""
    steps = None if strides is None else list(shape_of(strides))
    base = ptr._as_value() if isinstance(ptr, Operators) else ptr
    if not isinstance(base, Expr):
        raise TypeError(f"T.make_tensor needs a pointer or an address, got {type(ptr).__name__} {ptr!r:.60}")
    return tracer.current("T.make_tensor").view(base, "from_ptr", dtype, list(shape_of(shape)), steps)


def declare(t: tracer.Tracer, name: str, spec: Any) -> Any:
    """Makes the parameter that an annotation describes."""
    if spec in (int, float, bool):
        spec = dtype(spec)
    if isinstance(spec, PointerSpec):
        return t.param("pointer", name, HANDLE)
    if isinstance(spec, TensorSpec):
        return t.param("tensor", name, spec.dtype, list(spec.shape), spec.stride_list(), spec.scope)
    if isinstance(spec, (dtype, Var)):
        kind = spec if isinstance(spec, dtype) else spec.dtype
        return t.param("pointer" if kind == HANDLE else "scalar", name, kind)
    if isinstance(spec, Buffer):
        return t.param("tensor", name, spec.dtype, list(spec.shape), list(spec.strides), spec.scope())
    if callable(spec) and not isinstance(spec, type):
        return declare(t, name, spec())
    raise TypeError(f"Unsupported argument type: {spec!r:.80} for parameter `{name}`")
