# SPDX-License-Identifier: MIT
"""`import tilelang`, and `import tvm` as far as kernels use it, resolved to this package. Only on request:
`install()`, called by `tilescale run`. `import tilescale` touches neither name."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any

from .. import knobs

_ALIASES = ("tilelang", "tvm", "pynvshmem")


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in _ALIASES:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        found = _resolve(name)
        if found is None:
            raise ModuleNotFoundError(
                f"`{name}` is a part of tilelang's internals that tilescale does not offer", name=name
            )
        if getattr(found, "__spec__", None) is None:
            found.__spec__ = module.__spec__  # importlib.util.find_spec("tvm"), which torch calls, wants one
        sys.modules[name] = found  # one module object under both names


def _resolve(name: str) -> ModuleType | None:
    from . import modules

    top, _, rest = name.partition(".")
    if name in ("pynvshmem", "tilelang.distributed.pynvshmem"):
        return importlib.import_module("tilescale.distributed.pynvshmem")
    if top == "tvm":
        return modules.find("tvm." + rest if rest else "tvm")
    if not rest:
        return importlib.import_module("tilescale")
    if rest == "language":
        return importlib.import_module("tilescale.language")
    return modules.find(rest)


def install(force: bool = True) -> bool:
    """Makes `tilelang` mean this package; True if it does. `force=False` yields to an installed tilelang."""
    if knobs.simulated_gpus():
        from . import torch_on_sim

        torch_on_sim.install()
    if any(isinstance(f, _Finder) for f in sys.meta_path):
        return True
    if "tilelang" in sys.modules:
        raise RuntimeError("tilelang is already imported in this process; call tilescale.compat.install() before it")
    if not force and importlib.util.find_spec("tilelang") is not None:
        return False
    sys.meta_path.insert(0, _Finder())
    return True
