# SPDX-License-Identifier: MIT
"""The statements and objects of the dialect."""

import pytest
import tilescale.language as T

PROGRAMS = {
    "parallel": (
        "for i, j in T.Parallel(64, 8, coalesced_width=4): B[i, j] = A[i, j]",
        ["parallel %i, %j in 64, 8 width 4 {", "store %B[%i, %j] = %A[%i, %j]", "}"],
    ),
    "pipelined": (
        "for i in T.Pipelined(4, num_stages=3): B[i, 0] = 1",
        ["for %i in 0..4 pipelined(stages=3) {", "store %B[%i, 0] = 1.0", "}"],
    ),
    "pipelined_orders": (
        "for i in T.Pipelined(4, order=[1, 0], stage=[0, 1]):\n    B[i, 0] = 1\n    B[i, 1] = 2",
        None,
    ),
    "serial": ("for i in T.serial(1, 9, 2): B[i, 0] = 1", ["for %i in 1 +: 4 step 2 {", "store %B[%i, 0] = 1.0", "}"]),
    "unroll": ("for i in T.unroll(4): B[i, 0] = 1", None),
    "vectorized": ("for i in T.vectorized(4): B[0, i] = 1", ["for %i in 0..4 vector {", "store %B[0, %i] = 1.0", "}"]),
    "persistent": (
        "for i, j in T.Persistent([4, 6], 2, bx, 4): B[i, j] = 1",
        [
            "for %wave in 0..16 {",
            "bind %tile = %wave * 2 + %bx",
            "bind %i = %tile / 4 % 4",
            "bind %j = %tile / 4 / 4 * 4 + %tile % 4",
            "if %tile < 32 and %j < 6 {",
            "store %B[%i, %j] = 1.0",
            "}",
            "}",
        ],
    ),
    "thread_binding": (
        "t = T.thread_binding(0, 64)\nB[0, t] = 1\nfor k in T.thread_binding(0, 64): B[1, k] = 2",
        ["store %B[0, %tx] = 1.0", "store %B[1, %tx] = 2.0"],
    ),
    "kernel_queries": (
        "B[T.get_block_binding(), T.get_thread_binding(0)] = T.get_thread_extent(0) + T.get_block_extent()",
        ["store %B[%bx, %tx] = 66.0"],
    ),
    "alloc": (
        """
        s = T.alloc_shared((16, 32), "float16")
        f = T.alloc_fragment((16, 32), T.float32)
        l = T.alloc_local((4,), "int8")
        v = T.alloc_var("float32", 1.5)
        w = T.alloc_var(T.int32, init=bx)
        """,
        [
            "alloc %s: shared f16[16, 32] sized",
            "alloc %f: frag f32[16, 32] sized",
            "alloc %l: local i8[4] sized",
            "alloc %v: var f32[1] sized init 1.5",
            "alloc %w: var i32[1] sized init %bx",
        ],
    ),
    "views": (
        """
        s = T.alloc_shared((16, 32), "float16")
        r = T.reshape(s, (512,))
        v = T.view(s, (16, 16), "float32")
        r[0] = v[0, 0]
        """,
        None,
    ),
    "atomics": (
        """
        T.atomic_add(B[0, 0], A[0, 0])
        old = T.atomic_max(B[0, 1], 2, return_prev=True)
        T.atomic_min(B[0, 2], old, memory_order="release")
        """,
        None,
    ),
    "math": (
        """
        B[0, 0] = T.exp2(A[0, 0]) + T.rsqrt(A[0, 1]) + T.sigmoid(A[0, 2])
        B[0, 1] = T.__exp(A[0, 3]) + T.pow(A[0, 4], 2.0)
        """,
        [
            "store %B[0, 0] = exp2(%A[0, 0]) + rsqrt(%A[0, 1]) + sigmoid(%A[0, 2])",
            "store %B[0, 1] = fast_exp(%A[0, 3]) + pow(%A[0, 4], 2.0)",
        ],
    ),
    "casts": (
        "x = T.cast(A[0, 0], 'float16')\ny = x.astype('int32') + T.int8(3)\nB[0, y] = T.float64(A[0, 0])",
        [
            "bind %x = cast.f16(%A[0, 0])",
            "bind %y = cast.i32(%x) + 3",
            "store %B[0, %y] = cast.f32(cast.f64(%A[0, 0]))",
        ],
    ),
    "min_max_of_numbers": ("B[T.max(1, 3, 2), T.min(5, 4)] = T.ceildiv(7, 2)", ["store %B[3, 4] = 4.0"]),
    "min_max": ("B[0, 0] = T.max(A[0, 0], 0) + T.min(bx, 3, 2)", None),
    "if_then_else": ("B[0, 0] = T.if_then_else(bx > 0, A[0, 0], 1)", ["store %B[0, 0] = if(%bx > 0, %A[0, 0], 1.0)"]),
    "select": ("B[0, 0] = T.Select(bx > 0, A[0, 0], 1.0)", ["store %B[0, 0] = select(%bx > 0, %A[0, 0], 1.0)"]),
    "clamp": ("B[0, 0] = T.clamp(A[0, 0], 0, 1)", ["store %B[0, 0] = min(max(%A[0, 0], 0.0), 1.0)"]),
    "constants": (
        """
        B[0, 0] = T.infinity("float32")
        B[0, 1] = -T.infinity("float32")
        B[0, 2] = T.max_value("float16")
        B[0, 3] = T.min_value("int8")
        """,
        ["store %B[0, 0] = inf", "store %B[0, 1] = -inf", "store %B[0, 2] = 65504.0", "store %B[0, 3] = -128.0"],
    ),
    "sync_and_checks": (
        "T.sync_threads()\nT.assume(bx < 2)\nT.device_assert(bx < 2, 'm')",
        ["call bar.cta()", 'assume %bx < 2, "bx < 2"', 'assert %bx < 2, "m"'],
    ),
    "jumps": ("if bx > 0: T.thread_return()\nB[0, 0] = 1", ["if %bx > 0 {", "exit", "}", "store %B[0, 0] = 1.0"]),
    "loop_break": (
        "for i in range(3):\n    if bx > i: T.loop_break()",
        ["for %i in 0..3 {", "if %bx > %i {", "break", "}", "}"],
    ),
    "pointer": ("t = T.make_tensor(A.data, (64,), 'int32')\nB[0, 0] = t[bx]", None),
    "region_element": ("s = A[2:4, 8:16]\nB[0, 0] = s[1, bx]", ["store %B[0, 0] = %A[3, 8 + %bx]"]),
    "index_to_coordinates": (
        "i, j = T.index_to_coordinates(bx, (4, 8))\nB[i, j] = 0",
        None,
    ),
    "use_swizzle": ("T.use_swizzle(8)\nB[0, 0] = 1", ["store %B[0, 0] = 1.0"]),
    "ws_several": (None, None),
}


