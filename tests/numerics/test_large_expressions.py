# SPDX-License-Identifier: MIT
"""Expressions that plain Python helpers grow without names: as deep as a loop makes them, or trees of 2**60 paths. In a
kernel they are evaluated in parts; elsewhere one error says the limit."""

import time

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale import _ffi
from tilescale.errors import ExpressionSizeError

N = 64
lower = _ffi.function("driver.lower")
LIMIT = (
    "the expression has more than 256 operations (an operand that is used twice counts twice). Inside "
    "`with T.Kernel(...)` it would be evaluated in parts; here compute it with Python numbers, or write less"
)


def deep(x, i, steps):
    for k in range(steps):
        x = (x ^ i) * 3 + k
    return x


def doubled(x, i, steps):
    for _ in range(steps):
        x = x + x * i
    return x


def xorshift(x, i, steps):
    """Marsaglia's: each line reads x twice."""
    for _ in range(steps):
        x = x ^ (x << 13)
        x = x ^ ((x >> 17) & 0x7FFF)
        x = x ^ (x << 5)
    return x + i


def casts(x, i, steps):
    for _ in range(steps):
        x = (x + i).astype("int16").astype("int32")
    return x


def chosen(x, i, steps):
    for _ in range(steps):
        x = T.if_then_else(x > i, x - i * 3, x * 5 + 1)
    return x


def run(function, steps):
    @T.prim_func
    def main(A: T.Tensor((N,), "int32"), O: T.Tensor((N,), "int32")):
        with T.Kernel(1, threads=32):
            for i in T.Parallel(N):
                O[i] = function(A[i], i, steps)

    a = np.random.default_rng().integers(-(2**31), 2**31, N, dtype=np.int32)
    out = np.full(N, 0x5A5A5A5A, np.int32)
    tilescale.compile(main, target="sim")(a, out)
    return a, out


def reference(function, a, steps):
    i = np.arange(N, dtype=np.int32)
    with np.errstate(over="ignore"):
        if function is chosen:
            x = a
            for _ in range(steps):
                x = np.where(x > i, x - i * 3, x * 5 + 1).astype(np.int32)
            return x
        return function(a, i, steps)


@pytest.mark.parametrize("function, steps", [(deep, 1_000), (doubled, 60), (xorshift, 20), (casts, 600), (chosen, 60)])
def test_large_values_are_evaluated_in_parts(function, steps):
    a, out = run(function, steps)
    np.testing.assert_array_equal(out, reference(function, a, steps))


def test_a_large_index_is_evaluated_in_parts():
    def chase(table, i):
        for _ in range(60):
            i = table[i]
        return i

    @T.prim_func
    def main(A: T.Tensor((N,), "int32"), O: T.Tensor((N,), "int32")):
        with T.Kernel(1, threads=32):
            for i in T.Parallel(N):
                O[chase(A, i)] = i

    a = np.random.default_rng().permutation(N).astype(np.int32)
    out = np.full(N, -1, np.int32)
    tilescale.compile(main, target="sim")(a, out)
    want = np.empty(N, np.int32)
    want[chase(a, np.arange(N))] = np.arange(N)
    np.testing.assert_array_equal(out, want)


