# SPDX-License-Identifier: MIT
"""The names of the dialect that need Python of their own: loops, launch, parameters, functions that fold on Python
numbers. `NAMES` is what the façade serves; everything else is a row of table.txt or a dtype."""

import difflib
from typing import Any

from ..errors import JITNoBuilderError
from . import (
    alloc,
    arithmetic,
    casts,
    comm,
    dtypes,
    expr,
    frames,
    functions,
    layouts,
    schedule,
    source,
    specs,
    tracer,
)
from .buffers import Buffer, Cell, Ref, Region
from .dtypes import dtype
from .expr import Const, Operators, Var, text, value
from .frames import Loop, PersistentLoop, integer, pairs, plain, range_dims
from .launch import IndexLoop, Kernel, open_kernel
from .ops import ROWS, Op, region

# Loops


def serial(start: Any, stop: Any = None, step: Any = None, *, annotations: Any = None) -> Loop:
    """A loop that each thread runs in order: `for i in T.serial(n)`, `(start, stop)` or `(start, stop, step)`.

    The bounds are integers, known at launch or not; `step` is not 0. Python's `range` means the same in a kernel."""
    return Loop("serial", [range_dims(start, stop, step)], [pairs(annotations)])


def unroll(
    start: Any,
    stop: Any = None,
    step: Any = None,
    *,
    explicit: bool = False,
    unroll_factor: int | None = None,
    annotations: Any = None,
) -> Loop:
    """A loop that is written out: completely if the extent is constant, or `unroll_factor` iterations at a time.

    `explicit` writes the copies into the program, so that the loop variable is a constant in each; not with a
    factor."""
    if explicit and unroll_factor:
        raise ValueError("T.unroll's explicit and unroll_factor params are mutually exclusive.")
    return Loop("unroll", [range_dims(start, stop, step)], [explicit, unroll_factor, pairs(annotations)])


def vectorized(start: Any, stop: Any = None, *, annotations: Any = None) -> Loop:
    """A loop whose iterations are the lanes of vector accesses, where alignment and dependences allow. Its extent is a
    constant."""
    return Loop("vector", [range_dims(start, stop)], [pairs(annotations)])


def pipelined(
    start: Any,
    stop: Any = None,
    num_stages: int = 0,
    order: Any = None,
    stage: Any = None,
    sync: Any = None,
    group: Any = None,
    annotations: Any = None,
) -> Loop:
    """A loop whose copies run ahead of what reads them, in `num_stages` buffers: T.Pipelined(n, num_stages=3).

    `order` and `stage` place its statements by hand, one entry each. 0 stages: an ordinary loop. Each shared tile
    that a copy of the loop fills takes `num_stages` times its memory; explain() says which copies were moved."""
    hints = [num_stages, *(None if not x else plain(x) for x in (order, stage, sync, group))]
    return Loop("pipelined", [range_dims(start, stop)], [*hints, pairs(annotations)])


def parallel(
    *extents: Any,
    coalesced_width: int | None = None,
    loop_layout: Any = None,
    prefer_async: bool | None = None,
    annotations: Any = None,
) -> Loop:
    """A nest of element-wise work that the threads of the block divide: `for i, j in T.Parallel(M, N)`.

    Its points run in no order, and two of them must not write one element. `loop_layout`, a T.Fragment, says which
    thread takes which point; `coalesced_width` how many neighbours one thread takes."""
    hints = [coalesced_width, plain(loop_layout), prefer_async, pairs(annotations)]
    return Loop("parallel", [range_dims(e) for e in extents], hints, single=len(extents) == 1)


def grid(*extents: Any) -> Loop:
    """Nested serial loops: `for i, j in T.grid(M, N)`."""
    return Loop("serial", [range_dims(e) for e in extents], single=False)


def persistent(
    domain: Any, wave_size: Any, index: Any, group_size: int = 8, num_stages: int = 0, *, annotations: Any = None
) -> Loop:
    """The tiles of `domain`, dealt to `wave_size` blocks: block `index` takes every `wave_size`-th one.

    `group_size` tiles along the last dimension follow one another, so that they share what the cache holds."""
    return PersistentLoop(domain, wave_size, index, group_size, [pairs(annotations)])


def thread_binding(start: Any, stop: Any = None, thread: str = "threadIdx.x", annotations: Any = None) -> IndexLoop:
    """A loop variable that is a thread or block index: `for tx in T.thread_binding(128, "threadIdx.x")`. It starts at
    0."""
    begin, end, _ = range_dims(start, stop)
    if not isinstance(begin, int) or begin != 0:
        raise NotImplementedError("T.thread_binding must start at 0")
    return IndexLoop(thread, end)


