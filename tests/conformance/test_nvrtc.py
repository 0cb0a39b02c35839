# SPDX-License-Identifier: MIT
"""The device headers under NVRTC, for every arch, without a GPU and without any CUDA header."""

import pytest

from tests.conformance import nvrtc
from tests.conformance.coverage import DEVICE, headers
from tests.conformance.harness import module_text, supports
from tests.conformance.machines import MODULES, cases_of

pytestmark = pytest.mark.skipif(nvrtc.library() is None, reason="needs the package nvidia-cuda-nvrtc")

EMPTY = 'extern "C" __global__ void empty(float* p) { p[threadIdx.x] = 1.f; }\n'


@pytest.mark.parametrize("arch", nvrtc.ARCHS)
def test_each_header_stands_alone(arch):
    for header in headers():
        _, log = nvrtc.compile_cubin(f"#include <{header}>\n{EMPTY}", arch)
        assert log == "", f"{header}: {log}"


@pytest.mark.parametrize("arch", nvrtc.ARCHS)
@pytest.mark.parametrize("module", MODULES)
def test_each_function_compiles(module, arch):
    cases = [case for case in cases_of(module, 0) if supports(arch, case)]
    _, log = nvrtc.compile_cubin(module_text(cases), arch)
    assert "warning" not in log, log


def test_a_function_of_a_later_arch_is_an_error():
    text = "#include <tilescale/kernel.cuh>\n#include <tilescale/ptx/bulk.cuh>\n"
    text += "TS_KERNEL(k, 32, 1) () { ts::ptx::bulk_commit(); }\n"
    nvrtc.compile_cubin(text, "sm_90a")
    with pytest.raises(nvrtc.CompileError, match="bulk_commit"):
        nvrtc.compile_cubin(text, "sm_80")


def test_headers_need_no_other_folder():
    for path in (DEVICE / "tilescale").rglob("*.cuh"):
        for line in path.read_text().splitlines():
            if line.startswith("#include"):
                assert line.startswith("#include <tilescale/"), f"{path.name}: {line}"
