# SPDX-License-Identifier: MIT
"""What the simulator reports. Each report is an exception; its text has both places and the seed."""


def set_seed(seed: int | None) -> None:
    """The seed of the simulator's scheduler from now on; None: that of TILESCALE_SIM_SEED again. A report prints it."""
    from ._ffi import function  # which registers the exceptions below

    if seed is None:
        function("sim.clear_seed")()
    else:
        function("sim.set_seed")(seed)


class SimulationError(RuntimeError):
    """Base of everything the simulator finds wrong in a kernel while it runs."""


class DataRace(SimulationError):
    """Two accesses to one location that nothing orders, at least one of them a write."""


class Deadlock(SimulationError):
    """No thread can go on: who waits for what, what was expected and what arrived."""


class OutOfBounds(SimulationError):
    """An access outside the memory that its buffer owns."""


class UninitializedRead(SimulationError):
    """A value that nothing wrote decides what the kernel does or stores."""


class MisalignedAccess(SimulationError):
    """A vector access or an asynchronous copy whose address is not aligned to its width."""


REGISTERED = (SimulationError, DataRace, Deadlock, OutOfBounds, UninitializedRead, MisalignedAccess)