@pytest.mark.parametrize("name", [n for n, (t, lines) in PROGRAMS.items() if lines is not None])
def test_text(name, body):
    text, lines = PROGRAMS[name]
    assert body(text) == lines


@pytest.mark.parametrize("name", [n for n, (t, lines) in PROGRAMS.items() if t is not None and lines is None])
def test_traces(name, body):
    assert body(PROGRAMS[name][0])


@pytest.mark.parametrize(
    "text, region",
    [
        ("B[0:4, 8:16] = 2", "%B[0 +: 4, 8 +: 8]"),
        ("B[bx * 8:(bx + 1) * 8, :] = 0", "%B[%bx * 8 +: 8, 0 +: 64]"),
        ("B[-4:, 0] = 0", "%B[60 +: 4, 0]"),
        ("B[..., 3] = 0", "%B[0 +: 64, 3]"),
        ("T.fill(B, bx)", "%B"),
        ("T.clear(B[0:2, :])", "%B[0 +: 2, 0 +: 64]"),
        ("T.fill(B[bx, 1], 3)", "%B[%bx, 1]"),
    ],
)
def test_regions(text, region, body):
    (line,) = body(text)
    assert line.startswith(f"fill {region}, ")


def test_order_and_stage_reach_the_loop(body):
    assert "stage" in body(PROGRAMS["pipelined_orders"][0])[0]
    assert "order" in body(PROGRAMS["pipelined_orders"][0])[0]


def test_warp_specialisation():
    @T.prim_func
    def main(A: T.Tensor((4,), "float32")):
        with T.Kernel(1, threads=384):
            with T.ws(1, 2):
                A[0] = 1
            with T.ws(0, 2):
                A[1] = 1

    assert "group 128 +: 256" in main.script()
    assert "%tx / 128 == 0 or %tx / 128 == 2" in main.script()


@pytest.mark.parametrize(
    "annotation, text",
    [
        (T.Tensor((4, 8), "float16"), "%A: f16[4, 8]"),
        (T.Tensor[(4, 8), T.float16], "%A: f16[4, 8]"),
        (T.Tensor[[4, 8], T.float16], "%A: f16[4, 8]"),
        (T.Tensor[4, T.int8], "%A: i8[4]"),
        (T.Tensor(7), "%A: f32[7]"),
        (T.Buffer((4,), "float64"), "%A: f64[4]"),
        (T.StridedTensor((4, 8), (16, 1), "int8"), "%A: i8[4, 8] strides [16, 1]"),
        (T.Tensor((3,), T.ptr), "%A: i64[3]"),
        (T.int32, "%A: i32"),
        (T.bool, "%A: bool"),
        (T.ptr, "pointer %A"),
        (T.handle, "pointer %A"),
        (int, "%A: i32"),
        (float, "%A: f32"),
        (T.float32(), "%A: f32"),
    ],
)
def test_parameters(annotation, text):
    def main(A):
        with T.Kernel(1):
            pass

    main.__annotations__["A"] = annotation
    assert text in T.prim_func(main).script()


