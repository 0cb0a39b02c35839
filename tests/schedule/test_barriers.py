# SPDX-License-Identifier: MIT
"""How many barriers the text of a program has: no more than its hazards need. (That none is missing is what the
simulator's runs of the same programs show.)"""

import itertools
import re
import textwrap

import pytest
import tilescale
import tilescale.language as T

_number = itertools.count()

GEMM = """
    As = T.alloc_shared((64, 32), "float16")
    Bs = T.alloc_shared((32, 64), "float16")
    acc = T.alloc_fragment((64, 64), "float32")
    T.clear(acc)
    for ko in T.Pipelined(8, num_stages={stages}):
        T.copy(A[by * 64, ko * 32], As)
        T.copy(B[ko * 32, bx * 64], Bs)
        T.gemm(As, Bs, acc)
    T.copy(acc, C[by * 64, bx * 64])
"""
CLEARED = """
    As = T.alloc_shared((64, 32), "float16")
    Bs = T.alloc_shared((32, 64), "float16")
    part = T.alloc_fragment((64, 64), "float32")
    acc = T.alloc_fragment((64, 64), "float32")
    T.clear(acc)
    for ko in T.Pipelined(8, num_stages=3):
        T.copy(A[by * 64, ko * 32], As)
        T.copy(B[ko * 32, bx * 64], Bs)
        T.clear(part)
        T.gemm(As, Bs, part)
        for i, j in T.Parallel(64, 64):
            acc[i, j] += part[i, j]
    T.copy(acc, C[by * 64, bx * 64])
"""
STAGED = """
    s = T.alloc_shared((64, 64), "float16")
    T.copy(A[by * 64, bx * 64], s)
    for i, j in T.Parallel(64, 64):
        C[by * 64 + i, bx * 64 + j] = s[j, i]
"""
OWN = """
    s = T.alloc_shared((64, 64), "float32")
    for i, j in T.Parallel(64, 64):
        s[i, j] = A[by * 64 + i, bx * 64 + j]
    for i, j in T.Parallel(64, 64):
        C[by * 64 + i, bx * 64 + j] = s[i, j] * 2.0
"""
ROWS = """
    x = T.alloc_fragment((16, 256), "float32")
    top = T.alloc_fragment((16,), "float32")
    T.copy(A[by * 16, 0], x)
    T.reduce_max(x, top, dim=1)
    for i, j in T.Parallel(16, 256):
        C[by * 16 + i, j] = T.exp(x[i, j] - top[i])
"""

RAGGED = """
    x = T.alloc_fragment((4, 130), "float32")
    T.copy(A[by * 4, 0:130], x)
    for i, j in T.Parallel(4, 130):
        if j < 129:
            {place} = x[i, j]
"""
EXCHANGE = """
    s = T.alloc_shared((256,), "float32")
    for i in T.Parallel(256):
        if i < {writers}:
            s[i] = A[by, i]
    for i in T.Parallel(256):
        if {readers}:
            C[by, i] = s[255 - i]
"""

# Program, barriers of the block in all, and in its loop.
CASES = {
    "gemm, 3 stages": (GEMM.format(stages=3), 1, 1),
    "gemm, 2 stages": (GEMM.format(stages=2), 1, 1),
    "gemm, 5 stages": (GEMM.format(stages=5), 1, 1),
    "gemm, something before it": (CLEARED, 1, 1),
    "gemm, no stages": (GEMM.format(stages=0), 2, 2),
    "transposed by shared memory": (STAGED, 1, 0),
    "every thread reads what it wrote": (OWN, 0, 0),
    "rows in a warp": (ROWS, 0, 0),
    "the guard keeps ragged rows apart": (RAGGED.format(place="C[by * 4 + i, j]"), 0, 0),
    "readers of what others wrote": (EXCHANGE.format(writers=256, readers="i < 256"), 1, 0),
    "readers of what nobody wrote": (EXCHANGE.format(writers=64, readers="i < 192"), 0, 0),
    "one reader of what another wrote": (EXCHANGE.format(writers=65, readers="i < 192"), 1, 0),
}


