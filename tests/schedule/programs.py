# SPDX-License-Identifier: MIT
"""Kernels written as IR text with a schedule, and how to run them."""

import numpy as np
from tilescale._ffi import function
from tilescale._jit import machine


class Kernel:
    """An IR text, compiled for a target; called with arrays in the order of its parameters."""

    def __init__(self, text: str, target: str) -> None:
        machine.configure()
        program = function("ir.parse")(text)

        def variant(index: int):
            return function("driver.compile")(program, target, {}, index)

        self.executable = function("runtime.executable")(variant(0), variant)
        self.run = self.executable.entry()

    def __call__(self, *arrays) -> None:
        self.run(*arrays)

    def source(self) -> str:
        return str(self.executable.source(0))


def lower(text: str, target: str = "sim sm_80", last: str = "") -> str:
    """The program after a pass, as text."""
    return str(function("driver.lower")(function("ir.parse")(text), target, {}, last))


TILE_M, TILE_N, TILE_K = 64, 64, 32


def gemm(
    schedule: str,
    m: int = 128,
    n: int = 64,
    k: int = 256,
    threads: int = 128,
    masked: bool = False,
    persistent: bool = False,
    loop: str = "",
) -> str:
    """C = A B in tiles of 64 x 64 x 32. `masked`: an array says which steps of the inner loop count."""
    steps, tiles = k // TILE_K, (m // TILE_M) * (n // TILE_N)
    guard, end = ("if %on { ", " }") if masked else ("", "")
    body = f"""
    bind %row = %tile / {n // TILE_N} * {TILE_M}
    bind %col = %tile % {n // TILE_N} * {TILE_N}
    init: fill %acc, 0
    for %ko in 0..{steps} {loop} {{
      {"bind %on = %mask[%ko] != 0" if masked else ""}
      copy_A: {guard}copy %A[%row +: {TILE_M}, %ko * {TILE_K} +: {TILE_K}] -> %As{end}
      copy_B: {guard}copy %B[%ko * {TILE_K} +: {TILE_K}, %col +: {TILE_N}] -> %Bs{end}
      gemm: {guard}gemm %acc += %As * %Bs{end}
    }}
    store_C: copy %acc -> %C[%row +: {TILE_M}, %col +: {TILE_N}]"""
    if persistent:
        body = f"for %t in 0..{tiles // 2} {{ bind %tile = %bx + %t * 2 {body} }}"
    else:
        body = "bind %tile = %bx" + body
    mask = f"%mask: i32[{steps}]," if masked else ""
    return f"""
func @gemm(%A: f16[{m}, {k}], %B: f16[{k}, {n}], {mask} %C: f32[{m}, {n}]) {{
  kernel @gemm grid(%bx: {2 if persistent else tiles}) threads(%tx: {threads}) {{
    alloc %As: shared f16[{TILE_M}, {TILE_K}]
    alloc %Bs: shared f16[{TILE_K}, {TILE_N}]
    alloc %acc: frag f32[{TILE_M}, {TILE_N}]
    {body}
  }}
  {schedule}
}}
"""


def two_roles(depth: int = 2, producers: int = 2, mechanism: str = "cp_async") -> str:
    """Producer warps behind four consumer warps."""
    return f"""schedule {{
    role math warps 0..4
    role load warps 4..{4 + producers}
    pipe ab (%As, %Bs) depth {depth} from load({mechanism}) to math
    loop %ko {{
      load: acquire ab; do copy_A; do copy_B; commit ab
      math: wait ab; do gemm; release ab
    }}
  }}"""


def one_role(depth: int = 3) -> str:
    """What T.Pipelined(num_stages=depth) makes."""
    ahead = depth - 1
    return f"""schedule {{
    role all warps 0..4
    pipe ab (%As, %Bs) depth {depth} from all(cp_async) to all
    loop %ko {{
      all: wait ab; acquire ab +{ahead}; do copy_A +{ahead}; do copy_B +{ahead}; commit ab +{ahead}; do gemm
    }}
  }}"""


def inputs(m: int = 128, n: int = 64, k: int = 256, mask=None):
    """Fresh operands, a poisoned result and the float64 reference."""
    rng = np.random.default_rng()
    a = rng.standard_normal((m, k)).astype(np.float16)
    b = rng.standard_normal((k, n)).astype(np.float16)
    c = np.full((m, n), np.nan, np.float32)
    wide = a.astype(np.float64)
    if mask is not None:
        wide = wide * np.repeat(mask != 0, k // len(mask))
    return a, b, c, wide @ b.astype(np.float64)


def close(c, reference) -> bool:
    return bool(np.abs(c - reference).max() <= 1e-3 * max(1.0, np.abs(reference).max()))
