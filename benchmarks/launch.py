# SPDX-License-Identifier: MIT
"""What one call costs the host: 3 tensors and 2 scalars, against the bare driver launch, torch.add and an empty Triton
kernel in the same process; and what a kernel of ranks costs beside that, through `World.launch` and by a call with
symmetric tensors. Without a GPU (`--stub`, the default there) a stand-in for the driver takes the launches: then only
our own share is measured. Needs a C compiler; bars in RESULTS.md."""

import argparse
import ctypes
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure

BATCH = 200  # launches between two synchronisations: far less than the driver's queue holds
TEXT = """#include <tilescale/kernel.cuh>
extern "C" __global__ void bare(const float* A, const float* B, float* C, int n, float s) {}
"""


def build(source: Path, folder: Path, name: str) -> Path:
    """A shared object of one C file."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise SystemExit("the launch benchmark needs a C compiler: none of cc, gcc, clang is in PATH")
    out = folder / name
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-w", "-o", out, source], check=True)
    return out


def small_kernel(of_ranks: bool) -> Any:
    """A program with 3 tensors and 2 scalars. One of ranks reads its rank, so it is bound to a heap."""
    import tilescale
    import tilescale.language as T

    @T.prim_func
    def small(
        A: T.Tensor((128,), "float32"),
        B: T.Tensor((128,), "float32"),
        C: T.Tensor((128,), "float32"),
        n: T.int32,
        s: T.float32,
    ):
        with T.Kernel(1, threads=128):
            for i in T.Parallel(128):
                if i < n:
                    value = A[i] * s + B[i]
                    C[i] = value + T.cast(T.get_rank(), "float32") if of_ranks else value

    return tilescale.compile(small, target="cuda")


def small_eager() -> Any:
    """The same as an eager function, of any length."""
    import tilescale
    import tilescale.language as T

    @tilescale.jit(target="cuda")
    def eager(A, B, C, n: T.int32, s: T.float32):
        N = T.const("N")
        A: T.Tensor[[N], T.float32]
        B: T.Tensor[[N], T.float32]
        C: T.Tensor[[N], T.float32]
        with T.Kernel(1, threads=128):
            for i in T.Parallel(N):
                if i < n:
                    C[i] = A[i] * s + B[i]

    return eager


def rank_calls(settle: Callable[[], None]) -> dict[str, Callable[[], float]]:
    """Nanoseconds a rank's launch, in a World of all GPUs (two at most)."""
    import torch
    from tilescale.distributed import World

    ranks = min(2, torch.cuda.device_count())
    world = World(ranks)
    kernel = small_kernel(of_ranks=True)
    a, b, c = (world.tensor(128) for _ in range(3))
    for part in (*a, *b):
        part.fill_(1.0)
    world.barrier()
    world.launch(kernel, a, b, c, 128, 2.0)
    world.barrier()
    assert all(float(part[0]) == 3.0 + r for r, part in enumerate(c)), "the ranks' result is wrong"

    def waited() -> None:
        world.barrier()
        settle()

    launch = batch(world.launch, (kernel, a, b, c, 128, 2.0), waited)
    return {
        "world": lambda: launch() / ranks,
        "symmetric": batch(kernel, (a[0], b[0], c[0], 128, 2.0), waited),
    }


def driver_tensors() -> list[Any]:
    """Three tensors in the device memory of whatever driver there is, without a framework."""
    import tilescale
    import tilescale.language as T

    @T.prim_func
    def make(C: T.Tensor((128,), "float32")):
        with T.Kernel(1, threads=128):
            for i in T.Parallel(128):
                C[i] = 0.0

    kernel = tilescale.compile(make, out_idx=[0], target="cuda")
    return [kernel() for _ in range(3)]


class Bare:
    """The driver's own launch of an empty kernel with the same parameters, in a loop of C."""

    def __init__(self, folder: Path) -> None:
        from tilescale._ffi import function
        from tilescale.targets import gpu_arch

        self.driver = ctypes.CDLL(os.environ.get("TILESCALE_LIBCUDA") or "libcuda.so.1")
        loop = ctypes.CDLL(str(build(Path(__file__).with_name("bare_launch.c"), folder, "bare_launch.so")))
        self.loop = loop.bare_launch
        self.loop.restype = ctypes.c_double
        cubin = bytes(function("runtime.nvrtc_compile")("bare", TEXT, str(gpu_arch()), [])["cubin"])
        module, self.function = ctypes.c_void_p(), ctypes.c_void_p()
        self._check(self.driver.cuModuleLoadData(ctypes.byref(module), cubin))
        self._check(self.driver.cuModuleGetFunction(ctypes.byref(self.function), module, b"bare"))
        self.values = [ctypes.c_void_p(0)] * 3 + [ctypes.c_int(128), ctypes.c_float(2.0)]
        self.args = (ctypes.c_void_p * 5)(*(ctypes.cast(ctypes.byref(v), ctypes.c_void_p) for v in self.values))

    def _check(self, error: int) -> None:
        if error:
            raise RuntimeError(f"the driver answered {error}")

    def nanoseconds(self) -> float:
        launch = ctypes.cast(self.driver.cuLaunchKernel, ctypes.c_void_p)
        return float(self.loop(launch, self.function, None, self.args, ctypes.c_long(BATCH)))


