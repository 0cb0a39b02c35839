# SPDX-License-Identifier: MIT
"""NVRTC of the installed wheel through ctypes: kernel text to a cubin, with device/ as the only include folder."""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARCHS = ("sm_80", "sm_86", "sm_89", "sm_90a")


@cache
def library() -> ctypes.CDLL | None:
    """The library of the `nvidia` packages, or None where they are not installed."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations if spec else ():
        for path in sorted(Path(folder).glob("*/lib/libnvrtc.so.*")):
            if ".alt." in path.name:
                continue
            # NVRTC opens its builtins by bare name.
            for builtins in path.parent.glob("libnvrtc-builtins.so.*"):
                if ".alt." not in builtins.name:
                    ctypes.CDLL(str(builtins), ctypes.RTLD_GLOBAL)
            return ctypes.CDLL(str(path))
    return None


class CompileError(Exception):
    pass


def compile_cubin(text: str, arch: str) -> tuple[bytes, str]:
    """The cubin and the log; a text that does not compile is a CompileError with the log."""
    nvrtc = library()
    assert nvrtc is not None
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None)
    try:
        options = [b"--std=c++17", f"-arch={arch}".encode(), f"-I{ROOT / 'device'}".encode(), b"-default-device"]
        status = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        log = fetch(program, "ProgramLog").decode().strip("\0\n")
        if status != 0:
            raise CompileError(log)
        return fetch(program, "CUBIN"), log
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def fetch(program: ctypes.c_void_p, what: str) -> bytes:
    nvrtc = library()
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
    return buffer.raw
