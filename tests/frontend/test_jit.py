# SPDX-License-Identifier: MIT
"""Lazy and eager `jit`: modes, keys, consts, argument errors. No kernel is compiled here."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale._jit.decorator import freeze


@tilescale.jit
def eager(A, B, block: int = 64, dtype=T.float32):
    M, N = T.const("M, N")
    A: T.Tensor[[M, N], dtype]
    B: T.Tensor[[M, N], dtype]
    C = T.empty((M, N), dtype)
    with T.Kernel(T.ceildiv(M, block), threads=128) as bx:
        for i, j in T.Parallel(block, N):
            C[bx * block + i, j] = A[bx * block + i, j] + B[bx * block + i, j]
    return C


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def test_consts_are_read_from_tensors():
    text = eager.get_tir(zeros(128, 32), zeros(128, 32)).script()
    assert "%A: f32[128, 32]" in text
    assert "grid(%bx: 2)" in text
    assert "parallel %i, %j in 64, 32" in text
    assert eager.mode == "eager"


def test_one_function_for_one_key():
    a = eager.get_tir(zeros(64, 8), zeros(64, 8))
    assert eager.get_tir(zeros(64, 8), zeros(64, 8)) is a
    assert eager.get_tir(zeros(64, 8), zeros(64, 8), block=32) is not a
    assert eager.get_tir(zeros(32, 8), zeros(64, 8)) is not a
    assert eager.get_tir(zeros(64, 8), zeros(64, 8), dtype=T.float16) is not a


def test_placeholders_and_keywords():
    a = eager.get_tir(T.Tensor((16, 8), "float32"), None)
    assert eager.get_tir(M=16, N=8) is a


def test_missing_const():
    with pytest.raises(ValueError) as info:
        eager.get_tir(None, None)
    assert str(info.value) == (
        "Cannot find value for constexpr variable `M`: pass the tensor it is read from (`A`), or M=… by keyword"
    )


def test_const_must_be_a_dimension():
    @tilescale.jit
    def f(A):
        M = T.const("M")
        A: T.Tensor[[M * 2], T.float32]
        with T.Kernel(1):
            A[0] = 1

    with pytest.raises(RuntimeError) as info:
        f.get_tir(zeros(4))
    assert str(info.value) == (
        "Constexpr variable `M` is not used in any buffer shape or stride. At least one **DIRECT** usage is required."
    )


def test_strides_are_consts_too():
    @tilescale.jit
    def f(A):
        M, N, S = T.const("M N S")
        A: T.StridedTensor[[M, N], [S, 1], T.float32]
        with T.Kernel(M) as bx:
            A[bx, 0] = 1

    text = f.get_tir(zeros(4, 16)[:, :8]).script()
    assert "%A: f32[4, 8] strides [16, 1]" in text


def test_signature_annotations():
    n = T.dynamic("n")

    @tilescale.jit
    def f(A: T.Tensor((n,), "float32"), k: T.int32, scale: float, p: T.ptr):
        with T.Kernel(n) as bx:
            A[bx] = k * scale

    text = f.get_tir(zeros(4), 3, 2.5, 0).script()
    text = text.replace(__file__, "")
    assert "%A: f32[%n]" in text
    assert "%k: i32" in text
    assert "* 2.5" in text
    assert "scale" not in text


def test_parameters_keep_the_order_of_the_signature():
    @tilescale.jit
    def f(A, n: T.int32, B):
        N = T.const("N")
        B: T.Tensor[[N], T.float32]
        A: T.Tensor[[N], T.float16]
        C = T.empty(N)
        with T.Kernel(N) as bx:
            C[bx] = A[bx] + B[bx] + n
        return C

    text = f.get_tir(zeros(4), 1, zeros(4)).script()
    assert "(%A: f16[4] sized, %n: i32, %B: f32[4] sized, %out: f32[4] sized out)" in text


def test_lazy():
    @tilescale.jit(out_idx=[-1])
    def factory(M, N, dtype="float16"):
        @T.prim_func
        def main(A: T.Tensor((M, N), dtype), B: T.Tensor((M, N), dtype)):
            with T.Kernel(M) as bx:
                for j in T.Parallel(N):
                    B[bx, j] = A[bx, j]

        return main

    assert "%A: f16[4, 8]" in factory.get_tir(4, 8).script()
    assert factory.is_lazy_mode()
    assert "%A: f32[4, 8]" in factory.get_tir(4, N=8, dtype="float32").script()


def test_lazy_by_result():
    def build(n):
        @T.prim_func
        def main(A: T.Tensor((n,), "float32")):
            with T.Kernel(n) as bx:
                A[bx] = 1

        return main

    @tilescale.jit
    def factory(n):
        return build(n)

    assert "f32[3]" in factory.get_tir(3).script()
    assert factory.mode == "lazy"


def test_eager_with_out_idx():
    @tilescale.jit(out_idx=[0])
    def f(A):
        with T.Kernel(1):
            pass

    with pytest.raises(ValueError) as info:
        f.get_tir(None)
    assert str(info.value) == (
        "out_idx is only supported in lazy mode. In eager mode, use T.empty() to declare output tensors instead."
    )


def test_lazy_jit_is_eager():
    @tilescale.lazy_jit
    def f(A: T.Tensor((4,), "float32")):
        with T.Kernel(4) as bx:
            A[bx] = 1

    assert "f32[4]" in f.get_tir(zeros(4)).script()


def test_two_phases():
    seen = []

    @tilescale.jit
    def f(A):
        N = T.const("N")
        A: T.Tensor[[N], T.float32]
        seen.append(N)
        with T.Kernel(N):
            seen.append("kernel")
            A[0] = 1

    f.get_tir(zeros(4))
    assert str(seen[0]) == "N"
    assert seen[1:] == [4, "kernel"]


@pytest.mark.parametrize(
    "args, kwargs, text",
    [
        ((1, 2, 3, 4, 5), {}, "too many positional arguments for JIT function: expected at most 4, got 5"),
        ((zeros(4, 4),), {"A": 1}, "got multiple values for argument 'A'"),
    ],
)
def test_argument_errors(args, kwargs, text):
    with pytest.raises(TypeError) as info:
        eager.get_tir(*args, **kwargs)
    assert str(info.value) == text


def test_missing_compile_time_argument():
    @tilescale.jit
    def f(A: T.Tensor((4,), "float32"), block):
        with T.Kernel(block):
            A[0] = 1

    with pytest.raises(TypeError) as info:
        f.get_tir(zeros(4))
    assert str(info.value) == "missing a required argument: 'block'"


def test_keys_are_frozen_by_content():
    assert freeze([1, {"a": {2, 3}}]) == freeze([1, {"a": {3, 2}}])
    assert freeze(1) != freeze(1.0)
    assert freeze(1) != freeze(True)
    assert freeze((1,)) != freeze([1])
    with pytest.raises(TypeError) as info:
        freeze(bytearray())
    assert str(info.value) == "Unsupported unhashable JIT compile-time cache key value of type bytearray"


def test_outputs_must_all_be_returned():
    @tilescale.jit
    def none(A: T.Tensor((4,), "float32")):
        B = T.empty(4)
        with T.Kernel(4) as bx:
            B[bx] = A[bx]

    with pytest.raises(RuntimeError, match=r"^Not all tensor allocated from `T\.empty` are returned"):
        none.get_tir(zeros(4))

    @tilescale.jit
    def wrong(A: T.Tensor((4,), "float32")):
        with T.Kernel(4) as bx:
            A[bx] = 1
        return A

    with pytest.raises(RuntimeError) as info:
        wrong.get_tir(zeros(4))
    assert str(info.value) == "Only tensor allocated from `T.empty` can be returned in a prim_func, got A"


def test_const_outside():
    with pytest.raises(tilescale.errors.JITNoBuilderError) as info:
        T.const("M")
    assert str(info.value) == "T.const() can only be used inside @tilelang.jit (eager mode)"


def test_compile_needs_a_prim_func():
    with pytest.raises(AssertionError, match=r"tilelang\.compile needs a PrimFunc"):
        tilescale.compile(lambda: 0)


def test_out_idx_conflict():
    @T.prim_func
    def main(A: T.Tensor((4,), "float32")):
        B = T.empty(4)
        with T.Kernel(4) as bx:
            B[bx] = A[bx]
        return B

    with pytest.raises(ValueError) as info:
        tilescale.compile(main, out_idx=[0])
    assert str(info.value) == ("Out index conflict: out_idx is specified and prim_func have returned `T.empty` tensors")


def test_autotune_arguments():
    with pytest.raises(ValueError, match="without arguments is not supported yet"):
        tilescale.autotune(eager)
    with pytest.raises(AssertionError, match=r"can only be applied to @tilelang\.jit decorated instances"):
        tilescale.autotune(configs=[{"block": 64}])(lambda: 0)
    with pytest.raises(ValueError, match="No configurations to tune"):
        tilescale.autotune(configs=[])(eager)(zeros(4, 4))
    with pytest.raises(ValueError, match="Unused keys in config: blok"):
        tilescale.autotune(configs=[{"blok": 3}])(eager)(zeros(4, 4))
