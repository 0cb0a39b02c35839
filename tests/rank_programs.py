# SPDX-License-Identifier: MIT
"""Programs of several ranks: run on the simulator and compiled for GPUs; and one line of a kernel, for its error."""

import itertools
import textwrap

import numpy as np
import tilescale
import tilescale.language as T
from tilescale._ffi import function
from tilescale._jit import machine
from tilescale.distributed import PerRank, World

RANKS = 3
rng = np.random.default_rng()


def raw(shape, dtype):
    """Random bytes: moves must keep each of them."""
    dtype = np.dtype(dtype)
    return rng.integers(0, 256, (*shape, dtype.itemsize), np.uint8).view(dtype)[..., 0]


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
        return [[np.asarray(t[r]).copy() for r in range(ranks)] for t in given]


def compile_text(func, arch, pass_configs=None):
    machine.configure()
    kernel = tilescale.compile(func, target={"kind": "cuda", "arch": arch}, pass_configs=pass_configs or {})
    record = function("runtime.nvrtc_compile")(func.__name__, kernel.get_kernel_source(), arch, [])
    assert all(int(u["spill_store_bytes"]) == 0 for u in record["usage"])


_number = itertools.count()

HEAD = """
tx = T.get_thread_binding()
f = T.alloc_fragment((8,), "float32")
s = T.alloc_shared((8,), "float32")
v = T.alloc_var("float32")
l = T.alloc_local((8,), "float32")
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


def message(line: str, target=None) -> tuple[type, str]:
    """The exception of tracing, or with a target of compiling, the line: its type and first line of text. A note of an
    error while tracing shows the line as it is written."""
    try:
        func = trace(line)
        if target:
            tilescale.compile(func, target=target)
    except Exception as error:
        assert target or any(line in note for note in error.__notes__)
        return type(error), str(error).splitlines()[0]
    raise AssertionError(f"no error: {line}")


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


def check_run(kind, dtype, n, at, size, of):
    """`kind` moves its elements, on each rank to or from another one or itself, and leaves all others alone."""
    a = [raw((n,), dtype if dtype != "bool" else "uint8") for _ in range(RANKS)]
    if dtype == "bool":
        a = [(x & 1).astype(bool) for x in a]
    b = [raw((n,), "uint8").astype(bool) if dtype == "bool" else raw((n,), dtype) for _ in range(RANKS)]
    target = rng.permutation(RANKS)  # every rank moves to or from another one, or itself
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


def check_tiles(direction, source):
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

    a = [rng.standard_normal((M, N)).astype(np.float32) for _ in range(RANKS)]
    b = [np.full((M, N), np.nan, np.float16) for _ in range(RANKS)]
    _, got = launch(main, {"A": a, "B": b})
    for r in range(RANKS):
        origin = (r - 1) % RANKS if direction == "put" else (r + 1) % RANKS
        np.testing.assert_array_equal(got[r], a[origin].astype(np.float16))


STORES = list(itertools.product(["weak", "volatile", "relaxed", "release"], ["cta", "gpu", "sys"]))
WIDTHS = ["uint8", "int8", "bool", "float16", "int16", "float32", "int32", "uint64", "float64"]


def check_store_and_load(dtype, loads):
    """Stored on the next rank in each way of STORES, loaded from there after a barrier with the arguments of
    `loads`, as many. The access is as wide as the element."""
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
            for i, how in enumerate(loads):
                if tx == i:
                    T.ld(T.address_of(B[i]), v, src_pe=peer, **how)
                    C[i] = v

    a = [raw((n,), "uint8" if dtype == "bool" else dtype) for _ in range(RANKS)]
    if dtype == "bool":
        a = [(x & 1).astype(bool) for x in a]
    zero = [np.zeros((n,), dtype) for _ in range(RANKS)]
    bar = [np.zeros((RANKS,), np.int32) for _ in range(RANKS)]
    _, b, c, after = launch(main, {"A": a, "B": zero, "C": zero, "bar": bar})
    for r in range(RANKS):
        np.testing.assert_array_equal(c[r].view(np.uint8), a[r].view(np.uint8))
        np.testing.assert_array_equal(b[(r + 1) % RANKS].view(np.uint8), a[r].view(np.uint8))
        assert not after[r].any()  # the barrier leaves zeros
