# SPDX-License-Identifier: MIT
"""Every message of the front end, exactly. Each program is one line of a kernel over `A` and `B` (64 x 64 floats)."""

import itertools
import re
import sys
import textwrap
import traceback
from pathlib import Path

import pytest
import tilescale
import tilescale.language as T
from tilescale.errors import JITNoBuilderError

_number = itertools.count()
PARAMS = 'A: T.Tensor((64, 64), "float32"), B: T.Tensor((64, 64), "float32")'


def trace(body: str, params: str = PARAMS, **names):
    text = f"@T.prim_func\ndef main({params}):\n    with T.Kernel(2, threads=128) as bx:\n"
    text += textwrap.indent(body, " " * 8) + "\n"
    return T.exec_source(text, {"T": T, **names}, f"<error-test-{next(_number)}>")["main"]


CASES = [
    # values where Python needs to know
    (
        "if bool(bx > 3): pass",
        ValueError,
        "`bx > 3` is a value of the kernel, it has no truth value while the kernel is traced. Inside "
        "a traced function "
        "use if / and / or / not / ternary directly (they become kernel code); in a helper make it a T.macro, or use "
        "T.if_then_else, T.And, T.Or, T.Not.",
    ),
    *(
        (
            condition,
            ValueError,
            "`bx == 0` is a value of the kernel, it has no truth value while the kernel is traced. Inside a traced "
            "function use if / and / or / not / ternary directly (they become kernel code); in a helper make it a "
            "T.macro, or use T.if_then_else, T.And, T.Or, T.Not.",
        )
        for condition in ("if bool(bx == 0): pass", "x = [0, 1].index(bx)")
    ),
    (
        "x = [1, 2][bx]",
        TypeError,
        "`bx` is a value of the kernel, a Python integer is needed here (shape of on-chip memory, range of a Python "
        "loop, list index, …).",
    ),
    (
        "x = float(A[0, 0])",
        TypeError,
        "`A[0, 0]` is a value of the kernel, not a Python number. Use T.cast(x, dtype) to convert it, and T.sqrt, "
        "T.exp, … instead of the functions of math.",
    ),
    (
        "import numpy; x = numpy.sqrt(A[0, 0])",
        TypeError,
        "`A[0, 0]` is a value of the kernel: use T.sqrt, not numpy.sqrt",
    ),
    (
        "import numpy; x = numpy.maximum(A[0, 0], 0)",
        TypeError,
        "`A[0, 0]` is a value of the kernel: use T.max, not numpy.maximum",
    ),
    (
        "import numpy; x = numpy.arctan2(numpy.float32(1), A[0, 0])",
        TypeError,
        "`A[0, 0]` is a value of the kernel: use T.atan2, not numpy.arctan2",
    ),
    (
        "import numpy; x = numpy.heaviside(A[0, 0], 0)",
        TypeError,
        "`A[0, 0]` is a value of the kernel: numpy.heaviside cannot compute with it",
    ),
    (
        "T.sync_threads(1, 256)",
        ValueError,
        "T.sync_threads: arrive_count 256 waits for more threads than the 128 of the block",
    ),
    ("x = round(A[0, 0])", TypeError, "`A[0, 0]` is a value of the kernel: use T.round, not round()"),
    (
        "import math; x = math.floor(A[0, 0])",
        TypeError,
        "`A[0, 0]` is a value of the kernel: use T.floor, not math.floor",
    ),
    ("x = A[0, 0].shape", AttributeError, "`A[0, 0]` is a value of the kernel, it has no attribute `shape`"),
    # conditions
    ("if A: pass", TypeError, "Buffer `A` cannot be used as condition directly."),
    ("if A[0:2, 0]: pass", TypeError, "Region `A[0:2, 0]` cannot be used as condition directly."),
    ("if A.data: pass", TypeError, "`A.data` is a pointer; use T.isnullptr to test it"),
    (
        "x = A if bx > 0 else B",
        TypeError,
        "both sides of a ternary with a kernel condition must be values, got Buffer and Buffer",
    ),
    # loops
    (
        "for i in bx: pass",
        TypeError,
        "Invalid for loop, got bx, expect one of the following: range, T.serial, T.grid, T.parallel, T.vectorized, "
        "T.unroll, T.thread_binding, or a Python iterable",
    ),
    ("for i in 3: pass", TypeError, "'int' object is not iterable"),
    ("for i in range(0, 8, 0): pass", ValueError, "Invalid stepped serial: step must be non-zero"),
    (
        "for i in T.unroll(4, explicit=True, unroll_factor=2): pass",
        ValueError,
        "T.unroll's explicit and unroll_factor params are mutually exclusive.",
    ),
    (
        "while True: pass",
        RuntimeError,
        "Infinite while loop detected in TileLang: the condition is the Python constant True; a loop that "
        "ends must test "
        "a value of the kernel (T.alloc_var, a buffer element)",
    ),
    (
        "for i in [1, 2]:\n    if bx > i: break",
        NotImplementedError,
        "`break` of a Python loop (unrolled while tracing) under a condition of the kernel; use T.serial "
        "or T.unroll for "
        "the loop",
    ),
    (
        "for i in [1, 2]:\n    if bx > i: continue",
        NotImplementedError,
        "`continue` of a Python loop (unrolled while tracing) under a condition of the kernel; use "
        "T.serial or T.unroll "
        "for the loop",
    ),
    ("with T.serial(3): pass", TypeError, "a loop is written `for i in T.…`, not `with`"),
    # memory
    (
        "B[0] = 1",
        IndexError,
        "Buffer B is 2-dimensional (shape=[64, 64]), but 1 index(es) were provided: [0]. Please provide exactly 2 "
        "index/indices or slice(s).",
    ),
    ("B[0, 0] = A", TypeError, "cannot store buffer `A` into one element of `B`; use T.copy or index it"),
    ("x = A + 1", TypeError, "unsupported operand type(s) for +: 'Buffer' and 'int'"),
    ("x = bx + A", TypeError, "unsupported operand type(s) for +: 'Var' and 'Buffer'"),
    ("B[0, 0] = 'text'", TypeError, "str 'text' is used where a kernel value is expected"),
    ("for x in A: pass", TypeError, None),
    (
        "B += 1",
        RuntimeError,
        "Attempting to update buffer `B` using augmented assignment. Please use slice assignment, e.g. `B[0] += value` "
        "instead.",
    ),
    (
        "B[0:4, 0] += 1",
        TypeError,
        "`B[0:4, 0] += …` on a region is not supported; write a T.Parallel loop over it",
    ),
    ("l = T.alloc_local((4,), 'int8'); l[0] = 300", ValueError, "Literal value 300 exceeds maximum of int8"),
    ("x = T.float16(70000)", ValueError, "Literal value 70000 exceeds maximum of float16"),
    ("x = T.alloc_var('float32', 1e300)", ValueError, None),
    # operators
    (
        "x = bx / 2",
        TypeError,
        "`/` of two integers (int32 and int32) is ambiguous in a kernel: use // (floor), T.truncdiv, "
        "T.ceildiv, or cast "
        "an operand to a float dtype",
    ),
    ("x = A[0, 0] // 2", TypeError, "`//` needs integer operands, got float32 and int32"),
    ("x = A[0, 0] << 2", TypeError, "`<<` needs integer operands, got float32 and int32"),
    ("x = -T.uint32(bx)", TypeError, "unary `-` of uint32: cast it to a signed dtype first"),
    # names of the dialect and arguments of ops
    (
        "T.coppy(A, B)",
        AttributeError,
        "T.coppy is not part of the dialect that this version supports; did you mean T.copy?",
    ),
    ("T.zzzzzz", AttributeError, "T.zzzzzz is not part of the dialect that this version supports"),
    ("T.fill(B)", TypeError, "T.fill() needs 'value'"),
    (
        "T.fill(B, 1, 2, 3)",
        TypeError,
        "T.fill() takes at most 3 positional arguments (buffer, value, annotations), got 4",
    ),
    (
        "T.copy(A, B, 4)",
        TypeError,
        "T.copy() takes at most 2 positional arguments (src, dst), got 3; "
        "coalesced_width, disable_tma, eviction_policy, "
        "prefer_instruction, src_pe, dst_pe, annotations, loop_layout are keyword-only",
    ),
    ("T.fill(B, val=1)", TypeError, "T.fill() has no parameter 'val'; it has buffer, value, annotations"),
    ("T.fill(B, 1, buffer=A)", TypeError, "T.fill() got 'buffer' twice"),
    ("T.fill(3, 1)", TypeError, "T.fill needs a buffer, a slice or an element of a buffer, got int 3"),
    ("T.reshape(bx, (1,))", TypeError, "T.reshape needs a buffer or a slice, got Var bx"),
    ("x = T.__exp(bx)", TypeError, "T.__exp requires a floating-point operand, but got int32"),
    ("x = T.any_sync(A[0, 0])", TypeError, "T.any_sync requires an integer or boolean predicate, but got float32"),
    (
        "T.mbarrier_arrive('x')",
        TypeError,
        "mbarrier must be an element of a barrier buffer or a barrier buffer, but got str",
    ),
    (
        "T.mbarrier_arrive(A)",
        AssertionError,
        "T.mbarrier_arrive: a barrier buffer must have one dimension, got shape (64, 64)",
    ),
    (
        "T.atomic_add(B, A, return_prev=True)",
        NotImplementedError,
        "return_prev is not supported for tile-region-based atomic operations",
    ),
    ("T.annotate_layout({3: 4})", TypeError, "T.annotate_layout maps buffers, got the key 3"),
    ("x = T.make_tensor(3, (4,))", TypeError, "T.make_tensor needs a pointer or an address, got int 3"),
    # allocation
    (
        "x = T.alloc_var('int32', 1, init=2)",
        TypeError,
        "Initializer specified multiple times in alloc_var.",
    ),
    ("x = T.alloc_var('int32', 1, 2)", TypeError, "Scope must be provided as a string in alloc_var."),
    ("x = T.alloc_var('int32', scope=2)", TypeError, "Scope must be a string in alloc_var."),
    (
        "x = T.alloc_var('int32', 1, 'local.var', 2)",
        TypeError,
        "alloc_var expected at most 3 positional arguments but got 4.",
    ),
    ("x = T.alloc_shared((bx,), 'float32')", None, None),
    ("x = T.alloc_reducer((4,), 'int32', 'mean')", ValueError, None),
    ("x = T.alloc_tmem((4,))", AssertionError, "shape must be a 2D or higher tensor for TMEM allocation"),
    ("x = T.alloc_shared((4,), 'int7')", TypeError, "Invalid DataType 'int7'; did you mean 'int'?"),
    ("x = T.empty('4')", TypeError, "Invalid shape ('4',)"),
    # casts
    (
        "x = T.cast(bx, 'int8', round='up')",
        ValueError,
        "Invalid round 'up'. Must be one of: ['', 'rn', 'rz', 'rp', 'rm', 'rs']",
    ),
    ("x = T.cast(bx, 'int8', sat=1)", ValueError, "Invalid sat 1. Must be True or False."),
    ("x = T.cast(bx, 'int8', round='rs')", ValueError, "rbits is required when round='rs' (stochastic rounding)"),
    ("x = T.cast(bx, 'int8', rbits=1)", ValueError, "rbits is only valid with round='rs' (stochastic rounding)"),
    # launch and threads
    ("T.thread_binding(0, 64).index()", ValueError, "threadIdx.x has extent 128 in this kernel, but 64 is asked for"),
    (
        "T.thread_binding(0, 4, 'vthread').index()",
        NotImplementedError,
        "thread tag 'vthread' is not supported; use threadIdx.x … or blockIdx.x …",
    ),
    (
        "T.thread_binding(0, 4, 'blockIdx.y').index()",
        ValueError,
        "blockIdx.y is not an index of this kernel, which has 1 dimension(s) of blockIdx",
    ),
    ("T.thread_binding(1, 4)", NotImplementedError, "T.thread_binding must start at 0"),
    ("with T.ws(): pass", ValueError, "T.ws needs at least one warpgroup index"),
    # not there yet
    (
        "T.CUDASourceCodeKernel(1, source_code_or_path='x')",
        NotImplementedError,
        "T.CUDASourceCodeKernel is not supported yet",
    ),
    (
        "T.annotate_ws_schedule(None)",
        TypeError,
        "T.annotate_ws_schedule needs a T.WSSchedule, got NoneType",
    ),
    ("T.assume(1 > 2)", ValueError, "T.assume of a condition that is false"),
]


