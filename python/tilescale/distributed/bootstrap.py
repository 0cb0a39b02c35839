# SPDX-License-Identifier: MIT
"""How ranks in processes of their own, one a GPU, find each other's memory: rank 0 keeps the books of a heap at a Unix
socket; the others learn its path over their torch.distributed group, or at a port of rank 0."""

import sys
import tempfile
from typing import Any

from .. import knobs
from .._ffi import function

_kept: list[Any] = []  # folders and coordinators of rank 0, until the process ends
_heaps_met = 0


def _coordinator(ranks: int) -> str:
    folder = tempfile.TemporaryDirectory(prefix="tilescale-")
    coordinator = function("runtime.coordinator")(f"unix:{folder.name}/heap", ranks)
    _kept.append((coordinator, folder))
    return str(coordinator.address())


def address_of(rank: int, ranks: int, group: Any) -> str:
    """Where the ranks of the next heap meet. All ranks call it."""
    global _heaps_met
    mine = _coordinator(ranks) if rank == 0 else ""
    if ranks == 1:
        return mine
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
        dist = torch.distributed
        said = [mine]
        first = dist.get_global_rank(group, 0) if group is not None else 0
        dist.broadcast_object_list(said, src=first, group=group)
        return str(said[0])
    port = knobs.master_port() + 1 + _heaps_met
    _heaps_met += 1
    return str(function("runtime.meet")(f"tcp:{knobs.master_address()}:{port}", rank, ranks, mine))
