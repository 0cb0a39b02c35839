# SPDX-License-Identifier: MIT
"""`tilescale run script.py …`, `tilescale run -m module …`: runs a program in which `tilelang` means this package."""

import os
import runpy
import sys
from pathlib import Path

from . import compat, knobs

_USAGE = "usage: tilescale run [-m module | script.py] arguments…"


def main(argv: list[str] | None = None) -> None:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] != ["run"] or len(arguments) < 2 or arguments[1:] == ["-m"]:
        sys.exit(_USAGE)
    compat.install()
    package = Path(__file__).resolve().parent
    # Child processes (multiprocessing, torchrun, pytest -n) find the alias packages and this one by path.
    knobs.prepend_python_path(str(package / "_alias"), str(package.parent))
    if arguments[1] == "-m":
        sys.argv = arguments[2:]
        sys.path.insert(0, "")
        runpy.run_module(arguments[2], run_name="__main__", alter_sys=True)
        return
    script = arguments[1]
    if not os.path.exists(script):
        sys.exit(f"tilescale run: no such file: {script}")
    sys.argv = arguments[1:]
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    runpy.run_path(script, run_name="__main__")
