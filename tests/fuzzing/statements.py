# SPDX-License-Identifier: MIT
"""Random statements of a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .edges import Edges
from .expressions import Expressions, Leaf, cast, fits
from .gemms import Gemms
from .program import ERROR, EXACT, SHARED_LIMIT, Argument, Tile, Value, chance, is_float, product, size_of

if TYPE_CHECKING:
    from .generate import Generator

LETTERS = "ijk"
# A view of a fragment needs a layout that can be said in both shapes.
NO_LAYOUT = "Layout infer conflict"


class Statements(Gemms, Edges):
    def __init__(self, g: Generator) -> None:
        self.g, self.rng, self.out = g, g.rng, g.out
        self.trips = 1  # how often the place that is written runs
        self.conditional = False
        self.shared_atomics: list[tuple[Argument, str, float]] = []

    # -- tiles

    def alloc(self, shape: tuple[int, ...], dtype: str, scope: str = "") -> Tile:
        scope = scope or self.rng.choice(("shared", "fragment"))
        if scope == "shared":
            if self.g.shared_bytes + product(shape) * size_of(dtype) > SHARED_LIMIT:
                scope = "fragment"
            else:
                self.g.shared_bytes += product(shape) * size_of(dtype)
        t = Tile(self.g.name("s" if scope == "shared" else "f"), scope, shape, dtype)
        self.out(f'{t.name} = T.alloc_{scope}(({", ".join(map(str, shape))},), "{dtype}")')
        return t

    def start(self, a: Argument, inside: tuple[int, ...]) -> list[str]:
        """A place in a global tensor: block-dependent, sometimes out of range."""
        begin = []
        for d in range(len(a.shape)):
            tile = inside[d - len(a.shape)] if len(a.shape) - d <= len(inside) else 1
            block = self.rng.choice([*self.g.blocks, ""])
            base = f"{block} * {tile}" if block else "0"
            if chance(self.rng, 0.15):
                base += f" + {self.rng.randint(0, 3)}"
            begin.append(base)
        return begin

    def fresh_input(self, shape: tuple[int, ...], dtype: str) -> Argument:
        """A tensor that holds about one tile for each block."""
        g = self.g
        lead = (self.rng.randint(1, 3),) if chance(self.rng, 0.15) else ()
        dims = tuple(max(1, n * self.rng.randint(1, 2) - self.rng.choice((0, 0, 0, 1, 3))) for n in shape)
        return g.tensor(lead + dims, dtype)

    def load(self, t: Tile) -> None:
        """Fills a tile from a global tensor."""
        g = self.g
        dtype = t.dtype if chance(self.rng, 0.8) else self.rng.choice(("float32", "float16", "int8"))
        inputs = [a for a in g.arguments if a.shape and not a.output and len(a.shape) >= len(t.shape)]
        inputs = [a for a in inputs if fits(self.read(a), t.dtype)]
        a = self.rng.choice(inputs) if inputs and chance(self.rng, 0.4) else self.fresh_input(t.shape, dtype)
        if not fits(self.read(a), t.dtype):
            a = self.fresh_input(t.shape, t.dtype)
        begin = self.start(a, t.shape)
        if chance(self.rng, 0.3):
            lead = len(a.shape) - len(t.shape)
            index = [b if d < lead else f"{b} : {b} + {t.shape[d - lead]}" for d, b in enumerate(begin)]
            self.out(f"T.copy({a.name}[{', '.join(index)}], {t.name})")
        else:
            self.out(f"T.copy({a.name}[{', '.join(begin)}], {t.name})")
        v = self.read(a)
        if not v.exact and v.dtype != t.dtype:
            v.error += ERROR[t.dtype]
        t.hold(v, self.conditional)

    @staticmethod
    def read(a: Argument) -> Value:
        """What a global load may give: 0 outside."""
        return Value("", a.dtype, min(a.lo, 0), max(a.hi, 0), a.exact)

    def new_tile(self, shape: tuple[int, ...] | None = None, dtype: str = "", scope: str = "") -> Tile:
        """An initialised tile."""
        from .generate import DTYPES

        t = self.alloc(shape or self.g.shape(), dtype or self.rng.choice(DTYPES), scope)
        roll = self.rng.random()
        if roll < 0.6 and len(t.shape) <= 3:
            self.load(t)
        elif roll < 0.7:
            c = self.rng.randint(0, 3)
            self.out(f"T.fill({t.name}, {c})" if c else f"T.clear({t.name})")
            t.hold(Value("", t.dtype, c, c))
        else:
            self.assign(t, whole=True)
        self.g.tiles.append(t)
        return t

    # -- element-wise

    def point_leaves(
        self, variables: list[str], shape: tuple[int, ...], target: Tile | None, extents: tuple[int, ...] | None = None
    ) -> list[Leaf]:
        """What a point of a nest may read. `extents`: of a nest over a part of the shape."""
        g, rng = self.g, self.rng
        leaves = g.leaves()
        for name, n in zip(variables, shape, strict=True):
            leaves.append(lambda name=name, n=n: Value(name, "int32", 0, n - 1))
        for t in g.tiles:
            if t.shape == shape:
                leaves += [lambda t=t: t.at(*variables)] * 3
            elif len(t.shape) == 1 and t.shape[0] in shape:
                v = variables[shape.index(t.shape[0])]
                leaves += [lambda t=t, v=v: t.at(v)] * 2
            elif t.scope == "shared" and t is not target:
                leaves.append(lambda t=t: t.at(*(self.gather(variables, n) for n in t.shape)))
        for a in g.arguments:
            if a.shape and not a.output:
                leaves.append(lambda a=a: self.global_leaf(a, variables, shape, extents or shape))
        rng.shuffle(leaves)
        return leaves

    def gather(self, variables: list[str], n: int) -> str:
        v = self.rng.choice(variables)
        return f"({v} * {self.rng.randint(1, 5)} + {self.rng.randint(0, 9)}) % {n}"

    def global_leaf(self, a: Argument, variables: list[str], shape: tuple[int, ...], extents: tuple[int, ...]) -> Value:
        index = []
        for d, n in enumerate(a.shape):
            v = variables[d % len(variables)]
            roll = self.rng.random()
            if roll < 0.5:
                block = self.rng.choice(self.g.blocks)
                index.append(f"{block} * {shape[d % len(shape)]} + {v}")
            elif roll < 0.7:
                index.append(v)
            elif roll < 0.9:
                index.append(self.gather(variables, n))
            else:
                # Not all below zero: that would count from the end.
                low = min(self.rng.randint(1, 3), extents[d % len(variables)] - 1)
                index.append(f"{v} - {low}" if low else f"-{self.rng.randint(1, n)}")
        v = self.read(a)
        v.text = f"{a.name}[{', '.join(index)}]"
        return v

    def assign(self, t: Tile, whole: bool) -> None:
        """t[...] = expression, over the whole tile or its first part."""
        rng = self.rng
        extents = t.shape
        if not whole and t.scope == "shared" and chance(rng, 0.3):
            extents = tuple(rng.randint(1, n) for n in t.shape)
        variables = list(LETTERS[: len(t.shape)])
        source = extents if extents == t.shape else t.shape
        expressions = Expressions(rng, self.point_leaves(variables, source, t, extents))
        in_place = not whole and self.trips == 1 and chance(rng, 0.5)
        v = expressions.of(t.dtype, rng.randint(1, 3))
        if in_place:
            updated = expressions.binary(t.at(*variables), v)
            if fits(updated, t.dtype):
                v = cast(updated, t.dtype)
        self.out(f"for {', '.join(variables)} in T.Parallel({', '.join(map(str, extents))}):")
        with self.out:
            place = f"{t.name}[{', '.join(variables)}]"
            condition = expressions.condition() if not whole and chance(rng, 0.2) else "True"
            if condition != "True":
                self.out(f"if {condition}:")
                with self.out:
                    self.out(f"{place} = {v.text}")
            elif chance(rng, 0.2):
                self.out(f"value = {v.text}")
                self.out(f"{place} = value")
            else:
                self.out(f"{place} = {v.text}")
            t.hold(v, not whole or self.conditional)
            for _ in range(rng.choice((0, 0, 0, 1, 2))):
                self.again(t, place, expressions)

    def again(self, t: Tile, place: str, expressions: Expressions) -> None:
        """One more statement of the point on what it has just written."""
        v = expressions.of(t.dtype, 1)
        if self.trips == 1 and chance(self.rng, 0.5):
            updated = expressions.binary(Value(place, t.dtype, t.lo, t.hi, t.exact, t.error), v)
            if fits(updated, t.dtype):
                v = cast(updated, t.dtype)
        condition = expressions.condition() if chance(self.rng, 0.6) else "True"
        if condition == "True":
            self.out(f"{place} = {v.text}")
        else:
            self.out(f"if {condition}:")
            with self.out:
                self.out(f"{place} = {v.text}")
        t.hold(v, True)

    def accumulate(self, t: Tile) -> None:
        """t += expression, as often as the place runs."""
        rng = self.rng
        variables = list(LETTERS[: len(t.shape)])
        g = self.g
        mine = g.tiles
        g.tiles = [x for x in g.tiles if x is not t]
        expressions = Expressions(rng, self.point_leaves(variables, t.shape, t))
        v = expressions.of(t.dtype, rng.randint(0, 2))
        g.tiles = mine
        total = Value("", t.dtype, t.lo + min(0, v.lo) * self.trips, t.hi + max(0, v.hi) * self.trips)
        total.exact = t.exact and v.exact
        total.error = (t.error + v.error) * 2 + (0 if total.exact else ERROR[t.dtype] * (1 + self.trips / 4))
        place = f"{t.name}[{', '.join(variables)}]"
        self.out(f"for {', '.join(variables)} in T.Parallel({', '.join(map(str, t.shape))}):")
        with self.out:
            if fits(total, t.dtype):
                self.out(f"{place} += {v.text}" if chance(rng, 0.5) else f"{place} = {place} + {v.text}")
                t.hold(total)
            else:
                self.out(f"{place} = T.max({place}, {v.text})")
                t.hold(Value("", t.dtype, t.lo, max(t.hi, v.hi), t.exact and v.exact, t.error + v.error))

    # -- tile ops

    def reduce(self) -> None:
        rng = self.rng
        sources = [t for t in self.g.tiles if t.dtype not in ("int8", "uint8", "int16") and "8_" not in t.dtype]
        if not sources:
            self.copy()
            return
        t = rng.choice(sources)
        dim = rng.randrange(len(t.shape))
        n = t.shape[dim]
        kind = rng.choice(("sum", "max", "min", "absmax", "abssum"))
        sums = kind in ("sum", "abssum")
        size = max(abs(t.lo), abs(t.hi))
        if sums and size * n > EXACT[t.dtype]:
            kind, sums = "max", False
        lo, hi = (t.lo * n, t.hi * n) if kind == "sum" else (t.lo, t.hi)
        if kind.startswith("abs"):
            lo, hi = 0, size * (n if sums else 1)
        v = Value("", t.dtype, lo, hi, t.exact, t.error + (0 if t.exact else ERROR[t.dtype]))
        kept = len(t.shape) == 1 or chance(rng, 0.2)
        shape = tuple(1 if d == dim else x for d, x in enumerate(t.shape) if kept or d != dim)
        out = self.alloc(shape, t.dtype)
        options = f", dim={dim if chance(rng, 0.8) else dim - len(t.shape)}"
        if kind != "abssum" and chance(rng, 0.25):
            start = rng.randint(0, 3)
            total = Value("", t.dtype, lo + start, hi + start, t.exact, v.error)
            if kind != "sum" or fits(total, t.dtype):
                self.out(f"T.fill({out.name}, {start})")
                options += ", clear=False"
                v = total if kind == "sum" else Value("", t.dtype, min(lo, start), max(hi, start), t.exact, v.error)
        self.out(f"T.reduce_{kind}({t.name}, {out.name}{options})")
        out.hold(v)
        self.g.tiles.append(out)

    def scan(self) -> None:
        rng = self.rng
        sources = [t for t in self.g.tiles if len(t.shape) <= 2 and t.dtype in ("float32", "int32", "float64")]
        if not sources:
            self.copy()
            return
        t = rng.choice(sources)
        dim = rng.randrange(len(t.shape))
        n = t.shape[dim]
        if max(abs(t.lo), abs(t.hi)) * n > EXACT[t.dtype]:
            self.copy()
            return
        options = f", dim={dim}" + (", reverse=True" if chance(rng, 0.3) else "")
        v = Value("", t.dtype, min(t.lo, t.lo * n), max(t.hi, t.hi * n), t.exact, t.error + (0 if t.exact else 1e-4))
        if chance(rng, 0.4):
            self.out(f"T.cumsum({t.name}{options})")
            t.hold(v)
        else:
            out = self.alloc(t.shape, t.dtype)
            self.out(f"T.cumsum({t.name}, {out.name}{options})")
            out.hold(v)
            self.g.tiles.append(out)

    def copy(self) -> None:
        """Between tiles, whole or a slice."""
        rng = self.rng
        t = rng.choice(self.g.tiles)
        dtypes = [d for d in ("float32", "float16", "int32", "float64", t.dtype) if fits(t.at(), d)]
        shape = t.shape
        index = ""
        if t.scope == "shared" and chance(rng, 0.3):
            begin = [rng.randrange(n) for n in t.shape]
            shape = tuple(rng.randint(1, n - b) for n, b in zip(t.shape, begin, strict=True))
            index = f"[{', '.join(f'{b}:{b + n}' for b, n in zip(begin, shape, strict=True))}]"
        out = self.alloc(shape, rng.choice(dtypes or [t.dtype]))
        self.out(f"T.copy({t.name}{index}, {out.name})")
        v = t.at()
        if not v.exact and out.dtype != t.dtype:
            v.error += ERROR[out.dtype]
        out.hold(v)
        self.g.tiles.append(out)

    def transpose(self) -> None:
        sources = [t for t in self.g.tiles if len(t.shape) == 2]
        if not sources:
            self.copy()
            return
        t = self.rng.choice(sources)
        out = self.alloc(t.shape[::-1], t.dtype)
        if chance(self.rng, 0.5) or t.scope == "fragment":
            self.out(f"T.transpose({t.name}, {out.name})")
        else:
            m, n = out.shape
            self.out(f"for i, j in T.Parallel({m}, {n}):")
            with self.out:
                self.out(f"{out.name}[i, j] = {t.name}[j, i]")
        out.hold(t.at())
        self.g.tiles.append(out)

    def reshape(self) -> None:
        """The new view stands for the tile from now on."""
        t = self.rng.choice(self.g.tiles)
        total = product(t.shape)
        divisors = [d for d in range(1, total + 1) if total % d == 0]
        first = self.rng.choice(divisors)
        shape = (total,) if chance(self.rng, 0.4) else (first, total // first)
        name = self.g.name("v")
        self.out(f"{name} = T.{self.rng.choice(('reshape', 'view'))}({t.name}, ({', '.join(map(str, shape))},))")
        if t.scope == "fragment":
            self.g.may_refuse = NO_LAYOUT
        self.g.tiles.remove(t)
        view = Tile(name, t.scope, shape, t.dtype)
        view.hold(t.at())
        self.g.tiles.append(view)

    # -- control

    def loop(self, depth: int) -> None:
        """A loop that accumulates into tiles from scratch tiles that it loads."""
        g, rng = self.g, self.rng
        targets = rng.sample(g.tiles, min(len(g.tiles), rng.randint(1, 2)))
        trips = rng.randint(1, 5)
        kind = rng.choice(("serial", "serial", "unroll", "explicit", "pipelined", "range", "while"))
        scratch = []
        for _ in range(rng.randint(0, 2)):
            t = self.alloc(targets[0].shape, rng.choice(("float32", "float16", "int32", "int8")))
            scratch.append(t)
        outer_tiles, outer_scalars, outer_trips = g.tiles, list(g.scalars), self.trips
        g.tiles = [t for t in g.tiles if t not in targets]
        var = g.name("k")
        heads = {
            "serial": f"for {var} in T.serial({trips}):",
            "unroll": f"for {var} in T.unroll({trips}):",
            "explicit": f"for {var} in T.unroll({trips}, explicit=True):",
            "pipelined": f"for {var} in T.Pipelined({trips}, num_stages={rng.randint(0, 4)}):",
            "range": f"for {var} in range({trips}):",
            "while": f"while {var} < {trips}:",
        }
        if kind == "while":
            self.out(f'{var} = T.alloc_var("int32", init=0)')
        self.out(heads[kind])
        self.trips *= trips
        g.scalars.append(Value(var, "int32", 0, trips - 1))
        with self.out:
            for t in scratch:
                self.load(t)
                g.tiles.append(t)
            for t in targets:
                self.accumulate(t)
            if kind in ("serial", "range") and chance(rng, 0.2):
                self.out(f"if {var} == {rng.randint(0, trips)}:")
                self.out("    " + rng.choice(("break", "continue")))
                if chance(rng, 0.5):
                    self.accumulate(targets[0])
            if depth > 0 and chance(rng, 0.25) and g.tiles:
                inner = g.tiles
                g.tiles = [*inner]
                self.branch(targets)
                g.tiles = inner
            if kind == "while":
                self.out(f"{var} = {var} + 1")
        self.trips = outer_trips
        g.scalars = outer_scalars
        g.tiles = outer_tiles

    def branch(self, targets: list[Tile]) -> None:
        g, rng = self.g, self.rng
        condition = Expressions(rng, g.leaves()).condition()
        if condition == "True":
            condition = f"{g.blocks[0]} == 0"
        outer = self.conditional
        self.conditional = True
        self.out(f"if {condition}:")
        with self.out:
            self.accumulate(rng.choice(targets))
        if chance(rng, 0.5):
            self.out("else:")
            with self.out:
                self.accumulate(rng.choice(targets))
        self.conditional = outer

    # -- threads

    def threads(self) -> None:
        """Statements of single threads: local arrays, cells, warp functions, a shared array by thread."""
        g, rng = self.g, self.rng
        n = g.threads
        tx, local, s, k = g.name("tx"), g.name("l"), self.alloc((n,), "int32", "shared"), g.name("k")
        if s.scope != "shared":
            return
        self.out(f"{tx} = T.get_thread_binding()")
        self.out(f'{local} = T.alloc_local((4,), "int32")')
        self.out(f"for {k} in T.serial(4):")
        leaves: list[Leaf] = [*g.leaves(), lambda: Value(tx, "int32", 0, n - 1), lambda: Value(k, "int32", 0, 3)]
        v = Expressions(rng, leaves).of("int32", 2)
        with self.out:
            self.out(f"{local}[{k}] = {v.text}")
        parts = [f"{local}[{rng.randrange(4)}]"]
        bound = Value("", "int32", v.lo, v.hi)
        if v.size * 64 < EXACT["int32"]:
            if chance(rng, 0.4):
                parts.append(f"T.shfl_xor({local}[1], {rng.choice((1, 4, 16))})")
                bound = Value("", "int32", bound.lo + v.lo, bound.hi + v.hi)
            if chance(rng, 0.3):
                parts.append(f"T.warp_reduce_sum({local}[2])")
                bound = Value("", "int32", bound.lo + 32 * v.lo, bound.hi + 32 * v.hi)
        if chance(rng, 0.4):
            cell = g.name("c")
            self.out(f'{cell} = T.alloc_var("int32", init=0)')
            self.out(f"if {tx} % {rng.randint(2, 5)} == 0:")
            self.out(f"    {cell} = {tx}")
            parts.append(cell)
            bound = Value("", "int32", bound.lo, bound.hi + n)
        self.out(f"{s.name}[{tx}] = {' + '.join(parts)}")
        s.hold(bound)
        g.tiles.append(s)

    def cell(self) -> None:
        """A uniform scalar that changes."""
        g, rng = self.g, self.rng
        name, k = g.name("c"), g.name("k")
        trips = rng.randint(1, 4)
        self.out(f'{name} = T.alloc_var("int32", init={rng.randint(0, 2)})')
        self.out(f"for {k} in T.serial({trips}):")
        with self.out:
            self.out(f"{name} = {name} * 2 + {k}")
        g.scalars.append(Value(name, "int32", 0, 2 * 2**trips + 4**trips))

    # -- results

    def atomic(self) -> None:
        g, rng = self.g, self.rng
        sources = [t for t in g.tiles if t.dtype in ("float32", "int32")]
        if not sources:
            self.copy()
            return
        t = rng.choice(sources)
        op = rng.choice(("add", "add", "max", "min"))
        if not t.exact and op != "add":
            op = "add"
        times = g.num_blocks * (product(t.shape) if chance(rng, 0.5) else 1)
        if op == "add" and max(abs(t.lo), abs(t.hi)) * times + 3 > EXACT[t.dtype]:
            self.copy()
            return
        if times == g.num_blocks:
            shape = tuple(max(1, n - rng.choice((0, 0, 1))) for n in t.shape)
            o = g.output(shape, t.dtype, t.exact, t.error + 1e-4)
            self.out(f"T.atomic_{op}({o.name}[{', '.join('0' for _ in shape)}], {t.name})")
        else:
            shape = tuple(rng.randint(1, 8) for _ in t.shape)
            o = g.output(shape, t.dtype, t.exact, t.error + 1e-3)
            variables = list(LETTERS[: len(t.shape)])
            index = [self.gather(variables, n) for n in shape]
            self.out(f"for {', '.join(variables)} in T.Parallel({', '.join(map(str, t.shape))}):")
            with self.out:
                self.out(f"T.atomic_{op}({o.name}[{', '.join(index)}], {t.at(*variables).text})")

    def store_tiles(self) -> None:
        g, rng = self.g, self.rng
        rng.shuffle(g.tiles)
        for t in g.tiles[:4]:
            if len(t.shape) == 2 and len(g.blocks) >= 2 and chance(rng, 0.5):
                self.store_ragged(t)
            else:
                o = g.output((*reversed(g.grid), *t.shape), t.dtype, t.exact, t.error)
                index = [*reversed(g.blocks), *("0" for _ in t.shape)]
                self.out(f"T.copy({t.name}, {o.name}[{', '.join(index)}])")

    def store_ragged(self, t: Tile) -> None:
        """Tiles of a matrix whose last ones stick out."""
        g, rng = self.g, self.rng
        m, n = t.shape
        rows = max(1, m * g.grid[1] - rng.randrange(m))
        cols = max(1, n * g.grid[0] - rng.randrange(n))
        lead = tuple(reversed(g.grid[2:]))
        symbol = ""
        if chance(rng, 0.3):
            symbol = g.name("n")
            g.dynamic[symbol] = rows
        dims = [*map(str, lead), symbol or str(rows), str(cols)]
        o = g.output((*lead, rows, cols), t.dtype, t.exact, t.error, f'T.Tensor(({", ".join(dims)},), "{t.dtype}")')
        head = "".join(f"{b}, " for b in reversed(g.blocks[2:]))
        if chance(rng, 0.5):
            self.out(f"T.copy({t.name}, {o.name}[{head}by * {m}, bx * {n}])")
        else:
            self.out(f"for i, j in T.Parallel({m}, {n}):")
            with self.out:
                self.out(f"{o.name}[{head}by * {m} + i, bx * {n} + j] = {t.name}[i, j]")

    def body(self) -> None:
        g, rng = self.g, self.rng
        for _ in range(rng.randint(1, 2)):
            self.new_tile()
        choices = (
            [self.new_tile] * 3
            + [self.reduce] * 3
            + [self.copy, self.scan, self.transpose, self.reshape, self.threads, self.cell]
            + [self.gemm, self.pipelined_gemm, self.atomic]
            + [lambda: self.loop(1)] * 3
            + [lambda: self.assign(rng.choice(g.tiles), whole=False)] * 3
            + [lambda: self.branch(g.tiles), lambda: self.out("T.sync_threads()")]
            + [self.data_loop, self.wrapping, self.narrow_index, self.block_digits, self.recast]
            + [self.loaded_cell, self.thread_range, self.hinted, self.stated]
        )
        for _ in range(rng.randint(1, 6)):
            rng.choice(choices)()


__all__ = ["Statements", "is_float"]
