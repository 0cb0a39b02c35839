# SPDX-License-Identifier: MIT
"""The statements of a nest's point run in order, whatever of them becomes a vector access: each program on the
simulator against numpy and against the oracle."""

import re

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale.testing import evaluate

N = 1024


def build(body, *, loop=f"for i in T.Parallel({N}):", extra=""):
    """A kernel over vectors A, B and C with `body` in a loop over i."""
    lines = "\n".join("            " + line for line in body.strip("\n").split("\n"))
    vectors = ", ".join(f'{name}: T.Tensor(({N},), "float32")' for name in "ABC")
    source = f"""
@T.prim_func
def main({vectors}{extra}):
    with T.Kernel(1, threads=128) as bx:
        tx = T.get_thread_binding()
        {loop}
{lines}
"""
    names = {"T": T}
    T.exec_source(source, names, f"<point {abs(hash(source))}>")
    return names["main"]


def check(func, a, want, *more):
    """`want(a, b, c)` updates copies of the arguments as the program must."""
    b, c = (np.random.default_rng().integers(-50, 50, N).astype(a.dtype) for _ in range(2))
    expected = [a.copy(), b.copy(), c.copy()]
    want(*expected)
    for run in (evaluate, tilescale.compile(func, target="sim")):
        got = [a.copy(), b.copy(), c.copy()]
        run(*((func, *got, *more) if run is evaluate else (*got, *more)))
        for name, x, y in zip("ABC", got, expected, strict=True):
            np.testing.assert_array_equal(x, y, err_msg=name)


def whole_numbers(dtype=np.float32):
    return np.random.default_rng().integers(-50, 50, N).astype(dtype)


def overwrite_some(a, b, c):
    b[:] = np.where(a > 0, 1, a)


def twice(a, b, c):
    a[:] = a * 2 + 1


def through_memory(a, b, c):
    b[:] = a + 3
    c[:] = b * 2


def clamp(a, b, c):
    a[:] = np.minimum(a * 2, 1)


def add_to_even(a, b, c):
    b[:] = a
    b[::2] += 5


def one_more(a, b, c):
    b[:] = a + 1


def three_more(a, b, c):
    b[:] = a + 3
    c[:] = b


def old_and_new(a, b, c):
    c[:] = b
    b[:] = a
    c[:] += b


def read_then_half(a, b, c):
    half = N // 2
    low, high = b[:half].copy(), b[half:].copy()
    b[:half] = low * 2 - high
    b[half:] = high * 2 + low


PROGRAMS = {
    "a store, then one under a condition": ("B[i] = A[i]\nif A[i] > 0:\n    B[i] = 1.0", overwrite_some),
    "two updates": ("A[i] = A[i] * 2\nA[i] = A[i] + 1", twice),
    "a store that is read": ("B[i] = A[i] + 3\nC[i] = B[i] * 2", through_memory),
    "a clamp in place": ("A[i] = A[i] * 2\nif A[i] > 1.0:\n    A[i] = 1.0", clamp),
    "an atomic on what was stored": ("B[i] = A[i]\nif i % 2 == 0:\n    T.atomic_add(B[i], 5.0)", add_to_even),
    "a store at a computed place": ("B[i] = A[i]\nB[T.cast(P[i], 'int32')] = A[i] + 1", one_more),
    "read, written, read": ("C[i] = B[i]\nB[i] = A[i]\nC[i] = C[i] + B[i]", old_and_new),
    "a store under a condition first": ("if A[i] > 0:\n    B[i] = 7.0\nB[i] = A[i] + 1", one_more),
    "a value that is kept": ("x = B[i]\nB[i] = A[i]\nC[i] = x\nC[i] = C[i] + B[i]", old_and_new),
    "a loop within the point": ("B[i] = A[i]\nfor k in T.serial(3):\n    B[i] = B[i] + 1\nC[i] = B[i]", three_more),
}


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_a_nest_keeps_the_order_of_a_point(name):
    body, want = PROGRAMS[name]
    if "P[i]" in body:
        func = build(body, extra=f', P: T.Tensor(({N},), "int32")')
        check(func, whole_numbers(), want, np.arange(N, dtype=np.int32))
    else:
        check(build(body), whole_numbers(), want)


def test_halves_in_place():
    """Two chunks of one tensor, provably apart: each through lanes of its own."""
    body = """
x = B[i]
B[i] = x * 2 - B[i + 512]
B[i + 512] = B[i + 512] * 2 + x
"""
    func = build(body, loop="for i in T.Parallel(512):")
    check(func, whole_numbers(), read_then_half)
    text = tilescale.compile(func, target={"kind": "cuda", "arch": "sm_90a"}).get_kernel_source()
    assert len(re.findall(r"\*\((?:const )?ts::vec<float, 4>\*\)\(B ", text)) == 4


def test_a_vectorized_loop_keeps_its_order():
    body = """
B[tx * 8 + i] = A[tx * 8 + i] + 3
C[tx * 8 + i] = B[tx * 8 + i] * 2
"""
    check(build(body, loop="for i in T.vectorized(8):"), whole_numbers(), through_memory)


