# SPDX-License-Identifier: MIT
"""A legal program from a seed. The kernel reads inputs, works on tiles, and stores every tile to an output of its own;
each block writes its own part, or adds to what blocks share by atomics."""

from __future__ import annotations

import random

from . import illegal
from .expressions import Expressions, Leaf, fits
from .program import EXACT, Argument, Program, Tile, Value, Writer, chance, is_float, is_unsigned
from .statements import Statements

ARCHS = ("sm_80", "sm_86", "sm_89", "sm_90a")
THREADS = (32, 64, 96, 128, 128, 160, 256)
EXTENTS = (1, 2, 3, 4, 5, 7, 8, 16, 16, 17, 31, 32, 32, 33, 48, 64, 64, 100, 128, 257, 300)
DTYPES = ("float32", "float32", "float16", "bfloat16", "int32", "int8", "uint8", "int64", "float64", "int16", "uint32")
MAX_ELEMENTS = 4096  # of a tile
MAX_BLOCKS = 6


class Generator:
    """State shared by all statements of one program."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.out = Writer()
        self.arguments: list[Argument] = []
        self.tiles: list[Tile] = []
        self.scalars: list[Value] = []  # uniform names: block indices, loop variables, cells, parameters
        self.count = 0
        self.threads = self.rng.choice(THREADS)
        self.arch = self.rng.choice(ARCHS)
        self.shared_bytes = 0
        self.grid = self._grid()
        self.blocks = [name for name, _ in zip(("bx", "by", "bz"), self.grid, strict=False)]
        self.may_refuse = ""
        self.dynamic: dict[str, int] = {}  # symbolic extents and their values
        self.grid_texts = [str(n) for n in self.grid]

    def _grid(self) -> list[int]:
        while True:
            grid = [self.rng.randint(1, 4) for _ in range(self.rng.choice((1, 1, 2, 2, 3)))]
            total = 1
            for n in grid:
                total *= n
            if total <= MAX_BLOCKS:
                return grid

    @property
    def num_blocks(self) -> int:
        total = 1
        for n in self.grid:
            total *= n
        return total

    def name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def shape(self, rank: int | None = None) -> tuple[int, ...]:
        rank = rank or self.rng.choice((1, 2, 2, 2, 3))
        while True:
            shape = tuple(self.rng.choice(EXTENTS) for _ in range(rank))
            total = 1
            for n in shape:
                total *= n
            if total <= MAX_ELEMENTS:
                return shape

    # Parameters

    def values(self, dtype: str) -> tuple[float, float, bool]:
        """Range of an input, and whether it holds integers."""
        if is_float(dtype) and "float8" not in dtype and chance(self.rng, 0.2):
            return -3, 3, False
        return (0 if is_unsigned(dtype) else -self.rng.randint(0, 3)), self.rng.randint(1, 4), True

    def tensor(self, shape: tuple[int, ...], dtype: str) -> Argument:
        """An input; some extents are symbolic."""
        lo, hi, exact = self.values(dtype)
        dims = []
        for n in shape:
            if chance(self.rng, 0.12):
                symbol = self.name("n")
                self.dynamic[symbol] = n
                dims.append(symbol)
            else:
                dims.append(str(n))
        a = Argument(self.name("A"), dtype, shape, lo, hi, exact, shift=int(chance(self.rng, 0.15)))
        a.declared = f'T.Tensor(({", ".join(dims)},), "{dtype}")'
        self.arguments.append(a)
        return a

    def output(self, shape: tuple[int, ...], dtype: str, exact: bool, error: float, declared: str = "") -> Argument:
        o = Argument(self.name("O"), dtype, shape, 0, 3, True, True)
        o.exact, o.error = exact, error
        o.declared = declared or f'T.Tensor(({", ".join(map(str, shape))},), "{dtype}")'
        self.arguments.append(o)
        return o

    # Uniform expressions

    def leaves(self) -> list[Leaf]:
        def number() -> Value:
            n = self.rng.randint(0, 4)
            return Value(str(n), "int32", n, n)

        return [number, *((lambda v=v: v) for v in self.scalars)]

    def uniform(self, depth: int = 1) -> Expressions:
        return Expressions(self.rng, self.leaves())

    def write(self) -> Program:
        for block, n in zip(self.blocks, self.grid, strict=True):
            self.scalars.append(Value(block, "int32", 0, n - 1))
        if chance(self.rng, 0.3):
            s = Argument(self.name("s"), self.rng.choice(("int32", "float32")), None, -2, 3, True)
            s.declared = f"T.{s.dtype}"
            self.arguments.append(s)
            self.scalars.append(Value(s.name, s.dtype, s.lo, s.hi))
        self.out.depth = 2
        statements = Statements(self)
        statements.body()
        statements.store_tiles()
        return Program(
            self.seed, self.text(), f"fuzz_{self.seed}", self.arguments, self.arch, may_refuse=self.may_refuse
        )

    def text(self) -> str:
        head = [f'{name} = T.dynamic("{name}")' for name in self.dynamic]
        parameters = ", ".join(f"{a.name}: {a.declared}" for a in self.arguments)
        names = self.blocks[0] if len(self.blocks) == 1 else f"({', '.join(self.blocks)})"
        return "\n".join(
            [
                *head,
                "@T.prim_func",
                f"def fuzz_{self.seed}({parameters}):",
                f"    with T.Kernel({', '.join(self.grid_texts)}, threads={self.threads}) as {names}:",
                *self.out.lines,
                "",
            ]
        )


def generate(seed: int, legal: bool | None = None) -> Program:
    """The program of a seed: one in five is illegal, unless `legal` says otherwise."""
    bad = random.Random(~seed & 0xFFFFFFFF).random() < 0.2 if legal is None else not legal
    return illegal.generate(seed) if bad else Generator(seed).write()


__all__ = ["ARCHS", "DTYPES", "EXACT", "Generator", "fits", "generate"]
