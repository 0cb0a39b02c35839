# SPDX-License-Identifier: MIT
"""Signals that a stream writes and waits for, without a kernel on a GPU; memory that host and GPU share."""

import functools
import importlib
import math
from typing import Any

from .._ffi import function
from ..targets import Target

_WORDS = ("int32", "uint32", "int64", "uint64")


def word(tensor: Any, op: str, require_i64: bool = False) -> str:
    """The type of a signal."""
    name = str(tensor.dtype).removeprefix("torch.")
    allowed = _WORDS[2:] if require_i64 else _WORDS
    if name not in allowed or math.prod(tensor.shape) < 1:
        raise TypeError(f"{op} needs a signal of one {' or '.join(allowed)}, got {tuple(tensor.shape)} of {name}")
    return name


@functools.cache
def _programs(data_type: str, own: bool) -> tuple[Any, Any]:
    """What a stream does with a signal, as kernels of the simulator: a release that all ranks see, and an acquire. The
    signal is the rank's own, by which a launch knows its rank, or any rank's, reached by its address."""
    import tilescale

    T: Any = importlib.import_module("tilescale.language")

    word: Any = T.Tensor((1,), data_type)

    @T.prim_func
    def stream_write_value(signal: word, value: T.int64):
        with T.Kernel(1, threads=1):
            rank = T.get_rank() if own else -1
            T.st(T.address_of(signal[0]), T.Cast(data_type, value), scope="sys", sem="release", dst_pe=rank)

    @T.prim_func
    def stream_wait_value(signal: word, value: T.int64):
        with T.Kernel(1, threads=1):
            T.wait_eq(signal[0], T.Cast(data_type, value), T.get_rank() if own else -1)

    compile: Any = tilescale.compile
    return compile(stream_write_value, target="sim"), compile(stream_wait_value, target="sim")


@functools.cache
def _copier(data_type: str) -> Any:
    """The copy engine of a simulated rank, as a kernel that reaches any rank by address."""
    import tilescale

    T: Any = importlib.import_module("tilescale.language")
    n, tile = T.dynamic("n"), 1024
    line: Any = T.Tensor((n,), data_type)

    @T.prim_func
    def stream_copy(source: line, to: line):
        with T.Kernel(T.ceildiv(n, tile), threads=128) as b:
            for i in T.Parallel(tile):
                to[b * tile + i] = source[b * tile + i]

    compile: Any = tilescale.compile
    return compile(stream_copy, target="sim")


def simulated(op: str, tensor: Any) -> Any:
    """The kernel that stands for an operation of a World's stream."""
    data_type = str(tensor.dtype).removeprefix("torch.")
    return _copier(data_type) if op == "copy" else _programs(data_type, False)[op == "wait_eq"]


def _stream(stream: Any) -> int:
    import torch

    return int((torch.cuda.current_stream() if stream is None else stream).cuda_stream)


def _run(which: int, tensor: Any, value: int, stream: Any, data_type: str) -> None:
    word = tensor.reshape(-1)[:1]
    if str(Target(None)) != "sim":
        width = 64 if data_type.endswith("64") else 32
        function("runtime.stream_value")(
            int(tensor.device.index), _stream(stream), int(word.data_ptr()), int(value), width, which
        )
        return
    import torch

    with torch.cuda.stream(stream):
        _programs(data_type, True)[which](word, int(value))


def set_signal(tensor: Any, value: int, stream: Any = None) -> None:
    """The stream writes `value` into the tensor's first element, behind all work before, for every rank to see."""
    _run(0, tensor, value, stream, word(tensor, "set_signal"))


def wait_eq(tensor: Any, value: int, stream: Any = None, require_i64: bool = False) -> None:
    """What the stream gets later waits until the tensor's first element is `value`."""
    _run(1, tensor, value, stream, word(tensor, "wait_eq", require_i64))


def create_mapped_tensor(shape: Any, dtype: Any) -> tuple[Any, Any]:
    """One piece of memory as a tensor of the host and as one of the GPU."""
    import torch

    from ..language.dtypes import dtype as to_dtype

    data_type = to_dtype(dtype)
    if str(Target(None)) == "sim":
        host = torch.zeros(shape, dtype=data_type.as_torch(), device="cpu")
        return host, host
    extents = [int(n) for n in (shape if isinstance(shape, (tuple, list)) else (shape,))]
    pair = function("runtime.mapped_tensor")(torch.cuda.current_device(), extents, str(data_type))
    return torch.from_dlpack(pair[0]), torch.from_dlpack(pair[1])


create_host_device_tensor = create_mapped_tensor


def cuda_stream_max_priority() -> int:
    """The priority of the most urgent stream."""
    import torch

    if str(Target(None)) == "sim":
        return 0
    streams: Any = torch.cuda.Stream
    return int(streams.priority_range()[1])
