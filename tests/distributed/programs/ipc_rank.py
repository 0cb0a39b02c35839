# SPDX-License-Identifier: MIT
"""One rank of a heap whose ranks have processes of their own: `ipc_rank.py what rank ranks transport`, or `- -`
for what its launcher says. Its GPU may be a
driver's stand-in, so memory is read and written by the host."""

import ctypes
import os
import sys
import time

from tilescale._ffi import function
from tilescale.distributed import launched_ranks
from tilescale.distributed.bootstrap import address_of

what, transport = sys.argv[1], sys.argv[4]
rank, ranks = launched_ranks()[:2] if sys.argv[2] == "-" else (int(sys.argv[2]), int(sys.argv[3]))
LIMIT = 3 << 30


def open_heap(limit=LIMIT, said=ranks):
    return function("runtime.open_heap")(transport, said, rank, limit, address_of(rank, said, None), rank)


def words(heap, owner, offset, count):
    return (ctypes.c_int32 * count).from_address(int(heap.table(rank)[2 + owner]) + offset)


def until(condition):
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come")


def offset_of(heap, tensor):
    return int(tensor.data_ptr()) - int(heap.table(rank)[2 + rank])


def exchange(limit=LIMIT):
    """Each rank writes into every other's memory and reads what they wrote."""
    heap = open_heap(limit)
    data = heap.tensor(rank, [64], "int32", "data")
    at = offset_of(heap, data)
    flags = heap.tensor(rank, [ranks], "int32", "flags")
    signal = offset_of(heap, flags)
    assert at % 256 == 0 and signal == at + 256
    for r in range(ranks):
        words(heap, r, signal, ranks)[rank] = 1  # I have made mine: it is zero for good
    until(lambda: min(words(heap, rank, signal, ranks)) >= 1)
    for r in range(ranks):
        words(heap, r, at, 64)[rank] = 100 * rank + r
    for r in range(ranks):
        words(heap, r, signal, ranks)[rank] = 2
    until(lambda: min(words(heap, rank, signal, ranks)) >= 2)
    assert list(words(heap, rank, at, ranks)) == [100 * r + rank for r in range(ranks)]
    assert heap.transport() == "ipc" and heap.own() == rank
    return heap, data, flags, signal


def segments():
    """Beyond 2 GiB; what all have freed is used again, what one rank still has is not."""
    heap, _data, _flags, signal = exchange()
    large = heap.tensor(rank, [(9 << 28) + 5], "uint8", "large")
    behind = heap.tensor(rank, [4], "int32", "behind")
    at = offset_of(heap, behind)
    assert at > 2**31
    meet(heap, signal, 0)
    peer = (rank + 1) % ranks
    words(heap, peer, at, 4)[3] = rank + 7
    until(lambda: words(heap, rank, at, 4)[3] == (rank - 1) % ranks + 7)
    first = offset_of(heap, large)
    del large
    meet(heap, signal, 1)
    again = heap.tensor(rank, [1 << 20], "uint8", "again")
    assert offset_of(heap, again) == first
    meet(heap, signal, 2)


def meet(heap, signal, step):
    for r in range(ranks):
        words(heap, r, signal, ranks)[rank] = 10 + step
    until(lambda: all(n >= 10 + step for n in words(heap, rank, signal, ranks)))


def two_heaps():
    first, second = exchange(), exchange(1 << 20)
    first[0].close()
    meet(second[0], second[3], 1)


def sizes():
    heap = open_heap(LIMIT + 4096 * rank)
    time.sleep(10)  # the books are there when the other one comes
    heap.close()


def shapes():
    heap = open_heap()
    heap.tensor(rank, [64 + rank], "int32", "data")


def full():
    heap = open_heap(1 << 20)
    heap.tensor(rank, [1 << 20], "int32", "data")


def dies():
    heap = open_heap()
    if rank == 1:
        os._exit(3)
    heap.tensor(rank, [64], "int32", "data")


def leaves():
    heap = open_heap()
    if rank == 1:
        sys.exit(3)
    heap.tensor(rank, [64], "int32", "data")


def few():
    """Rank 0 says where to meet; the other one has no GPU."""
    if rank == 0:
        address_of(rank, ranks, None)
    else:
        open_heap()


def counts():
    open_heap(said=ranks + rank)


globals()[what]()
print("done", flush=True)
