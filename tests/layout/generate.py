# SPDX-License-Identifier: MIT
"""Random layouts of the reference model: any digits, fragments as the solver makes them, memories of all kinds."""

import math
from dataclasses import replace

from tests.layout.oracle.model import Layout
from tests.layout.oracle.modes import Group, Mode, Swizzle, vec


def shape(r, rank=3, top=9):
    return tuple(r.randint(1, top) for _ in range(r.randint(1, rank)))


def radices(r, bound):
    out = []
    while math.prod(out) < bound:
        out.append(r.randint(2, 8))
    return out


def runs(r, rank):
    """A partition of the dims into runs, in order."""
    out, d = [], 0
    while d < rank:
        k = r.randint(1, rank - d)
        out.append(tuple(range(d, d + k)))
        d += k
    return out


def layout(r, axes=("addr",), reps=True, swz=True, ragged=True, of=None):
    """Any layout: arbitrary digits, strides, grouping, bounds, replicas, swizzle."""
    extents = of or shape(r)
    groups = []
    for dims in runs(r, len(extents)):
        full = math.prod(extents[d] for d in dims)
        bound = r.randint(1, full) if ragged and r.randint(0, 4) == 0 else full
        modes = tuple(Mode(n, vec({a: r.randint(0, 12) for a in axes})) for n in radices(r, bound))
        groups.append(Group(dims, bound, modes))
    count = r.randint(0, 2) if reps else 0
    copies = tuple(Mode(r.randint(1, 3), vec({a: r.randint(0, 40) for a in axes})) for _ in range(count))
    swizzle = Swizzle(r.randint(1, 2), r.randint(0, 2), r.randint(2, 3)) if swz and r.random() < 0.5 else None
    return Layout(extents, tuple(groups), copies, vec({a: r.randint(0, 3) for a in axes}), swizzle)


def fragment(r, of=None, replicas=True, top=12):
    """Padded digits that tile a (thread, slot) box: what the solver generates. Ragged extents included."""
    extents = of or shape(r, top=top)
    todo = []
    for dims in runs(r, len(extents)):
        bound = math.prod(extents[d] for d in dims)
        todo.append((dims, bound, radices(r, bound)))
    order = [(i, j) for i, (_, _, digits) in enumerate(todo) for j in range(len(digits))]
    r.shuffle(order)
    at, strides = {"thread": 1, "slot": 1}, {}
    for i, j in order:
        axis = r.choice(["thread", "slot"])
        strides[i, j] = {axis: at[axis]}
        at[axis] *= todo[i][2][j]
    groups = tuple(
        Group(dims, bound, tuple(Mode(n, vec(strides[i, j])) for j, n in enumerate(digits)))
        for i, (dims, bound, digits) in enumerate(todo)
    )
    copies = (Mode(r.randint(2, 4), vec({"thread": at["thread"]})),) if replicas and r.random() < 0.5 else ()
    return Layout(extents, groups, copies)


def memory(r, of):
    """The digits of a fragment, in any order, all on addr, with gaps, padding, offsets and swizzles."""
    f = fragment(r, of=of, replicas=False)
    keys = [(i, j) for i, g in enumerate(f.groups) for j in range(len(g.modes))]
    r.shuffle(keys)
    at, strides = r.choice([1, 1, 1, 2, 4]), {}
    for i, j in keys:
        strides[i, j] = at
        at = at * f.groups[i].modes[j].n + r.choice([0, 0, 0, 0, 1, 4])
    groups = tuple(
        replace(g, modes=tuple(Mode(m.n, vec({"addr": strides[i, j]})) for j, m in enumerate(g.modes)))
        for i, g in enumerate(f.groups)
    )
    swizzle = Swizzle(r.randint(1, 3), r.randint(0, 3), 3) if r.random() < 0.3 else None
    return Layout(f.shape, groups, off=vec({"addr": r.choice([0, 0, 2, 4])}), swz=swizzle)


def row_major(extents, pad=0):
    strides, at = {}, 1
    for d in reversed(range(len(extents))):
        strides[d] = at
        at *= extents[d] + (pad if d == len(extents) - 1 else 0)
    dims = tuple(Group((d,), e, (Mode(e, vec({"addr": strides[d]})),)) for d, e in enumerate(extents))
    return Layout(tuple(extents), dims)
