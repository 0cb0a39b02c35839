# SPDX-License-Identifier: MIT
"""Switches and small arithmetic of the package's top level."""

import importlib.metadata
import logging

from . import knobs


def _version() -> str:
    try:
        return importlib.metadata.version("tilescale")
    except importlib.metadata.PackageNotFoundError:
        return "0+source"


VERSION = _version()


def enable_cache() -> None:
    knobs.set_cache_enabled(True)


def disable_cache() -> None:
    """Kernels compiled from now on are neither read from nor kept on disk."""
    knobs.set_cache_enabled(False)


def is_cache_enabled() -> bool:
    return knobs.cache_enabled()


def set_log_level(level: str | int) -> None:
    logging.getLogger("tilescale").setLevel(level.upper() if isinstance(level, str) else level)


def next_power_of_2(n: int) -> int:
    return 1 << max(0, n - 1).bit_length()


def cdiv(a: int, b: int) -> int:
    return -(-a // b)
