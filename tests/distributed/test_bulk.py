# SPDX-License-Identifier: MIT
"""Runs of a block by bulk copies (sm_90): what moves, when they are chosen, and what they order."""

import re

import numpy as np
import pytest
import tilescale
import tilescale.language as T
from tilescale import sim
from tilescale.distributed import World

from tests.rank_programs import compile_text, raw

KB = 1024
N = 64 * KB  # elements of each tensor


def exchange(kind, dtype, size, at, of, blocks=2, publish=True):
    """Each block moves a run to (or from) the next rank; a signal; what came is read by other threads. Twice, into the
    same staging, behind a write of the source by all threads."""
    put = kind == "put"
    move = T.put_block if put else T.get_block

    @T.prim_func
    def main(
        A: T.Tensor((blocks, N), dtype),
        B: T.Tensor((2, blocks, N), dtype),
        C: T.Tensor((2, blocks, N), dtype),
        flags: T.Tensor((blocks,), "int32"),
        n: T.int32,
    ):
        with T.Kernel(blocks, threads=128) as b:
            come = T.signal(flags, b)
            peer = (T.get_rank() + 1) % T.get_num_ranks()
            for i in T.serial(2):
                if put:
                    move(T.address_of(A[b, at]), T.address_of(B[i, b, of]), n if size is None else size, peer)
                    if publish:
                        T.notify(come, peer)
                    T.wait(come, i + 1)
                else:
                    T.notify(come, peer)
                    T.wait(come, i + 1)
                    move(T.address_of(A[b, at]), T.address_of(B[i, b, of]), n if size is None else size, peer)
                T.copy(B[i, b, 0:N], C[i, b, 0:N])

    return main


def run(func, dtype, size, at, of, ranks=2, blocks=2, arch="sm_90a"):
    kernel = tilescale.compile(func, target=f"sim {arch}")
    with World(ranks, target="sim") as w:
        A = w.tensor((blocks, N), dtype, name="A")
        B, C = (w.tensor((2, blocks, N), dtype, name=x) for x in "BC")
        flags = w.tensor(blocks, "int32", name="flags")
        a = [raw((blocks, N), dtype) for _ in range(ranks)]
        b = [raw((2, blocks, N), dtype) for _ in range(ranks)]
        for r in range(ranks):
            np.asarray(A[r])[...] = a[r]
            np.asarray(B[r])[...] = b[r]
        w.launch(kernel, A, B, C, flags, size)
        w.barrier()
        got = [np.asarray(C[r]).copy() for r in range(ranks)]
    return kernel, a, b, got


SHAPES = [
    ("uint8", 16 * KB * 9 + 5, 0, 16),  # not whole pieces, round the ring, a tail
    ("uint8", 64 * KB, 16, 32),
    ("float16", 40 * KB, 8, 64),
    ("uint32", 33 * KB, 4, 4),
    ("uint8", 50 * KB, 1, 1),  # by the threads: no multiple of 16
    ("float16", 20 * KB, 0, 4),
]


@pytest.mark.parametrize("dynamic", [False, True], ids=["constant", "dynamic"])
@pytest.mark.parametrize("kind", ["put", "get"])
@pytest.mark.parametrize(("dtype", "size", "at", "of"), SHAPES)
def test_runs_by_bulk_copies(dtype, size, at, of, kind, dynamic, seeds):
    size = min(size, N - max(at, of))
    func = exchange(kind, dtype, None if dynamic else size, at, of)
    for seed, ranks in zip(seeds[:2], (2, 3), strict=True):
        sim.set_seed(seed)
        kernel, a, b, got = run(func, dtype, size, at, of, ranks)
        assert "ts::comm::copy_run_bulk<4, 6, 16384, 32768>(" in kernel.get_kernel_source()
        for r in range(ranks):
            want = b[r].copy()
            want[:, :, of : of + size] = a[r - 1 if kind == "put" else (r + 1) % ranks][None, :, at : at + size]
            np.testing.assert_array_equal(got[r], want)
    compile_text(func, "sm_90a")


def test_a_short_dynamic_run(seeds):
    """Sizes that are known at the launch only, down to nothing."""
    func = exchange("put", "float16", None, 0, 0)
    for seed, size in zip(seeds[:4], (0, 1, 8, 9), strict=True):
        sim.set_seed(seed)
        _, a, b, got = run(func, "float16", size, 0, 0)
        for r in range(2):
            want = b[r].copy()
            want[:, :, :size] = a[1 - r][None, :, :size]
            np.testing.assert_array_equal(got[r], want)


