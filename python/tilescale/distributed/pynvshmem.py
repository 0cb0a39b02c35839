# SPDX-License-Identifier: MIT
"""What `import pynvshmem` means to a program that runs with this package: NVSHMEM's calls of the host, for the ranks of
one host, on our symmetric memory. Needs torch. Sizes are bytes; addresses are numbers, or tensors."""

import ctypes
import functools
import importlib
import os
import weakref
from typing import Any

from .. import knobs
from ..language.comm import Amo, CmpType, Team
from .allocator import Allocator, get_allocator
from .streams import set_signal

__all__ = ["Amo", "CmpType", "Team"]  # and all functions, below

_UNIQUE_ID_BYTES = 128


class _State:
    heap: Allocator | None = None
    kept: dict[int, Any]  # of nvshmem_malloc: address to tensor
    made: list[Any]  # weak references to the tensors of nvshmem_create_tensor


_state = _State()
_state.kept, _state.made = {}, []


def _heap() -> Allocator:
    if _state.heap is None:
        raise RuntimeError("pynvshmem is not initialised: call init_nvshmem_by_uniqueid(group) first")
    return _state.heap


def _torch() -> Any:
    return importlib.import_module("torch")


def nvshmemx_get_uniqueid() -> bytes:
    """128 bytes that name a job."""
    return os.urandom(_UNIQUE_ID_BYTES)


def _start(rank: int, ranks: int, group: Any) -> None:
    if _state.heap is not None:
        raise RuntimeError("pynvshmem is initialised already")
    _state.heap = get_allocator(knobs.symmetric_size(), "cuda", True, rank, ranks, group)


def nvshmemx_init_attr_with_uniqueid(rank: int, nranks: int, unique_id: bytes) -> None:
    if len(unique_id) != _UNIQUE_ID_BYTES:
        raise ValueError(f"a unique id has {_UNIQUE_ID_BYTES} bytes, got {len(unique_id)}")
    _start(rank, nranks, None)


def init_nvshmem_by_uniqueid(group: Any) -> None:
    """Collective over `group`, which is all ranks of one host."""
    _start(group.rank(), group.size(), group)


def nvshmem_finalize() -> None:
    _heap().close()
    _state.heap = None
    _state.kept.clear()
    _state.made.clear()


def nvshmemx_cumodule_init(module: Any) -> None:
    """Nothing: a kernel finds the heap by itself."""


def nvshmemx_cumodule_finalize(module: Any) -> None:
    """Nothing."""


def nvshmem_my_pe() -> int:
    return _heap().rank


def nvshmem_n_pes() -> int:
    return _heap().ranks


def _team(team: int) -> None:
    if team not in (Team.WORLD, Team.SHARED, Team.NODE):
        raise NotImplementedError(
            f"the team {team} is not supported, take WORLD, SHARED or NODE: the ranks of one host"
        )


def nvshmem_team_my_pe(team: int) -> int:
    _team(team)
    return nvshmem_my_pe()


def nvshmem_team_n_pes(team: int) -> int:
    _team(team)
    return nvshmem_n_pes()


def nvshmem_create_tensor(shape: Any, dtype: Any) -> Any:
    """Collective. Zeros."""
    tensor = _heap().tensor(shape, dtype)
    _state.made.append(weakref.ref(tensor))
    return tensor


def nvshmem_create_tensor_list_intra_node(shape: Any, dtype: Any) -> list[Any]:
    """The tensor of every rank; this rank's is its own."""
    tensors = _heap().tensor(shape, dtype, return_peers=True)
    _state.made.append(weakref.ref(tensors[_heap().rank]))
    return list(tensors)


def nvshmem_malloc(size: int) -> int:
    tensor = _heap().tensor((size,), "uint8")
    _state.kept[int(tensor.data_ptr())] = tensor
    return int(tensor.data_ptr())


def nvshmem_free(ptr: int) -> None:
    if _state.kept.pop(int(ptr), None) is None:
        raise ValueError(f"{int(ptr):#x} is not from nvshmem_malloc")


def _address(x: Any) -> int:
    return int(x.data_ptr()) if hasattr(x, "data_ptr") else int(x)


def nvshmem_ptr(dest: Any, pe: int) -> int:
    """Where the same object of rank `pe` is, for this rank; 0 if there is no such rank."""
    table = [int(n) for n in _heap().table]
    return _address(dest) - table[2 + table[0]] + table[2 + pe] if 0 <= pe < table[1] else 0


def nvshmemx_mc_ptr(team: int, ptr: int) -> int:
    """0: there is no multicast memory."""
    _team(team)
    return 0


def _stream(stream: Any) -> int:
    chosen = _torch().cuda.current_stream() if stream is None else stream
    return int(getattr(chosen, "cuda_stream", chosen))


def _peer(address: Any, pe: int) -> int:
    at = nvshmem_ptr(address, pe)
    if not at:
        raise ValueError(f"there is no rank {pe} among {nvshmem_n_pes()}")
    return at


def nvshmemx_putmem_on_stream(dest: Any, source: Any, nbytes: int, pe: int, stream: Any = None) -> None:
    heap = _heap()
    heap._heap.copy(heap.rank, _peer(dest, pe), _address(source), nbytes, _stream(stream))


