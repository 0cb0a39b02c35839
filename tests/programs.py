# SPDX-License-Identifier: MIT
"""The example kernels, as their files call them: what round-trip tests and mutants run over.

launches("gemm")        # each kernel that examples/gemm.py launched, with the arguments it got
python tests/programs.py FOLDER     # the traced text of every program, one file each
"""

import contextlib
import copy
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"

# Name -> module, arguments and keywords of its `run`. Small, ragged, and with more iterations than stages.
PROGRAMS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "elementwise": ("elementwise", (37, 101), {}),
    "gemm": ("gemm", (200, 136, 136), {}),
    "softmax": ("softmax", (6, 257), {}),
}


@dataclass
class Launch:
    kernel: Any  # JITKernel
    args: tuple[Any, ...]  # copies from before the call


def copied(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.clone() if hasattr(x, "clone") else copy.copy(x) for x in args)


@contextlib.contextmanager
def recorded():
    """Calls of kernels inside are appended to the list that this gives."""
    from tilescale._jit.kernel import JITKernel

    calls: list[Launch] = []
    original = JITKernel.__call__

    def record(self, *args, **kwargs):
        calls.append(Launch(self, copied(args)))
        return original(self, *args, **kwargs)

    JITKernel.__call__ = record
    try:
        yield calls
    finally:
        JITKernel.__call__ = original


def load(name: str):
    """The module of an example, in a process where tilelang is an alias of this package."""
    from tilescale import compat

    compat.install()
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def launches(name: str) -> list[Launch]:
    """What the program launched, run once."""
    module, args, keywords = PROGRAMS[name]
    with recorded() as calls:
        load(module).run(*args, **keywords)
    return calls


def relative(text: str) -> str:
    """Text without the folder of this checkout."""
    return text.replace(f"{ROOT}/", "")


def main() -> None:
    from tilescale._ffi import function

    folder = Path(sys.argv[1])
    for name in PROGRAMS:
        for index, launch in enumerate(launches(name)):
            text = str(function("ir.print")(launch.kernel.prim_func.func, True))
            (folder / f"{name}_{index}.ir").write_text(relative(text))


if __name__ == "__main__":
    main()
