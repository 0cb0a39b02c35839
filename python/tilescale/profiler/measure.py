# SPDX-License-Identifier: MIT
"""Times a function on a GPU with events, or on the host where tensors are in host memory."""

import statistics
import time
from collections.abc import Callable
from typing import Any

from .. import knobs

_REDUCE: dict[str, Callable[[list[float]], float]] = {
    "mean": statistics.fmean,
    "min": min,
    "max": max,
    "median": statistics.median,
}


class _HostClock:
    """One call after the other, by the wall."""

    def times(self, fn: Callable[[], Any], count: int) -> list[float]:
        out = []
        for _ in range(count):
            start = time.perf_counter()
            fn()
            out.append((time.perf_counter() - start) * 1e3)
        return out


class _TorchClock:
    """CUDA events around each call; the L2 cache is overwritten between calls."""

    def __init__(self, cache_megabytes: int) -> None:
        import torch

        self._torch = torch
        self._cache = torch.empty(cache_megabytes << 20, dtype=torch.int8, device="cuda")

    def times(self, fn: Callable[[], Any], count: int) -> list[float]:
        cuda = self._torch.cuda
        pairs = [(cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)) for _ in range(count)]
        for start, stop in pairs:
            self._cache.zero_()
            start.record()
            fn()
            stop.record()
        cuda.synchronize()
        return [start.elapsed_time(stop) for start, stop in pairs]


def _on_gpu() -> bool:
    import sys

    torch = sys.modules.get("torch")
    return torch is not None and not knobs.simulated_gpus() and torch.cuda.is_available()


def do_bench(
    fn: Callable[[], Any],
    warmup: float = 25,
    rep: float = 100,
    _n_warmup: int = 0,
    _n_repeat: int = 0,
    quantiles: list[float] | None = None,
    fast_flush: bool = True,
    backend: str = "event",
    return_mode: str = "mean",
    device: Any = None,
    cache_size: int = 256,
    early_stop_baseline: float | None = None,
) -> Any:
    """Milliseconds of `fn()`. `warmup` and `rep` are milliseconds; the counts, where given, hold instead.

    A function whose first calls take longer than `early_stop_baseline` milliseconds is not measured further."""
    if return_mode not in _REDUCE:
        raise ValueError(f"return_mode must be one of {', '.join(_REDUCE)}, got {return_mode!r}")
    if backend != "event":
        raise NotImplementedError(f"do_bench(backend={backend!r}) is not supported yet; use 'event'")
    clock: Any = _TorchClock(cache_size) if _on_gpu() else _HostClock()
    fn()
    one = max(1e-3, statistics.fmean(clock.times(fn, 3)))
    if early_stop_baseline is not None and one > early_stop_baseline:
        return [one] * len(quantiles) if quantiles and len(quantiles) > 1 else one
    clock.times(fn, _n_warmup or max(1, int(warmup / one)))
    measured = clock.times(fn, _n_repeat or max(1, int(rep / one)))
    if quantiles:
        ordered = sorted(measured)
        picked = [ordered[min(len(ordered) - 1, int(q * len(ordered)))] for q in quantiles]
        return picked[0] if len(picked) == 1 else picked
    return _REDUCE[return_mode](measured)
