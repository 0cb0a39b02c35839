# SPDX-License-Identifier: MIT
"""Kernel text to cubin in this process, and what is said when that is impossible."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from tilescale import errors

ROOT = Path(__file__).resolve().parent.parent.parent

# A hand-written text in the form that codegen prints: staged copy through shared memory, float16 arithmetic.
STAGED = """
#include <tilescale/kernel.cuh>
#include <tilescale/ptx/cp_async.cuh>
TS_KERNEL(staged, 128, 1) (const ts::f16* TS_RESTRICT A, ts::f16* TS_RESTRICT C, int n) {
  TS_SMEM(ts::f16, A_s, 1024, 0);
  TS_LOCAL(float, acc, 8);
  int at = ts::bid_x() * 1024 + ts::tid_x() * 8;
  ts::ptx::cp_async_zfill<16>(&A_s[ts::tid_x() * 8], &A[at], at < n);
  ts::ptx::cp_async_commit();
  ts::ptx::cp_async_wait<0>();
  ts::cta_sync();
  for (int i = 0; i < 8; ++i) { acc[i] = ts::cast<float>(A_s[(ts::tid_x() * 8 + i) ^ 1]) * 2.0f; }
  if (at < n) {
    for (int i = 0; i < 8; ++i) { C[at + i] = ts::cast<ts::f16>(acc[i]); }
  }
}
TS_LAUNCH(staged, (*(const ts::f16**)args[0], *(ts::f16**)args[1], *(int*)args[2]))
"""

ARCHS = ["sm_80", "sm_86", "sm_89", "sm_90a"]


@pytest.mark.parametrize("arch", ARCHS)
def test_kernel_text_compiles(runtime, arch):
    result = runtime.nvrtc_compile("staged", STAGED, arch, [])
    cubin = bytes(result["cubin"])
    assert cubin[:4] == b"\x7fELF"
    assert struct.unpack("<H", cubin[18:20])[0] == 190  # EM_CUDA
    [usage] = result["usage"]
    assert usage["entry"] == "staged"
    assert 8 <= usage["registers"] <= 128
    assert usage["spill_store_bytes"] == 0
    assert usage["static_shared_bytes"] == 0  # the arena is dynamic


def test_usage_reports_spills(runtime):
    source = """
    #include <tilescale/kernel.cuh>
    extern "C" __global__ void __launch_bounds__(1024, 2) hungry(float* p, int n) {
      float v[96];
      for (int i = 0; i < 96; ++i) v[i] = p[i * n];
      for (int k = 0; k < n; ++k) {
        #pragma unroll
        for (int i = 0; i < 96; ++i) v[i] = v[i] * v[(i * 7 + 1) % 96] + p[k];
      }
      #pragma unroll
      for (int i = 0; i < 96; ++i) p[i * n + 1] = v[i];
    }
    """
    [usage] = runtime.nvrtc_compile("hungry", source, "sm_80", [])["usage"]
    assert usage["registers"] <= 32
    assert usage["spill_store_bytes"] > 0
    assert usage["spill_load_bytes"] > 0


def test_options_reach_the_compiler(runtime):
    source = """
    #include <tilescale/kernel.cuh>
    extern "C" __global__ void k(int* p) { *p = VALUE; }
    """
    runtime.nvrtc_compile("k", source, "sm_80", ["-DVALUE=3"])
    with pytest.raises(errors.NvrtcError, match='identifier "VALUE" is undefined'):
        runtime.nvrtc_compile("k", source, "sm_80", [])


def test_an_error_names_kernel_arch_and_the_users_line(runtime):
    source = """
    #include <tilescale/kernel.cuh>
    extern "C" __global__ void broken(int* p) {
    #line 12 "gemm.py"
      *p = nonsense;
    }
    """
    with pytest.raises(errors.NvrtcError) as caught:
        runtime.nvrtc_compile("broken", source, "sm_89", [])
    text = str(caught.value)
    assert text.startswith("NVRTC refused the text of 'broken' for sm_89: NVRTC_ERROR_COMPILATION\n")
    assert 'gemm.py(12): error: identifier "nonsense" is undefined' in text


def test_unknown_arch(runtime):
    with pytest.raises(errors.NvrtcError, match="NVRTC refused the text of 'k' for sm_12"):
        runtime.nvrtc_compile("k", "#include <tilescale/kernel.cuh>\n", "sm_12", [])


def run_python(program: str, **env: str) -> str:
    """Output of a fresh process: what was looked for once is looked for again there."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT / "python"), **env},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


