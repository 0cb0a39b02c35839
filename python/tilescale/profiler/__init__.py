# SPDX-License-Identifier: MIT
"""Inputs for a kernel, comparison with a reference, and time."""

from .measure import do_bench
from .profiler import Profiler
from .supply import TensorSupplyType, get_tensor_supply

__all__ = ["Profiler", "TensorSupplyType", "do_bench", "get_tensor_supply"]
