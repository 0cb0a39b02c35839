# SPDX-License-Identifier: MIT
"""T.Pipelined with hints that cannot be, and what the user is told, exactly; and what explain() says of loops that stay
serial."""

import itertools
import textwrap

import pytest
import tilescale
import tilescale.language as T
from tilescale.errors import CompileError

_number = itertools.count()

BODY = """
T.copy(A[0, k * 32], As)
T.copy(B[k * 32, 0], Bs)
T.gemm(As, Bs, acc)
"""
LIST = "\n  0: `copy_A` (line 9)\n  1: `copy_B` (line 10)\n  2: `gemm` (line 11)"


def program(hint: str, body: str = BODY, trips: int = 8, rows: int = 64):
    shapes = f'A: T.Tensor(({rows}, 256), "float16"), B: T.Tensor((256, 64), "float16"), '
    shapes += f'C: T.Tensor(({rows}, 64), "float32")'
    text = f"""@T.prim_func
def main({shapes}):
    with T.Kernel(1, threads=128) as bx:
        As = T.alloc_shared(({rows}, 32), "float16")
        Bs = T.alloc_shared((32, 64), "float16")
        acc = T.alloc_fragment(({rows}, 64), "float32")
        T.clear(acc)
        for k in T.Pipelined({trips}, {hint}):
{textwrap.indent(body.strip(), " " * 12)}
        T.copy(acc, C)
"""
    return T.exec_source(text, {"T": T}, f"<hints-{next(_number)}>")["main"]


def explained(hint: str, body: str = BODY, arch: str = "sm_80", **options) -> str:
    text = tilescale.compile(program(hint, body, **options), target={"kind": "sim", "arch": arch}).explain()
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if "loop k: " in line)
    block = itertools.takewhile(lambda x: x.startswith("    "), lines[first + 1 :])
    return "\n".join([lines[first].split("loop k: ", 1)[1].strip(), *(x.strip() for x in block)])


def error(hint: str, body: str = BODY, arch: str = "sm_80", **options) -> str:
    with pytest.raises(CompileError) as raised:
        tilescale.compile(program(hint, body, **options), target={"kind": "sim", "arch": arch})
    return str(raised.value).split("\n  -->")[0]


