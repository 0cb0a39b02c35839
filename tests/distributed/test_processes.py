# SPDX-License-Identifier: MIT
"""Programs with a process per rank, as they are written for GPUs, on one simulated machine."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tilescale.testing import distributed_test

pytest.importorskip("torch")
PROGRAMS = Path(__file__).parent / "programs"


def run(*arguments, script="launched.py", ranks=2, code=0, timeout=180):
    command = [sys.executable, "-m", "tilescale", "run", "--target", "sim", "--ranks", str(ranks)]
    done = subprocess.run(
        [*command, str(PROGRAMS / script), *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )
    text = done.stdout + done.stderr
    assert done.returncode == code or (code is None and done.returncode), f"exit code {done.returncode}\n{text}"
    return text


@pytest.mark.parametrize("ranks", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_program_that_spawns_its_ranks(ranks):
    text = run("--num-processes", str(ranks), script="shift_spawn.py", ranks=ranks)
    assert text.count("shifted rows are right") == ranks


@pytest.mark.parametrize("ranks", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("what", ["clean", "peers", "several", "meets"])
def test_a_program_that_is_started_once_a_rank(what, ranks):
    assert run(what, ranks=ranks).count("done") == ranks


@pytest.mark.parametrize("ranks", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_program_of_the_nvshmem_kind(ranks):
    assert run(script="nvshmem_rank.py", ranks=ranks).count("done") == ranks


def test_torchrun():
    command = [sys.executable, "-m", "tilescale", "run", "--target", "sim", "-m", "torch.distributed.run"]
    done = subprocess.run(
        [*command, "--nproc-per-node", "2", "--standalone", str(PROGRAMS / "launched.py"), "clean"],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0 and done.stdout.count("done") == 2, done.stdout + done.stderr


def test_a_race_is_raised_in_every_rank():
    text = run("race", code=None)
    assert text.count("DataRace: ") == 2, text
    assert "inbox[" in text and re.search(r"launched\.py:\d+", text)


def test_a_rank_that_dies_is_named_to_the_others():
    started = time.monotonic()
    text = run("dies", ranks=3, code=137)
    told = re.findall(r"RuntimeError: rank 1 \(process \d+\) has ended while others need it", text)
    assert len(told) == 2 and "tilescale run: rank 1 of 3 was killed by SIGKILL" in text, text
    assert all(float(s) < 10 for s in re.findall(r"told after ([\d.]+) s", text))
    assert time.monotonic() - started < 60


def test_ranks_that_disagree():
    text = run("shapes", code=None)
    assert re.search(
        r"ValueError: allocation 0 of rank [01] is `tensor_0` of \d+ bytes, but that of rank [01] is `tensor_0` of",
        text,
    ), text
    text = run("sizes", code=None)
    assert re.search(r"ValueError: heap 1 of rank \d has \d+ bytes, but that of rank \d has \d+", text), text


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("full", "MemoryError: `tensor_0` of 8192 bytes does not fit: the symmetric heap has 4096 bytes on each rank"),
        ("outside", "reaches `inbox` of other ranks, but the tensor given is not in symmetric memory"),
    ],
)
def test_mistakes_of_all_ranks(what, text):
    assert text in run(what, code=None)


def test_a_heap_is_closed_once():
    assert "RuntimeError: the world is closed already" in run("unequal", ranks=1, code=None)


def test_a_wait_for_a_rank_that_never_launches_is_a_deadlock():
    text = run("hang", code=None)
    assert "Deadlock: " in text and "rank 1: its host has launched nothing since it last synchronised" in text


def test_a_port_in_use(monkeypatch):
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        monkeypatch.setenv("MASTER_PORT", str(s.getsockname()[1]))
        text = run("clean", code=1)
    assert re.search(r"tilescale run: port \d+ is in use; choose another with MASTER_PORT", text)


@distributed_test(nprocs=2)
def test_a_test_that_runs_in_every_rank(local_rank, num_ranks, tmp_path):
    import tilescale
    import torch
    from tilescale.distributed import init_dist

    rank, ranks, group = init_dist(local_rank, num_ranks)
    allocator = tilescale.get_allocator(2**20, "cuda", True, local_rank, num_ranks, group)
    views = tilescale.tensor((4,), torch.int32, allocator=allocator, return_peers=True)
    torch.distributed.barrier()
    views[1 - rank].fill_(rank + 1)
    torch.distributed.barrier()
    assert views[rank].tolist() == [2 - rank] * 4 and ranks == 2 and tmp_path.exists()


def test_ranks_without_a_machine(monkeypatch):
    monkeypatch.setenv("TILESCALE_TARGET", "sim")
    monkeypatch.delenv("TILESCALE_SIM_MACHINE", raising=False)
    from tilescale.distributed import get_allocator
    from tilescale.errors import BootstrapError

    with pytest.raises(BootstrapError, match=r"^rank 1 of 2 has no simulated machine to meet the others in; start"):
        get_allocator(local_rank=1, num_local_ranks=2)
    with pytest.raises(ValueError, match=r"^local_rank 2 is not a rank of 2$"):
        get_allocator(local_rank=2, num_local_ranks=2)
    with pytest.raises(ValueError, match=r"^the size of an allocator must be positive, got 0$"):
        get_allocator(0)
    with pytest.raises(NotImplementedError, match=r"^multicast memory is not supported: leave mcast_size out$"):
        get_allocator(mcast_size=1)
