# SPDX-License-Identifier: MIT
"""A GEMM of two roles, from schedule text: producer warps copy by cp.async that arrives on mbarriers, consumer warps
multiply. One role and T.Pipelined go the same way."""

import pytest

from tests.conformance import nvrtc
from tests.schedule import programs
from tests.schedule.programs import Kernel, close, gemm, inputs, one_role, two_roles

SEEDS = 20
MASK = [1, 0, 0, 1, 1, 0, 1, 0]

# Name, schedule, what the program has besides the plain GEMM.
CASES = [
    ("two-1", two_roles(1), {}),
    ("two-2", two_roles(2), {}),
    ("two-4", two_roles(4), {}),
    ("two-4-one-warp", two_roles(4, producers=1), {}),
    ("two-2-plain", two_roles(2, mechanism="program"), {}),
    ("two-2-persistent", two_roles(2), {"persistent": True}),
    ("two-4-persistent", two_roles(4), {"persistent": True}),
    ("two-2-masked", two_roles(2), {"masked": True}),
    ("two-3-masked-persistent", two_roles(3), {"masked": True, "persistent": True}),
    ("one-3", one_role(3), {}),
    ("one-3-persistent", one_role(3), {"persistent": True}),
    ("one-4-masked", one_role(4), {"masked": True}),
    ("one-12", one_role(12), {}),
]
IDS = [name for name, _, _ in CASES]


def arguments(options):
    import numpy as np

    size = {"m": 256, "n": 128} if options.get("persistent") else {}
    mask = np.array(MASK, np.int32) if options.get("masked") else None
    a, b, c, reference = inputs(mask=mask, **size)
    return ([a, b, c] if mask is None else [a, b, mask, c]), reference


def program(schedule, options):
    size = {"m": 256, "n": 128} if options.get("persistent") else {}
    return gemm(schedule, **size, **options)


@pytest.mark.parametrize("name, schedule, options", CASES, ids=IDS)
def test_simulator(name, schedule, options, monkeypatch):
    kernel = Kernel(program(schedule, options), "sim sm_80")
    for seed in range(SEEDS):
        monkeypatch.setenv("TILESCALE_SIM_SEED", str(seed))
        arrays, reference = arguments(options)
        kernel(*arrays)
        assert close(arrays[-1], reference), f"seed {seed}"


@pytest.mark.gpu
@pytest.mark.parametrize("name, schedule, options", CASES, ids=IDS)
def test_gpu(name, schedule, options):
    torch = pytest.importorskip("torch")
    from tilescale.targets import gpu_arch

    kernel = Kernel(program(schedule, options), f"cuda {gpu_arch()}")
    for _ in range(3):
        arrays, reference = arguments(options)
        device = [torch.from_numpy(x).cuda() for x in arrays]
        kernel(*device)
        assert close(device[-1].cpu().numpy(), reference)


@pytest.mark.skipif(nvrtc.library() is None, reason="needs the package nvidia-cuda-nvrtc")
@pytest.mark.parametrize("arch", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("name, schedule, options", CASES, ids=IDS)
def test_nvrtc(name, schedule, options, arch):
    nvrtc.compile_cubin(Kernel(program(schedule, options), f"cuda {arch}").source(), arch)


def test_roles_become_groups_behind_the_users_threads():
    text = programs.lower(gemm(two_roles(2)), last="apply-schedule")
    assert "alloc %ab: token cp_async depth 2 arrivals 64 releases 4" in text
    assert "extra_threads 64" in text
    assert "group 0 +: 128 name math" in text and "group 128 +: 64 name load" in text


def test_one_role_is_no_group_and_has_no_mbarrier():
    text = programs.lower(gemm(one_role(3)), last="")
    assert "group 0" not in text and "mbarrier." not in text


def test_a_pipe_frees_the_block_of_barriers_in_the_loop():
    """The token orders everything: the only barrier of the block is the one behind the mbarriers' initialisation."""
    text = Kernel(gemm(two_roles(2)), "sim sm_80").source()
    assert text.count("ts::cta_sync()") == 1 and "bar_sync" not in text


def test_a_barrier_of_the_user_is_one_of_his_threads():
    """The block has more: warps that he does not know of."""
    meeting = gemm(two_roles(2)).replace("gemm: gemm", "meet: call bar.cta()\n      gemm: gemm")
    text = programs.lower(meeting.replace("do gemm;", "do meet; do gemm;"))
    assert text.count("bar.cta()") == 1 and "call bar.sync(1, 128)" in text
