# SPDX-License-Identifier: MIT
"""`T.Kernel` and what asks about the kernel that is open."""

import math
from typing import Any

from .._ffi import builder
from ..errors import JITNoBuilderError
from . import tracer
from .expr import Operators, Var
from .frames import Frame, Loop, integer


class Phase1Done(BaseException):
    """Raised by the first T.Kernel while an eager function is only asked for its parameters."""


class Kernel(Frame):
    """`with T.Kernel(grid…, threads=n) as (bx, by):`"""

    def __init__(
        self,
        *blocks: Any,
        threads: Any = None,
        prelude: str | None = None,
        is_cpu: bool = False,
        cluster_dims: Any = None,
    ) -> None:
        t = tracer.active()
        if t is None:
            raise JITNoBuilderError("T.Kernel() can only be used inside @tilelang.jit or @T.prim_func context. ")
        if t.phase1:
            raise Phase1Done
        if len(blocks) > 3:
            raise ValueError(f"T.Kernel takes at most 3 grid dimensions, got {len(blocks)}")
        if is_cpu:
            raise NotImplementedError("T.Kernel(is_cpu=True): the cpu target is not supported yet")
        self.blocks = [integer(b) for b in blocks]
        self.threads = _thread_extents(threads)
        self.cluster = _cluster_extents(cluster_dims)
        self.prelude = prelude
        self.block_vars: list[Var] = []
        self.thread_vars: list[Var] = []
        self._outer: Kernel | None = None

    def __enter__(self) -> Any:
        t = tracer.current("T.Kernel")
        given = self.names if isinstance(self.names, tuple) else (self.names,)
        names = [None if n == "_" else n for n in given][: len(self.blocks)]
        names += [None] * (len(self.blocks) - len(names))
        made = builder.begin_kernel(t.at(), self.blocks, self.threads, self.cluster, self.prelude, names)
        self.block_vars, self.thread_vars = list(made[0]), list(made[1])
        t.open("kernel")
        self._outer, t.kernel = t.kernel, self
        return self.block_vars[0] if len(self.block_vars) == 1 else list(self.block_vars)

    def __exit__(self, error_type: Any, error: Any, traceback: Any) -> None:
        if error_type is None:
            t = tracer.current()
            t.close()
            t.kernel = self._outer

    @staticmethod
    def Current() -> "Kernel":
        return open_kernel()

    @property
    def num_threads(self) -> Any:
        return math.prod(self.threads)

    def get_num_threads(self) -> Any:
        """How many threads a block has."""
        return self.num_threads

    def linear_thread(self) -> Any:
        """The index of the thread in its block."""
        (x, y, z), (ex, ey, _) = self.thread_vars, self.threads
        return x if self.threads[1:] == [1, 1] else x + y * ex + z * ex * ey

    def get_thread_binding(self, dim: int = 0) -> Any:
        """The index of the thread in its block along `dim` (0 to 2)."""
        return self.thread_vars[dim]

    def get_thread_bindings(self) -> list[Any]:
        """The three indices of the thread in its block."""
        return list(self.thread_vars)

    def get_block_binding(self, dim: int = 0) -> Any:
        """The index of the block along `dim`, one of the extents of T.Kernel."""
        return self.block_vars[dim]

    def get_block_bindings(self) -> list[Any]:
        """The indices of the block, one for each extent of T.Kernel."""
        return list(self.block_vars)

    def get_thread_extent(self, dim: int = 0) -> Any:
        """How many threads a block has along `dim` (0 to 2)."""
        return self.threads[dim]

    def get_thread_extents(self) -> list[Any]:
        """The three extents of a block, in threads."""
        return list(self.threads)

    def get_block_extent(self, dim: int = 0) -> Any:
        """How many blocks the grid has along `dim`, one of the extents of T.Kernel."""
        return self.blocks[dim]

    def get_block_extents(self) -> list[Any]:
        """The extents of the grid, in blocks, as T.Kernel was given them."""
        return list(self.blocks)


def _thread_extents(threads: Any) -> list[Any]:
    extents = [128] if threads is None else list(threads) if isinstance(threads, (list, tuple)) else [threads]
    numbers = (isinstance(x, Operators) or (hasattr(x, "__index__") and not isinstance(x, bool)) for x in extents)
    if not all(numbers) or not 1 <= len(extents) <= 3:
        raise ValueError(f"threads must be an integer or a list of one to three integers, got {threads!r:.60}")
    extents = [integer(x) for x in extents]
    for x in extents:
        if isinstance(x, int) and x <= 0:
            raise ValueError(f"threads must be positive, got {x}")
    return extents + [1] * (3 - len(extents))


def _cluster_extents(cluster: Any) -> list[int] | None:
    if cluster is None:
        return None
    extents = list(cluster) if isinstance(cluster, (list, tuple)) else [cluster]
    if not all(hasattr(x, "__index__") for x in extents) or len(extents) > 3:
        raise ValueError("cluster_dims must be a list or tuple of integers")
    extents = [x.__index__() for x in extents] + [1] * (3 - len(extents))
    return None if extents == [1, 1, 1] else extents


def open_kernel() -> Kernel:
    t = tracer.active()
    assert t is not None and t.kernel is not None, "no T.Kernel is active here"
    return t.kernel


def launch_index(tag: str, extent: Any) -> Any:
    """The index of the open kernel that `tag` names, checked against its extent."""
    axis, _, dim = str(tag).partition(".")
    if axis not in ("threadIdx", "blockIdx") or dim not in ("x", "y", "z"):
        raise NotImplementedError(f"thread tag {tag!r} is not supported; use threadIdx.x … or blockIdx.x …")
    t = tracer.current("T.thread_binding")
    if t.kernel is None:
        raise NotImplementedError(
            f"T.launch_thread({tag!r}) outside T.Kernel is not supported; open `with T.Kernel(…)`"
        )
    k = "xyz".index(dim)
    indices, extents = (
        (t.kernel.thread_vars, t.kernel.threads) if axis == "threadIdx" else (t.kernel.block_vars, t.kernel.blocks)
    )
    if k >= len(indices):
        raise ValueError(f"{tag} is not an index of this kernel, which has {len(indices)} dimension(s) of {axis}")
    have = extents[k]
    if isinstance(have, int) and isinstance(extent, int) and have != extent:
        raise ValueError(f"{tag} has extent {have} in this kernel, but {extent} is asked for")
    return indices[k]


class IndexLoop(Loop):
    """`T.thread_binding`, `T.launch_thread`: an index of the open kernel, as a loop, a frame or a value."""

    def __init__(self, tag: str, extent: Any) -> None:
        super().__init__("index", [(0, extent, 1)])
        self.tag = tag

    def begin(self, t: tracer.Tracer) -> list[Var]:
        return [self.index()]

    def index(self) -> Var:
        (_, extent, _), *_rest = self.dims
        return launch_index(self.tag, extent)

    def __enter__(self) -> Any:
        return self.index()

    def __exit__(self, error_type: Any, error: Any, traceback: Any) -> None:
        """Nothing was opened."""
