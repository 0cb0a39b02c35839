#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Formats all sources, or with --check fails if some are not formatted."""

import subprocess
import sys

from sources import ROOT, files


def main() -> int:
    check = "--check" in sys.argv[1:]
    cpp = files(".h", ".cc", ".cuh", ".cu")
    python = files(".py")
    commands = [
        ["clang-format", *(["--dry-run", "-Werror"] if check else ["-i"]), *cpp],
        ["ruff", "format", "--quiet", *(["--diff"] if check else []), *python],
    ]
    if not check:
        commands.append(["ruff", "check", "--quiet", "--fix", *python])
    statuses = [subprocess.run(command, cwd=ROOT).returncode for command in commands]
    if check and not any(statuses):
        print("format: ok")
    return 1 if check and any(statuses) else 0


if __name__ == "__main__":
    sys.exit(main())
