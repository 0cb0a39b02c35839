# SPDX-License-Identifier: MIT
"""Which files the checks look at: what git tracks, and what it would if it were added."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOREIGN = ("third_party/",)


@cache
def all_files() -> tuple[str, ...]:
    """Paths relative to the repository root, sorted, without third-party sources."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    ours = (f for f in set(listed) if not f.startswith(FOREIGN) and (ROOT / f).is_file())
    return tuple(sorted(ours))


def files(*suffixes: str, under: tuple[str, ...] = ("",)) -> list[str]:
    """The files with one of the suffixes (any, if none is given) in one of the folders."""
    return [f for f in all_files() if f.endswith(suffixes or ("",)) and f.startswith(under)]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def report(name: str, errors: list[str]) -> int:
    """Prints the errors, or that there are none; returns the exit status."""
    print("\n".join(errors) if errors else f"{name}: ok")
    return 1 if errors else 0
