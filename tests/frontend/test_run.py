# SPDX-License-Identifier: MIT
"""Compiled kernels on the simulator: calls, outputs, frameworks, the call path of eager functions."""

import gc
import weakref

import numpy as np
import pytest
import tilescale
import tilescale.language as T
import torch

SIM = {"kind": "sim", "arch": "sm_80"}


def make_scale(n, factor, dtype="float32"):
    @T.prim_func
    def scale(A: T.Tensor((n,), dtype), B: T.Tensor((n,), dtype)):
        with T.Kernel(T.ceildiv(n, 128), threads=128) as bx:
            for i in T.Parallel(128):
                B[bx * 128 + i] = A[bx * 128 + i] * factor

    return scale


@pytest.fixture(scope="module")
def kernel():
    return tilescale.compile(make_scale(1000, 3), out_idx=[-1], target=SIM)


def data(n=1000):
    return np.random.default_rng().standard_normal(n).astype(np.float32)


def test_numpy(kernel):
    a = data()
    b = kernel(a)
    assert type(b) is np.ndarray
    np.testing.assert_array_equal(b, a * np.float32(3))


def test_torch(kernel):
    a = torch.randn(1000)
    b = kernel(a)
    assert type(b) is torch.Tensor
    assert torch.equal(b, a * 3)


def test_keywords(kernel):
    a = data()
    np.testing.assert_array_equal(kernel(A=a), kernel(a))
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'X'"):
        kernel(a, X=1)
    with pytest.raises(TypeError, match="missing a required argument: 'A'"):
        kernel(B=a)


def test_wrong_count(kernel):
    with pytest.raises(ValueError) as info:
        kernel(data(), data())
    assert str(info.value).startswith("Kernel expected 1 inputs, but 2 are provided.")


def test_in_place():
    kernel = tilescale.compile(make_scale(256, 2), target=SIM)
    a, b = data(256), np.full(256, np.nan, np.float32)
    assert kernel(a, b) == []
    np.testing.assert_array_equal(b, a * np.float32(2))


def test_text(kernel, capsys, tmp_path):
    assert "ts::" in kernel.get_kernel_source()
    kernel.show_source()
    assert capsys.readouterr().out.strip() == kernel.kernel_source.strip()
    kernel.export_sources(str(tmp_path / "k.cu"))
    assert (tmp_path / "k.cu").read_text() == kernel.get_kernel_source()
    with pytest.raises(NotImplementedError) as info:
        kernel.get_host_source()
    assert str(info.value).startswith("no host code is generated: the launch record is data")
    assert isinstance(kernel.explain(), str)
    assert "scale" in str(kernel.artifact.text())


def test_parameters(kernel):
    assert [repr(p) for p in kernel.params] == ["A: float32[1000]", "B: float32[1000]"]
    assert [p.is_output for p in kernel.params] == [False, True]
    assert kernel.out_idx == [1]
    assert kernel.target.text == "sim sm_80"


def test_equal_calls_give_one_kernel():
    func = make_scale(64, 2)
    a = tilescale.compile(func, target=SIM)
    assert tilescale.compile(func, target=SIM) is a
    assert tilescale.compile(func, target=SIM, pass_configs={"tl.disable_safe_memory_legalize": True}) is not a
    assert tilescale.compile(a) is a


def test_eager():
    @tilescale.jit(target=SIM)
    def add(A, B, bias: float = 0.5):
        N = T.const("N")
        A: T.Tensor[[N], T.float32]
        B: T.Tensor[[N], T.float32]
        C = T.empty((N,), T.float32)
        with T.Kernel(T.ceildiv(N, 64), threads=64) as bx:
            for i in T.Parallel(64):
                C[bx * 64 + i] = A[bx * 64 + i] + B[bx * 64 + i] + bias
        return C

    for n in (100, 64, 100, 7):
        a, b = data(n), data(n)
        np.testing.assert_allclose(add(a, b), a + b + 0.5, rtol=1e-6)
        np.testing.assert_allclose(add(a, b, 2.0), a + b + 2, rtol=1e-6)
        np.testing.assert_allclose(add(A=a, B=b, bias=1.0), a + b + 1, rtol=1e-6)
    assert len(add._traced) == 9