@pytest.mark.parametrize(
    "line, kind, text", [c for c in CASES if c[2] is not None], ids=lambda x: x if isinstance(x, str) else ""
)
def test_text(line, kind, text):
    with pytest.raises(kind) as info:
        trace(line)
    message = str(info.value)
    assert message.split("\n  --> ")[0] == text


@pytest.mark.parametrize("line", [c[0] for c in CASES if c[1] is not None], ids=str)
def test_notes_show_the_users_line(line):
    with pytest.raises(Exception) as info:
        trace(line)
    notes = "\n".join(getattr(info.value, "__notes__", [])) or str(info.value)
    assert "  --> <error-test-" in notes
    assert "in main" in notes
    frames = [frame.path for frame in info.traceback]
    assert str(frames[-1]).startswith("<error-test-")


KERNELS = [
    ({"threads": 0}, ValueError, "threads must be positive, got 0"),
    ({"threads": "4"}, ValueError, "threads must be an integer or a list of one to three integers, got '4'"),
    ({"threads": []}, ValueError, "threads must be an integer or a list of one to three integers, got []"),
    ({"threads": True}, ValueError, "threads must be an integer or a list of one to three integers, got True"),
    (
        {"threads": (1, 2, 3, 4)},
        ValueError,
        "threads must be an integer or a list of one to three integers, got (1, 2, 3, 4)",
    ),
    ({"cluster_dims": "2"}, ValueError, "cluster_dims must be a list or tuple of integers"),
    ({"is_cpu": True}, NotImplementedError, "T.Kernel(is_cpu=True): the cpu target is not supported yet"),
]