def batch(call: Callable[..., Any], args: tuple[Any, ...], settle: Callable[[], None]) -> Callable[[], float]:
    """Nanoseconds a call, over one batch."""

    def measured() -> float:
        settle()
        start = time.perf_counter_ns()
        for _ in itertools.repeat(None, BATCH):
            call(*args)
        return (time.perf_counter_ns() - start) / BATCH

    return measured


def triton_empty() -> Callable[..., Any] | None:
    try:
        import triton
        import triton.language as tl
    except ImportError:
        return None
    # Triton reads the source of the function, so it stands in a file of its own.
    folder = tempfile.mkdtemp()
    file = Path(folder) / "empty_kernel.py"
    file.write_text("import triton\n@triton.jit\ndef empty(A, B, C, n, s):\n    pass\n")
    sys.path.insert(0, folder)
    import empty_kernel

    del triton, tl
    return empty_kernel.empty[(1,)]


def on_stub(folder: Path) -> dict[str, Callable[[], float]]:
    os.environ["TILESCALE_LIBCUDA"] = str(
        build(measure.ROOT / "tests" / "runtime" / "cuda_stub.c", folder, "libcuda.so.1")
    )
    os.environ["STUB_QUIET"] = "1"
    kernel, eager = small_kernel(of_ranks=False), small_eager()
    args = (*driver_tensors(), 128, 2.0)

    def settle() -> None:
        pass

    kernel(*args)
    bare = Bare(folder)
    return {
        "bare": bare.nanoseconds,
        "kernel": batch(kernel, args, settle),
        "eager": batch(eager, args, settle),
    }


def on_gpu(folder: Path) -> dict[str, Callable[[], float]]:
    import torch

    a, b, c = (torch.randn(128, device="cuda") for _ in range(3))
    kernel, eager = small_kernel(of_ranks=False), small_eager()
    kernel(a, b, c, 128, 2.0)
    torch.cuda.synchronize()
    if not torch.equal(c, torch.addcmul(b, a, torch.full_like(a, 2.0))):
        assert torch.allclose(c, a * 2 + b), "the kernel's result is wrong"
    settle = torch.cuda.synchronize
    bare = Bare(folder)

    def bare_batch() -> float:
        settle()
        return bare.nanoseconds()

    calls = {
        "bare": bare_batch,
        "kernel": batch(kernel, (a, b, c, 128, 2.0), settle),
        "eager": batch(eager, (a, b, c, 128, 2.0), settle),
        "torch.add": batch(lambda x, y, z: torch.add(x, y, out=z), (a, b, c), settle),
    }
    calls |= rank_calls(settle)
    empty = triton_empty()
    if empty is None:
        print("no triton: its row is left out")
    else:
        calls["triton"] = batch(empty, (a, b, c, 128, 2.0), settle)
    return calls


def report(times: dict[str, list[float]], real: bool) -> bool:
    """One line a row; the minimum of all batches, with the median beside it. True if every bar is met."""
    least = {name: min(values) / 1e3 for name, values in times.items()}
    bars = {"kernel": 2.0 + least["bare"], "eager": 5.0 + least["bare"]}
    beside = {"world": 1.0 + least["kernel"], "symmetric": 1.0 + least["kernel"]}
    fine = True
    for name, value in least.items():
        text = f"{name:10} {value:7.3f} us, median {measure.median(times[name]) / 1e3:7.3f}"
        if name in bars:
            met = measure.verdict(value, bars[name], at_most=True)
            above, bar = value - least["bare"], bars[name] - least["bare"]
            text += f"; {above:.3f} above the driver's launch, bar {bar:.1f}: {met}"
            fine &= met == "ok"
        if name in beside:
            met = measure.verdict(value, beside[name], at_most=True)
            text += f"; {value - least['kernel']:.3f} above a plain kernel's launch, bar 1.0: {met}"
            fine &= met == "ok"
        print(text)
    if real:
        met = measure.verdict(least["kernel"], least["torch.add"], at_most=True)
        print(f"kernel against torch.add: {least['kernel'] / least['torch.add']:.2f}, bar 1.00: {met}")
        fine &= met == "ok"
    return fine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--stub", action="store_true", help="the stand-in driver, also where there is a GPU")
    options = parser.parse_args()
    from tilescale.targets import gpu_arch

    os.environ["TILESCALE_CACHE"] = "0"
    real = not options.stub and _has_gpu()
    with tempfile.TemporaryDirectory() as folder:
        calls = on_gpu(Path(folder)) if real else on_stub(Path(folder))
        import tilescale._ffi as ffi

        name = str(ffi.function("runtime.device_properties")("cuda", "", 0)["name"]) if real else measure.cpu()
        print(measure.header("launch" if real else "launch on the stand-in driver", f"{name} ({gpu_arch()})"))
        fine = report(measure.interleaved(calls, options.rounds), real)
    raise SystemExit(0 if fine else 1)


def _has_gpu() -> bool:
    """Asked without our library, which looks for a driver only once."""
    try:
        driver = ctypes.CDLL(os.environ.get("TILESCALE_LIBCUDA") or "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


if __name__ == "__main__":
    main()
