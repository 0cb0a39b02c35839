# SPDX-License-Identifier: MIT
"""Hand-written kernels through the whole launcher: on the simulator, and on a GPU where there is one."""

import gc

import numpy
import pytest
import torch

from tests.runtime.artifact_bytes import DATA, Artifact, Kernel, Param, Variant, expr
from tests.runtime.kernels import axpy, two_step

TARGETS = [
    pytest.param((("sim", "sm_80"), "cpu"), id="sim"),
    pytest.param((("cuda", "sm_80"), "cuda"), id="cuda", marks=pytest.mark.gpu),
]


def seeded(request) -> torch.Generator:
    generator = torch.Generator()
    print("seed", generator.seed())
    return generator


@pytest.fixture(params=TARGETS)
def target(request):
    return request.param


def test_variants_compute_the_same(runtime, target, request):
    kind, device = target
    generator = seeded(request)
    executable = runtime.executable(axpy(kind).to_bytes(), None)
    call = executable.entry()
    base = torch.randn(2050, generator=generator)
    start = torch.randn(2050, generator=generator)
    for begin, size, expected_counts in ((0, 2048, [1, 0]), (1, 2048, [1, 1]), (0, 2047, [1, 2])):
        a = base.to(device)[begin : begin + size]
        c = start.to(device)[begin : begin + size]
        reference = a.double() * -1.75 + c.double()
        untouched = c.clone()
        call(a, c, -1.75)
        torch.testing.assert_close(c.double(), reference, rtol=1e-6, atol=1e-6)
        assert not torch.equal(c, untouched)
        assert list(executable.launch_counts()) == expected_counts


def test_outputs_are_allocated_in_the_callers_framework(runtime, target, request):
    kind, device = target
    call = runtime.executable(two_step(kind).to_bytes(), None).entry()
    for size in (1, 127, 128, 1000):
        a = torch.randn(size, generator=seeded(request)).to(device)
        c = call(a)
        assert isinstance(c, torch.Tensor)
        assert c.device == a.device
        torch.testing.assert_close(c, a.flip(0) / 2, rtol=0, atol=0)


def test_numpy_arrays_on_the_simulator(runtime):
    call = runtime.executable(two_step(("sim", "sm_80")).to_bytes(), None).entry()
    a = numpy.random.default_rng().standard_normal(300, dtype=numpy.float32)
    c = call(a)
    numpy.testing.assert_array_equal(numpy.from_dlpack(c), a[::-1] / 2)


def test_loading_ahead_reports_what_was_made(runtime, target):
    kind, _ = target
    loaded = runtime.executable(axpy(kind).to_bytes(), None).load(0, 1)
    assert loaded["compile_ms"] > 0
    assert "TS_KERNEL(axpy" in loaded["source"]


def test_events_measure_time(runtime, target):
    kind, device = target
    call = runtime.executable(axpy(kind).to_bytes(), None).entry()
    a = torch.ones(1 << 16, device=device)
    start, stop = (runtime.event(kind[0], kind[1], 0) for _ in range(2))
    start.record(0)
    for _ in range(3):
        call(a, a, 1.0)
    stop.record(0)
    stop.synchronize()
    assert 0 <= stop.elapsed_since(start) < 60_000


def test_too_much_shared_memory(runtime, target):
    kind, device = target
    call = runtime.executable(two_step(kind, shared=1 << 20).to_bytes(), None).entry()
    with pytest.raises(ValueError, match=r"two_step needs 1048576 bytes of shared memory, .* has [0-9]+"):
        call(torch.zeros(8, device=device))


def test_a_grid_of_zero(runtime, target):
    kind, device = target
    artifact = axpy(kind)
    for variant in artifact.variants:
        variant.kernels[0].grid = (1, 0, 1)
    call = runtime.executable(artifact.to_bytes(), None).entry()
    a = torch.zeros(8, device=device)
    with pytest.raises(ValueError, match="axpy: grid dimension y is 0, a launch needs 1 to 65535"):
        call(a, a, 1.0)


def test_a_missing_entry(runtime, target):
    kind, device = target
    artifact = axpy(kind)
    for variant in artifact.variants:
        variant.kernels[0].entry = "nowhere"
    call = runtime.executable(artifact.to_bytes(), None).entry()
    a = torch.zeros(8, device=device)
    with pytest.raises(Exception, match="nowhere"):
        call(a, a, 1.0)


