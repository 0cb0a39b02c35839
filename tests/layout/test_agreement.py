# SPDX-License-Identifier: MIT
"""Every operation of the layout algebra against the reference model on random layouts, through the text form.

The default tier takes fixed inputs; with --all each operation is compared on 10^4 fresh layouts, and a failure names
the seed that repeats it.
"""

import contextlib
import math
import random
from dataclasses import replace

import numpy as np
import pytest

from tests.layout import generate as g
from tests.layout.core import core, from_core, or_refused, to_core
from tests.layout.oracle import fragments as fr
from tests.layout.oracle import hardware as hw
from tests.layout.oracle.compose import compose, compose_any
from tests.layout.oracle.model import Layout
from tests.layout.oracle.modes import Group, Mode, NotExpressible, vec
from tests.layout.oracle.sample import from_values, sample

CHECKS = {}


def check(f):
    """f(random) compares one operation on fresh random layouts."""
    CHECKS[f.__name__] = f
    return f


def agree(want, got, *inputs):
    assert want == got, f"\ninputs: {[str(x) for x in inputs]}\nreference: {want}\ncore:      {got}"


def same(reference, ours, *inputs):
    """Both refuse, or both give the same text."""
    agree(or_refused(reference), or_refused(ours), *inputs)


def equal(reference, ours, *inputs):
    """Both refuse, or both give the same function, as modes or as a table."""
    try:
        want = reference()
    except NotExpressible:
        agree("refused", or_refused(ours), *inputs)
        return
    got = from_core(ours())
    assert want == got, f"\ninputs: {[str(x) for x in inputs]}\nreference: {to_core(want)}\ncore:      {to_core(got)}"


ALL = ("thread", "slot", "addr")


# -- the type
@check
def text_and_normal_form(r):
    for a in (g.layout(r, axes=ALL), g.layout(r), g.fragment(r)):
        a = a.permute(r.sample(range(len(a.shape)), len(a.shape)))
        agree(str(a), core.round_trip(a), a)
        agree(str(a.normal()), core.normal(a), a)


@check
def extents_and_injectivity(r):
    a = g.layout(r, axes=r.choice([("addr",), ("thread", "slot")]))
    for axis in ("addr", "thread", "slot"):
        agree(a.extents().get(axis, 1), int(core.extent(a, axis)), a, axis)
    agree("yes" if a.injective() else "no", core.injective(a), a)


@check
def tables(r):
    a = g.layout(r, axes=r.choice([("addr",), ("thread", "slot")]))
    t = from_core(core.table(a))
    assert t == a.table(), str(a)
    agree(core.table(a), core.round_trip(core.table(a)), a)


@check
def equality(r):
    a, b = g.layout(r, of=(4, 6)), g.layout(r, of=(4, 6))
    for x, y in ((a, b), (a, a.normal()), (a, replace(a, off=vec(a.off, {"addr": 1}))), (a.table(), a), (a.table(), b)):
        agree("yes" if x == y else "no", core.equals(to_core(x), to_core(y)), x, y)


# -- the domain
@check
def permute_divide_broadcast(r):
    a, d, t = g.layout(r, ragged=False), 0, r.randint(1, 6)
    d = r.randrange(len(a.shape))
    order = r.sample(range(len(a.shape)), len(a.shape))
    same(lambda: a.permute(order), lambda: core.permute(a, order), a, order)
    same(lambda: a.divide(d, t), lambda: core.divide(a, d, t), a, d, t)
    # The text form names the groups in dim order; the reference keeps a broadcast dim last.
    equal(lambda: a.broadcast(d, t), lambda: core.broadcast(a, d, t), a, d, t)


@check
def repeat_and_free(r):
    a, n = replace(g.layout(r, ragged=False), swz=None), r.randint(1, 5)
    d = r.randrange(len(a.shape))
    same(lambda: a.repeat(d, n, {"addr": 1000}), lambda: core.repeat(a, d, n, "1000a"), a, d, n)
    f = g.fragment(r, replicas=False)
    for x in (
        f,
        replace(f, groups=tuple(replace(h, modes=h.modes[:0] if r.random() < 0.3 else h.modes) for h in f.groups)),
    ):
        if any(math.prod(m.n for m in h.modes) < h.bound for h in x.groups):
            continue
        extent = f.extents().get("thread", 1) * n
        want = or_refused(lambda x=x, extent=extent: modes_text(x.free("thread", extent)))
        agree(want, or_refused(lambda x=x, extent=extent: core.free(x, "thread", extent)), x, extent)


