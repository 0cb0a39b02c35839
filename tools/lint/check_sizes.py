#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fails on a file or a function that is too long; prints the lines of each folder."""

import ast
import fnmatch
import re
import sys

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

from sources import files, read, report

CODE = (".h", ".cc", ".S", ".cuh", ".cu", ".py")
# In formatted C++ a function begins with a line that ends in '{' at the indentation of its closing
# brace. What opens a scope of declarations is no function.
SCOPE = re.compile(r"^\s*(namespace|class|struct|enum|union|extern|template <.*> (class|struct))\b|= \{$")


def python_functions(text: str) -> list[tuple[str, int, int]]:
    """Name, line and length of each function."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    return [(f.name, f.lineno, (f.end_lineno or f.lineno) - f.lineno + 1) for f in found]


def cpp_functions(text: str) -> list[tuple[str, int, int]]:
    found = []
    lines = text.splitlines()
    for indent in ("", "  "):
        begin = None
        for number, line in enumerate(lines, 1):
            at_indent = line.startswith(indent) and not line[len(indent) :].startswith((" ", "#"))
            if not at_indent:
                continue
            if line.startswith(indent + "}"):
                if begin is not None:
                    name = lines[begin - 1].strip().split("(")[0].split(" ")[-1]
                    found.append((name, begin, number - begin + 1))
                begin = None
            elif line.endswith("{"):
                begin = None if SCOPE.search(line) else number
    return found


def oversized_functions(path: str, text: str, limit: int) -> list[str]:
    functions = python_functions(text) if path.endswith(".py") else cpp_functions(text)
    return [
        f"{path}:{line}: {name} has {length} lines, the limit is {limit}; split it by concept"
        for name, line, length in functions
        if length > limit
    ]


def main() -> int:
    size = tomllib.loads(read("layers.toml"))["size"]
    errors: list[str] = []
    totals: dict[str, int] = {}
    for path in files(*CODE):
        text = read(path)
        lines = text.count("\n")
        folder = path.split("/")[0] if "/" in path else "."
        totals[folder] = totals.get(folder, 0) + lines
        if any(fnmatch.fnmatch(path, pattern) for pattern in size["exempt"]):
            continue
        if lines > size["max_lines"]:
            errors.append(f"{path}: {lines} lines, the limit is {size['max_lines']}; split it by concept")
        errors += oversized_functions(path, text, size["max_function_lines"])
    print("lines:", ", ".join(f"{folder} {n}" for folder, n in sorted(totals.items())))
    return report("sizes", errors)


if __name__ == "__main__":
    sys.exit(main())
