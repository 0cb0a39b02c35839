# SPDX-License-Identifier: MIT
"""`tilescale run [--target T] [--ranks N] script.py …`, `tilescale run … -m module …`: runs a program in which
`tilelang` means this package; with `--ranks` once a rank, or once if it starts its ranks itself."""

import argparse
import runpy
import sys
from pathlib import Path
from typing import NoReturn

from . import compat, knobs
from ._settings import VERSION

_USAGE = """\
usage: tilescale run [--target sim|cuda] [--ranks N] [--once] [-m module | script.py] arguments…
       tilescale --version
       tilescale --help"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.exit(f"tilescale run: {message}\n{_USAGE}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tilescale run", usage=_USAGE.split("\n")[0].removeprefix("usage: "), description=__doc__)
    parser.add_argument("--target", help="what `auto` means to the program: sim, cuda, or 'sim sm_80'")
    parser.add_argument("--ranks", type=int, default=0, help="run the program once a rank, or give it so many GPUs")
    parser.add_argument("--once", action="store_true", help="the program starts its ranks itself")
    parser.add_argument("-m", dest="module", action="store_true", help="the program is a module")
    parser.add_argument("program")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


def _run(program: str, module: bool, arguments: list[str]) -> None:
    """In this process."""
    compat.install()
    sys.path.append(str(Path(__file__).resolve().parent / "_alias"))  # multiprocessing's children get this list
    sys.argv = [program, *arguments]
    if module:
        sys.path.insert(0, "")
        runpy.run_module(program, run_name="__main__", alter_sys=True)
        return
    sys.path.insert(0, str(Path(program).resolve().parent))
    runpy.run_path(program, run_name="__main__")


def main(argv: list[str] | None = None) -> None:
    given = list(sys.argv[1:] if argv is None else argv)
    if given in (["--help"], ["-h"]):
        return print(_USAGE)
    if given == ["--version"]:
        return print(f"tilescale {VERSION}")
    if given and given[0] != "run":
        sys.exit(f"tilescale: unknown command {given[0]!r}; the one there is: run\n{_USAGE}")
    if len(given) < 2:
        sys.exit(_USAGE)
    options = _parser().parse_args(given[1:])
    if not options.module and not Path(options.program).exists():
        sys.exit(f"tilescale run: no such file: {options.program}")
    if options.ranks < 0:
        sys.exit(f"tilescale run: --ranks must be positive, got {options.ranks}")
    package = Path(__file__).resolve().parent
    # Child processes (multiprocessing, torchrun, pytest -n) find the alias packages and this one by path.
    knobs.prepend_python_path(str(package / "_alias"), str(package.parent))
    if options.target:
        knobs.set_variable("TILESCALE_TARGET", options.target)
    from .targets import Target

    on_sim = str(Target(None)) == "sim"
    if on_sim:
        knobs.set_variable("TILESCALE_SIM_GPUS", str(max(1, options.ranks)))
    knobs.set_default("TILELANG_USE_DISTRIBUTED", "1")
    from .distributed import launcher

    alone = options.once or launcher.starts_its_ranks(options.program, options.module)
    if not options.ranks and not alone:
        return _run(options.program, options.module, options.arguments)
    with launcher.machine() if on_sim else launcher.no_machine():
        if alone:
            return _run(options.program, options.module, options.arguments)
        command = [sys.executable, "-m", "tilescale", "run", *(["-m"] if options.module else []), options.program]
        sys.exit(launcher.run_ranks([*command, *options.arguments], options.ranks))
