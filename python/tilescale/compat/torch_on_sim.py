# SPDX-License-Identifier: MIT
"""Runs a torch program that was written for GPUs on simulated ones: `device="cuda"` is memory of the host, the NCCL
group is a Gloo group, streams and events are the simulator's. `install()` is called by `tilescale run --target sim`.

A torch operation first waits for the kernels of its stream, as it would in a stream's order on a GPU."""

import contextlib
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

from .. import knobs

# Of a tensor's operations those that read no element: they wait for nothing.
_METADATA = frozenset(
    [
        "__get__",
        "__set__",
        "data_ptr",
        "size",
        "stride",
        "dim",
        "ndimension",
        "numel",
        "element_size",
        "is_contiguous",
        "storage_offset",
        "__dlpack__",
        "__dlpack_device__",
        "view",
        "view_as",
        "reshape",
        "narrow",
        "select",
        "__getitem__",
        "chunk",
        "split",
        "unsqueeze",
        "squeeze",
        "t",
        "transpose",
        "permute",
        "expand",
        "as_strided",
        "detach",
        "untyped_storage",
        "get_device",
        "is_floating_point",
        "is_complex",
        "__len__",
        "__repr_device__",
    ]
)


def _is_cuda(x: Any) -> bool:
    if isinstance(x, str):
        return x == "cuda" or x.startswith("cuda:")
    return getattr(x, "type", None) == "cuda" and type(x).__name__ == "device"


def _function(name: str) -> Any:
    from .._ffi import function

    return function(name)


def _in_machine(tensor: Any) -> bool:
    return bool(_function("sim.owns")(int(tensor.data_ptr())))


class _Current(threading.local):
    """What torch.cuda keeps for a thread."""

    def __init__(self) -> None:
        self.device = knobs.rank_of_environment("LOCAL_RANK", 0)
        self.stream = 0


_current = _Current()


def settle() -> None:
    """Waits for the kernels of the current stream that other ranks take part in."""
    if "tilescale._ffi" in sys.modules:
        _function("sim.settle")(_current.stream)


def _device_of(mode_args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], bool]:
    """The arguments with the host in place of a GPU, and whether they named one."""
    named = False
    args = list(mode_args)
    for i, x in enumerate(args):
        if _is_cuda(x):
            args[i], named = "cpu", True
    for key in ("device", "map_location"):
        if _is_cuda(kwargs.get(key)) or (key == "device" and type(kwargs.get(key)) is int):
            kwargs, named = {**kwargs, key: "cpu"}, True
    if kwargs.get("pin_memory"):
        kwargs = {**kwargs, "pin_memory": False}
    return tuple(args), kwargs, named


def _moved(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], named: bool) -> Any:
    """`x.cuda()`, `x.to("cuda")`, `x.cpu()`: a copy, as on a machine where they are different memories; a tensor in
    symmetric memory is on its GPU already."""
    name, tensor = func.__name__, args[0]
    if name == "cuda" or (name == "to" and named):
        result = tensor if name == "cuda" else func(*args, **kwargs)
        return result if result is not tensor or _in_machine(tensor) else tensor.clone()
    result = func(*args, **kwargs)
    to_host = name == "cpu" or (name == "to" and ("cpu" in args[1:] or kwargs.get("device") == "cpu"))
    return tensor.clone() if to_host and result is tensor else result


def _make_mode(torch: Any) -> Any:
    class HostMode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = getattr(func, "__name__", "")
            if name not in _METADATA:
                settle()
            args, kwargs, named = _device_of(args, kwargs or {})
            if name in ("cuda", "cpu", "to") and args and isinstance(args[0], torch.Tensor):
                return _moved(func, args, kwargs, named)
            if name == "pin_memory":
                return args[0]
            if func is torch.Tensor.is_cuda.__get__:
                return True
            return func(*args, **kwargs)

    return HostMode


class Stream:
    """torch.cuda.Stream on the simulator."""

    _next = iter(range(1, 1 << 62))

    def __init__(self, device: Any = None, priority: int = 0, *, handle: int | None = None, **_: Any) -> None:
        self.cuda_stream = next(Stream._next) if handle is None else handle
        self.priority = priority
        self.device_index = _current.device
        self._outer: list[int] = []

    def synchronize(self) -> None:
        _function("runtime.synchronize")("sim", "", _rank(), self.cuda_stream)

    def query(self) -> bool:
        self.synchronize()
        return True

    def wait_stream(self, other: "Stream") -> None:
        self.wait_event(other.record_event())

    def wait_event(self, event: "Event") -> None:
        event.wait(self)

    def record_event(self, event: "Event | None" = None) -> "Event":
        event = event or Event()
        event.record(self)
        return event

    def __enter__(self) -> "Stream":
        self._outer.append(_current.stream)
        _set_stream(self.cuda_stream)
        return self

    def __exit__(self, *_: Any) -> None:
        _set_stream(self._outer.pop())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other.cuda_stream == self.cuda_stream

    def __hash__(self) -> int:
        return hash(self.cuda_stream)

    @staticmethod
    def priority_range() -> tuple[int, int]:
        return (0, 0)


class Event:
    """torch.cuda.Event on the simulator."""

    def __init__(self, enable_timing: bool = False, **_: Any) -> None:
        self._event: Any = None

    def record(self, stream: Stream | None = None) -> None:
        self._event = _function("runtime.event")("sim", "", _rank())
        self._event.record(_current.stream if stream is None else stream.cuda_stream)

    def wait(self, stream: Stream | None = None) -> None:
        if self._event is not None:
            self._event.wait(_current.stream if stream is None else stream.cuda_stream)

    def synchronize(self) -> None:
        if self._event is not None:
            self._event.synchronize()

    def query(self) -> bool:
        self.synchronize()
        return True

    def elapsed_time(self, end: "Event") -> float:
        self.synchronize()
        end.synchronize()
        return float(end._event.elapsed_since(self._event))


