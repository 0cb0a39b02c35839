# SPDX-License-Identifier: MIT
"""What pynvshmem says of a mistake; what it does is in programs/nvshmem_rank.py."""

import pytest
from tilescale import knobs
from tilescale.distributed import pynvshmem


def error_of(call, *args):
    with pytest.raises((RuntimeError, ValueError, NotImplementedError)) as found:
        call(*args)
    return str(found.value)


def test_mistakes():
    assert error_of(pynvshmem.nvshmem_my_pe) == (
        "pynvshmem is not initialised: call init_nvshmem_by_uniqueid(group) first"
    )
    assert error_of(pynvshmem.nvshmemx_init_attr_with_uniqueid, 0, 1, b"short") == ("a unique id has 128 bytes, got 5")
    assert error_of(pynvshmem.nvshmem_free, 4096) == "0x1000 is not from nvshmem_malloc"
    assert error_of(pynvshmem.nvshmem_team_my_pe, pynvshmem.Team.SAME_GPU) == (
        f"the team {pynvshmem.Team.SAME_GPU} is not supported, take WORLD, SHARED or NODE: the ranks of one host"
    )
    assert len(pynvshmem.nvshmemx_get_uniqueid()) == 128


def test_the_size_of_the_heap(monkeypatch):
    monkeypatch.delenv("NVSHMEM_SYMMETRIC_SIZE", raising=False)
    assert knobs.symmetric_size() == 1 << 30
    for text, size in (("512M", 512 << 20), ("3g", 3 << 30), ("4096", 4096)):
        monkeypatch.setenv("NVSHMEM_SYMMETRIC_SIZE", text)
        assert knobs.symmetric_size() == size
    monkeypatch.setenv("NVSHMEM_SYMMETRIC_SIZE", "much")
    assert error_of(knobs.symmetric_size) == "NVSHMEM_SYMMETRIC_SIZE: expected a size such as 512M, got 'MUCH'"
