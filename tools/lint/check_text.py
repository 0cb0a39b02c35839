#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What every text file must have or must not have.

Licence lines at the top of code, no unfinished marks, no path of one machine, no document cited that is not here.
"""

import re
import sys
from pathlib import Path

from sources import ROOT, files, read, report

CODE = (".h", ".cc", ".S", ".cuh", ".cu", ".py")
TEXT = (*CODE, ".md", ".toml", ".txt", ".cmake", ".json", ".ir", ".def", "dev", "run")
SPDX = "SPDX-License-Identifier: MIT"
# Written in pieces, or this file would find itself.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b")
CITED = re.compile(r"[\w./-]*\b([\w-]+\.md)\b( §)?")
# Folders of every Linux machine; a checkout elsewhere has a root of its own that no file names.
COMMON_ROOTS = (
    "usr",
    "tmp",
    "etc",
    "opt",
    "var",
    "lib",
    "bin",
    "dev",
    "proc",
    "sys",
    "home",
    "root",
)


def machine_paths() -> re.Pattern:
    patterns = [r"/home/\w+/", r"/Users/\w+/", "/ro" + "ot/", re.escape(str(ROOT)) + r"\b"]
    if ROOT.parts[1] not in COMMON_ROOTS:
        patterns.append(rf"(?<![\w.])/{re.escape(ROOT.parts[1])}/")
    home = str(Path.home())
    if home != "/":
        patterns.append(re.escape(home) + r"\b")
    return re.compile("|".join(patterns))


def check_cited(path: str, text: str, documents: frozenset[str]) -> list[str]:
    """Documents by the names of their files; ours have no numbered sections."""
    errors = []
    for number, line in enumerate(text.splitlines(), 1):
        for cited in CITED.finditer(line):
            if cited[1] not in documents:
                errors.append(f"{path}:{number}: no document {cited[1]} is here: {line.strip()}")
            elif cited[2]:
                errors.append(f"{path}:{number}: {cited[1]} has no numbered sections: {line.strip()}")
    return errors


def check(path: str, text: str, machine: re.Pattern) -> list[str]:
    errors = []
    head = "\n".join(text.splitlines()[:2])
    if path.endswith(CODE) and text.strip() and SPDX not in head:
        errors.append(f"{path}: the first line is not '{SPDX}'")
    for number, line in enumerate(text.splitlines(), 1):
        if path.endswith(CODE) and UNFINISHED.search(line):
            errors.append(f"{path}:{number}: unfinished: {line.strip()}")
        if machine.search(line):
            errors.append(f"{path}:{number}: a path of one machine: {line.strip()}")
    return errors


def main() -> int:
    machine = machine_paths()
    documents = frozenset(Path(f).name for f in files(".md"))
    errors = []
    for path in files(*TEXT):
        text = read(path)
        errors += check(path, text, machine)
        if not path.startswith(("tests/lint/", "tests/tools/")):  # they write documents
            errors += check_cited(path, text, documents)
    return report("text", errors)


if __name__ == "__main__":
    sys.exit(main())
