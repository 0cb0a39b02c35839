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

# Program, barriers of the block in all, and in its loop.
CASES = {
    "gemm, 3 stages": (GEMM.format(stages=3), 1, 1),
    "gemm, 2 stages": (GEMM.format(stages=2), 1, 1),
    "gemm, 5 stages": (GEMM.format(stages=5), 1, 1),
    "gemm, no stages": (GEMM.format(stages=0), 2, 2),
    "transposed by shared memory": (STAGED, 1, 0),
    "every thread reads what it wrote": (OWN, 0, 0),
    "rows in a warp": (ROWS, 0, 0),
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