def modes_text(modes):
    return " ".join(f"{m.n}:{dict(m.v)['thread']}t" for m in modes)


@check
def join(r):
    a = g.layout(r, ragged=r.random() < 0.3)
    lo = r.randrange(len(a.shape))
    dims = list(range(lo, r.randint(lo + 1, len(a.shape))))
    if r.random() < 0.2:
        r.shuffle(dims)
    same(lambda: a.join(dims), lambda: core.join(a, dims), a, dims)


@check
def reshape(r):
    a = r.choice([g.layout(r, ragged=False), g.layout(r), g.fragment(r)])
    n, new = math.prod(a.shape), []
    while n > 1 and len(new) < 3:
        f = r.choice([k for k in range(1, n + 1) if n % k == 0])
        new.append(f)
        n //= f
    new.append(n)
    same(lambda: a.reshape(new), lambda: core.reshape(a, new), a, new)


@check
def slices(r):
    a = g.layout(r, ragged=r.random() < 0.2)
    d = r.randrange(len(a.shape))
    start = r.randrange(a.shape[d])
    size = r.choice([1, a.shape[d] - start, r.randint(1, a.shape[d] - start)])
    same(lambda: a.slice(d, start, size), lambda: core.slice(a, d, start, size), a, d, start, size)
    same(lambda: a.slice(d, start), lambda: core.drop(a, d, start), a, d, start)


@check
def project(r):
    a = r.choice([g.fragment(r), g.layout(r, axes=("thread", "slot"), swz=False)])
    d = r.randrange(len(a.shape))
    same(lambda: a.project(d), lambda: core.project(a, d), a, d)


@check
def recast(r):
    k = r.choice([2, 4, 8])
    rows, cols = r.randint(1, 6), r.randint(1, 6) * k
    swz = r.choice(["", " | swz 1,3,3", " | swz 2,2,3"])
    pitch = cols + r.choice([0, 0, k, 1])
    for a in (
        Layout.parse(f"{rows},{cols} | {rows}:{pitch}a | {cols}:1a{swz}"),
        g.layout(r),
        g.memory(r, (rows, cols)),
    ):
        d = r.randrange(len(a.shape))
        for f in (k, -k):
            same(lambda a=a, d=d, f=f: a.recast(d, f), lambda a=a, d=d, f=f: core.recast(a, d, f, "addr"), a, d, f)
    f = g.fragment(r)
    d = r.randrange(len(f.shape))
    same(lambda: f.recast(d, -2, "slot"), lambda: core.recast(f, d, -2, "slot"), f, d)


@check
def table_operations(r):
    a = g.layout(r, ragged=False)
    t, text = a.table(), core.table(a)
    d, k = r.randrange(len(a.shape)), r.randint(1, 5)
    order = r.sample(range(len(a.shape)), len(a.shape))
    n = math.prod(a.shape)
    equal(lambda: t.permute(order), lambda: core.permute(text, order), text)
    equal(lambda: t.divide(d, k), lambda: core.divide(text, d, k), text)
    equal(lambda: t.broadcast(d, k), lambda: core.broadcast(text, d, k), text)
    equal(lambda: t.reshape((n,)), lambda: core.reshape(text, [n]), text)
    equal(lambda: t.slice(d, a.shape[d] - 1, 1), lambda: core.slice(text, d, a.shape[d] - 1, 1), text)
    equal(lambda: t.slice(d, 0), lambda: core.drop(text, d, 0), text)


# -- composition, inverse, sampling
def affine_access(r, a):
    """An index map that stays in a's box."""
    loops = g.shape(r, rank=2)
    steps, off = [{} for _ in loops], {}
    for d, e in enumerate(a.shape):
        s = [r.randint(0, 3) for _ in loops]
        if sum(c * (x - 1) for c, x in zip(s, loops, strict=True)) > e - 1:
            s = [0 for _ in loops]
        for k, c in enumerate(s):
            steps[k][str(d)] = c
        off[str(d)] = r.randint(0, e - 1 - sum(c * (x - 1) for c, x in zip(s, loops, strict=True)))
    groups = tuple(Group((k,), x, (Mode(x, vec(steps[k])),)) for k, x in enumerate(loops))
    return Layout(loops, groups, off=vec(off))