@pytest.mark.parametrize("options, kind, text", KERNELS)
def test_launch(options, kind, text):
    with pytest.raises(kind) as info:

        @T.prim_func
        def main(A: T.Tensor((4,), "float32")):
            with T.Kernel(1, **options):
                A[0] = 1

    assert str(info.value).split("\n  --> ")[0] == text


def test_too_many_grid_dimensions():
    with pytest.raises(ValueError, match=r"^T\.Kernel takes at most 3 grid dimensions, got 4"):

        @T.prim_func
        def main(A: T.Tensor((4,), "float32")):
            with T.Kernel(1, 2, 3, 4):
                A[0] = 1


OUTSIDE = [
    (lambda: T.Kernel(1), "T.Kernel() can only be used inside @tilelang.jit or @T.prim_func context. "),
    (
        lambda: T.alloc_shared((4,)),
        "T.alloc_… emits kernel code; it can only be used inside @T.prim_func, @T.macro or @tilelang.jit",
    ),
    (
        lambda: T.sync_threads(),
        "T.sync_threads emits kernel code; it can only be used inside @T.prim_func, @T.macro or @tilelang.jit",
    ),
    (
        lambda: list(T.serial(3)),
        "a loop of the kernel emits kernel code; it can only be used inside @T.prim_func, @T.macro or @tilelang.jit",
    ),
    (lambda: T.annotate_pass_configs({}), "T.annotate_pass_configs() can only be used inside a traced function"),
]


