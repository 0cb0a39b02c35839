#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every folder under compiler/ops carries all facets of its op: code, contract, lowering, tests."""

import re
import sys

from sources import files, read, report

OPS = "compiler/ops/"
TESTS = ("tests/golden/ops/{}.ir", "tests/errors/ops/test_{}.py", "tests/numerics/ops/test_{}.py")


def check(paths: set[str], text_of) -> list[str]:
    errors = []
    ops = {p[len(OPS) :].split("/")[0] for p in paths if p.startswith(OPS) and p.count("/") > 2}
    for op in sorted(ops - {"common"}):
        folder = f"{OPS}{op}/"
        errors += [f"{folder}: no {op}{suffix}" for suffix in (".cc", ".md") if f"{folder}{op}{suffix}" not in paths]
        lowered = any(re.fullmatch(re.escape(folder) + r"lower_\w+\.cc", p) for p in paths)
        main = f"{folder}{op}.cc"
        if not lowered and main in paths and ".lowerings" not in text_of(main):
            errors.append(f"{folder}: no lower_*.cc and no lowering in {op}.cc")
        errors += [f"{test.format(op)} is missing for op '{op}'" for test in TESTS if test.format(op) not in paths]
    return errors


def main() -> int:
    return report("ops", check(set(files()), read))


if __name__ == "__main__":
    sys.exit(main())