def test_eager_with_dtype_argument():
    @tilescale.jit(target=SIM)
    def convert(A: T.Tensor((64,), "float32"), out=T.float16):
        C = T.empty((64,), out)
        with T.Kernel(1, threads=64):
            for i in T.Parallel(64):
                C[i] = out(A[i])
        return C

    a = data(64)
    assert convert(a).dtype == np.float16
    assert convert(a, T.float64).dtype == np.float64
    assert convert(a, T.float64).dtype == np.float64


def test_dynamic_extent():
    n = T.dynamic("n")
    kernel = tilescale.compile(make_scale(n, 2), out_idx=-1, target=SIM)
    for size in (1, 128, 777):
        a = data(size)
        np.testing.assert_array_equal(kernel(a), a * np.float32(2))


def test_profiler(kernel):
    profiler = kernel.get_profiler()
    profiler.assert_allclose(lambda a: a * 3)
    with pytest.raises(AssertionError, match="elements differ"):
        profiler.assert_allclose(lambda a: a * 4)
    assert profiler.do_bench(n_warmup=1, n_repeat=2) > 0


def test_par_compile():
    kernels = tilescale.par_compile([make_scale(64, k) for k in (2, 3)], target=SIM, out_idx=-1)
    a = data(64)
    for k, kernel in zip((2, 3), kernels, strict=True):
        np.testing.assert_array_equal(kernel(a), a * np.float32(k))


def test_autotune():
    tried = []

    @tilescale.autotune(configs=[{"block": 32}, {"block": 64}], warmup=1, rep=1)
    @tilescale.jit(target=SIM, out_idx=-1)
    def factory(n, block=16):
        tried.append(block)

        @T.prim_func
        def main(A: T.Tensor((n,), "float32"), B: T.Tensor((n,), "float32")):
            with T.Kernel(T.ceildiv(n, block), threads=block) as bx:
                for i in T.Parallel(block):
                    B[bx * block + i] = A[bx * block + i] + 1

        return main

    a = data(100)
    np.testing.assert_array_equal(factory(100)(a), a + np.float32(1))
    assert sorted(set(tried)) == [32, 64]


def scaled(n, block=16, factor=1.0):
    @T.prim_func
    def main(A: T.Tensor((n,), "float32"), B: T.Tensor((n,), "float32")):
        with T.Kernel(T.ceildiv(n, block), threads=block) as bx:
            for i in T.Parallel(block):
                B[bx * block + i] = A[bx * block + i] * factor

    return main


def test_autotuned_kernel_has_its_configuration():
    """Pass configs of a configuration reach its kernel; one with a wrong result is left out."""
    configs = [
        {"block": 32, "pass_configs": {tilescale.PassConfigKey.TL_ENABLE_FAST_MATH: True}},
        {"block": 64, "factor": 2.0},
    ]
    tune = tilescale.autotune(configs=configs, warmup=1, rep=1, ref_prog=lambda a: a * 1.0)
    factory = tune(tilescale.jit(target=SIM, out_idx=-1)(scaled))
    kernel = factory(100)
    assert kernel.config == configs[0] and kernel.latency > 0 and kernel.ref_latency > 0
    assert kernel.pass_configs["tl.enable_fast_math"] is True
    assert factory(100) is kernel and factory(100, 64, 3.0).config is None


def test_autotuner_of_a_plain_function():
    from tilescale._jit.autotune import AutoTuner

    def make(block=None):
        return scaled(100, block, 3.0)

    tuner = AutoTuner.from_kernel(kernel=make, configs=[{"block": 32}, {"block": 50}, {"block": 100000}])
    best = tuner.set_compile_args(out_idx=[-1], target=SIM).set_profile_args(skip_check=True).run(warmup=1, rep=1)
    assert best.config["block"] in (32, 50) and best.latency > 0 and "TS_KERNEL" in best.libcode
    a = data(100)
    np.testing.assert_array_equal(best.kernel(a), a * np.float32(3))


