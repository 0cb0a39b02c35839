# SPDX-License-Identifier: MIT
"""The type stub of the language is what the table and the dialect say."""

import ast
import subprocess
import sys
from pathlib import Path

import tilescale.language as T

ROOT = Path(__file__).resolve().parents[2]


def test_stub_is_current():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "stubs.py"), "--check"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


def test_stub_names_everything():
    tree = ast.parse((ROOT / "python" / "tilescale" / "language" / "__init__.pyi").read_text())
    declared = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            declared.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            declared.add(node.target.id)
        elif isinstance(node, ast.ImportFrom):
            declared |= {a.asname or a.name for a in node.names}
    assert set(dir(T)) <= declared
    for name in dir(T):
        assert getattr(T, name) is not None