def nvshmemx_getmem_on_stream(dest: Any, source: Any, nbytes: int, pe: int, stream: Any = None) -> None:
    heap = _heap()
    heap._heap.copy(heap.rank, _address(dest), _peer(source, pe), nbytes, _stream(stream))


def nvshmem_putmem(dest: Any, source: Any, nbytes: int, pe: int) -> None:
    nvshmemx_putmem_on_stream(dest, source, nbytes, pe)
    _torch().cuda.current_stream().synchronize()


def nvshmem_getmem(dest: Any, source: Any, nbytes: int, pe: int) -> None:
    nvshmemx_getmem_on_stream(dest, source, nbytes, pe)
    _torch().cuda.current_stream().synchronize()


@functools.cache
def _signal(op: int) -> Any:
    import tilescale

    T: Any = importlib.import_module("tilescale.language")

    @T.prim_func
    def signal_op(signal: T.Tensor((1,), "uint64"), value: T.int64, pe: T.int32):  # type: ignore[valid-type]
        with T.Kernel(1, threads=1):
            T.signal_op(T.address_of(signal[0]), T.Cast("uint64", value), op, pe)

    compile: Any = tilescale.compile
    return compile(signal_op)


def _word(address: Any) -> Any:
    """The signal at an address of this rank as a tensor."""
    torch, at = _torch(), _address(address)
    for tensor in [*(ref() for ref in _state.made), *_state.kept.values()]:
        if tensor is None:
            continue
        offset = at - int(tensor.data_ptr())
        if 0 <= offset < tensor.numel() * tensor.element_size():
            return tensor.reshape(-1).view(torch.uint8)[offset : offset + 8].view(torch.uint64)
    raise ValueError(f"the signal at {at:#x} is not in symmetric memory of this rank")


def nvshmemx_putmem_signal_on_stream(
    dest: Any, source: Any, nbytes: int, sig_addr: Any, signal: int, sig_op: int, pe: int, stream: Any = None
) -> None:
    torch = _torch()
    nvshmemx_putmem_on_stream(dest, source, nbytes, pe, stream)
    on = torch.cuda.current_stream() if stream is None else stream
    with torch.cuda.stream(on if hasattr(on, "cuda_stream") else torch.cuda.ExternalStream(int(on))):
        _signal(int(sig_op))(_word(sig_addr), int(signal), int(pe))


def _typed(kind: Any) -> Any:
    def put(dest: Any, value: Any, pe: int) -> None:
        word = kind(value)
        nvshmem_putmem(dest, ctypes.addressof(word), ctypes.sizeof(word), pe)

    put.__doc__ = "One value to rank `pe`."
    return put


for _name, _kind in {
    "char": ctypes.c_char,
    "schar": ctypes.c_byte,
    "uchar": ctypes.c_ubyte,
    "short": ctypes.c_short,
    "ushort": ctypes.c_ushort,
    "int": ctypes.c_int,
    "uint": ctypes.c_uint,
    "long": ctypes.c_long,
    "ulong": ctypes.c_ulong,
    "longlong": ctypes.c_longlong,
    "ulonglong": ctypes.c_ulonglong,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "int8": ctypes.c_int8,
    "int16": ctypes.c_int16,
    "int32": ctypes.c_int32,
    "int64": ctypes.c_int64,
    "uint8": ctypes.c_uint8,
    "uint16": ctypes.c_uint16,
    "uint32": ctypes.c_uint32,
    "uint64": ctypes.c_uint64,
    "size": ctypes.c_size_t,
}.items():
    globals()[f"nvshmem_{_name}_p"] = _typed(_kind)


@functools.cache
def _meeting(heap: Allocator) -> Any:
    import tilescale

    T: Any = importlib.import_module("tilescale.language")

    @T.prim_func
    def barrier_all():
        with T.Kernel(1, threads=32):
            T.barrier_all_block()

    compile: Any = tilescale.compile
    kernel = compile(barrier_all)
    kernel.initialize(allocator=heap)
    return kernel


def nvshmemx_barrier_all_on_stream(stream: Any = None) -> None:
    """What the stream gets later comes behind what all ranks' streams had got before their call."""
    torch = _torch()
    on = torch.cuda.current_stream() if stream is None else stream
    with torch.cuda.stream(on if hasattr(on, "cuda_stream") else torch.cuda.ExternalStream(int(on))):
        _meeting(_heap())()


def nvshmem_barrier_all() -> None:
    nvshmemx_barrier_all_on_stream()
    _torch().cuda.current_stream().synchronize()


def write32_on_stream(tensor: Any, value: int, stream: Any = None) -> None:
    set_signal(tensor.reshape(-1)[:1].view(_torch().int32), value, stream)


def write64_on_stream(tensor: Any, value: int, stream: Any = None) -> None:
    set_signal(tensor.reshape(-1)[:1].view(_torch().int64), value, stream)


def broadcast_cpu(tensor: Any, src: int, group: Any) -> None:
    """A tensor of the host from rank `src` of the group to all."""
    dist = _torch().distributed
    said = [tensor]
    dist.broadcast_object_list(said, src=dist.get_global_rank(group, src), group=group)
    tensor.copy_(said[0])


__all__ += [name for name in globals() if name.startswith(("nvshmem", "init_nvshmem", "write", "broadcast_cpu"))]
