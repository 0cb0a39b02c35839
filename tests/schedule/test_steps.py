# SPDX-License-Identifier: MIT
"""Roles with a number of registers: setmaxnreg where the target has it; and what else a schedule's text can say: steps
behind the loop's iteration, and awaits of an earlier one."""

import re

import pytest
from tilescale.errors import CompileError

from tests.conformance import nvrtc
from tests.schedule.programs import Kernel, close, gemm, inputs, lower

REGISTERS = """schedule {
    role math warps 0..8 nreg 232
    role load warps 8..12 nreg 40
    pipe ab (%As, %Bs) depth 2 from load(cp_async) to math
    loop %ko {
      load: acquire ab; do copy_A; do copy_B; commit ab
      math: wait ab; do gemm; release ab
    }
  }"""


def alone(depth: int, steps: str) -> str:
    return f"""schedule {{
    role all warps 0..4
    pipe ab (%As, %Bs) depth {depth} from all(cp_async) to all
    loop %ko {{ all: {steps} }}
  }}"""


def roles(depth: int, load: str, math: str) -> str:
    return f"""schedule {{
    role math warps 0..4
    role load warps 4..6
    pipe ab (%As, %Bs) depth {depth} from load(cp_async) to math
    loop %ko {{
      load: {load}
      math: {math}
    }}
  }}"""


AWAITED = """schedule {
    role all warps 0..4
    pipe b (%Bs) depth 3 from all(cp_async) to all
    loop %ko { all: wait b; do copy_A; acquire b +2; do copy_B +2; commit b +2; await copy_A; do gemm }
  }"""
FILL = "acquire ab; do copy_A; do copy_B; commit ab"
SHIFTED = {
    "the gemm lags": alone(2, f"{FILL}; wait ab -1; do gemm -1"),
    "the gemm lags by two": alone(3, f"wait ab -2; do gemm -2; {FILL}"),
    "a wait ahead of the gemm": alone(4, f"wait ab -1; {FILL}; do gemm -2"),
    "a consumer that lags": roles(2, FILL, "wait ab -1; do gemm -1; release ab -1"),
    "a release that lags": roles(3, FILL, "wait ab; do gemm; release ab -1"),
    "both ways": roles(
        4, "acquire ab +1; do copy_A +1; do copy_B +1; commit ab +1", "wait ab -1; do gemm -1; release ab -1"
    ),
    "an await of the iteration before": alone(3, f"{FILL}; await copy_A -1; wait ab -1; do gemm -1"),
    "an await between roles": roles(3, f"{FILL}; await copy_A -1", "wait ab; do gemm; release ab"),
    "an await in the iteration": AWAITED,
}


@pytest.mark.parametrize("k", [32, 64, 256])
@pytest.mark.parametrize("name", SHIFTED)
def test_shifts(name, k, monkeypatch):
    kernel = Kernel(gemm(SHIFTED[name], k=k), "sim sm_80")
    for seed in range(6):
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
        a, b, c, reference = inputs(k=k)
        kernel(a, b, c)
        assert close(c, reference), f"seed {seed}"


@pytest.mark.skipif(nvrtc.library() is None, reason="needs the package nvidia-cuda-nvrtc")
@pytest.mark.parametrize("arch", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("name", SHIFTED)
def test_shifts_nvrtc(name, arch):
    nvrtc.compile_cubin(Kernel(gemm(SHIFTED[name]), f"cuda {arch}").source(), arch)


def test_registers_move(monkeypatch):
    """384 threads start with 168: the readers take, the copiers give, first thing in their branch."""
    kernel = Kernel(gemm(REGISTERS, threads=256), "sim sm_90a")
    text = kernel.source()
    assert re.findall(r"setmaxnreg_\w+<\d+>", text) == ["setmaxnreg_inc<232>", "setmaxnreg_dec<40>"]
    for seed in range(6):
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
        a, b, c, reference = inputs()
        kernel(a, b, c)
        assert close(c, reference), f"seed {seed}"


@pytest.mark.skipif(nvrtc.library() is None, reason="needs the package nvidia-cuda-nvrtc")
def test_registers_nvrtc():
    nvrtc.compile_cubin(Kernel(gemm(REGISTERS, threads=256), "cuda sm_90a").source(), "sm_90a")


def test_registers_stay_where_they_cannot_move():
    assert "setmaxnreg" not in Kernel(gemm(REGISTERS, threads=256), "sim sm_80").source()


def test_registers_of_half_a_warpgroup():
    with pytest.raises(CompileError) as error:
        lower(gemm(REGISTERS.replace("8..12", "8..10"), threads=256), "sim sm_90a")
    assert str(error.value).splitlines()[0] == (
        "schedule: role `load`: nreg moves registers of whole warpgroups, of 4 warps; it has warps 8..10"
    )


def test_registers_that_the_others_keep():
    with pytest.raises(CompileError) as error:
        lower(gemm(REGISTERS.replace("8..12 nreg 40", "8..12"), threads=256), "sim sm_90a")
    assert str(error.value).splitlines()[0] == (
        "schedule: the roles need 80896 registers (232 x 256 of `math` + 168 x 128 of `load`), a block has 65536"
    )
