# SPDX-License-Identifier: MIT
"""Statements at the edges of what the compiler reasons about: extents and indices that memory holds, arithmetic that
wraps, block indices in `%` and `^`, views in another dtype, threads off the bounds of warps, stated facts, and hints
of T.Pipelined."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .expressions import Expressions
from .program import Argument, Tile, Value, Writer, chance, product

if TYPE_CHECKING:
    from .generate import Generator

WRAPPING = ("int8", "uint8", "int16", "int32", "uint32")
# Of a loop of two copies and what uses them.
HINTS = (
    "order=[0, 1, 2], stage=[0, 0, 1]",
    "order=[1, 2, 0], stage=[0, 0, 1]",
    "order=[0, 1, 2], stage=[0, 0, 2]",
    "order=[1, 0, 2], stage=[0, 1, 2]",
    "stage=[0, 1, 3]",
    "order=[1, 0, 2]",
    "num_stages=3, order=[1, 0, 2]",
    "order=[1, 0, 2], stage=[0, 0, 0]",
    "stage=[0, 0, 2], group=[[0], [1], [2]]",
)


def limits(dtype: str) -> tuple[int, int]:
    bits = int(dtype.lstrip("uint"))
    return (0, (1 << bits) - 1) if dtype[0] == "u" else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


class Edges:
    """Mixed into Statements."""

    g: Generator
    rng: random.Random
    out: Writer
    trips: int
    conditional: bool

    if TYPE_CHECKING:

        def alloc(self, shape: tuple[int, ...], dtype: str, scope: str = "") -> Tile: ...
        def load(self, t: Tile) -> None: ...
        def accumulate(self, t: Tile) -> None: ...
        def copy(self) -> None: ...

    def numbers(self, n: int, dtype: str, lo: int, hi: int) -> Argument:
        """An input of whole numbers in a range."""
        a = self.g.tensor((n,), dtype)
        a.lo, a.hi, a.exact = lo, hi, True
        return a

    def in_shared(self, a: Argument) -> Tile | None:
        """A shared tile that holds a one-dimensional input."""
        assert a.shape
        t = self.alloc(a.shape, a.dtype, "shared")
        self.out(f"T.copy({a.name}, {t.name})")
        t.hold(Value("", a.dtype, a.lo, a.hi))
        self.g.tiles.append(t)
        return t if t.scope == "shared" else None

    def data_loop(self) -> None:
        """A loop whose number of trips memory holds, the same for all threads."""
        g, rng = self.g, self.rng
        target = rng.choice(g.tiles)
        a = self.numbers(rng.randint(1, 6), "int32", -1, 4)
        assert a.shape
        held = self.in_shared(a) if chance(rng, 0.5) else None
        bound = f"{(held or a).name}[{rng.randrange(a.shape[0])}]"
        var = g.name("k")
        head = rng.choice(
            (
                f"for {var} in T.serial({bound}):",
                f"for {var} in range({bound}):",
                f"for {var} in T.serial(1, {bound}):",
                f"for {var} in T.Pipelined({bound}, num_stages={rng.randint(0, 3)}):",
                f"while {var} < {bound}:",
            )
        )
        if head.startswith("while"):
            self.out(f'{var} = T.alloc_var("int32", init=0)')
        self.out(head)
        outer_scalars, outer_trips = list(g.scalars), self.trips
        self.trips *= 4
        g.scalars.append(Value(var, "int32", 0, 3))
        mine = g.tiles
        g.tiles = [t for t in g.tiles if t is not held]
        with self.out:
            if head.startswith("while") and chance(rng, 0.5):
                self.out(f"T.assume({var} >= 0)")
            self.accumulate(target if target is not held else rng.choice(g.tiles))
            if head.startswith("while"):
                self.out(f"{var} = {var} + 1")
        g.tiles, g.scalars, self.trips = mine, outer_scalars, outer_trips

    def wrapped(self, dtype: str, leaves: list[str], depth: int) -> str:
        """An expression of `dtype` whose arithmetic may wrap."""
        rng = self.rng
        if depth == 0:
            return rng.choice(leaves)
        lo, hi = limits(dtype)
        a, n = self.wrapped(dtype, leaves, depth - 1), rng.randint(1, 7)
        large = f'T.cast({rng.choice((hi, hi - n, lo + n, hi // 3, n * 11))}, "{dtype}")'
        roll = rng.random()
        if roll < 0.4:
            return f"({a} {rng.choice('+-*')} {rng.choice((large, self.wrapped(dtype, leaves, depth - 1)))})"
        if roll < 0.6:
            return f"({a} {rng.choice(('//', '%', '>>'))} {n})"
        if roll < 0.7:
            return f"({a} {rng.choice('&|^')} {self.wrapped(dtype, leaves, depth - 1)})"
        if roll < 0.8:
            return f"T.if_then_else({a} < {large}, {self.wrapped(dtype, leaves, depth - 1)}, {large})"
        if roll < 0.9:
            return f"T.{rng.choice(('max', 'min'))}({a}, {large})"
        return f"({a} << 1)" if lo == 0 or chance(rng, 0.5) else f"(-{a})"

    def wrapping(self) -> None:
        """A nest whose values leave their dtype's range, and what is left of them."""
        g, rng = self.g, self.rng
        dtype = rng.choice(WRAPPING)
        lo, hi = limits(dtype)
        n = rng.choice((8, 33, 64, 100))
        a = self.numbers(n, dtype, max(lo, -(1 << 31)), min(hi, (1 << 31) - 1))
        t = self.alloc((n,), dtype)
        self.out(f"T.copy({a.name}, {t.name})")
        out = self.alloc((n,), dtype)
        uniform = [f'T.cast({b}, "{dtype}")' for b in g.blocks]
        text = self.wrapped(dtype, [f"{t.name}[i]", f"{t.name}[i]", f'T.cast(i, "{dtype}")', *uniform], 3)
        if dtype.endswith("32"):  # few enough values for all that follows
            text, lo, hi = f"({text} & 255)", 0, 255
        self.out(f"for i in T.Parallel({n}):")
        self.out(f"    {out.name}[i] = {text}")
        out.hold(Value("", dtype, lo, hi))
        g.tiles.append(out)

    def narrow_index(self) -> None:
        """A table read where a narrow dtype says."""
        g, rng = self.g, self.rng
        dtype = rng.choice(("uint8", "int8", "int16"))
        lo, hi = limits(dtype)
        n = rng.choice((16, 33, 64))
        a = self.numbers(n, dtype, lo, hi)
        table = g.tensor((rng.choice((100, 128, 256, 300, 40000)),), "float32")
        out = self.alloc((n,), "float32")
        at = rng.choice(("{0}", "{0}", "{0} + 1", "{0} * 2", "{0} ^ 1", "{0} // 2 + i", "{0} % 7 * 9"))
        self.out(f"for i in T.Parallel({n}):")
        self.out(f"    {out.name}[i] = {table.name}[{at.format(f'{a.name}[i]')}]")
        v = Value("", "float32", min(table.lo, 0), max(table.hi, 0), table.exact)
        out.hold(v)
        g.tiles.append(out)

    def block_digits(self) -> None:
        """Rows chosen by `%` and `^` of a block index."""
        g, rng = self.g, self.rng
        n = rng.choice((8, 16, 32, 64))
        a = g.tensor((n,), rng.choice(("float32", "int32")))
        b = rng.choice(g.blocks)
        m = rng.choice((2, 3, 4, 8))
        row = rng.choice(
            (
                f"i ^ {b}",
                f"(i + {b} * {m}) % {n}",
                f"(i ^ ({b} % {m})) % {n}",
                f"(i % {m}) ^ ({b} * {m})",
                f"(i - {b}) % {n}",
            )
        )
        t = self.alloc((n,), a.dtype, "shared")
        out = self.alloc((n,), a.dtype)
        self.out(f"T.copy({a.name}, {t.name})")
        inside = row.endswith(f"% {n}") and chance(rng, 0.5) and t.scope == "shared"
        source = t.name if inside else a.name
        self.out(f"for i in T.Parallel({n}):")
        self.out(f"    {out.name}[i] = {source}[{row}]")
        out.hold(Value("", a.dtype, min(a.lo, 0), max(a.hi, 0), a.exact))
        t.hold(Value("", a.dtype, min(a.lo, 0), max(a.hi, 0), a.exact))
        g.tiles += [out, t]

    def recast(self) -> None:
        """A shared tile read as elements of another size."""
        g, rng = self.g, self.rng
        n = rng.choice((8, 32, 64, 100))
        a = self.numbers(n, "int32", -(1 << 31), (1 << 31) - 1)
        s = self.in_shared(a)
        if s is None:
            return
        g.tiles.remove(s)
        dtype = rng.choice(("int8", "uint8", "int16"))
        wide = n * 32 // int(dtype.lstrip("uint"))
        name = g.name("v")
        self.out(f'{name} = T.view({s.name}, ({wide},), "{dtype}")')
        view = Tile(name, "shared", (wide,), dtype)
        lo, hi = limits(dtype)
        view.hold(Value("", dtype, lo, hi))
        if chance(rng, 0.5):  # what one view writes the other reads
            self.out(f"for i in T.Parallel({n}):")
            self.out(f"    {s.name}[i] = i * 3")
            out = self.alloc((wide,), dtype)
            self.out(f"for i in T.Parallel({wide}):")
            self.out(f"    {out.name}[i] = {name}[{wide - 1} - i]")
            out.hold(view.at())
            g.tiles.append(out)
        g.tiles.append(view)

    def loaded_cell(self) -> None:
        """A scalar that begins as an element of shared memory."""
        g, rng = self.g, self.rng
        s = self.in_shared(self.numbers(rng.randint(1, 40), "int32", -3, 9))
        if s is None:
            return
        name = g.name("c")
        self.out(f'{name} = T.alloc_var("int32", init={s.name}[{rng.randrange(s.shape[0])}])')
        if chance(rng, 0.5):
            self.out(f"T.assume({name} >= -3)")
        if chance(rng, 0.5):
            self.out(f"{name} = {name} + 1")
        g.scalars.append(Value(name, "int32", -3, 10))

    def thread_range(self) -> None:
        """Some threads of a block, whose first and last lie within warps."""
        g, rng = self.g, self.rng
        n = g.threads
        s = self.alloc((n,), "int32", "shared")
        if s.scope != "shared":
            return
        tx, first = g.name("tx"), rng.randrange(n)
        last = rng.randint(first + 1, n)
        self.out(f"T.fill({s.name}, 1)")
        self.out(f"{tx} = T.get_thread_binding()")
        self.out(rng.choice((f"if {tx} >= {first} and {tx} < {last}:", f"if {tx} < {last} and {tx} >= {first}:")))
        self.out(f"    {s.name}[{tx}] = {tx} * 2 + {rng.choice(g.blocks)}")
        if chance(rng, 0.5):
            self.out(f"if {tx} < {rng.randint(1, n)}:")
            self.out(f"    {s.name}[{tx}] = {s.name}[{tx}] + 1")
        s.hold(Value("", "int32", 0, 2 * n + 8))
        g.tiles.append(s)

    def hinted(self) -> None:
        """A pipeline whose order, stages and groups the program says."""
        g, rng = self.g, self.rng
        target = rng.choice(g.tiles)
        if len(target.shape) > 2 or product(target.shape) > 1024:
            self.copy()
            return
        dtype = rng.choice(("float32", "float16", "int8"))
        trips = rng.randint(0, 5)
        scratch = [self.alloc(target.shape, dtype, "shared") for _ in range(2)]
        var = g.name("k")
        outer_tiles, outer_scalars, outer_trips = g.tiles, list(g.scalars), self.trips
        self.out(f"for {var} in T.Pipelined({trips}, {rng.choice(HINTS)}):")
        self.trips *= trips
        with self.out:
            for t in scratch:
                t.hold(Value("", t.dtype, 0, 0))
                a = g.tensor((*(max(1, n * 2 - 1) for n in t.shape[:1]), *t.shape[1:]), t.dtype)
                index = [f"{var} * {rng.choice((1, t.shape[0]))}", *("0" for _ in t.shape[1:])]
                self.out(f"T.copy({a.name}[{', '.join(index)}], {t.name})")
                t.hold(Value("", t.dtype, min(a.lo, 0), max(a.hi, 0), a.exact))
            g.tiles = [target, *scratch]
            g.scalars.append(Value(var, "int32", 0, max(0, trips - 1)))
            self.accumulate(target)
        g.tiles, g.scalars, self.trips = outer_tiles, outer_scalars, outer_trips

    def stated(self) -> None:
        """A fact of a scalar, stated where it holds."""
        g, rng = self.g, self.rng
        v = rng.choice(g.scalars)
        if v.dtype != "int32":
            return
        fact = rng.choice((f"{v.text} >= {int(v.lo)}", f"{v.text} <= {int(v.hi)}"))
        condition = Expressions(rng, g.leaves()).condition()
        if condition != "True" and chance(rng, 0.5):
            self.out(f"if {condition}:")
            with self.out:
                self.out(f"T.assume({fact})")
                outer, self.conditional = self.conditional, True
                self.accumulate(rng.choice(g.tiles))
                self.conditional = outer
        else:
            self.out(f"T.assume({fact})")
