# SPDX-License-Identifier: MIT
"""Heaps of processes with a GPU each, on a driver's stand-in whose memory is shared files, and on GPUs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tilescale import knobs
from tilescale.distributed import launched_ranks
from tilescale.distributed.launcher import free_port

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc") or pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("stub") / "libcuda.so.1"
    source = HERE.parent / "runtime" / "cuda_stub.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", library, source], check=True)
    return library


def ranks_of(what, ranks, stub, transport="ipc", start=None, launcher=None, **more):
    """Output and exit code of each rank, or of the first `start`. `launcher(rank, ranks)`: what it sets for a rank,
    which is not told else who it is."""
    variables = {
        "TILESCALE_LIBCUDA": str(stub),
        "STUB_DEVICES": str(ranks),
        "STUB_QUIET": "1",
        "STUB_MEMORY": str(2**32),
        "MASTER_PORT": str(free_port()),
        **more,
    }
    command = [sys.executable, str(HERE / "programs" / "ipc_rank.py"), what]
    processes = [
        subprocess.Popen(
            [*command, *(["-", "-"] if launcher else [str(rank), str(ranks)]), transport],
            env={**os.environ, **variables, **(launcher(rank, ranks) if launcher else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(start or ranks)
    ]
    try:
        return [(p.communicate(timeout=60)[0], p.returncode) for p in processes]
    finally:
        for p in processes:
            p.kill()


@pytest.mark.parametrize("ranks", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("what", ["exchange", "segments", "two_heaps"])
def test_memory_of_other_processes(what, ranks, stub):
    for text, code in ranks_of(what, ranks, stub):
        assert code == 0 and "done" in text, text


LAUNCHERS = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    "Open MPI": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    "Hydra": ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
    "Slurm": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
}


@pytest.mark.parametrize("name", LAUNCHERS)
def test_ranks_of_other_launchers_meet_without_torch(name, stub):
    def launcher(rank, ranks):
        said = dict(zip(LAUNCHERS[name], (str(rank), str(ranks), str(rank)), strict=True))
        return {**said, "SLURM_STEP_ID": "0"} if name == "Slurm" else said

    for text, code in ranks_of("exchange", 2, stub, launcher=launcher):
        assert code == 0 and "done" in text, text


def test_what_launchers_say(monkeypatch):
    for names in LAUNCHERS.values():
        for variable in names:
            monkeypatch.delenv(variable, raising=False)
    assert launched_ranks() == (0, 1, 0)
    for variable, value in zip(LAUNCHERS["Slurm"], ("5", "8", "1"), strict=True):
        monkeypatch.setenv(variable, value)
    assert launched_ranks() == (0, 1, 0)  # a batch script, of which srun will start the ranks
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    monkeypatch.setenv("SLURM_TASKS_PER_NODE", "4(x2)")
    assert launched_ranks() == (5, 8, 1)
    assert knobs.rank_of_environment("LOCAL_WORLD_SIZE", 0) == 4
    monkeypatch.setenv("PMI_RANK", "first")
    with pytest.raises(ValueError, match="PMI_RANK: expected a number, got 'first'"):
        launched_ranks()


@pytest.mark.parametrize("more", [{"transport": "ipc-handles"}, {"STUB_FILES": "0"}], ids=["asked", "no files"])
def test_handles_where_the_driver_has_no_files(more, stub):
    for text, code in ranks_of("exchange", 2, stub, **more):
        assert code == 0 and "done" in text, text


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("sizes", r"ValueError: the heap of rank \d has \d+ bytes, but that of rank \d has \d+"),
        ("shapes", r"ValueError: allocation 0 of rank \d is `data` of \d+ bytes, but that of rank \d is `data` of \d+"),
        (
            "full",
            r"MemoryError: `data` of 4194304 bytes does not fit: the symmetric heap has 1048576 bytes on each rank",
        ),
        ("dies", r"RuntimeError: rank 1 has ended while others need its memory; its own output says why"),
        ("leaves", r"RuntimeError: rank 1 has ended while others need its memory; its own output says why"),
        ("counts", r"BootstrapError: rank 1 says that there are 3 ranks, rank 0 says 2"),
    ],
)
def test_ranks_that_disagree(what, expected, stub):
    texts = ranks_of(what, 2, stub)
    assert any(re.search(expected, text) and code for text, code in texts), texts


def test_too_few_gpus(stub):
    (text, code), *_ = ranks_of("exchange", 1, stub, STUB_DEVICES="0")
    assert code and "CudaError: the CUDA driver sees no GPU" in text, text
    text, code = ranks_of("few", 2, stub, STUB_DEVICES="1")[1]
    assert code and "RuntimeError: rank 1 needs GPU 1, but there are 1\nhelp: start fewer ranks" in text, text


def test_a_port_in_use(stub):
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        text, code = ranks_of("sizes", 2, stub, start=1, MASTER_PORT=str(port - 1))[0]
    assert code and f"BootstrapError: cannot listen on tcp:127.0.0.1:{port}: Address already in use" in text, text


def stream_program():
    return """
from tilescale._ffi import function
from tilescale.distributed.bootstrap import address_of
heap = function("runtime.open_heap")("ipc", 1, 0, 1 << 20, address_of(0, 1, None), 0)
word = heap.tensor(0, [2], "uint64", "word")
value = function("runtime.stream_value")
for bits, n in ((32, 5), (64, 1 << 40)):
    value(0, 0, int(word.data_ptr()), n, bits, False)
    value(0, 0, int(word.data_ptr()), n, bits, True)
host, gpu = function("runtime.mapped_tensor")(0, [3, 5], "float32")
assert host.shape == gpu.shape == (3, 5)
"""


def test_values_that_streams_write_and_wait_for(stub):
    done = subprocess.run(
        [sys.executable, "-c", stream_program()],
        env={**os.environ, "TILESCALE_LIBCUDA": str(stub)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert "wait for 5 of 4 bytes, how 1: 1" in lines and "wait for 1099511627776 of 8 bytes, how 1: 1" in lines
    assert "host 60, flags 3" in lines and "free host" in lines


@pytest.mark.gpu
@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("script", ["shift_spawn.py", "launched.py"])
def test_programs_on_gpus(script, ranks):
    torch = pytest.importorskip("torch")
    if torch.cuda.device_count() < ranks:
        pytest.skip(f"needs {ranks} GPUs")
    command = [sys.executable, "-m", "tilescale", "run", "--target", "cuda", "--ranks", str(ranks)]
    programs = (
        [["--num-processes", str(ranks)]]
        if script == "shift_spawn.py"
        else [["clean"], ["peers"], ["several"], ["graph"]]
    )
    for arguments in programs:
        done = subprocess.run(
            [*command, str(HERE / "programs" / script), *arguments],
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