@pytest.mark.parametrize("call, text", OUTSIDE)
def test_outside_a_traced_function(call, text):
    with pytest.raises(JITNoBuilderError) as info:
        call()
    assert str(info.value) == text


def test_query_without_kernel():
    with pytest.raises(AssertionError) as info:
        T.get_thread_binding()
    assert str(info.value) == "no T.Kernel is active here"


def test_parameters():
    def positional(A, /):
        pass

    def missing(A):
        with T.Kernel(1):
            pass

    def strange(A: [3]):
        pass

    for function, kind, text in [
        (positional, TypeError, "PrimFunc does not support positional-only parameters: `A`"),
        (missing, ValueError, "Argument `A` is not annotated"),
        (strange, TypeError, "Unsupported argument type: [3] for parameter `A`"),
    ]:
        with pytest.raises(kind) as info:
            T.prim_func(function)
        assert str(info.value).split("\n")[0] == text


def test_body_declaration_that_comes_too_late():
    with pytest.raises(ValueError) as info:

        @T.prim_func
        def main(A):
            B = A[0]
            A: T.Tensor[(4,), T.float32]

    assert str(info.value).split("\n")[0] == "Argument `A` is not annotated before it is used"


def test_strides():
    with pytest.raises(ValueError) as info:
        T.StridedTensor((4, 8), (1,))
    assert str(info.value) == "2 dimension(s) but 1 stride(s) in T.Tensor((4, 8), float32, strides=(1,))"


TARGETS = [
    (
        "cuda -arch=sm_90a",
        AssertionError,
        "Target cuda -arch=sm_90a is not supported. Pass target options as a dict when the target needs attributes.",
    ),
    (
        {"kind": "cuda", "arch": "compute_90"},
        AssertionError,
        "Target {'kind': 'cuda', 'arch': 'compute_90'} is not supported. Pass a valid target config dict.",
    ),
    (
        {"kind": "cuda", "arch": "sm_90a", "code": "sm_90"},
        AssertionError,
        "Target {'kind': 'cuda', 'arch': 'sm_90a', 'code': 'sm_90'} is not supported. Pass a valid target config dict.",
    ),
    ("vulkan", ValueError, "unknown target 'vulkan'; use 'auto' or one of cuda, sim"),
    ("hip", NotImplementedError, "target 'hip' is not supported yet; use one of cuda, sim"),
    (3, TypeError, "target must be a string, a dict or a Target, got int 3"),
]


@pytest.mark.parametrize("target, kind, text", TARGETS)
def test_targets(target, kind, text):
    with pytest.raises(kind) as info:
        tilescale.determine_target(target)
    assert str(info.value) == text


