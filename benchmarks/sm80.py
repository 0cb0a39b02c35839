# SPDX-License-Identifier: MIT
"""The programs of examples/ on the mma.sync path, against torch in the same process: interleaved, on random data.

Tile sizes, stages and threads are passed to the programs as constants, one choice for all shapes of a row; nothing
else is changed. A ratio is the comparator's time over ours. Needs a GPU and torch; bars in RESULTS.md.
`--sweep` tries other choices, `--rows gemm,softmax` measures some rows only."""

import argparse
import itertools
import math
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import measure
import torch

Choice = dict[str, Any]
DEVICE = "cuda"


@dataclass
class Case:
    """One shape: both calls, and the relative error of ours against float64 on a sample."""

    label: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    error: Callable[[], float]
    bound: float
    work: float  # what one call does, in `unit`s times 1e12
    unit: str


@dataclass
class Row:
    """A program, its shapes, the bar of its ratio, the choice that all shapes use and others to try."""

    bar: float
    choice: Choice
    cases: Callable[[Choice], Iterator[Callable[[], Case]]]
    sweep: list[Choice] = field(default_factory=list)


def normal(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.randn(*shape, device=DEVICE).to(dtype)


def poisoned(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.full(shape, math.nan, device=DEVICE, dtype=dtype)


def relative(result: torch.Tensor, reference: torch.Tensor) -> float:
    return float((result.double() - reference).norm() / reference.norm())


def sample(count: int, of: int) -> torch.Tensor:
    return torch.randint(0, of, (count,), device=DEVICE)


def gemm_cases(choice: Choice) -> Iterator[Callable[[], Case]]:
    program = measure.example("gemm").matmul

    def case(size: int) -> Case:
        kernel = program(size, size, size, dtype="bfloat16", out_dtype="bfloat16", **choice)
        a, b, c = normal(size, size), normal(size, size), poisoned(size, size)

        def error() -> float:
            rows = sample(64, size)
            return relative(c[rows], a[rows].double() @ b.double())

        label, work = f"gemm bf16 {size}^3", 2 * size**3 / 1e12
        return Case(label, lambda: kernel(a, b, c), lambda: torch.mm(a, b), error, 5e-3, work, "TFLOP/s")

    for size in (4096, 8192):
        yield lambda size=size: case(size)


def attention_cases(choice: Choice) -> Iterator[Callable[[], Case]]:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    module = measure.example("flash_attention")
    batch, heads, seq, dim = 1, 32, 8192, 128

    def case(causal: bool) -> Case:
        kernel = module.flash_attention(batch, heads, seq, seq, dim, causal, dtype="bfloat16", **choice)
        q, k, v = (normal(batch, seq, heads, dim) for _ in range(3))
        out = poisoned(batch, seq, heads, dim)
        by_head = [x.transpose(1, 2) for x in (q, k, v)]

        def theirs() -> Any:
            with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
                return torch.nn.functional.scaled_dot_product_attention(*by_head, is_causal=causal)

        def error() -> float:
            head = [x[0, :, 7].double() for x in (q, k, v)]
            rows = sample(64, seq)
            scores = head[0][rows] @ head[1].T / math.sqrt(dim)
            if causal:
                scores.masked_fill_(torch.arange(seq, device=DEVICE) > rows[:, None], -math.inf)
            return relative(out[0, rows, 7], scores.softmax(1) @ head[2])

        label = f"attention bf16 {batch}x{heads}x{seq}x{dim}{' causal' if causal else ''}"
        work = 4 * batch * heads * seq * seq * dim / (2 if causal else 1) / 1e12
        return Case(label, lambda: kernel(q, k, v, out), theirs, error, 1e-2, work, "TFLOP/s")

    for causal in (False, True):
        yield lambda causal=causal: case(causal)


def by_rows(
    program: str, compute: Callable[..., Any], choice: Choice, weight: bool = False, dtype: str = "bfloat16"
) -> Iterator[Callable[[], Case]]:
    """A program over the rows of a matrix against torch.compile(dynamic=False) of `compute`."""
    M, N = 16384, 8192

    def case() -> Case:
        kernel = getattr(measure.example(program), program)(M, N, dtype=dtype, **choice)
        element = getattr(torch, dtype)
        inputs = [normal(M, N, dtype=element)] + [normal(N, dtype=element)] * weight
        out = poisoned(M, N, dtype=element)
        compiled = torch.compile(compute, dynamic=False)

        def error() -> float:
            rows = sample(64, M)
            return relative(out[rows], compute(inputs[0][rows].double(), *(x.double() for x in inputs[1:])))

        work = 2 * M * N * element.itemsize / 1e12
        label = f"{program} {dtype} {M}x{N}"
        return Case(label, lambda: kernel(*inputs, out), lambda: compiled(*inputs), error, 5e-3, work, "TB/s")

    yield case


def rms_norm(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    wide = x.double() if x.dtype is torch.float64 else x.float()
    return (wide * torch.rsqrt((wide * wide).mean(1, keepdim=True) + 1e-6) * w).to(x.dtype)


def softmax(x: torch.Tensor) -> torch.Tensor:
    return torch.softmax(x, dim=1)


def softmax_cases(choice: Choice) -> Iterator[Callable[[], Case]]:
    for dtype in ("bfloat16", "float32"):
        yield from by_rows("softmax", softmax, choice, dtype=dtype)


def choices(**options: list[Any]) -> list[Choice]:
    return [dict(zip(options, values, strict=True)) for values in itertools.product(*options.values())]


def tiles(M: int, N: int, K: int, stages: int, threads: int) -> Choice:
    return {"block_M": M, "block_N": N, "block_K": K, "num_stages": stages, "threads": threads}


ROWS = {
    "gemm": Row(
        0.55,
        tiles(128, 128, 32, 4, 128),
        gemm_cases,
        [
            tiles(128, 128, 32, 3, 128),
            tiles(128, 128, 64, 3, 128),
            tiles(128, 256, 32, 4, 256),
            tiles(256, 128, 32, 4, 256),
            tiles(128, 256, 64, 3, 256),
            tiles(128, 128, 64, 3, 256),
        ],
    ),
    "attention": Row(
        0.90,
        {"block_M": 128, "block_N": 64, "num_stages": 2, "threads": 128},
        attention_cases,
        [
            {"block_M": 64, "block_N": 64, "num_stages": 2, "threads": 128},
            {"block_M": 128, "block_N": 64, "num_stages": 1, "threads": 128},
            {"block_M": 128, "block_N": 64, "num_stages": 2, "threads": 256},
            {"block_M": 128, "block_N": 128, "num_stages": 1, "threads": 256},
            {"block_M": 128, "block_N": 32, "num_stages": 2, "threads": 128},
        ],
    ),
    "copy": Row(
        0.92,
        {"block_M": 4, "block_N": 1024, "threads": 256},
        lambda choice: by_rows("tile_copy", torch.clone, choice),
        choices(block_M=[1, 4, 8], block_N=[1024, 2048], threads=[128, 256]),
    ),
    "rmsnorm": Row(
        0.92,
        {"block_M": 1, "threads": 256},
        lambda choice: by_rows("rms_norm", rms_norm, choice, weight=True),
        choices(block_M=[1, 2], threads=[128, 256, 512, 1024]),
    ),
    "softmax": Row(
        2.0,
        {"block_M": 1, "threads": 256},
        softmax_cases,
        choices(block_M=[1, 2], threads=[128, 256, 512, 1024]),
    ),
}


def milliseconds(call: Callable[[], Any]) -> Callable[[], float]:
    """GPU time of one call. The GPU is kept busy meanwhile, so that both events and the call are queued before any of
    them runs: the host's own time is the business of launch.py."""

    def measured() -> float:
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda._sleep(500_000)
        start.record()
        call()
        stop.record()
        stop.synchronize()
        return start.elapsed_time(stop)

    return measured


def compare(case: Case, bar: float, choice: Choice, rounds: int) -> bool:
    """Prints both medians, the rate, the ratio and the error; True if the ratio meets the bar."""
    times = measure.interleaved({"ours": milliseconds(case.ours), "theirs": milliseconds(case.theirs)}, rounds)
    ours, theirs = measure.median(times["ours"]), measure.median(times["theirs"])
    error = case.error()
    met = measure.verdict(theirs / ours, bar, at_most=False)
    if not error <= case.bound:
        met = f"WRONG RESULT, the bound is {case.bound:.0e}"
    constants = ", ".join(f"{k} {v}" for k, v in choice.items())
    print(
        f"{case.label} ({constants}): {ours:.3f} ms ({case.work / ours * 1e3:.4g} {case.unit}), torch {theirs:.3f} ms, "
        f"ratio {theirs / ours:.3f}, bar {bar:.2f}: {met}, error {error:.1e}",
        flush=True,
    )
    return met == "ok"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rows", default=",".join(ROWS), help="which rows, separated by commas")
    parser.add_argument("--sweep", action="store_true", help="also choices that no bar is held against")
    options = parser.parse_args()
    print(measure.header("sm80", f"{torch.cuda.get_device_name()}, torch {torch.__version__}"))
    fine = True
    for name in options.rows.split(","):
        row = ROWS[name]
        for choice in [row.choice, *(row.sweep if options.sweep else [])]:
            for make in row.cases(choice):
                try:
                    met = compare(make(), row.bar, choice, options.rounds)
                except Exception:  # one program that fails must not hide the other rows
                    print(f"{name} {choice} failed\n{traceback.format_exc()}", flush=True)
                    met = False
                fine &= met or choice is not row.choice
                torch.cuda.empty_cache()
    raise SystemExit(0 if fine else 1)


if __name__ == "__main__":
    main()
