# SPDX-License-Identifier: MIT
"""How long a kernel takes from `import` to ready, part by part: each program in fresh processes with the caches off,
the least of `--rounds`; then a hit of the disk cache, and hits of the memory cache on the stand-in driver.

No GPU is needed: NVRTC compiles for `--arch`; loading into the driver is not part of any bar. The simulator's part
is its host compiler. Bars in RESULTS.md; they hold on an idle machine, the last line says how busy this one is."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure

# What the parts are measured on: module of examples/, program, arguments; bars in ms of lowering and of everything.
ATTENTION = {"block_M": 128, "block_N": 64, "num_stages": 2, "threads": 256}
PROGRAMS: dict[str, tuple[str, str, tuple[Any, ...], dict[str, Any], float, float, float]] = {
    "gemm": ("gemm", "matmul", (4096, 4096, 4096, 128, 128, 32), {}, 60, 500, 450),
    "softmax": ("softmax", "softmax", (16384, 8192), {"block_M": 1, "threads": 256}, 60, 500, 450),
    "rms_norm": ("rms_norm", "rms_norm", (16384, 8192), {"threads": 256}, 60, 500, 450),
    "attention": ("flash_attention", "flash_attention", (1, 32, 8192, 8192, 128), ATTENTION, 250, 1000, 700),
    "attention causal": (
        "flash_attention",
        "flash_attention",
        (1, 32, 8192, 8192, 128, True),
        ATTENTION,
        250,
        1000,
        700,
    ),
}
IMPORT_BAR = 250
DISK_BAR = 5
HEADERS_BAR = 50


class Watch:
    """Milliseconds by part."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}

    def run(self, part: str, call: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = call()
        self.parts[part] = (time.perf_counter() - start) * 1e3
        return result


def traced(name: str) -> Any:
    module, program, args, options, *_ = PROGRAMS[name]
    return getattr(measure.example(module), program).get_tir(*args, **options)


def child(name: str, arch: str) -> dict[str, Any]:
    """All parts, once. Modules that the program itself imports are no part of it."""
    watch = Watch()

    def load_package() -> None:
        import tilescale.language
        from tilescale._ffi import builder
        from tilescale._jit import decorator, kernel

        del tilescale, builder, decorator, kernel

    watch.run("import", load_package)
    measure.example(PROGRAMS[name][0])
    from tilescale._ffi import function
    from tilescale._jit import machine

    func = watch.run("trace", lambda: traced(name))
    watch.run("configure", machine.configure)
    passes = watch.run("lower", lambda: function("driver.compile_times")(func.func, f"cuda {arch}", {}))
    artifact = function("runtime.executable")(function("driver.compile")(func.func, f"cuda {arch}", {}, 0), None)
    nvrtc = function("runtime.nvrtc_compile")
    watch.run("nvrtc", lambda: nvrtc(name.replace(" ", "_"), artifact.source(0), arch, []))
    watch.run("nvrtc again", lambda: nvrtc(name.replace(" ", "_"), artifact.source(0), arch, []))
    simulated = function("runtime.executable")(function("driver.compile")(func.func, f"sim {arch}", {}, 0), None)
    loaded = simulated.load(0, 0)
    watch.parts["sim compile"], watch.parts["sim load"] = float(loaded["compile_ms"]), float(loaded["load_ms"])
    return {
        "parts": watch.parts,
        "passes": {str(p): int(us) / 1e3 for p, us, *_ in passes},
        "nodes": max(int(nodes) for _, _, nodes, _ in passes),
    }


def child_disk(name: str, arch: str) -> dict[str, Any]:
    """From the traced program to an artifact with its binary, which an earlier process has left on disk."""
    func = traced(name)
    from tilescale._ffi import function
    from tilescale._jit import machine
    from tilescale._jit.kernel import JITKernel
    from tilescale.targets import Target

    machine.configure()
    watch = Watch()
    target = Target({"kind": "sim", "arch": arch})
    kernel = watch.run("artifact", lambda: JITKernel(func, target, [], {}))
    loaded = kernel.executable.load(0, 0)
    watch.parts["binary"] = float(loaded["compile_ms"])
    watch.parts["module load"] = float(loaded["load_ms"])
    hits = {str(k): int(v) for k, v in function("runtime.cache_stats")().items()}
    return {"parts": watch.parts, "hit": hits["artifact_hits"] == 1 and hits["binary_hits"] == 1}


def spawn(mode: str, name: str, arch: str, bytecode: str, **environment: str) -> dict[str, Any]:
    """One run in a fresh process. Python's bytecode is on disk, as it is of an installed package, also where the
    environment asks for none."""
    ours = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode}
    done = subprocess.run(
        [sys.executable, __file__, "--child", mode, name, "--arch", arch],
        env={**os.environ, **ours, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def least(records: list[dict[str, Any]], key: str) -> dict[str, float]:
    return {part: min(r[key][part] for r in records) for part in records[0][key]}


def row(text: str, value: float, bar: float) -> bool:
    met = measure.verdict(value, bar, at_most=True)
    print(f"  {text}: {value:.1f} ms, bar {bar:g}: {met}")
    return met == "ok"


def program(name: str, arch: str, rounds: int, bytecode: str) -> bool:
    """Prints the parts of one program; True if every bar is met."""
    *_, lower_bar, ready_bar, above_bar = PROGRAMS[name]
    uncached = {"TILESCALE_CACHE": "0"}
    spawn("parts", name, arch, bytecode, **uncached)
    records = [spawn("parts", name, arch, bytecode, **uncached) for _ in range(rounds)]
    parts, passes = least(records, "parts"), least(records, "passes")
    print(f"{name}:")
    print("  " + ", ".join(f"{part} {ms:.1f}" for part, ms in parts.items()))
    slowest = sorted(passes.items(), key=lambda item: -item[1])[:5]
    print(f"  slowest passes: {', '.join(f'{p} {ms:.1f}' for p, ms in slowest)}; at most {records[0]['nodes']} nodes")
    own = ("import", "trace", "configure", "lower")
    ready = min(sum(r["parts"][p] for p in (*own, "nvrtc")) for r in records)
    above = min(sum(r["parts"][p] for p in own) for r in records)
    fine = row("import", parts["import"], IMPORT_BAR)
    fine &= row("lowering", parts["lower"], lower_bar)
    # A machine with other work: what counts is our own time.
    if not row("import to ready", ready, ready_bar):
        fine &= row("import to ready without NVRTC", above, above_bar)
    with tempfile.TemporaryDirectory() as folder:
        cached = {"TILESCALE_CACHE": "1", "TILESCALE_CACHE_DIR": folder}
        spawn("disk", name, arch, bytecode, **cached)
        hits = [spawn("disk", name, arch, bytecode, **cached) for _ in range(rounds)]
    if not all(r["hit"] for r in hits):
        print("  disk: MISS, the second process found nothing")
        return False
    disk = least(hits, "parts")
    print(f"  disk hit: artifact {disk['artifact']:.1f}, binary {disk['binary']:.1f}, load {disk['module load']:.1f}")
    return row("disk hit", disk["artifact"] + disk["binary"], DISK_BAR) and fine


def include_all(arch: str, rounds: int) -> bool:
    """What every device header costs a text that includes them all and uses none."""
    from tilescale._ffi import function
    from tilescale._jit import machine

    machine.configure()
    package = Path(machine.__file__).parents[1]
    device = next(f for f in (package / "include" / "device", package.parents[1] / "device") if f.is_dir())
    includes = "".join(f"#include <{p.relative_to(device)}>\n" for p in sorted((device / "tilescale").rglob("*.cuh")))
    empty = 'extern "C" __global__ void empty(float* p) { p[threadIdx.x] = 1.f; }\n'
    times = {}
    for text in (empty, includes + empty):
        watches = [Watch() for _ in range(rounds)]
        for i, watch in enumerate(watches):  # each text another one: NVRTC may keep what it knows
            source = f"// {i} {time.time_ns()}\n{text}"
            watch.run("nvrtc", lambda source=source: function("runtime.nvrtc_compile")("empty", source, arch, []))
        times[text] = min(watch.parts["nvrtc"] for watch in watches)
    return row("all device headers included, none used", times[includes + empty] - times[empty], HEADERS_BAR)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--arch", default="sm_90a")
    parser.add_argument("--programs", default=",".join(PROGRAMS), help="which, separated by commas")
    parser.add_argument("--child", nargs=2, metavar=("MODE", "PROGRAM"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        mode, name = options.child
        print(json.dumps({"parts": child, "disk": child_disk}[mode](name, options.arch)))
        return
    print(measure.header("compile", f"{measure.cpu()}, {options.arch}, least of {options.rounds}"))
    fine = True
    with tempfile.TemporaryDirectory() as bytecode:
        for name in options.programs.split(","):
            fine &= program(name, options.arch, options.rounds, bytecode)
    fine &= include_all(options.arch, options.rounds)
    sys.stdout.flush()
    fine &= subprocess.run([sys.executable, Path(__file__).with_name("launch.py"), "--stub"]).returncode == 0
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    raise SystemExit(0 if fine else 1)


if __name__ == "__main__":
    main()
