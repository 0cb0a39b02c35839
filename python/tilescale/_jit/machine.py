# SPDX-License-Identifier: MIT
"""Tells the core library what only Python knows: where this environment keeps device headers, NVRTC and the solver."""

import functools
import importlib.util
import sysconfig
import warnings
from pathlib import Path

from .._ffi import function

_PACKAGE = Path(__file__).resolve().parents[1]


def _nvrtc_folders() -> list[str]:
    """Folders of the nvidia wheels and of torch that may hold libnvrtc. Nothing is imported."""
    site = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    for package in ("nvidia", "torch"):
        spec = importlib.util.find_spec(package)
        places = spec.submodule_search_locations if spec is not None else None
        site.update(Path(place).parent for place in places or ())
    found = []
    for base in sorted(site):
        found += sorted(base.glob("nvidia/*/lib"))
        found.append(base / "torch" / "lib")
    return [str(folder) for folder in found if folder.is_dir()]


def _solver() -> str | None:
    """libz3 of the z3-solver wheel, which the compiler loads at the first query that needs it."""
    spec = importlib.util.find_spec("z3")
    for place in (spec.submodule_search_locations if spec is not None else None) or ():
        library = Path(place) / "lib" / "libz3.so"
        if library.exists():
            return str(library)
    return None


@functools.cache
def configure() -> None:
    """Once per process, before the first compilation."""
    solver = _solver()
    if solver is not None:
        function("arith.set_solver")(solver)
    function("runtime.set_nvrtc_folders")(_nvrtc_folders())
    for headers in (_PACKAGE / "include" / "device", _PACKAGE.parents[1] / "device"):
        if headers.is_dir():
            function("runtime.set_include_folder")(str(headers))
            break
    function("runtime.set_warning_handler")(_warn)


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=2)
