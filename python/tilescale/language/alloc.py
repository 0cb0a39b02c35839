# SPDX-License-Identifier: MIT
"""Memory that a kernel declares: `T.alloc_…`, views, output tensors."""

from typing import Any

from . import tracer
from .buffers import Buffer, Cell, Region
from .expr import Operators, value
from .specs import make_tensor, shape_of

_REDUCERS = ("sum", "max", "min", "bitand", "bitor", "bitxor")


def _alloc(scope: str, shape: Any, data_type: Any) -> Buffer:
    return tracer.current("T.alloc_…").alloc(scope, data_type, list(shape_of(shape)))


def alloc_shared(shape: Any, dtype: Any = "float32", scope: str = "shared.dyn") -> Buffer:
    """A tile in shared memory, of the whole block: constant shape, any dtype, not initialised.

    The compiler chooses its layout, and gives tiles that are never needed together the same memory."""
    return _alloc(scope, shape, dtype)


def alloc_fragment(shape: Any, dtype: Any = "float32", scope: str = "local.fragment") -> Buffer:
    """A tile in registers, divided among the threads of the block: constant shape, not initialised.

    The compiler chooses which thread holds what. A thread has at most 255 registers of 32 bits; explain() tells the
    number."""
    return _alloc(scope, shape, dtype)


def alloc_local(shape: Any, dtype: Any = "float32", scope: str = "local") -> Buffer:
    """An array of each thread of its own: constant shape, not initialised. In registers where every index is a
    constant."""
    return _alloc(scope, shape, dtype)


def alloc_global(shape: Any, dtype: Any = "float32") -> Buffer:
    """A tensor of the launch in global memory, that no argument gives: all blocks share it, not initialised."""
    return _alloc("global", shape, dtype)


def alloc_tmem(shape: Any, dtype: Any = "float32") -> Buffer:
    """A tile in tensor memory (sm_100), of two dimensions or more. Not supported yet: NotImplementedError."""
    assert len(shape_of(shape)) >= 2, "shape must be a 2D or higher tensor for TMEM allocation"
    return _alloc("shared.tmem", shape, dtype)


def alloc_buffer(shape: Any, dtype: Any = "float32", scope: str = "global", **_: Any) -> Buffer:
    """Memory of a scope: "global", "shared.dyn", "local.fragment", "local", … ValueError for one that is unknown."""
    return _alloc(scope, shape, dtype)


def alloc_barrier(arrive_count: Any, scope: str = "shared.barrier") -> Buffer:
    """An mbarrier in shared memory that `arrive_count` arrivals complete; for a list of counts an array of them."""
    counts = list(arrive_count) if isinstance(arrive_count, (list, tuple)) else [arrive_count]
    t = tracer.current("T.alloc_barrier")
    return t.alloc(scope, "uint64", [len(counts)], arrivals=[value(n) for n in counts])


def alloc_cluster_barrier(arrive_count: Any) -> Buffer:
    """T.alloc_barrier for the blocks of a cluster. Not supported yet: NotImplementedError."""
    return alloc_barrier(arrive_count, "shared.cluster_barrier")


def alloc_var(dtype: Any, *args: Any, init: Any = None, scope: str | None = None) -> Cell:
    """`(dtype)`, `(dtype, init)`, `(dtype, "scope")`, `(dtype, init, "scope")`, or by keyword."""
    if len(args) > 2:
        raise TypeError(f"alloc_var expected at most 3 positional arguments but got {len(args) + 1}.")
    if len(args) == 2 and not isinstance(args[1], str):
        raise TypeError("Scope must be provided as a string in alloc_var.")
    if len(args) == 1 and isinstance(args[0], str):
        scope = args[0]
    elif args:
        if init is not None:
            raise TypeError("Initializer specified multiple times in alloc_var.")
        init, scope = args[0], args[1] if len(args) == 2 else scope
    if scope is not None and not isinstance(scope, str):
        raise TypeError("Scope must be a string in alloc_var.")
    if getattr(dtype, "is_pointer_spec", False):
        dtype = "int64"
    start = None if init is None else value(init)
    return Cell(tracer.current("T.alloc_var").alloc(scope or "local.var", dtype, [1], init=start))