def test_a_bulk_put_that_nobody_publishes_is_a_race(seeds):
    """Without the signal the reader does not know of the put. The wait is for one that the put's rank never sends, so
    it is raised here by the host's value."""

    @T.prim_func
    def main(A: T.Tensor((N,), "uint8"), B: T.Tensor((N,), "uint8"), C: T.Tensor((N,), "uint8")):
        with T.Kernel(1, threads=64):
            T.put_block(T.address_of(A[0]), T.address_of(B[0]), N, 1 - T.get_rank())
            T.copy(B, C)

    kernel = tilescale.compile(main, target="sim sm_90a")
    assert "copy_run_bulk" in kernel.get_kernel_source()
    for seed in seeds[:5]:
        sim.set_seed(seed)
        with World(2, target="sim") as w, pytest.raises(sim.DataRace, match=r"B\["):
            w.launch(kernel, *(w.tensor(N, "uint8", name=x) for x in "ABC"))
            w.barrier()


def chosen(line, target="sim sm_90a", shared=0, configs=None):
    """The lowering of `line`, its refusals and its notes."""
    text = f"""@T.prim_func
def main(A: T.Tensor((65536,), "uint8"), B: T.Tensor((65536,), "uint8")):
    with T.Kernel(1, threads=128):
        s = T.alloc_shared(({shared or 65536},), "uint8")
        {"T.fill(s, 0)" if shared else ""}
        {line}
        {"for i in T.Parallel(65536): B[i] = s[i]" if shared else ""}
"""
    func = T.exec_source(text, {"T": T}, f"<bulk-test-{abs(hash(line + str(shared) + str(configs)))}>")["main"]
    kernel = tilescale.compile(func, target=target, pass_configs=configs or {})
    return kernel.explain(), kernel.get_kernel_source()


def test_explain_says_why():
    put = "T.put_block(T.address_of(A[0]), T.address_of(B[0]), {}, 1 - T.get_rank())"
    text, source = chosen(put.format(40000))
    assert "bulk" in text and "6 pieces of 16 KB in flight; where an address is no multiple of 16 bytes" in text
    assert "copy_run_bulk<4, 6, 16384, 32768>" in source
    text, source = chosen(put.format(1000))
    assert "bulk: 1000 bytes: it pays from 32768 on" in text and "copy_run_bulk" not in source
    text, source = chosen(put.format(40000), target="sim sm_80")
    assert "bulk: needs bulk copies, which sm_80 does not have" in text and "copy_run_bulk" not in source
    text, source = chosen(put.format(40000), configs={"tl.disable_tma_lower": True})
    assert "bulk: tl.disable_tma_lower is set" in text and "copy_run_bulk" not in source
    text, source = chosen("T.putmem_nbi_block(B, A, 40000, 1 - T.get_rank()); T.quiet()")
    assert "bulk: an nbi copy completes at T.quiet" in text and "copy_run_bulk" not in source
    text, source = chosen(put.format(40000), shared=180 * KB)
    assert "2 pieces of 16 KB in flight" in text and "copy_run_bulk<4, 2, 16384, 32768>" in source
    text, source = chosen(put.format(40000), shared=200 * KB)
    assert "by the threads: the block's shared memory has no room" in text and "copy_run_bulk" not in source
    text, _ = chosen("T.put_block(T.address_of(s[0]), T.address_of(B[0]), 40000, 0)", shared=65536)
    assert "bulk: moves between tensors, `s` is in shared memory" in text


def staged(blocks, here):
    """Pieces and shared memory of a put in a kernel of 64 KB, or of 96 KB, 32 of them in use at the put, if `here`."""

    @T.prim_func
    def main(A: T.Tensor((blocks, N), "uint8"), B: T.Tensor((blocks, N), "uint8")):
        with T.Kernel(blocks, threads=128) as b:
            s = T.alloc_shared((32 * KB,), "uint8")
            if b % 2 == 0:
                if here:
                    T.copy(A[b, 0 : 32 * KB], s)
                T.put_block(T.address_of(A[b, 0]), T.address_of(B[b, 0]), N, 1 - T.get_rank())
                if here:
                    T.copy(s, A[b, 0 : 32 * KB])
            else:
                t = T.alloc_shared((64 * KB,), "uint8")
                T.copy(A[b, 0:N], t)
                T.copy(t, B[b, 0:N])

    kernel = tilescale.compile(main, target={"kind": "cuda", "arch": "sm_90a"})
    text = kernel.explain()
    places = re.findall(r"shared \w+: (\d+) bytes at (\d+)", text)
    found = re.search(r"(\d+) pieces of 16 KB", text)
    return int(found[1]) if found else 0, max(int(size) + int(at) for size, at in places)


def test_staging_takes_what_other_branches_leave():
    """Three blocks of 64 KB, or two of 96 KB, are resident on a multiprocessor of 228 KB; with staging as many."""
    assert staged(blocks=4000, here=False) == (4, 64 * KB + 32)
    assert staged(blocks=4000, here=True) == (5, 112 * KB + 48)
    assert staged(blocks=8, here=False)[0] == 6  # one a multiprocessor anyway
