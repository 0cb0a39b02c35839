# SPDX-License-Identifier: MIT
"""What must hold of a program: it is traced, lowered and verified, or refused at its line; its text compiles; its
results on the simulator are the oracle's."""

from __future__ import annotations

import os
import re
import traceback
from typing import Any

from .program import Argument, Program

# What a user may be told. An AttributeError is Python's own about an object of ours, and names it.
USER_ERRORS = (TypeError, ValueError, IndexError, AssertionError, NotImplementedError, NameError, SyntaxError)
_PLACE = re.compile(r"--> [^\n]*?:(\d+)")


class Failure(Exception):
    """A property that does not hold. `kind` is one of KINDS."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind, self.text = kind, text


class Refused(Exception):
    """A program is refused by an error that it allows for."""


KINDS = ("internal error", "refused", "accepted", "bad error", "text", "simulator", "wrong result", "differs", "crash")


def trace(p: Program) -> Any:
    import tilescale.language as T

    names: dict[str, Any] = {"T": T}
    T.exec_source(p.text, names, f"<fuzz {p.seed}>")
    return names[p.name]


def lower(p: Program, func: Any, index: int = 0) -> bytes:
    from tilescale._ffi import function
    from tilescale.language.report import after_trace

    try:
        return bytes(function("driver.compile")(func.func, f"cuda {p.arch}", {}, index))
    except Exception as error:
        raise after_trace(error) from None


def lines_of(error: BaseException) -> list[int]:
    """The program's lines that an error shows."""
    text = "\n".join([str(error), *getattr(error, "__notes__", [])])
    found = [int(n) for n in _PLACE.findall(text)]
    if isinstance(error, SyntaxError) and error.lineno:
        found.append(error.lineno)
    return found


def is_internal(error: BaseException) -> bool:
    from tilescale.errors import InternalError

    # Python's own text is about an object of ours that the user never sees.
    if isinstance(error, AttributeError):
        return " object has no attribute " in str(error)
    return isinstance(error, InternalError) or not isinstance(error, USER_ERRORS)


def describe(error: BaseException) -> str:
    notes = "\n".join(getattr(error, "__notes__", []))
    tail = "".join(traceback.format_tb(error.__traceback__)[-2:]) if is_internal(error) else ""
    return f"{type(error).__name__}: {error}\n{notes}\n{tail}".rstrip()


def check_illegal(p: Program) -> str:
    """The error that the program is refused with."""
    try:
        lower(p, trace(p))
    except Exception as error:
        if is_internal(error):
            raise Failure("internal error", describe(error)) from None
        lines = lines_of(error)
        # A loop or branch may stand for the statement that is alone in it.
        allowed = {p.error_line, p.error_line - 1}
        if not lines or (p.error_line and not allowed & set(lines)):
            wanted = f"line {p.error_line}" if p.error_line else "a line"
            raise Failure("bad error", f"must name {wanted}, names {lines}\n{describe(error)}") from None
        return str(error)
    raise Failure("accepted", f"an illegal program ({p.illegal}) was compiled")


def check_lowers(p: Program) -> tuple[Any, bytes, bytes]:
    """The traced function and the artifacts of its two variants."""
    try:
        func = trace(p)
        return func, lower(p, func), lower(p, func, 1)
    except Exception as error:
        kind = "internal error" if is_internal(error) else "refused"
        if kind == "refused" and p.may_refuse and p.may_refuse in str(error) and lines_of(error):
            raise Refused from None
        raise Failure(kind, describe(error)) from None


def check_text(p: Program, artifact: bytes) -> None:
    from tilescale._ffi import function

    from tests.conformance import nvrtc

    executable = function("runtime.executable")(artifact, lambda index: artifact)
    try:
        nvrtc.compile_cubin(str(executable.source(0)), p.arch)
    except nvrtc.CompileError as error:
        raise Failure("text", str(error)) from None


def make(a: Argument, seed: int) -> Any:
    """The value of an argument, the same for equal seeds."""
    import torch

    generator = torch.Generator().manual_seed(seed * 7919 + int(re.sub(r"\D", "", a.name)))
    if a.shape is None:
        n = int(torch.randint(int(a.lo), int(a.hi) + 1, (1,), generator=generator))
        return float(n) if "float" in a.dtype else n
    count = 1
    for n in a.shape:
        count *= n
    if a.exact or a.output:
        flat = torch.randint(int(a.lo), int(a.hi) + 1, (count + a.shift,), generator=generator)
    else:
        flat = torch.randn(count + a.shift, generator=generator, dtype=torch.float64).clamp(a.lo, a.hi)
    return flat.to(getattr(torch, a.dtype))[a.shift :].view(a.shape)


def check_results(p: Program, func: Any) -> None:
    import tilescale
    import torch
    from tilescale.testing import evaluate

    expected = [make(a, p.seed) for a in p.arguments]
    try:
        evaluate(func, *expected)
    except Exception as error:
        raise Failure("wrong result", f"the oracle refuses the program\n{describe(error)}") from None
    actual = [make(a, p.seed) for a in p.arguments]
    try:
        kernel = tilescale.compile(func, target={"kind": "sim", "arch": p.arch})
        kernel(*actual)
    except Exception as error:
        raise Failure("simulator", describe(error)) from None
    for a, got, want in zip(p.arguments, actual, expected, strict=True):
        if a.shape is None:
            continue
        x, y = got.to(torch.float64), want.to(torch.float64)
        if a.exact or not a.output:
            wrong = x != y
        else:
            scale = float(y[y.isfinite()].abs().max()) if bool(y.isfinite().any()) else 1.0
            wrong = ~((x - y).abs() <= max(scale, 1e-3) * min(a.error * 4 + 1e-6, 0.25))
        if bool(wrong.any()):
            at = tuple(int(i) for i in wrong.nonzero()[0])
            count = f"{int(wrong.sum())} of {wrong.numel()}"
            raise Failure(
                "wrong result",
                f"{a.name}{list(at)} is {x[at].item()}, expected {y[at].item()}; {count} elements differ"
                f" (seed {os.environ.get('TILESCALE_SIM_SEED', '0')})",
            )
