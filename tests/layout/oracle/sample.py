# SPDX-License-Identifier: MIT
"""From a user's function: modes, modes with a swizzle, or a table."""

import itertools
import math
from dataclasses import replace

import numpy as np

from .model import Layout
from .modes import Group, Mode, Swizzle, vec

prod = math.prod


def digits(g):
    """1-D samples g[y, axis] (g[0] = 0) -> strides per digit by the longest linear run, or None. Unique by theorem
    1."""
    E, out = len(g), []
    while E > 1:
        s = g[1]
        run = E
        bad = np.nonzero((g != np.arange(E)[:, None] * s).any(1))[0]
        if len(bad):
            run = int(bad[0])
        h = g[::run]
        if not np.array_equal(g, (np.arange(E) % run)[:, None] * s + h[np.arange(E) // run]):
            return None
        out.append((run, s))
        g, E = h, len(h)
    return out


def from_values(shape, vals):
    """vals: {axis: array over the row-major box}. Tries separate dims, then flattened runs of dims, then a swizzle of
    addr, then a table."""
    axes, r, N = sorted(vals), len(shape), prod(shape)
    if not N:
        return Layout(tuple(shape), tuple(Group((d,), e, ()) for d, e in enumerate(shape)))
    V = np.stack([np.asarray(vals[a], np.int64).reshape(N) for a in axes], -1)

    def fit(V):
        base = V[0]
        D = (V - base).reshape(*shape, len(axes))
        cuts = sorted(itertools.product([1, 0], repeat=max(r - 1, 0)), key=lambda c: -sum(c))
        for order in dict.fromkeys([tuple(range(r)), tuple(reversed(range(r)))]):
            for cut in cuts:
                runs, cur = [], [order[0]] if r else []
                for d, c in zip(order[1:], cut, strict=False):
                    if c:
                        runs.append(cur)
                        cur = [d]
                    else:
                        cur.append(d)
                if cur:
                    runs.append(cur)
                total, groups, ok = np.zeros_like(D), [], True
                for run in runs:
                    g = D[tuple(slice(None) if d in run else 0 for d in range(r))]
                    total = total + g.reshape(*[shape[d] if d in run else 1 for d in range(r)], len(axes))
                    ms = digits(g.transpose(*[sorted(run).index(d) for d in run], len(run)).reshape(-1, len(axes)))
                    if ms is None:
                        ok = False
                        break
                    groups.append(
                        Group(
                            tuple(run),
                            prod(shape[d] for d in run),
                            tuple(Mode(n, vec(dict(zip(axes, map(int, s), strict=False)))) for n, s in ms),
                        )
                    )
                if ok and np.array_equal(total, D):
                    return Layout(
                        tuple(shape), tuple(groups), off=vec(dict(zip(axes, map(int, base), strict=False)))
                    ).normal()
        return None

    L = fit(V)
    if L is None and axes == ["addr"] and V.min() >= 0:
        top = int(V.max()).bit_length()
        for bits, base, shift in itertools.product(range(1, 6), range(12), range(1, 12)):
            if shift >= bits and base + shift < top:
                sw = Swizzle(bits, base, shift)
                L = fit(sw(V))
                if L is not None:
                    return replace(L, swz=sw).normal()
    return (
        L
        if L is not None
        else Layout(tuple(shape), (), tab=(np.ones(N, bool), {a: V[:, i : i + 1] for i, a in enumerate(axes)}))
    )


def sample(shape, fn, axes=("addr",), replicate=1):
    """Exact over the finite domain. Several outputs for one axis are linearised row-major over their ranges, as
    users' layouts expect.
    replicate: fn takes one more variable, the replica."""
    full = tuple(shape) + ((replicate,) if replicate > 1 else ())
    idx = [i.ravel() for i in np.indices(full)]
    try:
        out = fn(*idx)
    except Exception:
        out = list(
            zip(
                *[
                    x if isinstance(x, (tuple, list)) else (x,)
                    for x in (fn(*map(int, p)) for p in zip(*idx, strict=False))
                ],
                strict=False,
            )
        )
    out = [
        np.broadcast_to(np.asarray(o, np.int64), (prod(full),))
        for o in (out if isinstance(out, (tuple, list)) else (out,))
    ]
    if len(axes) == 1 and len(out) > 1:
        lin = np.zeros(prod(full), np.int64)
        for o in out:
            lin = lin * (int(o.max(initial=0)) + 1) + o
        out = [lin]
    L = from_values(full, dict(zip(axes, out, strict=False)))
    if replicate == 1:
        return L
    k = len(shape)
    if not L.tab and L.group(k).dims == (k,):
        return replace(
            L, shape=tuple(shape), groups=tuple(g for g in L.groups if g.dims != (k,)), reps=L.group(k).modes
        ).normal()
    return Layout(
        tuple(shape),
        (),
        tab=(
            np.ones(prod(shape), bool),
            {a: np.asarray(o).reshape(-1, replicate) for a, o in zip(axes, out, strict=False)},
        ),
    )
