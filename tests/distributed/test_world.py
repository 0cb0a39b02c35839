# SPDX-License-Identifier: MIT
"""Worlds and launches that cannot be; what the simulator says of ranks that do not exist and of endless waits."""

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale.distributed import PerRank, World


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
            " of test_world.py reaches `B` of other ranks, but the tensor given is not in symmetric memory\n"
            "help: allocate it with World.tensor, or with tilelang.tensor(..., allocator=)"
        )
        with pytest.raises(
            ValueError, match=r"^main: `A` is a tensor of rank 0 and `B` one of rank 1: a launch takes the"
        ):
            kernel(A[0], B[1])
        with pytest.raises(TypeError, match=r"^a launch needs a compiled kernel, got None$"):
            w.launch(None)
        with pytest.raises(ValueError, match=r"^an extent of a tensor must be at least 0, got -1$"):
            w.tensor((4, -1))
        with pytest.raises(ValueError, match=r"^PerRank has 3 values, the world has 2 ranks$"):
            w.launch(kernel, PerRank([1, 2, 3]), B)
        with pytest.raises(
            RuntimeError, match=r"^a simulated world of 2 ranks is open already\nhelp: close it first, or"
        ):
            World(3, target="sim")
    with pytest.raises(RuntimeError, match=r"^the world is closed already$"):
        w.close()
    with pytest.raises(RuntimeError, match=r"^the world of this allocation is closed$"):
        w.tensor(8)
    with pytest.raises(RuntimeError, match=r"^the world of this barrier is closed$"):
        w.barrier()
    with pytest.raises(TypeError, match=r"^the number of ranks must be an integer, got 1.5$"):
        World(1.5, target="sim")
    for ranks in (0, 73):
        with pytest.raises(ValueError, match=f"^a world has 1 to 72 ranks, fewer on the simulator; got {ranks}$"):
            World(ranks, target="sim")


def test_a_launch_names_the_tensor_that_is_refused():
    @T.prim_func
    def main(A: T.Tensor((8,), "float32"), B: T.Tensor((8,), "float32")):
        with T.Kernel(1, threads=8):
            tx = T.get_thread_binding()
            B[tx] = A[tx]

    kernel = tilescale.compile(main, target="sim")
    fixed = np.zeros(8, np.float32)
    fixed.flags.writeable = False
    why = "is a read-only array, which numpy does not hand out: pass x.copy()"
    with World(2, target="sim") as w:
        A, B = w.tensor(8), w.tensor(8)
        for given in (fixed, PerRank([A[0], fixed])):
            with pytest.raises(TypeError) as error:
                w.launch(kernel, given, B)
            assert str(error.value) == f"main.A {why}"
        with pytest.raises(TypeError) as error:
            w.launch(kernel, A, PerRank([fixed, B[1]]))
        assert str(error.value) == f"main.B {why}"
        w.launch(kernel, A, B)
        w.barrier()


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
        with pytest.raises(tilescale.sim.Deadlock, match=r"spins on flags\[2\] = 0, waits for at least 1 "):
            w.barrier()


def test_several_worlds_at_a_time():
    """Of as many ranks: a launch is of the world whose tensors it is given."""
    kernel = program()
    with World(2, target="sim") as first, World(2, target="sim") as second:
        tensors = [[w.tensor(8, name=n) for n in "AB"] for w in (first, second)]
        for k, (A, _) in enumerate(tensors):
            for r in range(2):
                np.asarray(A[r])[...] = 10 * k + r
        with pytest.raises(ValueError, match=r"^main: `A` is a tensor of rank 0 and `B` one of another world"):
            kernel(tensors[0][0][0], tensors[1][1][0])
        for w, (A, B) in zip((first, second), tensors, strict=True):
            w.launch(kernel, A, B)
        second.barrier()
        first.barrier()
        for k, (_, B) in enumerate(tensors):
            for r in range(2):
                assert (np.asarray(B[r]) == 10 * k + 1 - r).all()


def test_the_error_of_the_program_is_the_one_raised():
    """Also when kernels are queued, and when these would fail."""
    kernel = program()

    @T.prim_func
    def far(A: T.Tensor((8,), "float32"), B: T.Tensor((8,), "float32")):
        with T.Kernel(1, threads=32):
            T.put(A, B, peer=T.get_rank() + 5)

    for launched in (kernel, tilescale.compile(far, target="sim")):
        with pytest.raises(KeyError, match="mine"), World(2, target="sim") as w:
            w.launch(launched, w.tensor(8, name="A"), w.tensor(8, name="B"))
            raise KeyError("mine")
        with World(3, target="sim") as w:  # nothing of the other is left
            w.launch(kernel, w.tensor(8, name="A"), w.tensor(8, name="B"))
            w.barrier()


@pytest.mark.parametrize(
    ("dtype", "has", "wants"),
    [
        ("uint32", 3_000_000_000, 4_000_000_000),
        ("uint64", 2**63 + 5, 2**64 - 1),
        ("int32", -3, -2),
        ("int64", -(2**62), 2**62),
    ],
)
def test_the_numbers_of_an_endless_wait(dtype, has, wants):
    @T.prim_func
    def main(A: T.Tensor((1,), dtype)):
        with T.Kernel(1, threads=1):
            T.wait_ge(A[0], wants)

    with World(1, target="sim") as w:
        A = w.tensor(1, dtype, name="A")
        np.asarray(A[0])[...] = has
        w.launch(tilescale.compile(main, target="sim"), A)
        with pytest.raises(tilescale.sim.Deadlock) as error:
            w.barrier()
        assert f"spins on A[0] = {has}, waits for at least {wants} " in str(error.value)


