# SPDX-License-Identifier: MIT
"""A transport whose peers cannot be loaded or stored: programs of put, get and signals run on it, a program that loads
or stores a peer's memory is told the line."""

import importlib
import inspect
import re
import sys

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from rank_faults import FOLDER
from rank_programs import RANKS, check_tiles, launch, raw
from tilescale import sim
from tilescale.distributed import World

N = 300
# Not moe, which loads counters of its peers, nor ag_gemm, of which one form uses the copy engine.
PROGRAMS = [
    "put_get", "put_signal", "simple_shift", "allgather", "all_to_all", "pre_attn_all2all",
    "post_attn_all2all_transpose", "all_reduce", "reduce_scatter", "broadcast", "gemm_rs", "gemm_ar",
    "sp_attention", "summa", "message_passing", "moe_direct", "remote_st",
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_peer_access(monkeypatch):
    monkeypatch.setenv("TILESCALE_SIM_PEER_ACCESS", "0")


def exchange(move, way="put"):
    """Data to (or from) the next rank, then a signal."""

    @T.prim_func
    def main(A: T.Tensor((N,), "float32"), B: T.Tensor((N,), "float32"), flag: T.Tensor((1,), "uint32")):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            peer = (T.get_rank() + 1) % T.get_num_ranks()
            if way == "get":
                T.get_block(T.address_of(A[0]), T.address_of(B[0]), N, peer)
            elif move == "block":
                T.put_block(T.address_of(A[0]), T.address_of(B[0]), N, peer)
            elif tx < 32:
                T.put_warp(T.address_of(A[0]), T.address_of(B[0]), N, peer)
            T.sync_threads()
            if tx == 0:
                T.st(T.address_of(flag[0]), 1, scope="sys", sem="release", dst_pe=peer)
                T.wait_ge(flag[0], 1)
            T.sync_threads()

    return tilescale.compile(main, target="sim")


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize(("move", "way"), [("block", "put"), ("warp", "put"), ("block", "get")])
def test_put_get_and_signals(move, way, ranks, seeds):
    kernel = exchange(move, way)
    for seed in seeds[:5]:
        sim.set_seed(seed)
        with World(ranks, target="sim") as w:
            A, B, flag = w.tensor(N, name="A"), w.tensor(N, name="B"), w.tensor(1, "uint32", name="flag")
            inputs = [np.random.default_rng().standard_normal(N).astype(np.float32) for _ in range(ranks)]
            for r in range(ranks):
                np.asarray(A[r])[...] = inputs[r]
                np.asarray(B[r])[...] = np.nan
            w.launch(kernel, A, B, flag)
            w.barrier()
            for r in range(ranks):
                source = (r + 1) % ranks if way == "get" else r - 1
                np.testing.assert_array_equal(np.asarray(B[r]), inputs[source])


@pytest.mark.parametrize("ranks", [2, 4])
def test_meetings(ranks, seeds):
    @T.prim_func
    def main(A: T.Tensor((N,), "float32"), B: T.Tensor((N,), "float32"), C: T.Tensor((4, N), "float32")):
        with T.Kernel(1, threads=64):
            T.putmem_nbi_block(B, A, N * 4, (T.get_pe() + 1) % T.get_pe_num())
            T.barrier_all_block()
            T.fcollect_block(T.Team.WORLD, T.address_of(C[0, 0]), T.address_of(B[0]), N)

    kernel = tilescale.compile(main, target="sim")
    for seed in seeds[:5]:
        sim.set_seed(seed)
        with World(ranks, target="sim") as w:
            A, B, C = w.tensor(N, name="A"), w.tensor(N, name="B"), w.tensor((4, N), name="C")
            inputs = [np.random.default_rng().standard_normal(N).astype(np.float32) for _ in range(ranks)]
            for r in range(ranks):
                np.asarray(A[r])[...] = inputs[r]
                np.asarray(C[r])[...] = np.nan
            w.launch(kernel, A, B, C)
            w.barrier()
            for r in range(ranks):
                np.testing.assert_array_equal(np.asarray(C[r])[:ranks], [inputs[i - 1] for i in range(ranks)])


@pytest.mark.parametrize("direction", ["put", "get"])
@pytest.mark.parametrize("source", ["global", "shared", "fragment"])
def test_ragged_tiles(direction, source):
    check_tiles(direction, source)


def test_strided_tiles_through_a_pipeline():
    """A tile turned and with gaps between its rows, to the next rank and back from there several turns ahead."""
    rows, columns, turns = 12, 40, 5

    @T.prim_func
    def main(
        A: T.Tensor((turns, columns, 2 * rows), "float32"),
        B: T.Tensor((turns, rows, columns), "float32"),
        C: T.Tensor((turns, rows, columns), "float32"),
        bar: T.Tensor((RANKS,), "int32"),
    ):
        with T.Kernel(1, threads=64):
            after = (T.get_rank() + 1) % T.get_num_ranks()
            s = T.alloc_shared((rows, columns), "float32")
            for i in T.serial(turns):
                for y, x in T.Parallel(rows, columns):
                    s[y, x] = A[i, x, 2 * y]
                T.copy(s, B[i, 0:rows, 0:columns], dst_pe=after)
            T.barrier_blocks(bar)
            for i in T.Pipelined(turns, num_stages=3):
                T.copy(B[i, 0:rows, 0:columns], s, src_pe=after)
                T.copy(s, C[i, 0:rows, 0:columns])

    a = [raw((turns, columns, 2 * rows), "float32") for _ in range(RANKS)]
    none = [np.zeros((turns, rows, columns), "float32") for _ in range(RANKS)]
    bar = [np.zeros((RANKS,), np.int32) for _ in range(RANKS)]
    _, b, c, _ = launch(main, {"A": a, "B": none, "C": none, "bar": bar})
    want = [x[:, :, ::2].swapaxes(1, 2).copy() for x in a]
    for r in range(RANKS):
        np.testing.assert_array_equal(b[r].view(np.uint8), want[r - 1].view(np.uint8))
        np.testing.assert_array_equal(c[r].view(np.uint8), want[r].view(np.uint8))


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_of_tiles_and_signals(name):
    if str(FOLDER) not in sys.path:
        sys.path.insert(0, str(FOLDER))
    importlib.import_module(name).main(["--ranks", "2", "--target", "sim"])


def peer_load():
    @T.prim_func
    def main(A: T.Tensor((4,), "int32"), B: T.Tensor((4,), "int32")):
        with T.Kernel(1, threads=32):
            value = T.alloc_var("int32")
            T.ld(T.address_of(A[2]), value, scope="sys", sem="relaxed", src_pe=1 - T.get_rank())  # the line
            B[0] = value

    return main, "load of A[2]"


def peer_wait():
    @T.prim_func
    def main(A: T.Tensor((4,), "int32"), B: T.Tensor((4,), "int32")):
        with T.Kernel(1, threads=32):
            T.wait_eq(A[3], 0, 1 - T.get_rank())  # the line
            B[0] = 1

    return main, "load of A[3]"


@pytest.mark.parametrize("make", [peer_load, peer_wait])
def test_a_peer_access_is_told_its_line(make, monkeypatch):
    func, what = make()
    lines, first = inspect.getsourcelines(make)
    line = first + next(i for i, text in enumerate(lines) if "# the line" in text)
    kernel = tilescale.compile(func, target="sim")

    def run():
        with World(2, target="sim") as w:
            w.launch(kernel, w.tensor(4, "int32", name="A"), w.tensor(4, "int32", name="B"))
            w.barrier()

    with pytest.raises(sim.OutOfBounds) as found:
        run()
    text = str(found.value)
    assert re.match(re.escape(what) + r".*, global memory of rank [01]\): this transport has no access to", text), text
    assert f"test_no_peer_access.py:{line}" in text, text
