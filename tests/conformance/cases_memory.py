# SPDX-License-Identifier: MIT
"""Ordered loads and stores, atomics, fences, asynchronous copies, mbarriers, bulk copies."""

from __future__ import annotations

import itertools

import numpy as np

from tests.conformance.cases_thread import compare
from tests.conformance.formats import BF16, F16, SMALL, TYPES, random_bits
from tests.conformance.harness import Case, Mismatch, kernel, poisoned

SCOPES = ("cta", "gpu", "sys")
SHAPES = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}


def order(sem: str, scope: str) -> str:
    return f"<ts::Sem::{sem}, ts::Scope::{scope}>"


def loads_and_stores(rng: np.random.Generator) -> list[Case]:
    """Every size, semantics and scope: the bytes arrive."""
    result = []
    pairs = [("weak", "weak"), ("volatile_", "volatile_"), ("relaxed", "relaxed"), ("acquire", "release")]
    for kind, (load, store) in itertools.product(("u8", "f16", "i16", "f32", "i64", "f64"), pairs):
        v = random_bits(kind, 32 * len(SCOPES), rng)
        name = f"ldst_{kind}_{load}"
        lines = [
            f"ts::ptx::st{order(store, scope)}(p1 + {i} * 32 + t, ts::ptx::ld{order(load, scope)}(p0 + {i} * 32 + t));"
            for i, scope in enumerate(SCOPES)
        ]
        raw = f"u{v.dtype.itemsize}"

        def check(args: list, v=v, raw=raw) -> None:
            Mismatch().report(args[1].view(raw) != v.view(raw), args[1].view(raw), v.view(raw))

        result.append(
            Case(
                name=name,
                functions=("ld", "st"),
                text=kernel(name, [f"{kind}*", f"{kind}*"], "\n".join(["const int t = ts::tid_x();", *lines])),
                args=[v, poisoned(kind, len(v))],
                check=check,
                headers=("ptx/ldst",),
            )
        )
    wide = [("u8", 2), ("f16", 4), ("i64", 2), ("f16", 8), ("u8", 16), ("f32", 4)]
    for (kind, lanes), (load, store) in itertools.product(wide, pairs):
        v = random_bits(kind, 32 * lanes * len(SCOPES), rng)
        name = f"ldst_{kind}x{lanes}_{load}"
        lines = []
        for i, scope in enumerate(SCOPES):
            at = f"({i} * 32 + t) * {lanes}"
            lines.append(
                f"ts::ptx::st{order(store, scope)}(p1 + {at}, ts::ptx::ld_v{lanes}{order(load, scope)}(p0 + {at}));"
            )
        raw = f"u{v.dtype.itemsize}"

        def check_wide(args: list, v=v, raw=raw) -> None:
            Mismatch().report(args[1].view(raw) != v.view(raw), args[1].view(raw), v.view(raw))

        result.append(
            Case(
                name=name,
                functions=(f"ld_v{lanes}", "st"),
                text=kernel(name, [f"{kind}*", f"{kind}*"], "\n".join(["const int t = ts::tid_x();", *lines])),
                args=[v, poisoned(kind, len(v))],
                check=check_wide,
                headers=("ptx/ldst",),
            )
        )
    for kind, lanes in (("f32", 4), ("f16", 4), ("i32", 1)):
        vec = f"ts::vec<{TYPES[kind][0]}, {lanes}>"
        v = random_bits(kind, 32 * lanes, rng)
        name = f"ld_nc_{kind}_{lanes}"
        body = f"const int t = ts::tid_x();\n(({vec}*)p1)[t] = ts::ptx::ld_nc((const {vec}*)p0 + t);"
        raw = f"u{v.dtype.itemsize}"

        def check_nc(args: list, v=v, raw=raw) -> None:
            Mismatch().report(args[1].view(raw) != v.view(raw), args[1].view(raw), v.view(raw))

        result.append(
            Case(
                name=name,
                functions=("ld_nc",),
                text=kernel(name, [f"const {kind}*", f"{kind}*"], body),
                args=[v, poisoned(kind, len(v))],
                check=check_nc,
                headers=("ptx/ldst",),
            )
        )
    return result


