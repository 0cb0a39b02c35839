# SPDX-License-Identifier: MIT
"""Several ranks in one process: on the GPUs of this machine, or on the simulator.

with tilescale.distributed.World(ranks=2) as w:
    inbox = w.tensor((64, 64), "float32", name="inbox")
    w.launch(kernel, inbox)
    w.barrier()
    print(inbox[0])
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from .._ffi import function
from .._jit import machine
from ..language.dtypes import dtype as _dtype
from ..targets import Target


class SymmetricTensor:
    """One tensor on every rank, at the same place of each rank's symmetric memory. `t[r]` is that of rank r."""

    def __init__(self, parts: list[Any], shape: tuple[int, ...], data_type: Any, name: str) -> None:
        self._parts = parts
        self.shape = shape
        self.dtype = data_type
        self.name = name

    def __getitem__(self, rank: int) -> Any:
        return self._parts[rank]

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parts)

    def __repr__(self) -> str:
        return f"SymmetricTensor({self.name}: {self.dtype}{list(self.shape)} on {len(self)} ranks)"


class PerRank:
    """An argument of a launch that differs between ranks: `PerRank([a, b])`, one value a rank."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = list(values)


def framework_tensor(part: Any, on_gpu: bool) -> Any:
    """A tensor of torch where it is loaded or the only one that can hold it, else of numpy."""
    if "torch" in sys.modules or on_gpu:
        try:
            return importlib.import_module("torch").from_dlpack(part)
        except ImportError:
            return part
    try:
        return importlib.import_module("numpy").from_dlpack(part)
    except (ImportError, RuntimeError, BufferError, TypeError):
        return part  # an element type that numpy does not have


class World:
    """`ranks` ranks that reach each other's memory.

    On GPUs rank r runs on GPU r modulo their number, on a stream of its own. Ranks that share a GPU run together only
    while all their blocks fit on it at once; kernels that wait for peers need that. `target` as for
    `tilescale.compile`: the GPUs if there are any, else the simulator.
    """

    def __init__(self, ranks: int = 2, target: Any = None) -> None:
        machine.configure()
        self.target = Target(target)
        self.ranks = ranks
        self.on_gpu = self.target.text.split()[0] != "sim"
        self._heap = function("runtime.open_heap")("local" if self.on_gpu else "sim", ranks, -1, 0, "", 0)
        self._launched: list[Any] = []
        self._tensors = 0

    def __enter__(self) -> "World":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._heap.closed():
            return
        if kind is not None:
            # The caller's error is the one to see: what the kernels run into as well is not raised.
            with contextlib.suppress(Exception):
                self.barrier()
        self.close(wait=kind is None)

    def tensor(self, shape: Any, dtype: Any = "float32", name: str | None = None) -> SymmetricTensor:
        """A tensor of zeros on every rank."""
        extents = tuple(int(n) for n in (shape if isinstance(shape, (tuple, list)) else (shape,)))
        data_type = _dtype(dtype)
        name = name or f"tensor_{self._tensors}"
        self._tensors += 1
        parts = [self._heap.tensor(r, list(extents), str(data_type), name) for r in range(self.ranks)]
        return SymmetricTensor([framework_tensor(p, self.on_gpu) for p in parts], extents, data_type, name)

    def launch(self, kernel: Any, *args: Any) -> None:
        """Launches `kernel` on every rank. A SymmetricTensor stands for each rank's part, a PerRank for its values, all
        else is the same for all ranks. Returns at once: `barrier` waits, and raises what the kernels ran into."""
        by_rank = [[self._argument(a, r) for a in args] for r in range(self.ranks)]
        streams = [self._caller_stream(r) for r in range(self.ranks)]
        # Loading a module may wait for running kernels, which may wait for the rank that is loading: all load first.
        for r in range(self.ranks):
            self._as_rank(r, kernel, by_rank[r], streams[r], prepare=True)
        self._launched.append(by_rank)
        self._heap.fork(streams)
        for r in range(self.ranks):
            self._as_rank(r, kernel, by_rank[r], streams[r], prepare=False)
        self._heap.join(streams)

    def _as_rank(self, rank: int, kernel: Any, args: list[Any], stream: int, prepare: bool) -> None:
        self._heap.enter(rank, prepare, stream)
        try:
            kernel(*args)
        finally:
            self._heap.leave()

    def _argument(self, x: Any, rank: int) -> Any:
        if isinstance(x, SymmetricTensor):
            return x[rank]
        if isinstance(x, PerRank):
            if len(x.values) != self.ranks:
                raise ValueError(f"PerRank has {len(x.values)} values, the world has {self.ranks} ranks")
            return x.values[rank]
        return x

    def _caller_stream(self, rank: int) -> int:
        torch = sys.modules.get("torch")
        if not self.on_gpu or torch is None:
            return 0
        return int(torch.cuda.current_stream(self._heap.device_of(rank)).cuda_stream)

    def device(self, rank: int) -> str:
        """Where the tensors of a rank are, as torch says it."""
        return f"cuda:{self._heap.device_of(rank)}" if self.on_gpu else "cpu"

    def barrier(self) -> None:
        """Waits until all that was launched is done, and on GPUs what else is on the current streams; raises what went
        wrong. A launch comes behind what is on the current stream of each rank's own GPU: where a kernel writes memory
        of another rank that torch is filling, a barrier must stand between."""
        try:
            self._heap.barrier([self._caller_stream(r) for r in range(self.ranks)] if self.on_gpu else [])
        finally:
            self._launched.clear()

    def close(self, wait: bool = True) -> None:
        """Ends the world. Tensors that live keep their memory."""
        if wait and not self._heap.closed():
            self.barrier()
        self._heap.close()
