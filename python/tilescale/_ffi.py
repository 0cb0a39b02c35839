# SPDX-License-Identifier: MIT
"""The one door to the core library: loads it and hands out its functions.

Importing this module loads libtvm_ffi and libtilescale. Nothing that `import tilescale` alone needs imports it.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

from . import errors, knobs, sim


def _import_tvm_ffi() -> Any:
    """tvm_ffi imports torch and numpy when it can. Programs that use neither should not wait for them: they are
    hidden while it loads, unless the program has imported them already. Tensors of both still cross by DLPack."""
    if "tvm_ffi" in sys.modules:
        return sys.modules["tvm_ffi"]
    hidden = [name for name in ("torch", "numpy") if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("tvm_ffi")
    finally:
        for name in hidden:
            del sys.modules[name]


tvm_ffi = _import_tvm_ffi()
Object = tvm_ffi.Object
register_object = tvm_ffi.register_object
_PYTHON_ERRORS = (NotImplementedError, ZeroDivisionError, NameError, OSError, OverflowError)


def _library_file() -> Path:
    """The core library: named by the knob, inside the package (an editable install has two folders), or in the
    source tree's build."""
    named = knobs.library_path()
    if named:
        return Path(named)
    here = Path(__file__).resolve().parent
    inside = [Path(folder) / "lib" for folder in sys.modules["tilescale"].__path__]
    for folder in (*inside, here.parents[1] / "build" / "dev"):
        if (folder / "libtilescale.so").exists():
            return folder / "libtilescale.so"
    raise ImportError(
        f"libtilescale.so is not in {here / 'lib'}: build the project (`./dev build`), install the wheel, or name "
        "the library in TILESCALE_LIBRARY"
    )


def _load() -> Any:
    for error in (*errors.REGISTERED, *sim.REGISTERED, *_PYTHON_ERRORS):
        tvm_ffi.register_error(error.__name__, error)
    return tvm_ffi.load_module(str(_library_file()))


library = _load()


def function(name: str, release_gil: bool = True) -> Any:
    """The global function `tilescale.<name>`."""
    found = tvm_ffi.get_global_func("tilescale." + name)
    found.release_gil = release_gil
    return found


def reflected(cls: Any, name: str) -> Any:
    """The getter of a reflected field or the function of a reflected method, for a class that gives the name another
    meaning."""
    info = cls.__tvm_ffi_type_info__
    for field in info.fields:
        if field.name == name:
            return field.getter
    return next(method.func for method in info.methods if method.name == name)


class Builder:
    """The functions of `tilescale.builder.*`, one attribute each, looked up once."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = function("builder." + name, release_gil=False)
        setattr(self, name, found)
        return found


builder = Builder()
