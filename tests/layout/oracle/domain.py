# SPDX-License-Identifier: MIT
"""Operations on the domain of a reference layout: exact, or NotExpressible; on a table always exact."""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from . import compose as composition
from .modes import Digit, Group, Mode, NotExpressible, Swizzle, cdiv, one_dim, split_at, vec

prod = math.prod


class DomainOps:
    """Methods of Layout that make new layouts."""

    def through(self, shape, *groups, off=()):
        return composition.compose_table(self, composition.layout(tuple(shape), groups, off=off))

    def permute(self, order):
        """New dim k is old dim order[k]. Closed."""
        if self.tab:
            return self.through(
                [self.shape[d] for d in order], *[one_dim(k, self.shape[d], d) for k, d in enumerate(order)]
            )
        inv = {d: k for k, d in enumerate(order)}
        groups = [replace(g, dims=tuple(inv[d] for d in g.dims)) for g in self.groups]
        return replace(
            self,
            shape=tuple(self.shape[d] for d in order),
            groups=tuple(sorted(groups, key=lambda g: min(g.dims, default=0))),
        )

    def divide(self, dim, tile):
        """Dim of extent E becomes two dims (ceil(E/tile), tile). Closed when tile divides E or dim is the slowest of
        its group."""
        E = self.shape[dim]
        new = self.shape[:dim] + (cdiv(E, tile), tile) + self.shape[dim + 1 :]
        if self.tab:
            return self.through(
                new,
                *[one_dim(d + (d > dim), e, d) for d, e in enumerate(self.shape) if d != dim],
                Group((dim, dim + 1), E, (Mode(cdiv(E, tile) * tile, vec({str(dim): 1})),)),
            )
        g = self.group(dim)
        k = g.dims.index(dim)
        if E % tile and k:
            raise NotExpressible(f"dim {dim} ({E}) is not the slowest of its group and {tile} does not divide it")
        ren = lambda d: d + (d > dim)
        groups = [
            replace(h, dims=tuple(ren(d) for d in h.dims))
            if h is not g
            else replace(h, dims=tuple(x for d in h.dims for x in ((dim, dim + 1) if d == dim else (ren(d),))))
            for h in self.groups
        ]
        return replace(self, shape=new, groups=tuple(groups)).check()

    def join(self, dims):
        """Puts dims (slowest first) into one group. Every group but the slowest must be unpadded: prod(modes) ==
        bound == extents."""
        dims, L, gs = tuple(dims), self.normal(), []
        for d in dims:
            g = L.group(d)
            if L.size_of(g) > 1 and g not in gs:
                gs.append(g)
        if [d for g in gs for d in g.dims] != [d for d in dims if L.shape[d] != 1]:
            raise NotExpressible(f"dims {dims} are not whole groups in this order")
        for g in gs[1:]:
            if not prod(m.n for m in g.modes) == g.bound == L.size_of(g):
                raise NotExpressible(f"dims {g.dims} are padded")
        new = Group(dims, prod(g.bound for g in gs), tuple(m for g in reversed(gs) for m in g.modes))
        return replace(L, groups=tuple(g for g in L.groups if not set(g.dims) & set(dims)) + (new,))

    def reshape(self, shape):
        """Row-major reinterpretation of the domain, segment by segment between the common prefix products."""
        assert prod(shape) == prod(self.shape), "reshape keeps the number of elements"
        if self.tab:
            flat = ".".join(map(str, range(len(self.shape))))
            return self.through(
                shape, Group(tuple(range(len(shape))), prod(shape), (Mode(prod(shape), vec({flat: 1})),))
            )
        L, segs, i, j = self.normal(), [], 0, 0
        while i < len(self.shape) or j < len(shape):
            i0, j0, a, b = i, j, 1, 1
            while True:  # the shortest runs of old and of new dims with the same product
                if i < len(self.shape) and (i == i0 or a < b):
                    a *= self.shape[i]
                    i += 1
                elif j < len(shape) and (j == j0 or b < a):
                    b *= shape[j]
                    j += 1
                else:
                    break
            while segs and any(min(g.dims) < i0 <= max(g.dims) for g in L.groups):
                i0, _, j0, _ = segs.pop()  # a flattened group crosses
            segs.append((i0, i, j0, j))
        groups = []
        for i0, i, j0, j in segs:
            g = L.join(range(i0, i)).group(i0) if i > i0 else Group((), 1, ())
            if j > j0:
                groups.append(Group(tuple(range(j0, j)), g.bound, g.modes))
        return replace(L, shape=tuple(shape), groups=tuple(groups)).check().normal()

    def slice(self, dim, start, size=None):
        """Region [start, start+size) of a dim; size None drops the dim. Composition with x -> x + start; other groups
        stay whole."""
        if self.tab:
            keep = [d for d in range(len(self.shape)) if d != dim or size is not None]
            dims = [one_dim(k, size if d == dim else self.shape[d], d) for k, d in enumerate(keep)]
            return self.through([size if d == dim else self.shape[d] for d in keep], *dims, off=vec({str(dim): start}))
        L = self.normal()
        g = L.group(dim)
        ident = []
        for h in L.groups:
            for ds in [(d,) for d in h.dims] if h is g else [h.dims]:
                n = (size or 1) if ds == (dim,) else L.size_of(h) if h is not g else L.shape[ds[0]]
                ident.append(Group(ds, n if h is g else h.bound, (Mode(n, vec({".".join(map(str, ds)): 1})),)))
        shape = tuple((size or 1) if d == dim else e for d, e in enumerate(L.shape))
        if g.bound != L.size_of(g):
            raise NotExpressible("slice of a dim whose domain is not a box")
        out = composition.compose(L, composition.layout(shape, tuple(ident), off=vec({str(dim): start})))
        if size is not None:
            return out
        return replace(
            out,
            shape=shape[:dim] + shape[dim + 1 :],
            groups=tuple(replace(h, dims=tuple(d - (d > dim) for d in h.dims)) for h in out.groups if h.dims != (dim,)),
        )

    def free(self, axis, extent):
        """Complement on one axis: modes over the places of [0, extent) that no digit uses; the way to replicate over
        idle threads."""
        L, at, out = self.normal(), 1, []
        for s, n in sorted(
            (dict(m.v)[axis], m.n) for m in [m for g in L.groups for m in g.modes] + list(L.reps) if axis in dict(m.v)
        ):
            if s % at:
                raise NotExpressible(f"places on {axis} between {at} and {s} are not a whole digit")
            if s > at:
                out.append(Mode(s // at, vec({axis: at})))
            at = s * n
        if extent // at > 1:
            out.append(Mode(extent // at, vec({axis: at})))
        return tuple(out)

    def repeat(self, dim, n, v):
        """n copies of the layout along dim, copy i displaced by i*v. Needs the dim unpadded and the slowest of its
        group."""
        g = self.group(dim)
        if g.dims[0] != dim or not prod(m.n for m in g.modes) == g.bound == self.size_of(g):
            raise NotExpressible(f"dim {dim} is padded")
        new = replace(g, bound=g.bound * n, modes=g.modes + (Mode(n, vec(v)),))
        shape = self.shape[:dim] + (self.shape[dim] * n,) + self.shape[dim + 1 :]
        return replace(self, shape=shape, groups=tuple(new if h is g else h for h in self.groups))

    def broadcast(self, dim, n):
        """New dim of extent n on which nothing depends."""
        ren = lambda d: d + (d >= dim)
        if self.tab:
            return self.through(
                self.shape[:dim] + (n,) + self.shape[dim:],
                Group((dim,), n, (Mode(n, ()),)),
                *[one_dim(ren(d), e, d) for d, e in enumerate(self.shape)],
            )
        return replace(
            self,
            shape=self.shape[:dim] + (n,) + self.shape[dim:],
            groups=tuple(replace(g, dims=tuple(map(ren, g.dims))) for g in self.groups)
            + (Group((dim,), n, (Mode(n, ()),)),),
        )

    def project(self, dim, lanes=None):
        """Forget dim: its thread digits become replicas, its slots vanish, slots are renumbered densely.

        The fragment of a reduction's result, and of what a nest reads without this variable. lanes {stride: n}:
        butterflies that were padded to n lanes."""
        L = self.normal()
        g = L.group(dim)
        if g.dims != (dim,):
            raise NotExpressible(f"dim {dim} shares digits with {g.dims}: relayout before reducing")
        keep = [h for h in L.groups if h is not g]
        pad = lambda m: max(m.n, (lanes or {}).get(dict(m.v).get("thread"), 1))
        reps = L.reps + tuple(
            Mode(pad(m), tuple(x for x in m.v if x[0] != "slot")) for m in g.modes if any(a != "slot" for a, _ in m.v)
        )
        slots = sorted({dict(m.v)["slot"] for h in keep for m in h.modes if "slot" in dict(m.v)})
        dense, at = {}, 1
        for s in slots:
            dense[s] = at
            at *= max(m.n for h in keep for m in h.modes if dict(m.v).get("slot") == s)
        fix = lambda m: Mode(m.n, vec({a: (dense[s] if a == "slot" else s) for a, s in m.v}))
        return replace(
            L,
            shape=L.shape[:dim] + L.shape[dim + 1 :],
            reps=reps,
            off=tuple(x for x in L.off if x[0] != "slot"),
            groups=tuple(
                replace(h, dims=tuple(d - (d > dim) for d in h.dims), modes=tuple(map(fix, h.modes))) for h in keep
            ),
        ).normal()

    def recast(self, dim, k, ax="addr"):
        """View with elements k times smaller (k > 1) or -k times larger (k < -1) along dim. Memory: ax addr;
        registers: ax slot."""
        L = self.normal()
        g = L.group(dim)
        if g.dims != (dim,):
            raise NotExpressible(f"dim {dim} shares digits with {g.dims}")
        scale = lambda v, f: vec({a: (f(s) if a == ax else s) for a, s in v})
        if k > 1:
            up = lambda m: Mode(m.n, scale(m.v, lambda s: s * k))
            sh = k.bit_length() - 1
            gs = tuple(
                replace(h, modes=tuple(map(up, h.modes)))
                if h is not g
                else Group((dim,), g.bound * k, (Mode(k, vec({ax: 1})),) + tuple(map(up, g.modes)))
                for h in L.groups
            )
            return replace(
                L,
                shape=L.shape[:dim] + (L.shape[dim] * k,) + L.shape[dim + 1 :],
                groups=gs,
                reps=tuple(map(up, L.reps)),
                off=scale(L.off, lambda s: s * k),
                swz=L.swz and Swizzle(L.swz.bits, L.swz.base + sh, L.swz.shift),
            ).normal()
        k = -k
        sh = k.bit_length() - 1
        cut = split_at(g.modes, k)
        if g.bound % k or not cut or cut[0] != (Mode(k, vec({ax: 1})),):
            raise NotExpressible(f"{k} neighbours along dim {dim} are not one aligned unit")
        rest = [m for h in L.groups if h is not g for m in h.modes] + list(cut[1]) + list(L.reps) + [Mode(1, L.off)]
        if any(dict(m.v).get(ax, 0) % k for m in rest) or (L.swz and L.swz.base < sh):
            raise NotExpressible("other strides split the wider element")
        dn = lambda m: Mode(m.n, scale(m.v, lambda s: s // k))
        gs = tuple(
            replace(h, modes=tuple(map(dn, h.modes)))
            if h is not g
            else Group((dim,), g.bound // k, tuple(map(dn, cut[1])))
            for h in L.groups
        )
        return replace(
            L,
            shape=L.shape[:dim] + (L.shape[dim] // k,) + L.shape[dim + 1 :],
            groups=gs,
            reps=tuple(map(dn, L.reps)),
            off=scale(L.off, lambda s: s // k),
            swz=L.swz and Swizzle(L.swz.bits, L.swz.base - sh, L.swz.shift),
        ).normal()

    # -- inverse
    def digits(self):
        """The digit form: every digit with its place stride and its weight in the coordinate. What codegen and all
        costs read."""
        if self.tab:
            raise NotExpressible("a table has no digits")
        out = [
            (m, ".".join(map(str, g.dims)), prod(x.n for x in g.modes[:i]))
            for g in self.groups
            for i, m in enumerate(g.modes)
        ]
        out += [(m, "rep", prod(x.n for x in self.reps[:i])) for i, m in enumerate(self.reps)]
        out = [(m, name, w) for m, name, w in out if m.n > 1]
        if any(len(m.v) != 1 or m.v[0][1] < 0 for m, _, _ in out):
            raise NotExpressible("a digit moves no axis, two axes or backwards")
        return [Digit(*m.v[0], m.n, name, w) for m, name, w in out]

    def inverse(self):
        """places -> coordinates by greedy division on each axis; holes are refused, never given a wrong coordinate.
        Needs the gap test."""
        if self.off:
            raise NotExpressible("offset: subtract it first")
        ds = sorted(self.digits())
        for axis in {d.axis for d in ds}:
            reach = 0
            for d in (d for d in ds if d.axis == axis):
                if d.stride <= reach:
                    raise NotExpressible(f"digits on {axis} overlap at stride {d.stride}")
                reach += d.stride * (d.n - 1)
        limits = {".".join(map(str, g.dims)): g.bound for g in self.groups if prod(m.n for m in g.modes) != g.bound}
        return Inverse(tuple(ds), limits, self.swz)

    def inverse_table(self):
        """{place as (value per axis, in axes order): point}: the inverse that always exists for an injective layout."""
        pts = self.points()
        v = np.stack([self.values(a, pts) for a in self.axes], -1)
        return {tuple(q): tuple(p) for p, row in zip(pts.tolist(), v.tolist(), strict=False) for q in row}


class Inverse(NamedTuple):
    digits: tuple
    limits: dict  # coordinate -> bound, where the padded digits reach further
    pre: Swizzle | None  # applied to addr first; a swizzle is its own inverse

    def __call__(self, **place):
        c = {d.name: 0 for d in self.digits}
        for axis, y in place.items():
            if self.pre and axis == "addr":
                y = int(self.pre(y))
            for d in sorted((d for d in self.digits if d.axis == axis), reverse=True):
                q, y = divmod(y, d.stride)
                if q >= d.n:
                    return None
                c[d.name] += q * d.weight
            if y:
                return None
        return None if any(c.get(k, 0) >= b for k, b in self.limits.items()) else c

    def layout(self, *axes):
        """As a Layout from places to coordinates, when the strides of each axis divide each other (then (y / s) % r
        is a digit)."""
        groups, shape = [], []
        for k, a in enumerate(axes):
            ds = [d for d in self.digits if d.axis == a]
            modes = []
            for d, nxt in zip(ds, ds[1:] + [None], strict=False):
                if (d.stride if d is ds[0] else 0) > 1 or (nxt and nxt.stride % d.stride):
                    raise NotExpressible(f"{a} is not one radix system")
                modes.append(Mode(nxt.stride // d.stride if nxt else d.n, vec({d.name: d.weight})))
            size = prod(m.n for m in modes)
            groups.append(Group((k,), size, tuple(modes)))
            shape.append(size)
        return composition.layout(tuple(shape), tuple(groups)).check()
