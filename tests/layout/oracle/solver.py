# SPDX-License-Identifier: MIT
"""Reference model of the layout solver: classes, anchors, propagation, candidates, cost, explicit Converts.

A program is a list of ops over fragments: Nest (a T.Parallel or the loop of a copy: reads and writes fragments through
index maps, touches memory), Reduce, Scan, Anchor (an instruction's or the user's layout). solve() gives every fragment
and nest one layout. An index map has one entry per fragment dim: a loop variable number, (variable, k) for
variable // k, or None for a constant 0.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .compose import compose
from .fragments import Conversion, contains, conversion, reduce_plan, reduce_result
from .hardware import accesses, memory_cost
from .model import Layout
from .modes import Group, Mode, NotExpressible, cdiv, vec

prod = math.prod


W_ISSUE, W_SECTOR, W_WAVE, W_SHUFFLE, W_BARRIER, W_SPILL, REGS = (
    4,
    8,
    4,
    8,
    128,
    256,
    200,
)  # quarter issue slots; 32-bit registers a thread


class Frag(NamedTuple):
    name: str
    shape: tuple
    bits: int


class Mem(NamedTuple):
    name: str
    space: str
    layout: Layout
    bits: int
    store: bool = False  # layout: nest points -> element address


class Nest(NamedTuple):
    name: str
    shape: tuple
    reads: tuple = ()
    writes: tuple = ()
    mem: tuple = ()
    ops: int = 1


class Reduce(NamedTuple):
    src: str
    dst: str
    dim: int


class Scan(NamedTuple):
    src: str
    dim: int


class Anchor(NamedTuple):
    name: str
    layout: Layout
    why: str
    use: str = "def"  # use "read": an operand, the class may differ (Convert)


class Convert(NamedTuple):
    frag: str
    at: str
    to: str
    how: Conversion
    cost: int


def row_major(shape, pitch=None):
    strides, at = [], 1
    for d in reversed(range(len(shape))):
        strides.insert(0, at)
        at *= pitch if d == len(shape) - 1 and pitch else shape[d]
    return Layout(
        tuple(shape), tuple(Group((d,), e, (Mode(e, vec({"addr": strides[d]})),)) for d, e in enumerate(shape))
    )


# -- layouts seen through an index map
def pull(L, amap, frag_shape):
    """Fragment layout that holds, for each element, all places where nest layout L touches it: absent loop variables
    become replicas."""
    out, pos = L.normal(), list(range(len(L.shape)))
    for v, k in [(e[0], e[1]) for e in amap if isinstance(e, tuple)]:
        out = out.divide(pos[v], k).project(pos[v] + 1)
    keep = [e[0] if isinstance(e, tuple) else e for e in amap if e is not None]
    for v in sorted((v for v in range(len(L.shape)) if v not in keep), reverse=True):
        out = out.project(pos[v])
        pos = [p - (i > v) for i, p in enumerate(pos)]
    order = [sorted(keep).index(v) for v in keep]
    out = out.permute(order)
    for d, e in enumerate(amap):
        if e is None:
            out = out.broadcast(d, 1)
    return replace(out, shape=tuple(frag_shape)).check() if out.shape == tuple(frag_shape) else out


def push(F, amap, nest_shape):
    """Nest layout that owns each point where fragment F holds its element; loop variables that F does not see stay in
    the thread's slots."""
    B = Layout(tuple(nest_shape), tuple(Group((v,), e, (Mode(e, ()),)) for v, e in enumerate(nest_shape)))
    groups, S = list(B.groups), max(F.extents().get("slot", 1), 1)
    for d, e in enumerate(amap):
        if e is None:
            continue
        if isinstance(e, tuple):
            raise NotExpressible("divided index")
        groups[e] = Group((e,), nest_shape[e], (Mode(nest_shape[e], vec({str(d): 1})),))
    out = compose(F, Layout(tuple(nest_shape), tuple(groups)))
    for v in (v for v in range(len(nest_shape)) if v not in amap and nest_shape[v] > 1):
        g, serial = out.group(v), Group((v,), nest_shape[v], (Mode(nest_shape[v], vec({"slot": S})),))
        out = replace(out, groups=tuple(serial if h is g else h for h in out.groups))
        S *= nest_shape[v]
    return out