@check
def composition(r):
    a = g.layout(r, ragged=False)
    b = affine_access(r, a)
    same(lambda: compose(a, b), lambda: core.compose(a, b), a, b)
    equal(lambda: compose_any(a, b), lambda: core.compose_any(a, b), a, b)
    b = g.layout(r, axes=("0", "1"), reps=False, swz=False)
    e = b.extents()
    a = g.layout(r, of=tuple(e.get(str(d), 1) + r.randint(0, 2) for d in range(2)), ragged=False)
    same(lambda: compose(a, b), lambda: core.compose(a, b), a, b)
    equal(lambda: compose_any(a, b), lambda: core.compose_any(a, b), a, b)
    # Flattened names.
    n = math.prod(a.shape)
    b = Layout.parse(f"{n} | {n}:1@0.1")
    same(lambda: compose(a, b), lambda: core.compose(a, b), a, b)
    # Steps backwards, from the end.
    b = Layout.parse(f"{a.shape[1]} | {a.shape[1]}:-1@1 | off {a.shape[1] - 1}@1")
    same(lambda: compose(a, b), lambda: core.compose(a, b), a, b)


@check
def inverse(r):
    a = r.choice(
        [g.fragment(r), g.fragment(r).normal(), replace(g.layout(r, axes=("thread", "slot"), swz=False), off=())]
    )
    try:
        inv = a.inverse()
    except NotExpressible:
        agree("refused", or_refused(core.inverse, a, ["thread"], [0]), a)
        return
    for _ in range(20):
        t, s = r.randrange(a.extents().get("thread", 1) + 5), r.randrange(a.extents().get("slot", 1) + 5)
        want = inv(thread=t, slot=s)
        got = core.inverse(a, ["thread", "slot"], [t, s])
        assert (want is None) == (got == "hole"), (str(a), t, s, want, got)
        if want is not None:
            found = {k: int(v) for k, v in (w.split("=") for w in got.split())}
            names = set(want) | set(found)
            assert {k: want.get(k, 0) for k in names} == {k: found.get(k, 0) for k in names}, (str(a), t, s)
    same(lambda: inv.layout("thread", "slot"), lambda: core.inverse_layout(a, ["thread", "slot"]), a)


@check
def inverse_of_memory(r):
    rows, cols, pad = r.randint(1, 9), r.randint(1, 9), r.randint(0, 7)
    a = Layout.parse(f"{rows},{cols} | {rows}:{cols + pad}a | {cols}:1a" + r.choice(["", " | swz 1,0,2"]))
    inv = a.inverse()
    for x in range(rows * (cols + pad) + 9):
        want, got = inv(addr=x), core.inverse(a, ["addr"], [x])
        assert (want is None) == (got == "hole"), (str(a), x)
        if want is not None:
            assert dict(want.items()) == {k: int(v) for k, v in (w.split("=") for w in got.split())}


@check
def sampling(r):
    a = g.layout(r, reps=False, ragged=False)
    values = a.values("addr")[:, 0]
    if r.random() < 0.2:
        values = values.copy()
        values[r.randrange(len(values))] += 1
    want = from_values(a.shape, {"addr": values})
    got = core.sample(a.shape, ["addr"], [values.tolist()], 1)
    agree(want.tab is not None, "| table" in got, a, got)
    agree(str(want) if not want.tab else to_core(want), got, a)
    f = g.fragment(r)
    t, s = f.values("thread")[:, 0], f.values("slot")[:, 0]
    want = from_values(f.shape, {"thread": t, "slot": s})
    agree(to_core(want), core.sample(f.shape, ["thread", "slot"], [t.tolist(), s.tolist()], 1), f)