def source(body: str) -> str:
    text = '@T.prim_func\ndef main(A: T.Tensor((256, 256), "float16"), B: T.Tensor((256, 256), "float16"), '
    text += 'C: T.Tensor((256, 256), "float32")):\n    with T.Kernel(4, 4, threads=128) as (bx, by):\n'
    text += textwrap.indent(textwrap.dedent(body).strip(), " " * 8) + "\n"
    main = T.exec_source(text, {"T": T}, f"<barrier-test-{next(_number)}>")["main"]
    return tilescale.compile(main, target={"kind": "sim", "arch": "sm_80"}).get_kernel_source()


@pytest.mark.parametrize("name", CASES)
def test_count(name):
    body, total, looped = CASES[name]
    text = source(body)
    loop = re.search(r"for \(int ko = 0.*?\n  }\n", text, re.DOTALL)
    assert text.count("ts::cta_sync()") == total, text
    assert (loop.group(0).count("ts::cta_sync()") if loop else 0) == looped, text


# Index of what a thread writes in round `i` of a loop, k < 2, and the barriers of a round: none where no two threads
# meet in any two rounds.
ROUNDS = {
    "a row for each round": ("i * 128 + tx", "True", 0),
    "rows that overlap": ("i * 64 + tx", "True", 1),
    "a row for each round that another kernel chose": ("(i + n) % 7 * 128 + tx", "True", 0),
    "two threads at one element": ("i * 64 + tx // 2", "True", 1),
    "columns of tiles": ("i * 2048 + n % 8 * 16 + tx // 16 * 128 + tx % 16", "True", 0),
    "columns of wider tiles": ("i * 2048 + n % 8 * 15 + tx // 16 * 128 + tx % 16", "True", 1),
    "as many as the guard leaves": ("i * 200 + k * 128 + tx", "k * 128 + tx < 200", 0),
    "one more than the row has": ("i * 199 + k * 128 + tx", "k * 128 + tx < 200", 1),
    "as many rows as the guard leaves": ("i * 144 + k * 128 + tx", "(k * 128 + tx) // 16 < 9", 0),
    "more rows": ("i * 144 + k * 128 + tx", "(k * 128 + tx) // 16 < 10", 1),
}


@pytest.mark.parametrize("name", ROUNDS)
def test_rounds_that_threads_keep_apart(name):
    index, guard, expected = ROUNDS[name]
    text = f"""
@T.prim_func
def main(A: T.Tensor((8192,), "float32"), n: T.int32):
    with T.Kernel(4, threads=128):
        tx = T.get_thread_binding()
        for i in T.serial(n):
            for k in T.serial(2):
                if {guard}:
                    A[{index}] = 1.0
"""
    main = T.exec_source(text, {"T": T}, f"<barrier-test-{next(_number)}>")["main"]
    source = tilescale.compile(main, target={"kind": "sim", "arch": "sm_80"}).get_kernel_source()
    # In front of the inner loop, unless its own iterations meet.
    within = "  " if name == "two threads at one element" else ""
    assert re.findall(r"^ *ts::cta_sync", source, re.M) == ["    " + within + "ts::cta_sync"] * expected, source


@pytest.mark.parametrize(("one", "other", "expected"), [(256, 384, 0), (256, 192, 1)])
def test_rounds_of_two_loops(one, other, expected):
    """Two rows may be one, but threads keep to their columns, unless one begins within another."""

    @T.prim_func
    def main(A: T.Tensor((8192,), "float32"), n: T.int32):
        with T.Kernel(4, threads=128):
            tx = T.get_thread_binding()
            for i in T.serial(n):
                A[i * one + tx] = 1.0
            for i in T.serial(n):
                A[i * other + tx] = 2.0

    source = tilescale.compile(main, target="sim sm_80").get_kernel_source()
    assert source.count("ts::cta_sync()") == expected, source


