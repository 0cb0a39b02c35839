#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Inline asm stands only in device/tilescale/ptx, and in the simulator's context switch."""

import re
import sys

from sources import files, read, report

ASM = re.compile(r"\b(?:__asm__|asm)\b\s*(?:volatile|__volatile__)?\s*\(")
ALLOWED = ("device/tilescale/ptx/", "sim/fiber.cc")
FOLDERS = ("compiler/", "runtime/", "sim/", "support/", "device/", "python/", "examples/")


def check(path: str, text: str) -> list[str]:
    if path.startswith(ALLOWED):
        return []
    return [
        f"{path}:{number}: inline asm outside device/tilescale/ptx"
        for number, line in enumerate(text.splitlines(), 1)
        if ASM.search(line.split("//")[0])
    ]


def main() -> int:
    suffixes = (".cuh", ".cu", ".h", ".cc", ".py")
    paths = files(*suffixes, under=FOLDERS)
    return report("asm", [error for path in paths for error in check(path, read(path))])


if __name__ == "__main__":
    sys.exit(main())
