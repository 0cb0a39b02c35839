# SPDX-License-Identifier: MIT
"""Times of what all ranks do together."""

import statistics
from collections.abc import Callable
from typing import Any

from ..targets import Target
from . import group as groups

_MODES: dict[str, Callable[[list[float]], Any]] = {
    "mean": statistics.fmean,
    "median": statistics.median,
    "min": min,
    "max": max,
    "all": list,
}
_ALIGN_CYCLES = 20_000_000  # long enough for every rank to enqueue an iteration behind it


def _over_ranks(times: list[float], aggregate: str, group: Any, device: str) -> list[float]:
    import torch

    dist = torch.distributed
    if aggregate == "none" or not dist.is_initialized():
        return times
    mine = torch.tensor(times, dtype=torch.float32, device=device)
    how = {"max": dist.ReduceOp.MAX, "min": dist.ReduceOp.MIN, "mean": dist.ReduceOp.SUM}[aggregate]
    dist.all_reduce(mine, op=how, group=group)
    if aggregate == "mean":
        mine /= dist.get_world_size(group)
    return [float(x) for x in mine.tolist()]


def do_bench(
    fn: Callable[[], Any],
    warmup: int = 50,
    rep: int = 50,
    post_fn: Callable[[], Any] | None = None,
    *,
    group: Any = None,
    aggregate: str = "max",
    flush_l2: bool = True,
    l2_flush_bytes: float = 256e6,
    barrier_comm_profiling: bool = True,
    barrier: Callable[[], Any] | None = None,
    discard_first: bool = True,
    return_mode: str = "mean",
) -> Any:
    """Milliseconds of `fn`, iteration by iteration over all ranks (`aggregate`), then over the iterations. On the
    simulator, whose times mean nothing, `fn` runs once."""
    if return_mode not in _MODES:
        raise ValueError(f"return_mode must be one of {', '.join(_MODES)}, got {return_mode!r}")
    if aggregate not in ("max", "min", "mean", "none"):
        raise ValueError(f"aggregate must be one of max, min, mean, none, got {aggregate!r}")
    import torch

    cuda, dist = torch.cuda, torch.distributed
    on_sim = str(Target(None)) == "sim"
    device = "cpu" if on_sim else "cuda"
    if on_sim:
        warmup, rep, discard_first, flush_l2 = 0, 1, False, False
    cache = torch.empty(int(l2_flush_bytes), dtype=torch.int8, device=device) if flush_l2 else None
    together = torch.zeros(1, dtype=torch.float32, device=device)
    times = []
    for i in range(warmup + rep + int(discard_first)):
        if cache is not None:
            cache.zero_()
        if not on_sim:
            cuda._sleep(_ALIGN_CYCLES)
        if barrier is not None:
            barrier()
        elif barrier_comm_profiling and dist.is_initialized():
            dist.all_reduce(together, group=group)
        start, stop = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        start.record()
        fn()
        stop.record()
        if post_fn is not None:
            post_fn()
        stop.synchronize()
        if i >= warmup + int(discard_first):
            times.append(start.elapsed_time(stop))
    groups.synchronize()
    return _MODES[return_mode](_over_ranks(times, aggregate, group, device))


perf_fn = do_bench
