# SPDX-License-Identifier: MIT
"""The oracle runs statements by their meaning, and refuses what a sequential run has no meaning for."""

import numpy as np
import pytest
import tilescale.language as T
from tilescale import CompileError
from tilescale.testing import evaluate


def line_of(error):
    """The user's source lines that an error shows."""
    return "\n".join(getattr(error.value, "__notes__", [str(error.value)]))


def test_threads_run_in_lockstep():
    @T.prim_func
    def main(O: T.Tensor((96,), "int32")):
        with T.Kernel(1, threads=96):
            tx = T.get_thread_binding()
            s = T.alloc_shared((96,), "int32")
            s[tx] = tx * tx
            O[tx] = s[95 - tx]  # what another thread wrote in an earlier statement

    o = np.zeros(96, np.int32)
    evaluate(main, o)
    np.testing.assert_array_equal(o, (95 - np.arange(96)) ** 2)


def test_divergent_control():
    @T.prim_func
    def main(O: T.Tensor((64,), "int32")):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            v = T.alloc_var("int32", init=0)
            n = T.alloc_var("int32", init=0)
            v = tx
            while v != 1:
                if v == 0:
                    break
                n = n + 1
                if v % 2 == 0:
                    v = v // 2
                    continue
                v = 3 * v + 1
            O[tx] = n

    def steps(v):
        n = 0
        while v > 1:
            v, n = v // 2 if v % 2 == 0 else 3 * v + 1, n + 1
        return n

    o = np.zeros(64, np.int32)
    evaluate(main, o)
    assert o.tolist() == [steps(v) for v in range(64)]


def test_shuffles_votes_and_counts():
    @T.prim_func
    def main(A: T.Tensor((64,), "int32"), O: T.Tensor((4, 64), "int32")):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            O[0, tx] = T.shfl_xor(A[tx], 5)
            O[1, tx] = T.shfl_down(A[tx], 3)
            O[2, tx] = T.cast(T.any_sync(A[tx] > 98), "int32")
            O[3, tx] = T.syncthreads_count(A[tx] > 50)

    a = np.random.default_rng().integers(0, 100, 64).astype(np.int32)
    o = np.zeros((4, 64), np.int32)
    evaluate(main, a, o)
    lanes, warps = np.arange(64), a.reshape(2, 32)
    np.testing.assert_array_equal(o[0], a[lanes ^ 5])
    np.testing.assert_array_equal(o[1], np.where(lanes % 32 < 29, a[np.minimum(lanes + 3, 63)], a))
    np.testing.assert_array_equal(o[2].reshape(2, 32) != 0, np.repeat((warps > 98).any(1)[:, None], 32, 1))
    assert (o[3] == (a > 50).sum()).all()


def test_dynamic_shapes_strides_and_ranges():
    m, n, stride = T.dynamic("m, n, stride")

    @T.prim_func
    def main(A: T.StridedTensor((m, n), (stride, 1), "float32"), O: T.Tensor((m, n), "float32"), k: T.int32):
        with T.Kernel(T.ceildiv(n, 8), T.ceildiv(m, 4), threads=32) as (bx, by):
            for i, j in T.Parallel(4, 8):
                O[by * 4 + i, bx * 8 + j] = A[by * 4 + i, bx * 8 + j + k]

    whole = np.random.default_rng().standard_normal((7, 50)).astype(np.float32)
    a, o = whole[:, :21], np.full((7, 21), np.nan, np.float32)
    evaluate(main, a, o, 2)
    np.testing.assert_array_equal(o[:, :19], a[:, 2:])
    assert (o[:, 19:] == 0).all()


def refused(kind, text, func, *args):
    with pytest.raises(kind) as error:
        evaluate(func, *args)
    assert str(error.value).split("\n")[0] == text
    return error


def test_refusals_name_the_line():
    @T.prim_func
    def unwritten(O: T.Tensor((8,), "float32")):
        with T.Kernel(1, threads=32):
            x = T.alloc_fragment((8,), "float32")
            T.copy(x, O)

    error = refused(ValueError, "evaluate: x[0] is read before it is written", unwritten, np.zeros(8, np.float32))
    assert "T.copy(x, O)" in line_of(error)

    @T.prim_func
    def outside(O: T.Tensor((8,), "float32")):
        with T.Kernel(1, threads=32):
            x = T.alloc_shared((8,), "float32")
            for i in T.serial(9):
                x[i] = 1.0

    text = "evaluate: index 8 of dimension 0 is outside `x`, whose extent is 8"
    assert "x[i] = 1.0" in line_of(refused(IndexError, text, outside, np.zeros(8, np.float32)))

    @T.prim_func
    def partial(O: T.Tensor((8,), "float32")):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            if tx % 3 == 0:
                T.fill(O, 1.0)

    text = "evaluate: T.fill is reached by 22 of the 64 threads that run it together"
    refused(ValueError, text, partial, np.zeros(8, np.float32))

    @T.prim_func
    def divides(O: T.Tensor((8,), "int32"), n: T.int32):
        with T.Kernel(1, threads=32):
            for i in T.Parallel(8):
                O[i] = i // n

    refused(ValueError, "evaluate: /: division by zero", divides, np.zeros(8, np.int32), 0)


def test_refuses_what_needs_concurrency():
    @T.prim_func
    def waits(O: T.Tensor((8,), "int32")):
        with T.Kernel(1, threads=32):
            bar = T.alloc_barrier(32)
            T.barrier_arrive(bar[0])
            T.barrier_wait(bar[0], 0)

    text = "evaluate: `mbarrier.arrive` needs threads that run side by side"
    refused(NotImplementedError, text, waits, np.zeros(8, np.int32))

    @T.prim_func
    def thread_in_nest(O: T.Tensor((64,), "int32")):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            for i in T.Parallel(64):
                O[i] = tx

    text = "evaluate: `tx` inside T.Parallel depends on the thread that runs the point"
    refused(NotImplementedError, text, thread_in_nest, np.zeros(64, np.int32))


def test_arguments_are_checked():
    @T.prim_func
    def main(A: T.Tensor((8,), "float32"), n: T.int32):
        with T.Kernel(1, threads=32):
            T.fill(A, T.cast(n, "float32"))

    ok = np.zeros(8, np.float32)
    evaluate(main, ok, 3)
    assert (ok == 3).all()
    refused(TypeError, "evaluate: `main` has 2 parameters, got 1 arguments", main, ok)
    refused(ValueError, "evaluate: argument `A` must be float32, got float64", main, np.zeros(8), 3)
    refused(
        ValueError, "evaluate: argument `A` has extent 9 in dimension 0, expected 8", main, np.zeros(9, np.float32), 3
    )
    refused(ValueError, "evaluate: argument `A` must be contiguous", main, np.zeros(16, np.float32)[::2], 3)
    assert issubclass(CompileError, ValueError)


@pytest.mark.parametrize(
    "line", ["T.put(A, A, peer=1)", "T.notify(T.signal(flags), peer=1)", "T.wait(T.signal(flags))"]
)
def test_other_ranks_are_refused(line):
    text = f"""@T.prim_func
def main(A: T.Tensor((8,), "float32"), flags: T.Tensor((1,), "int32")):
    with T.Kernel(1, threads=32):
        {line}
"""
    func = T.exec_source(text, {"T": T}, f"<evaluate-{line}>")["main"]
    text = f"evaluate: {line.split('(')[0]} has no meaning in a sequential run"
    refused(NotImplementedError, text, func, np.zeros(8, np.float32), np.zeros(1, np.int32))
