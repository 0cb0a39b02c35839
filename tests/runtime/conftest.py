# SPDX-License-Identifier: MIT
"""The core's `tilescale.runtime.*` functions, without the package's front end."""

from pathlib import Path

import pytest
from tilescale import _ffi

ROOT = Path(__file__).resolve().parent.parent.parent


class Runtime:
    """`runtime.nvrtc_compile(...)` calls `tilescale.runtime.nvrtc_compile`."""

    def __getattr__(self, name):
        return _ffi.function("runtime." + name)


@pytest.fixture(scope="session")
def runtime():
    functions = Runtime()
    headers = ROOT / "device"
    if not headers.is_dir():  # a bundle has them in the package
        headers = Path(_ffi.__file__).parent / "include" / "device"
    functions.set_include_folder(str(headers))
    return functions
