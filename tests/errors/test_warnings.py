# SPDX-License-Identifier: MIT
"""What compiles and is slow or does nothing: a warning when the kernel is made, and in explain()."""

import itertools
import textwrap
import warnings

import pytest
import tilescale
import tilescale.language as T

_number = itertools.count()

HEAD = """
@T.prim_func
def main(A: T.Tensor((128, 128), "float32"), B: T.Tensor((128, 128), "float32"), n: T.int32):
    with T.Kernel(1, threads=128):
        tx = T.get_thread_binding()
"""


def made(body: str, arch: str = "sm_80"):
    """The warnings of compiling a kernel, which explain() shows as well."""
    text = HEAD.lstrip() + textwrap.indent(textwrap.dedent(body).strip(), " " * 8) + "\n"
    func = T.exec_source(text, {"T": T}, f"<warnings-{next(_number)}>")["main"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kernel = tilescale.compile(func, target={"kind": "sim", "arch": arch})
    texts = [str(w.message) for w in caught]
    assert texts == [f"main: {line}" for line in kernel.warnings()]
    assert all(w.filename == __file__ for w in caught)
    return texts


def gemm(a, b, c, m=32, n=32, k=32, of="fragment"):
    return f"""
        a = T.alloc_shared(({m}, {k}), "{a}")
        b = T.alloc_shared(({k}, {n}), "{b}")
        c = T.alloc_{of}(({m}, {n}), "{c}")
        T.fill(a, 1)
        T.fill(b, 1)
        T.clear(c)
        T.gemm(a, b, c)
    """


SLOW = "main: line 11  T.gemm: without matrix instructions, many times slower than with them: "


def needs(c: str, k: int) -> str:
    return (
        f". Matrix instructions take A and B in shared memory or fragments, a fragment of {c} as C, whole warps, and "
        f"for each warp a tile of multiples of 16x8x{k}: fewer threads leave more of the tile to each"
    )


GEMMS = {
    "a ragged tile": (
        gemm("float16", "float16", "float32", k=8),
        "the tile 32x32x8 is no multiple of 16x8x16" + needs("float32 or float16", 16),
    ),
    "too few rows": (
        gemm("bfloat16", "bfloat16", "float32", m=16, n=16),
        "No valid warp partition for T.gemm: M=16, N=16 cannot be evenly covered by 4 warps" + needs("float32", 16),
    ),
    "C in shared memory": (
        gemm("float32", "float32", "float32", of="shared"),
        "C must be a fragment" + needs("float32", 8),
    ),
    "two types": (
        gemm("float16", "bfloat16", "float32"),
        "no matrix instruction takes float16 and bfloat16 into float32. Give A and B one dtype",
    ),
    "another type of C": (
        gemm("float16", "float16", "float64"),
        "no matrix instruction takes float16 and float16 into float64" + needs("float32 or float16", 16),
    ),
}


@pytest.mark.parametrize("name", GEMMS)
def test_gemm_without_matrix_instructions(name):
    body, why = GEMMS[name]
    assert made(body) == [SLOW + why]


@pytest.mark.parametrize(("a", "c"), [("float16", "float32"), ("float64", "float64"), ("int8", "int32")])
def test_gemm_by_matrix_instructions(a, c):
    assert made(gemm(a, a, c)) == []


@pytest.mark.parametrize(("a", "c"), [("int16", "int32"), ("float8_e4m3fn", "float32")])
def test_gemm_of_types_that_the_target_has_no_instruction_for(a, c):
    assert made(gemm(a, a, c)) == []


def test_a_fragment_that_is_too_large():
    text = (
        "main: line 5  x: 512 elements of float32 on each of 128 threads take 512 registers, a thread has at most 255: "
        "the rest is in slow local memory. Take a smaller tile or more threads"
    )
    body = 'x = T.alloc_fragment((128, 512), "float32")\nT.clear(x)\nT.copy(x[:, 0:128], B)'
    assert made(body) == [text]


def test_a_fragment_that_fits():
    assert made('x = T.alloc_fragment((128, 128), "float32")\nT.copy(A, x)\nT.copy(x, B)') == []


NOTHING = "nothing is stored"
SAFE = "reads give the safe value, writes are skipped"
NEVER = {
    "B[tx + 128, 0] = 1.0": ("B[tx + 128, 0]", NOTHING),
    "B[tx - 200, 0] = 1.0": ("B[tx - 200, 0]", NOTHING),
    "T.copy(A[0:8, 128:256], B[0:8, :])": ("A[0:8, 128:256]", SAFE),
    "T.copy(A[0:8, :], B[128:136, :])": ("B[128:136, 0:128]", SAFE),
    "B[128, 0] = 1.0": ("B[128, 0]", NOTHING),
    "B[tx, 0] = A[500, 0]": ("A[500, 0]", "it reads as the safe value"),
    "T.atomic_add(B[0, 200], 1.0)": ("B[0, 200]", SAFE),
}


@pytest.mark.parametrize("line", NEVER)
def test_an_access_that_is_never_in_range(line):
    access, then = NEVER[line]
    assert made(line) == [f"main: line 5  {access}: never in range of the shape [128, 128]: {then}"]


@pytest.mark.parametrize("line", ["B[tx + n, 0] = 1.0", "B[tx + 127, 0] = 1.0", "T.copy(A[120:136, :], B[0:16, :])"])
def test_an_access_that_may_be_in_range(line):
    assert made(line) == []


def test_a_line_warns_once():
    line = "for i in range(2):\n    B[128, 0] = 1.0"
    assert made(line) == [f"main: line 6  B[128, 0]: never in range of the shape [128, 128]: {NOTHING}"]


OUTSIDE = {
    "s[8] = 1.0": ("s", 8, 8),
    "s[-9] = 1.0": ("s", -9, 8),
    "T.clear(s); B[tx, 0] = s[100]": ("s", 100, 8),
    "p[4] = 1.0": ("p", 4, 4),
}


@pytest.mark.parametrize("line", OUTSIDE)
def test_a_constant_index_out_of_range_on_chip(line):
    name, index, extent = OUTSIDE[line]
    with pytest.raises(IndexError) as error:
        made(f'p = T.alloc_local((4,), "float32")\ns = T.alloc_shared((8,), "float32")\n{line}')
    assert str(error.value) == (
        f"index {index} of `{name}` is out of range: dimension 0 has extent {extent}; index it from 0 to {extent - 1}"
    )
    assert ":7 in main" in error.value.__notes__[0] and line in error.value.__notes__[0]


NOTHING_RUNS = {
    "a statement": "if tx < 0:\n    B[128, 0] = 1.0\n    s[8] = 1.0",
    "the else of a statement": "if tx >= 0:\n    s[0] = 1.0\nelse:\n    s[8] = 1.0",
    "a side of an expression": "B[tx, 0] = T.if_then_else(tx >= 128, s[8] + A[500, 0], 0.0)",
    "the other side": "B[tx, 0] = T.if_then_else(tx < 128, 0.0, s[8] + A[500, 0])",
    "an operand": "if T.And(tx < 0, s[8] > A[500, 0]):\n    B[tx, 0] = 1.0",
    "a loop": "for i in T.serial(0):\n    B[tx, 0] = s[8] + A[500, 0]",
    "a loop over points": "for i, j in T.Parallel(4, 0):\n    B[i, j] = s[8] + A[500, 0]",
}


@pytest.mark.parametrize("where", NOTHING_RUNS)
def test_where_nothing_runs_it(where):
    assert made(f's = T.alloc_shared((8,), "float32")\nT.clear(s)\n{NOTHING_RUNS[where]}') == []


def test_behind_what_does_not_run():
    line = "for i in T.serial(0):\n    B[tx, 0] = 0.0\ns[8] = T.if_then_else(tx < 0, 1.0, 2.0)"
    with pytest.raises(IndexError, match=r"^index 8 of `s` is out of range"):
        made(f's = T.alloc_shared((8,), "float32")\n{line}')
