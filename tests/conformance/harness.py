# SPDX-License-Identifier: MIT
"""Cases and how they are run: kernel text that uses ts:: names only, its arguments, and a check of what it wrote.

A `Case` is one kernel and one launch. A machine (`Simulator`, or a GPU) compiles the kernels of a list of cases as one
text and runs them in order:

    machine.run(cases) -> for each case, its arguments after the launch

Both sides run the same text and are held to the same check, so a difference between them fails on one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.conformance.formats import TYPES

POISON = 0xA5


@dataclass
class Case:
    name: str  # the kernel's, a C identifier
    functions: tuple[str, ...]  # names of ts:: that it covers
    text: str  # kernel and TS_LAUNCH
    args: list  # arrays are passed by address, and written back; integers as int
    check: Callable[[list], None]
    headers: tuple[str, ...] = ()
    grid: int = 1
    block: int = 32
    shared: int = 0
    feature: str = ""  # "fp8" (sm_89), "sm_90": what the arch must have


FEATURE_ARCH = {"": 80, "fp8": 89, "sm_90": 90}


def supports(arch: str, case: Case) -> bool:
    return int(arch.removeprefix("sm_").rstrip("a")) >= FEATURE_ARCH[case.feature]


def module_text(cases: Sequence[Case]) -> str:
    headers = sorted({h for case in cases for h in case.headers})
    lines = ["#include <tilescale/kernel.cuh>"]
    lines += [f"#include <tilescale/{h}.cuh>" for h in headers]
    return "\n".join(lines + [case.text for case in cases]) + "\n"


def parameters(kinds: Sequence[str]) -> tuple[str, str]:
    """Parameter list and TS_LAUNCH list; a kind is "const f16*", "u32*" or "int"."""
    declared, read = [], []
    for i, kind in enumerate(kinds):
        if kind == "int":
            c_type = "int"
        else:
            const = "const " if kind.startswith("const ") else ""
            c_type = const + TYPES[kind.removeprefix("const ").rstrip("*")][0] + "*"
        declared.append(f"{c_type} p{i}")
        read.append(f"*({c_type}*)args[{i}]")
    return ", ".join(declared), ", ".join(read)


def kernel(name: str, kinds: Sequence[str], body: str, block: int = 32) -> str:
    """Kernel text around `body`, whose parameters are p0, p1, …"""
    declared, read = parameters(kinds)
    lines = "\n".join("  " + line for line in body.strip().splitlines())
    return f"TS_KERNEL({name}, {block}, 1) ({declared}) {{\n{lines}\n}}\nTS_LAUNCH({name}, ({read}))\n"


def poisoned(kind: str, count: int) -> np.ndarray:
    dtype = np.dtype(TYPES[kind][1])
    return np.full(count * dtype.itemsize, POISON, dtype=np.uint8).view(dtype)


def elementwise(
    name: str,
    expression: str,
    functions: Sequence[str],
    inputs: dict[str, np.ndarray] | list[tuple[str, np.ndarray]],
    out: str,
    check: Callable[[np.ndarray], None],
    feature: str = "",
) -> Case:
    """out[i] = expression(a, b, c) for each i; inputs are (type, values) pairs named a, b, c."""
    count = len(inputs[0][1])
    kinds = [f"const {kind}*" for kind, _ in inputs] + [f"{out}*", "int"]
    names = "abcd"
    loads = "\n".join(f"  const {TYPES[kind][0]} {names[i]} = p{i}[i];" for i, (kind, _) in enumerate(inputs))
    n, last = len(inputs), len(inputs) + 1
    body = (
        f"const int i = ts::bid_x() * 256 + ts::tid_x();\nif (i < p{last}) {{\n{loads}\n  p{n}[i] = {expression};\n}}"
    )
    return Case(
        name=name,
        functions=tuple(functions),
        text=kernel(name, kinds, body, 256),
        args=[values for _, values in inputs] + [poisoned(out, count), count],
        check=lambda args: check(args[n]),
        grid=(count + 255) // 256,
        block=256,
        feature=feature,
    )


@dataclass
class Mismatch:
    """Compares arrays and says where they differ, with the inputs of the first differing element."""

    inputs: list[np.ndarray] = field(default_factory=list)

    def report(self, wrong: np.ndarray, got: np.ndarray, expected: np.ndarray) -> None:
        if not wrong.any():
            return
        i = int(np.flatnonzero(wrong)[0])
        given = ", ".join(repr(v[i]) for v in self.inputs)
        raise AssertionError(
            f"{int(wrong.sum())} of {len(wrong)} differ; at {i}: ({given}) gave {got[i]!r}, expected {expected[i]!r}"
        )


def equal_bits(inputs: Sequence[np.ndarray], expected: np.ndarray) -> Callable[[np.ndarray], None]:
    def check(got: np.ndarray) -> None:
        want = np.asarray(expected).astype(got.dtype)
        Mismatch(list(inputs)).report(got != want, got, want)

    return check


def equal_numbers(inputs: Sequence[np.ndarray], expected: np.ndarray) -> Callable[[np.ndarray], None]:
    """Equal as floats: any NaN equals any NaN, zeros have their signs."""

    def check(got: np.ndarray) -> None:
        want = np.asarray(expected).astype(got.dtype)
        same = (got == want) & (np.signbit(got) == np.signbit(want))
        Mismatch(list(inputs)).report(~(same | (np.isnan(got) & np.isnan(want))), got, want)

    return check


def equal_codes(fmt, inputs: Sequence[np.ndarray], expected: np.ndarray) -> Callable[[np.ndarray], None]:
    """Equal codes of a small format; any NaN equals any NaN."""

    def check(got: np.ndarray) -> None:
        want = np.asarray(expected).astype(got.dtype)
        nan = np.isnan(fmt.values)
        same = (got == want) | (nan[got.astype(np.int64)] & nan[want.astype(np.int64)])
        Mismatch(list(inputs)).report(~same, got, want)

    return check


def close(
    inputs: Sequence[np.ndarray],
    expected: np.ndarray,
    relative: float,
    absolute: float = 0.0,
) -> Callable[[np.ndarray], None]:
    """Within |expected| * relative + absolute; infinities and NaN exactly."""

    def check(got: np.ndarray) -> None:
        want = np.asarray(expected, dtype=np.float64)
        value = got.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            near = np.abs(value - want) <= np.abs(want) * relative + absolute
        same = (value == want) | (np.isnan(value) & np.isnan(want))
        Mismatch(list(inputs)).report(~(near | same), value, want)

    return check
