# SPDX-License-Identifier: MIT
"""Programs that were once compiled wrongly, reduced from what the fuzzer found; each on the simulator."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T


def run(func, *args):
    tilescale.compile(func, target="sim")(*args)


def test_a_branch_of_some_threads_keeps_its_buffers_apart():
    """The workspace of the reduction and its result met in one branch without a barrier, and shared bytes."""

    @T.prim_func
    def main(A: T.Tensor((48, 31), "float32"), O: T.Tensor((31,), "float32")):
        with T.Kernel(1, threads=128):
            x = T.alloc_fragment((48, 31), "float32")
            r = T.alloc_shared((31,), "float32")
            T.copy(A, x)
            T.reduce_absmax(x, r, dim=0)
            T.copy(r, O)

    a = np.random.default_rng().standard_normal((48, 31)).astype(np.float32)
    o = np.full(31, np.nan, np.float32)
    run(main, a, o)
    np.testing.assert_array_equal(o, np.abs(a).max(0))


@pytest.mark.parametrize("jump", ["continue", "break"])
def test_a_jump_carries_what_is_not_yet_ordered(jump):
    m, n = 17, 33
    source = f"""
@T.prim_func
def main(A: T.Tensor(({m}, {n}), "int32"), O: T.Tensor(({m}, {n}), "int32")):
    with T.Kernel(1, threads=96):
        s = T.alloc_shared(({m}, {n}), "int32")
        f = T.alloc_fragment(({n}, {m}), "int32")
        T.copy(A, s)
        for k in T.serial(3):
            for i, j in T.Parallel({n}, {m}):
                f[i, j] = s[j, i]
            T.sync_threads()
            for i, j in T.Parallel({n}, {m}):
                s[j, i] = f[i, j] + k
            if k == 2:
                {jump}
            for i, j in T.Parallel({m}, {n}):
                s[i, j] = s[i, j] * 2
        T.copy(s, O)
"""
    names = {"T": T}
    T.exec_source(source, names, f"<jump {jump}>")
    a = np.random.default_rng().integers(-9, 9, (m, n)).astype(np.int32)
    o = np.zeros((m, n), np.int32)
    run(names["main"], a, o)
    np.testing.assert_array_equal(o, (a * 2 + 1) * 2 + 2)


def test_a_loop_that_does_not_run_orders_nothing():
    @T.prim_func
    def main(A: T.Tensor((2, 64), "float32"), O: T.Tensor((64, 64), "float32"), trips: T.int32):
        with T.Kernel(1, threads=128):
            s = T.alloc_shared((64, 64), "float32")
            u = T.alloc_shared((64,), "float32")
            T.fill(s, 3.0)
            for k in T.serial(trips):
                T.copy(A[k, 0], u)
                for j in T.Parallel(64):
                    s[0, j] = s[0, j] + u[63 - j]
            for i, j in T.Parallel(64, 64):
                O[i, j] = s[j, i]

    for n in (0, 2):
        a = np.random.default_rng().standard_normal((2, 64)).astype(np.float32)
        o = np.full((64, 64), np.nan, np.float32)
        run(main, a, o, n)
        want = np.full((64, 64), 3.0)
        want[:, 0] += a[:n].astype(np.float64).sum(0)[::-1]
        np.testing.assert_allclose(o, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int32", "int64", "int8"])
def test_division_rounds_down(dtype):
    divisors = (1, 2, 3, 8, 7, -2, -3)

    @T.prim_func
    def main(A: T.Tensor((64,), dtype), B: T.Tensor((64,), dtype), O: T.Tensor((2 * len(divisors) + 2, 64), dtype)):
        with T.Kernel(1, threads=32):
            for i in T.Parallel(64):
                for at, c in enumerate(divisors):
                    O[2 * at, i] = A[i] // c
                    O[2 * at + 1, i] = A[i] % c
                O[2 * len(divisors), i] = A[i] // B[i]
                O[2 * len(divisors) + 1, i] = A[i] % B[i]

    rng = np.random.default_rng()
    a = rng.integers(-60, 60, 64).astype(dtype)
    b = (rng.integers(1, 9, 64) * rng.choice((-1, 1), 64)).astype(dtype)
    o = np.zeros((2 * len(divisors) + 2, 64), dtype)
    run(main, a, b, o)
    for at, c in enumerate([*divisors, b]):
        np.testing.assert_array_equal(o[2 * at], a // c)
        np.testing.assert_array_equal(o[2 * at + 1], a % c)


def test_a_constant_index_out_of_range_reads_zero_and_writes_nothing():
    @T.prim_func
    def main(A: T.Tensor((4, 8), "float32"), O: T.Tensor((2, 8), "float32")):
        with T.Kernel(1, threads=32):
            x = T.alloc_shared((8,), "float32")
            T.copy(A[4, 0], x)
            T.copy(x, O[0, 0])
            T.copy(x, O[2, 0])
            for i in T.Parallel(8):
                O[1, i] = A[7, i] + 1

    o = np.full((2, 8), np.nan, np.float32)
    run(main, np.ones((4, 8), np.float32), o)
    np.testing.assert_array_equal(o, [[0] * 8, [1] * 8])


def test_a_product_may_clear_what_nothing_wrote():
    @T.prim_func
    def main(A: T.Tensor((3, 16, 16), "float16"), C: T.Tensor((16, 16), "float32")):
        with T.Kernel(1, threads=32):
            a = T.alloc_shared((16, 16), "float16")
            c = T.alloc_fragment((16, 16), "float32")
            for k in T.serial(3):
                T.copy(A[k, 0, 0], a)
                T.gemm(a, a, c, clear_accum=k == 0)
            T.copy(c, C)

    a = np.random.default_rng().standard_normal((3, 16, 16)).astype(np.float16)
    c = np.full((16, 16), np.nan, np.float32)
    run(main, a, c)
    x = a.astype(np.float64)
    np.testing.assert_allclose(c, (x @ x).sum(0), rtol=1e-3, atol=1e-3)


def test_a_pipelined_copy_that_nothing_reads_is_waited_for():
    @T.prim_func
    def main(A: T.Tensor((64, 8), "int32"), O: T.Tensor((32, 8), "int8")):
        with T.Kernel(1, threads=64):
            unread = T.alloc_shared((32, 8), "int32")
            s = T.alloc_shared((32, 8), "int8")
            for k in T.Pipelined(3, num_stages=4):
                T.copy(A[k * 8, 0], unread)
                T.copy(A[k * 16, 0], s)
            T.copy(s, O)

    a = np.random.default_rng().integers(-9, 9, (64, 8)).astype(np.int32)
    o = np.zeros((32, 8), np.int8)
    run(main, a, o)
    np.testing.assert_array_equal(o, a[32:])


@pytest.mark.parametrize(
    ("value", "shown"),
    [("x[i] + 1", "x[i] + 1.0"), ("-x[i]", "neg(x[i])"), ("T.exp(x[i])", "exp(x[i])")],
)
def test_narrow_floats_have_no_arithmetic(value, shown):
    names = {"T": T}
    source = f"""