def launch_thread(tag: Any, extent: Any) -> IndexLoop:
    """A launch index of the given extent: `for tx in T.launch_thread("threadIdx.x", 128)`."""
    return IndexLoop(str(tag), integer(extent))


def loop_break() -> None:
    """Leaves the innermost serial loop, as `break`."""
    tracer.current("T.loop_break").jump("break")


def thread_return() -> None:
    """Ends the calling thread. Threads that have ended take part in no barrier."""
    tracer.current("T.thread_return").jump("return")


# Launch


def cluster_kernel(*blocks: Any, cluster_dims: Any, threads: Any = None, prelude: str | None = None) -> Kernel:
    """T.Kernel whose blocks stand in clusters of `cluster_dims`."""
    return Kernel(*blocks, threads=threads, prelude=prelude, cluster_dims=cluster_dims)


def cuda_source_code_kernel(*blocks: Any, **options: Any) -> None:
    """A kernel given as CUDA text. Not supported: raises NotImplementedError."""
    tracer.current("T.CUDASourceCodeKernel")
    raise NotImplementedError("T.CUDASourceCodeKernel is not supported yet")


def _of_kernel(method: str) -> Any:
    """A question to the T.Kernel that is open."""

    def ask(*args: Any) -> Any:
        return getattr(open_kernel(), method)(*args)

    ask.__name__ = ask.__qualname__ = method
    ask.__doc__ = getattr(Kernel, method).__doc__
    return ask


def ws(*ids: int) -> frames.GroupFrame:
    """A block of code for some warpgroups (of 128 threads) only: `with T.ws(0, 1)`.

    Collective statements inside it are of those threads alone."""
    return frames.GroupFrame(ids)


def attr(node: Any, key: str, value: Any) -> frames.AttributeFrame:
    """An annotation of the statements inside it, as TVM spells it. Keys without a meaning here
    change nothing."""
    of_node = getattr(node, "attribute_frame", None)  # a T.comm_reducer
    return of_node() if of_node is not None else frames.AttributeFrame(key, value)


def comm_reducer(combine: Any, identity: Any) -> Any:
    """How T.tvm_thread_allreduce combines: a function of two values (of 2 n values for n), and what it starts from."""
    from .allreduce import CommReducer

    return CommReducer(combine, identity)


def tvm_thread_allreduce(size: Any, *args: Any, dtype: Any = None) -> None:
    """The values that the threads of some thread indices hold, combined for all of them: `size`, the values, a
    condition under which a thread's count, the elements for the results, the thread indices. The whole block takes
    part."""
    from .allreduce import thread_allreduce

    thread_allreduce(size, *args)


# Parameters and symbols


def dynamic(name: str = "n", dtype: Any = "int32") -> Any:
    """A symbol for an extent or a stride; several for "m, n"."""
    made = tuple(expr.var(n, dtype, "dynamic") for n in name.replace(",", " ").split())
    return made[0] if len(made) == 1 else made


def constants(names: str, dtype: Any = "int32") -> Any:
    """`T.const("M N")`: extents of the tensors of a call, Python integers once they are known."""
    t = tracer.active()
    if t is None:
        raise JITNoBuilderError("T.const() can only be used inside @tilelang.jit (eager mode)")
    made = []
    for name in names.replace(",", " ").split():
        if name not in t.constants:
            t.constants[name] = expr.var(name, dtype, "const")
            t.const_symbols.append(t.constants[name])
        made.append(t.constants[name])
    return made[0] if len(made) == 1 else tuple(made)


class _VarAnnotation:
    """`T.Var`: a symbol when called; as a macro's annotation the older name of `T.Ref`."""

    is_reference = True

    def __call__(self, name: str = "v", dtype: Any = "int32") -> Var:
        return expr.var(name, dtype)


# Atomics: on an element a statement with a result, on a tile an op


def _atomic(
    name: str,
    dst: Any,
    new: Any,
    memory_order: Any,
    return_prev: bool,
    use_tma: bool = False,
    dst_pe: Any = None,
    annotations: Any = None,
) -> Any:
    t = tracer.current(f"T.{name}")
    place = region(dst, name)
    tiled = (type(place) is Buffer and type(dst) is not Cell) or isinstance(new, (Buffer, Region))
    if tiled or type(dst) is Region:
        if return_prev:
            raise NotImplementedError("return_prev is not supported for tile-region-based atomic operations")
        source = new if isinstance(new, (Buffer, Region)) else value(new)
        kind = name.removeprefix("atomic_")
        peer = None if dst_pe is None else value(dst_pe)
        return t.tile("atomic", [kind, place, source, memory_order, use_tma, peer, pairs(annotations)])
    element = dst.load() if type(dst) is Cell else expr.load(place.buffer, [b for b, _ in place.region])
    args = [element, value(new), memory_order, return_prev, use_tma, None if dst_pe is None else value(dst_pe)]
    return t.call(name, args, [0] if return_prev else "void")


