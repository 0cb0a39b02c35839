# SPDX-License-Identifier: MIT
"""Kernels come from the disk cache: when they must, when they must not, under many processes and with broken files."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

# One element-wise kernel, made and run; what the caches did is the last line.
PROGRAM = """
import sys, numpy as np, tilescale, tilescale.language as T
from tilescale._ffi import function

def make():
    @T.prim_func
    def add(A: T.Tensor((SIZE,), "float32"), B: T.Tensor((SIZE,), "float32")):
        with T.Kernel(1, threads=64):
            for i in T.Parallel(SIZE):
                B[i] = A[i] + 1.0

    return tilescale.compile(add, target={"kind": "sim", "arch": "ARCH"}, pass_configs={CONFIGS})

kernel = make()
def run(offset=0):
    a = np.random.default_rng().standard_normal(SIZE + offset).astype(np.float32)[offset:]
    b = np.full(SIZE, np.nan, np.float32)
    kernel(a, b)
    assert (b == a + np.float32(1)).all()
run()
EXTRA
stats = {str(k): int(v) for k, v in function("runtime.cache_stats")().items()}
print(stats["artifact_hits"], stats["artifact_misses"], stats["binary_hits"], stats["binary_misses"])
"""
MADE = "0 1 0 1"
FOUND = "1 0 1 0"


def text(size: int = 256, arch: str = "sm_90a", configs: str = "", extra: str = "", before: str = "") -> str:
    body = PROGRAM.replace("SIZE", str(size)).replace("ARCH", arch).replace("CONFIGS", configs)
    return before + body.replace("EXTRA", extra)


class Folder:
    """A cache folder and the program file that its processes run."""

    def __init__(self, path: Path) -> None:
        self.cache = path / "cache"
        self.script = path / "program.py"

    def start(self, program: str, **environment: str) -> subprocess.Popen:
        if not self.script.exists() or self.script.read_text() != program:
            self.script.write_text(program)
        ours = {"PYTHONPATH": str(ROOT / "python"), "TILESCALE_CACHE": "1", "TILESCALE_CACHE_DIR": str(self.cache)}
        inherited = {k: v for k, v in os.environ.items() if k not in ("TILESCALE_VERIFY", "TILESCALE_DUMP")}
        return subprocess.Popen(
            [sys.executable, self.script],
            env={**inherited, **ours, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, program: str, **environment: str) -> str:
        """The last line, after a run without errors."""
        process = self.start(program, **environment)
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        self.errors = error
        return out.splitlines()[-1]

    def files(self) -> list[Path]:
        return sorted(path for path in self.cache.rglob("*") if path.is_file())


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_a_second_process_lowers_and_compiles_nothing(folder):
    assert folder.run(text()) == MADE
    assert folder.run(text()) == FOUND


def test_what_the_result_depends_on_is_in_the_key(folder):
    assert folder.run(text()) == MADE
    assert folder.run(text(size=512)) == MADE
    assert folder.run(text(arch="sm_80")) == MADE
    assert folder.run(text(configs='"tl.enable_fast_math": True')) == MADE
    # Reports name the user's lines.
    assert folder.run(text(before="# one line more\n")) == MADE
    assert folder.run(text(), TILESCALE_SOURCE_COMMENTS="1") == MADE
    assert folder.run(text()) == FOUND


def test_what_a_compilation_shows_is_not_taken_from_the_cache(folder, tmp_path):
    assert folder.run(text()) == MADE
    assert folder.run(text(), TILESCALE_VERIFY="1").startswith("0 0 ")
    assert folder.run(text(), TILESCALE_DUMP=str(tmp_path / "dump")).startswith("0 0 ")
    assert any((tmp_path / "dump").iterdir())


def test_off(folder):
    assert folder.run(text(), TILESCALE_CACHE="0") == MADE
    assert folder.files() == []
    assert folder.run(text(before="import tilescale\ntilescale.disable_cache()\n")) == MADE
    assert folder.files() == []


def test_a_variant_that_a_call_needs_later(folder):
    late = text(extra="run(offset=1)")
    assert folder.run(late) == "0 2 0 2"
    assert folder.run(late) == "2 0 2 0"


def test_kernels_of_one_process_share_what_is_loaded(folder):
    again = "first = kernel\nkernel = make()\nassert kernel is not first\nrun()"
    assert folder.run(text(extra=again)) == MADE


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other"])
def test_a_broken_file_is_made_anew(folder, damage):
    assert folder.run(text()) == MADE
    assert len(folder.files()) == 2
    for path in folder.files():
        data = bytearray(path.read_bytes())
        if damage == "flip":
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        elif damage == "cut":
            data = data[: random.randrange(1, len(data))]
        else:
            data = bytearray() if damage == "empty" else bytearray(os.urandom(len(data)))
        path.write_bytes(data)
    assert folder.run(text()) == MADE
    assert folder.run(text()) == FOUND


def test_a_folder_that_cannot_be_used_costs_one_warning(folder):
    folder.cache.write_text("not a folder")
    assert folder.run(text()) == MADE
    assert folder.errors.count(f"the kernel cache folder '{folder.cache}' cannot be written (not a directory)") == 1
    assert folder.errors.count("Warning") == 1


def test_a_full_disk(folder):
    limit = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    # The simulator's compiler inherits the limit, so it is set when the kernel is ready.
    limit += "def limit(): resource.setrlimit(resource.RLIMIT_FSIZE, (256, 256))\n"
    program = text(before=limit).replace("kernel = ", "limit()\nkernel = ").replace("run()\n", "")
    assert folder.run(program) == "0 1 0 0"
    assert folder.errors.count("cannot be written (file too large)") == 1
    assert folder.files() == []


def test_sixteen_processes_and_kills(folder):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    draw = random.Random(seed)
    program = text(extra="run(offset=1)")
    processes = [folder.start(program) for _ in range(16)]
    start = time.monotonic()
    for victim in draw.sample(processes, 8):
        # Some while they import, some in the middle of their work, some after it.
        time.sleep(draw.uniform(0, 0.6))
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        processes.remove(victim)
    print(f"killed within {time.monotonic() - start:.1f} s")
    for process in processes:
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        hits_and_misses = [int(x) for x in out.split()]
        assert hits_and_misses[0] + hits_and_misses[1] == hits_and_misses[2] + hits_and_misses[3] == 2
    assert folder.run(program) == "2 0 2 0"
    assert len([f for f in folder.files() if not f.name.startswith(".stage-")]) == 4


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_entries_that_are_no_files(folder, kind):
    assert folder.run(text()) == MADE
    for entry in [p for p in folder.cache.rglob("*") if p.is_file()]:
        entry.unlink()
        os.mkfifo(entry) if kind == "fifo" else entry.symlink_to("/dev/zero")
    folder.run(text())
