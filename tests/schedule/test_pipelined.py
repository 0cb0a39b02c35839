# SPDX-License-Identifier: MIT
"""T.Pipelined with order, stage and group: each statement runs as far ahead as its stage says, the result is that of
the plain loop. On the simulator over several seeds, and through the device's compiler."""

import itertools
import re
import textwrap

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale._ffi import function
from tilescale.errors import CompileError

from tests.conformance import nvrtc

SEEDS = 4
_number = itertools.count()


def program(body: str, parameters: str, name: str = "main"):
    text = f"@T.prim_func\ndef {name}({parameters}):\n    with T.Kernel(1, threads=128) as bx:\n"
    text += textwrap.indent(textwrap.dedent(body).strip(), " " * 8) + "\n"
    return T.exec_source(text, {"T": T}, f"<pipelined-{next(_number)}>")[name]


def decisions(func, arch: str = "sm_80") -> str:
    return tilescale.compile(func, target={"kind": "sim", "arch": arch}).explain()


def scheduled(func) -> str:
    """The schedule that the loop gets, as text."""
    text = str(function("driver.lower")(func.func, "sim sm_80", {}, "plan-schedule"))
    return text[text.index("schedule {") :]


# -- C = A B, over `trips` blocks of 32 columns of A
GEMM = """
As = T.alloc_shared((64, 32), "float16")
Bs = T.alloc_shared((32, 64), "float16")
acc = T.alloc_fragment((64, 64), "float32")
T.clear(acc)
for k in T.Pipelined({trips}, {hint}):
    T.copy(A[0, k * 32], As)
    T.copy(B[k * 32, 0], Bs)
    T.gemm(As, Bs, acc)
T.copy(acc, C)
"""
# Global memory -> registers -> shared memory.
STAGED = """
Af = T.alloc_fragment((64, 32), "float16")
Bf = T.alloc_fragment((32, 64), "float16")
As = T.alloc_shared((64, 32), "float16")
Bs = T.alloc_shared((32, 64), "float16")
acc = T.alloc_fragment((64, 64), "float32")
T.clear(acc)
for k in T.Pipelined({trips}, {hint}):
    T.copy(A[0, k * 32], Af)
    T.copy(B[k * 32, 0], Bf)
    T.copy(Af, As)
    T.copy(Bf, Bs)
    T.gemm(As, Bs, acc)
T.copy(acc, C)
"""
# Global memory -> shared memory -> registers: two levels.
LEVELS = """
As = T.alloc_shared((64, 32), "float16")
Bs = T.alloc_shared((32, 64), "float16")
Af = T.alloc_fragment((64, 32), "float16")
acc = T.alloc_fragment((64, 64), "float32")
T.clear(acc)
for k in T.Pipelined({trips}, {hint}):
    T.copy(A[0, k * 32], As)
    T.copy(B[k * 32, 0], Bs)
    T.copy(As, Af)
    T.gemm(Af, Bs, acc)
T.copy(acc, C)
"""
# The tile is scaled where it lies.
SCALED = """
As = T.alloc_shared((64, 32), "float16")
Bs = T.alloc_shared((32, 64), "float16")
acc = T.alloc_fragment((64, 64), "float32")
T.clear(acc)
for k in T.Pipelined({trips}, {hint}):
    T.copy(A[0, k * 32], As)
    for i, j in T.Parallel(64, 32):
        As[i, j] = As[i, j] * T.float16(1.0)
    T.copy(B[k * 32, 0], Bs)
    T.gemm(As, Bs, acc)
T.copy(acc, C)
"""

