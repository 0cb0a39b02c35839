# SPDX-License-Identifier: MIT
"""Fragments of the reference model: containment, conversion, reductions."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .modes import Mode, NotExpressible, cdiv, coalesce


def contains(F, G, axis="thread"):
    """Every place of G(x) on the axis is one of F(x)'s, for all x: G's owner can read F without communication."""
    if F.shape != G.shape:
        return False
    a, b = F.normal(), G.normal()
    only = lambda modes: [Mode(m.n, tuple(x for x in m.v if x[0] == axis)) for m in modes]

    def on_axis(L):
        return [(g.dims, g.bound, coalesce(only(g.modes), g.bound)) for g in L.groups]

    def copies(L):
        r = replace(L, shape=(), groups=(), off=())
        return set(r.values(axis)[0].tolist())

    if not a.tab and not b.tab and on_axis(a) == on_axis(b) and dict(a.off).get(axis, 0) == dict(b.off).get(axis, 0):
        return copies(b) <= copies(a)
    pts = F.points()
    if not np.array_equal(pts, G.points()):
        return False
    f, g = F.values(axis, pts), G.values(axis, pts)
    return all((f == g[:, j : j + 1]).any(1).all() for j in range(g.shape[1]))


class Conversion(NamedTuple):
    kind: str  # same | moves | shuffle | shared
    values: (
        int  # most values one thread must receive from elsewhere (shuffle rounds, or shared loads before vectorisation)
    )
    bytes: int  # shared memory needed


def conversion(A, B, bits):
    """Cost class of making B's fragment from A's. Prefers the nearest copy of each element."""
    pts = A.points()
    assert np.array_equal(pts, B.points())
    ta, sa, tb, sb = A.values("thread", pts), A.values("slot", pts), B.values("thread", pts), B.values("slot", pts)
    same = moves = shuf = True
    need = {}
    for j in range(tb.shape[1]):
        t, s = tb[:, j : j + 1], sb[:, j : j + 1]
        at_home, in_warp, in_slot = (ta == t).any(1), (ta // 32 == t // 32).any(1), ((ta == t) & (sa == s)).any(1)
        same &= bool(in_slot.all())
        moves &= bool(at_home.all())
        shuf &= bool(in_warp.all())
        for x in t[~at_home, 0]:
            need[int(x)] = need.get(int(x), 0) + 1
    most = max(need.values(), default=0)
    if same:
        return Conversion("same", 0, 0)
    if moves:
        return Conversion("moves", 0, 0)
    return Conversion("shuffle", most, 0) if shuf else Conversion("shared", most, cdiv(len(pts) * bits, 8))


class Stage(NamedTuple):
    kind: str  # slots | lanes | warps
    n: int  # participants, padded to a power of two for lanes (holes hold the identity)
    stride: int  # lane or warp distance


def reduce_plan(L, dim):
    """Stages that reduce dim, read off its digits. Lane digits with power-of-two room become XOR butterflies (holes
    hold the identity),
    digits of whole warps go through shared memory. A digit that straddles 32 threads splits there."""
    L = L.normal()
    g = L.group(dim)
    slots, lanes, warps = 1, [], 1
    if g.dims != (dim,):
        raise NotExpressible(f"dim {dim} shares digits with {g.dims}: relayout before reducing")
    used = [dict(m.v)["thread"] for m in [m for h in L.groups for m in h.modes] + list(L.reps) if "thread" in dict(m.v)]
    for m in g.modes:
        v = dict(m.v)
        if "thread" not in v:
            slots *= m.n
            continue
        if "slot" in v:
            raise NotExpressible("a digit moves thread and slot together")
        s, n = v["thread"], m.n
        if s >= 32:
            warps *= n
            continue
        inside = min(n, max(32 // s, 1))
        p = 1 << (inside - 1).bit_length()
        if s & (s - 1) or s * p > 32 or any(u % (s * p) for u in used if u > s) or used.count(s) > 1:
            raise NotExpressible(f"{n} lanes {s} apart have no aligned power-of-two room: through shared memory")
        lanes.append(Stage("lanes", p, s))
        warps *= cdiv(n, inside)
    out = [Stage("slots", slots, 1)] + sorted(lanes, key=lambda x: x.stride) + [Stage("warps", warps, 1)]
    return [x for x in out if x.n > 1]


def reduce_result(L, dim):
    return L.project(dim, {s.stride: s.n for s in reduce_plan(L, dim) if s.kind == "lanes"})