def _rank() -> int:
    return int(_function("runtime.rank")())


def _set_stream(handle: int) -> None:
    _current.stream = handle
    _function("runtime.set_host_stream")(handle)


def _synchronize(device: Any = None) -> None:
    _function("runtime.synchronize_device")("sim", "", _rank())


def _set_device(device: Any) -> None:
    index = getattr(device, "index", device)
    if isinstance(index, str):
        index = int(index.partition(":")[2] or 0)
    if index is not None and index >= 0:
        _current.device = index


@contextlib.contextmanager
def _device(device: Any) -> Iterator[None]:
    outer = _current.device
    _set_device(device)
    try:
        yield
    finally:
        _current.device = outer


def _stream_context(stream: Any) -> Any:
    return contextlib.nullcontext() if stream is None else stream


def _properties(device: Any = None) -> Any:
    from ..targets import H100_SMS

    return types.SimpleNamespace(
        name="simulated GPU",
        major=9,
        minor=0,
        multi_processor_count=H100_SMS,
        total_memory=4 << 30,
        L2_cache_size=50 << 20,
    )


def _cuda_functions(torch: Any) -> dict[str, Any]:
    def constant(value: Any) -> Callable[..., Any]:
        return lambda *_, **__: value

    return {
        "is_available": constant(True),
        "is_initialized": constant(True),
        "init": constant(None),
        "_lazy_init": constant(None),
        "device_count": lambda: knobs.simulated_gpus(),
        "current_device": lambda: _current.device,
        "set_device": _set_device,
        "device": _device,
        "synchronize": _synchronize,
        "Stream": Stream,
        "ExternalStream": lambda handle, *_, **__: Stream(handle=int(handle)),
        "Event": Event,
        "stream": _stream_context,
        "current_stream": lambda *_: Stream(handle=_current.stream),
        "default_stream": lambda *_: Stream(handle=0),
        "set_stream": lambda stream: _set_stream(stream.cuda_stream),
        "get_device_name": constant("simulated GPU"),
        "get_device_capability": constant((9, 0)),
        "get_device_properties": _properties,
        "can_device_access_peer": constant(True),
        "mem_get_info": constant((4 << 30, 4 << 30)),
        # The generator itself: torch.manual_seed calls these.
        **dict.fromkeys(
            ("manual_seed", "manual_seed_all"), lambda seed: torch.default_generator.manual_seed(int(seed))
        ),
        "_sleep": constant(None),
        **dict.fromkeys(("memory_allocated", "max_memory_allocated", "memory_reserved"), constant(0)),
        **dict.fromkeys(("empty_cache", "ipc_collect", "reset_peak_memory_stats"), constant(None)),
    }


_COLLECTIVES = [
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_object",
    "all_reduce",
    "all_to_all",
    "all_to_all_single",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "gather",
    "gather_object",
    "reduce",
    "reduce_scatter",
    "reduce_scatter_tensor",
    "scatter",
    "send",
    "recv",
    "isend",
    "irecv",
]


def _host_collective(name: str, original: Any) -> Any:
    """A collective that waits for the kernels before it, as NCCL's do in their stream."""

    @functools.wraps(original)
    def collective(*args: Any, **kwargs: Any) -> Any:
        settle()
        if name == "barrier":
            kwargs.pop("device_ids", None)
        return original(*args, **kwargs)

    return collective


def _gloo(backend: Any) -> Any:
    return "gloo" if isinstance(backend, str) and "nccl" in backend.lower() else backend


def _patch_distributed(dist: Any) -> None:
    if not dist.is_available():
        return
    for name in ("init_process_group", "new_group"):
        original = getattr(dist, name)

        def opened(*args: Any, _original: Any = original, **kwargs: Any) -> Any:
            kwargs.pop("device_id", None)
            if "backend" in kwargs:
                kwargs["backend"] = _gloo(kwargs["backend"])
            return _original(*(_gloo(a) for a in args), **kwargs)

        setattr(dist, name, functools.wraps(original)(opened))
    for name in _COLLECTIVES:
        if hasattr(dist, name):
            setattr(dist, name, _host_collective(name, getattr(dist, name)))


def _generator_class(generator: Any) -> Any:
    """torch.Generator, still a class: programs annotate with it and ask for instances."""

    class Meta(type):
        def __call__(cls, device: Any = "cpu") -> Any:
            return generator("cpu" if _is_cuda(device) else device)

        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, generator)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, generator)

    return Meta("Generator", (), {"__doc__": generator.__doc__})


def _patch(torch: Any) -> None:
    for name, value in _cuda_functions(torch).items():
        setattr(torch.cuda, name, value)
    default_device, generator = torch.set_default_device, torch.Generator
    torch.set_default_device = lambda device: default_device("cpu" if _is_cuda(device) else device)
    torch.Generator = _generator_class(generator)
    _patch_distributed(torch.distributed)
    mode = _make_mode(torch)
    mode().__enter__()
    run = threading.Thread.run

    def run_in_mode(self: threading.Thread) -> None:  # modes are a thread's own
        with mode():
            run(self)

    threading.Thread.run = run_in_mode  # type: ignore[method-assign]


class _Importer(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Patches torch when the program imports it."""

    def __init__(self) -> None:
        self._loader: Any = None

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name != "torch" or self._loader is not None:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _patch(module)


def install() -> None:
    """Now, or when torch is imported. Once."""
    if getattr(install, "done", False):
        return
    install.done = True  # type: ignore[attr-defined]
    if "torch" in sys.modules:
        _patch(sys.modules["torch"])
    else:
        sys.meta_path.insert(0, _Importer())
