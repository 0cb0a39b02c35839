#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes python/tilescale/language/__init__.pyi from the table of ops, the dialect and the list of dtypes.

Usage: stubs.py [--check]. Reads source text only: no library needs to be built. `--check` fails if the file is stale.
"""

import ast
import builtins
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LANGUAGE = ROOT / "python" / "tilescale" / "language"
TARGET = LANGUAGE / "__init__.pyi"
HEAD = """# SPDX-License-Identifier: MIT
# Written by tools/stubs.py from table.txt and dialect.py; do not edit.
# ruff: noqa
import builtins as _builtins
from typing import Any, TypeAlias

from .buffers import Buffer as _Buffer
from .buffers import Region
from .dtypes import dtype as dtype
from .expr import Operators
from .expr import Var as _Var
"""
ALIASES = """
Value: TypeAlias = Operators | _builtins.int | _builtins.float | _builtins.bool
BufferLike: TypeAlias = _Buffer | Region | Operators
Address: TypeAlias = _Buffer | Region | Operators | _builtins.str
Barrier: TypeAlias = _Buffer | Operators
DType: TypeAlias = dtype | _builtins.str | type[Any]
"""
MARKS = {
    "r": "BufferLike", "w": "BufferLike", "m": "BufferLike", "a": "Address | Value", "b": "Barrier",
    "e": "Value", "f": "Value", "i": "Value", "v": "Value | BufferLike | _builtins.str", "t": "DType",
    "k": "_builtins.dict[Any, Any]", "": "Any",
}  # fmt: skip
BUILTINS = {name for name in dir(builtins) if name.islower()} - {"dtype"}


def load_table():
    """language/table.py without the package around it."""
    sys.path.insert(0, str(LANGUAGE))
    try:
        import table
    finally:
        sys.path.pop(0)
    return table


class Qualify(ast.NodeTransformer):
    """Names that the dialect shadows are taken from `builtins`."""

    def visit_Name(self, node):
        if node.id in BUILTINS:
            return ast.Attribute(ast.Name("_builtins", ast.Load()), node.id, ast.Load())
        return node


def row_stub(row) -> str:
    def param(name: str) -> str:
        default = f" = {row.defaults[name]!r}" if name in row.defaults else ""
        optional = " | None" if default == " = None" and MARKS[row.marks[name]] != "Any" else ""
        return f"{name}: {MARKS[row.marks[name]]}{optional}{default}"

    params = [param(n) for n in row.positional]
    if row.rest is not None:
        params.append(f"*{row.rest}: {MARKS[row.marks[row.rest]]}")
    elif row.keyword_only:
        params.append("*")
    params += [param(n) for n in row.keyword_only]
    returns = "None" if row.kind in ("tile", "note") or row.result == "void" else "Any"
    return f"def {row.name}({', '.join(params)}) -> {returns}: ..."


class Dialect:
    """The entries of NAMES in dialect.py, found in the source."""

    def __init__(self) -> None:
        self.trees: dict[str, dict[str, ast.stmt]] = {}
        self.imports: dict[str, tuple[str, str]] = {}
        tree = ast.parse((LANGUAGE / "dialect.py").read_text())
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
                for alias in node.names:
                    self.imports[alias.asname or alias.name] = (node.module, alias.name)
            if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "NAMES":
                assert isinstance(node.value, ast.Dict)
                keys = [ast.literal_eval(k) for k in node.value.keys if k is not None]
                self.names = dict(zip(keys, node.value.values, strict=True))

    def find(self, module: str, name: str) -> tuple[str, ast.stmt]:
        """The definition of a name, followed through one import."""
        if module not in self.trees:
            body = ast.parse((LANGUAGE / f"{module}.py").read_text()).body
            named: dict[str, ast.stmt] = {}
            for node in body:
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    named[node.name] = node
                elif isinstance(node, ast.Assign):
                    named[getattr(node.targets[0], "id", "")] = node
            self.trees[module] = named
        if name in self.trees[module]:
            return module, self.trees[module][name]
        if module == "dialect" and name in self.imports:
            return self.find(*self.imports[name])
        imported = ast.parse((LANGUAGE / f"{module}.py").read_text())
        for node in imported.body:
            if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return self.find(node.module, alias.name)
        raise KeyError(f"{module}.{name}")

    def place(self, value: ast.expr) -> tuple[str, str]:
        """Module and name that an entry refers to."""
        if isinstance(value, ast.Attribute):
            assert isinstance(value.value, ast.Name)
            return value.value.id, value.attr
        assert isinstance(value, ast.Name), ast.dump(value)
        return "dialect", value.id

    def stub(self, name: str) -> tuple[str, str]:
        """An import line, or "", and the declaration of one name."""
        value = self.names[name]
        if isinstance(value, ast.Call):
            module, made = self.place(value.func)
            if made == "_of_kernel":
                return "", f"def {name}(dim: _builtins.int = 0) -> Any: ..."
            module, node = self.find(module, made)
            assert isinstance(node, ast.ClassDef)
            return f"from .{module} import {node.name} as _{node.name.lstrip('_')}", f"{name}: _{node.name.lstrip('_')}"
        module, node = self.find(*self.place(value))
        if isinstance(node, ast.ClassDef):
            return f"from .{module} import {node.name} as {name}", ""
        if isinstance(node, ast.Assign):
            return "", f"{name}: Any"
        assert isinstance(node, ast.FunctionDef)
        arguments = ast.unparse(Qualify().visit(node.args))
        return "", f"def {name}({arguments}) -> Any: ..."


def render() -> str:
    table = load_table()
    dialect = Dialect()
    imports, lines = [], []
    for name in sorted(dialect.names):
        if name == "dtype":
            continue
        line, declaration = dialect.stub(name)
        if line and line not in imports:
            imports.append(line)
        if declaration:
            lines.append(declaration)
    lines += [
        row_stub(table.Row(line)) for name, line in sorted(table.read_rows().items()) if name not in dialect.names
    ]
    names = ast.parse((LANGUAGE / "dialect.py").read_text())
    dtypes = next(
        ast.literal_eval(n.value)
        for n in names.body
        if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "_COMMON_DTYPES"
    )
    lines += [f"{name}: dtype" for name in dtypes]
    tail = "\ndef __getattr__(name: _builtins.str) -> Any: ...  # dtypes with lanes, and the like\n"
    return formatted(HEAD + "\n".join(sorted(imports)) + "\n" + ALIASES + "\n" + "\n".join(lines) + "\n" + tail)


def formatted(text: str) -> str:
    """As the project's formatter leaves it."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def main() -> int:
    text = render()
    if "--check" in sys.argv[1:]:
        if not TARGET.exists() or TARGET.read_text() != text:
            print(f"{TARGET.relative_to(ROOT)} is stale: run tools/stubs.py")
            return 1
        return 0
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
