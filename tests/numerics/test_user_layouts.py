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


def backwards(rng):
    """Bits in another order, some of them inverted: every XOR with a constant."""
    mask, place = rng.randrange(SIZE), digits(rng)
    return lambda y: place(y) ^ mask


def rotated(rng):
    by = rng.randrange(SIZE)
    return lambda y: (y + by) % SIZE


def strided(rng):
    """Strides that do not nest, 3 and 128 of 512, say."""
    by, step = rng.randrange(SIZE), rng.randrange(SIZE) | 1
    return lambda y: (step * y + by) % SIZE


def scattered(rng):
    """No digits at all: triangular numbers are a permutation modulo a power of two."""
    by, place = rng.randrange(SIZE), digits(rng)
    return lambda y: place((y * (y + 1) // 2 + by) % SIZE)


FAMILIES = {
    "digits": digits,
    "backwards": backwards,
    "rotated": rotated,
    "strided": strided,
    "scattered": scattered,
}


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


@pytest.mark.parametrize("family", [*FAMILIES, "skew", "skew of columns", "two XORs"])
def test_shared_tile(family, rng, data):
    """Copies, a nest and a product on a shared tile wherever its elements lie."""
    if family == "skew":
        layout = T.Layout(TILE, lambda i, j: (i, (j + i * 3) % COLS))
    elif family == "skew of columns":
        layout = T.Layout(TILE, lambda i, j: (j, (i * 5 + j) % ROWS))
    elif family == "two XORs":
        layout = T.Layout(TILE, lambda i, j: (i, j ^ (i % 4) ^ (i // 4 % 2 * 8)))
    else:
        place = FAMILIES[family](rng)
        layout = T.Layout(TILE, lambda i, j: place(i * COLS + j))

    @T.prim_func
    def main(A: T.Tensor(TILE, "float32"), B: T.Tensor(TILE, "float32"), C: T.Tensor((COLS, ROWS), "float32")):
        with T.Kernel(1, threads=THREADS):
            s = T.alloc_shared(TILE, "float32")
            T.annotate_layout({s: layout})
            T.copy(A, s)
            for i, j in T.Parallel(ROWS, COLS):
                s[i, j] = s[i, j] * 2.0
            T.copy(s, B)
            for i, j in T.Parallel(COLS, ROWS):
                C[i, j] = s[j, i] + 1.0

    a = data.integers(-9, 10, TILE).astype(np.float32)
    b, c = poison(*TILE), poison(COLS, ROWS)
    run(main, a, b, c)
    assert (b == a * 2).all()
    assert (c == a.T * 2 + 1).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_loop_layout(family, rng, data):
    layout = fragment(family, rng)

    @T.prim_func
    def main(A: T.Tensor(TILE, "float32"), B: T.Tensor(TILE, "float32")):
        with T.Kernel(1, threads=THREADS):
            a = T.alloc_fragment(TILE, "float32")
            T.copy(A, a)
            for i, j in T.Parallel(ROWS, COLS, loop_layout=layout):
                B[i, j] = a[i, j] + A[i, j]

    a, b = data.integers(-9, 10, TILE).astype(np.float32), poison(*TILE)
    run(main, a, b)
    assert (b == a * 2).all()


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 5, 7, 8, 12, 16, 33, 40])
def test_few_threads(threads, data):
    m, n = 12, 20

    @T.prim_func
    def main(A: T.Tensor((m, n), "float32"), B: T.Tensor((m, n), "float32"), C: T.Tensor((m,), "float32")):
        with T.Kernel(1, threads=threads):
            a = T.alloc_fragment((m, n), "float32")
            c = T.alloc_fragment((m,), "float32")
            T.copy(A, a)
            T.reduce_sum(a, c, dim=1)
            for i, j in T.Parallel(m, n):
                B[i, j] = a[i, j] - c[i]
            T.copy(c, C)

    a, b, c = data.integers(-9, 10, (m, n)).astype(np.float32), poison(m, n), poison(m)
    run(main, a, b, c)
    assert (c == a.sum(1)).all()
    assert (b == a - a.sum(1)[:, None]).all()


def test_nothing_to_do(data):
    """Nests and copies without points do nothing."""

    @T.prim_func
    def main(A: T.Tensor((8,), "float32"), B: T.Tensor((8,), "float32")):
        with T.Kernel(1, threads=32):
            for i in T.Parallel(0):
                B[i] = 7.0
            T.copy(A[4:4], B[2:2])
            T.copy(A[4:8], B[4:8])

    a, b = data.standard_normal(8, np.float32), np.zeros(8, np.float32)
    run(main, a, b)
    assert (b == np.where(np.arange(8) < 4, 0, a)).all()


def test_explain_names_the_general_forms(rng, data):
    def text(layout):
        @T.prim_func
        def main(A: T.Tensor(TILE, "float32"), B: T.Tensor(TILE, "float32")):
            with T.Kernel(1, threads=THREADS):
                a = T.alloc_fragment(TILE, "float32")
                T.annotate_layout({a: layout})
                T.copy(A, a)
                T.copy(a, B)

        return tilescale.compile(main, target=SIM).explain()

    assert "the annotated layout has no digits of threads and registers: the solver's is used" in text(
        fragment("scattered", rng)
    )
    rotated = T.Fragment(TILE, forward_fn=lambda i, j: ((i + 7) % ROWS, j))
    assert "no division of the thread index gives its points: each thread looks for them" in text(rotated)


INJECTIVE = "the forward map must be injective. Details: "
ERRORS = [
    (
        T.Fragment(TILE, forward_fn=lambda i, j: (i // 2, j)),
        INJECTIVE + "[0, 0] and [1, 0] both map to register 0 of thread 0",
    ),
    (
        T.Fragment(TILE, forward_fn=lambda i, j: (i - 5, j)),
        "element [0, 0] is in thread -5, there are threads 0 to 63",
    ),
    (
        T.Fragment(TILE, forward_fn=lambda i, j: (i * 4, j)),
        "element [16, 0] is in thread 64, there are threads 0 to 63",
    ),
    (
        T.Fragment(TILE, forward_fn=lambda i, j: (i, 3 - j)),
        "element [0, 4] is in register -1, which must be from 0 to 33554431",
    ),
]


@pytest.mark.parametrize(("layout", "text"), ERRORS)
def test_illegal_fragment(layout, text):
    with pytest.raises(ValueError) as raised:

        @T.prim_func
        def main(A: T.Tensor(TILE, "float32")):
            with T.Kernel(1, threads=THREADS):
                a = T.alloc_fragment(TILE, "float32")
                T.annotate_layout({a: layout})
                T.copy(A, a)

    assert str(raised.value).split("\n")[0] == f"Invalid layout for `a`: {text}"


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (lambda i, j: (i - 3, j), "element [0, 0] is at address -48, which must be from 0 to 2147483647"),
        (lambda i, j: (0 - i, j), "element [1, 0] is at address -16, which must be from 0 to 2147483647"),
        (
            lambda i, j: (i, j * 2**27),
            "element [1, 1] is at address 2147483649, which must be from 0 to 2147483647",
        ),
    ],
)
def test_illegal_shared_layout(place, text):
    with pytest.raises(ValueError) as raised:

        @T.prim_func
        def main(A: T.Tensor(TILE, "float32")):
            with T.Kernel(1, threads=THREADS):
                a = T.alloc_shared(TILE, "float32")
                T.annotate_layout({a: T.Layout(TILE, place)})
                T.copy(A, a)

    assert str(raised.value).split("\n")[0] == f"Invalid layout for `a`: {text}"


def test_too_many_points():
    @T.prim_func
    def main(A: T.Tensor((4,), "float32")):
        with T.Kernel(1, threads=THREADS):
            for i in T.Parallel(2**62):
                if i < 4:
                    A[i] = 1.0

    with pytest.raises(ValueError) as raised:
        tilescale.compile(main, target=SIM)
    assert str(raised.value).split("\n")[0] == ("a nest of 4611686018427387904 points: at most 2147483647 are possible")


@pytest.mark.parametrize("replicate", [1, 2])
def test_fragment_without_an_index_function(replicate):
    """Its elements of a thread follow one another: `i % 2` and `j // 32` are left to registers."""

    def thread(i, j, copy=0):
        return (i // 2) * 32 + j % 32 + copy * 128

    @T.prim_func
    def main(A: T.Tensor((8, 128), "float32"), B: T.Tensor((8, 128), "float32"), S: T.Tensor((8,), "float32")):
        with T.Kernel(1, threads=128 * replicate):
            tile = T.alloc_fragment((8, 128), "float32")
            largest = T.alloc_fragment((8,), "float32")
            T.annotate_layout({tile: T.Fragment(tile.shape, forward_thread_fn=thread, replicate=replicate)})
            T.copy(A, tile)
            T.reduce_absmax(tile, largest, dim=1)
            for i, j in T.Parallel(8, 128):
                B[i, j] = tile[i, j] / largest[i]
            T.copy(largest, S)

    a = np.random.default_rng().standard_normal((8, 128), np.float32)
    b, s = np.full((8, 128), np.nan, np.float32), np.full(8, np.nan, np.float32)
    tilescale.compile(main, target=SIM)(a, b, s)
    expected = np.abs(a.astype(np.float64)).max(1)
    assert (s == expected).all()
    np.testing.assert_allclose(b, a / expected[:, None], rtol=1e-6)
