# SPDX-License-Identifier: MIT
"""Environment variables that Python reads. No other module of the package touches the environment.

What the core library reads is declared in support/knobs.def; these are the ones needed before it is loaded or
by Python alone.
"""

import os


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
