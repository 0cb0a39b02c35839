# SPDX-License-Identifier: MIT
"""Composition of reference layouts."""

import math

import numpy as np

from .modes import Group, Mode, NotExpressible, cdiv, one_dim, vec, vmul

prod = math.prod


def layout(*args, **kwargs):
    from .model import Layout  # the model is made of these operations

    return Layout(*args, **kwargs)


def identity(shape, start=None):
    """x -> x (+ start), as a layout whose axes are the dims; the usual right operand of compose."""
    return layout(
        tuple(shape),
        tuple(one_dim(d, e, d) for d, e in enumerate(shape)),
        off=vec({str(d): s for d, s in (start or {}).items()}),
    )


def compose(A, B):
    """x -> A(B(x)). B's axes are A's dims ("0", "1", ...) or flattened groups of them ("0.1"). Exact, or
    NotExpressible."""
    if A.tab or B.tab or B.swz or B.reps:
        return compose_table(A, B)
    A = A.normal()
    for name in [a for a in B.axes if "." in a]:
        A = A.join(int(d) for d in name.split("."))
    radix = [[prod(m.n for m in g.modes[:i]) for i in range(len(g.modes) + 1)] for g in A.groups]

    def flat(v):  # contribution to every group's row-major index
        out = []
        for g in A.groups:
            w, y = {}, 1
            for d in reversed(g.dims):
                w[str(d)] = y
                y *= A.shape[d]
            if len(g.dims) > 1:
                w[".".join(map(str, g.dims))] = 1
            out.append(sum(s * w[a] for a, s in v if a in w))
        return out

    lo = [[0] * len(g.modes) for g in A.groups]
    hi = [[0] * len(g.modes) for g in A.groups]

    def place(n, step, exact):
        """Split a mode of n steps so that each part moves inside one digit of each group. Returns [(n, vector)]
        innermost first."""
        out = []
        while n > 1:
            cap, parts = n, []
            for k, (g, b) in enumerate(zip(A.groups, step, strict=False)):
                if not b or not g.modes:
                    continue
                i = max(i for i in range(len(g.modes)) if radix[k][i] <= abs(b))
                if b % radix[k][i]:
                    raise NotExpressible(f"step {b} is not a multiple of the digit weight {radix[k][i]}")
                if i + 1 < len(g.modes) and abs(b) * (n - 1) >= radix[k][i + 1]:
                    if radix[k][i + 1] % abs(b):
                        raise NotExpressible(f"step {b} does not divide the digit boundary {radix[k][i + 1]}")
                    cap = min(cap, radix[k][i + 1] // abs(b))
                parts.append((k, i, b // radix[k][i]))
            if n % cap and not exact:
                raise NotExpressible(f"{n} steps do not split into {cap}")
            v = ()
            for k, i, c in parts:
                v = vec(v, vmul(A.groups[k].modes[i].v, c))
                if c > 0:
                    hi[k][i] += c * (cap - 1)
                else:
                    lo[k][i] += c * (cap - 1)
            out.append(Mode(cap, v))
            n = cdiv(n, cap)
            step = [b * cap for b in step]
        return out

    groups = []
    for g in B.normal().groups:
        modes = []
        for i, m in enumerate(g.modes):
            modes += place(m.n, flat(m.v), i + 1 == len(g.modes))
        groups.append(Group(g.dims, g.bound, tuple(modes)))
    off = A.off
    for k, (g, o) in enumerate(zip(A.groups, flat(B.off), strict=False)):
        for i, m in enumerate(g.modes):
            last = i + 1 == len(g.modes)
            d = o // radix[k][i] if last else (o // radix[k][i]) % m.n
            if d + lo[k][i] < 0 or (not last and d + hi[k][i] >= m.n):
                raise NotExpressible(f"carry out of digit {i} of dims {g.dims}")
            off = vec(off, vmul(m.v, d))
    return layout(B.shape, tuple(groups), A.reps, off, A.swz).check().normal()


def compose_table(A, B):
    b = B.box()
    ok = B.inside(b)
    nd = len(A.shape)
    c = np.zeros((len(b), B.nreps, nd), np.int64)
    for a in B.axes:
        v = np.zeros((len(b), B.nreps), np.int64)
        v[ok] = B.values(a, b[ok])
        if a == "rep":
            continue
        for d in reversed([int(x) for x in a.split(".")]):
            c[..., d] += v % A.shape[d] if "." in a else v
            v = v // A.shape[d]
    vals = {a: np.full((len(b), B.nreps * A.nreps), -1, np.int64) for a in A.axes or ("addr",)}
    for a in vals:
        vals[a][ok] = A.values(a, c[ok].reshape(-1, nd)).reshape(ok.sum(), -1)
    return layout(B.shape, (), tab=(ok, vals))


def compose_any(A, B):
    try:
        return compose(A, B)
    except NotExpressible:
        return compose_table(A, B)
