#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every folder under compiler/ops carries all facets of its op: code, contract, lowering, tests. Passes and printers
ask an op's interface and name none."""

import re
import sys

from sources import files, read, report

OPS = "compiler/ops/"
# A row's syntax, written out or by the file's own `Row("name", …)`.
REGISTERED = re.compile(r"(?:\.syntax = \{\.name = |\bRow\()\"(\w+)\"")
LITERAL = re.compile(r'"(\w+)"')
TESTS = ("tests/golden/ops/{}.ir", "tests/errors/ops/test_{}.py", "tests/numerics/ops/test_{}.py")


def has_lowerings(text: str, paths: set[str], text_of) -> bool:
    """In the op's file, or in the function of common/ that makes several ops and is called there."""
    makers = re.findall(r"\bops::(\w+Ops)\(", text)
    shared = [text_of(p) for p in paths if p.startswith(f"{OPS}common/") and p.endswith(".cc")] if makers else []
    return ".lowerings" in text or any(f" {m}(" in t and ".lowerings" in t for m in makers for t in shared)


def check(paths: set[str], text_of) -> list[str]:
    errors = []
    ops = {p[len(OPS) :].split("/")[0] for p in paths if p.startswith(OPS) and p.count("/") > 2}
    for op in sorted(ops - {"common"}):
        folder = f"{OPS}{op}/"
        errors += [f"{folder}: no {op}{suffix}" for suffix in (".cc", ".md") if f"{folder}{op}{suffix}" not in paths]
        lowered = any(re.fullmatch(re.escape(folder) + r"lower_\w+\.cc", p) for p in paths)
        main = f"{folder}{op}.cc"
        if not lowered and main in paths and not has_lowerings(text_of(main), paths, text_of):
            errors.append(f"{folder}: no lower_*.cc and no lowering in {op}.cc")
        errors += [f"{test.format(op)} is missing for op '{op}'" for test in TESTS if test.format(op) not in paths]
    return errors


def names(texts: list[str]) -> set[str]:
    """The names under which ops are registered."""
    return {name for text in texts for name in REGISTERED.findall(text)}


def check_named(path: str, text: str, ops: set[str]) -> list[str]:
    """Mentions of an op in code that must work for every op."""
    return [
        f"{path}:{number}: names the op '{name}'; ask its interface (compiler/ops/tile_op.h)"
        for number, line in enumerate(text.splitlines(), 1)
        for name in LITERAL.findall(line.split("//")[0])
        if name in ops
    ]


def main() -> int:
    errors = check(set(files()), read)
    ops = names([read(path) for path in files(".cc", under=(OPS,))])
    for path in files(".cc", ".h", under=("compiler/passes/", "compiler/codegen/", "compiler/analysis/")):
        errors += check_named(path, read(path), ops)
    return report("ops", errors)


if __name__ == "__main__":
    sys.exit(main())