CASES = [
    ("copies first", GEMM, "order=[0, 1, 2], stage=[0, 0, 1]"),
    ("gemm first", GEMM, "order=[1, 2, 0], stage=[0, 0, 1]"),
    ("two ahead", GEMM, "order=[0, 1, 2], stage=[0, 0, 2]"),
    ("each its own", GEMM, "order=[1, 0, 2], stage=[0, 1, 2]"),
    ("only stages", GEMM, "stage=[0, 1, 3]"),
    ("only an order", GEMM, "order=[1, 0, 2]"),
    ("an order and slots", GEMM, "num_stages=3, order=[1, 0, 2]"),
    ("one stage", GEMM, "order=[1, 0, 2], stage=[0, 0, 0]"),
    ("groups that complete apart", GEMM, "stage=[0, 0, 2], group=[[0], [1], [2]]"),
    ("entries of groups", GEMM, "order=[0, 1], stage=[0, 1], group=[[0, 1], [2]]"),
    ("copies placed", GEMM, "num_stages=3, order=[-1, -1, 0], stage=[-1, -1, 0]"),
    ("raw", GEMM, "annotations={'software_pipeline_order': [0, 1, 2], 'software_pipeline_stage': [0, 0, 2]}"),
    ("registers, stored first", STAGED, "order=[3, 4, 0, 1, 2], stage=[0, 0, 1, 1, 1]"),
    ("registers, loaded first", STAGED, "order=[0, 1, 2, 3, 4], stage=[0, 0, 1, 1, 1]"),
    ("registers, three versions", STAGED, "stage=[0, 0, 2, 2, 2]"),
    ("registers, then shared", STAGED, "order=[0, 2, 1, 3, 4], stage=[0, 0, 1, 1, 2]"),
    ("two levels", LEVELS, "stage=[0, 0, 2, 3]"),
    ("two levels, gemm first", LEVELS, "order=[1, 2, 3, 0], stage=[0, 0, 1, 2]"),
    ("two levels, one slot", LEVELS, "order=[2, 3, 1, 0], stage=[0, 0, 1, 2]"),
    ("in place", SCALED, "stage=[0, 1, 0, 2]"),
    ("in place, at once", SCALED, "order=[0, 1, 2, 3], stage=[0, 0, 0, 1]"),
    ("in place, slots", SCALED, "num_stages=3"),
]
SHAPES = 'A: T.Tensor((64, {k}), "float16"), B: T.Tensor(({k}, 64), "float16"), C: T.Tensor((64, 64), "float32")'


def gemm(body: str, hint: str, trips: int):
    return program(body.format(hint=hint, trips=trips), SHAPES.format(k=32 * max(trips, 1)))


def check_gemm(kernel, trips: int, monkeypatch) -> None:
    rng = np.random.default_rng()
    for seed in range(SEEDS):
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
        a = rng.standard_normal((64, 32 * max(trips, 1))).astype(np.float16)
        b = rng.standard_normal((32 * max(trips, 1), 64)).astype(np.float16)
        c = np.full((64, 64), np.nan, np.float32)
        kernel(a, b, c)
        assert np.abs(c - a.astype(np.float64) @ b.astype(np.float64)).max() < 0.02, f"seed {seed}"


@pytest.mark.parametrize("trips", [1, 2, 7])
@pytest.mark.parametrize("name, body, hint", CASES, ids=[c[0] for c in CASES])
def test_simulator(name, body, hint, trips, monkeypatch):
    check_gemm(tilescale.compile(gemm(body, hint, trips), target="sim"), trips, monkeypatch)