def atomic_add(
    dst: Any,
    value: Any,
    memory_order: str | None = None,
    return_prev: bool = False,
    use_tma: bool = False,
    annotations: Any = None,
    *,
    tma_wait: bool = True,
    dst_pe: Any = None,
) -> Any:
    """dst += value, atomically; `dst` is an element (of global or shared memory) or a tile, `value` a number or a
    tile.

    `memory_order`: "relaxed" (the default), "acquire", "release", "acq_rel", "seq_cst". With `return_prev`, for
    elements only, gives what was there. `dst_pe` reaches the element of another rank."""
    return _atomic("atomic_add", dst, value, memory_order, return_prev, use_tma, dst_pe, annotations)


def atomic_max(
    dst: Any, value: Any, memory_order: str | None = None, return_prev: bool = False, annotations: Any = None
) -> Any:
    """dst = max(dst, value), atomically; operands, `memory_order` and `return_prev` are those of T.atomic_add."""
    return _atomic("atomic_max", dst, value, memory_order, return_prev, annotations=annotations)


def atomic_min(
    dst: Any, value: Any, memory_order: str | None = None, return_prev: bool = False, annotations: Any = None
) -> Any:
    """dst = min(dst, value), atomically; operands, `memory_order` and `return_prev` are those of T.atomic_add."""
    return _atomic("atomic_min", dst, value, memory_order, return_prev, annotations=annotations)


# Checks and options


def assume(cond: Any) -> None:
    """Promises that a condition holds from here on: bounds that follow from it are not checked.

    Nothing checks the promise. A condition that is known to be false raises ValueError."""
    if isinstance(cond, Operators) and type(cond._as_value()) is not Const:
        tracer.current("T.assume").check("assume", cond._as_value(), text(cond))
    elif not cond:
        raise ValueError("T.assume of a condition that is false")


def device_assert(cond: Any, msg: str = "", no_stack_info: bool = False) -> None:
    """Stops the kernel with `msg` and the line where a thread finds `cond` false."""
    tracer.current("T.device_assert").check("device_assert", value(cond), msg)


def annotate_pass_configs(configs: dict[Any, Any]) -> None:
    """Options of the compiler for this function, as `pass_configs=` of tilelang.jit: {"tl.…": value}."""
    t = tracer.active()
    if t is None:
        raise JITNoBuilderError("T.annotate_pass_configs() can only be used inside a traced function")
    t.attributes.setdefault("tilelang_pass_configs", {}).update({str(k): v for k, v in configs.items()})


def annotate_compile_flags(flags: Any) -> None:
    """Flags for the device compiler, as one text or a list."""
    t = tracer.active()
    if t is None:
        raise JITNoBuilderError("T.annotate_compile_flags() can only be used inside a traced function")
    given = flags.split() if isinstance(flags, str) else list(flags)
    t.attributes.setdefault("tilelang_compile_flags", []).extend(given)


def func_attr(attrs: dict[str, Any]) -> None:
    """Attributes of the function: {"tir.noalias": True}."""
    tracer.current("T.func_attr").attributes.update(attrs)


# Values


def evaluate(x: Any) -> None:
    """A value whose effects, if any, have happened when it was made."""


def bind(value: Any, **_: Any) -> Any:
    """A name for a value, computed here, once."""
    return tracer.current("T.bind").bind("v", expr.value(value))


def has_let_value(x: Any) -> bool:
    """Whether `x` is a name that T.bind or an assignment gave a value."""
    t = tracer.active()
    return t is not None and type(x) is Var and t.let(x) is not None


def get_let_value(x: Any) -> Any:
    """The value of such a name; of anything else, itself."""
    return tracer.current().let(x) if has_let_value(x) else x


def range_pair(begin: Any, end: Any = None) -> tuple[Any, Any]:
    """`(begin, end)`, as slices and regions take it; one argument is the end."""
    return (0, begin) if end is None else (begin, end)