def test_a_vectorized_loop_sees_its_earlier_iterations():
    def reverse(a, b, c):
        for row in b.reshape(-1, 8):
            for i in range(8):
                row[i] = row[7 - i] + 1

    check(build("B[tx * 8 + i] = B[tx * 8 + 7 - i] + 1", loop="for i in T.vectorized(8):"), whole_numbers(), reverse)


def test_a_jump_leaves_what_was_stored():
    def until(a, b, c):
        b[:] = a
        c[:] = np.where(a > 0, c, a)

    body = """
B[tx * 8 + i] = A[tx * 8 + i]
if A[tx * 8 + i] > 0:
    continue
C[tx * 8 + i] = A[tx * 8 + i]
"""
    check(build(body, loop="for i in T.serial(8):"), whole_numbers(), until)


@pytest.mark.parametrize("pointer", [False, True])
def test_memory_behind_a_pointer_is_in_order(pointer):
    """The pointer leads to B: what is stored through one name is read through the other."""

    @T.prim_func
    def main(A: T.Tensor((N,), "float32"), B: T.Tensor((N,), "float32"), C: T.Tensor((N,), "float32")):
        with T.Kernel(1, threads=128):
            D = T.make_tensor(B.data, (N,), "float32")
            for i in T.Parallel(N):
                if pointer:
                    D[i] = A[i] + 3
                    C[i] = B[i] * 2
                else:
                    B[i] = A[i] + 3
                    C[i] = D[i] * 2

    a, b, c = whole_numbers(), np.zeros(N, np.float32), np.zeros(N, np.float32)
    tilescale.compile(main, target="sim")(a, b, c)
    np.testing.assert_array_equal(b, a + 3)
    np.testing.assert_array_equal(c, (a + 3) * 2)


def test_points_do_not_read_what_others_store():
    func = build("x = B[i + 1]\nA[i] = x\nB[i] = 1.0", loop=f"for i in T.Parallel({N} - 1):")
    with pytest.raises(ValueError) as error:
        tilescale.compile(func, target="sim")
    assert str(error.value).split("\n  --> ")[0] == (
        "[Tilelang Semantic Check] Data race: the points of T.Parallel read `B[i + 1]` here and store `B[i]` at "
        "line 9: the same elements at another `i`, and the points have no order. Store to another buffer, or use a "
        "loop for each"
    )


FRAGMENT = """@T.prim_func
def main(A: T.Tensor((64, 64), "float32"), O: T.Tensor((64,), "float32")):
    with T.Kernel(1, threads=128):
        f = T.alloc_fragment((64,), "float32")
        T.clear(f)
        {body}
        T.copy(f, O)
"""


def of_fragment(body):
    return T.exec_source(FRAGMENT.format(body=body.replace("\n", "\n        ")), {"T": T}, "<fragment>")["main"]


@pytest.mark.parametrize(
    "body",
    [
        "for i, j in T.Parallel(64, 64): f[i] += A[i, j]",
        "for i, j in T.Parallel(64, 64): f[i] = T.max(f[i], A[i, j])",
        "for i, j in T.Parallel(64, 64): f[i] = A[i, j]",
        "for i, j in T.Parallel(64, 64):\n    if A[i, j] > 0.5: f[i] += 1.0",
        "for i, j in T.Parallel(64, 64):\n    if A[i, j] > 0.5: f[i] = j",
        "for i, j in T.Parallel(64, 64):\n    if j == 3: f[i] = A[i, j]",
    ],
    ids=["sum", "maximum", "last", "count", "place", "one"],
)
def test_points_that_share_an_element_of_a_fragment_race(body):
    """The threads that hold copies of the element would each keep what their own points stored."""
    with pytest.raises(ValueError) as error:
        tilescale.compile(of_fragment(body), target="sim")
    assert str(error.value) == (
        "[Tilelang Semantic Check] Data race: the points of T.Parallel along `j` store different values to `f[i]`. "
        "Use T.reduce, T.serial over `j`, or index it by `j`"
    )


def test_some_points_store_in_an_element_of_a_fragment():
    with pytest.raises(ValueError) as error:
        tilescale.compile(
            of_fragment("for i, j in T.Parallel(64, 64):\n    if A[i, j] > 0.5: f[i] = 1.0"), target="sim"
        )
    assert str(error.value) == (
        "[Tilelang Semantic Check] Data race: the points of T.Parallel along `j` store, and some of them only, to "
        "`f[i]`. Use T.reduce, T.serial over `j`, or index it by `j`"
    )


@pytest.mark.parametrize(
    ("body", "want"),
    [
        ("for i in T.Parallel(64):\n    for j in T.serial(64): f[i] += A[i, j]", lambda a: a.sum(1)),
        ("for i, j in T.Parallel(64, 64): f[i] = A[i, 5]", lambda a: a[:, 5]),
        (
            "for i, j in T.Parallel(64, 64):\n    if i % 3 == 1: f[i] = A[i, 5]",
            lambda a: a[:, 5] * (np.arange(64) % 3 == 1),
        ),
    ],
)
def test_all_points_store_one_value_in_an_element_of_a_fragment(body, want):
    a, out = np.random.default_rng().standard_normal((64, 64), np.float32), np.full(64, np.nan, np.float32)
    tilescale.compile(of_fragment(body), target="sim")(a, out)
    np.testing.assert_allclose(out, want(a.astype(np.float64)), atol=1e-4)
