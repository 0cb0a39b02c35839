# SPDX-License-Identifier: MIT
"""TILESCALE_WATCHDOG=5s: kernels whose waits last longer are ended, and Deadlock is raised; here, by hand."""

from .._ffi import function


def abort_waits() -> None:
    """Ends the waits of all kernels of this process that were compiled with TILESCALE_WATCHDOG, from any thread. The
    next barrier of their World, or launch of a watched kernel, raises Deadlock: who waited for what."""
    function("runtime.abort_waits")()


def waiting_threads() -> int:
    """How many threads of watched kernels of this process are in a wait that lasts: longer than about a millisecond."""
    return int(function("runtime.count_waits")())
