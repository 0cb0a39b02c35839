# SPDX-License-Identifier: MIT
"""Random matrix products: the part of `Statements` that writes T.gemm."""

from __future__ import annotations

from .expressions import fits
from .program import ERROR, SHARED_LIMIT, Tile, Value, chance, product, size_of

MMA_TYPES = (
    ("float16", "float32"),
    ("float16", "float32"),
    ("bfloat16", "float32"),
    ("float16", "float16"),
    ("float32", "float32"),
    ("int8", "int32"),
    ("uint8", "int32"),
    ("float64", "float64"),
)


class Gemms:
    def gemm_tiles(self) -> tuple[Tile, Tile, Tile, str] | None:
        """Operands, the accumulator and the options; the operands are not loaded yet."""
        rng = self.rng
        a_type, c_type = rng.choice(MMA_TYPES)
        if self.g.arch in ("sm_89", "sm_90a") and chance(rng, 0.15):
            a_type, c_type = rng.choice(("float8_e4m3fn", "float8_e5m2")), "float32"
        if chance(rng, 0.75):
            m, n, k = rng.choice((16, 32, 64)), rng.choice((8, 16, 32, 64)), rng.choice((16, 32, 64))
        else:
            m, n, k = rng.choice((3, 16, 20)), rng.choice((5, 8, 24)), rng.choice((4, 7, 16))
        ta, tb = chance(rng, 0.25), chance(rng, 0.35)
        # Operands in registers need the matrix instructions, which want whole atoms for each warp.
        in_registers = self.g.threads == 128 and m * n >= 64 * 32 and k % 32 == 0 and not ta and chance(rng, 0.3)
        if self.g.shared_bytes + (m + n) * k * size_of(a_type) > SHARED_LIMIT:
            return None
        a = self.alloc((k, m) if ta else (m, k), a_type, "fragment" if in_registers else "shared")
        b = self.alloc((n, k) if tb else (k, n), a_type, "shared")
        c = self.alloc((m, n), c_type, "fragment")
        options = (", transpose_A=True" if ta else "") + (", transpose_B=True" if tb else "")
        if chance(rng, 0.2):
            options += f", policy=T.GemmWarpPolicy.{rng.choice(('FullRow', 'FullCol', 'Square'))}"
        return a, b, c, options

    def product_of(self, a: Tile, b: Tile, c: Tile, k: int, trips: int) -> Value:
        top = max(abs(a.lo), abs(a.hi)) * max(abs(b.lo), abs(b.hi)) * k * trips
        v = Value("", c.dtype, c.lo - top, c.hi + top, a.exact and b.exact and c.exact)
        if not v.exact:
            v.error = a.error + b.error + 8 * max(ERROR[c.dtype], 2e-3 if a.dtype == "float32" else 0)
        return v

    def gemm(self) -> None:
        tiles = self.gemm_tiles()
        if tiles is None:
            self.copy()
            return
        a, b, c, options = tiles
        k = product(a.shape) // c.shape[0]
        self.load(a)
        self.load(b)
        if chance(self.rng, 0.7):
            self.out(f"T.clear({c.name})")
        else:
            options += ", clear_accum=True"
        v = self.product_of(a, b, c, k, 1)
        self.out(f"T.gemm({a.name}, {b.name}, {c.name}{options})")
        c.hold(v)
        # A sum that its dtype does not hold exactly is compared with a tolerance, and read by nothing else.
        if not fits(v, c.dtype):
            c.exact, c.error = False, 0.05
        # There is no arithmetic on 8-bit floats.
        self.g.tiles += [c, *([a] if "8_" not in a.dtype and chance(self.rng, 0.3) else [])]

    def pipelined_gemm(self) -> None:
        rng = self.rng
        tiles = self.gemm_tiles()
        if tiles is None:
            self.copy()
            return
        a, b, c, options = tiles
        k = product(a.shape) // c.shape[0]
        trips = rng.randint(0, 4)
        self.out(f"T.clear({c.name})")
        at_a = self.g.tensor(tuple(n * max(1, trips) - rng.choice((0, 0, 1)) for n in a.shape), a.dtype)
        at_b = self.g.tensor(tuple(n * max(1, trips) - rng.choice((0, 0, 1)) for n in b.shape), b.dtype)
        var = self.g.name("k")
        self.out(f"for {var} in T.Pipelined({trips}, num_stages={rng.randint(0, 4)}):")
        with self.out:
            for t, x in ((a, at_a), (b, at_b)):
                # Along k only one of the two dimensions moves.
                deep = 0 if t.shape[0] == k and (t is b or t.shape[1] != k) else 1
                index = [
                    f"{var} * {k}" if d == deep else f"{rng.choice(self.g.blocks)} * {n}" for d, n in enumerate(t.shape)
                ]
                self.out(f"T.copy({x.name}[{', '.join(index)}], {t.name})")
                t.hold(self.read(x))
            self.out(f"T.gemm({a.name}, {b.name}, {c.name}{options})")
        v = self.product_of(a, b, c, k, trips)
        c.hold(v)
        if not fits(v, c.dtype):
            c.exact, c.error = False, 0.05
        self.g.tiles.append(c)
