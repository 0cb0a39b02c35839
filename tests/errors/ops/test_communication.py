# SPDX-License-Identifier: MIT
"""Messages of the communication ops, exactly. Each program is one line over buffers declared below."""

import itertools
import textwrap

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale.distributed import PerRank, World

_number = itertools.count()

HEAD = """
tx = T.get_thread_binding()
f = T.alloc_fragment((8,), "float32")
s = T.alloc_shared((8,), "float32")
v = T.alloc_var("float32")
sig = T.signal(flags, 0)
peer = 1 - T.get_rank()
"""


def trace(line: str):
    parameters = (
        'A: T.Tensor((8,), "float32"), B: T.Tensor((4, 8), "float16"), flags: T.Tensor((2,), "int32"), '
        'S: T.StridedTensor((8,), (2,), "float32")'
    )
    text = f"@T.prim_func\ndef main({parameters}):\n    with T.Kernel(1, threads=64) as bx:\n"
    text += textwrap.indent(HEAD.strip() + "\n" + line, " " * 8) + "\n"
    return T.exec_source(text, {"T": T}, f"<comm-error-test-{next(_number)}>")["main"]


AT_TRACE = [
    ("T.put(A, s, peer=peer)", ValueError,
     "T.put: `s` is on this rank only; other ranks reach tensor arguments that are in symmetric memory"),
    ("T.get(f, A, peer=peer)", ValueError,
     "T.get: `f` is on this rank only; other ranks reach tensor arguments that are in symmetric memory"),
    ("T.put(s, A, peer=-2)", ValueError, "T.put: there is no rank -2; ranks count from 0, and -1 is this rank"),
    ("T.put(s, A, peer=1.5)", TypeError, "T.put: a rank is an integer, got `1.5` of float32"),
    ("T.put(A, B[0, 0:4], peer=peer)", ValueError, "T.put: A has extent 8 where B[0, 0 +: 4] has 4"),
    ("T.put_block(T.address_of(A[0]), T.address_of(B[0, 0]), 4, peer)", TypeError,
     "T.put_block moves elements as they are, but `A` is float32 and `B` is float16"),
    ("T.get_warp(T.address_of(A[0]), T.address_of(f[0]), 4, peer)", ValueError,
     "T.get_warp moves between global and shared memory, `f` is in registers; T.put and T.get take tiles"),
    ("T.put_block(T.address_of(A[0]), T.address_of(A[4]), 0, peer)", ValueError,
     "T.put_block: size must be positive, got 0"),
    ("T.put_block(T.address_of(S[0]), T.address_of(A[4]), 2, peer)", ValueError,
     "T.put_block moves consecutive elements, `S` has strides; T.put and T.get take tiles"),
    ("T.put_warp(T.address_of(A[0]), T.address_of(A[4]), 2, peer, unroll_factor=0)", ValueError,
     "T.put_warp: unroll_factor must be 1 to 32, got 0"),
    ("T.st(T.address_of(A[0]), 1, sem='acquire')", ValueError,
     "T.st: sem must be one of ['weak', 'volatile', 'release', 'relaxed'], got 'acquire'"),
    ("T.ld(T.address_of(A[0]), v, scope='world')", ValueError,
     "T.ld: scope must be one of ['cta', 'gpu', 'sys'], got 'world'"),
    ("T.ld(T.address_of(A[0]), v, sem='acquire', nc=True)", ValueError, "T.ld: nc=True is for sem='weak' only"),
    ("T.ld(T.address_of(A[0]), s[0])", ValueError,
     "T.ld loads into a T.alloc_var or an element of T.alloc_local, `s` is neither"),
    ("T.st(v, 1)", ValueError, "T.st writes global or shared memory, `v` is in registers"),
    ("T.st(A[0:2], 1)", ValueError, "T.st takes one element, got A[0 +: 2]"),
    ("T.notify(flags[0], peer)", TypeError, "T.notify needs a signal of T.signal(buffer, index), got Load"),
    ("T.notify(T.signal(A, 0), peer)", TypeError,
     "T.notify needs an element of int32, uint32, int64 or uint64, `A` is float32"),
    ("T.notify(sig, peer, add=0)", ValueError, "T.notify: add=0 raises no signal"),
    ("T.wait(T.signal(s, 0))", ValueError, "T.wait needs an element of a tensor in global memory, `s` is not"),
    ("T.wait_ge(A[0], 1)", TypeError, "T.wait_ge needs an element of int32, uint32, int64 or uint64, `A` is float32"),
    ("T.wait_eq(flags[0], 1, semantics='often')", ValueError,
     "T.wait_eq: semantics must be one of acquire, volatile, relaxed, got 'often'"),
    ("T.wait_eq(flags[0], 1, scope=7)", ValueError, "T.wait_eq: scope must be one of sys, gpu, cta, got 7"),
    ("T.barrier_blocks(A)", ValueError,
     "T.barrier_blocks needs a tensor argument of int32 with one element for each rank, `A` is not one"),
    ("T.sync_blocks(flags[1])", ValueError, "T.sync_blocks: the barrier begins at element 0 of `flags`"),
    ("T.atom_add(flags[0], 1, sem='weak')", ValueError,
     "atom_add does not support memory_order='weak'; expected one of ['relaxed', 'acquire', 'release', 'acq_rel']"),
    ("T.atom_add_remote(s[0], 1, dst_pe=peer)", ValueError,
     "T.atom_add_remote: `s` is on this rank only; other ranks reach tensor arguments that are in symmetric memory"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "kind", "text"), AT_TRACE, ids=[line for line, _, _ in AT_TRACE])