@check
def sampling_with_replicas(r):
    n, k = r.randint(1, 12), r.randint(2, 4)
    step = r.choice([n, n + 3])
    fn = lambda i, c: (i * 3 + c * step) % (7 * n) if n % 5 == 0 else i + step * c
    want = sample((n,), fn, ("thread",), replicate=k)
    values = [int(fn(i, c)) for i in range(n) for c in range(k)]
    agree(to_core(want), core.sample([n], ["thread"], [values], k), n, k)


# -- fragments
def fragment_pair(r):
    a = g.fragment(r, of=(4, 6))
    return a, r.choice([g.fragment(r, of=(4, 6)), replace(a, reps=()), a, g.fragment(r, of=(4, 6))])


@check
def containment_and_conversion(r):
    a, b = fragment_pair(r)
    agree("yes" if fr.contains(a, b) else "no", core.contains(a, b, "thread"), a, b)
    agree("yes" if fr.contains(a, b) else "no", core.contains(core.table(a), b, "thread"), a, b)
    bits = r.choice([8, 16, 32])
    c = fr.conversion(a, b, bits)
    agree(f"{c.kind} {c.values} {c.bytes}", core.conversion(a, b, bits), a, b)
    agree(f"{c.kind} {c.values} {c.bytes}", core.conversion(a, core.table(b), bits), a, b)


@check
def reductions(r):
    a = r.choice(
        [g.fragment(r), g.layout(r, axes=("thread",), swz=False), g.layout(r, axes=("thread", "slot"), swz=False)]
    )
    d = r.randrange(len(a.shape))
    plan = or_refused(lambda: ", ".join(f"{s.kind} {s.n} {s.stride}" for s in fr.reduce_plan(a, d)))
    agree(plan, or_refused(core.reduce_plan, a, d), a, d)
    same(lambda: fr.reduce_result(a, d), lambda: core.reduce_result(a, d), a, d)


def memory_for(r, f):
    kind = r.choice(["row", "pad", "swz", "any", "any", "any"])
    if kind == "any":
        return g.memory(r, f.shape)
    m = g.row_major(f.shape, r.randint(1, 5) if kind == "pad" else 0)
    return replace(m, swz=g.Swizzle(r.randint(1, 3), r.randint(0, 3), 3)) if kind == "swz" else m


@check
def vector_width(r):
    f = g.fragment(r)
    m, bits = memory_for(r, f), r.choice([4, 8, 16, 32, 64])
    agree(hw.vector_width(f, m, bits), int(core.vector_width(f, m, bits, 128, 128)), f, m, bits)
    base = r.choice([32, 64])
    agree(hw.vector_width(f, m, bits, 128, base), int(core.vector_width(f, m, bits, 128, base)), f, m, bits, base)
    want = hw.width_by_definition(f, m, 4)
    agree(want, int(core.vector_width(core.table(f), m, 32, 128, 128)), f, m)


@check
def memory_cost(r):
    f = g.fragment(r, top=r.choice([12, 40]))
    m, bits, space = memory_for(r, f), r.choice([4, 8, 16, 32, 64]), r.choice(["shared", "global"])
    width, transfers, ideal = hw.memory_cost(f, m, bits, space)
    issues = len(list(hw.accesses(f, m, bits, width)))
    agree(f"{width} {transfers} {ideal} {issues}", core.memory_cost(f, m, bits, space), f, m, bits, space)


@check
def banks_and_sectors(r):
    width = r.choice([1, 2, 4, 8, 16])
    lanes = [None if r.random() < 0.2 else width * r.randrange(200) for _ in range(32)]
    ours = [-1 if x is None else x for x in lanes]
    agree(hw.bank_cycles(lanes, width), int(core.bank_cycles(ours, width)), lanes, width)
    unit = r.choice([32, 128])
    agree(hw.sectors(lanes, width, unit), int(core.sectors(ours, width, unit)), lanes, width)


