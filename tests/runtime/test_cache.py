# SPDX-License-Identifier: MIT
"""The disk cache under many processes, kills, and folders that cannot be written."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROCESSES = 16
KEYS = 6

# Stores and loads a few programs for ever; any content but the right one ends the process with an error.
WORKER = """
import hashlib, sys
from tilescale import _ffi
load, store = _ffi.function("runtime.cache_load"), _ffi.function("runtime.cache_store")
def content(key):
    return hashlib.sha256(str(key).encode()).digest() * 20000
print("ready", flush=True)
rounds = 0
while True:
    for key in range({keys}):
        found = load(f"program {{key}}")
        if found is not None and bytes(found) != content(key):
            sys.exit("wrong content")
        if found is None or rounds % 3 == 0:
            store(f"program {{key}}", content(key))
    rounds += 1
"""


def environment(folder: Path) -> dict[str, str]:
    ours = {"PYTHONPATH": str(ROOT / "python"), "TILESCALE_CACHE": "1", "TILESCALE_CACHE_DIR": str(folder)}
    return {**os.environ, **ours}


def start(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER.format(keys=KEYS)],
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(program: str, folder: Path, *args: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, args)],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=120,
    )


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_sixteen_processes_and_kills(tmp_path):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    draw = random.Random(seed)
    workers = [start(tmp_path) for _ in range(PROCESSES)]
    try:
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 6
        killed = 0
        while time.monotonic() < deadline:
            time.sleep(draw.uniform(0.0, 0.15))
            if len(workers) > PROCESSES // 4:
                victim = workers.pop(draw.randrange(len(workers)))
                victim.send_signal(signal.SIGKILL)
                victim.communicate()
                killed += 1
        assert killed == PROCESSES - PROCESSES // 4
        for worker in workers:
            assert worker.poll() is None, worker.communicate()[1]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    # Whatever was interrupted, each key is whole or absent, and a later process reads or makes it.
    check = """
import hashlib, sys
keys = range(int(sys.argv[1]))
from tilescale import _ffi
load = _ffi.function("runtime.cache_load")
found = [load(f"program {key}") for key in keys]
print(sum(item is not None for item in found), all(
    bytes(item) == hashlib.sha256(str(key).encode()).digest() * 20000
    for key, item in enumerate(found) if item is not None), _ffi.function("runtime.cache_stats")()["discarded"])
"""
    done = run(check, tmp_path, KEYS)
    assert done.stdout == f"{KEYS} True 0\n", done.stderr
    # What killed processes left are stages only, and a later store takes them away once they are old.
    stages = [path for path in files(tmp_path) if path.name.startswith(".stage-")]
    assert len(files(tmp_path)) == KEYS + len(stages)
    for path in stages:
        os.utime(path, (time.time() - 3600,) * 2)
    store = """
import sys
from tilescale import _ffi
for key in range(int(sys.argv[1])):
    _ffi.function("runtime.cache_store")(f"program {key}", b"x")
"""
    assert run(store, tmp_path, KEYS).returncode == 0
    assert len(files(tmp_path)) == KEYS


STORE_TWICE = """
from tilescale import _ffi
store, load = _ffi.function("runtime.cache_store"), _ffi.function("runtime.cache_load")
for program in ("one", "two"):
    store(program, b"content")
print(load("one") is None)
"""


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = run(STORE_TWICE, blocked)
    assert done.stdout == "True\n"
    assert done.stderr == (
        f"tilescale: warning: the kernel cache folder '{blocked}' cannot be written (not a directory): kernels are "
        "compiled anew in every process; set TILESCALE_CACHE_DIR to a folder that can be written, or "
        "TILESCALE_CACHE=0\n"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o555)
    done = run(STORE_TWICE, tmp_path)
    assert done.stdout == "True\n"
    assert done.stderr.count("cannot be written (permission denied)") == 1


def test_full_disk(tmp_path):
    """A limit on file sizes fails a write half way, as a full disk does."""
    program = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    program += "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
    program += STORE_TWICE.replace('b"content"', 'b"content" * 10000')
    done = run(program, tmp_path)
    assert done.stdout == "True\n"
    assert done.stderr.count(f"'{tmp_path}' cannot be written (file too large)") == 1
    assert files(tmp_path) == []


def test_warnings_go_to_the_handler(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    program = (
        """
from tilescale import _ffi
_ffi.function("runtime.set_warning_handler")(lambda text: print("heard:", text[:24]))
"""
        + STORE_TWICE
    )
    done = run(program, blocked)
    assert done.stdout == "heard: the kernel cache folder \nTrue\n"
    assert done.stderr == ""


def test_a_broken_file_is_discarded(tmp_path):
    assert run(STORE_TWICE, tmp_path).stdout == "False\n"
    for path in files(tmp_path):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    program = """
from tilescale import _ffi
print(_ffi.function("runtime.cache_load")("one"), _ffi.function("runtime.cache_stats")()["discarded"])
"""
    assert run(program, tmp_path).stdout == "None 1\n"
    assert len(files(tmp_path)) == 1


def test_contents_are_addressed_by_program(tmp_path):
    digest = hashlib.sha256(os.urandom(8)).hexdigest()
    program = f"""
from tilescale import _ffi
_ffi.function("runtime.cache_store")("{digest}", b"mine")
print(_ffi.function("runtime.cache_load")("{digest}"), _ffi.function("runtime.cache_load")("{digest} "))
"""
    assert run(program, tmp_path).stdout == "b'mine' None\n"
