# SPDX-License-Identifier: MIT
"""The machines that a list of cases runs on: the simulator and, where there is one, a GPU. Both go through the core
library's `run_text`, which compiles kernel text for a device and launches its kernels on host arrays."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import cache

import numpy as np

from tests.conformance.harness import Case, module_text, supports

# All cases of tests/conformance, one text each.
MODULES = ("cast", "half", "math", "mma", "thread", "warp", "memory")


@cache
def cases_of(module: str, seed: int) -> list[Case]:
    return importlib.import_module(f"tests.conformance.cases_{module}").cases(seed)


def arch_of(target: str) -> str:
    """The arch that texts are compiled for: sm_90a on the simulator, the GPU's own otherwise."""
    if target == "sim":
        return "sm_90a"
    function = importlib.import_module("tilescale._ffi").function
    arch = str(function("runtime.device_properties")("cuda", "", 0)["arch"])
    return "sm_90a" if arch == "sm_90" else arch


def run(target: str, cases: Sequence[Case]) -> list[str]:
    """Compiles and runs the cases that the machine has the features for; the names and reasons of those that fail."""
    function = importlib.import_module("tilescale._ffi").function
    from_dlpack = importlib.import_module("tvm_ffi").from_dlpack
    arch = arch_of(target)
    cases = [case for case in cases if supports(arch, case)]
    arguments = [[a.copy() if isinstance(a, np.ndarray) else a for a in case.args] for case in cases]
    launches = [
        {
            "entry": case.name,
            "grid": [case.grid, 1, 1],
            "block": [case.block, 1, 1],
            "shared_bytes": case.shared,
            "args": [from_dlpack(a) if isinstance(a, np.ndarray) else a for a in values],
        }
        for case, values in zip(cases, arguments, strict=True)
    ]
    errors = function("runtime.run_text")(target, arch, module_text(cases), launches)
    failures = []
    for case, values, error in zip(cases, arguments, errors, strict=True):
        try:
            assert not error, error
            case.check(values)
        except AssertionError as failure:
            failures.append(f"{case.name}: {failure}")
    return failures
