# SPDX-License-Identifier: MIT
"""What the benchmarks share: where the programs are, who measured, and how two calls are compared."""

import datetime
import platform
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"


def example(name: str) -> Any:
    """A program of examples/ as a module, `folder/name` of a folder; `import tilelang` in it is us."""
    import importlib

    from tilescale.compat import install

    install()
    path = EXAMPLES / name
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    return importlib.import_module(path.name)


def cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor() or platform.machine()


def header(title: str, machine: str) -> str:
    return f"{title}, {datetime.date.today().isoformat()}, {machine}"


def interleaved(calls: dict[str, Callable[[], float]], rounds: int, warmup: int = 3) -> dict[str, list[float]]:
    """What each call measured in every round. All run in every round, in turn, so that a change of the machine's
    state meets all of them; the order alternates, so that none always runs in another's wake."""
    out: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(warmup + rounds):
        for name in list(calls)[:: 1 if i % 2 == 0 else -1]:
            measured = calls[name]()
            if i >= warmup:
                out[name].append(measured)
    return out


def median(values: list[float]) -> float:
    return statistics.median(values)


def verdict(measured: float, bar: float, at_most: bool) -> str:
    """`ok` or `MISS` against a bar."""
    return "ok" if (measured <= bar if at_most else measured >= bar) else "MISS"
