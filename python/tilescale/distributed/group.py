# SPDX-License-Identifier: MIT
"""How the processes of a program become ranks: torch.distributed, and the simulated machine that they share."""

import atexit
import datetime
import os
import sys
from typing import Any

from .. import knobs
from .._ffi import function
from ..errors import BootstrapError
from ..targets import Target

_TIMEOUT = datetime.timedelta(seconds=1800)


def _end_group() -> None:
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _on_sim() -> bool:
    return str(Target(None)) == "sim"


def join(rank: int, ranks: int) -> None:
    """Makes this process rank `rank` of a simulated machine that `ranks` processes share. Nothing if it is already."""
    if int(function("sim.joined_rank")()) == rank:
        return
    address = knobs.machine_address()
    if address is None:
        raise BootstrapError(
            f"rank {rank} of {ranks} has no simulated machine to meet the others in; start the program with "
            "`tilescale run --target sim`"
        )
    from .._jit import machine

    machine.configure()
    function("sim.join")(address, rank, ranks, os.path.basename(sys.argv[0] or "a program"))
    atexit.register(function("sim.leave"))


def transport(rank: int, ranks: int, group: Any, use_vmm: bool | None) -> tuple[str, str]:
    """How ranks of different processes reach each other's memory, and where they meet."""
    if _on_sim():
        if ranks > 1 or knobs.machine_address():
            join(rank, ranks)
        return "sim", ""
    from .bootstrap import address_of

    files = knobs.use_vmm() if use_vmm is None or knobs.use_vmm() is not None else use_vmm
    return "ipc-handles" if files is False else "ipc", address_of(rank, ranks, group)


def synchronize() -> None:
    """Waits for all launches of this process and raises what they ran into."""
    if _on_sim():
        function("runtime.synchronize_device")("sim", "", int(function("runtime.rank")()))
        return
    import torch

    torch.cuda.synchronize()
    function("runtime.raise_if_aborted")()
    function("runtime.check_guards")()


def _start_group(backend: str, address: str, port: int, rank: int, world: int, device: int) -> Any:
    import torch

    on_sim = _on_sim()
    if on_sim:
        join(rank, world)
    elif torch.cuda.device_count() <= device:
        raise RuntimeError(
            f"rank {rank} needs GPU {device}, but there are {torch.cuda.device_count()}: start fewer ranks, or use "
            "target 'sim'"
        )
    if not torch.distributed.is_initialized():
        try:
            torch.distributed.init_process_group(
                "gloo" if on_sim else backend,
                init_method=f"tcp://{address}:{port}",
                world_size=world,
                rank=rank,
                timeout=_TIMEOUT,
            )
            if on_sim:  # gloo's threads end before the interpreter does
                atexit.register(_end_group)
        except (RuntimeError, torch.distributed.DistNetworkError) as error:
            if "EADDRINUSE" in str(error) or "in use" in str(error):
                raise BootstrapError(f"port {port} of {address} is in use; choose another with MASTER_PORT") from None
            raise
    return torch.distributed.new_group(list(range(world)))


def init_dist(local_rank: int, num_local_ranks: int, master_port: int | None = None) -> tuple[int, int, Any]:
    """For a program that starts its ranks itself: a group of all ranks, on GPU `local_rank`. WORLD_SIZE and RANK are
    those of hosts here. Makes bfloat16 and the GPU torch's defaults. Gives rank, number of ranks, group."""
    import torch

    started = knobs.rank_of_environment("LOCAL_RANK", -1) >= 0  # by a launcher, whose WORLD_SIZE counts ranks
    hosts = 1 if started else knobs.rank_of_environment("WORLD_SIZE", 1)
    host = 0 if started else knobs.rank_of_environment("RANK", 0)
    knobs.set_default("NCCL_DEBUG", "ERROR")
    knobs.set_default("NCCL_IB_DISABLE", "1")
    world, rank = hosts * num_local_ranks, host * num_local_ranks + local_rank
    port = master_port or knobs.master_port()
    group = _start_group("nccl", knobs.master_address(), port, rank, world, local_rank)
    torch.set_default_dtype(torch.bfloat16)
    torch.set_default_device("cuda")
    torch.cuda.set_device(local_rank)
    return rank, world, group


def init_distributed(
    return_tp_group: bool = False, init_nvshmem: bool = True, return_lc_group: bool = False
) -> tuple[Any, ...]:
    """For a program that a launcher starts once a rank. Gives WORLD_SIZE, RANK and LOCAL_RANK, then the groups asked
    for: of all ranks, of those of this host."""
    import torch

    world = knobs.rank_of_environment("WORLD_SIZE", 1)
    rank = knobs.rank_of_environment("RANK", 0)
    local = knobs.rank_of_environment("LOCAL_RANK", rank)
    group = _start_group("cpu:gloo,cuda:nccl", knobs.master_address(), knobs.master_port(), rank, world, local)
    torch.cuda.set_device(local)
    result: tuple[Any, ...] = (world, rank, local)
    if return_tp_group:
        result += (group,)
    if return_lc_group:
        here = knobs.rank_of_environment("LOCAL_WORLD_SIZE", world)
        groups = [torch.distributed.new_group(list(range(i, i + here))) for i in range(0, world, here)]
        result += (groups[rank // here],)
    return result


def launched_ranks() -> tuple[int, int, int]:
    """What torchrun, mpirun, srun or `tilescale run --ranks` says of this process: its rank, the number of ranks, and
    its rank on this host. (0, 1, 0) where none has started it."""
    rank = knobs.rank_of_environment("RANK", 0)
    return rank, knobs.rank_of_environment("WORLD_SIZE", 1), knobs.rank_of_environment("LOCAL_RANK", rank)


def dist_print(
    *args: Any, allowed_ranks: Any = (0,), prefix: bool = False, need_sync: bool = False, **kwargs: Any
) -> None:
    """Prints on some ranks only, in their order; `allowed_ranks="all"` on all."""
    import torch

    dist = torch.distributed
    running = dist.is_initialized()
    rank = dist.get_rank() if running else knobs.rank_of_environment("RANK", 0)
    world = dist.get_world_size() if running else 1
    chosen = range(world) if allowed_ranks == "all" else allowed_ranks
    if need_sync:
        synchronize()
    for r in chosen:
        if running and need_sync:
            dist.barrier()
        if r == rank:
            print(f"[rank {rank}]" if prefix else "", *args, **kwargs) if prefix else print(*args, **kwargs)
            sys.stdout.flush()