def test_said_where_it_is_written(line, kind, text):
    with pytest.raises(kind) as found:
        trace(line)
    assert str(found.value) == text
    assert any(line in note for note in found.value.__notes__)  # the user's line, as it is written


DIVERGENT = "T.{} is reached by some threads of the group only: `%A[%tx] > 0.0` differs between them."


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("if A[tx] > 0: T.notify(sig, peer)", DIVERGENT.format("notify")),
        ("if A[tx] > 0: T.wait(sig)", DIVERGENT.format("wait")),
        ("if A[tx] > 0: T.barrier_blocks(flags)", DIVERGENT.format("barrier_blocks")),
        ("if A[tx] > 0: T.put(s, A, peer=peer)", DIVERGENT.format("put")),
        (
            "if tx == 0: T.notify(sig, peer)",
            "T.notify cannot be lowered for sm_90a: simt: all threads of the block or of a group run it together, but "
            "one thread alone comes here: take it out of the condition on the thread",
        ),
    ],
)
def test_said_by_the_compiler(line, text):
    with pytest.raises(tilescale.CompileError) as found:
        tilescale.compile(trace("T.clear(s)\n" + line), target="sim")
    assert text in str(found.value)


def program():
    @T.prim_func
    def main(A: T.Tensor((8,), "float32"), B: T.Tensor((8,), "float32")):
        with T.Kernel(1, threads=32):
            T.put(A, B, peer=(T.get_rank() + 1) % T.get_num_ranks())

    return tilescale.compile(main, target="sim")


def test_launches_that_cannot_be():
    kernel = program()
    host = np.zeros(8, np.float32)
    with World(2, target="sim") as w:
        A, B = w.tensor(8, name="A"), w.tensor(8, name="B")
        with pytest.raises(RuntimeError) as found:
            kernel(A[0], host)
        assert str(found.value).startswith("main: line ") and str(found.value).endswith(
            " of test_communication.py reaches `B` of other ranks, but the tensor given is not in symmetric memory\n"
            "help: allocate it with World.tensor"
        )
        with pytest.raises(
            ValueError, match=r"^main: `A` is a tensor of rank 0 and `B` one of rank 1: a launch takes the"
        ):
            kernel(A[0], B[1])
        with pytest.raises(ValueError, match=r"^PerRank has 3 values, the world has 2 ranks$"):
            w.launch(kernel, PerRank([1, 2, 3]), B)
        with pytest.raises(RuntimeError, match=r"^a simulated world is open already"):
            World(2, target="sim")
    with pytest.raises(RuntimeError, match=r"^the world is closed already$"):
        w.close()
    with pytest.raises(RuntimeError, match=r"^the world of this allocation is closed$"):
        w.tensor(8)
    for ranks in (0, 73):
        with pytest.raises(ValueError, match=f"^a world has 1 to 72 ranks, got {ranks}$"):
            World(ranks, target="sim")


def test_a_rank_out_of_range_is_found_when_it_is_reached():
    @T.prim_func
    def main(A: T.Tensor((8,), "float32"), B: T.Tensor((8,), "float32"), pe: T.int32):
        with T.Kernel(1, threads=32):
            T.put(A, B, peer=pe)

    kernel = tilescale.compile(main, target="sim")
    with World(2, target="sim") as w:
        w.launch(kernel, w.tensor(8, name="A"), w.tensor(8, name="B"), 2)
        with pytest.raises(tilescale.sim.OutOfBounds):
            w.barrier()


def test_a_wait_that_cannot_end_is_a_deadlock():
    @T.prim_func
    def main(flags: T.Tensor((4,), "int32")):
        with T.Kernel(1, threads=32):
            T.wait(T.signal(flags, 2), at_least=T.get_rank())

    kernel = tilescale.compile(main, target="sim")
    with World(2, target="sim") as w:
        w.launch(kernel, w.tensor(4, "int32", name="flags"))
        with pytest.raises(tilescale.sim.Deadlock, match=r"flags\[2\]"):
            w.barrier()