def test_target_spellings(monkeypatch):
    from tilescale.targets import Target

    assert Target({"kind": "sim", "arch": "sm_80"}).text == "sim sm_80"
    assert Target("sim").text == "sim sm_90a"
    assert tilescale.determine_target({"kind": "cuda", "arch": "sm_90a"}) == {"kind": "cuda", "arch": "sm_90a"}
    assert Target("sm_90a").text == "cuda sm_90a"
    assert Target("cuda sm_80").text == "cuda sm_80"
    assert Target("sim:sm_89").text == "sim sm_89"
    with pytest.raises(ValueError, match=r"^unknown target 'vulkan'; use 'auto' or one of cuda, sim$"):
        Target("vulkan sm_90a")
    monkeypatch.setenv("TILESCALE_TARGET", "sim:sm_86")
    assert Target("auto").text == "sim sm_86"
    assert Target(None) == Target({"kind": "sim", "arch": "sm_86"})
    with Target({"kind": "cuda", "arch": "sm_89"}):
        assert Target("auto").text == "cuda sm_89"
    monkeypatch.setenv("TILESCALE_TARGET", '{"kind": "cuda", "arch": "sm_80"}')
    assert Target("auto").text == "cuda sm_80"


def test_full_traceback(monkeypatch):
    monkeypatch.setenv("TILESCALE_FULL_TRACEBACK", "1")
    with pytest.raises(TypeError) as info:
        trace("x = bx / 2")
    assert any("hooks.py" in str(f.path) or "expr.py" in str(f.path) for f in info.traceback)


def test_macro_stack_in_notes():
    @T.macro
    def inner(x):
        return x / 2

    @T.macro
    def outer(x):
        return inner(x)

    with pytest.raises(TypeError) as info:
        trace("y = outer(bx)", outer=outer)
    notes = "".join(getattr(info.value, "__notes__", [])) or str(info.value)
    assert [line.split(" in ")[1] for line in notes.split("\n") if "-->" in line] or "in inner" in notes
    assert notes.index("in inner") < notes.index("in outer") < notes.index("in main")


def test_places_in_a_message_become_notes_with_their_lines():
    from tilescale.language.report import after_trace

    error = after_trace(ValueError(f"too big\n  --> {__file__}:1 in main\n  --> nowhere.py:3 in outer"))
    notes = getattr(error, "__notes__", None) or str(error).split("\n", 1)[1].split("\n  -->")
    assert str(error).split("\n")[0] == "too big"
    assert f"  --> {__file__}:1 in main\n      # SPDX-License-Identifier: MIT" in "\n".join(notes)


def test_an_operator_error_is_located_once():
    with pytest.raises(ValueError) as info:
        trace("T.fill(B[60:70, 0], 1)")
    text = str(info.value) + "".join(getattr(info.value, "__notes__", []))
    assert text.count("-->") == 1


def test_an_unknown_name_has_one_suggestion():
    with pytest.raises(AttributeError) as info:
        T.alloc_sharde
    assert "".join(traceback.format_exception_only(info.value)) == (
        "AttributeError: T.alloc_sharde is not part of the dialect that this version supports; "
        "did you mean T.alloc_shared?\n"
    )


OURS = str(Path(tilescale.__file__).parent)


def _frames(error):
    return [frame.filename for frame in traceback.extract_tb(error.__traceback__)]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 puts the frame that raises again back")
def test_no_frame_of_ours_is_shown():
    """In a trace, a compilation, a call of a kernel and of a jitted function: only files of the user."""

    def main(A: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=32):
            A[0] = A[0, 1]

    def fat(A: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=2048):
            A[0] = 1

    def fine(A: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=32):
            A[0] = 1

    kernel = tilescale.compile(T.prim_func(fine), target="sim")
    for act in (
        lambda: T.prim_func(main),
        lambda: tilescale.compile(T.prim_func(fat), target="sim"),
        lambda: tilescale.compile(T.prim_func(fine), target="simm"),
        lambda: kernel(1, 2),
        lambda: kernel(nothing=1),
        lambda: tilescale.jit(main, target="sim")(1),
    ):
        with pytest.raises((IndexError, TypeError, ValueError)) as info:
            act()
        assert not [f for f in _frames(info.value) if f.startswith(OURS) or "tvm_ffi" in f]


def test_an_architecture_that_is_not_tested_is_said():
    @T.prim_func
    def main(A: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=32):
            A[0] = 1

    text = (
        "main: sim sm_100a: this architecture is not tested yet: the kernel uses the instructions that it shares with"
    )
    with pytest.warns(UserWarning, match=re.escape(text)):
        tilescale.compile(main, target="sim sm_100")
