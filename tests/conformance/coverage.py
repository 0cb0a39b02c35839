# SPDX-License-Identifier: MIT
"""Which case covers which device function. `python -m tests.conformance.coverage --write` renews coverage.md."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.conformance.machines import MODULES, cases_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = Path(__file__).with_name("coverage.md")
DEVICE = ROOT / "device"
TWINS = ROOT / "sim" / "include"

# Functions without a case here, each with the reason.
ELSEWHERE = {
    "setmaxnreg_inc": "changes no value; a warpgroup must run it",
    "setmaxnreg_dec": "changes no value; a warpgroup must run it",
    "rank": "needs ranks: the two-rank example",
    "num_ranks": "needs ranks: the two-rank example",
    "peer": "needs ranks: the two-rank example",
    "put_nbi": "needs ranks: the two-rank example",
    "quiet": "needs ranks: the two-rank example",
    "copy_run": "moves between ranks: tests/distributed",
    "copy_run_nbi": "moves between ranks: tests/distributed",
    "barrier_blocks": "needs ranks: tests/distributed",
    "barrier_thread": "needs ranks: tests/distributed",
    "barrier_warp": "needs ranks: tests/distributed",
    "grid_sync": "needs a cooperative launch: tests/numerics/test_grid.py",
    **{
        f"wait_{relation}": "waits for another rank: tests/distributed"
        for relation in ("eq", "ne", "ge", "le", "gt", "lt")
    },
    **dict.fromkeys(
        ("watch_begin", "watch_store", "watch_publish", "watch_end", "watch_aborted", "exit_thread"),
        "ends waits of a kernel: tests/distributed/test_watchdog.py",
    ),
    "smem_address": "an address, part of every shared-memory instruction",
}
DETAIL = re.compile(r"namespace detail \{.*?\}\s*// namespace detail", re.DOTALL)
# A function on the device: what TS_DEVICE becomes, the type of the result, the name.
FUNCTION = re.compile(
    r"static __device__ __forceinline__\s+(?:constexpr\s+)?[\w:<>, ]+?[\s*&]+(operator[^\s(]+|\w+)\s*\("
)


def headers(root: Path = DEVICE) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in (root / "tilescale").rglob("*.cuh"))


@cache
def expanded(root: Path, header: str) -> str:
    """One header's own text, its macros expanded for sm_90a, comments kept; what it includes is left out."""
    text = re.sub(r"^#(include|pragma once).*$", "", (root / header).read_text(), flags=re.MULTILINE)
    config = (root / "tilescale/ptx/config.cuh").read_text()
    macros = re.findall(r"^#define (?:[^\n]*\\\n)*[^\n]*\n", config, re.MULTILINE)
    if not header.endswith("ptx/config.cuh"):
        text = "".join(macros) + text
    flags = ["-E", "-P", "-C", "-x", "c++", "-D__CUDA_ARCH__=900", "-D__CUDA_ARCH_FEAT_SM90_ALL", "-DTS_WATCHDOG", "-"]
    done = subprocess.run(["g++", *flags], input=text, capture_output=True, text=True, check=True)
    return done.stdout


def functions(header: str) -> list[str]:
    """Names that a device header defines for kernel text, those of its `detail` left out."""
    return sorted(set(FUNCTION.findall(DETAIL.sub("", expanded(DEVICE, header)))))


def in_twin(header: str, name: str) -> bool:
    """Whether the simulator's header of that name declares a function of that name."""
    return re.search(rf"(?<![\w:]){re.escape(name)}\s*\(", expanded(TWINS, header)) is not None


def covered(seed: int = 0) -> dict[str, list[str]]:
    """Function to the names of the cases that run it."""
    table: dict[str, list[str]] = {}
    for module in MODULES:
        for case in cases_of(module, seed):
            for function in case.functions:
                table.setdefault(function, []).append(case.name)
    return table


def page() -> str:
    table = covered()
    lines = [
        "# Conformance of device functions",
        "",
        "Each function runs on the simulator and on a GPU from one kernel text and is held to one reference.",
        "Written by `python -m tests.conformance.coverage --write`.",
        "",
    ]
    for header in headers():
        names = functions(header)
        if not names:
            continue
        lines += [f"## {header}", "", "| function | cases |", "|---|---|"]
        for name in names:
            cases = table.get(name, [])
            shown = f"{len(cases)}: {', '.join(cases[:3])}{', …' if len(cases) > 3 else ''}"
            lines.append(
                f"| `{name.replace('|', chr(92) + '|')}` | {shown if cases else ELSEWHERE.get(name, 'none')} |"
            )
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page())
    else:
        print(page())