def alloc_reducer(shape: Any, dtype: Any, op: str = "sum", replication: str | None = None) -> Buffer:
    """A tile that the threads reduce into, by `op`: sum, max, min, bitand, bitor or bitxor.

    Not supported yet: NotImplementedError. T.alloc_fragment with T.reduce_…, or T.atomic_… on a shared tile, do the
    same."""
    if op not in _REDUCERS:
        raise ValueError(f"T.alloc_reducer: op must be one of {', '.join(_REDUCERS)}, got {op!r}")
    t = tracer.current("T.alloc_reducer")
    scope = "local.reducer" if replication is None else "local.fragment"
    return t.alloc(scope, dtype, list(shape_of(shape)), reducer=op, replication=replication)


def alloc_descriptor(kind: str = "wgmma", dtype: Any = "uint64") -> Buffer:
    """A descriptor of a matrix operand, as warpgroup instructions take it. Not supported yet: NotImplementedError."""
    return _alloc(f"local.descriptor.{kind}", (1,), dtype)


def alloc_wgmma_desc(dtype: Any = "uint64") -> Buffer:
    """T.alloc_descriptor for wgmma (sm_90)."""
    return alloc_descriptor("wgmma", dtype)


def alloc_tcgen05_smem_desc(dtype: Any = "uint64") -> Buffer:
    """T.alloc_descriptor for an operand of tcgen05 in shared memory (sm_100)."""
    return alloc_descriptor("tcgen05_smem", dtype)


def alloc_tcgen05_instr_desc(dtype: Any = "uint32") -> Buffer:
    """T.alloc_descriptor for the instruction of tcgen05 (sm_100)."""
    return alloc_descriptor("tcgen05_instr", dtype)


def empty(*shape: Any, dtype: Any = "float32") -> Buffer:
    """An output tensor: allocated by the call, returned by the function."""
    if len(shape) == 2 and isinstance(shape[0], (tuple, list)):
        shape, dtype = tuple(shape[0]), shape[1]
    elif len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    if any(isinstance(n, str) or not (isinstance(n, Operators) or hasattr(n, "__index__")) for n in shape):
        raise TypeError(f"Invalid shape {shape}")
    t = tracer.current("T.empty")
    name = f"out{len(t.outputs)}" if t.outputs else "out"
    while name in t.params:
        name += "_"
    made = t.param("tensor", name, dtype, list(shape_of(shape)), is_out=True)
    t.outputs.append(made)
    return made


def _memory(x: Any, op: str) -> Any:
    if type(x) is Cell:
        return x.buffer
    if not isinstance(x, (Buffer, Region)):
        raise TypeError(f"T.{op} needs a buffer or a slice, got {type(x).__name__} {x!r:.60}")
    return x


def reshape(src: Any, shape: Any) -> Buffer:
    """The same memory in row-major order under another shape."""
    base = _memory(src, "reshape")
    return tracer.current("T.reshape").view(base, "reshape", base.dtype, list(shape_of(shape)))


def view(src: Any, shape: Any = None, dtype: Any = None, strides: Any = None) -> Buffer:
    """The same memory under another shape or element type."""
    base = _memory(src, "view")
    extents = list(shape_of(base.shape if shape is None else shape))
    steps = None if strides is None else list(shape_of(strides))
    kind = base.dtype if dtype is None else dtype
    return tracer.current("T.view").view(base, "view", kind, extents, steps)


def make_tensor_from_addr(
    addr: Any, shape: Any, dtype: Any = "float32", strides: Any = None, storage_scope: str = "global"
) -> Any:
    """A tensor at an address, a 64-bit integer such as an element of a table of pointers; row-major unless `strides`
    say otherwise. Nothing checks that the memory is there."""
    if storage_scope != "global":
        raise NotImplementedError(f"T.make_tensor_from_addr in scope {storage_scope!r} is not supported yet")
    return make_tensor(addr, shape, dtype, strides)
