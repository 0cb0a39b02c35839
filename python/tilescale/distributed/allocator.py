# SPDX-License-Identifier: MIT
"""Symmetric memory of a program with a process per rank: the same tensors, in the same order, on every rank."""

import math
import sys
from collections.abc import Callable
from typing import Any

from .._ffi import function
from ..language.dtypes import dtype as _dtype
from ..targets import Target
from . import group as groups
from .world import framework_tensor

DEFAULT_SIZE = 1 << 30


def _shape(shape: Any) -> list[int]:
    extents = [int(n) for n in (shape if isinstance(shape, (tuple, list)) else (shape,))]
    if math.prod(extents) < 1 or min(extents, default=1) < 1:
        raise ValueError(f"a symmetric tensor needs at least one element, got the shape {tuple(extents)}")
    return extents


def _gpu(device: Any) -> int:
    """The index of "cuda", "cuda:1", 1 or a torch.device: of the current GPU where it says none."""
    if isinstance(device, str):
        index: Any = device.partition(":")[2] or None
    else:
        index = device if isinstance(device, int) else getattr(device, "index", None)
    torch = sys.modules.get("torch")
    if index is None:
        index = torch.cuda.current_device() if torch is not None and torch.cuda.is_available() else 0
    return int(index)


class Allocator:
    """A heap of `size` bytes on every rank. Ranks allocate the same tensors in the same order; memory is free again
    when all ranks have dropped the tensor."""

    def __init__(
        self,
        size: int = DEFAULT_SIZE,
        device: Any = None,
        is_distributed: bool = False,
        local_rank: int | None = None,
        num_local_ranks: int | None = None,
        group: Any = None,
        align: int = 256,
        use_vmm: bool | None = None,
        mcast_size: int | None = None,
    ) -> None:
        if size <= 0:
            raise ValueError(f"the size of an allocator must be positive, got {size}")
        if align > 256 or align < 1 or align & (align - 1):
            raise ValueError(f"align must be a power of two of at most 256, got {align}")
        if mcast_size:
            raise NotImplementedError("multicast memory is not supported: leave mcast_size out")
        if is_distributed and (local_rank is None or num_local_ranks is None):
            raise ValueError("a distributed allocator needs local_rank and num_local_ranks")
        self.rank = int(local_rank or 0) if is_distributed else 0
        self.ranks = int(num_local_ranks or 1) if is_distributed else 1
        if not 0 <= self.rank < self.ranks:
            raise ValueError(f"local_rank {self.rank} is not a rank of {self.ranks}")
        if group is not None and is_distributed and hasattr(group, "size") and group.size() != self.ranks:
            raise ValueError(
                f"the group has {group.size()} ranks, num_local_ranks is {self.ranks}: an allocator spans the "
                "ranks of one host"
            )
        self.size = size
        self.target = Target(None)
        self.on_gpu = str(self.target) != "sim"
        transport, address = groups.transport(self.rank, self.ranks, group, use_vmm)
        self._heap = function("runtime.open_heap")(
            transport, self.ranks, self.rank, size, address, _gpu(device) if self.on_gpu else 0
        )
        self._count = 0

    # What a kernel and a program ask

    @property
    def device(self) -> Any:
        """Where the tensors are, as torch says it."""
        import torch

        return torch.device("cuda", self._heap.device_of(self.rank))

    @property
    def table(self) -> Any:
        """Rank, number of ranks, and where the memory of each begins, as seen from this process."""
        import torch

        return torch.tensor([int(n) for n in self._heap.table(self.rank)], dtype=torch.int64).view(torch.uint64)

    @property
    def table_size(self) -> int:
        return 2 + self.ranks

    @property
    def ptr(self) -> int:
        """Where this rank's memory begins."""
        return int(self._heap.table(self.rank)[2 + self.rank])

    @property
    def closed(self) -> bool:
        return bool(self._heap.closed())

    def initialized(self) -> bool:
        return not self.closed

    def tensor(self, shape: Any, dtype: Any = "float32", return_peers: bool = False, name: str | None = None) -> Any:
        """A tensor of zeros. With `return_peers` a list with the same tensor of every rank."""
        name = name or f"tensor_{self._count}"
        self._count += 1
        mine = self._heap.tensor(self.rank, _shape(shape), str(_dtype(dtype)), name)
        if not return_peers:
            return framework_tensor(mine, self.on_gpu)
        parts = [mine if r == self.rank else self._heap.peer(mine, r) for r in range(self.ranks)]
        return [framework_tensor(p, self.on_gpu) for p in parts]

    def _allocate_tensor(
        self, shape: Any, dtype: Any, return_peers: bool | None = False, take_ownership: bool = False
    ) -> Any:
        return self.tensor(shape, dtype, bool(return_peers))

    def bind(self, keep: Callable[[], None]) -> None:
        """Calls `keep` while launches of this thread are this allocator's."""
        self._heap.enter(self.rank, True, 0)
        try:
            keep()
        finally:
            self._heap.leave()

    def close(self) -> None:
        """No allocation and no launch behind it. Tensors that live keep their memory."""
        self._heap.close()

    def __enter__(self) -> "Allocator":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if not self.closed:
            self.close()


BaseAllocator = Allocator


def get_allocator(
    size: int = DEFAULT_SIZE,
    device: Any = "cuda",
    is_distributed: bool = True,
    local_rank: int = 0,
    num_local_ranks: int = 1,
    group: Any = None,
    use_vmm: bool | None = None,
    mcast_size: int | None = None,
) -> Allocator:
    """The heap that `tilelang.tensor` allocates from. All ranks call it alike."""
    return Allocator(
        size, device, is_distributed, local_rank, num_local_ranks, group, use_vmm=use_vmm, mcast_size=mcast_size
    )


def tensor(
    shape: Any,
    dtype: Any = None,
    device: Any = None,
    allocator: Allocator | None = None,
    return_peers: bool | None = None,
) -> Any:
    """A tensor in an allocator's symmetric memory; without an allocator one of torch."""
    if allocator is not None:
        return allocator.tensor(shape, "float32" if dtype is None else dtype, bool(return_peers))
    if return_peers:
        raise ValueError("return_peers needs an allocator")
    import torch

    return torch.empty(shape, dtype=None if dtype is None else _dtype(dtype).as_torch(), device=device)
