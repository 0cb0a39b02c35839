# SPDX-License-Identifier: MIT
"""Digits and vectors of strides: what layouts of the reference model are made of."""

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

LETTER = {"a": "addr", "t": "thread", "s": "slot", "c": "cta", "r": "rank", "l": "lane", "q": "col"}
SHORT = {v: k for k, v in LETTER.items()}
prod = math.prod
cdiv = lambda a, b: -(-a // b)


# -- vectors of strides: sorted ((axis, stride), ...) without zeros
def vec(*terms):
    d = {}
    for axis, s in itertools.chain(*[t.items() if isinstance(t, dict) else t for t in terms]):
        d[axis] = d.get(axis, 0) + s
    return tuple(sorted((a, s) for a, s in d.items() if s))


def vmul(v, k):
    return tuple((a, s * k) for a, s in v) if k else ()


class Mode(NamedTuple):
    n: int
    v: tuple


class Swizzle(NamedTuple):
    bits: int
    base: int
    shift: int

    def __call__(self, x):
        return x ^ (((x >> (self.base + self.shift)) & ((1 << self.bits) - 1)) << self.base)


@dataclass(frozen=True)
class Group:
    dims: tuple
    bound: int
    modes: tuple


class NotExpressible(Exception):
    """Modes cannot say it. The message is the reason that explain() prints; callers fall back to .table()."""


class Digit(NamedTuple):
    axis: str
    stride: int
    n: int
    name: str  # the coordinate it counts: a dim "0", a flattened group "0.1", or "rep"
    weight: int


def one_dim(dim, extent, to):
    return Group((dim,), extent, (Mode(extent, vec({str(to): 1})),))


def split_at(modes, c):
    """(inner, outer) with prod(inner) == c, cutting one mode if c divides it; None when the digits are not aligned to
    c."""
    P = 1
    for i, m in enumerate(modes):
        if c == P:
            return tuple(modes[:i]), tuple(modes[i:])
        if P * m.n > c:
            if c % P or m.n % (c // P):
                return None
            a = c // P
            return tuple(modes[:i]) + (Mode(a, m.v),), (Mode(m.n // a, vmul(m.v, a)),) + tuple(modes[i + 1 :])
        P *= m.n
    return (tuple(modes), ()) if c == P else None


def coalesce(modes, bound):
    """Drop extent-1 digits, cut what the bound never reaches, merge digits that continue each other. Unique for the
    1-D function."""
    out, P = [], 1
    for m in modes:
        if bound <= P:
            break
        n = min(m.n, cdiv(bound, P))
        P *= m.n
        if n == 1:
            continue
        if out and m.v == vmul(out[-1].v, out[-1].n):
            out[-1] = Mode(out[-1].n * n, out[-1].v)
        else:
            out.append(Mode(n, m.v))
    if out:
        out[-1] = Mode(cdiv(bound, prod(m.n for m in out[:-1])), out[-1].v)
    return tuple(out)