@T.prim_func
def main(O: T.Tensor((8,), "float8_e5m2")):
    with T.Kernel(1, threads=32):
        x = T.alloc_shared((8,), "float8_e5m2")
        T.clear(x)
        for i in T.Parallel(8):
            O[i] = {value}
"""
    T.exec_source(source, names, f"<narrow {value}>")
    with pytest.raises(tilescale.CompileError) as error:
        tilescale.compile(names["main"], target="sim")
    assert str(error.value).split("\n")[0] == (
        f"`{shown}` computes in float8_e5m2, which has no arithmetic: cast the operands to float32 first"
    )


def test_points_that_update_one_element_race():
    with pytest.raises(ValueError) as error:

        @T.prim_func
        def main(O: T.Tensor((8,), "float32")):
            with T.Kernel(1, threads=32):
                s = T.alloc_shared((8,), "float32")
                T.clear(s)
                for i, j in T.Parallel(4, 8):  # noqa: B007
                    s[j] = s[j] + 1
                T.copy(s, O)

        tilescale.compile(main, target="sim")
    assert str(error.value).split("\n")[0] == (
        "[Tilelang Semantic Check] Data race: the points of T.Parallel along `i` store different values to `s[j]`. "
        "Use T.reduce, T.atomic_add, or index it by `i`"
    )


def test_a_fragment_converted_for_a_statement_keeps_what_it_held():
    """The minimum went to a copy in another layout, which did not get the values to start from."""
    rows, columns = T.dynamic("rows"), T.dynamic("columns")

    @T.prim_func
    def main(A: T.Tensor((rows, 47, columns), "float16"), O: T.Tensor((5, 47), "float16")):
        with T.Kernel(1, threads=96):
            x = T.alloc_fragment((5, 48, 16), "float16")
            low = T.alloc_fragment((5, 48), "float16")
            T.copy(A[0, 0, 0], x)
            T.fill(low, 0.25)
            T.reduce_min(x, low, dim=2, clear=False)
            for i, j in T.Parallel(5, 48):
                if j < 47:
                    O[i, j] = low[i, j]

    a = np.random.default_rng().uniform(0, 1, (9, 47, 31)).astype(np.float16)
    o = np.full((5, 47), np.nan, np.float16)
    run(main, a, o)
    np.testing.assert_array_equal(o, np.minimum(a[:5, :, :16].min(2), 0.25).astype(np.float16))
