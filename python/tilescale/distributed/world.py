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
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from .._ffi import function, tvm_ffi
from .._jit import machine
from ..language.dtypes import dtype as _dtype
from ..language.report import hide_own_frames
from ..targets import Target
from . import streams

_NUMBERS = frozenset({int, float, bool})


class SymmetricTensor:
    """One tensor on every rank, at the same place of each rank's symmetric memory. `t[r]` is that of rank r."""

    def __init__(self, parts: list[Any], of_ranks: Any, shape: tuple[int, ...], data_type: Any, name: str) -> None:
        self._parts = parts
        self._of_ranks = of_ranks  # the same memory, as a kernel's entry takes it
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


class WorldStream:
    """A stream of every rank beside the one of its launches: what is on it runs in order, and beside the others."""

    def __init__(self, handles: list[int]) -> None:
        self.handles = handles


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


def _contiguous(part: Any) -> bool:
    return bool(part.is_contiguous()) if hasattr(part, "is_contiguous") else bool(part.flags.c_contiguous)


def _elements(part: Any) -> int:
    return math.prod(part.shape)


def _described(part: Any) -> str:
    return f"{str(part.dtype).removeprefix('torch.')}{list(part.shape)}"


def _address(part: Any) -> int:
    return int(part.data_ptr()) if hasattr(part, "data_ptr") else int(part.ctypes.data)