def test_what_a_branch_guards_stays_behind_it():
    """The side that is not taken divides by zero: on the simulator an error."""

    def guarded(x, d):
        for _ in range(12):
            x = T.if_then_else(d != 0, x // d + x, x + x)
        return x

    @T.prim_func
    def main(A: T.Tensor((N,), "int32"), O: T.Tensor((N,), "int32")):
        with T.Kernel(1, threads=32):
            for i in T.Parallel(N):
                O[i] = guarded(A[i], i % 4)

    a = np.random.default_rng().integers(0, 1000, N, dtype=np.int32)
    out = np.full(N, -1, np.int32)
    tilescale.compile(main, target="sim")(a, out)
    x, d = a.astype(np.int64), np.arange(N) % 4
    for _ in range(12):
        x = np.where(d != 0, x // np.maximum(d, 1) + x, x + x)
    np.testing.assert_array_equal(out, x.astype(np.int32))


def test_the_condition_of_a_loop():
    """A large condition of `while` is evaluated before each test."""

    @T.prim_func
    def main(O: T.Tensor((1,), "int32")):
        with T.Kernel(1, threads=32):
            n = T.alloc_var("int32")
            n = 0
            while doubled(n, 1, 12) < 4096 * 7:
                n = n + 1
            O[0] = n

    out = np.full(1, -1, np.int32)
    tilescale.compile(main, target="sim")(out)
    assert out[0] == 7


def test_a_hundred_thousand_steps_are_traced():
    """Constants fold and sums stay short; what does not is bound on the way."""

    @T.prim_func
    def main(A: T.Tensor((N,), "int32"), O: T.Tensor((N,), "int32")):
        with T.Kernel(1, threads=32):
            for i in T.Parallel(N):
                O[i] = deep(A[i], i, 20_000)

    assert main.script().count("bind %part") > 100


def test_outside_of_a_kernel_the_limit_is_an_error():
    n = T.dynamic("n")
    with pytest.raises(ExpressionSizeError) as caught:
        doubled(n, 3, 60)
    assert str(caught.value) == LIMIT


def test_a_layout_has_no_parts():
    with pytest.raises(ExpressionSizeError) as caught:

        @T.prim_func
        def main(A: T.Tensor((N,), "int32")):
            with T.Kernel(1, threads=32):
                S = T.alloc_shared((N,), "int32")
                T.annotate_layout({S: T.Layout((N,), lambda i: doubled(i, 3, 60))})
                T.copy(A, S)

    assert str(caught.value) == LIMIT
    assert "\n      T.annotate_layout(" in "".join(caught.value.__notes__)


def test_nested_statements():
    def nest(depth, out, k):
        if depth == 0:
            out[0] = k
            return
        for i in T.serial(2):
            nest(depth - 1, out, k + i)

    def make(depth):
        @T.prim_func
        def main(O: T.Tensor((1,), "int32")):
            with T.Kernel(1, threads=32):
                nest(depth, O, 0)

        return main

    with pytest.raises(ValueError, match=r"^loops, branches and other blocks are nested more than 128 deep") as caught:
        make(200)
    assert "nest(depth - 1, out, k + i)" in "".join(caught.value.__notes__)


def test_definitions_that_use_the_one_before_twice():
    """Names keep the program small; the prover may not undo that."""

    @T.prim_func
    def main(O: T.Tensor((N,), "int32")):
        with T.Kernel(1, threads=N):
            t = T.get_thread_binding()
            x = t
            for _ in list(range(60)):
                x = x + (x ^ t) * 3
            if (x & 1) == 0:
                T.atomic_add(O[x & (N - 1)], 1)

    out = np.zeros(N, np.int32)
    tilescale.compile(main, target="sim")(out)
    want, t = np.zeros(N, np.int64), np.arange(N, dtype=np.int32)
    x = t
    with np.errstate(over="ignore"):
        for _ in range(60):
            x = x + (x ^ t) * np.int32(3)
    np.add.at(want, x[x & 1 == 0] & (N - 1), 1)
    np.testing.assert_array_equal(out, want)


def test_nested_loops_of_unknown_extent():
    """What cannot be proven of 14 variables takes no 14! attempts: 0.15 s of processor time here, once 6 s."""
    loops = "".join(" " * (8 + d) + f"for i{d} in T.serial(n):\n" for d in range(14))
    text = f"""
@T.prim_func
def main(O: T.Tensor(({N},), "int32"), n: T.int32):
    with T.Kernel(1, threads=32):
{loops}{" " * 24}O[{" + ".join(f"i{d}" for d in range(14))}] = 1
"""
    main = T.exec_source(text, {"T": T}, "<nested loops>")["main"]
    start = time.process_time()
    lower(main.func, "sim sm_90a", {}, "guard-bounds")
    assert time.process_time() - start < 2