def integer_atomics(rng: np.random.Generator) -> list[Case]:
    """64 threads update 4 words, each operation with several orders; the final words do not depend on turns."""
    operations = {
        "add": lambda a, b: a + b, "min": np.minimum, "max": np.maximum,
        "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    }  # fmt: skip
    orders = itertools.cycle(("relaxed", "acquire", "release", "acq_rel"))
    scopes = itertools.cycle(SCOPES)
    result = []
    for kind, (name, op) in itertools.product(("i32", "u32", "i64", "u64"), operations.items()):
        start, v = random_bits(kind, 4, rng), random_bits(kind, 64, rng)
        want = start.copy()
        with np.errstate(over="ignore"):
            for i in range(64):
                want[i % 4] = op(want[i % 4], v[i])
        sem, scope = next(orders), next(scopes)
        for form in ("atom", "red"):
            if form == "red" and "acq" in sem:
                sem = "release"
            full = f"{form}_{name}_{kind}"
            body = f"const int t = ts::tid_x();\nts::ptx::{form}_{name}{order(sem, scope)}(p0 + t % 4, p1[t]);"
            result.append(
                Case(
                    name=full,
                    functions=(f"{form}_{name}",),
                    text=kernel(full, [f"{kind}*", f"const {kind}*"], body, 64),
                    args=[start.copy(), v],
                    check=compare(0, want),
                    headers=("ptx/atomic",),
                    block=64,
                )
            )
    return result


def float_atomics(rng: np.random.Generator) -> list[Case]:
    """Sums of small integers, which are exact in any order; extrema of signed values; shared memory too."""
    result = []
    for kind, name, shared in itertools.product(("f32", "f64", "f16", "bf16"), ("add", "min", "max"), (False, True)):
        values = rng.integers(-9, 10, 64).astype(np.float64)
        start = rng.integers(-9, 10, 4).astype(np.float64)
        want = start.copy()
        op = {"add": np.add, "min": np.minimum, "max": np.maximum}[name]
        for i in range(64):
            want[i % 4] = op(want[i % 4], values[i])
        fmt = SMALL.get(kind)
        store = (
            (lambda x, fmt=fmt: fmt.encode_array(x).astype(np.uint16))
            if fmt
            else (lambda x, kind=kind: x.astype(TYPES[kind][1]))
        )
        form = "red" if shared else "atom"
        full = f"{form}_{name}_{kind}_{'shared' if shared else 'global'}"
        scope = "cta" if shared else "gpu"
        call = f"ts::ptx::{form}_{name}{order('relaxed', scope)}"
        if shared:
            body = f"""
const int t = ts::tid_x();
TS_SMEM({TYPES[kind][0]}, words, 4, 0);
if (t < 4) words[t] = p0[t];
ts::cta_sync();
{call}(words + t % 4, p1[t]);
ts::cta_sync();
if (t < 4) p0[t] = words[t];"""
        else:
            body = f"const int t = ts::tid_x();\n{call}(p0 + t % 4, p1[t]);"

        def check(args: list, fmt=fmt, want=want) -> None:
            got = fmt.values[args[0]] if fmt else args[0].astype(np.float64)
            Mismatch().report(got != want, got, want)

        result.append(
            Case(
                name=full,
                functions=(f"{form}_{name}",),
                text=kernel(full, [f"{kind}*", f"const {kind}*"], body, 64),
                args=[store(start), store(values)],
                check=check,
                headers=("ptx/atomic",),
                block=64,
                shared=64,
            )
        )
    return result


def exchanges(rng: np.random.Generator) -> list[Case]:
    """What is returned and what stays are a permutation of what was there and what was brought."""
    result = []
    for kind in ("i32", "u32", "i64", "u64", "f32", "f64", "f16", "bf16"):
        v, start = random_bits(kind, 32, rng), random_bits(kind, 1, rng)
        name = f"atom_exch_{kind}"
        body = f"const int t = ts::tid_x();\np2[t] = ts::ptx::atom_exch{order('acq_rel', 'gpu')}(p0, p1[t]);"

        def check(args: list, v=v, start=start) -> None:
            raw = f"u{v.dtype.itemsize}"
            got = sorted([*args[2].view(raw).tolist(), *args[0].view(raw).tolist()])
            assert got == sorted([*v.view(raw).tolist(), *start.view(raw).tolist()])

        result.append(
            Case(
                name=name,
                functions=("atom_exch",),
                text=kernel(name, [f"{kind}*", f"const {kind}*", f"{kind}*"], body),
                args=[start.copy(), v, poisoned(kind, 32)],
                check=check,
                headers=("ptx/atomic",),
            )
        )
    for kind in ("u32", "u64", "i32", "f32", "u16"):
        # Thread t takes turn t: each sees its number and puts the next.
        name = f"atom_cas_{kind}"
        c = TYPES[kind][0]
        body = f"""
const int t = ts::tid_x();
{c} seen = ts::ptx::atom_cas{order("acq_rel", "gpu")}(p0, ({c})t, ({c})(t + 1));
while (seen != ({c})t) {{
  ts::spin();
  seen = ts::ptx::atom_cas{order("acq_rel", "gpu")}(p0, ({c})t, ({c})(t + 1));
}}
p1[t] = seen;"""
        want = np.arange(32).astype(TYPES[kind][1])

        def check_cas(args: list, want=want) -> None:
            Mismatch().report(args[1] != want, args[1], want)
            assert args[0][0] == 32

        result.append(
            Case(
                name=name,
                functions=("atom_cas",),
                text=kernel(name, [f"{kind}*", f"{kind}*"], body),
                args=[np.zeros(1, dtype=want.dtype), poisoned(kind, 32)],
                check=check_cas,
                headers=("ptx/atomic",),
            )
        )
    return result


def vector_reductions(rng: np.random.Generator) -> list[Case]:
    result = []
    for suffix, kind, lanes in (
        ("v2_f16", "f16", 2),
        ("v2_bf16", "bf16", 2),
        ("v2_f32", "f32", 2),
        ("v4_f32", "f32", 4),
    ):
        values = rng.integers(-9, 10, (64, lanes)).astype(np.float64)
        start = rng.integers(-9, 10, lanes).astype(np.float64)
        fmt = {"f16": F16, "bf16": BF16}.get(kind)
        store = (lambda x, fmt=fmt: fmt.encode_array(x).astype(np.uint16)) if fmt else (lambda x: x.astype(np.float32))
        name = f"red_add_{suffix}"
        vec = f"ts::vec<{TYPES[kind][0]}, {lanes}>"
        body = f"ts::ptx::{name}{order('relaxed', 'gpu')}(p0, *(const {vec}*)(p1 + ts::tid_x() * {lanes}));"
        want = start + values.sum(axis=0)

        def check(args: list, fmt=fmt, want=want) -> None:
            got = fmt.values[args[0]] if fmt else args[0].astype(np.float64)
            Mismatch().report(got != want, got, want)

        result.append(
            Case(
                name=f"test_{name}",
                functions=(name,),
                text=kernel(f"test_{name}", [f"{kind}*", f"const {kind}*"], body, 64),
                args=[store(start), store(values.ravel())],
                check=check,
                headers=("ptx/atomic",),
                block=64,
            )
        )
    return result


def fences() -> list[Case]:
    """One CTA stores, fences, signals; another polls, fences, loads. Each fence makes the pattern sound."""
    result = []
    for fence in ("fence_acq_rel", "fence_sc"):
        for scope in ("gpu", "sys"):
            name = f"{fence}_{scope}"
            call = f"ts::ptx::{fence}<ts::Scope::{scope}>();"
            body = f"""
if (ts::bid_x() == 0) {{
  p0[0] = 41;
  {call}
  ts::ptx::st{order("relaxed", scope)}(p1, 1);
}} else {{
  while (ts::ptx::ld{order("relaxed", scope)}(p1) == 0) {{
    ts::spin();
  }}
  {call}
  p2[0] = p0[0] + 1;
}}"""
            result.append(
                Case(
                    name=f"test_{name}",
                    functions=(fence,),
                    text=kernel(f"test_{name}", ["i32*", "i32*", "i32*"], body, 1),
                    args=[np.zeros(1, np.int32), np.zeros(1, np.int32), poisoned("i32", 1)],
                    check=compare(2, np.array([42], dtype=np.int32)),
                    headers=("ptx/fence", "ptx/ldst"),
                    grid=2,
                    block=1,
                )
            )
    body = """
const int t = ts::tid_x();
TS_SMEM(int, tile, 32, 0);
tile[t] = p0[t];
ts::ptx::fence_acq_rel<ts::Scope::cta>();
ts::ptx::fence_sc<ts::Scope::cta>();
ts::warp_sync();
p1[t] = tile[31 - t];"""
    v = np.arange(32, dtype=np.int32)
    result.append(
        Case(
            name="fence_cta",
            functions=("fence_acq_rel", "fence_sc"),
            text=kernel("fence_cta", ["const i32*", "i32*"], body),
            args=[v, poisoned("i32", 32)],
            check=compare(1, v[::-1]),
            headers=("ptx/fence",),
            shared=128,
        )
    )
    return result


def async_copies(rng: np.random.Generator) -> list[Case]:
    result = []
    for size in (4, 8, 16):
        v = random_bits("u8", 32 * size, rng)
        for wait, lines in (
            ("wait", "ts::ptx::cp_async_commit();\nts::ptx::cp_async_wait<0>();"),
            ("wait_all", "ts::ptx::cp_async_wait_all();"),
        ):
            name = f"cp_async_{size}_{wait}"
            body = f"""
const int t = ts::tid_x();
TS_SMEM(ts::u64, tile, {32 * size // 8}, 0);
ts::ptx::cp_async<{size}>((ts::u8*)tile + t * {size}, p0 + t * {size});
{lines}
ts::cta_sync();
for (int i = 0; i < {size}; ++i) p1[t * {size} + i] = ((ts::u8*)tile)[(31 - t) * {size} + i];"""
            want = v.reshape(32, size)[::-1].ravel()
            result.append(
                Case(
                    name=name,
                    functions=("cp_async", "cp_async_commit", "cp_async_wait", "cp_async_wait_all"),
                    text=kernel(name, ["const u8*", "u8*"], body),
                    args=[v, poisoned("u8", 32 * size)],
                    check=compare(1, want),
                    headers=("ptx/cp_async",),
                    shared=32 * size,
                )
            )
        name = f"cp_async_zfill_{size}"
        body = f"""
const int t = ts::tid_x();
TS_SMEM(ts::u64, tile, {32 * size // 8}, 0);
ts::ptx::cp_async_zfill<{size}>((ts::u8*)tile + t * {size}, t % 3 ? p0 + t * {size} : p0, t % 3 != 0);
ts::ptx::cp_async_commit();
ts::ptx::cp_async_wait<0>();
ts::cta_sync();
for (int i = 0; i < {size}; ++i) p1[t * {size} + i] = ((ts::u8*)tile)[t * {size} + i];"""
        want = np.where((np.arange(32) % 3 != 0)[:, None], v.reshape(32, size), 0).astype(np.uint8).ravel()
        result.append(
            Case(
                name=name,
                functions=("cp_async_zfill",),
                text=kernel(name, ["const u8*", "u8*"], body),
                args=[v, poisoned("u8", 32 * size)],
                check=compare(1, want),
                headers=("ptx/cp_async",),
                shared=32 * size,
            )
        )
    # Two groups in flight: the first may be read while the second is not complete.
    v = random_bits("i32", 64, rng)
    body = """
const int t = ts::tid_x();
TS_SMEM(int, tile, 64, 0);
ts::ptx::cp_async<4>(tile + t, p0 + t);
ts::ptx::cp_async_commit();
ts::ptx::cp_async<4>(tile + 32 + t, p0 + 32 + t);
ts::ptx::cp_async_commit();
ts::ptx::cp_async_wait<1>();
ts::cta_sync();
p1[t] = tile[31 - t];
ts::ptx::cp_async_wait<0>();
ts::cta_sync();
p1[32 + t] = tile[63 - t];"""
    result.append(
        Case(
            name="cp_async_groups",
            functions=("cp_async_wait",),
            text=kernel("cp_async_groups", ["const i32*", "i32*"], body),
            args=[v, poisoned("i32", 64)],
            check=compare(1, v.reshape(2, 32)[:, ::-1].ravel()),
            headers=("ptx/cp_async",),
            shared=256,
        )
    )
    return result


def mbarriers(rng: np.random.Generator) -> list[Case]:
    v = random_bits("i32", 128, rng)
    phases = """
const int t = ts::tid_x();
TS_SMEM(ts::mbar, bar, 1, 0);
TS_SMEM(int, tile, 32, 128);
if (t == 0) ts::ptx::mbar_init(bar, 32);
ts::cta_sync();
for (int step = 0; step < 4; ++step) {
  if (t < 32) {
    tile[t] = p0[step * 32 + t];
    ts::ptx::mbar_arrive(bar);
  } else {
    ts::ptx::mbar_wait(bar, step & 1);
    p1[step * 32 + t - 32] = tile[63 - t] + ts::ptx::mbar_test(bar, step & 1);
  }
  ts::cta_sync();
}
if (t == 0) ts::ptx::mbar_inval(bar);"""
    copies = """
const int t = ts::tid_x();
TS_SMEM(ts::mbar, bar, 1, 0);
TS_SMEM(int, tile, 32, 128);
if (t == 0) ts::ptx::mbar_init(bar, 32);
ts::cta_sync();
if (t < 32) {
  ts::ptx::cp_async<4>(tile + t, p0 + t);
  ts::ptx::cp_async_mbar_arrive(bar);
} else {
  ts::ptx::mbar_wait(bar, 0);
  p1[t - 32] = tile[63 - t];
}
ts::ptx::cp_async_wait_all();"""
    with np.errstate(over="ignore"):
        wanted = (v.reshape(4, 32)[:, ::-1] + 1).ravel()
    return [
        Case(
            name="mbar_phases",
            functions=("mbar_init", "mbar_arrive", "mbar_wait", "mbar_test", "mbar_inval"),
            text=kernel("mbar_phases", ["const i32*", "i32*"], phases, 64),
            args=[v, poisoned("i32", 128)],
            check=compare(1, wanted),
            headers=("ptx/mbarrier",),
            block=64,
            shared=256,
        ),
        Case(
            name="mbar_cp_async",
            functions=("cp_async_mbar_arrive",),
            text=kernel("mbar_cp_async", ["const i32*", "i32*"], copies, 64),
            args=[v, poisoned("i32", 32)],
            check=compare(1, v[:32][::-1]),
            headers=("ptx/mbarrier", "ptx/cp_async"),
            block=64,
            shared=256,
        ),
    ]


def bulk_copies(rng: np.random.Generator) -> list[Case]:
    v = random_bits("i32", 128, rng)
    bulk = """
const int t = ts::tid_x();
TS_SMEM(ts::mbar, bar, 1, 0);
TS_SMEM(int, tile, 128, 128);
if (t == 0) {
  ts::ptx::mbar_init(bar, 1);
  ts::ptx::fence_mbarrier_init();
}
ts::cta_sync();
if (t == 0) {
  ARRIVE
  ts::ptx::bulk_load(tile, p0, 512, bar);
  AFTER
}
ts::ptx::mbar_wait(bar, 0);
tile[t] += 1;
FENCE
ts::cta_sync();
if (t == 0) {
  ts::ptx::bulk_store(p1, tile, 512);
  ts::ptx::bulk_commit();
  ts::ptx::bulk_wait_read<0>();
  ts::ptx::bulk_wait<0>();
}"""
    with np.errstate(over="ignore"):
        added = v + 1
    functions = ("bulk_load", "bulk_store", "bulk_commit", "bulk_wait", "bulk_wait_read", "fence_mbarrier_init")
    result = []
    for name, arrive, after, fence in (
        ("arrive_expect_tx", "ts::ptx::mbar_arrive_expect_tx(bar, 512);", "", "fence_proxy_async"),
        ("expect_tx", "ts::ptx::mbar_expect_tx(bar, 512);", "ts::ptx::mbar_arrive(bar);", "fence_proxy_async_shared"),
    ):
        text = bulk.replace("ARRIVE", arrive).replace("AFTER", after).replace("FENCE", f"ts::ptx::{fence}();")
        result.append(
            Case(
                name=f"bulk_{name}",
                functions=(*functions, f"mbar_{name}", fence),
                text=kernel(f"bulk_{name}", ["const i32*", "i32*"], text, 128),
                args=[v, poisoned("i32", 128)],
                check=compare(1, added),
                headers=("ptx/mbarrier", "ptx/bulk", "ptx/fence"),
                block=128,
                shared=128 + 512,
                feature="sm_90",
            )
        )
    return result


def bulk_runs(rng: np.random.Generator) -> list[Case]:
    """Whole pieces, round the ring, a tail, an address that is no multiple of 16 bytes."""
    text = """
const int t = ts::tid_x();
TS_SMEM(ts::u8, ring, RING * (512 + 8), 0);
ts::comm::copy_run_bulk<2, RING, 512, 1024>(p1 + AT, p0 + AT, (ts::i64)COUNT, t, 64, ring);"""
    v = random_bits("i32", 2048, rng)
    result = []
    for name, ring, at, count in (("ring", 4, 4, 2003), ("two", 2, 0, 1024), ("threads", 3, 1, 1500)):
        want = poisoned("i32", 2048)
        want[at : at + count] = v[at : at + count]
        body = text.replace("RING", str(ring)).replace("AT", str(at)).replace("COUNT", str(count))
        result.append(
            Case(
                name=f"bulk_run_{name}",
                functions=("copy_run_bulk",),
                text=kernel(f"bulk_run_{name}", ["const i32*", "i32*"], body, 64),
                args=[v, poisoned("i32", 2048)],
                check=compare(1, want),
                headers=("comm/bulk",),
                block=64,
                shared=ring * 520,
                feature="sm_90",
            )
        )
    return result


def cases(seed: int) -> list[Case]:
    rng = np.random.default_rng(seed)
    return [
        *loads_and_stores(rng),
        *integer_atomics(rng),
        *float_atomics(rng),
        *exchanges(rng),
        *vector_reductions(rng),
        *fences(),
        *async_copies(rng),
        *mbarriers(rng),
        *bulk_copies(rng),
        *bulk_runs(rng),
    ]
