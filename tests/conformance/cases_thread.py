# SPDX-License-Identifier: MIT
"""Thread ids, barriers, declarations, vectors, and the odd functions of kernel.cuh."""

from __future__ import annotations

import numpy as np

from tests.conformance.formats import TYPES, random_bits
from tests.conformance.harness import Case, Mismatch, elementwise, equal_bits, kernel, poisoned

IDS = ("tid_x", "tid_y", "tid_z", "ntid_x", "ntid_y", "ntid_z", "bid_x", "bid_y", "bid_z")
IDS += ("nctaid_x", "nctaid_y", "nctaid_z", "thread_rank", "lane_id", "warp_id")


def compare(index: int, want: np.ndarray):
    def check(args: list) -> None:
        Mismatch().report(args[index] != want, args[index], want)

    return check


def ids() -> Case:
    body = "const int at = ts::bid_x() * 96 + ts::tid_x();\n"
    body += "\n".join(f"p0[at * {len(IDS)} + {i}] = ts::{name}();" for i, name in enumerate(IDS))
    want = [[t, 0, 0, 96, 1, 1, b, 0, 0, 3, 1, 1, t, t % 32, t // 32] for b in range(3) for t in range(96)]
    return Case(
        name="thread_ids",
        functions=IDS,
        text=kernel("thread_ids", ["i32*"], body, 96),
        args=[poisoned("i32", 3 * 96 * len(IDS))],
        check=compare(0, np.array(want, dtype=np.int32).ravel()),
        grid=3,
        block=96,
    )


def barriers(rng: np.random.Generator) -> list[Case]:
    v = random_bits("i32", 128, rng)
    half = 64
    reverse = """
const int t = ts::tid_x();
TS_SMEM(int, tile, 128, 0);
tile[t] = p0[t];
{sync}
p1[t] = tile[{source}];"""
    result = [
        Case(
            name="cta_sync_reverse",
            functions=("cta_sync",),
            text=kernel(
                "cta_sync_reverse",
                ["const i32*", "i32*"],
                reverse.format(sync="ts::cta_sync();", source="127 - t"),
                128,
            ),
            args=[v, poisoned("i32", 128)],
            check=compare(1, v[::-1]),
            block=128,
            shared=512,
        ),
        Case(
            name="bar_sync_halves",
            functions=("bar_sync",),
            text=kernel(
                "bar_sync_halves",
                ["const i32*", "i32*"],
                reverse.format(
                    sync=f"ts::bar_sync(1 + t / {half}, {half});", source=f"t / {half} * {half} + (t + 1) % {half}"
                ),
                128,
            ),
            args=[v, poisoned("i32", 128)],
            check=compare(1, v[np.arange(128) // half * half + (np.arange(128) + 1) % half]),
            block=128,
            shared=512,
        ),
        Case(
            name="warp_sync_rotate",
            functions=("warp_sync",),
            text=kernel(
                "warp_sync_rotate",
                ["const i32*", "i32*"],
                reverse.format(sync="ts::warp_sync();", source="t / 32 * 32 + (t + 5) % 32"),
                128,
            ),
            args=[v, poisoned("i32", 128)],
            check=compare(1, v[np.arange(128) // 32 * 32 + (np.arange(128) + 5) % 32]),
            block=128,
            shared=512,
        ),
        # The first two warps produce and go on; the last two wait for them.
        Case(
            name="bar_arrive_producer",
            functions=("bar_arrive",),
            text=kernel(
                "bar_arrive_producer",
                ["const i32*", "i32*"],
                """
const int t = ts::tid_x();
TS_SMEM(int, tile, 64, 0);
if (t < 64) {
  tile[t] = p0[t];
  ts::bar_arrive(3, 128);
} else {
  ts::bar_sync(3, 128);
  p1[t - 64] = tile[127 - t];
}""",
                128,
            ),
            args=[v, poisoned("i32", 64)],
            check=compare(1, v[:64][::-1]),
            block=128,
            shared=256,
        ),
    ]
    for name, call, expected in (
        ("and", "ts::cta_sync_and(p0[t] >= 0)", lambda p: all(p)),
        ("or", "ts::cta_sync_or(p0[t] >= 0)", lambda p: any(p)),
        ("count", "ts::cta_sync_count(p0[t] >= 0)", lambda p: sum(p)),
    ):
        for kind, values in (("mixed", v), ("positive", np.abs(v) // 2), ("negative", -np.abs(v // 2) - 1)):
            full = f"cta_sync_{name}_{kind}"
            want = np.full(128, expected([bool(x >= 0) for x in values]), dtype=np.int32)
            body = f"const int t = ts::tid_x();\np1[t] = {call};"
            result.append(
                Case(
                    name=full,
                    functions=(f"cta_sync_{name}",),
                    text=kernel(full, ["const i32*", "i32*"], body, 128),
                    args=[values.astype(np.int32), poisoned("i32", 128)],
                    check=compare(1, want),
                    block=128,
                )
            )
    return result


def vectors(rng: np.random.Generator) -> list[Case]:
    """Vector loads and stores of every size, elements by index."""
    result = []
    for kind, lanes in (
        ("f32", 4), ("f32", 2), ("f64", 2), ("f16", 8), ("f16", 2), ("bf16", 4),
        ("e4m3", 16), ("e5m2", 4), ("i8", 8), ("u8", 2), ("i64", 2), ("i32", 1),
    ):  # fmt: skip
        vec = f"ts::vec<{TYPES[kind][0]}, {lanes}>"
        name = f"vec_{kind}_{lanes}"
        body = f"""
const int t = ts::tid_x();
{vec} v = *(const {vec}*)(p0 + t * {lanes});
{vec} w;
for (int i = 0; i < {lanes}; ++i) w[i] = v[{lanes} - 1 - i];
*({vec}*)(p1 + t * {lanes}) = w;"""
        v = random_bits(kind, 32 * lanes, rng)
        raw = f"u{v.dtype.itemsize}"

        def check(args: list, v=v, lanes=lanes, raw=raw) -> None:
            want = v.view(raw).reshape(32, lanes)[:, ::-1].ravel()
            got = args[1].view(raw)
            Mismatch().report(got != want, got, want)

        result.append(
            Case(
                name=name,
                functions=(),
                text=kernel(name, [f"const {kind}*", f"{kind}*"], body),
                args=[v, poisoned(kind, len(v))],
                check=check,
            )
        )
    return result


def declarations(rng: np.random.Generator) -> list[Case]:
    """TS_SMEM at offsets, TS_LOCAL, TS_VAR, spin, bits; timers advance; assertions that hold and prints."""
    v = random_bits("i32", 32, rng)
    body = """
const int t = ts::tid_x();
TS_SMEM(int, first, 32, 0);
TS_SMEM(ts::i16, second, 32, 128);
TS_LOCAL(int, r, 4);
TS_VAR(int, s);
first[t] = p0[t];
second[t] = (ts::i16)t;
ts::cta_sync();
s = first[31 - t];
for (int i = 0; i < 4; ++i) r[i] = s + second[(t + i) % 32];
ts::spin();
ts::device_assert(r[1] == s + (t + 1) % 32, "the second buffer holds thread numbers");
p1[t] = r[0] ^ r[3];"""
    t = np.arange(32)
    s = v[31 - t]
    with np.errstate(over="ignore"):
        want = (s + t.astype(np.int32)) ^ (s + ((t + 3) % 32).astype(np.int32))
    declared = Case(
        name="declarations",
        functions=("spin", "device_assert"),
        text=kernel("declarations", ["const i32*", "i32*"], body),
        args=[v, poisoned("i32", 32)],
        check=compare(1, want),
        shared=128 + 64,
    )
    # A vector from its elements, its bits as another vector, one of zeros.
    body = """
const int t = ts::tid_x();
const ts::f16 a = p0[t];
const ts::vec<ts::f16, 8> v = ts::vec<ts::f16, 8>{a, p0[31 - t], a, a, a, a, a, ts::f16_bits(0)};
const ts::vec<ts::u32, 4> w = ts::bits<ts::vec<ts::u32, 4>>(v);
const ts::vec<ts::u32, 4> zero = ts::vec<ts::u32, 4>{};
p1[t] = w[0] ^ zero[3];
p1[32 + t] = w[3];"""
    h = random_bits("f16", 32, rng)
    want_words = np.concatenate([h.astype(np.uint32) | h[::-1].astype(np.uint32) << 16, h.astype(np.uint32)])
    from_elements = Case(
        name="vec_from_elements",
        functions=("bits", "f16_bits"),
        text=kernel("vec_from_elements", ["const f16*", "u32*"], body),
        args=[h, poisoned("u32", 64)],
        check=compare(1, want_words),
    )
    f = random_bits("f32", 64, rng)
    as_bits = elementwise(
        "bits_f32", "ts::bits<ts::u32>(a)", ["bits"], [("f32", f)], "u32", equal_bits([f], f.view(np.uint32))
    )
    body = """
const ts::u64 start = ts::ptx::clock();
const ts::u64 time = ts::ptx::globaltimer();
ts::ptx::nanosleep(100);
p0[0] = ts::ptx::clock() >= start;
p0[1] = ts::ptx::globaltimer() >= time;
if (p0[0] > 1) ts::ptx::trap();
if (p0[0] > 1) ts::print("%d\\n", p0[0]);"""
    timers = Case(
        name="timers",
        functions=("clock", "globaltimer", "nanosleep", "trap", "print"),
        text=kernel("timers", ["i32*"], body),
        args=[poisoned("i32", 2)],
        check=compare(0, np.ones(2, dtype=np.int32)),
        block=1,
    )
    return [declared, from_elements, as_bits, timers]


def cases(seed: int) -> list[Case]:
    rng = np.random.default_rng(seed)
    return [ids(), *barriers(rng), *vectors(rng), *declarations(rng)]
