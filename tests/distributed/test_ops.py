# SPDX-License-Identifier: MIT
"""Each communication op between ranks against what numpy says, on fresh data and poisoned outputs; and its text through
NVRTC."""

import itertools

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale._ffi import function
from tilescale._jit import machine
from tilescale.distributed import PerRank, World

RANKS = 3
_rng = np.random.default_rng()


def raw(shape, dtype):
    """Random bytes: moves must keep each of them."""
    dtype = np.dtype(dtype)
    return _rng.integers(0, 256, (*shape, dtype.itemsize), np.uint8).view(dtype)[..., 0]


def launch(func, tensors, ranks=RANKS, scalars=()):
    """Runs with one array a rank for each tensor; gives them as the kernel left them. Compiles for GPUs, too."""
    kernel = tilescale.compile(func, target="sim")
    for arch in ("sm_80", "sm_90a"):
        compile_text(func, arch)
    with World(ranks, target="sim") as w:
        given = [w.tensor(parts[0].shape, str(parts[0].dtype), name=name) for name, parts in tensors.items()]
        for t, parts in zip(given, tensors.values(), strict=True):
            for r in range(ranks):
                np.asarray(t[r]).view(np.uint8)[...] = parts[r].view(np.uint8)
        w.launch(kernel, *given, *scalars)
        w.barrier()
        return [[np.array(t[r]) for r in range(ranks)] for t in given]


def compile_text(func, arch):
    machine.configure()
    kernel = tilescale.compile(func, target={"kind": "cuda", "arch": arch})
    record = function("runtime.nvrtc_compile")(func.__name__, kernel.get_kernel_source(), arch, [])
    assert all(int(u["spill_store_bytes"]) == 0 for u in record["usage"])


def mover(kind, dtype, n, at, size, of):
    """`kind`, as put_block: elements [at, at + size) of A to [of, of + size) of B, one of them on rank `pe`."""
    op = getattr(T, kind)

    @T.prim_func
    def main(A: T.Tensor((n,), dtype), B: T.Tensor((n,), dtype), pe: T.int32):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            if tx < (64 if kind.endswith("block") else 32):
                op(T.address_of(A[at]), T.address_of(B[of]), size, pe)

    return main


MOVES = [
    ("float32", 8, 2, 4, 2),
    ("uint8", 1000, 3, 517, 3),
    ("float16", 700, 8, 600, 16),
    ("float32", 300, 1, 299, 1),
    ("int64", 90, 0, 90, 0),
]


@pytest.mark.parametrize("kind", ["put_block", "put_warp", "get_block", "get_warp"])
@pytest.mark.parametrize(
    ("dtype", "n", "at", "size", "of"), [*MOVES, ("bool", 129, 64, 65, 0), ("uint16", 64, 1, 20, 2)]
)
def test_runs_of_elements(kind, dtype, n, at, size, of):
    a = [raw((n,), dtype if dtype != "bool" else "uint8") for _ in range(RANKS)]
    if dtype == "bool":
        a = [(x & 1).astype(bool) for x in a]
    b = [raw((n,), "uint8").astype(bool) if dtype == "bool" else raw((n,), dtype) for _ in range(RANKS)]
    target = _rng.permutation(RANKS)  # every rank moves to or from another one, or itself
    want = [x.copy() for x in b]
    for r, pe in enumerate(target):
        if kind.startswith("put"):
            want[pe][of : of + size] = a[r][at : at + size]
        else:
            want[r][of : of + size] = a[pe][at : at + size]
    func = mover(kind, dtype, n, at, size, of)
    _, got = launch(func, {"A": a, "B": b}, scalars=(PerRank([int(t) for t in target]),))
    for x, y in zip(got, want, strict=True):
        np.testing.assert_array_equal(x.view(np.uint8), y.view(np.uint8))


