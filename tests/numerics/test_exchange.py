# SPDX-License-Identifier: MIT
"""Exchanges between threads whose barrier, or whose memory, hangs on a read that is easily overlooked: each program on
the simulator, which finds races, against the oracle."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale.testing import evaluate


@pytest.fixture
def rng():
    return np.random.default_rng()


def build(params, body, threads=128):
    lines = "\n".join("        " + line for line in body.strip("\n").split("\n"))
    source = f"""
@T.prim_func
def main({params}):
    with T.Kernel(1, threads={threads}) as bx:
        tx = T.get_thread_binding()
{lines}
"""
    names = {"T": T}
    T.exec_source(source, names, f"<exchange {abs(hash(source))}>")
    return names["main"]


def run(program, *args):
    want = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args)
    evaluate(program, *want)
    kernel = tilescale.compile(program, target="sim")
    kernel(*args)
    for got, expected in zip(args, want, strict=True):
        np.testing.assert_array_equal(got, expected)
    return kernel


VIEW = {
    "shared": "H = T.alloc_shared((256,), 'float16')\nfor i in T.Parallel(256): H[i] = 0\n",
    "global": "",
}


@pytest.mark.parametrize("space", VIEW)
def test_views_with_elements_of_two_sizes(rng, space):
    """Equal indices and equal bytes in all, yet H[tx * 2 +: 2] is not V[tx * 2]."""
    body = (
        VIEW[space]
        + "V = T.view(H, (128,), 'float32')\nfor i in T.vectorized(2): H[tx * 2 + i] = A[tx * 2 + i]\nB[tx] = V[tx * 2]"
    )
    params = "A: T.Tensor((128,), 'float16'), B: T.Tensor((64,), 'float32')"
    a, b = rng.standard_normal(128, np.float32).astype(np.float16), np.zeros(64, np.float32)
    args = [a, b]
    if space == "global":
        params += ", H: T.Tensor((256,), 'float16')"
        args.append(rng.standard_normal(256, np.float32).astype(np.float16))
    program = build(params, body, threads=64)
    run(program, *args)


BIG = """
S = T.alloc_shared((2048,), 'int32')
R = T.alloc_shared((2048,), 'int32')
for i in T.Parallel(2048): S[i] = A[i] % 7
for i in T.Parallel(2048): R[i] = A[i] + 100
for i in T.Parallel(2048): B[i] = R[2047 - i]
"""
SMALL = "S = T.alloc_shared((128,), 'int32')\nS[tx] = A[tx] % 5\n"
READS = {
    "the initial value of a variable": "x = T.alloc_var('int32', init=S[127 - tx])\nB[tx] = x",
    "the extent of a loop": "for k in T.serial(S[127 - tx]): B[tx] = B[tx] + 1",
    "the begin of a loop": "for k in T.serial(S[127 - tx], 9): B[tx] = B[tx] + k",
    "the condition of a loop": "v = T.alloc_var('int32', init=0)\nwhile v < S[127 - tx]:\n    v = v + 1\nB[tx] = v",
    "a condition": "if S[127 - tx] > 2: B[tx] = 1",
}


@pytest.mark.parametrize("before", ["barrier", "memory"])
@pytest.mark.parametrize("read", READS)
def test_what_a_statement_itself_reads(rng, read, before):
    """It comes behind a barrier, and its memory is not given to another buffer before it."""
    n = 128 if before == "barrier" else 2048
    body = (SMALL if before == "barrier" else BIG) + READS[read]
    program = build(f"A: T.Tensor(({n},), 'int32'), B: T.Tensor(({n},), 'int32')", body)
    run(program, rng.integers(0, 1000, n, dtype=np.int32), np.zeros(n, np.int32))


ALIASES = {
    "named parameters": (
        "A: T.Tensor((128,), 'int32'), B: T.Tensor((128,), 'int32')",
        "T.annotate_restrict_buffers(A, B)\n",
    ),
    "a pointer and a parameter": ("A: T.Tensor((128,), 'int32'), p: T.ptr", "B = T.make_tensor(p, (128,), 'int32')\n"),
    "two tensors of one pointer": (
        "p: T.ptr, q: T.ptr",
        "A = T.make_tensor(p, (128,), 'int32')\nB = T.make_tensor(q, (128,), 'int32')\n",
    ),
}


@pytest.mark.parametrize("way", ALIASES)
def test_memory_with_two_names(rng, way):
    params, setup = ALIASES[way]
    program = build(params + ", C: T.Tensor((128,), 'int32')", setup + "A[tx] = tx\nC[tx] = B[127 - tx]")
    kernel = tilescale.compile(program, target="sim")
    memory, c = rng.integers(0, 9, 128, dtype=np.int32), np.zeros(128, np.int32)
    kernel(memory, memory, c)
    np.testing.assert_array_equal(c, 127 - np.arange(128))


GROUPS = {  # points
    "tx < 16": 32,
    "tx >= 8 and tx < 24": 32,
    "tx < 40": 64,
    "tx >= 16 and tx < 48": 64,
    "tx >= 32 and tx < 64": 64,
    "tx >= 72": 64,
}


@pytest.mark.parametrize("group", GROUPS)
def test_groups_of_parts_of_warps(rng, group):
    """Neighbours of one warp exchange: its barrier counts the lanes of the group."""
    n = GROUPS[group]
    body = f"""
