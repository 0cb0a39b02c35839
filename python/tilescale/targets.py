# SPDX-License-Identifier: MIT
"""What to compile for: `"auto"`, `"cuda"`, `"sim"`, `"cuda sm_90a"`, `{"kind": "sim", "arch": "sm_80"}`."""

import functools
import json
import re
from typing import Any

from . import knobs

KINDS = ("cuda", "sim")
_LATER = ("cutedsl", "cpu", "c", "llvm", "hip", "metal", "webgpu")
DEFAULT_SIM_ARCH = "sm_90a"
H100_SMS = 132
_ARCH = re.compile(r"sm_\d+[af]?")
_KIND_AND_ARCH = re.compile(r"((?P<kind>\w+)[ :])?(?P<arch>sm_\w+)")


class _Kind(str):
    @property
    def name(self) -> str:
        return str(self)


class Target:
    """A kind and an architecture. `Target("cuda")` takes the architecture of the GPU that is there."""

    def __init__(self, target: Any = "auto", host: Any = None) -> None:
        self.kind: _Kind
        self.arch: str
        if isinstance(target, Target):
            self.kind, self.arch = target.kind, target.arch
        else:
            kind, self.arch = _resolve(target)
            self.kind = _Kind(kind)

    @property
    def attrs(self) -> dict[str, str]:
        return {"kind": str(self.kind), "arch": self.arch}

    @property
    def text(self) -> str:
        """What the compiler is told."""
        return f"{self.kind} {self.arch}"

    @staticmethod
    def current(allow_none: bool = True) -> "Target | None":
        return _entered[-1] if _entered else None

    @staticmethod
    def is_entered() -> bool:
        """Is a `with Target(...)` active?"""
        return bool(_entered)

    def __enter__(self) -> "Target":
        _entered.append(self)
        return self

    def __exit__(self, *_: Any) -> None:
        _entered.pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Target) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return str(self.kind)

    def __repr__(self) -> str:
        return f"Target({self.text!r})"


_entered: list[Target] = []


@functools.cache
def _gpu() -> Any:
    """Properties of the first GPU, or None where there is none."""
    from ._ffi import function  # the library is loaded only where a target is asked for

    if not function("runtime.cuda_device_count")():
        return None
    return function("runtime.device_properties")("cuda", "", 0)


def gpu_arch() -> str | None:
    """The architecture of the first GPU, or None where there is none."""
    gpu = _gpu()
    return None if gpu is None else str(gpu["arch"])


def multiprocessor_count() -> int:
    """Multiprocessors of the GPU that is there; of an H100 where there is none."""
    gpu = _gpu()
    return H100_SMS if gpu is None else int(gpu["num_sms"])


def _resolve(target: Any) -> tuple[str, str]:
    if target is None or (isinstance(target, str) and target == "auto"):
        if _entered:
            return str(_entered[-1].kind), _entered[-1].arch
        named = knobs.target()
        if named is None or named == "auto":
            arch = gpu_arch()
            return ("cuda", arch) if arch else ("sim", DEFAULT_SIM_ARCH)
        target = json.loads(named) if named.startswith("{") else named
    named_arch = _KIND_AND_ARCH.fullmatch(target) if isinstance(target, str) else None
    if named_arch:
        target = {"kind": named_arch["kind"] or "cuda", "arch": named_arch["arch"]}
    if isinstance(target, str):
        assert " " not in target, (
            f"Target {target} is not supported. Pass target options as a dict when the target needs attributes."
        )
        return _of_kind(target, None)
    if isinstance(target, dict):
        kind, arch = target.get("kind"), target.get("arch")
        valid = isinstance(kind, str) and (arch is None or (isinstance(arch, str) and _ARCH.fullmatch(arch)))
        code = target.get("code")
        assert valid and (code is None or isinstance(code, (list, tuple))), (
            f"Target {target} is not supported. Pass a valid target config dict."
        )
        return _of_kind(str(kind), arch)
    raise TypeError(f"target must be a string, a dict or a Target, got {type(target).__name__} {target!r:.60}")


def _of_kind(kind: str, arch: str | None) -> tuple[str, str]:
    if kind in _LATER:
        raise NotImplementedError(f"target {kind!r} is not supported yet; use one of {', '.join(KINDS)}")
    if kind not in KINDS:
        raise ValueError(f"unknown target {kind!r}; use 'auto' or one of {', '.join(KINDS)}")
    if arch is not None:
        return kind, arch
    if kind == "sim":
        return kind, DEFAULT_SIM_ARCH
    found = gpu_arch()
    if found is None:
        raise ValueError(
            "target 'cuda' without an architecture needs a GPU, and none was found; name one, as in "
            "{'kind': 'cuda', 'arch': 'sm_90a'}, or use target 'sim'"
        )
    return kind, found


def determine_target(target: Any = "auto", return_object: bool = False) -> Any:
    """The target that `target` means here: a Target, or its kind (a dict where the caller gave one)."""
    made = Target(target)
    if return_object:
        return made
    return dict(target, **made.attrs) if isinstance(target, dict) else str(made.kind)