def test_a_run_ends_with_its_tensor():
    """Elements behind the end are left alone, on either side, also with a size of the run time."""

    @T.prim_func
    def main(A: T.Tensor((100,), "float32"), B: T.Tensor((4, 30), "float32"), size: T.int32):
        with T.Kernel(1, threads=32):
            T.put_block(T.address_of(A[0]), T.address_of(B[2, 10]), size, 1 - T.get_rank())

    a = [raw((100,), "float32") for _ in range(2)]
    b = [raw((4, 30), "float32") for _ in range(2)]
    for size in (7, 50, 90, 101):
        _, got = launch(main, {"A": a, "B": b}, ranks=2, scalars=(size,))
        for r in range(2):
            want = b[r].copy().reshape(-1)
            count = min(size, 50, 100)
            want[70 : 70 + count] = a[1 - r][:count]
            np.testing.assert_array_equal(got[r].reshape(-1).view(np.uint32), want.view(np.uint32))


@pytest.mark.parametrize("source", ["global", "shared", "fragment"])
@pytest.mark.parametrize("direction", ["put", "get"])
def test_tiles(source, direction):
    """Two-dimensional tiles, ragged at the edge, converted on the way."""
    M, N, tile = 37, 53, 16

    @T.prim_func
    def main(A: T.Tensor((M, N), "float32"), B: T.Tensor((M, N), "float16")):
        with T.Kernel(T.ceildiv(N, tile), T.ceildiv(M, tile), threads=64) as (bx, by):
            peer = (T.get_rank() + 1) % T.get_num_ranks()
            s = T.alloc_shared((tile, tile), "float32")
            f = T.alloc_fragment((tile, tile), "float32")
            rows = slice(by * tile, (by + 1) * tile)
            columns = slice(bx * tile, (bx + 1) * tile)
            if direction == "put":
                if source == "global":
                    T.put(A[rows, columns], B[rows, columns], peer=peer)
                else:
                    stage = s if source == "shared" else f
                    T.copy(A[rows, columns], stage)
                    T.put(stage, B[by * tile, bx * tile], peer=peer)
            elif source == "global":
                T.get(A[rows, columns], B[rows, columns], peer=peer)
            else:
                stage = s if source == "shared" else f
                T.get(A[by * tile, bx * tile], stage, peer=peer)
                T.copy(stage, B[rows, columns])

    a = [_rng.standard_normal((M, N)).astype(np.float32) for _ in range(RANKS)]
    b = [np.full((M, N), np.nan, np.float16) for _ in range(RANKS)]
    _, got = launch(main, {"A": a, "B": b})
    for r in range(RANKS):
        origin = (r - 1) % RANKS if direction == "put" else (r + 1) % RANKS
        np.testing.assert_array_equal(got[r], a[origin].astype(np.float16))


STORES = list(itertools.product(["weak", "volatile", "relaxed", "release"], ["cta", "gpu", "sys"]))
LOADS = list(itertools.product(["weak", "volatile", "relaxed", "acquire"], ["cta", "gpu", "sys"]))
WIDTHS = ["uint8", "int8", "bool", "float16", "int16", "float32", "int32", "uint64", "float64"]


