# SPDX-License-Identifier: MIT
"""kernel.explain(): its last part, what the device's compiler made of the text. The rest is tests/golden's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import tilescale
import tilescale.language as T
from tilescale._ffi import function

ROOT = Path(__file__).resolve().parent.parent.parent

ENTRY = {"spill_store_bytes": 0, "spill_load_bytes": 0, "static_shared_bytes": 0}


def small(extent: int):
    @T.prim_func
    def scale(A: T.Tensor((extent,), "float32"), B: T.Tensor((extent,), "float32")):
        with T.Kernel(1, threads=128):
            tile = T.alloc_shared((128,), "float32")
            for i in T.Parallel(128):
                tile[i] = A[i] * 2.0
            for i in T.Parallel(128):
                B[i] = tile[127 - i]

    return scale


def resources(arch: str, threads: int, registers: int, shared: int, **other: int) -> str:
    usage = {**ENTRY, "entry": "k", "threads": threads, "registers": registers, "dynamic_shared_bytes": shared, **other}
    return str(function("driver.resources")(f"cuda {arch}", usage))


def test_text_of_resources():
    assert resources("sm_90a", 128, 208, 49152) == (
        "k: 208 registers a thread, nothing spilled, 49152 bytes of shared memory: 2 blocks of 128 threads on a "
        "multiprocessor, 12% of its threads, limited by registers"
    )
    assert resources("sm_90a", 256, 64, 131072, spill_store_bytes=12, spill_load_bytes=16) == (
        "k: 64 registers a thread, 28 bytes spilled, 131072 bytes of shared memory: 1 block of 256 threads on a "
        "multiprocessor, 12% of its threads, limited by shared memory"
    )
    assert resources("sm_86", 32, 16, 0).endswith(
        "16 blocks of 32 threads on a multiprocessor, 33% of its threads, limited by blocks"
    )
    assert resources("sm_80", 1024, 32, 0, static_shared_bytes=512).endswith(
        "512 bytes of shared memory: 2 blocks of 1024 threads on a multiprocessor, 100% of its threads, "
        "limited by threads"
    )


def test_a_kernel_for_cuda_is_compiled_for_it():
    """Registers differ between versions of NVRTC; the rest does not."""
    text = tilescale.compile(small(128), target={"kind": "cuda", "arch": "sm_80"}).explain()
    lines = text.splitlines()
    assert lines[0] == "scale for cuda sm_80"
    assert re.fullmatch(
        r"  scale_kernel: \d+ registers a thread, nothing spilled, 512 bytes of shared memory: 16 blocks of 128 "
        r"threads on a multiprocessor, 100% of its threads, limited by threads",
        lines[lines.index("resources") + 1],
    )


def test_the_simulator_has_no_registers():
    assert "resources" not in tilescale.compile(small(128), target="sim").explain()


def test_without_nvrtc(tmp_path):
    """In a process of its own: once loaded, NVRTC stays."""
    program = "import tilescale\nfrom tests.runtime.test_explain import small\n"
    program += 'print(tilescale.compile(small(128), target={"kind": "cuda", "arch": "sm_80"}).explain(), end="")'
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'python'}:{ROOT}", "TILESCALE_NVRTC": str(tmp_path / "no.so")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(
        f"resources\n  not known: NVRTC is not where TILESCALE_NVRTC says: there is no file '{tmp_path}/no.so'\n"
    )


def test_a_variant_that_is_not_made_is_named():
    @T.prim_func
    def copy(A: T.Tensor((4096,), "float16"), B: T.Tensor((4096,), "float16")):
        with T.Kernel(4, threads=128) as bx:
            for i in T.Parallel(1024):
                B[bx * 1024 + i] = A[bx * 1024 + i]

    text = tilescale.compile(copy, target="sim").explain()
    assert text.startswith("copy for sim sm_90a, for calls with A.data % 16 == 0 and B.data % 16 == 0\n")
    assert text.endswith("\nvariant 1: made when a call needs it\n")
