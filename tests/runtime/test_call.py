# SPDX-License-Identifier: MIT
"""Calls from Python with tensors of torch and numpy: binding, variants, the types that come back as errors."""

import timeit

import numpy
import pytest
import torch

from tests.runtime.kernels import axpy, two_step

SIM = ("sim", "sm_80")


@pytest.fixture(scope="module")
def selector(runtime):
    return runtime.executable(axpy(SIM).to_bytes(), None).variant_selector()


def test_artifact_written_by_hand_is_read(runtime):
    executable = runtime.executable(axpy(SIM).to_bytes(), None)
    assert bytes(executable.to_bytes()) == axpy(SIM).to_bytes()
    assert executable.num_variants() == 2
    assert "requires A.data % 16 == 0, C.data % 16 == 0, m % 4 == 0" in executable.text()
    assert executable.source(1).startswith("\n#include <tilescale/kernel.cuh>")
    params = [dict(row) for row in executable.params()]
    assert [row["name"] for row in params] == ["A", "C", "alpha"]
    assert [row["kind"] for row in params] == ["tensor", "tensor", "scalar"]
    assert list(params[0]["shape"]) == ["m"]
    with pytest.raises(IndexError, match="variant 2 of 2"):
        executable.source(2)


def test_a_truncated_artifact_is_refused(runtime):
    with pytest.raises(ValueError, match="the artifact is truncated"):
        runtime.executable(axpy(SIM).to_bytes()[:-9], None)


@pytest.mark.parametrize("make", [torch.zeros, lambda n: numpy.zeros(n, numpy.float32)])
def test_variants_by_alignment_and_size(selector, make):
    base = make(1026)
    # numpy promises 16 bytes only through an offset that we choose.
    start = -(base.data_ptr() if isinstance(base, torch.Tensor) else base.ctypes.data) % 16 // 4
    aligned = base[start : start + 1020]
    assert selector(aligned, aligned, 1.0) == 0
    assert selector(base[start + 1 : start + 1021], aligned, 1.0) == 1
    assert selector(aligned[:1019], aligned[:1019], 1.0) == 1


def test_errors_have_their_python_types(selector):
    good = torch.zeros(16)
    with pytest.raises(TypeError, match=r"axpy\.A\.dtype is expected to be float32, but got .* float64"):
        selector(good.double(), good, 1.0)
    with pytest.raises(TypeError, match=r"Expect arg\[2\] to be float: axpy\.alpha is float32, got a tensor"):
        selector(good, good, good)
    with pytest.raises(TypeError, match=r"Expect arg\[0\] to be pointer: axpy\.A is a tensor, got str"):
        selector("A", good, 1.0)
    with pytest.raises(ValueError, match=r"Kernel expected 3 inputs, but 2 are provided\."):
        selector(good, good)
    with pytest.raises(ValueError, match=r"Argument axpy\.C\.shape\[0\] has an unsatisfied constraint: m == 15"):
        selector(good, good[:15], 1.0)
    with pytest.raises(ValueError, match=r"axpy\.A\.ndim is expected to equal 1, but got mismatched ndim 2"):
        selector(torch.zeros(4, 4), good, 1.0)
    with pytest.raises(ValueError, match=r"Argument axpy\.A\.strides\[0\] has an unsatisfied constraint: 1 == 2"):
        selector(torch.zeros(32)[::2], good, 1.0)
    with pytest.raises(ValueError, match=r"axpy\.A\.shape\[0\] is 0: a kernel cannot run on an empty tensor"):
        selector(torch.zeros(0), torch.zeros(0), 1.0)
    with pytest.raises(ValueError, match=r"axpy\.A is expected to have non-NULL pointer, but got NULL"):
        selector(None, good, 1.0)


def test_a_freed_tensor_is_seen(selector):
    good = torch.zeros(16)
    freed = torch.zeros(16)
    freed.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match=r"axpy\.A is expected to have non-NULL data pointer, but got NULL"):
        selector(freed, good, 1.0)


def test_cpu_tensor_on_a_gpu_target(runtime):
    selector = runtime.executable(axpy(("cuda", "sm_80")).to_bytes(), None).variant_selector()
    good = torch.zeros(16)
    with pytest.raises(ValueError, match=r"axpy\.A\.device_type mismatch \[expected: 2 \(cuda\)\], got: 1 \(cpu\)"):
        selector(good, good, 1.0)


def test_dispatch_finds_the_kernel_without_python(runtime):
    resolved = []
    executable = runtime.executable(axpy(("cuda", "sm_80")).to_bytes(), None)

    def resolve(*args):
        resolved.append(args[3:])
        return executable

    dispatch = runtime.dispatch([True, True, True, False, False], [[0, 0, 0]], resolve)
    good = torch.zeros(16)

    def call(size, *key):
        with pytest.raises(ValueError, match="device_type mismatch"):  # the kernel was found and refuses
            dispatch(good[:size], good[:size], 1.0, *key)
        return len(resolved)

    assert call(16, 64, "row") == 1
    assert call(16, 64, "row") == 1
    assert call(16, 64, "a rather long text that is no small string") == 2
    assert call(16, 64, "a rather long text that is no small string") == 2
    assert call(8, 64, "row") == 3
    assert call(16, 64, (1, 2)) == 4  # a tuple has no key in C++
    assert call(16, 64, (1, 2)) == 5


def test_resolver_errors_reach_the_caller(runtime):
    def resolve(*args):
        raise KeyError("no such kernel")

    with pytest.raises(KeyError, match="no such kernel"):
        runtime.dispatch([True], [], resolve)(torch.zeros(4))
    with pytest.raises(TypeError, match="the resolver returned no Executable"):
        runtime.dispatch([True], [], lambda *args: 3)(torch.zeros(4))


def test_binding_a_call_takes_less_than_two_microseconds(selector):
    """Conversion of three torch arguments, all checks, the choice of the variant: what a call adds to the launch."""
    a, c = torch.zeros(1024), torch.zeros(1024)
    timer = timeit.Timer("selector(a, c, 1.0)", globals={"selector": selector, "a": a, "c": c})
    best = min(timer.repeat(repeat=30, number=2000)) / 2000 * 1e6
    print(f"{best:.2f} us")
    assert best < 2.0


@pytest.mark.parametrize("index", [0, 1])
def test_shapes_of_outputs_are_known(runtime, index):
    selector = runtime.executable(two_step(SIM).to_bytes(), None).variant_selector()
    assert selector(torch.zeros(10 + index)) == 0


def test_a_program_made_twice_is_found(runtime, tmp_path, monkeypatch):
    monkeypatch.setenv("TILESCALE_CACHE", "1")
    monkeypatch.setenv("TILESCALE_CACHE_DIR", str(tmp_path))
    assert runtime.cached_executable("program", None) is None
    made = runtime.executable(axpy(SIM).to_bytes(), None)
    runtime.cache_executable("program", made)
    monkeypatch.setenv("TILESCALE_CACHE", "0")  # while it lives, memory is enough
    found = runtime.cached_executable("program", None)
    assert found.to_bytes() == made.to_bytes()
    assert runtime.cached_executable("program ", None) is None
    del made, found
    assert runtime.cached_executable("program", None) is None
    monkeypatch.setenv("TILESCALE_CACHE", "1")
    assert bytes(runtime.cached_executable("program", None).to_bytes()) == axpy(SIM).to_bytes()