S = T.alloc_shared((128,), 'int32')
for i in T.Parallel(128): S[i] = 0
if {group}:
    for i in T.Parallel({n}): S[i] = A[i]
    for i in T.Parallel({n}): B[i] = S[i ^ 2]
C[tx] = S[127 - tx]
"""
    program = build(", ".join(f"{name}: T.Tensor((128,), 'int32')" for name in "ABC"), body)
    kernel = tilescale.compile(program, target="sim")
    assert "warp_sync" in kernel.get_kernel_source()
    a, b, c = rng.integers(0, 99, 128, dtype=np.int32), np.zeros(128, np.int32), np.zeros(128, np.int32)
    kernel(a, b, c)
    points = np.arange(128)
    np.testing.assert_array_equal(b, np.where(points < n, a[points ^ 2], 0))
    np.testing.assert_array_equal(c, np.where(points < n, a, 0)[::-1])


@pytest.mark.parametrize(("group", "threads"), [("tx < 40", "0 to 39"), ("tx >= 16 and tx < 48", "16 to 47")])
def test_parts_of_several_warps_have_no_barrier(group, threads):
    body = f"""
S = T.alloc_shared((160,), 'int32')
if {group}:
    for i in T.Parallel(160): S[i] = A[i]
    for i in T.Parallel(160): B[i] = S[159 - i]
"""
    program = build("A: T.Tensor((160,), 'int32'), B: T.Tensor((160,), 'int32')", body)
    with pytest.raises(tilescale.CompileError) as raised:
        tilescale.compile(program, target="sim")
    assert str(raised.value).split("\n")[0] == (
        f"threads {threads} exchange `S` (line 8 (write), line 9 (read)), which takes a barrier of them, and a barrier "
        "counts whole warps: let the group begin and end at multiples of 32"
    )


WITHIN = """
S = T.alloc_shared((256,), 'int32')
with T.ws(0):
    full = T.alloc_barrier(128)
    T.barrier_arrive(full)
    T.barrier_wait(full, 0)
    B[tx] = A[tx]
S[tx] = A[tx]
B[tx] = S[255 - tx]
"""


def test_a_barrier_that_a_group_declares(rng):
    """It is made where all threads meet, so that nobody's barrier counts it."""
    program = build("A: T.Tensor((256,), 'int32'), B: T.Tensor((256,), 'int32')", WITHIN, threads=256)
    kernel = tilescale.compile(program, target="sim")
    a, b = rng.integers(0, 99, 256, dtype=np.int32), np.zeros(256, np.int32)
    kernel(a, b)
    np.testing.assert_array_equal(b, a[::-1])


def test_a_barrier_that_a_group_declares_in_a_loop():
    body = "for k in T.serial(3):\n" + "\n".join("    " + line for line in WITHIN.strip("\n").split("\n")[1:7])
    body = "S = T.alloc_shared((256,), 'int32')\n" + body
    program = build("A: T.Tensor((256,), 'int32'), B: T.Tensor((256,), 'int32')", body, threads=256)
    with pytest.raises(tilescale.CompileError) as raised:
        tilescale.compile(program, target="sim")
    assert str(raised.value).split("\n")[0] == (
        "`full` is declared by some of the threads, inside of a loop: its phases would begin anew while others wait. "
        "Declare it before the loop"
    )


def test_a_barrier_of_the_block_in_a_group():
    body = "with T.ws(0):\n    B[tx] = A[tx]\n    T.sync_threads()\n    B[tx] = B[127 - tx]"
    program = build("A: T.Tensor((256,), 'int32'), B: T.Tensor((256,), 'int32')", body, threads=256)
    with pytest.raises(tilescale.CompileError) as raised:
        tilescale.compile(program, target="sim")
    assert str(raised.value).split("\n")[0] == (
        "T.sync_threads is a barrier of all 256 threads of the block, and only threads 0 to 127 get here: "
        "T.sync_threads(id, count) is one of a range of threads"
    )


COPY = "T.ptx_cp_async(T.address_of({to}[tx * 4]), T.address_of(A[tx * 4]), 4)\n"
STAGE = "S = T.alloc_shared((512,), 'float32')\nR = T.alloc_shared((512,), 'float32')\n"
ASYNC = {
    "nothing": (COPY.format(to="S"), 8),
    "a commit": (COPY.format(to="S") + "T.ptx_commit_group()\n", 8),
    "a wait for all but one": (COPY.format(to="S") + "T.ptx_commit_group()\nT.ptx_wait_group(1)\n", 8),
    "a commit on one path": (
        COPY.format(to="S")
        + "T.ptx_commit_group()\nif n > 0:\n    "
        + COPY.format(to="R")
        + "    T.ptx_commit_group()\nT.ptx_wait_group(1)\n",
        8,
    ),
    "a commit on the other path": (
        COPY.format(to="S")
        + "T.ptx_commit_group()\nif n > 0:\n    B[tx] = 0.0\nelse:\n    T.ptx_commit_group()\nT.ptx_wait_group(1)\n",
        8,
    ),
}