def test_autotune_options(monkeypatch):
    """Inputs are made once, a parameter does not choose, what is slow is not measured on, what is late is left out."""
    from tilescale._jit import autotune as tuning
    from tilescale.profiler.profiler import Profiler

    seen = []
    limits = []

    def bench(self, func=None, *, warmup, rep, input_tensors, early_stop_baseline=None):
        seen.append(input_tensors)
        limits.append(early_stop_baseline)
        return 4.0 / len(limits)

    monkeypatch.setattr(Profiler, "do_bench", bench)
    tune = tilescale.autotune(
        configs=[{"block": 32}, {"block": 64}, {"block": 96}],
        cache_input_tensors=True,
        do_not_specialize="factor",
        early_stop=True,
        early_stop_factor=1.5,
    )
    impl = tune(tilescale.jit(target=SIM, out_idx=-1)(scaled))
    first = impl.tune(100, factor=1.0)
    assert first.config == {"block": 96}
    assert limits == [None, 6.0, 3.0] and seen[0] is not None and all(x is seen[0] for x in seen)
    assert impl.tune(100, factor=2.0) is first and len(limits) == 3
    assert impl.tune(101, factor=2.0) is not first

    clock = iter(range(0, 10000, 50))
    monkeypatch.setattr(tuning.time, "monotonic", lambda: next(clock))
    late = tilescale.autotune(configs=[{"block": 32}], timeout=40)(tilescale.jit(target=SIM, out_idx=-1)(scaled))
    with pytest.raises(RuntimeError, match="no configuration could be compiled and run") as error:
        late.tune(100)
    assert str(error.value.__cause__) == "it took more than 40 s: give it a larger timeout"


def test_slow_functions_are_not_measured_further():
    from tilescale.profiler import do_bench

    calls = []
    assert do_bench(lambda: calls.append(0), rep=5, warmup=5, early_stop_baseline=0.0) > 0
    assert len(calls) == 4
    do_bench(lambda: calls.append(0), _n_warmup=1, _n_repeat=6, early_stop_baseline=1e9)
    assert len(calls) == 4 + 4 + 7


def test_autotune_refuses_what_it_cannot_do():
    from tilescale._jit.autotune import AutoTuner

    make = tilescale.jit(target=SIM, out_idx=-1)(scaled)
    with pytest.raises(ValueError) as error:
        tilescale.autotune(configs=[{"block": 32}], do_not_specialize=["faktor"])(make)
    assert str(error.value) == "do_not_specialize names faktor, which the function does not take"
    with pytest.raises(ValueError) as error:
        tilescale.autotune(configs=[{"block": 32}], timeout=0)
    assert str(error.value) == "timeout must be a positive number of seconds, got 0"
    tuner = AutoTuner.from_kernel(make, [{"block": 32}])
    with pytest.raises(NotImplementedError) as error:
        tuner.run(use_pipeline=True)
    assert str(error.value) == (
        "AutoTuner.run: use_pipeline is not supported yet: configurations are measured one by one, on one device"
    )
    with pytest.raises(TypeError):
        tuner.run(use_pipelines=True)
    with pytest.raises(NotImplementedError) as error:
        tuner.set_profile_args(backend="cupti")
    assert str(error.value) == "AutoTuner: backend='cupti' is not supported yet; use 'event'"


def test_unknown_pass_config_names_the_key():
    with pytest.raises(tilescale.CompileError, match=r"tl\.nonsense"):
        tilescale.compile(make_scale(64, 2), target=SIM, pass_configs={"tl.nonsense": 1})


@pytest.mark.parametrize("cached", [True, False])
def test_inputs_end_with_their_tuning(monkeypatch, cached):
    from tilescale.profiler.profiler import Profiler

    made = []

    def supply(params):
        x = np.ones(100, np.float32)
        made.append(weakref.ref(x))
        return [x]

    alive = []

    def bench(self, func=None, **options):
        alive.append(sum(x() is not None for x in made))
        return 1.0

    monkeypatch.setattr(Profiler, "do_bench", bench)
    tune = tilescale.autotune(
        configs=[{"block": 32}, {"block": 64}, {"block": 96}], cache_input_tensors=cached, supply_prog=supply
    )
    tune(tilescale.jit(target=SIM, out_idx=-1)(scaled)).tune(100)
    gc.collect()
    assert len(made) == (1 if cached else 3) and alive == [1, 1, 1]
    assert [x() for x in made] == [None] * len(made)
