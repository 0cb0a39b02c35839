#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the tests: `tests/run.py [PATTERN...] [--all] [--update-golden] [pytest options]`.

A PATTERN that is a path under tests/ selects it; any other is a pytest -k expression, matched
against folder, file and test names of Python tests, C++ suites and golden cases alike: `layout`,
`golden`, `gemm and not fp8`. The last line is pytest's own closing line.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_arguments(arguments: list[str]) -> list[str]:
    paths, keywords, options = [], [], []
    for argument in arguments:
        if argument.startswith("-"):
            options.append(argument)
        elif argument.startswith("tests/") or argument == "tests":
            if not (ROOT / argument.split("::")[0]).exists():
                sys.exit(f"no test matches: there is no {argument}")
            paths.append(argument)
        else:
            keywords.append(f"({argument})")
    if keywords:
        options += ["-k", " or ".join(keywords)]
    # Golden files are rewritten while they are collected, so by one process.
    workers = 0 if "--update-golden" in options else min(os.cpu_count() or 1, 8)
    if not any(o.startswith("-n") for o in options):
        options += ["-n", str(workers)]
    return [*options, *(paths or ["tests"])]


def main() -> None:
    os.chdir(ROOT)
    command = [sys.executable, "-m", "pytest", *pytest_arguments(sys.argv[1:])]
    status = subprocess.call(command)
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        print(f"no test matches: {' '.join(a for a in sys.argv[1:] if not a.startswith('-'))}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
