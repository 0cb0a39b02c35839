# SPDX-License-Identifier: MIT
"""Instructions between the lanes of a warp: shuffles, votes, matches, reductions, election."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.conformance.formats import TYPES, random_bits
from tests.conformance.harness import Case, Mismatch, kernel, poisoned

HEADER = ("ptx/shuffle",)
FULL = 0xFFFFFFFF


def lanes_case(
    name: str,
    function: str,
    expression: str,
    inputs: Sequence[tuple[str, np.ndarray]],
    out: str,
    expected: Sequence[int],
    active: int = FULL,
) -> Case:
    """Each lane of `active` evaluates the expression on its a, b; the others stay out of the instruction."""
    count = len(inputs)
    names = "abc"
    loads = "\n".join(f"const {TYPES[k][0]} {names[i]} = p{i}[lane];" for i, (k, _) in enumerate(inputs))
    body = f"""
const int lane = ts::lane_id();
{loads}
if (0x{active:x}u >> lane & 1) {{
  p{count}[lane] = {expression};
}}"""
    start = poisoned(out, 32)
    here = np.array([active >> lane & 1 for lane in range(32)], dtype=bool)
    want = np.where(here, np.array(expected).astype(start.dtype), start)

    def check(args: list) -> None:
        Mismatch([v for _, v in inputs]).report(args[count] != want, args[count], want)

    kinds = [f"const {k}*" for k, _ in inputs] + [f"{out}*"]
    return Case(
        name=name,
        functions=(function,),
        text=kernel(name, kinds, body),
        args=[v for _, v in inputs] + [start],
        check=check,
        headers=HEADER,
    )


def shuffles(rng: np.random.Generator) -> list[Case]:
    result = []
    for kind in ("i32", "f32", "u64", "f64", "f16", "bf16", "u16"):
        v = random_bits(kind, 32, rng)
        raw = v.view(f"u{v.dtype.itemsize}")
        out = f"u{v.dtype.itemsize * 8}"
        out_type = TYPES[out][0]
        for width in (32, 8):
            by = rng.integers(0, width, 32).astype(np.int32)
            segment = np.arange(32) // width * width
            inside = np.arange(32) % width
            idx = segment + by
            xor = np.arange(32) ^ 3
            up = np.where(inside >= 2, np.arange(32) - 2, np.arange(32))
            down = np.where(inside + 3 < width, np.arange(32) + 3, np.arange(32))
            for mode, argument, source in (("idx", "b", idx), ("xor", "3", xor), ("up", "2", up), ("down", "3", down)):
                call = f"ts::bits<{out_type}>(ts::ptx::shfl_{mode}(a, {argument}, {width}))"
                inputs = [(kind, v), ("i32", by)] if mode == "idx" else [(kind, v)]
                name = f"shfl_{mode}_{kind}_{width}"
                result.append(lanes_case(name, f"shfl_{mode}", call, inputs, out, raw[source]))
    v = random_bits("u32", 32, rng)
    half = 0x0000FFFF
    call = f"ts::ptx::shfl_xor(a, 8, 32, 0x{half:x}u)"
    result.append(lanes_case("shfl_xor_half", "shfl_xor", call, [("u32", v)], "u32", v[np.arange(32) ^ 8], half))
    return result


def votes(rng: np.random.Generator) -> list[Case]:
    result = []
    some = rng.integers(0, 2, 32).astype(np.int32)
    some[3], some[17] = 1, 0
    masks = (FULL, 0x00FF00F8)
    for kind, preds in (("some", some), ("none", np.zeros(32, np.int32)), ("every", np.ones(32, np.int32))):
        for mask in masks:
            members = [bool(preds[lane]) for lane in range(32) if mask >> lane & 1]
            ballot = sum(1 << lane for lane in range(32) if mask >> lane & 1 and preds[lane])
            suffix = f"{kind}_{mask:x}"
            for mode, value in (("any", any(members)), ("all", all(members)), ("ballot", ballot)):
                call = f"(ts::u32)ts::ptx::vote_{mode}(a != 0, 0x{mask:x}u)"
                expected = [value] * 32
                name = f"vote_{mode}_{suffix}"
                result.append(lanes_case(name, f"vote_{mode}", call, [("i32", preds)], "u32", expected, mask))
    return result


def matches(rng: np.random.Generator) -> list[Case]:
    result = []
    mask = 0x0FFFFFF0
    for kind in ("u32", "u64", "f32"):
        pool = random_bits(kind, 4, rng)
        v = pool[rng.integers(0, 4, 32)]
        raw = v.view(f"u{v.dtype.itemsize}")
        same = np.repeat(pool[:1], 32)
        group = [sum(1 << o for o in range(32) if mask >> o & 1 and raw[o] == raw[lane]) for lane in range(32)]
        call = f"ts::ptx::match_any(a, 0x{mask:x}u)"
        result.append(lanes_case(f"match_any_{kind}", "match_any", call, [(kind, v)], "u32", group, mask))
        call = f"ts::ptx::match_all(a, 0x{mask:x}u)"
        for name, values, expected in (("equal", same, mask), ("unequal", v, 0)):
            full = f"match_all_{name}_{kind}"
            result.append(lanes_case(full, "match_all", call, [(kind, values)], "u32", [expected] * 32, mask))
    return result


def reductions(rng: np.random.Generator) -> list[Case]:
    result = []
    for mask in (FULL, 0x10F0F001):
        for kind in ("i32", "u32"):
            v = random_bits(kind, 32, rng)
            here = v[[lane for lane in range(32) if mask >> lane & 1]]
            with np.errstate(over="ignore"):
                table = {"add": np.add.reduce(here, dtype=v.dtype), "min": here.min(), "max": here.max()}
            if kind == "u32":
                table["and"] = np.bitwise_and.reduce(here)
                table["or"] = np.bitwise_or.reduce(here)
                table["xor"] = np.bitwise_xor.reduce(here)
            for name, expected in table.items():
                call = f"ts::ptx::redux_{name}(a, 0x{mask:x}u)"
                full = f"redux_{name}_{kind}_{mask:x}"
                result.append(lanes_case(full, f"redux_{name}", call, [(kind, v)], kind, [expected] * 32, mask))
    return result


def election() -> list[Case]:
    """One lane of the mask, which one is the machine's choice; and the lanes of a branch."""
    result = []
    for mask in (FULL, 0x00F0F000):
        case = lanes_case(
            f"elect_one_{mask:x}", "elect_one", f"ts::ptx::elect_one(0x{mask:x}u)", [], "bool", [0] * 32, mask
        )

        def check(args: list, mask: int = mask) -> None:
            chosen = [lane for lane in range(32) if mask >> lane & 1 and args[0][lane]]
            assert len(chosen) == 1, f"elected lanes {chosen}"

        case.check = check
        result.append(case)
    case = lanes_case("activemask_half", "activemask", "ts::ptx::activemask()", [], "u32", [0] * 32, 0x0000FFFF)

    def check_active(args: list) -> None:
        for lane in range(16):
            mask = int(args[0][lane])
            assert mask >> lane & 1 and mask >> 16 == 0, f"lane {lane} sees 0x{mask:x}"

    case.check = check_active
    return [*result, case]


def cases(seed: int) -> list[Case]:
    rng = np.random.default_rng(seed)
    return [*shuffles(rng), *votes(rng), *matches(rng), *reductions(rng), *election()]
