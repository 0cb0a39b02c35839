# SPDX-License-Identifier: MIT
"""The example kernels, as their files call them: what round-trip tests and mutants run over.

launches("gemm")        # each kernel that examples/gemm.py launched, with the arguments it got
python tests/programs.py FOLDER     # the traced text of every program, one file each
"""

import contextlib
import copy
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"

# Name -> module and a call of it. Small, ragged, and with more iterations than stages.
PROGRAMS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "elementwise": ("elementwise", lambda m: m.run(37, 101)),
    "tile_copy": ("tile_copy", lambda m: m.run(5, 1000)),
    "gemm": ("gemm", lambda m: m.run(200, 136, 136)),
    "gemm_transposed": ("gemm", lambda m: m.run(100, 72, 104, 64, 64, 32, True, True)),
    "gemm_dynamic": ("gemm_dynamic", lambda m: m.run(m.matmul_dynamic(), 96, 136, 72)),
    "gemm_splitk": ("gemm_splitk", lambda m: m.run(100, 72, 296, 3)),
    "gemm_two_roles": ("gemm_two_roles", lambda m: m.run(100, 72, 168, block_M=64, block_N=64, workers=2)),
    "gemm_fp8": ("gemm_fp8", lambda m: m.run(100, 136, 336)),
    "gemm_int8": ("gemm_int8", lambda m: m.run(100, 136, 336)),
    "softmax": ("softmax", lambda m: m.run(6, 257)),
    "rms_norm": ("rms_norm", lambda m: m.run(5, 257, block_M=2, threads=96)),
    "layer_norm": ("layer_norm", lambda m: m.run(20, 257, threads=64)),
    "cumsum": ("cumsum", lambda m: m.run(5, 300, block_N=100, threads=96)),
    "flash_attention": ("flash_attention", lambda m: m.run(1, 1, 70, 200, 64, True)),
    # Of several ranks: the call gives how wrong the result is.
    "put_signal": ("distributed/put_signal", lambda m: m.run(2, "sim", 72, 40, 2)[0]),
    "simple_shift": ("distributed/simple_shift", lambda m: m.run(2, "sim", 40, 24)),
    # Moves by bulk copies; their device function has faults by hand.
    "bulk_copies": ("distributed/put_get", lambda m: m.run(2, "sim", 9001, 3, 8192, ("block",))),
    "allgather": ("distributed/allgather", lambda m: m.run(2, "sim", 20, 24, 2)),
}


@dataclass
class Launch:
    kernel: Any  # JITKernel
    args: tuple[Any, ...]  # copies from before the call
    # Of several ranks: the program, which must be run again as a whole to run its kernel again.
    program: str | None = None

    def lowered(self) -> Any:
        """The program behind the last pass."""
        from tilescale._ffi import builder, function

        func = self.kernel.prim_func.func
        if self.kernel.out_idx:
            func = builder.set_outputs(func, self.kernel.out_idx)
        return function("driver.lowered")(func, self.kernel.target.text, self.kernel.pass_configs)


def copied(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.clone() if hasattr(x, "clone") else copy.copy(x) for x in args)


@contextlib.contextmanager
def calling(instead: Callable[..., Any]):
    """Calls of kernels inside, those of each rank too, are calls of `instead`."""
    from tilescale._jit.kernel import JITKernel

    kept = JITKernel.__call__, JITKernel.entry_without_results
    JITKernel.__call__, JITKernel.entry_without_results = instead, None
    try:
        yield
    finally:
        JITKernel.__call__, JITKernel.entry_without_results = kept


@contextlib.contextmanager
def recorded():
    """Calls of kernels inside are appended to the list that this gives."""
    from tilescale._jit.kernel import JITKernel

    calls: list[Launch] = []
    original = JITKernel.__call__

    def record(self, *args, **kwargs):
        calls.append(Launch(self, copied(args)))
        return original(self, *args, **kwargs)

    with calling(record):
        yield calls


def load(name: str):
    """The module of an example, in a process where tilelang is an alias of this package."""
    from tilescale import compat

    compat.install()
    file = EXAMPLES / f"{name}.py"
    if str(file.parent) not in sys.path:  # as a script has it
        sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(f"example_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def launches(name: str) -> list[Launch]:
    """What the program launched, run once."""
    module, call = PROGRAMS[name]
    with recorded() as calls:
        call(load(module))
    if not module.startswith("distributed/"):
        return calls
    # Kernels that keep a rank busy or copy a result take part, but none is made wrong.
    kernels = {c.kernel.prim_func.__name__: c.kernel for c in calls}
    return [Launch(kernel, (), name) for title, kernel in kernels.items() if title not in ("idle", "keep")]


def replay(name: str, kernel: Any, run: Callable[..., Any]) -> float:
    """The error of a program of several ranks in which `run` takes the place of a kernel."""
    from tilescale._jit.kernel import JITKernel

    module, call = PROGRAMS[name]
    original = JITKernel.__call__
    replaced = kernel.prim_func.__name__

    def replacement(self, *args):
        return run(*args) if self.prim_func.__name__ == replaced else original(self, *args)

    with calling(replacement):
        return call(load(module))


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
