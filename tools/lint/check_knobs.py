#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The environment is read only where knobs are declared, and no declared knob is dead."""

import re
import sys

from sources import files, read, report

READ = re.compile(r"\b(?:std::)?(?:secure_)?getenv\s*\(|\bos\.(?:environ|getenv)\b")
KNOB = re.compile(r"^TS_KNOB\((\w+),", re.M)
ALLOWED = ("support/knobs.cc", "python/tilescale/knobs.py")
FOLDERS = ("support/", "compiler/", "runtime/", "sim/", "device/", "python/")


def check_reads(path: str, text: str) -> list[str]:
    if path in ALLOWED:
        return []
    return [
        f"{path}:{number}: declare a knob in support/knobs.def instead"
        for number, line in enumerate(text.splitlines(), 1)
        if READ.search(line)
    ]


def check_used(declarations: str, texts: list[str]) -> list[str]:
    used = set(re.findall(r"\bknobs::(\w+)\(", "\n".join(texts)))
    return [
        f"support/knobs.def: nothing reads the knob {name}" for name in KNOB.findall(declarations) if name not in used
    ]


def main() -> int:
    texts = {f: read(f) for f in files(".h", ".cc", ".cuh", ".py", under=FOLDERS)}
    errors = [error for path, text in texts.items() for error in check_reads(path, text)]
    errors += check_used(read("support/knobs.def"), list(texts.values()))
    return report("knobs", errors)


if __name__ == "__main__":
    sys.exit(main())