@pytest.mark.parametrize("waits", [True, False])
def test_launches_are_ordered_with_their_own_ranks_only(waits):
    """A kernel without ranks behind one with: what a peer puts has come for it only if this rank has waited for it."""

    @T.prim_func
    def send(A: T.Tensor((8,), "float32"), B: T.Tensor((8,), "float32"), flags: T.Tensor((1,), "int32")):
        with T.Kernel(1, threads=32):
            T.put(A, B, peer=1 - T.get_rank(), signal=T.signal(flags))
            if waits:
                T.wait(T.signal(flags))

    @T.prim_func
    def keep(B: T.Tensor((8,), "float32"), C: T.Tensor((8,), "float32")):
        with T.Kernel(1, threads=32):
            T.copy(B, C)

    with World(2, target="sim") as w:
        A, B, C, flags = w.tensor(8, name="A"), w.tensor(8, name="B"), w.tensor(8, name="C"), w.tensor(1, "int32")
        for r in range(2):
            np.asarray(A[r])[...] = r + 1
        w.launch(tilescale.compile(send, target="sim"), A, B, flags)
        w.launch(tilescale.compile(keep, target="sim"), B, C)
        if not waits:
            with pytest.raises(tilescale.sim.DataRace, match=r"of rank \d"):
                w.barrier()
            return
        w.barrier()
        assert [np.asarray(C[r]).tolist() for r in range(2)] == [[2] * 8, [1] * 8]


def to_a_number(form):
    @T.prim_func
    def main(A: T.Tensor((8,), "float32"), B: T.Tensor((4, 8), "float32"), n: T.int32):
        with T.Kernel(1, threads=32):
            if form == "always":
                T.put(A, B[T.get_rank(), 0:8], peer=3)
            elif form == "rank 0":
                if T.get_rank() == 0:
                    for _ in T.serial(2):
                        T.put(A, B[0, 0:8], peer=3)
            elif form == "where there is one":
                if T.get_num_ranks() > 3:
                    T.put(A, B[T.get_rank(), 0:8], peer=3)
            elif form == "on a higher one":
                if T.get_rank() == 2:
                    T.put(A, B[T.get_rank(), 0:8], peer=3)
            elif form == "perhaps":
                for _ in T.serial(n):
                    T.put(A, B[T.get_rank(), 0:8], peer=3)
            else:
                T.put(A, B[T.get_rank(), 0:8], peer=1)

    return main


@pytest.mark.parametrize("form", ["always", "rank 0"])
def test_a_rank_that_the_world_does_not_have(form):
    kernel = tilescale.compile(to_a_number(form), target="sim")
    for ranks in (2, 3):
        with World(ranks, target="sim") as w, pytest.raises(ValueError) as found:
            w.launch(kernel, w.tensor(8), w.tensor((4, 8)), 1)
        line = {"always": 5, "rank 0": 9}[form] + to_a_number.__code__.co_firstlineno
        assert str(found.value) == (f"main: line {line} of test_world.py reaches rank 3, but there are {ranks} ranks")
    with World(4, target="sim") as w:
        w.launch(kernel, w.tensor(8), w.tensor((4, 8)), 1)


@pytest.mark.parametrize("form", ["where there is one", "on a higher one", "perhaps", "a rank that there is"])
def test_ranks_that_are_not_sure_to_be_reached(form):
    kernel = tilescale.compile(to_a_number(form), target="sim")
    with World(2, target="sim") as w:
        A, B = w.tensor(8), w.tensor((4, 8))
        w.launch(kernel, A, B, 0)
        w.barrier()


def test_launches_without_a_barrier_keep_each_tensor_once():
    @T.prim_func
    def main(A: T.Tensor((8,), "float32"), B: T.Tensor((8,), "float32"), pe: T.int32):
        with T.Kernel(1, threads=32):
            T.put(A, B, peer=pe)

    kernel = tilescale.compile(main, target="sim")
    with World(2, target="sim") as w:
        given = w.tensor(8, name="A"), w.tensor(8, name="B")
        for _ in range(5):
            w.launch(kernel, *given, PerRank([1, 0]))
        assert set(w._launched) == {id(t) for t in given}
        w.barrier()
        assert not w._launched


def test_arguments_of_another_number_of_ranks():
    with World(3, target="sim") as w:
        of_three = w.tensor(8, name="A")
    with World(2, target="sim") as w:
        kernel = program()
        with pytest.raises(ValueError, match=r"^argument 0 has 3 values, the world has 2 ranks$"):
            w.launch(kernel, of_three, w.tensor(8, name="B"))
        with pytest.raises(TypeError, match=r"^Expect arg\[0\] to be pointer: main\.A is a tensor"):
            w.launch(kernel, [1.0, 2.0], w.tensor(8, name="B"))