@pytest.mark.parametrize("whose", ["of all threads", "of a thread"])
def test_a_loaded_row_is_one_in_a_round(whose):
    """Rows of two rounds may overlap. Within a round all threads have one row, or any."""
    of_all = whose == "of all threads"

    @T.prim_func
    def main(A: T.Tensor((8192,), "float32"), rows: T.Tensor((128,), "int32")):
        with T.Kernel(4, threads=128):
            tx = T.get_thread_binding()
            for i in T.serial(16):
                row = rows[i if of_all else tx]
                for k in T.serial(2):
                    A[row * 64 + k * 128 + tx] = 1.0

    source = tilescale.compile(main, target="sim sm_80").get_kernel_source()
    indent = "    " if of_all else "      "
    assert re.findall(r"^ *ts::cta_sync", source, re.M) == [indent + "ts::cta_sync"], source


def test_a_round_of_a_loop_needs_them_at_its_copies_only():
    """What a loop stores is compared within one round of the loops around it, whatever a round adds."""

    @T.prim_func
    def main(A: T.Tensor((16, 128, 128), "float16"), C: T.Tensor((2, 8, 1024, 1024), "float16"), n: T.int32):
        with T.Kernel(4, threads=128) as b:
            s = T.alloc_shared((128, 128), "float16")
            for i in T.serial(16):
                t = b + i * 4
                for r, c in T.Parallel(128, 128):
                    s[r, c] = A[i, 127 - r, c]
                for r, c in T.Parallel(128, 128):
                    C[n % 2, t // 8, t % 8 * 128 + r, i % 8 * 128 + c] = s[127 - r, c]

    source = tilescale.compile(main, target="sim sm_90a").get_kernel_source()
    assert re.findall(r"^ *ts::cta_sync", source, re.M) == ["    ts::cta_sync"] * 2


# What examples need where rows are ragged, or their length is known at the launch only.
EXAMPLES = {"softmax": 0, "layer_norm": 0, "rms_norm": 0, "gemm_dynamic": 2}


@pytest.mark.parametrize("name", EXAMPLES)
def test_ragged_copies_need_none(name):
    import programs
    from tilescale._ffi import function

    counts = [str(function("ir.print")(x.lowered(), False)).count("bar.cta()") for x in programs.launches(name)]
    assert max(counts) == EXAMPLES[name]


def test_the_rank_moves_all_threads_alike():
    """A tile that is stored where the rank says needs one barrier, before the loop that stores it."""

    @T.prim_func
    def main(A: T.Tensor((64, 128), "float16"), C: T.Tensor((2, 64, 128), "float16")):
        with T.Kernel(4, threads=128):
            s = T.alloc_shared((64, 128), "float16")
            for i, j in T.Parallel(64, 128):
                s[i, j] = A[63 - i, j]
            for i, j in T.Parallel(64, 128):
                C[(T.get_rank() + 1) % 2, i, j] = s[63 - i, j]

    source = tilescale.compile(main, target="sim sm_90a").get_kernel_source()
    assert re.findall(r"^ *ts::cta_sync", source, re.M) == ["  ts::cta_sync"]  # in no loop


def test_two_reductions_have_memory_of_their_own():
    """One barrier each, none between them."""
    import programs

    with programs.recorded() as calls:
        programs.load("softmax").run(3, 700, block_M=1)
    assert calls[0].kernel.get_kernel_source().count("ts::cta_sync()") == 2


@pytest.mark.parametrize("seed", range(20))
def test_without_them_nothing_races(seed, monkeypatch):
    import programs

    monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
    softmax, dynamic = programs.load("softmax"), programs.load("gemm_dynamic")
    assert softmax.run(3, 700, block_M=1) < 1e-5
    assert softmax.run(6, 257) < 1e-5
    assert dynamic.run(dynamic.matmul_dynamic(), 70, 99, 40) < 1e-2