COMPILE = """
from tilescale import _ffi, errors
_ffi.function("runtime.set_include_folder")({include!r})
try:
    _ffi.function("runtime.nvrtc_compile")("k", "#include <tilescale/kernel.cuh>\\n", "sm_80", [])
    print("compiled")
except errors.NvrtcError as error:
    print(error)
"""


def test_a_named_library_that_is_not_there(runtime, tmp_path):
    missing = tmp_path / "libnvrtc.so"
    output = run_python(COMPILE.format(include=str(ROOT / "device")), TILESCALE_NVRTC=str(missing))
    assert output == f"NVRTC is not where TILESCALE_NVRTC says: there is no file '{missing}'\n"


def test_a_named_library_that_is_none(tmp_path):
    fake = tmp_path / "libnvrtc.so"
    fake.write_text("not a library")
    output = run_python(COMPILE.format(include=str(ROOT / "device")), TILESCALE_NVRTC=str(fake))
    assert output == (
        f"NVRTC cannot be loaded: {fake}: file too short\n"
        "help: install it with: pip install nvidia-cuda-nvrtc; or name the file in TILESCALE_NVRTC\n"
    )


def test_missing_device_headers(tmp_path):
    output = run_python(COMPILE.format(include=str(tmp_path)))
    assert output == (
        f"the device headers are missing: there is no .cuh file in '{tmp_path}'\n"
        "help: install the package anew, or name the folder in TILESCALE_INCLUDE_DIR\n"
    )


def test_include_folder_knob_wins(tmp_path):
    output = run_python(COMPILE.format(include=str(tmp_path)), TILESCALE_INCLUDE_DIR=str(ROOT / "device"))
    assert output == "compiled\n"


def test_folders_given_by_python_come_first(runtime, tmp_path):
    (tmp_path / "libnvrtc.so.99").write_text("")
    (tmp_path / "libnvrtc.so.98").write_text("")
    (tmp_path / "libnvrtc-builtins.so.99.1").write_text("")
    (tmp_path / "libnvrtc.alt.so.99").write_text("")
    program = f"""
from tilescale import _ffi
_ffi.function("runtime.set_nvrtc_folders")([{str(tmp_path)!r}])
print(_ffi.function("runtime.nvrtc_path")())
"""
    assert run_python(program) == f"{tmp_path}/libnvrtc.so.99\n"


def test_no_gpu_is_explained(tmp_path):
    program = """
from tilescale import _ffi, errors
print(_ffi.function("runtime.cuda_device_count")())
print(_ffi.function("runtime.cuda_problem")())
try:
    _ffi.function("runtime.device_properties")("cuda", "", 0)
except errors.CudaError as error:
    print(error)
"""
    missing = tmp_path / "libcuda.so.1"
    lines = run_python(program, TILESCALE_LIBCUDA=str(missing)).splitlines()
    assert lines[0] == "0"
    assert lines[1] == (
        f"there is no CUDA driver: {missing}: cannot open shared object file: No such file or directory"
    )
    assert lines[2] == (
        "help: install the NVIDIA driver (on Debian or Ubuntu: apt-get install nvidia-driver) or name the library "
        'in TILESCALE_LIBCUDA; without a GPU, kernels run with target="sim"'
    )
    assert lines[3:] == lines[1:3]
