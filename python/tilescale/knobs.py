# SPDX-License-Identifier: MIT
"""Environment variables that Python reads. No other module of the package touches the environment.

What the core library reads is declared in support/knobs.def; these are the ones needed before it is loaded or
by Python alone.
"""

import contextlib
import os
from collections.abc import Iterator


def target() -> str | None:
    """TILESCALE_TARGET: the target used where the program says `auto` or nothing."""
    return os.environ.get("TILESCALE_TARGET") or os.environ.get("TILELANG_DEFAULT_TARGET") or None


def full_traceback() -> bool:
    """TILESCALE_FULL_TRACEBACK=1: keep the frames of this package in tracebacks."""
    return os.environ.get("TILESCALE_FULL_TRACEBACK", "0") not in ("", "0")


def library_path() -> str | None:
    """TILESCALE_LIBRARY: the core library to load instead of the one inside the package."""
    return os.environ.get("TILESCALE_LIBRARY") or None


def cache_enabled() -> bool:
    """TILESCALE_CACHE=0 turns the kernel cache on disk off."""
    return os.environ.get("TILESCALE_CACHE", "1") != "0"


def set_cache_enabled(enabled: bool) -> None:
    os.environ["TILESCALE_CACHE"] = "1" if enabled else "0"


def prepend_python_path(*folders: str) -> None:
    """Puts folders first on the module path of child processes."""
    old = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join([*folders, *(p for p in old if p and p not in folders)])


def machine_address() -> str | None:
    """TILESCALE_SIM_MACHINE: where the process of the simulated machine listens; `tilescale run` sets it."""
    return os.environ.get("TILESCALE_SIM_MACHINE") or None


def simulated_gpus() -> int:
    """TILESCALE_SIM_GPUS: how many GPUs a program sees that runs on the simulator as if on GPUs; 0: it does not."""
    return rank_of_environment("TILESCALE_SIM_GPUS", 0)


# What other launchers than torchrun call these numbers: Open MPI, MPICH and Intel MPI (Hydra), Slurm.
_NAMES_OF_LAUNCHERS = {
    "RANK": ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"),
    "WORLD_SIZE": ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"),
    "LOCAL_RANK": ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"),
    "LOCAL_WORLD_SIZE": ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_TASKS_PER_NODE"),
}


def rank_of_environment(name: str, fallback: int) -> int:
    """One of the numbers that launchers give to ranks: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_PORT."""
    for variable in (name, *_NAMES_OF_LAUNCHERS.get(name, ())):
        # A batch script of Slurm has its variables, too; only what srun starts is a rank.
        if variable.startswith("SLURM_") and not os.environ.get("SLURM_STEP_ID"):
            continue
        text = os.environ.get(variable) or ""
        if variable == "SLURM_TASKS_PER_NODE":
            text = text.partition("(")[0]  # 4(x2): 4 on each of 2 hosts
        if text and not text.isdigit():
            raise ValueError(f"{variable}: expected a number, got {text!r}")
        if text:
            return int(text)
    return fallback


def use_vmm() -> bool | None:
    """TILESCALE_USE_VMM: 1 or 0: whether ranks share memory by files of the driver, whatever the program says."""
    text = os.environ.get("TILESCALE_USE_VMM") or ""
    return None if not text else text == "1"


def symmetric_size() -> int:
    """NVSHMEM_SYMMETRIC_SIZE: bytes of the heap of pynvshmem on each rank, with K, M, G or without; default 1G."""
    text = (os.environ.get("NVSHMEM_SYMMETRIC_SIZE") or "1G").strip().upper()
    number, unit = (text[:-1], text[-1]) if text[-1:] in "KMG" else (text, "")
    if not number.isdigit():
        raise ValueError(f"NVSHMEM_SYMMETRIC_SIZE: expected a size such as 512M, got {text!r}")
    return int(number) << {"": 0, "K": 10, "M": 20, "G": 30}[unit]


def master_address() -> str:
    return os.environ.get("MASTER_ADDR") or "127.0.0.1"


def master_port() -> int:
    """TILESCALE_MASTER_PORT, else MASTER_PORT."""
    return rank_of_environment("TILESCALE_MASTER_PORT", rank_of_environment("MASTER_PORT", 8361))


def set_default(name: str, value: str) -> None:
    os.environ.setdefault(name, value)


def environment(**more: str) -> dict[str, str]:
    """The environment of a child process, with more."""
    return {**os.environ, **more}


def set_variable(name: str, value: str) -> None:
    """For this process and its children."""
    os.environ[name] = value


@contextlib.contextmanager
def variables(**values: str) -> Iterator[None]:
    """For this process and its children, inside."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old
