# SPDX-License-Identifier: MIT
"""`T.tvm_thread_allreduce`: lanes, warps, strided groups, extents that are no power of two, several values."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T

SIM = {"kind": "sim", "arch": "sm_90a"}


@pytest.mark.parametrize(
    ("threads", "axes"),
    [
        ((32, 1, 1), [0]),
        ((4, 8, 1), [1]),
        ((4, 32, 1), [1]),
        ((64, 2, 1), [0]),
        ((3, 20, 1), [1]),
        ((8, 3, 4), [0, 2]),
        ((96, 1, 1), [0]),
    ],
)
def test_sum(threads, axes):
    count = int(np.prod(threads))

    @T.prim_func
    def main(A: T.Tensor((2, count), "float32"), B: T.Tensor((2, count), "float32")):
        with T.Kernel(1, threads=threads):
            bindings = T.get_thread_bindings()
            tid = bindings[0] + threads[0] * (bindings[1] + threads[1] * bindings[2])
            total = T.alloc_local((1,), "float32")
            for k in range(2):
                with T.attr(
                    T.comm_reducer(lambda x, y: x + y, [T.Cast("float32", 0)]),
                    "reduce_scope",
                    T.reinterpret(T.uint64(0), dtype="handle"),
                ):
                    T.evaluate(
                        T.tvm_thread_allreduce(
                            T.uint32(1), A[k, tid], True, total[0], *[bindings[a] for a in axes], dtype="handle"
                        )
                    )
                B[k, tid] = total[0]

    a, b = np.random.default_rng().standard_normal((2, count), np.float32), np.full((2, count), np.nan, np.float32)
    tilescale.compile(main, target=SIM)(a, b)
    grid = a.astype(np.float64).reshape(2, *threads[::-1])
    expected = np.broadcast_to(grid.sum(tuple(3 - a for a in axes), keepdims=True), grid.shape)
    np.testing.assert_allclose(b, expected.reshape(2, count), atol=1e-4)


def split_gemv(rows, lanes, k):
    """Two rows a block, each by lanes of two warps, all of which store the sum."""

    @T.prim_func
    def main(A: T.Tensor((rows, k), "float16"), x: T.Tensor((k,), "float16"), y: T.Tensor((rows,), "float32")):
        with T.Kernel(rows // 2, threads=(2, lanes)) as b:
            row, lane = T.get_thread_binding(0), T.get_thread_binding(1)
            part, total = T.alloc_local((1,), "float32"), T.alloc_local((1,), "float32")
            part[0] = 0.0
            for i in T.serial(k // lanes):
                at = i * lanes + lane
                part[0] += T.cast(A[b * 2 + row, at], "float32") * T.cast(x[at], "float32")
            with T.attr(
                T.comm_reducer(lambda x, y: x + y, [T.Cast("float32", 0)]),
                "reduce_scope",
                T.reinterpret(T.uint64(0), dtype="handle"),
            ):
                T.evaluate(T.tvm_thread_allreduce(T.uint32(1), part[0], True, total[0], lane, dtype="handle"))
            y[b * 2 + row] = total[0]

    return main


def test_all_threads_store_the_sum(monkeypatch):
    rng = np.random.default_rng()
    a, x = rng.standard_normal((8, 256)).astype(np.float16), rng.standard_normal(256).astype(np.float16)
    y = np.full(8, np.nan, np.float32)
    kernel = tilescale.compile(split_gemv(8, 32, 256), target=SIM)
    with pytest.raises(tilescale.sim.DataRace, match=r"y\["):
        kernel(a, x, y)
    monkeypatch.setenv("TILESCALE_SIM_STRICT_STORES", "0")
    y[:] = np.nan
    kernel(a, x, y)
    np.testing.assert_allclose(y, a.astype(np.float64) @ x.astype(np.float64), atol=1e-3)


def test_argmax_of_those_that_a_condition_lets_in():
    rows, lanes = 4, 16

    def larger(value, place, other, at):
        better = T.Or(value > other, T.And(value == other, place < at))
        return T.Select(better, value, other), T.Select(better, place, at)

    @T.prim_func
    def main(A: T.Tensor((rows, 11), "float32"), V: T.Tensor((rows,), "float32"), I: T.Tensor((rows,), "int32")):
        with T.Kernel(1, threads=(lanes, rows)):
            x, y = T.get_thread_binding(0), T.get_thread_binding(1)
            best = T.alloc_local((1,), "float32")
            place = T.alloc_local((1,), "int32")
            with T.attr(T.comm_reducer(larger, [T.min_value("float32"), T.int32(99)]), "reduce_scope", T.uint64(0)):
                T.tvm_thread_allreduce(T.uint32(2), A[y, x], x, x < 11, best[0], place[0], x, dtype="handle")
            if x == 0:
                V[y] = best[0]
                I[y] = place[0]

    a = np.random.default_rng().integers(-3, 3, (rows, 11)).astype(np.float32)
    v, i = np.full(rows, np.nan, np.float32), np.full(rows, -1, np.int32)
    tilescale.compile(main, target=SIM)(a, v, i)
    assert (v == a.max(1)).all() and (i == a.argmax(1)).all()


def test_lanes_need_no_memory():
    @T.prim_func
    def main(A: T.Tensor((128,), "float32"), B: T.Tensor((32,), "float32")):
        with T.Kernel(1, threads=(4, 32)):
            x, y = T.get_thread_binding(0), T.get_thread_binding(1)
            total = T.alloc_local((1,), "float32")
            with T.attr(T.comm_reducer(lambda a, b: a + b, [T.float32(0)]), "reduce_scope", T.uint64(0)):
                T.tvm_thread_allreduce(T.uint32(1), A[y * 4 + x], True, total[0], x, dtype="handle")
            if x == 0:
                B[y] = total[0]

    text = tilescale.compile(main, target=SIM).get_kernel_source()
    assert text.count("shfl_xor") == 2 and "TS_SMEM" not in text and "sync" not in text


def test_without_a_reducer():
    with pytest.raises(ValueError) as error:

        @T.prim_func
        def main(A: T.Tensor((32,), "float32")):
            with T.Kernel(1, threads=32):
                x = T.get_thread_binding()
                total = T.alloc_local((1,), "float32")
                T.tvm_thread_allreduce(T.uint32(1), A[x], True, total[0], x, dtype="handle")

    assert str(error.value).split("\n")[0] == (
        'T.tvm_thread_allreduce needs `with T.attr(T.comm_reducer(...), "reduce_scope", ...)` around it'
    )