ERRORS = {
    "short": (
        "order=[0, 1], stage=[0, 1]",
        "order has 2 entries; the loop has 3 statements:" + LIST,
    ),
    "long": ("stage=[0, 0, 1, 1]", "stage has 4 entries; the loop has 3 statements:" + LIST),
    "no permutation": (
        "order=[0, 1, 3], stage=[0, 0, 1]",
        "order names position 3; the positions of 3 statements are 0 to 2",
    ),
    "negative": ("stage=[0, -2, 1]", "stage must not be negative, got -2"),
    "placed in one list": (
        "order=[0, 1, 2], stage=[-1, 0, 1]",
        "entry 0 has order 0 and stage -1; -1 leaves a copy to the compiler and stands in both",
    ),
    "placed, no copy": (
        "order=[0, 1, -1], stage=[0, 0, -1]",
        "statement 2, `gemm` (line 11), has order -1, which leaves a copy to the compiler, but it is no asynchronous "
        "copy",
    ),
    "order against a dependence": (
        "order=[0, 2, 1], stage=[0, 0, 0]",
        "order puts statement 2, `gemm` (line 11), before statement 1, `copy_B` (line 10), which must run first: both "
        "use `Bs`",
    ),
    "stages decrease": (
        "order=[0, 1, 2], stage=[0, 1, 0]",
        "stage 0 of statement 2, `gemm` (line 11), is before stage 1 of statement 1, `copy_B` (line 10), which must "
        "run first: both use `Bs`",
    ),
    "groups": (
        "order=[0, 1], stage=[0, 1], group=[[0, 1], [2, 3]]",
        "group names statement 3; the loop has 3:" + LIST,
    ),
    "group twice": (
        "order=[0, 1], stage=[0, 1], group=[[0, 1], [1, 2]]",
        "group names statement 1, `copy_B` (line 10), twice",
    ),
    "group without": (
        "order=[0, 1], stage=[0, 1], group=[[0], [2]]",
        "no group names statement 1, `copy_B` (line 10)",
    ),
    "groups' entries": (
        "order=[0], stage=[0], group=[[0, 1], [2]]",
        "order has 1 entries; there are 2 groups, of 3 statements:" + LIST,
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_lists(name):
    hint, expected = ERRORS[name]
    assert error(hint) == f"T.Pipelined over `k`: {expected}"


def test_a_statement_that_overtakes_itself_in_one_version():
    """The tile is read before it is written: it is last iteration's, so there is one of it."""
    body = "T.copy(A[0, k * 32], As)\nT.gemm(As, Bs, acc)\nT.copy(B[k * 32, 0], Bs)"
    assert error("stage=[1, 1, 0]", body) == (
        "T.Pipelined over `k`: stage 0 of statement 2, `copy_B` (line 11), is before stage 1 of statement 1, `gemm` "
        "(line 10), which must run first: both use `Bs`"
    )
    body = "T.copy(B[k * 32, 0], Bs)\nT.copy(Bs, acc[0:32, 0:64])\nT.copy(acc[0:32, 0:64], C[0:32, 0:64])"
    assert error("stage=[0, 0, 1]", body) == (
        "T.Pipelined over `k`: statement 1, `copy` (line 10), of the next iteration would run before statement 2, "
        "`store_C` (line 11), of this one: both use `acc`, and there is one version of it, because `acc` is used "
        "outside the loop"
    )


def test_stages_that_do_not_fit():
    text = error("num_stages=12", arch="sm_86", rows=128, trips=100)
    assert text == (
        "T.Pipelined over `k` needs 147456 bytes of shared memory, sm_86 has 101376 for a block: use num_stages=8 or "
        "smaller tiles\n  `As`: 8192 bytes x 12 versions = 98304\n  `Bs`: 4096 bytes x 12 versions = 49152"
    )
    text = error("stage=[0, 0, 12]", arch="sm_86", rows=128)
    assert text.startswith("T.Pipelined over `k` needs 159744 bytes of shared memory") and "fewer stages\n" in text


# What explain() says: hint, body, the loop's entry.
EXPLAINED = {
    "copies ahead": ("num_stages=3", BODY, "pipelined, 3 slots, copies 2 iterations ahead by cp.async"),
    "by hand": (
        "stage=[0, 1, 2]",
        BODY,
        "pipelined as written, 3 stages, `As` in 3 versions, `Bs` in 2 versions",
    ),
    "no stages": ("num_stages=1", BODY, "serial\nnot pipelined: num_stages is 1"),
    "a jump": (
        "num_stages=3",
        BODY + "if k == 5:\n    break\n",
        "serial\nnot pipelined: it has a break, continue or return",
    ),
    "a copy of what is written": (
        "num_stages=3",
        BODY + "T.copy(As, A[0, k * 32])\n",
        "pipelined, 3 slots, copies 2 iterations ahead by cp.async\nnot ahead: a copy reads `A`, which the loop writes",
    ),
    "every copy of what is written": (
        "num_stages=3",
        BODY + "T.copy(As, A[0, k * 32])\nT.copy(Bs, B[k * 32, 0])\n",
        "serial\nnot pipelined: a copy reads `A`, which the loop writes\n"
        "not pipelined: a copy reads `B`, which the loop writes",
    ),
    "not read": (
        "num_stages=3",
        "T.copy(A[0, k * 32], As)\nT.copy(B[k * 32, 0], Bs)\nT.clear(acc)",
        "serial\nnot pipelined: `As` is copied, and not read in the loop\n"
        "not pipelined: `Bs` is copied, and not read in the loop",
    ),
    "no copy": ("num_stages=3", "T.clear(acc)", "serial\nnot pipelined: no copy of the loop is asynchronous"),
    "an inner loop": (
        "num_stages=3",
        "for j in T.Pipelined(2, num_stages=2):\n    T.copy(A[0, j * 32], As)\n    T.copy(B[k * 32, 0], Bs)\n"
        "    T.gemm(As, Bs, acc)",
        "serial\nnot pipelined: a loop inside it is pipelined",
    ),
    "the previous tile": (
        "num_stages=3",
        "T.copy(B[k * 32, 0], Bs)\nif k > 0:\n    T.gemm(As, Bs, acc)\nT.copy(A[0, k * 32], As)",
        "pipelined, 3 slots, copies 2 iterations ahead by cp.async\n"
        "not ahead: `branch` (line 10) may read what an earlier iteration left in `As`",
    ),
    "automatic": ("num_stages=None", BODY, "pipelined, 3 slots, copies 2 iterations ahead by cp.async"),
    "an order alone": (
        "num_stages=0, order=[1, 0, 2]",
        BODY,
        "serial, in the order written\nnot pipelined: num_stages is 0",
    ),
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_explained(name):
    hint, body, expected = EXPLAINED[name]
    assert explained(hint, body) == expected


def test_automatic_slots_are_reduced():
    text = explained("num_stages=None", arch="sm_86", rows=640)
    assert text == (
        "pipelined, 2 slots, copies 1 iterations ahead by cp.async\n"
        "not 3 slots: they need 135168 bytes of shared memory, sm_86 has 101376"
    )


def test_one_trip_is_no_loop():
    assert explained("num_stages=3", trips=1) == "serial\nnot pipelined: it has 1 iteration"


def test_memory_besides_the_slots():
    """What the loop uses in one version counts with it."""
    body = BODY + "Cs = T.alloc_shared((320, 64), 'float32')\nT.copy(acc, Cs)\nT.copy(Cs, C)\n"
    assert error("num_stages=2", body, arch="sm_86", rows=320) == (
        "T.Pipelined over `k` needs 131072 bytes of shared memory, sm_86 has 101376 for a block: use smaller tiles or "
        "fewer stages\n  `As`: 20480 bytes x 2 versions = 40960\n  `Bs`: 4096 bytes x 2 versions = 8192\n"
        "  `Cs`: 81920 bytes x 1 version = 81920"
    )


def test_placed_memory_that_does_not_fit():
    source = """@T.prim_func
def main(A: T.Tensor((128, 128), "float32"), C: T.Tensor((128, 128), "float32")):
    with T.Kernel(1, threads=128):
        first = T.alloc_shared((128, 128), "float32")
        second = T.alloc_shared((128, 128), "float32")
        T.copy(A, first)
        T.copy(A, second)
        for i, j in T.Parallel(128, 128):
            C[i, j] = first[j, i] + second[j, i]
"""
    func = T.exec_source(source, {"T": T}, "<too-much>")["main"]
    with pytest.raises(CompileError) as raised:
        tilescale.compile(func, target={"kind": "sim", "arch": "sm_86"})
    assert str(raised.value).split("\n  -->")[0] == (
        "kernel `main` needs 131072 bytes of shared memory, sm_86 has 101376 for a block; use smaller tiles or fewer "
        "stages\n  `first`: 65536 bytes at 0\n  `second`: 65536 bytes at 65536"
    )


def test_more_slots_than_are_followed():
    text = """@T.prim_func
def main(A: T.Tensor((131072,), "float32"), B: T.Tensor((131072,), "float32")):
    with T.Kernel(1, threads=128) as bx:
        S = T.alloc_shared((128,), "float32")
        for k in T.Pipelined(1024, num_stages=300):
            T.copy(A[k * 128], S)
            for j in T.Parallel(128):
                B[k * 128 + j] = S[127 - j]
"""
    main = T.exec_source(text, {"T": T}, f"<hints-{next(_number)}>")["main"]
    with pytest.raises(CompileError) as raised:
        tilescale.compile(main, target="sim")
    assert str(raised.value).split("\n")[0] == (
        "schedule: it has 300 slots and shifts of 299 iterations, which are followed for 601 iterations, and at most "
        "256 can be: take fewer stages"
    )