def test_string_annotations_see_the_factory():
    def make(n, dtype):
        @T.prim_func
        def main(A: "T.Tensor((n, 2 * n), dtype)", k: "int32"):  # noqa: F821
            with T.Kernel(1):
                A[0, 0] = k

        return main

    assert "%A: f16[3, 6]" in make(3, "float16").script()


def test_body_declarations():
    @T.prim_func
    def main(A, n):
        n: T.int32
        A: T.Tensor[[n, 8], T.float16]
        with T.Kernel(n) as bx:
            A[bx, 0] = 1

    assert "main(%A: f16[%n, 8]" in main.script().replace("%n: i32, ", "")


def test_dynamic_symbols_are_shared():
    m, k = T.dynamic("m, k")

    @T.prim_func
    def main(A: T.Tensor((m, k), "float16"), B: T.Tensor((k, m), "float16")):
        with T.Kernel(T.ceildiv(m, 8)) as bx:
            B[0, bx] = A[bx, 0]

    assert "%A: f16[%m, %k]" in main.script()
    assert "%B: f16[%k, %m]" in main.script()
    assert T.symbolic("n").name == "n"


@pytest.mark.parametrize("blocks, names", [((), 0), ((2,), 1), ((2, 3), 2), ((2, 3, 4), 3)])
def test_grids(blocks, names):
    seen = []

    @T.prim_func
    def main(A: T.Tensor((4,), "float32")):
        with T.Kernel(*blocks, threads=(8, 4)) as ids:
            seen.append(ids)
            A[0] = 1

    (ids,) = seen
    assert (len(ids) if isinstance(ids, list) else 1) == names
    assert "%tx: 8, %ty: 4" in main.script()


def test_one_index_unpacks():
    @T.prim_func
    def main(A: T.Tensor((4,), "float32")):
        with T.Kernel(4) as (bx,):
            A[bx] = 1

    assert "store %A[%bx]" in main.script()


def test_several_kernels():
    @T.prim_func
    def main(A: T.Tensor((4,), "float32")):
        with T.Kernel(4) as bx:
            A[bx] = 1
        with T.Kernel(4) as bx:
            A[bx] += 1

    assert main.script().count("  kernel @") == 2


def test_layouts(body):
    lines = body(
        """
        s = T.alloc_shared((8, 8), "float32")
        f = T.alloc_fragment((8, 8), "float32")
        pairs = T.Fragment((8, 8), lambda i, j: (i * 4 + j // 2, j % 2))
        T.annotate_layout({s: lambda i, j: i * 8 + (i ^ j), f: pairs})
        s[0, 0] = 1
        """
    )
    assert 'layout "' in lines[0]
    assert 'layout "' in lines[1]


def test_layout_objects():
    layout = T.Layout((4, 8), lambda i, j: (j, i))
    assert layout.get_output_shape() == [8, 4]
    assert layout(1, 2) == [2, 1]
    assert layout.repeat(0, 2)(5, 2) == [1, 2, 1]
    assert layout.expand([3])(2, 1, 5) == [2, 5, 1]
    assert layout.reshape((32,))(9) == [1, 1]
    assert layout.is_equal(T.Layout((4, 8), lambda i, j: (j, i + 0)))
    assert not layout.is_equal(T.Layout((4, 8), lambda i, j: (j, 3 - i)))
    with pytest.raises(ValueError):
        layout.repeat(2, 2)
    with pytest.raises(TypeError):
        layout.expand(3)
    fragment = T.Fragment((8, 8), lambda i, j: (i * 4 + j // 2, j % 2))
    assert fragment.get_thread_size() == 32
    assert fragment.repeat([2, 1], repeat_on_thread=True).get_thread_size() == 64
    assert fragment.replicate(2).get_thread_size() == 64
    assert fragment.map_forward_thread([3, 4]) == 14
    assert not fragment.is_equal(fragment.repeat([1, 1], repeat_on_thread=False).repeat([2, 1]))


def test_prim_func_object():
    @T.prim_func
    def main(A: T.Tensor((4,), "float32"), n: T.int32):
        T.func_attr({"mine": 1})
        T.annotate_pass_configs({"tl.disable_tma_lower": True})
        with T.Kernel(1):
            A[0] = n

    assert main.__name__ == "main"
    assert main.attrs["mine"] == 1
    assert main.attrs["tilelang_pass_configs"] == {"tl.disable_tma_lower": True}
    assert [p.name for p in main.params] == ["A", "n"]
    assert main.with_attr("x", 2).attrs["x"] == 2
    assert str(main) == main.script()


def test_outputs():
    @T.prim_func
    def main(A: T.Tensor((4,), "float32")):
        B = T.empty((4,), "float16")
        C = T.empty(4, 2, dtype="int8")
        with T.Kernel(4) as bx:
            B[bx] = A[bx]
            C[bx, 0] = 1
        return B, C

    assert main.attrs["tilelang_out_idx"] == [-2, -1]
    assert main.script().count(" out") >= 2
