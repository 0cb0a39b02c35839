# SPDX-License-Identifier: MIT
"""`kernel.get_profiler()`."""

import itertools
from collections.abc import Callable
from typing import Any

from ..testing import torch_assert_close
from .measure import do_bench
from .supply import TensorSupplyType, get_tensor_supply


def _as_list(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (list, tuple)) else [] if result is None else [result]


class Profiler:
    """Runs a kernel on supplied inputs."""

    def __init__(self, kernel: Any, supply_type: TensorSupplyType = TensorSupplyType.Auto) -> None:
        self.kernel = kernel
        self.func = kernel
        self.params = kernel.params
        self._device = "cuda" if kernel.target.kind == "cuda" else "cpu"
        self._supply = get_tensor_supply(supply_type, self._device)

    def _inputs(self, constraints: dict[str, int] | None = None) -> list[Any]:
        given = [p for p in self.params if not p.is_output]
        for param in given:
            if constraints:
                param.shape = [constraints.get(n, n) if isinstance(n, str) else n for n in param.shape]
        return [self._supply(p) for p in given]

    def inputs(self) -> list[Any]:
        """Fresh inputs of the kernel."""
        return self._inputs()

    def _results(self, fn: Callable[..., Any], inputs: list[Any]) -> list[Any]:
        """What a function returns, or, if nothing, the inputs that it may have written."""
        copies = [x.clone() for x in inputs]
        results = _as_list(fn(*copies))
        return results or copies

    def assert_allclose(
        self,
        reference_program: Callable[..., Any],
        input_tensors: list[Any] | None = None,
        atol: float = 1e-2,
        rtol: float = 1e-2,
        max_mismatched_ratio: float = 0.01,
    ) -> None:
        """Kernel and reference agree on the same inputs."""
        inputs = self._inputs() if input_tensors is None else input_tensors
        expected = self._results(reference_program, inputs)
        got = self._results(self.kernel, inputs)
        assert len(got) == len(expected), f"the kernel gives {len(got)} results, the reference {len(expected)}"
        for a, b in zip(got, expected, strict=True):
            torch_assert_close(a, b, rtol, atol, max_mismatched_ratio, base_name="kernel", ref_name="reference")

    def manual_assert_close(
        self,
        reference_program: Callable[..., Any],
        input_tensors: list[Any] | None = None,
        manual_check_prog: Callable[..., Any] | None = None,
    ) -> None:
        """As assert_allclose, judged by `manual_check_prog(kernel_results, reference_results)`."""
        if manual_check_prog is None:
            raise ValueError("manual_assert_close needs manual_check_prog")
        inputs = self._inputs() if input_tensors is None else input_tensors
        expected = self._results(reference_program, inputs)
        manual_check_prog(self._results(self.kernel, inputs), expected)

    def assert_consistent(self, repeat: int = 10) -> None:
        """The same inputs give the same bits every time."""
        import torch

        inputs = self._inputs()
        first = self._results(self.kernel, inputs)
        for _ in itertools.repeat(None, repeat):
            again = self._results(self.kernel, inputs)
            for a, b in zip(first, again, strict=True):
                assert torch.equal(a.view(torch.uint8), b.view(torch.uint8)), "results differ between runs"

    def run_once(self, func: Callable[..., Any] | None = None) -> Any:
        return (func or self.kernel)(*self._inputs())

    def do_bench(
        self,
        func: Callable[..., Any] | None = None,
        warmup: float = 25,
        rep: float = 100,
        n_warmup: int = 0,
        n_repeat: int = 0,
        input_tensors: list[Any] | None = None,
        backend: str = "event",
        quantiles: list[float] | None = None,
        return_mode: str = "mean",
        dynamic_symbolic_constraints: dict[str, int] | None = None,
        device: Any = None,
        early_stop_baseline: float | None = None,
    ) -> Any:
        """Milliseconds of one call."""
        inputs = self._inputs(dynamic_symbolic_constraints) if input_tensors is None else input_tensors
        fn = func or self.kernel
        return do_bench(
            lambda: fn(*inputs),
            warmup,
            rep,
            n_warmup,
            n_repeat,
            quantiles,
            backend=backend,
            return_mode=return_mode,
            early_stop_baseline=early_stop_baseline,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.kernel(*args, **kwargs)