# -- hardware forms
def shared_tile(r, bits):
    """A shared tile of some family, with what breaks one mixed in."""
    rows, cols = r.choice([8, 16, 64, 72, 128]), r.choice([16, 32, 64, 96, 128]) * 16 // bits
    span, transpose = r.choice([0, 32, 64, 128]), r.random() < 0.4
    try:
        t = hw.smem_panels(rows, cols, bits, span, transpose)
    except (NotExpressible, AssertionError, ZeroDivisionError):
        t = g.row_major((rows, cols))
    if r.random() < 0.3:
        t = g.row_major((rows, cols), r.choice([0, 1, 8]))
    if r.random() < 0.2 and t.shape[0] > 16:
        with contextlib.suppress(NotExpressible):
            return t.slice(0, r.choice([4, 8]), 8 * ((t.shape[0] - 8) // 8))
    return t


@check
def tma_boxes(r):
    bits = r.choice([8, 16, 32])
    t = shared_tile(r, bits)
    strides = [r.choice([1024, 4096, 24, 16]), bits // 8]
    if r.random() < 0.1:
        strides.reverse()

    def plan():
        p = hw.tma_plan(t, strides, bits)
        box = " ".join(["box"] + [f"{d}:{n}" for d, n in p.box])
        issues = " ".join(["issues"] + [":".join(map(str, i)) for i in p.issues])
        return f"{box} | {issues} | swizzle {p.swizzle} | align {p.align}"

    same(plan, lambda: core.tma_plan(t, strides, bits), t, strides, bits)


@check
def matrix_descriptors(r):
    bits = r.choice([8, 16, 32])
    t, mn = shared_tile(r, bits), r.choice([8, 16, 64, 128])

    def descriptor():
        try:
            d = hw.matrix_descriptor(t, bits, mn)
        except AssertionError:  # digits that do not cover the tile: no canonical form
            raise NotExpressible("not canonical") from None
        starts = " ".join(["starts"] + [f"{i}:{k}:{b}" for (i, k), b in d.offsets.items()])
        return f"{d.major} | swizzle {d.swizzle} | lbo {d.lbo} | sbo {d.sbo} | {starts}"

    same(descriptor, lambda: core.matrix_descriptor(t, bits, mn, 0), t, bits, mn)


@check
def ldmatrix_forms(r):
    bits = r.choice([8, 16, 32])
    e = 32 // bits
    t = shared_tile(r, bits)
    rows, cols = t.shape
    if rows % 8 or cols % (4 * e):
        return
    f = Layout.parse(f"{rows},{cols} | 8:4t {rows // 8}:{cols // 4}s | {e}:1s 4:1t {cols // (4 * e)}:{e}s")
    if r.random() < 0.2:
        f = g.fragment(r, of=t.shape)

    def form():
        x, trans = hw.ldmatrix_form(f, t, bits)
        return f"x{x}" + (" trans" if trans else "")

    same(form, lambda: core.ldmatrix_form(f, t, bits), f, t, bits)


@check
def shared_families(r):
    bits = r.choice([8, 16, 32])
    rows, cols = r.choice([8, 64, 128, 72]), r.choice([16, 32, 64, 128, 100])
    for span in (0, 32, 64, 128):
        family = f"swizzle {span}" if span else "interleaved"

        def panels(span=span):
            return hw.smem_panels(rows, cols, bits, span)

        want = or_refused(lambda f=panels: f().normal())
        got = or_refused(lambda family=family: core.normal(core.shared_layout([rows, cols], bits, family)))
        agree(want, got, rows, cols, bits, span)
    pad = r.randint(1, 16)
    agree(str(g.row_major((rows, cols))), core.shared_layout([rows, cols], bits, "linear"))
    agree(str(g.row_major((rows, cols), pad)), core.shared_layout([rows, cols], bits, f"pad {pad}"))


@pytest.mark.parametrize("name", list(CHECKS))
def test_agrees_with_the_reference(name):
    r = random.Random(name)
    for _ in range(150):
        CHECKS[name](r)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", list(CHECKS))
def test_agrees_with_the_reference_on_fresh_layouts(name):
    for _ in range(10_000):
        seed = random.SystemRandom().randrange(1 << 48)
        try:
            CHECKS[name](random.Random(seed))
        except Exception as error:
            raise AssertionError(f"{name} with random.Random({seed})") from error


def test_the_reference_sees_a_wrong_answer():
    """The comparison itself can fail."""
    a = Layout.parse("4,6 | 4:6a | 6:1a")
    with pytest.raises(AssertionError):
        equal(lambda: a.permute((1, 0)), lambda: core.permute(a, [0, 1]), a)
    assert np.array_equal(from_core(core.table(a)).values("addr"), a.values("addr"))
