# SPDX-License-Identifier: MIT
"""Layouts that a user writes, on any op: a kernel means the same wherever its elements lie."""

import random

import numpy as np
import pytest
import tilescale
import tilescale.language as T

SIM = {"kind": "sim", "arch": "sm_90a"}
ROWS, COLS, THREADS = 32, 16, 64
SIZE = ROWS * COLS
BITS = SIZE.bit_length() - 1


def digits(rng):
    """The bits of the row-major index in another order."""
    order = rng.sample(range(BITS), BITS)
    return lambda y: sum(y // (1 << b) % 2 * (1 << p) for p, b in enumerate(order))


FAMILIES = {"digits": digits}


def fragment(family, rng, threads=THREADS):
    place = FAMILIES[family](rng)

    def forward(i, j):
        at = place(i * COLS + j)
        return at % threads, at // threads

    return T.Fragment((ROWS, COLS), forward_fn=forward)


@pytest.fixture
def data():
    return np.random.default_rng()


@pytest.fixture
def rng():
    seed = random.randrange(1 << 30)
    print("layouts of seed", seed)  # shown when the test fails
    return random.Random(seed)


def run(main, *arrays):
    kernel = tilescale.compile(main, target=SIM)
    kernel(*arrays)
    return kernel


def poison(*shape):
    return np.full(shape, np.nan, np.float32)


TILE = (ROWS, COLS)


@pytest.mark.parametrize("family", FAMILIES)
def test_nest_reads_and_writes_both(family, rng, data):
    """Two fragments of two layouts in one nest, each read, one written under a condition."""
    first, second = fragment(family, rng), fragment(family, rng)

    @T.prim_func
    def main(A: T.Tensor(TILE, "float32"), B: T.Tensor(TILE, "float32"), C: T.Tensor(TILE, "float32")):
        with T.Kernel(1, threads=THREADS):
            a = T.alloc_fragment(TILE, "float32")
            b = T.alloc_fragment(TILE, "float32")
            T.annotate_layout({a: first, b: second})
            T.copy(A, a)
            T.copy(A, b)
            for i, j in T.Parallel(ROWS, COLS):
                a[i, j] = a[i, j] * 3.0
                b[i, j] = b[i, j] - a[i, j]
                if i > j:
                    a[i, j] = 5.0
            T.copy(a, B)
            T.copy(b, C)

    a = data.integers(-9, 10, TILE).astype(np.float32)
    b, c = poison(*TILE), poison(*TILE)
    run(main, a, b, c)
    below = np.arange(ROWS)[:, None] > np.arange(COLS)
    assert (b == np.where(below, 5, a * 3)).all()
    assert (c == a - a * 3).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_written_under_a_condition_only(family, rng, data):
    """What a nest leaves alone stays, whichever fragment decides the nest's layout."""
    first, second = fragment(family, rng), fragment(family, rng)

    @T.prim_func
    def main(A: T.Tensor(TILE, "float32"), B: T.Tensor(TILE, "float32"), C: T.Tensor(TILE, "float32")):
        with T.Kernel(1, threads=THREADS):
            a = T.alloc_fragment(TILE, "float32")
            b = T.alloc_fragment(TILE, "float32")
            T.annotate_layout({a: first, b: second})
            T.copy(A, a)
            T.copy(A, b)
            for i, j in T.Parallel(ROWS, COLS):
                if A[i, j] > 0.0:
                    a[i, j] = 50.0
                else:
                    b[i, j] = 60.0
            T.copy(a, B)
            T.copy(b, C)

    a = data.integers(-9, 10, TILE).astype(np.float32)
    b, c = poison(*TILE), poison(*TILE)
    run(main, a, b, c)
    assert (b == np.where(a > 0, 50, a)).all()
    assert (c == np.where(a > 0, a, 60)).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_part_of_a_fragment(family, rng, data):
    """A nest over the first rows and columns of two fragments."""
    first, second = fragment(family, rng), fragment(family, rng)
    m, n = rng.randint(1, ROWS), rng.randint(1, COLS)

    @T.prim_func
    def main(A: T.Tensor(TILE, "float32"), B: T.Tensor(TILE, "float32"), C: T.Tensor(TILE, "float32")):
        with T.Kernel(1, threads=THREADS):
            a = T.alloc_fragment(TILE, "float32")
            b = T.alloc_fragment(TILE, "float32")
            T.annotate_layout({a: first, b: second})
            T.copy(A, a)
            T.copy(A, b)
            for i, j in T.Parallel(m, n):
                a[i, j] = b[i, j] + 1.0
                b[i, j] = b[i, j] * 2.0
            T.copy(a, B)
            T.copy(b, C)

    a = data.integers(-9, 10, TILE).astype(np.float32)
    b, c = poison(*TILE), poison(*TILE)
    run(main, a, b, c)
    want_b, want_c = a.copy(), a.copy()
    want_b[:m, :n], want_c[:m, :n] = a[:m, :n] + 1, a[:m, :n] * 2
    assert (b == want_b).all()
    assert (c == want_c).all()


@pytest.mark.parametrize("clear", [True, False])
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("family", FAMILIES)
def test_reduce(family, dim, clear, rng, data):
    first = fragment(family, rng)
    size = TILE[1 - dim]
    shift = rng.randrange(size)
    out = T.Fragment((size,), forward_fn=lambda i: (i * 2 % THREADS, 0)) if shift % 2 else None

    @T.prim_func
    def main(A: T.Tensor(TILE, "float32"), O: T.Tensor((size,), "float32")):
        with T.Kernel(1, threads=THREADS):
            a = T.alloc_fragment(TILE, "float32")
            s = T.alloc_fragment((size,), "float32")
            T.annotate_layout({a: first})
            if out is not None:
                T.annotate_layout({s: out})
            T.copy(A, a)
            T.fill(s, 7.0)
            T.reduce_sum(a, s, dim=dim, clear=clear)
            T.copy(s, O)

    a, o = data.integers(-9, 10, TILE).astype(np.float32), poison(size)
    run(main, a, o)
    assert (o == a.astype(np.float64).sum(dim) + (0 if clear else 7)).all()


def test_reduce_adds_to_a_result_of_another_dim(data):
    """The second reduction finds the vector where the first has left it."""
    n = 64

    @T.prim_func
    def main(A: T.Tensor((n, n), "float32"), O: T.Tensor((n,), "float32")):
        with T.Kernel(1, threads=128):
            a = T.alloc_fragment((n, n), "float32")
            c = T.alloc_fragment((n,), "float32")
            T.copy(A, a)
            T.fill(c, 1.0)
            T.reduce_sum(a, c, dim=1, clear=False)
            T.reduce_sum(a, c, dim=0, clear=False)
            T.copy(c, O)

    a, o = data.integers(-9, 10, (n, n)).astype(np.float32), poison(n)
    run(main, a, o)
    assert (o == a.sum(0) + a.sum(1) + 1).all()


@pytest.mark.parametrize("stages", [0, 2])
def test_two_products_add_to_one_accumulator(stages, data):
    """Their warps share the tile in two ways: the accumulator goes there and back."""
    m, k, steps = 64, 16, 3

    @T.prim_func
    def main(A: T.Tensor((m, k * steps), "float16"), C: T.Tensor((m, m), "float32")):
        with T.Kernel(1, threads=128):
            a = T.alloc_shared((m, k), "float16")
            c = T.alloc_fragment((m, m), "float32")
            T.clear(c)
            for s in T.Pipelined(steps, num_stages=stages):
                T.copy(A[0, s * k], a)
                T.gemm(a, a, c, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                T.gemm(a, a, c, transpose_B=True, policy=T.GemmWarpPolicy.FullCol)
            T.copy(c, C)

    a, c = data.integers(-2, 3, (m, k * steps)).astype(np.float16), poison(m, m)
    run(main, a, c)
    wide = a.astype(np.float64)
    assert (c == 2 * wide @ wide.T).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_gemm_into_an_annotated_accumulator(family, rng, data):
    first = fragment(family, rng)

    @T.prim_func
    def main(A: T.Tensor((ROWS, 16), "float16"), B: T.Tensor((COLS, 16), "float16"), C: T.Tensor(TILE, "float32")):
        with T.Kernel(1, threads=THREADS):
            a = T.alloc_shared((ROWS, 16), "float16")
            b = T.alloc_shared((COLS, 16), "float16")
            c = T.alloc_fragment(TILE, "float32")
            T.annotate_layout({c: first})
            T.copy(A, a)
            T.copy(B, b)
            T.fill(c, 3.0)
            T.gemm(a, b, c, transpose_B=True)
            T.copy(c, C)

    a, b = (data.integers(-3, 4, (n, 16)).astype(np.float16) for n in (ROWS, COLS))
    c = poison(*TILE)
    run(main, a, b, c)
    assert (c == a.astype(np.float64) @ b.T.astype(np.float64) + 3).all()


@pytest.mark.parametrize("place", ["bind", "if", "for", "while", "store"])
def test_element_outside_a_nest(place, data):
    """Every thread reads the element that one of them owns."""
    first = T.Fragment((32,), forward_fn=lambda i: ((i + 32) % THREADS, 0))

    @T.prim_func
    def main(A: T.Tensor((32,), "int32"), O: T.Tensor((THREADS,), "int32")):
        with T.Kernel(1, threads=THREADS) as _:
            tx = T.get_thread_binding()
            a = T.alloc_fragment((32,), "int32")
            x = T.alloc_var("int32", init=0)
            T.annotate_layout({a: first})
            T.copy(A, a)
            if place == "bind":
                y = a[0] * 2
                x = y - a[0]
            elif place == "if":
                if a[0] > 20:
                    x = 1
            elif place == "for":
                for _k in T.serial(a[0]):
                    x = x + 1
            elif place == "while":
                while x < a[0]:
                    x = x + 1
            else:
                a[0] = a[0] + 1
                x = a[0] - 1
            O[tx] = x

    a, o = data.integers(21, 40, 32).astype(np.int32), np.full(THREADS, -1, np.int32)
    run(main, a, o)
    assert (o == (1 if place == "if" else a[0])).all()
