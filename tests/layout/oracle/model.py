# SPDX-License-Identifier: MIT
"""Reference model of the layout type: exact integer algorithms on modes, tables as the honest fallback.

A layout maps the points of a finite logical domain to sets of places. A place is an integer per named axis: addr
(shared or global element address), thread and slot (registers), cta, rank, lane and col (tensor memory).

    shape    (E_0, ..., E_{r-1})
    groups   a partition of the dims. A group takes its dims (slowest first), ranks them row-major into one index
             y < bound <= prod E, and reads y in a mixed radix: modes (n_0, v_0), (n_1, v_1), ... innermost first,
             v_i a vector of strides.
    reps     replicas: further modes, free in the domain; every point has prod(reps) places.
    off      constant vector
    swz      addr ^= ((addr >> (base+shift)) & (2**bits - 1)) << base, after everything else

    F(x) = { swz(off + sum_groups sum_i digit_i(y) v_i + sum_j rho_j u_j) : 0 <= rho_j < n_j }

Ragged extents need nothing special: 257 columns over 96 threads are modes (96:1t)(3:1s) with bound 257. `tab`
replaces groups by explicit values when modes cannot say it. Text form, parsed and printed:
"16,16 | 8:4t 2:2s | 2:1s 4:1t 2:4s | rep 2:32t | off 8a | swz 3,3,3". A group over the next two dims starts with *2,
over dims in another order with [1,0]; a ragged one ends with <bound.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from .domain import DomainOps
from .modes import LETTER, SHORT, Group, Mode, NotExpressible, Swizzle, coalesce, split_at, vec, vmul

prod = math.prod


@dataclass(frozen=True, eq=False)
class Layout(DomainOps):
    shape: tuple
    groups: tuple
    reps: tuple = ()
    off: tuple = ()
    swz: Swizzle | None = None
    tab: tuple | None = None  # (mask over the box, {axis: int array [points of the box, replicas]})

    # -- text
    @staticmethod
    def parse(text):
        head, *parts = [p.strip() for p in text.split("|")]
        shape = tuple(int(x) for x in head.split(",") if x)

        def strides(s):
            terms = [x for x in s.split("+") if x not in ("0", "")]
            return vec(
                [(x.split("@")[1], int(x.split("@")[0])) if "@" in x else (LETTER[x[-1]], int(x[:-1])) for x in terms]
            )

        def modes(ws):
            return tuple(Mode(int(w.split(":")[0]), strides(w.split(":")[1])) for w in ws)

        groups, reps, off, swz, used = [], (), (), None, set()
        for p in parts:
            ws = p.split()
            if ws and ws[0] == "rep":
                reps = modes(ws[1:])
                continue
            if ws and ws[0] == "off":
                off = strides(ws[1])
                continue
            if ws and ws[0] == "swz":
                swz = Swizzle(*map(int, ws[1].split(",")))
                continue
            rest = [d for d in range(len(shape)) if d not in used]
            if ws and ws[0][0] == "[":
                dims = tuple(map(int, ws.pop(0)[1:-1].split(",")))
            else:
                dims = tuple(rest[: int(ws.pop(0)[1:])] if ws and ws[0][0] == "*" else rest[:1])
            used.update(dims)
            bound = prod(shape[d] for d in dims)
            if ws and ws[-1].startswith("<"):
                bound = int(ws[-1][1:])
                ws = ws[:-1]
            groups.append(Group(dims, bound, modes(ws)))
        return Layout(shape, tuple(groups), reps, off, swz).check()

    def __str__(self):
        if self.tab:
            return f"{','.join(map(str, self.shape))} | table {len(self.tab[0])}x{self.nreps}"
        st = lambda v: "+".join(f"{s}{SHORT[a]}" if a in SHORT else f"{s}@{a}" for a, s in v) or "0"
        ms = lambda modes: [f"{m.n}:{st(m.v)}" for m in modes]
        out, used = [",".join(map(str, self.shape))], set()
        for g in self.groups:
            rest = [d for d in range(len(self.shape)) if d not in used]
            used.update(g.dims)
            ws = ms(g.modes)
            if list(g.dims) != rest[: len(g.dims)]:
                ws = [f"[{','.join(map(str, g.dims))}]"] + ws
            elif len(g.dims) > 1:
                ws = [f"*{len(g.dims)}"] + ws
            out.append(" ".join(ws + ([f"<{g.bound}"] if g.bound != self.size_of(g) else [])))
        if self.reps:
            out.append(" ".join(["rep"] + ms(self.reps)))
        if self.off:
            out.append("off " + st(self.off))
        if self.swz:
            out.append(f"swz {self.swz.bits},{self.swz.base},{self.swz.shift}")
        return " | ".join(out)

    __repr__ = __str__

    def check(self):
        assert self.tab or sorted(d for g in self.groups for d in g.dims) == list(range(len(self.shape))), (
            "groups must partition the dims"
        )
        assert not self.swz or self.swz.shift >= self.swz.bits, "a swizzle must not overlap itself"
        for g in self.groups:
            assert 0 <= g.bound <= self.size_of(g) and prod(m.n for m in g.modes) >= g.bound, (
                f"modes do not cover dims {g.dims}"
            )
        return self

    # -- meaning: the definition every algorithm below is tested against
    def size_of(self, g):
        return prod(self.shape[d] for d in g.dims)

    def group(self, dim):
        if self.tab:
            raise NotExpressible("a table has no digits")
        return next(g for g in self.groups if dim in g.dims)

    @property
    def axes(self):
        if self.tab:
            return tuple(sorted(self.tab[1]))
        vs = [self.off] + [m.v for g in self.groups for m in g.modes if m.n > 1] + [m.v for m in self.reps if m.n > 1]
        return tuple(sorted({a for v in vs for a, _ in v}))

    @property
    def nreps(self):
        return next(iter(self.tab[1].values())).shape[1] if self.tab else prod(m.n for m in self.reps)

    def box(self):
        return np.indices(self.shape).reshape(len(self.shape), -1).T if self.shape else np.zeros((1, 0), int)

    def rank(self, g, pts):
        y = np.zeros(len(pts), np.int64)
        for d in g.dims:
            y = y * self.shape[d] + pts[:, d]
        return y

    def inside(self, pts):
        if self.tab:
            return self.tab[0][np.ravel_multi_index(tuple(pts.T), self.shape)] if self.shape else self.tab[0]
        ok = np.ones(len(pts), bool)
        for g in self.groups:
            ok &= self.rank(g, pts) < g.bound
        return ok

    def points(self):
        b = self.box()
        return b[self.inside(b)]

    def values(self, axis, pts=None):
        """int array [points, replicas] of the places on one axis."""
        pts = self.points() if pts is None else np.asarray(pts, np.int64).reshape(len(pts), len(self.shape))
        if self.tab:
            i = np.ravel_multi_index(tuple(pts.T), self.shape) if self.shape else np.zeros(len(pts), int)
            return self.tab[1].get(axis, np.zeros((len(self.tab[0]), self.nreps), np.int64))[i]
        out = np.full(len(pts), dict(self.off).get(axis, 0), np.int64)
        for g in self.groups:
            y = self.rank(g, pts)
            for m in g.modes:
                out = out + (y % m.n) * dict(m.v).get(axis, 0)
                y = y // m.n
        r = np.zeros(1, np.int64)
        for m in self.reps:
            r = np.add.outer(np.arange(m.n) * dict(m.v).get(axis, 0), r).ravel()
        out = np.add.outer(out, r)
        return self.swz(out) if self.swz and axis == "addr" else out

    def __call__(self, *x):
        """The set of places of one point, as dicts."""
        v = {a: self.values(a, [x])[0] for a in self.axes}
        return [{a: int(v[a][j]) for a in v} for j in range(self.nreps)]

    def table(self):
        b = self.box()
        ok = self.inside(b)
        vals = {}
        for a in self.axes or ("addr",):
            vals[a] = np.full((len(b), self.nreps), -1, np.int64)
            vals[a][ok] = self.values(a, b[ok])
        return Layout(self.shape, (), tab=(ok, vals))

    # -- normal form and equality
    def normal(self):
        """Unique for a given function when no group mixes dims in another order."""
        if self.tab:
            return self
        groups = []
        for g in self.groups:
            ones = [d for d in g.dims if self.shape[d] == 1] if g.bound else []
            dims, bound, modes = tuple(d for d in g.dims if d not in ones), g.bound, coalesce(g.modes, g.bound)
            groups += [Group((d,), 1, ()) for d in ones]
            size = lambda ds: prod(self.shape[d] for d in ds)
            while len(dims) > 1 and bound == size(dims):  # split off the fastest dims where the digits allow it
                j, cut = next(
                    ((j, c) for j in range(1, len(dims)) if (c := split_at(modes, size(dims[-j:])))), (0, None)
                )
                if not cut:
                    break
                fast, dims = dims[-j:], dims[:-j]
                groups.append(Group(fast, size(fast), coalesce(cut[0], size(fast))))
                bound = size(dims)
                modes = coalesce(cut[1], bound)
            if dims:
                groups.append(Group(dims, bound, modes))
        reps = []
        for m in sorted(
            (m for m in self.reps if m.n > 1 and m.v), key=lambda m: (tuple((a, abs(s)) for a, s in m.v), m.n)
        ):
            if reps and m.v == vmul(reps[-1].v, reps[-1].n):
                reps[-1] = Mode(reps[-1].n * m.n, reps[-1].v)
            else:
                reps.append(m)
        out = replace(self, groups=tuple(sorted(groups, key=lambda g: min(g.dims))), reps=tuple(reps))
        if self.swz:
            top = replace(out, swz=None).extents().get("addr", 1) - 1
            bits = min(self.swz.bits, max(0, top.bit_length() - self.swz.base - self.swz.shift))
            out = replace(out, swz=Swizzle(bits, self.swz.base, self.swz.shift) if bits else None)
        return out

    def __eq__(self, other):
        if self.shape != other.shape:
            return False
        if not self.tab and not other.tab:
            a, b = self.normal(), other.normal()
            if (a.groups, a.reps, a.off, a.swz) == (b.groups, b.reps, b.off, b.swz):
                return True
            if [g.dims for g in a.groups] == [g.dims for g in b.groups] and not (a.reps or b.reps or a.swz or b.swz):
                return False
        pts = self.points()
        if not np.array_equal(pts, other.points()):
            return False
        axes = sorted(set(self.axes) | set(other.axes))

        def rows(L):
            v = np.stack([L.values(a, pts) for a in axes], -1) if axes else np.zeros((len(pts), L.nreps, 1), np.int64)
            return [set(map(tuple, p)) for p in v.tolist()]

        return rows(self) == rows(other)

    __hash__ = None

    # -- extents, injectivity
    def extents(self):
        """{axis: 1 + largest value over the padded digits}; the physical size of the axis (holes included)."""
        if self.tab:
            return {a: int(v.max(initial=-1)) + 1 for a, v in self.tab[1].items()}
        out = {}
        for a in self.axes:
            terms = [dict(m.v).get(a, 0) * (m.n - 1) for g in self.groups for m in g.modes] + [
                dict(m.v).get(a, 0) * (m.n - 1) for m in self.reps
            ]
            top = dict(self.off).get(a, 0) + sum(max(t, 0) for t in terms)
            if self.swz and a == "addr":  # a swizzle stays inside the aligned block of its source bits
                blk = 1 << (self.swz.base + self.swz.shift + self.swz.bits)
                if top >= 1 << (self.swz.base + self.swz.shift):
                    top = top // blk * blk + blk - 1
            out[a] = top + 1
        return out

    def injective(self, axes=None):
        """No place holds two different (point, replica). Gap test on sorted strides; where it does not decide, count
        the places."""
        axes = self.axes if axes is None else axes
        if not self.tab:
            all_modes = [m for g in self.groups for m in g.modes if m.n > 1] + [m for m in self.reps if m.n > 1]
            if all(sum(a in axes for a, _ in m.v) == 1 and all(s > 0 for _, s in m.v) for m in all_modes):
                ok = True
                for a in axes:
                    reach = 0
                    for s, n in sorted((dict(m.v)[a], m.n) for m in all_modes if a in dict(m.v)):
                        ok &= s > reach
                        reach += s * (n - 1)
                if ok:
                    return True
        v = (
            np.stack([self.values(a).ravel() for a in axes], -1)
            if axes
            else np.zeros((len(self.points()) * self.nreps, 1))
        )
        return len(np.unique(v, axis=0)) == len(v)

    def bijective(self, **extents):
        """Each place of the box is hit exactly once: injective and as many places as the box has."""
        e = self.extents()
        return (
            all(e.get(a, 1) <= n for a, n in extents.items())
            and set(self.axes) <= set(extents)
            and self.injective()
            and len(self.points()) * self.nreps == prod(extents.values())
        )
