# SPDX-License-Identifier: MIT
"""`T.tvm_thread_allreduce` under `T.attr(T.comm_reducer(...), "reduce_scope", ...)`: values that the threads of some
thread indices hold, combined for all of them. Lanes of one warp exchange theirs by shuffles, warps through shared
memory."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from .._ffi import builder
from . import frames, tracer
from .alloc import alloc_shared
from .expr import Load, op, value
from .launch import open_kernel

_open = threading.local()
_WARP, _ALL = 32, 0xFFFFFFFF


class CommReducer:
    """`T.comm_reducer(lambda x, y: x + y, [identity])`."""

    def __init__(self, combine: Callable[..., Any], identity: Sequence[Any]) -> None:
        self._combine = combine
        self.identity = list(identity)

    def __call__(self, left: list[Any], right: list[Any]) -> list[Any]:
        made = self._combine(*left, *right)
        return list(made) if isinstance(made, (tuple, list)) else [made]

    def attribute_frame(self) -> "ReducerFrame":
        return ReducerFrame(self)


class ReducerFrame(frames.AttributeFrame):
    """The reducer of the statements inside."""

    def __init__(self, reducer: CommReducer) -> None:
        super().__init__("reduce_scope", 0)
        self._reducer = reducer

    def __enter__(self) -> None:
        super().__enter__()
        _reducers().append(self._reducer)

    def __exit__(self, error_type: Any, error: Any, traceback: Any) -> None:
        _reducers().pop()
        super().__exit__(error_type, error, traceback)


def _reducers() -> list[CommReducer]:
    if not hasattr(_open, "reducers"):
        _open.reducers = []
    found: list[CommReducer] = _open.reducers
    return found


def _power_of_two(n: int) -> bool:
    return n & (n - 1) == 0


def thread_allreduce(size: Any, *args: Any) -> None:
    if not _reducers():
        raise ValueError(
            'T.tvm_thread_allreduce needs `with T.attr(T.comm_reducer(...), "reduce_scope", ...)` around it'
        )
    reducer, count = _reducers()[-1], int(size)
    values, condition, results = args[:count], args[count], args[count + 1 : 2 * count + 1]
    axes = args[2 * count + 1 :]
    if len(reducer.identity) != count or any(type(r) is not Load for r in results) or not axes:
        raise TypeError(
            f"T.tvm_thread_allreduce takes {len(reducer.identity)} value(s), a condition, as many elements for the "
            f"results and at least one thread index, got {1 + len(args)} arguments"
        )
    t, kernel = tracer.current("T.tvm_thread_allreduce"), open_kernel()
    extents, variables = kernel.threads, kernel.thread_vars
    strides = [1, extents[0], extents[0] * extents[1]]
    dims = [i for i, v in enumerate(variables) if any(builder.same(value(a), v) for a in axes)]

    def combined(left: list[Any], right: list[Any]) -> list[Any]:
        return [t.bind("combined", value(x)) for x in reducer(left, right)]

    have = [value(v) for v in values]
    if condition is not True:
        have = [
            op("select", [value(condition), v, value(i)], [1, 2]) for v, i in zip(have, reducer.identity, strict=True)
        ]
    have = [t.bind("reduced", v) for v in have]
    # What is left of each dimension behind the exchange within warps: (stride of a thread, extent).
    rest = []
    for d in dims:
        stride, extent = strides[d], extents[d]
        if _power_of_two(stride) and _power_of_two(extent):
            while extent > 1 and stride < _WARP:
                have = combined(have, [t.call("shfl_xor", [v, stride, _WARP, _ALL], [0]) for v in have])
                stride, extent = stride * 2, extent // 2
        rest.append((stride, extent))
    if any(extent > 1 for _, extent in rest):
        have = _through_shared_memory(have, rest, combined)
    for place, v in zip(results, have, strict=True):
        place.buffer[tuple(place.index)] = v


def _through_shared_memory(have: list[Any], rest: list[tuple[int, int]], combined: Callable[..., Any]) -> list[Any]:
    kernel = open_kernel()
    thread = kernel.linear_thread()
    staged = []
    for v in have:
        staged.append(alloc_shared((kernel.num_threads,), v.dtype))
        staged[-1][thread] = v
    first, others = thread, [0]
    for stride, extent in rest:
        first = first - thread // stride % extent * stride
        others = [o + i * stride for o in others for i in range(extent)]
    total = [s[first] for s in staged]
    for o in others[1:]:
        total = combined(total, [s[first + o] for s in staged])
    return total