@pytest.mark.parametrize("dtype", WIDTHS)
def test_st_and_ld_of_each_semantics_scope_and_width(dtype):
    """Stored on the next rank, loaded from there after a barrier. The access is as wide as the element."""
    n = len(STORES)

    @T.prim_func
    def main(
        A: T.Tensor((n,), dtype), B: T.Tensor((n,), dtype), C: T.Tensor((n,), dtype), bar: T.Tensor((RANKS,), "int32")
    ):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            peer = (T.get_rank() + 1) % T.get_num_ranks()
            v = T.alloc_var(dtype)
            for i, (sem, scope) in enumerate(STORES):
                if tx == i:
                    T.st(T.address_of(B[i]), A[i], scope=scope, sem=sem, dst_pe=peer)
            T.barrier_blocks(bar)
            for i, (sem, scope) in enumerate(LOADS):
                if tx == i:
                    T.ld(T.address_of(B[i]), v, scope=scope, sem=sem, src_pe=peer)
                    C[i] = v

    a = [raw((n,), "uint8").view(bool) & True if dtype == "bool" else raw((n,), dtype) for _ in range(RANKS)]
    if dtype == "bool":
        a = [(x.view(np.uint8) & 1).astype(bool) for x in a]
    zero = [np.zeros((n,), dtype) for _ in range(RANKS)]
    bar = [np.zeros((RANKS,), np.int32) for _ in range(RANKS)]
    _, b, c, after = launch(main, {"A": a, "B": zero, "C": zero, "bar": bar})
    for r in range(RANKS):
        np.testing.assert_array_equal(c[r].view(np.uint8), a[r].view(np.uint8))
        np.testing.assert_array_equal(b[(r + 1) % RANKS].view(np.uint8), a[r].view(np.uint8))
        assert not after[r].any()  # the barrier leaves zeros


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
def test_waits_of_each_relation_and_type(dtype):
    """Rank 0 writes a value that fulfils each relation; all wait for it there, and give what they saw."""
    relations = [("eq", 7, 7), ("ne", 0, 7), ("ge", 7, 7), ("gt", 6, 7), ("le", 3, 2), ("lt", 3, 2)]

    @T.prim_func
    def main(flags: T.Tensor((6,), dtype), seen: T.Tensor((6,), dtype)):
        with T.Kernel(1, threads=32):
            tx = T.get_thread_binding()
            if T.get_rank() == 0:
                for i, (_, _, value) in enumerate(relations):
                    if tx == i:
                        T.st(T.address_of(flags[i]), value, scope="sys", sem="release")
            for i, (relation, expected, _) in enumerate(relations):
                if tx == i:
                    seen[i] = getattr(T, f"wait_{relation}")(flags[i], expected, peer=0)

    flags = [np.full((6,), 9, dtype) for _ in range(2)]
    for f in flags:
        f[0] = f[1] = f[2] = f[3] = 0
    _, seen = launch(main, {"flags": flags, "seen": [np.zeros((6,), dtype) for _ in range(2)]}, ranks=2)
    for s in seen:
        assert s.tolist() == [value for _, _, value in relations]


def test_atomics_on_peers():
    @T.prim_func
    def main(total: T.Tensor((1,), "uint32"), old: T.Tensor((64,), "uint32")):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            old[tx] = T.atom_add_remote(total[0], 2, dst_pe=0)

    start = [np.zeros((1,), np.uint32) for _ in range(RANKS)]
    total, old = launch(main, {"total": start, "old": [np.zeros((64,), np.uint32) for _ in range(RANKS)]})
    assert [int(t[0]) for t in total] == [2 * 64 * RANKS, 0, 0]
    assert sorted(np.concatenate(old).tolist()) == list(range(0, 2 * 64 * RANKS, 2))


def test_barriers_of_ranks_publish():
    """Each rank writes to all; behind the barrier everything is there. Five rounds with the same words."""
    rounds, blocks = 5, 1

    @T.prim_func
    def main(
        board: T.Tensor((RANKS, blocks), "int32"), out: T.Tensor((rounds, blocks, RANKS), "int32"),
        word: T.Tensor((RANKS,), "int32"),
    ):  # fmt: skip
        with T.Kernel(blocks, threads=64) as b:
            tx = T.get_thread_binding()
            for i in range(rounds):
                if tx < RANKS:
                    T.st(T.address_of(board[T.get_rank(), b]), 100 * i + T.get_rank(), scope="sys", dst_pe=tx)
                T.barrier_blocks(word)
                if tx < RANKS:
                    out[i, b, tx] = board[tx, b]
                T.barrier_blocks(word)

    board = [np.zeros((RANKS, blocks), np.int32) for _ in range(RANKS)]
    out = [np.full((rounds, blocks, RANKS), -1, np.int32) for _ in range(RANKS)]
    word = [np.zeros((RANKS,), np.int32) for _ in range(RANKS)]
    _, out, word = launch(main, {"board": board, "out": out, "word": word})
    for r in range(RANKS):
        assert not word[r].any()
        for i in range(rounds):
            assert out[r][i, 0].tolist() == [100 * i + k for k in range(RANKS)]