@pytest.mark.skipif(nvrtc.library() is None, reason="needs the package nvidia-cuda-nvrtc")
@pytest.mark.parametrize("arch", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("name, body, hint", CASES, ids=[c[0] for c in CASES])
def test_nvrtc(name, body, hint, arch):
    kernel = tilescale.compile(gemm(body, hint, 7), target={"kind": "cuda", "arch": arch})
    nvrtc.compile_cubin(kernel.get_kernel_source(), arch)


# -- attention's order: the scores of the next block under the product of this one
ATTENTION = """
Q = T.alloc_shared((64, 32), "float16")
K = T.alloc_shared((32, 32), "float16")
V = T.alloc_shared((32, 32), "float16")
s = T.alloc_fragment((64, 32), "float32")
p = T.alloc_fragment((64, 32), "float16")
top = T.alloc_fragment((64,), "float32")
last = T.alloc_fragment((64,), "float32")
scale = T.alloc_fragment((64,), "float32")
part = T.alloc_fragment((64,), "float32")
total = T.alloc_fragment((64,), "float32")
o = T.alloc_fragment((64, 32), "float32")
T.copy(A, Q)
T.fill(o, 0)
T.fill(total, 0)
T.fill(top, -T.infinity("float32"))
for k in T.Pipelined({trips}, {hint}):
    T.copy(B[k * 32, 0], K)
    T.clear(s)
    T.gemm(Q, K, s, transpose_B=True)
    T.copy(top, last)
    T.reduce_max(s, top, dim=1, clear=False)
    for i in T.Parallel(64):
        scale[i] = T.exp(last[i] - top[i])
    for i, j in T.Parallel(64, 32):
        s[i, j] = T.exp(s[i, j] - top[i])
    T.reduce_sum(s, part, dim=1)
    for i in T.Parallel(64):
        total[i] = total[i] * scale[i] + part[i]
    T.copy(s, p)
    for i, j in T.Parallel(64, 32):
        o[i, j] *= scale[i]
    T.copy(D[k * 32, 0], V)
    T.gemm(p, V, o)
for i, j in T.Parallel(64, 32):
    o[i, j] /= total[i]
T.copy(o, C)
"""
ATTENTION_HINTS = {
    "plain": "num_stages=0",
    "slots": "num_stages=2",
    "automatic": "num_stages=None",
    "overlapped": "num_stages=2, order=[-1, 0, 3, 1, -1, 2], stage=[-1, 0, 0, 1, -1, 1], "
    "group=[[0], [1, 2], [3, 4, 5, 6, 7, 8, 9], [10], [11], [12]]",
    "overlapped, one slot": "num_stages=1, order=[-1, 0, 3, 1, -1, 2], stage=[-1, 0, 0, 1, -1, 1], "
    "group=[[0], [1, 2], [3, 4, 5, 6, 7, 8, 9], [10], [11], [12]]",
    "versions of fragments": "num_stages=2, order=[-1, 0, 1, 2, -1, 3], stage=[-1, 0, 0, 1, -1, 1], "
    "group=[[0], [1, 2], [3, 4, 5, 6, 7, 8, 9], [10], [11], [12]]",
    "three levels": "stage=[0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 2]",
}


def attention(hint: str, trips: int):
    rows = 32 * trips
    return program(
        ATTENTION.format(hint=hint, trips=trips),
        f'A: T.Tensor((64, 32), "float16"), B: T.Tensor(({rows}, 32), "float16"), '
        f'D: T.Tensor(({rows}, 32), "float16"), C: T.Tensor((64, 32), "float32")',
    )


@pytest.mark.parametrize("trips", [1, 2, 5])
@pytest.mark.parametrize("name", ATTENTION_HINTS)
def test_attention(name, trips, monkeypatch):
    kernel = tilescale.compile(attention(ATTENTION_HINTS[name], trips), target="sim")
    rng = np.random.default_rng()
    for seed in range(SEEDS):
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
        q, k, v = (rng.standard_normal((n, 32)).astype(np.float16) for n in (64, 32 * trips, 32 * trips))
        c = np.full((64, 32), np.nan, np.float32)
        kernel(q, k, v, c)
        s = q.astype(np.float64) @ k.astype(np.float64).T
        e = np.exp(s - s.max(1, keepdims=True))
        assert np.abs(c - e / e.sum(1, keepdims=True) @ v.astype(np.float64)).max() < 0.02, f"seed {seed}"


@pytest.mark.skipif(nvrtc.library() is None, reason="needs the package nvidia-cuda-nvrtc")
@pytest.mark.parametrize("arch", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("name", ATTENTION_HINTS)
def test_attention_nvrtc(name, arch):
    kernel = tilescale.compile(attention(ATTENTION_HINTS[name], 5), target={"kind": "cuda", "arch": arch})
    nvrtc.compile_cubin(kernel.get_kernel_source(), arch)


# -- trips
DYNAMIC = """
As = T.alloc_shared((64, 32), "float16")
Bs = T.alloc_shared((32, 64), "float16")
acc = T.alloc_fragment((64, 64), "float32")
T.clear(acc)
for o in T.serial(2):
    for k in T.Pipelined(n, {hint}):
        T.copy(A[0, k * 32], As)
        T.copy(B[k * 32, 0], Bs)
        T.gemm(As, Bs, acc)
T.copy(acc, C)
"""


@pytest.mark.parametrize(
    "hint", ["num_stages=5", "num_stages=2", "stage=[0, 0, 3]", "stage=[0, 1, 2]", "num_stages=None"]
)
def test_trips_known_at_run_time(hint, monkeypatch):
    """Fewer than the slots, none, and in a loop that comes again."""
    kernel = tilescale.compile(program(DYNAMIC.format(hint=hint), "n: T.int32, " + SHAPES.format(k=256)), target="sim")
    rng = np.random.default_rng()
    for seed, trips in enumerate([0, 1, 2, 3, 4, 8]):
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
        a, b = rng.standard_normal((64, 256)).astype(np.float16), rng.standard_normal((256, 64)).astype(np.float16)
        c = np.full((64, 64), np.nan, np.float32)
        kernel(trips, a, b, c)
        used = a.astype(np.float64)[:, : 32 * trips] @ b.astype(np.float64)[: 32 * trips]
        assert np.abs(c - 2 * used).max() < 0.05, f"{trips} trips"


# -- conditional copies
GUARDS = {
    "each under the condition": """
        if mask[k] != 0:
            T.copy(A[0, k * 32], As)
        if mask[k] != 0:
            T.copy(B[k * 32, 0], Bs)
        if mask[k] != 0:
            T.gemm(As, Bs, acc)""",
    "all under the condition": """
        if mask[k] != 0:
            T.copy(A[0, k * 32], As)
            T.copy(B[k * 32, 0], Bs)
            T.gemm(As, Bs, acc)""",
    "cleared first": """
        T.clear(As)
        if mask[k] != 0:
            T.copy(A[0, k * 32], As)
        T.copy(B[k * 32, 0], Bs)
        T.gemm(As, Bs, acc)""",
    "cleared otherwise": """
        if mask[k] != 0:
            T.copy(A[0, k * 32], As)
        else:
            T.clear(As)
        T.copy(B[k * 32, 0], Bs)
        T.gemm(As, Bs, acc)""",
    "one condition more": """
        if mask[k] != 0:
            T.copy(A[0, k * 32], As)
            if k < 100:
                T.copy(B[k * 32, 0], Bs)
                T.gemm(As, Bs, acc)""",
}


def guarded(name: str, hint: str):
    head, tail = GEMM[: GEMM.index("for k")], "T.copy(acc, C)"
    body = f"{head}for k in T.Pipelined(7, {hint}):{GUARDS[name].replace(chr(10) + '    ', chr(10))}\n{tail}"
    return program(body, 'mask: T.Tensor((7,), "int32"), ' + SHAPES.format(k=7 * 32))


@pytest.mark.parametrize("stages", [2, 4])
@pytest.mark.parametrize("name", GUARDS)
def test_conditional_copies(name, stages, monkeypatch):
    func = guarded(name, f"num_stages={stages}")
    assert f"copies {stages - 1} iterations ahead" in decisions(func)
    kernel = tilescale.compile(func, target="sim")
    rng = np.random.default_rng()
    for seed in range(SEEDS):
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
        mask = rng.integers(0, 2, 7).astype(np.int32)
        a, b = rng.standard_normal((64, 224)).astype(np.float16), rng.standard_normal((224, 64)).astype(np.float16)
        c = np.full((64, 64), np.nan, np.float32)
        kernel(mask, a, b, c)
        expected = (a.astype(np.float64) * np.repeat(mask, 32)) @ b.astype(np.float64)
        assert np.abs(c - expected).max() < 0.02, f"seed {seed}, mask {mask}"


def test_a_condition_by_hand(monkeypatch):
    """Three statements, each with its branch."""
    kernel = tilescale.compile(guarded("each under the condition", "stage=[0, 1, 2]"), target="sim")
    rng = np.random.default_rng()
    for seed in range(SEEDS):
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
        mask = rng.integers(0, 2, 7).astype(np.int32)
        a, b = rng.standard_normal((64, 224)).astype(np.float16), rng.standard_normal((224, 64)).astype(np.float16)
        c = np.full((64, 64), np.nan, np.float32)
        kernel(mask, a, b, c)
        assert np.abs(c - (a.astype(np.float64) * np.repeat(mask, 32)) @ b.astype(np.float64)).max() < 0.02


# A tile of the iteration before, and slots that the user keeps: there is one version.
PREVIOUS = """
As = T.alloc_shared((64, 32), "float16")
Bs = T.alloc_shared((32, 64), "float16")
acc = T.alloc_fragment((64, 64), "float32")
T.clear(acc)
for k in T.Pipelined(7, num_stages=3):
    T.copy(B[k * 32, 0], Bs)
    if k > 0:
        T.gemm(As, Bs, acc)
    T.copy(A[0, k * 32], As)
T.copy(acc, C)
"""
OWN_SLOTS = """
As = T.alloc_shared((2, 64, 32), "float16")
Bs = T.alloc_shared((32, 64), "float16")
acc = T.alloc_fragment((64, 64), "float32")
T.clear(acc)
for k in T.Pipelined(7, num_stages=3):
    T.copy(A[0, k * 32], As[k % 2, :, :])
    T.copy(B[k * 32, 0], Bs)
    if k > 0:
        T.gemm(As[(k + 1) % 2, :, :], Bs, acc)
T.copy(acc, C)
"""


@pytest.mark.parametrize("body", [PREVIOUS, OWN_SLOTS], ids=["previous", "own slots"])
def test_what_an_iteration_leaves_to_the_next(body, monkeypatch):
    kernel = tilescale.compile(program(body, SHAPES.format(k=224)), target="sim")
    rng = np.random.default_rng()
    for seed in range(SEEDS):
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
        a, b = rng.standard_normal((64, 224)).astype(np.float16), rng.standard_normal((224, 64)).astype(np.float16)
        c = np.full((64, 64), np.nan, np.float32)
        kernel(a, b, c)
        assert np.abs(c - a[:, :192].astype(np.float64) @ b[32:].astype(np.float64)).max() < 0.02, f"seed {seed}"


# Which rows are multiplied is read from memory that is written before the loop, under a name of the loop.
CHOSEN = """
chosen = T.alloc_{memory}((8,), "int32")
As = T.alloc_shared((64, 32), "float16")
Bs = T.alloc_shared((32, 64), "float16")
acc = T.alloc_fragment((64, 64), "float32")
{fill}
T.clear(acc)
for k in T.Pipelined(8, num_stages=3):
    row = chosen[k]
    if row >= 0:
        T.copy(A[0, row * 32], As)
        T.copy(B[row * 32, 0], Bs)
        T.gemm(As, Bs, acc)
T.copy(acc, C)
"""
FILLS = {"shared": "T.copy(rows, chosen)", "local": "for i in T.serial(8):\n    chosen[i] = rows[i]"}


@pytest.mark.parametrize("memory", FILLS)
def test_a_name_of_what_is_written_before_the_loop(memory, monkeypatch):
    body = CHOSEN.format(memory=memory, fill=FILLS[memory])
    func = program(body, SHAPES.format(k=256) + ', rows: T.Tensor((8,), "int32")')
    assert "do copy_A +2; do copy_B +2" in scheduled(func)
    kernel = tilescale.compile(func, target="sim")
    rng = np.random.default_rng()
    for seed in range(SEEDS):
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
        a, b = rng.standard_normal((64, 256)).astype(np.float16), rng.standard_normal((256, 64)).astype(np.float16)
        rows = rng.permutation(8).astype(np.int32)
        rows[rng.integers(8)] = -1
        c = np.full((64, 64), np.nan, np.float32)
        kernel(a, b, c, rows)
        taken = np.repeat(np.isin(np.arange(8), rows), 32)
        want = (a.astype(np.float64) * taken) @ b.astype(np.float64)
        assert np.abs(c - want).max() < 0.02, f"seed {seed}"


# A barrier that the user counts: nothing of the loop moves across it.
BARRIER = """
As = T.alloc_shared((64, 32), "float16")
Bs = T.alloc_shared((32, 64), "float16")
acc = T.alloc_fragment((64, 64), "float32")
bar = T.alloc_barrier(128)
T.clear(acc)
for k in T.Pipelined(7, num_stages=3):
    T.copy(A[0, k * 32], As)
    T.copy(B[k * 32, 0], Bs)
    T.mbarrier_arrive(bar)
    T.mbarrier_wait_parity(bar, k % 2)
    T.gemm(As, Bs, acc)
T.copy(acc, C)
"""


def test_a_barrier_of_the_user(monkeypatch):
    func = program(BARRIER, SHAPES.format(k=224))
    assert "not pipelined: it signals or waits for other threads" in decisions(func, "sm_90a")
    check_gemm(tilescale.compile(func, target="sim"), 7, monkeypatch)


def test_a_barrier_of_the_block_changes_nothing(monkeypatch):
    body = re.sub(r"T.mbarrier_arrive.*\n.*", "T.sync_threads()", BARRIER).replace("bar = T.alloc_barrier(128)\n", "")
    func = program(body, SHAPES.format(k=224))
    assert "copies 2 iterations ahead" in decisions(func)
    check_gemm(tilescale.compile(func, target="sim"), 7, monkeypatch)


@pytest.mark.parametrize(
    "body, units", [(GEMM, 3), (STAGED, 5), (LEVELS, 4), (SCALED, 4)], ids=["gemm", "staged", "levels", "scaled"]
)
def test_any_hint_is_refused_or_right(body, units, monkeypatch):
    """Fresh ones in every run; the loop's hint is in the report."""
    rng = np.random.default_rng()
    for _ in range(6):
        order = [int(x) for x in rng.permutation(units)]
        stage = sorted(int(x) for x in rng.integers(0, 4, units))
        hint, trips = f"order={order}, stage={stage}", int(rng.integers(1, 6))
        func = gemm(body, hint, trips)
        try:
            kernel = tilescale.compile(func, target="sim")
        except CompileError as error:
            assert re.search("which must run first|would run before|between the statements that fill it", str(error)), (
                hint
            )
            continue
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(rng.integers(100)))
        a = rng.standard_normal((64, 32 * trips)).astype(np.float16)
        b = rng.standard_normal((32 * trips, 64)).astype(np.float16)
        c = np.full((64, 64), np.nan, np.float32)
        kernel(a, b, c)
        assert np.abs(c - a.astype(np.float64) @ b.astype(np.float64)).max() < 0.02, f"{hint}, {trips} trips"


# The steps of the loop, and the versions that they need.
SCHEDULES = {
    "copies first": (
        ["(%As, %Bs) depth 2"],
        "wait p; acquire p +1; do copy_A +1; do copy_B +1; commit p +1; do gemm",
    ),
    "gemm first": (
        ["(%As, %Bs) depth 1"],
        "wait p; do gemm; acquire p +1; do copy_A +1; do copy_B +1; commit p +1",
    ),
    "each its own": (
        ["(%Bs) depth 2", "(%As) depth 3"],
        "wait p; wait p_1; acquire p +1; do copy_B +1; commit p +1; "
        "acquire p_1 +2; do copy_A +2; commit p_1 +2; do gemm",
    ),
    "groups that complete apart": (
        ["(%As) depth 3", "(%Bs) depth 3"],
        "wait p; wait p_1; acquire p +2; do copy_A +2; commit p +2; "
        "acquire p_1 +2; do copy_B +2; commit p_1 +2; do gemm",
    ),
    "registers, stored first": (
        [],
        "do copy; do copy_2; do gemm; do copy_A +1; do copy_B +1",
    ),
    "registers, three versions": (
        ["(%Af) depth 3", "(%Bf) depth 3"],
        "wait p; acquire p +2; do copy_A +2; commit p +2; acquire p_1 +2; do copy_B +2; commit p_1 +2; "
        "do copy; wait p_1; do copy_2; do gemm",
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_steps(name):
    body, hint = next((b, h) for n, b, h in CASES if n == name)
    pipes, steps = SCHEDULES[name]
    text = scheduled(gemm(body, hint, 7))
    assert re.findall(r"pipe \S+ (\(.*?\) depth \d+)", text) == pipes
    got = re.search(r"all: (.*)", text).group(1).replace('"pipe"', "p").replace("pipe_1", "p_1")
    assert got == steps


UNALIGNED = """
s = T.alloc_shared((32,), "int8")
for k in T.Pipelined(5, {hint}):
    T.copy(A[k], s)
    T.copy(s, C[k, 0])
"""


@pytest.mark.parametrize("hint", ["num_stages=2", "stage=[0, 2]"])
def test_a_copy_that_begins_at_the_index(hint):
    """No fact of the launch can say that its rows are aligned."""
    shapes = 'A: T.Tensor((36,), "int8"), C: T.Tensor((5, 32), "int8")'
    kernel = tilescale.compile(program(UNALIGNED.format(hint=hint), shapes), target="sim")
    a = np.random.default_rng().integers(-128, 128, 36).astype(np.int8)
    c = np.zeros((5, 32), np.int8)
    kernel(a, c)
    assert (c == np.stack([a[k : k + 32] for k in range(5)])).all()


UNREAD = """
s = T.alloc_shared((128, 8), "float32")
total = T.alloc_fragment((128, 8), "float32")
again = T.alloc_shared((128, 8), "float32")
T.clear(total)
for k in T.Pipelined(4, {hint}):
    T.copy(A[k, 0], s)
    for i, j in T.Parallel(128, 8):
        total[i, j] += 1.0
T.copy(total, again)
for i, j in T.Parallel(128, 8):
    C[i, j] = again[127 - i, j]
"""


@pytest.mark.parametrize("hint", ["num_stages=2", "stage=[0, 1]"])
def test_a_copy_that_nothing_reads(hint):
    """It has arrived before its memory serves something else."""
    shapes = 'A: T.Tensor((131, 8), "float32"), C: T.Tensor((128, 8), "float32")'
    kernel = tilescale.compile(program(UNREAD.format(hint=hint), shapes), target={"kind": "sim", "arch": "sm_80"})
    a, c = np.random.default_rng().standard_normal((131, 8)).astype(np.float32), np.zeros((128, 8), np.float32)
    kernel(a, c)
    assert (c == 4).all()