# -- candidates
def pow2(n):
    return 1 << max(n - 1, 0).bit_length()


def spread(shape, order, V, along, T, fill=True, flat=False):
    """Digits for any extents: V slots, then `along` threads, then slots on the fastest dim; the next dims take the
    threads that are left.

    fill: what is still left goes to the outer parts of the dims; else, and after that, idle whole digits become
    replicas. flat: one flattened group over all dims.
    """
    if flat:
        N = prod(shape)
        n = min(T, cdiv(N, V))
        rep = T // n
        modes = (Mode(V, vec({"slot": 1})), Mode(n, vec({"thread": 1})), Mode(cdiv(N, V * n), vec({"slot": V})))
        L = Layout(tuple(shape), (Group(tuple(range(len(shape))), N, modes),))
        return replace(L, reps=(Mode(rep, vec({"thread": n})),) if rep > 1 else ()).check()
    groups, t, s = [None] * len(shape), 1, 1
    for k, d in enumerate(order):
        E, modes = shape[d], []
        if k == 0 and V > 1:
            modes.append(Mode(V, vec({"slot": 1})))
            s = V
        n = min(along, cdiv(E, s if k == 0 else 1)) if k == 0 else min(T // t, E)
        if k == 0:
            n = min(pow2(n), along)
        if n > 1:
            modes.append(Mode(n, vec({"thread": t})))
            t *= n
        groups[d] = Group((d,), E, tuple(modes))
    for d in order:  # threads that are left go to the outer part of a dim, the rest of the dim to slots
        g = groups[d]
        left = cdiv(g.bound, prod(m.n for m in g.modes))
        n = min(T // t, left) if fill else 1
        if n > 1:
            g = replace(g, modes=g.modes + (Mode(n, vec({"thread": t})),))
            t *= n
            left = cdiv(left, n)
        if left > 1:
            g = replace(g, modes=g.modes + (Mode(left, vec({"slot": s})),))
            s *= left
        groups[d] = g
    return Layout(tuple(shape), tuple(groups), (Mode(T // t, vec({"thread": t})),) if T // t > 1 else ()).check()


def candidates(shape, T, mems, reduced, narrowest=32):
    """At most 24, in a fixed order: per contiguous dim and per vector width, warp-wide, narrower and block-wide rows,
    then flat. A class without memory is offered what suits the narrowest access of the program."""
    out, bits = [], max([m.bits for m in mems], default=narrowest)
    fast, e = [], np.eye(len(shape), dtype=int)
    for m in mems:
        step = lambda d: m.layout.values("addr", e[d : d + 1])[0, 0] - m.layout.values("addr", e[:1] * 0)[0, 0]
        fast += [d for d in reversed(range(len(shape))) if shape[d] > 1 and step(d) == 1]
    for f in dict.fromkeys(fast + [len(shape) - 1]):
        order = [f] + [d for d in reversed(range(len(shape))) if d != f]
        for V in [v for v in (32, 16, 8, 4, 2, 1) if v * bits <= 128 and v <= pow2(shape[f])]:
            if shape[f] % V:
                continue
            for along in dict.fromkeys([min(32, T), 1 << (T.bit_length() - 1) if T % 32 else T, 16, 8, 4, 1]):
                out.append((f"dim {f} fastest, {V} a thread, {along} along", spread(shape, order, V, along, T)))
            if reduced:
                out.append(
                    (
                        f"dim {f} fastest, {V} a thread, {min(32, T)} along, copies",
                        spread(shape, order, V, min(32, T), T, False),
                    )
                )
        if not reduced and f == len(shape) - 1:
            for V in [v for v in (32, 16, 8, 4, 2, 1) if v * bits <= 128 and prod(shape) % v == 0][:2]:
                out.append((f"flat, {V} a thread", spread(shape, order, V, T, T, flat=True)))
    seen, uniq = set(), []
    for why, L in out:
        if str(L.normal()) not in seen:
            seen.add(str(L.normal()))
            uniq.append((why, L))
    return uniq


# -- cost
def warps_of(L):
    return cdiv(L.extents().get("thread", 1), 32)


def slots_of(L):
    return L.extents().get("slot", 1)


def nest_cost(L, nest):
    """(cost, report lines): arithmetic on the four schedulers, then every memory access. Replica 0 alone stores;
    every replica loads,
    the further copies out of the first-level cache."""
    total, rep = W_ISSUE * nest.ops * slots_of(L) * cdiv(warps_of(L), 4), []
    for m in nest.mem:
        one, copies = replace(L, reps=()), 1 if m.store else L.nreps
        V, got, ideal = memory_cost(one, m.layout, m.bits, m.space)
        issues = len(list(accesses(one, m.layout, m.bits, V)))
        per_warp = (
            cdiv(warps_of(L), max(warps_of(one), 1)) if copies > 1 else 1
        )  # replicas inside a warp share its access
        again = (per_warp - 1) * got * W_SECTOR // 4
        total += per_warp * issues * W_ISSUE + (
            got * W_SECTOR + again if m.space == "global" else per_warp * got * W_WAVE
        )
        unit = "sectors" if m.space == "global" else "wavefronts"
        rep.append(f"{m.name}: {V} x {m.bits} bit, {got} {unit} (ideal {ideal}), {per_warp * issues} accesses")
    return total, rep


def reduce_cost(L, dim):
    stages, outs, c = reduce_plan(L, dim), slots_of(L.project(dim)), 0
    for s in stages:
        if s.kind == "slots":
            c += W_ISSUE * (s.n - 1) * outs * cdiv(warps_of(L), 4)
        if s.kind == "lanes":
            c += (W_SHUFFLE + W_ISSUE) * (s.n.bit_length() - 1) * outs * warps_of(L)
        if s.kind == "warps":
            c += 2 * W_BARRIER + W_WAVE * outs * (warps_of(L) + s.n) + W_ISSUE * s.n * outs
    return c, stages


def scan_cost(L, dim):
    """Inclusive scan: serial inside each run of slots; a warp scan of run totals for every outer slot digit; one
    carry over warps."""
    modes = L.normal().group(dim).modes
    ax = [m.v[0][0] if m.v else "slot" for m in modes]
    if L.normal().group(dim).dims != (dim,):
        raise NotExpressible("flattened")
    runs = prod(m.n for i, m in enumerate(modes) if ax[i] == "slot" and "thread" in ax[:i])
    inner = slots_of(L)
    lanes = prod(m.n for m, a in zip(modes, ax, strict=False) if a == "thread")
    c = W_ISSUE * 2 * inner * cdiv(warps_of(L), 4) + (W_SHUFFLE + W_ISSUE) * runs * 5 * warps_of(L) * (lanes > 1)
    return c + (2 * W_BARRIER * runs if lanes > 32 else 0)


def convert_cost(c, bits, n):
    if c.kind == "same":
        return 0
    if c.kind == "moves":
        return 0  # register renaming
    if c.kind == "shuffle":
        return (W_SHUFFLE + 2 * W_ISSUE) * cdiv(c.values * bits, 32)
    return 2 * W_BARRIER + 2 * W_WAVE * cdiv(n * bits, 8 * 128) * 2


# -- the solver
class Solution(NamedTuple):
    layouts: dict
    why: dict
    converts: list
    cost: int
    report: list


def identity_map(index, nest):
    return tuple(index) == tuple(range(len(nest.shape)))


class Solver:
    def __init__(self, ops, frags, T):
        self.ops, self.T = ops, T
        self.frags = {f.name: f for f in frags}
        self.nests = {o.name: o for o in ops if isinstance(o, Nest)}
        self.parent = {n: n for n in list(self.frags) + list(self.nests)}
        self.hard = {}
        self.merge()
        order = list(self.parent)
        roots = {self.find(n) for n in order}
        self.classes = sorted(roots, key=lambda c: (-prod(self.shape_of(c)), order.index(c)))
        self.members = {c: [n for n in order if self.find(n) == c] for c in self.classes}
        self.mems = {
            c: [m for n in self.members[c] if n in self.nests for m in self.nests[n].mem] for c in self.classes
        }

    def shape_of(self, n):
        return self.frags[n].shape if n in self.frags else self.nests[n].shape

    def find(self, x):
        while self.parent[x] != x:
            x = self.parent[x]
        return x

    def merge(self):
        """Identity accesses make one variable, writes first, then reads by size. Two different hard anchors never share
        one, and a nest that only stores to memory stays its own, so that the copy out may have another layout than
        what it reads."""
        hard, nests = self.hard, self.nests
        for o in self.ops:
            if isinstance(o, Anchor) and o.use == "def":
                hard.setdefault(o.name, (o.layout, f"anchor: {o.why}"))
        edges = [(0, n, f, a) for n in nests.values() for f, a in n.writes]
        edges += [(1, n, f, a) for n in nests.values() for f, a in n.reads if n.writes]
        for _, nest, f, index in sorted(
            edges, key=lambda e: (e[0], -prod(self.shape_of(e[2])) * self.frags[e[2]].bits)
        ):
            x, y = self.find(nest.name), self.find(f)
            if x == y or not identity_map(index, nest) or self.frags[f].shape != nest.shape:
                continue
            if x in hard and y in hard and hard[x][0] != hard[y][0]:
                continue
            self.parent[y] = x
            if y in hard:
                hard[x] = hard.pop(y)

    def derived(self, c, sol):
        """What the known classes say about an unknown one, in program order."""
        out = []
        for o in self.ops:
            try:
                if isinstance(o, Reduce) and self.find(o.dst) == c and self.find(o.src) in sol:
                    L, shape = reduce_result(sol[self.find(o.src)][0], o.dim), self.frags[o.dst].shape
                    out.append((f"reduce of {o.src}", L if L.shape == tuple(shape) else L.reshape(shape)))
                if not isinstance(o, Nest):
                    continue
                for f, a in o.writes + o.reads:
                    n, g = self.find(o.name), self.find(f)
                    if g == c and n in sol and n != c:
                        out.append((f"used by {o.name}", pull(sol[n][0], a, self.frags[f].shape)))
                    if n == c and g in sol and g != c:
                        out.append((f"follows {f}", push(sol[g][0], a, o.shape)))
            except NotExpressible:
                pass
        return out

    def candidates(self, c):
        reduced = any(isinstance(o, (Reduce, Scan)) and self.find(o.src) == c for o in self.ops)
        narrowest = min([32, *(m.bits for mems in self.mems.values() for m in mems)])
        return candidates(self.shape_of(c), self.T, self.mems[c], reduced, narrowest)

    def complete(self, sol):
        """Default completion: follow the neighbours; where nobody speaks, the first candidate."""
        sol = dict(sol)
        while len(sol) < len(self.classes):
            for c in self.classes:
                d = self.derived(c, sol) if c not in sol else []
                if d:
                    sol[c] = (d[0][1].normal(), d[0][0])
                    break
            else:
                c = next(c for c in self.classes if c not in sol)
                sol[c] = (self.candidates(c)[0][1].normal(), "first candidate")
        return sol

    def evaluate(self, sol):
        """Cost of a full assignment, with a Convert wherever a reader does not find its operand."""
        total, conv, rep, extra, L = 0, [], [], [0], lambda n: sol[self.find(n)][0]

        def need(f, at, want):
            bits = self.frags[f].bits
            how = conversion(L(f), want, bits)
            k = convert_cost(how, bits, prod(self.frags[f].shape))
            if how.kind != "same":
                conv.append(Convert(f, at, str(want.normal()), how, k))
                extra.append(cdiv(slots_of(want) * bits, 32))
            return k

        for o in self.ops:
            if isinstance(o, Nest):
                c, r = nest_cost(L(o.name), o)
                total += c
                rep += [f"{o.name}: {x}" for x in r]
                seen = lambda f, a, o=o: L(o.name) if identity_map(a, o) else pull(L(o.name), a, self.frags[f].shape)
                for f, a in o.reads:
                    if not contains(L(f), seen(f, a)):
                        total += need(f, o.name, seen(f, a))
                for f, a in o.writes:
                    if not (contains(L(f), seen(f, a)) and contains(seen(f, a), L(f))):
                        raise NotExpressible(f"{o.name} does not own what it writes to {f}")
            if isinstance(o, Reduce):
                c, stages = reduce_cost(L(o.src), o.dim)
                total += c
                text = [f"{s.kind} {s.n}" + (f" x{s.stride}" if s.kind == "lanes" else "") for s in stages]
                rep.append(f"reduce {o.src} over {o.dim}: " + ", ".join(text))
            if isinstance(o, Scan):
                total += scan_cost(L(o.src), o.dim)
            if isinstance(o, Anchor) and (o.use == "read" or L(o.name) != o.layout):
                total += need(o.name, o.why, o.layout)
        regs = sum(cdiv(slots_of(L(f)) * self.frags[f].bits, 32) for f in self.frags) + max(extra)
        return total + regs + W_SPILL * max(0, regs - REGS), conv, rep, regs

    def choose(self, c, sol):
        """The cheapest option of a class; ties: fewer registers, then earlier."""
        d, best = self.derived(c, sol), None
        options = {}
        for why, L in d + (self.candidates(c) if self.mems[c] or not d else []):
            options.setdefault(str(L.normal()), (why, L.normal()))
        for i, (why, L) in enumerate(options.values()):
            try:
                cost, _, _, regs = self.evaluate(self.complete({**sol, c: (L, why)}))
            except NotExpressible:
                continue
            if best is None or (cost, regs) < best[0]:
                best = ((cost, regs), L, why if len(options) == 1 else f"{i + 1} of {len(options)}: {why}")
        if best is None:
            raise NotExpressible(f"no candidate for {self.members[c]}")
        return best[1], best[2]

    def run(self):
        sol = {c: self.hard[c] for c in self.classes if c in self.hard}
        for c in self.classes:
            if c not in self.hard:
                sol[c] = self.choose(c, sol)
        cost, conv, rep, regs = self.evaluate(sol)
        layouts = {n: sol[self.find(n)][0].normal() for n in self.parent}
        why = {n: sol[self.find(n)][1] for n in self.parent}
        return Solution(layouts, why, conv, cost, rep + [f"{regs} registers a thread"])


def solve(ops, frags, T):
    """One class at a time, largest first; the others completed by default."""
    return Solver(ops, frags, T).run()


def choose_shared(families, ops_of, frags, T):
    """A shared buffer is a variable over the families that all its users accept: solve for each, keep the cheapest,
    ties to the first."""
    runs = [(name, solve(ops_of(S), frags, T)) for name, S in families]
    return min(runs, key=lambda r: r[1].cost), [(n, r.cost) for n, r in runs]


def explain(s):
    lines = [f"{n:8} {L}    [{s.why[n]}]" for n, L in s.layouts.items()]
    conv = [
        f"  convert {c.frag} for {c.at}: {c.how.kind}, {c.how.values} values a thread, {c.how.bytes} bytes, "
        f"cost {c.cost} -> {c.to}"
        for c in s.converts
    ]
    return "\n".join(lines + ["  " + r for r in s.report] + conv + [f"  cost {s.cost}"])
