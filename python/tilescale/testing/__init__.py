# SPDX-License-Identifier: MIT
"""Helpers of test programs: comparison, seeds, skips."""

import functools
import importlib
import importlib.util
import inspect
import operator
import re
import sys
from collections.abc import Callable
from typing import Any

from .. import targets

_MODES: dict[str, Callable[[Any, Any], bool]] = {
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
    "eq": operator.eq,
}


def set_random_seed(seed: int = 42) -> None:
    import random

    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def torch_assert_close(
    tensor_a: Any,
    tensor_b: Any,
    rtol: float = 1e-2,
    atol: float = 1e-3,
    max_mismatched_ratio: float = 1e-3,
    verbose: bool = False,
    equal_nan: bool = True,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    base_name: str = "LHS",
    ref_name: str = "RHS",
) -> bool:
    """Close where all but `max_mismatched_ratio` of the elements are."""
    import torch

    if check_device:
        assert tensor_a.device == tensor_b.device, f"devices differ: {tensor_a.device} and {tensor_b.device}"
    if check_dtype:
        assert tensor_a.dtype == tensor_b.dtype, f"dtypes differ: {tensor_a.dtype} and {tensor_b.dtype}"
    if check_stride:
        assert tensor_a.stride() == tensor_b.stride(), "strides differ"
    assert tensor_a.shape == tensor_b.shape, f"shapes differ: {tensor_a.shape} and {tensor_b.shape}"
    a, b = tensor_a.to(torch.float64), tensor_b.to(torch.float64)
    wrong = ~torch.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)
    count, total = int(wrong.sum()), max(1, wrong.numel())
    if verbose:
        print(f"{count} of {total} elements differ")
    if count > max_mismatched_ratio * total:
        at = tuple(int(i) for i in wrong.nonzero()[0])
        raise AssertionError(
            f"{count} of {total} elements differ, at most {max_mismatched_ratio:.3%} may; the first is {at}: "
            f"{base_name} {a[at].item()}, {ref_name} {b[at].item()} (rtol={rtol}, atol={atol})"
        )
    return True


def main() -> None:
    """Runs the tests of the calling file."""
    import pytest

    sys.exit(pytest.main([str(inspect.getsourcefile(sys._getframe(1)))]))


def _skip_unless(available: bool, reason: str) -> Callable[[Any], Any]:
    import pytest

    return pytest.mark.skipif(not available, reason=reason)


def _version(arch: str | None) -> tuple[int, int]:
    digits = re.sub(r"\D", "", arch or "")
    return (int(digits[:-1]), int(digits[-1])) if digits else (0, 0)


def requires_cuda(function: Any = None) -> Any:
    mark = _skip_unless(targets.gpu_arch() is not None, "needs a CUDA GPU")
    return mark if function is None else mark(function)


def requires_cuda_compute_version(major: int, minor: int = 0, mode: str = "ge") -> Any:
    arch = targets.gpu_arch()
    fits = arch is not None and _MODES[mode](_version(arch), (major, minor))
    return _skip_unless(fits, f"needs a CUDA GPU of compute capability {mode} {major}.{minor}")


def _comparison(mode: str) -> Callable[..., Any]:
    def requires(major: int, minor: int = 0) -> Any:
        return requires_cuda_compute_version(major, minor, mode)

    return requires


requires_cuda_compute_version_ge = _comparison("ge")
requires_cuda_compute_version_gt = _comparison("gt")
requires_cuda_compute_version_le = _comparison("le")
requires_cuda_compute_version_lt = _comparison("lt")
requires_cuda_compute_version_eq = _comparison("eq")


def requires_package(name: str) -> Any:
    return _skip_unless(importlib.util.find_spec(name) is not None, f"needs the package {name}")


def requires_distributed(function: Any = None) -> Any:
    """Several ranks: on GPUs two of them, on the simulator nothing."""
    available = str(targets.Target(None)) == "sim" or importlib.import_module("torch").cuda.device_count() > 1
    mark = _skip_unless(available, "needs two GPUs, or target 'sim'")
    return mark if function is None else mark(function)


def distributed_test(nprocs: int = 2, require_fabric: bool = False, require_multicast: bool = False) -> Any:
    """A test `f(local_rank, num_ranks, …)` that runs once a rank, each in a process of its own. On the simulator the
    ranks meet in a machine that the test starts."""

    def decorate(function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        def test(*args: Any, **kwargs: Any) -> None:
            import torch.multiprocessing

            from .. import knobs
            from ..distributed import launcher

            on_sim = str(targets.Target(None)) == "sim"
            more = {"MASTER_PORT": str(launcher.free_port())}
            if on_sim:
                more["TILESCALE_SIM_GPUS"] = str(nprocs)
            with launcher.machine() if on_sim else launcher.no_machine(), knobs.variables(**more):
                spawn: Any = torch.multiprocessing.spawn
                spawn(_as_rank, (function.__module__, function.__qualname__, nprocs, args, kwargs), nprocs)

        signature = inspect.signature(function)
        kept = list(signature.parameters.values())[2:]  # a test runner must not ask for rank and count
        test.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        test.in_rank = function  # type: ignore[attr-defined]
        mark = _skip_unless(not require_fabric and not require_multicast, "multicast and fabric handles are not used")
        return mark(requires_distributed(test))

    return decorate


def _as_rank(rank: int, module: str, name: str, ranks: int, args: Any, kwargs: Any) -> None:
    from .. import knobs

    if knobs.simulated_gpus():
        from ..compat import torch_on_sim

        torch_on_sim.install()
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    found.in_rank(rank, ranks, *args, **kwargs)


def _other_target(name: str) -> Callable[..., Any]:
    def requires(function: Any = None) -> Any:
        mark = _skip_unless(False, f"target {name} is not supported")
        return mark if function is None else mark(function)

    return requires


requires_rocm = _other_target("rocm")
requires_metal = _other_target("metal")
requires_llvm = _other_target("llvm")
requires_cdna = _other_target("cdna")
requires_gfx950 = _other_target("gfx950")
requires_cuda_or_cdna = requires_cuda


def evaluate(program: Any, *args: Any) -> None:
    """Runs a `@T.prim_func`, or the one of a compiled kernel, statement by statement in host memory: the oracle that
    generated code is compared with. `args` are all parameters in order, outputs included, which are written in place;
    tensors are on the host."""
    from .._ffi import function, tvm_ffi
    from ..language.report import after_trace

    func = getattr(program, "prim_func", program).func
    inputs = [tvm_ffi.from_dlpack(a) if hasattr(a, "__dlpack__") else a for a in args]
    try:
        function("evaluate")(func, inputs)
    except Exception as error:
        raise after_trace(error) from None