def _count(value: Any, what: str) -> int:
    """`value` as a number of things, of which there may be none."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} must be an integer, got {value!r}")
    if int(value) < 0:
        raise ValueError(f"{what} must be at least 0, got {int(value)}")
    return int(value)


class World:
    """`ranks` ranks that reach each other's memory.

    On GPUs rank r runs on GPU r modulo their number, on a stream of its own. Ranks that share a GPU run together only
    while all their blocks fit on it at once; kernels that wait for peers need that. `target` as for
    `tilescale.compile`: the GPUs if there are any, else the simulator.
    """

    def __init__(self, ranks: int = 2, target: Any = None) -> None:
        machine.configure()
        self.target = Target(target)
        self.ranks = _count(ranks, "the number of ranks")
        self.on_gpu = self.target.text.split()[0] != "sim"
        self._heap = function("runtime.open_heap")("local" if self.on_gpu else "sim", self.ranks, -1, 0, "", 0)
        self._devices = [int(self._heap.device_of(r)) for r in range(self.ranks)]
        self._launch_ranks = function("runtime.launch_ranks")
        self._launched: dict[int, Any] = {}  # tensors of launches that nobody has waited for, each once
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
        dimensions = shape if isinstance(shape, (tuple, list)) else (shape,)
        extents = tuple(_count(n, "an extent of a tensor") for n in dimensions)
        data_type = _dtype(dtype)
        name = name or f"tensor_{self._tensors}"
        self._tensors += 1
        parts = [self._heap.tensor(r, list(extents), str(data_type), name) for r in range(self.ranks)]
        framework = [framework_tensor(p, self.on_gpu) for p in parts]
        return SymmetricTensor(framework, tvm_ffi.convert(parts), extents, data_type, name)

    def launch(self, kernel: Any, *args: Any) -> None:
        """Launches `kernel` on every rank. A SymmetricTensor stands for each rank's part, a PerRank for its values, all
        else is the same for all ranks. Returns at once: `barrier` waits, and raises what the kernels ran into."""
        if not callable(kernel):
            raise TypeError(f"a launch needs a compiled kernel, got {kernel!r}")
        callers = self._caller_streams()
        entry = getattr(kernel, "entry_without_results", None)
        if entry is not None:
            try:
                self._launch_ranks(self._heap, entry, *callers, *[self._given(x) for x in args])
            except (BufferError, RuntimeError) as error:
                for values in zip(*(self._values(x) for x in args), strict=True):
                    kernel.check_tensors(values)
                hide_own_frames(error)
                raise
            except Exception as error:
                hide_own_frames(error)
                raise
            return
        columns = [self._values(x) for x in args]
        # Loading a module may wait for running kernels, which may wait for the rank that is loading: all load first.
        for prepare in (True, False):
            if not prepare:
                self._heap.fork(callers)
            for r, caller in enumerate(callers):
                self._heap.enter(r, prepare, caller)
                try:
                    kernel(*(column[r] for column in columns))
                finally:
                    self._heap.leave()
        self._heap.join(callers)

    # One rank's stream without a kernel of the program: `stream=None` is the one of its launches.

    def stream(self) -> WorldStream:
        """A new stream of every rank."""
        return WorldStream([int(self._heap.make_stream(r)) for r in range(self.ranks)])

    def copy(self, to: Any, source: Any, rank: int, stream: WorldStream | None = None) -> None:
        """`rank` copies a tensor of any rank to one of any, on a GPU by its copy engine. Both are contiguous."""
        self._heap.device_of(rank)
        given, taken = _described(to), _described(source)
        if given != taken:
            raise ValueError(f"a copy needs two tensors of one shape and type, got {given} and {taken}")
        for what, part in (("target", to), ("source", source)):
            if not _contiguous(part):
                raise ValueError(f"a copy moves consecutive elements, its {what} has gaps")

        def engine(on: int) -> None:
            self._heap.copy(rank, _address(to), _address(source), _elements(to) * to.dtype.itemsize, on)

        self._on_stream(
            rank, stream, engine, lambda: streams.simulated("copy", to), [source.reshape(-1), to.reshape(-1)]
        )

    def set_signal(self, signal: Any, value: int, rank: int, stream: WorldStream | None = None) -> None:
        """Behind all before, `rank` writes `value` into a tensor's first element, of any rank, for all to see."""
        self._value("set_signal", signal, value, rank, stream)

    def wait_eq(self, signal: Any, value: int, rank: int, stream: WorldStream | None = None) -> None:
        """What `rank` gets later waits until the tensor's first element is `value`."""
        self._value("wait_eq", signal, value, rank, stream)

    def _value(self, op: str, signal: Any, value: int, rank: int, stream: WorldStream | None) -> None:
        name = streams.word(signal, op)
        bits = 64 if name.endswith("64") else 32
        device = self._heap.device_of(rank)

        def write(on: int) -> None:
            function("runtime.stream_value")(device, on, _address(signal), int(value), bits, op == "wait_eq")

        self._on_stream(
            rank, stream, write, lambda: streams.simulated(op, signal), [signal.reshape(-1)[:1], int(value)]
        )

    def _on_stream(self, rank: int, stream: WorldStream | None, gpu: Any, kernel: Any, args: list[Any]) -> None:
        callers = self._caller_streams()
        on = stream.handles[rank] if stream is not None else int(self._heap.stream_of(rank, callers[rank]))
        if self.on_gpu:
            if stream is None:
                self._heap.fork(callers)
            gpu(on)
            if stream is None:
                self._heap.join(callers)
            return
        for a in args:
            self._keep(a)
        for prepare in (True, False):
            self._heap.enter_on(rank, prepare, on)
            try:
                kernel()(*args)
            finally:
                self._heap.leave()

    def _given(self, x: Any) -> Any:
        """An argument for the launch of all ranks: an array where each has its own. It lives until a barrier."""
        kind = type(x)
        if kind is SymmetricTensor:
            self._launched[id(x)] = x
            return x._of_ranks
        if kind in _NUMBERS:
            return x
        return self._values(x) if kind in (PerRank, list, tuple) else self._keep(x)

    def _values(self, x: Any) -> Sequence[Any]:
        """The same for a launch of each rank."""
        if type(x) is SymmetricTensor:
            return self._keep(x)._parts
        if type(x) is not PerRank:
            return [self._keep(x)] * self.ranks
        if len(x.values) != self.ranks:
            raise ValueError(f"PerRank has {len(x.values)} values, the world has {self.ranks} ranks")
        return [self._keep(value) for value in x.values]

    def _keep(self, x: Any) -> Any:
        if type(x) is SymmetricTensor or hasattr(type(x), "__dlpack__"):
            self._launched[id(x)] = x
        return x

    def _caller_streams(self) -> list[int]:
        """The current stream of each rank's device."""
        torch = sys.modules.get("torch")
        if not self.on_gpu or torch is None:
            return [0] * self.ranks
        raw = getattr(torch._C, "_cuda_getCurrentRawStream", None)  # a tenth of the time of the public way
        if raw is not None:
            return [raw(device) for device in self._devices]
        return [int(torch.cuda.current_stream(device).cuda_stream) for device in self._devices]

    def device(self, rank: int) -> str:
        """Where the tensors of a rank are, as torch says it."""
        return f"cuda:{self._heap.device_of(rank)}" if self.on_gpu else "cpu"

    def barrier(self) -> None:
        """Waits until all that was launched is done, and on GPUs what else is on the current streams; raises what went
        wrong. A launch comes behind what is on the current stream of each rank's own GPU: where a kernel writes memory
        of another rank that torch is filling, a barrier must stand between."""
        if self._heap.closed():
            raise RuntimeError("the world of this barrier is closed")
        try:
            self._heap.barrier(self._caller_streams() if self.on_gpu else [])
        finally:
            self._launched.clear()

    def close(self, wait: bool = True) -> None:
        """Ends the world. Tensors that live keep their memory."""
        if wait and not self._heap.closed():
            self.barrier()
        self._heap.close()