def tma_gather4_bytes(K_box: int, dtype: Any) -> int:
    """How many bytes a gather of four rows of `K_box` elements brings."""
    return -(-4 * K_box * dtypes.dtype(dtype).bits // 8)


NAMES: dict[str, Any] = {
    "serial": serial,
    "Serial": serial,
    "unroll": unroll,
    "Unroll": unroll,
    "vectorized": vectorized,
    "Vectorized": vectorized,
    "Pipelined": pipelined,
    "Parallel": parallel,
    "parallel": parallel,
    "grid": grid,
    "Persistent": persistent,
    "thread_binding": thread_binding,
    "launch_thread": launch_thread,
    "loop_break": loop_break,
    "thread_return": thread_return,
    "Kernel": Kernel,
    "KernelLaunchFrame": Kernel,
    "ClusterKernel": cluster_kernel,
    "CUDASourceCodeKernel": cuda_source_code_kernel,
    "ws": ws,
    "WarpSpecialize": ws,
    "ws_op": frames.LabelFrame,
    "sblock": frames.LabelFrame,
    "attr": attr,
    "comm_reducer": comm_reducer,
    "tvm_thread_allreduce": tvm_thread_allreduce,
    "While": frames.WhileFrame,
    "prim_func": functions.prim_func,
    "PrimFunc": functions.PrimFunc,
    "macro": functions.macro,
    "inline": functions.macro,
    "meta_class": schedule.meta_class,
    "exec_source": source.exec_source,
    "Ref": Ref,
    "Var": _VarAnnotation(),
    "PrimExpr": Operators,
    "Tensor": specs.TensorAnnotation("Tensor", "global"),
    "Buffer": specs.TensorAnnotation("Buffer", "global"),
    "StridedTensor": specs.TensorAnnotation("StridedTensor", "global", strided=True),
    "FragmentBuffer": specs.TensorAnnotation("FragmentBuffer", "local.fragment"),
    "SharedBuffer": specs.TensorAnnotation("SharedBuffer", "shared.dyn"),
    "LocalBuffer": specs.TensorAnnotation("LocalBuffer", "local"),
    "ptr": specs.PointerAnnotation(),
    "make_tensor": specs.make_tensor,
    "dynamic": dynamic,
    "symbolic": dynamic,
    "const": constants,
    "atomic_add": atomic_add,
    "atomic_max": atomic_max,
    "atomic_min": atomic_min,
    "assume": assume,
    "device_assert": device_assert,
    "func_attr": func_attr,
    "annotate_pass_configs": annotate_pass_configs,
    "annotate_compile_flags": annotate_compile_flags,
    "floordiv": arithmetic.floordiv,
    "floormod": arithmetic.floormod,
    "ceildiv": arithmetic.ceildiv,
    "cdiv": arithmetic.ceildiv,
    "align_up": arithmetic.align_up,
    "max": arithmetic.maximum,
    "min": arithmetic.minimum,
    "cast": casts.cast,
    "Cast": casts.typed_cast,
    "reinterpret": casts.reinterpret,
    "infinity": casts.infinity,
    "max_value": casts.max_value,
    "min_value": casts.min_value,
    "IntImm": casts.immediate,
    "FloatImm": casts.immediate,
    "evaluate": evaluate,
    "bind": bind,
    "index_to_coordinates": arithmetic.index_to_coordinates,
    "has_let_value": has_let_value,
    "get_let_value": get_let_value,
    "Range": range_pair,
    "tma_gather4_bytes": tma_gather4_bytes,
    "Layout": layouts.Layout,
    "Fragment": layouts.Fragment,
    "GemmWarpPolicy": layouts.GemmWarpPolicy,
    "dtype": dtype,
    "AnyDType": dtype,
    "get_tvm_dtype": dtype,
    "is_float4": dtypes.is_float4,
    "is_float4_e2m1fn": dtypes.is_float4_e2m1fn,
    "is_float4_e2m1_unpacked": dtypes.is_float4_e2m1_unpacked,
    "annotate_ws_schedule": schedule.annotate_ws_schedule,
    "WSID": schedule.WS_OP_ID,
    "allocate": alloc.alloc_buffer,
    "decl_buffer": alloc.alloc_buffer,
    "sblock_alloc_buffer": alloc.alloc_buffer,
    "alloc_tcgen05_instruction_desc": alloc.alloc_tcgen05_instr_desc,
    "alloc_shared": alloc.alloc_shared,
    "alloc_fragment": alloc.alloc_fragment,
    "alloc_local": alloc.alloc_local,
    "alloc_global": alloc.alloc_global,
    "alloc_tmem": alloc.alloc_tmem,
    "alloc_buffer": alloc.alloc_buffer,
    "alloc_barrier": alloc.alloc_barrier,
    "alloc_cluster_barrier": alloc.alloc_cluster_barrier,
    "alloc_var": alloc.alloc_var,
    "alloc_reducer": alloc.alloc_reducer,
    "alloc_descriptor": alloc.alloc_descriptor,
    "alloc_wgmma_desc": alloc.alloc_wgmma_desc,
    "alloc_tcgen05_smem_desc": alloc.alloc_tcgen05_smem_desc,
    "alloc_tcgen05_instr_desc": alloc.alloc_tcgen05_instr_desc,
    "empty": alloc.empty,
    "reshape": alloc.reshape,
    "view": alloc.view,
    "make_tensor_from_addr": alloc.make_tensor_from_addr,
    "WSOpRef": schedule.WSOpRef,
    "WSSyncKind": schedule.WSSyncKind,
    "WSInstr": schedule.WSInstr,
    "WSSync": schedule.WSSync,
    "WSRole": schedule.WSRole,
    "WSPipeline": schedule.WSPipeline,
    "WSScope": schedule.WSScope,
    "WSSchedule": schedule.WSSchedule,
    "BaseTileScheduler": schedule.BaseTileScheduler,
    "PersistentTileScheduler": schedule.PersistentTileScheduler,
    "signal": comm.signal,
    "Signal": comm.Signal,
    "notify": comm.notify,
    "wait": comm.wait,
    "put": comm.put,
    "get": comm.get,
    "wait_eq": comm.wait_eq,
    "wait_ne": comm.wait_ne,
    "wait_ge": comm.wait_ge,
    "wait_le": comm.wait_le,
    "wait_gt": comm.wait_gt,
    "wait_lt": comm.wait_lt,
    "WaitScope": comm.WaitScope,
    "WaitSemantics": comm.WaitSemantics,
    "CmpType": comm.CmpType,
    "Amo": comm.Amo,
    "Team": comm.Team,
    "signal_op": comm.signal_op,
    "signal_wait_until": comm.signal_wait_until,
    "sync_barrier_gpu": comm.sync_barrier_gpu,
    "barrier_all": comm.barrier_all,
    "sync_all": comm.sync_all,
    "broadcast": comm.broadcast,
    "fcollect": comm.fcollect,
    "barrier_all_warp": comm.barrier_all_warp,
    "sync_all_warp": comm.sync_all_warp,
    "broadcast_warp": comm.broadcast_warp,
    "fcollect_warp": comm.fcollect_warp,
    "barrier_all_block": comm.barrier_all_block,
    "sync_all_block": comm.sync_all_block,
    "broadcast_block": comm.broadcast_block,
    "fcollect_block": comm.fcollect_block,
    "broadcastmem_block": comm.broadcastmem_block,
    "alloc_barrier_gpu": comm.alloc_barrier_gpu,
    "putmem_signal": comm.putmem_signal,
    "putmem_signal_warp": comm.putmem_signal_warp,
    "putmem_signal_block": comm.putmem_signal_block,
    "putmem_signal_nbi": comm.putmem_signal_nbi,
    "putmem_signal_nbi_warp": comm.putmem_signal_nbi_warp,
    "putmem_signal_nbi_block": comm.putmem_signal_nbi_block,
    "get_thread_binding": _of_kernel("get_thread_binding"),
    "get_thread_bindings": _of_kernel("get_thread_bindings"),
    "get_block_binding": _of_kernel("get_block_binding"),
    "get_block_bindings": _of_kernel("get_block_bindings"),
    "get_thread_extent": _of_kernel("get_thread_extent"),
    "get_thread_extents": _of_kernel("get_thread_extents"),
    "get_block_extent": _of_kernel("get_block_extent"),
    "get_block_extents": _of_kernel("get_block_extents"),
}


def lookup(name: str) -> Any:
    """The object behind `T.name`."""
    if name in NAMES:
        return NAMES[name]
    if name in ROWS:
        return Op(ROWS[name])
    try:
        return dtype(name)
    except TypeError:
        near = difflib.get_close_matches(name, known_names(), 1)
    hint = f"; did you mean T.{near[0]}?" if near else ""
    # With an object of its own, Python adds no second suggestion.
    raise AttributeError(f"T.{name} is not part of the dialect that this version supports{hint}", name=name, obj=None)


def known_names() -> list[str]:
    return sorted({*NAMES, *ROWS, *_COMMON_DTYPES})


_COMMON_DTYPES = [
    "bool",
    "int4",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint4",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "bfloat16",
    "tfloat32",
    "float32",
    "float64",
    "float8_e4m3fn",
    "float8_e4m3",
    "float8_e5m2",
    "float8_e8m0fnu",
    "float4_e2m1fn",
    "handle",
]