@pytest.mark.parametrize("way", ASYNC)
def test_a_copy_of_the_user_that_nobody_waits_for(way):
    text, copied = ASYNC[way]
    params = "A: T.Tensor((512,), 'float32'), B: T.Tensor((128,), 'float32'), n: T.int32"
    program = build(params, STAGE + text + "B[tx] = S[127 - tx]")
    with pytest.raises(tilescale.CompileError) as raised:
        tilescale.compile(program, target="sim")
    assert str(raised.value).split("\n")[0] == (
        f"`S` is read here, and the asynchronous copy at line {copied} may still be filling it: "
        "T.ptx_commit_group() must stand behind the copy, and T.ptx_wait_group(0) before this, on every path"
    )


WAITED = {
    "a commit on each path": "if n > 0:\n    {r}    T.ptx_commit_group()\nelse:\n    T.ptx_commit_group()\n"
    "T.ptx_wait_group(1)\n",
    "a commit and a wait on one path": "if n > 0:\n    {r}    T.ptx_commit_group()\nT.ptx_wait_group(0)\n",
}


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("way", WAITED)
def test_a_copy_of_the_user_that_every_path_waits_for(rng, way, n):
    params = "A: T.Tensor((512,), 'float32'), B: T.Tensor((128,), 'float32'), n: T.int32"
    text = COPY.format(to="S") + "T.ptx_commit_group()\n" + WAITED[way].format(r=COPY.format(to="R"))
    program = build(params, STAGE + text + "B[tx] = S[127 - tx]\nT.ptx_wait_group(0)")
    a, b = rng.standard_normal(512, np.float32), np.zeros(128, np.float32)
    tilescale.compile(program, target="sim")(a, b, n)
    np.testing.assert_array_equal(b, a[127::-1])


POINTS = {
    "a value bound to a name": ("x = A[i]\nB[0] = x", "along `i` store different values to `B[0]`. Use T.reduce, "),
    "a sum with a name": ("y = A[i]\nB[0] = y + 1", "along `i` store different values to `B[0]`. Use T.reduce, "),
    "neighbours": (
        "B[i] = A[i]\nB[i + 1] = 0",
        "store `B[i + 1]` here and `B[i]` at line 7: different values for the same elements at another `i`, ",
    ),
}


@pytest.mark.parametrize("way", POINTS)
def test_points_that_store_different_values(way):
    body, want = POINTS[way]
    nest = "for i in T.Parallel(128):\n" + "\n".join("    " + line for line in body.split("\n"))
    program = build("A: T.Tensor((128,), 'int32'), B: T.Tensor((129,), 'int32')", nest)
    with pytest.raises(ValueError, match="Data race") as raised:
        tilescale.compile(program, target="sim")
    first = str(raised.value).split("\n")[0]
    assert first.startswith("[Tilelang Semantic Check] Data race: the points of T.Parallel " + want), first


SAME = {
    "one element for all": "B[0] = A[i // 128]",
    "a number for all": "B[0] = 7 + i // 128",
    "one value for neighbours": "B[i] = A[3]\nB[i + 1] = A[3]",
    "the value of the element": "B[i] = C[i]\nB[i + 1] = C[i + 1]",
}


@pytest.mark.parametrize("way", SAME)
def test_points_that_store_one_value(rng, way):
    nest = "for i in T.Parallel(128):\n" + "\n".join("    " + line for line in SAME[way].split("\n"))
    program = build(", ".join(f"{name}: T.Tensor((129,), 'int32')" for name in "ABC"), nest)
    run(program, *(rng.integers(0, 99, 129, dtype=np.int32) for _ in range(3)))


def test_points_that_may_store_at_one_element():
    params = "A: T.Tensor((128,), 'int32'), B: T.Tensor((128,), 'int32')"
    nest = "for i in T.Parallel(64):\n    B[A[i]] = i\n    B[i * 2] = B[i * 2] + 1\n    B[i] = 0"
    text = tilescale.compile(build(params, nest), target="sim").explain()
    left = [line.split("may store ")[1] for line in text.splitlines() if "left to the program: two points" in line]
    assert left == [
        f"{pair} at one element"
        for pair in (
            "`B[A[i]]` at line 7 and store `B[A[i]]` at line 7",
            "`B[A[i]]` at line 7 and read `B[i * 2]` at line 8",
            "`B[A[i]]` at line 7 and store `B[i * 2]` at line 8",
            "`B[i]` at line 9 and read `B[i * 2]` at line 8",
            "`B[A[i]]` at line 7 and store `B[i]` at line 9",
            "`B[i * 2]` at line 8 and store `B[i]` at line 9",
        )
    ]