@pytest.mark.gpu
class TestGpu:
    def test_properties(self, runtime):
        properties = runtime.device_properties("cuda", "", 0)
        major, minor = torch.cuda.get_device_capability(0)
        assert properties["arch"] == f"sm_{major}{minor}"
        assert properties["num_sms"] == torch.cuda.get_device_properties(0).multi_processor_count
        assert runtime.cuda_problem() == ""

    def test_runs_on_torchs_current_stream(self, runtime):
        call = runtime.executable(axpy(("cuda", "sm_80")).to_bytes(), None).entry()
        stream = torch.cuda.Stream()
        a = torch.ones(1 << 20, device="cuda")
        c = torch.zeros(1 << 20, device="cuda")
        call(a, c, 0.0)  # compiles and loads, which would outlast the wait below
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            torch.cuda._sleep(100_000_000)
            c.fill_(1.0)
            call(a, c, 2.0)
            assert not stream.query()
        stream.synchronize()
        assert bool((c == 3.0).all())

    def test_captured_in_a_graph(self, runtime):
        call = runtime.executable(axpy(("cuda", "sm_80")).to_bytes(), None).entry()
        a = torch.ones(1024, device="cuda")
        c = torch.zeros(1024, device="cuda")
        call(a, c, 0.0)  # loads
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call(a, c, 1.0)
        for _ in range(3):
            graph.replay()
        torch.cuda.synchronize()
        assert bool((c == 3.0).all())

    def test_more_than_48_kb_of_shared_memory(self, runtime):
        call = runtime.executable(two_step(("cuda", "sm_80"), shared=160 * 1024).to_bytes(), None).entry()
        a = torch.randn(1000, device="cuda")
        torch.testing.assert_close(call(a), a.flip(0) / 2, rtol=0, atol=0)

    def test_workspaces_are_given_back(self, runtime):
        call = runtime.executable(two_step(("cuda", "sm_80")).to_bytes(), None).entry()
        a = torch.randn(1 << 20, device="cuda")
        call(a)
        torch.cuda.synchronize()
        free_before = torch.cuda.mem_get_info()[0]
        for _ in range(2000):
            call(a)
        torch.cuda.synchronize()
        gc.collect()
        # 2000 kept workspaces are 8 GB; tests of other processes on this GPU take less meanwhile.
        assert free_before - torch.cuda.mem_get_info()[0] < 4 << 30

    @pytest.mark.parametrize("cooperative", [False, True])
    def test_cluster_and_cooperative_launches(self, runtime, cooperative):
        if torch.cuda.get_device_capability(0)[0] < 9:
            pytest.skip("clusters need compute capability 9")
        source = """
        #include <tilescale/kernel.cuh>
        extern "C" __global__ void ranks(int* C) {
          unsigned size;
          asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
          if (threadIdx.x == 0) C[blockIdx.x] = (int)size;
        }
        """
        kernel = Kernel("ranks", [(DATA, 0)], grid=(8, 1, 1), cluster=(4, 1, 1), cooperative=cooperative)
        output = Param("C", "int32", [expr(8)], is_output=True)
        seen = Param("A", "int32", [expr(8)])
        artifact = Artifact("ranks", ("cuda", "sm_90a"), [output, seen], [Variant(source, [kernel])], outputs=[0])
        call = runtime.executable(artifact.to_bytes(), None).entry()
        assert call(torch.zeros(8, dtype=torch.int32, device="cuda")).tolist() == [4] * 8

    def test_text_for_a_newer_gpu_is_refused(self, runtime):
        call = runtime.executable(axpy(("cuda", "sm_999")).to_bytes(), None).entry()
        a = torch.zeros(8, device="cuda")
        with pytest.raises(ValueError, match="a kernel compiled for sm_999 cannot run on GPU 0, "):
            call(a, a, 1.0)

    def test_numpy_on_a_gpu_target(self, runtime):
        call = runtime.executable(axpy(("cuda", "sm_80")).to_bytes(), None).entry()
        a = numpy.zeros(8, numpy.float32)
        with pytest.raises(ValueError, match=r"axpy\.A\.device_type mismatch \[expected: 2 \(cuda\)\], got: 1 \(cpu\)"):
            call(a, a, 1.0)

    def test_no_such_gpu(self, runtime):
        count = runtime.cuda_device_count()
        with pytest.raises(ValueError, match=f"there is no GPU {count}: this process sees {count}"):
            runtime.device_properties("cuda", "", count)

    def test_call_overhead(self, runtime):
        """A call is at most 2 us above the driver's own launch, which an empty queue makes visible."""
        import timeit

        call = runtime.executable(axpy(("cuda", "sm_80")).to_bytes(), None).entry()
        a = torch.zeros(512, device="cuda")
        out = torch.empty_like(a)
        call(a, a, 1.0)

        def microseconds(statement):
            names = {"call": call, "a": a, "out": out, "torch": torch}
            best = 1e9
            for _ in range(20):
                torch.cuda.synchronize()
                best = min(best, timeit.timeit(statement, globals=names, number=500) / 500 * 1e6)
            return best

        ours, theirs = microseconds("call(a, a, 1.0)"), microseconds("torch.add(a, a, out=out)")
        print(f"ours {ours:.2f} us, torch.add {theirs:.2f} us")
        assert ours < theirs
