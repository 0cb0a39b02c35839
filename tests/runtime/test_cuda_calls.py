# SPDX-License-Identifier: MIT
"""What runtime/cuda asks of the driver, checked against a stand-in for it; and its errors."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

PROGRAM = """
import sys
from tilescale import _ffi
from tests.runtime.artifact_bytes import *
function = lambda name: _ffi.function("runtime." + name)
function("set_include_folder")("device")
source = '#include <tilescale/kernel.cuh>\\nextern "C" __global__ void k(float* p, int n) { p[0] = n; }'
def artifact(arch="sm_80", entry="k", **options):
    kernel = Kernel(entry, [(DATA, 0), (SCALAR, 1)], grid=(scalar(1), 2, 1), **options)
    params = [Param("p", "float32", kind="pointer"), Param("n", "int32", kind="scalar")]
    return Artifact("k", ("cuda", arch), params, [Variant(source, [kernel])])
def call(*args, **options):
    try:
        return function("executable")(artifact(**options).to_bytes(), None).entry()(*args)
    except Exception as error:
        print(type(error).__name__, error, sep=": ")
"""


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))))
    library = tmp_path_factory.mktemp("stub") / "libcuda.so.1"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-w", "-o", library, Path(__file__).parent / "cuda_stub.c"], check=True
    )
    return library


@pytest.fixture
def run(stub):
    def run(body: str, **env: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM + body],
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT / 'python'}:{ROOT}",
                "TILESCALE_LIBCUDA": str(stub),
                "TILESCALE_CACHE": "0",
                **env,
            },
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_a_plain_launch(run):
    assert run("call(0x1000, 7)") == [
        "load ELF\x02 in context 0x11",
        "plain grid 7,2,1 block 128,1,1 shared 0 args 0x1000 7 in context 0x11",
    ]


def test_shared_memory_is_asked_for(run):
    lines = run("call(0x1000, 7, shared=65536)")
    assert lines[1] == "attribute 8 = 65536"
    assert "shared 65536" in lines[2]


def test_clusters_and_cooperation(run):
    lines = run("call(0x1000, 8, cluster=(4, 1, 1), cooperative=True)")
    assert lines[1:4] == [
        "launch attribute 4: 4,1,1",
        "launch attribute 2: 1,0,0",
        "extended grid 8,2,1 block 128,1,1 shared 0 args 0x1000 8 in context 0x11",
    ]
    lines = run("call(0x1000, 16, cluster=(16, 1, 1))")
    assert lines[1] == "attribute 14 = 1"


def test_a_cooperative_grid_that_does_not_fit(run):
    assert run("call(0x1000, 8, cooperative=True)", STUB_LAUNCH="720")[-2:] == [
        "ValueError: k meets in T.sync_grid, so that all its 16 blocks must run at a time; stub holds 2 of them",
        "help: launch at most 2 blocks, each for several tiles",
    ]


def test_text_is_compiled_for_the_gpu_that_is_there(run):
    body = """
executable = function("executable")(artifact().to_bytes(), None)
print(*(line for line in executable.load(0, 0)["log"].splitlines() if "Compiling" in line))
call(1, 1, arch="sm_90")
call(1, 1, arch="sm_80a")
"""
    lines = [line for line in run(body) if not line.startswith(("load", "plain"))]
    assert lines == [
        "ptxas info    : Compiling entry function 'k' for 'sm_89'",
        "ValueError: a kernel compiled for sm_90 cannot run on GPU 0, stub (sm_89)",
        "ValueError: a kernel compiled for sm_80a cannot run on GPU 0, stub (sm_89)",
    ]


def test_failures_name_the_call(run):
    assert run("call(1, 1)", STUB_LAUNCH="701")[-1] == "CudaError: k: cuLaunchKernel: STUB_ERROR (701): planned"
    assert run("call(1, 1, entry='nowhere')")[1:] == [
        "CudaError: nowhere: cuModuleGetFunction: STUB_ERROR (500): planned"
    ]


def test_a_driver_that_cannot_be_used(run):
    assert run("call(1, 1)", STUB_INIT="100") == [
        "CudaError: the CUDA driver cannot be used: cuInit: STUB_ERROR (100): planned",
        'help: nvidia-smi shows the state of the GPUs; without one, kernels run with target="sim"',
    ]
    assert run("call(1, 1)", STUB_DEVICES="0") == [
        "CudaError: the CUDA driver sees no GPU",
        'help: check CUDA_VISIBLE_DEVICES; without a GPU, kernels run with target="sim"',
    ]
    assert run('function("device_properties")("cuda", "", 0)\nprint(function("cuda_problem")() == "")') == ["True"]


def test_nvrtc_must_not_be_newer_than_the_driver(run, tmp_path):
    (tmp_path / "libnvrtc.so.77").write_text("")
    body = f"""
function("set_nvrtc_folders")([{str(tmp_path)!r}])
print(function("nvrtc_path")().endswith("libnvrtc.so.77"))
function("device_properties")("cuda", "", 0)
print(function("nvrtc_path")().endswith("libnvrtc.so.77"))
"""
    assert run(body) == ["True", "False"]
    lines = run("call(1, 1)", STUB_VERSION="9000", LD_LIBRARY_PATH="")
    assert lines[0].startswith("NvrtcError: NVRTC '")
    assert lines[0].endswith("' is newer than the GPU's driver, which runs CUDA 9")
    assert lines[1].startswith("help: install one that fits with: pip install 'nvidia-cuda-nvrtc-cu9'")


def test_outputs_and_events(run):
    body = """
param = Param("C", "int32", [expr(6)], is_output=True)
source = '#include <tilescale/kernel.cuh>\\nextern "C" __global__ void k(int* p, int n) { p[0] = n; }'
kernel = Kernel("k", [(DATA, 0), (EXPR, expr(3), "int32")])
artifact = Artifact("k", ("cuda", "sm_80"), [param], [Variant(source, [kernel])], outputs=[0])
tensor = function("executable")(artifact.to_bytes(), None).entry()()
print(tensor.shape, tensor.device, tensor.dtype)
del tensor
start, stop = function("event")("cuda", "", 0), function("event")("cuda", "", 0)
start.record(0)
stop.record(0x99)
print(stop.elapsed_since(start))
"""
    lines = run(body)
    assert lines[0] == "allocate 24"
    assert lines[3:5] == ["(6,) cuda:0 int32", "free"]
    assert lines[5:8] == ["record on (nil)", "record on 0x99", "1.5"]


HEAP = """
def tensors(heap, *shape, ranks=3, name="A"):
    return [heap.tensor(r, list(shape), "float32", name) for r in range(ranks)]
def error_of(action):
    try:
        action()
    except Exception as error:
        print(type(error).__name__, error, sep=": ")
"""


def test_symmetric_memory_is_mapped_for_all_gpus(run):
    body = """
heap = function("open_heap")("local", 3, -1, 0, "", 0)
print("first")
kept = tensors(heap, 1000)
print("small")
small = tensors(heap, 1000)
print("large")
large = tensors(heap, 10 << 20, name="B")
del small
print("again")
again = tensors(heap, 1000)
print("end")
error_of(lambda: heap.tensor(0, [5], "float32", "C") and heap.tensor(1, [6], "float32", "D"))
heap.close()
error_of(heap.close)
error_of(lambda: heap.tensor(2, [5], "float32", "C"))
"""
    lines = run(HEAP + body, STUB_DEVICES="2")
    part = {}
    for line in lines:
        if line in ("first", "small", "large", "again", "end"):
            now = part.setdefault(line, [])
        elif part:
            now.append(line)
    assert lines[:3] == ["reserve 1073741824"] * 3
    access = ["access for GPU 0: 3", "access for GPU 1: 3"]
    segments = [[f"create 33554432 on GPU {gpu}", "map 33554432", *access] for gpu in (0, 1, 0)]
    opened = [line for segment in segments for line in segment]  # for the words in which ranks meet
    assert lines[3 : 3 + len(opened)] == opened
    assert part["first"] == part["small"] == []
    assert part["large"][0] == "create 33554432 on GPU 0"  # the heap grows by a segment
    assert part["again"] == ["synchronize"] * 2  # what was freed may be in use by queued kernels
    assert part["end"][:5] == [
        "ValueError: allocation 4 of rank 1 is `D` of 24 bytes, but that of rank 0 is `C` of 20 bytes",
        "help: all ranks allocate the same sizes in the same order",
        "RuntimeError: the world is closed already",
        "RuntimeError: the world of this allocation is closed",
        "synchronize",
    ]
    assert lines.count("unmap 33554432") == 6 and lines.count("unreserve") == 3


def test_symmetric_memory_that_cannot_be_had(run):
    open_two = 'error_of(lambda: tensors(function("open_heap")("local", 2, -1, 0, "", 0), 8, ranks=2))'
    assert run(HEAP + open_two, STUB_DEVICES="2", STUB_PEERS="0") == [
        "RuntimeError: GPU 0 cannot reach the memory of GPU 1",
        "help: choose GPUs that nvidia-smi topo -p2p r shows as OK in CUDA_VISIBLE_DEVICES",
    ]
    lines = run(HEAP + open_two, STUB_DEVICES="2", STUB_MEMORY="1000")
    assert "CudaError: 33554432 bytes of symmetric memory on GPU 0: cuMemCreate: STUB_ERROR (2): planned" in lines
    assert run(HEAP + open_two, STUB_DEVICES="0")[0] == "CudaError: the CUDA driver sees no GPU"


def test_a_kernel_gets_the_table_of_its_rank(run):
    body = """
source = source.replace("kernel.cuh>", "kernel.cuh>\\n#include <tilescale/ptx/peer.cuh>")
source = source.replace("p[0] = n", "p[0] = ts::rank()")
executable = function("executable")
whole = artifact()
whole.variants[0].source = source
whole.uses_heap = True
entry = executable(whole.to_bytes(), None).entry()
error_of(lambda: entry(1, 1))
heap = function("open_heap")("local", 2, -1, 0, "", 0)
for rank in (0, 1, 0):
    heap.enter(rank, False, 0)
    entry(1, 1)
    heap.leave()
"""
    lines = [
        line for line in run(HEAP + body, STUB_DEVICES="1") if line.startswith(("load", "rank", "plain", "Runtime"))
    ]
    assert lines[0] == (
        "RuntimeError: k asks for ranks, but is launched without any: no tensor given is in symmetric memory"
    )
    assert [line.split()[0] for line in lines[1:]] == ["load", "rank", "plain", "load", "rank", "plain", "plain"]
    assert lines[2] == "rank 0 of 2, next at 1" and lines[5] == "rank 1 of 2, next at 1"


@pytest.mark.parametrize(("gpus", "stream"), [(1, "0x44"), (2, "0x77")])
def test_ranks_with_a_gpu_each_launch_on_the_callers_streams(run, gpus, stream):
    body = """
executable = function("executable")
whole = artifact()
whole.uses_heap = True
entry = executable(whole.to_bytes(), None).entry()
heap = function("open_heap")("local", 2, -1, 0, "", 0)
print("opened")
heap.fork([0x77, 0x77])
for rank in range(2):
    heap.enter(rank, False, 0x77)
    entry(1, 1)
    heap.leave()
heap.join([0x77, 0x77])
heap.barrier([])
heap.barrier([0x88, 0x88])
"""
    lines = run(HEAP + body, STUB_DEVICES=str(gpus), STUB_STREAMS="1")
    lines = [line for line in lines[lines.index("opened") :] if line.split()[0] in ("launch", "wait", "record")]
    forked = ["record on 0x77"] * 2 if gpus == 1 else []
    joined = ["record on 0x44"] * 2 if gpus == 1 else []
    waited = ["wait for 0x44"] * 2 if gpus == 1 else ["wait for 0x77"] * 2 + ["wait for 0x44"] * 2
    again = ["wait for 0x88"] * 2 + ["wait for 0x44"] * 2
    assert lines == [*forked, *[f"launch on {stream}"] * 2, *joined, *waited, *again]


WATCHED = """
import os, time
os.dup2(1, 2)  # what the watchdog says goes with the rest
entry = function("executable")(artifact().to_bytes(), None).entry()
entry(0x1000, 7)
def within(seconds):
    start = time.monotonic()
    try:
        while time.monotonic() - start < seconds:
            function("raise_if_aborted")()
            time.sleep(0.01)
        print("nothing is raised")
    except Exception as error:
        print("raised in time", time.monotonic() - start < 0.5, type(error).__name__)
        print(error)
within(2)
"""
WAITS = [
    "    2 threads of GPU 0 CTA (1,2,0) at prog.py:17: wait_ge: the word at 0x1000 is -5, waits for at least 3 "
    "(first: warp 1 lane 1)",
]


def test_a_kernel_whose_waits_last_is_ended(run):
    lines = run(WATCHED + "entry(0x1000, 8)", TILESCALE_WATCHDOG="500ms", STUB_HANG="1")
    report = ["deadlock: a wait has lasted 500ms (TILESCALE_WATCHDOG)", *WAITS]
    at = lines.index("tilescale watchdog: " + report[0])
    assert lines[at + 1] == WAITS[0]
    at = lines.index("raised in time True Deadlock")
    assert lines[at + 1 : at + 3] == report
    assert any(line.startswith("plain grid 8,") for line in lines[at:])  # the GPU takes more


def test_a_kernel_that_loops_in_its_own_code_is_told_of(run):
    lines = run(WATCHED, TILESCALE_WATCHDOG="500ms", STUB_HANG="2")
    told = [line for line in lines if line.startswith("tilescale watchdog")]
    assert told == [
        "tilescale watchdog: the kernel `k` of GPU 0 has not ended for 500ms, and none of its threads is in a wait of "
        "this library: it computes, loops in code of its own, or its stream waits for something; its GPU is not freed"
    ]
    assert "nothing is raised" in lines


def test_nothing_goes_into_a_stream_that_is_captured(run):
    lines = run(WATCHED, TILESCALE_WATCHDOG="500ms", STUB_CAPTURE="1")
    assert "nothing is raised" in lines and not any(line.startswith("record") for line in lines)


def test_without_a_watchdog_there_is_no_thread_and_no_record(run):
    lines = run("call(0x1000, 7)")
    assert not any(line.startswith(("host", "record")) for line in lines)
    assert run("""
try:
    function("abort_waits")()
except RuntimeError as error:
    print(error)
""") == [
        "no kernel of this process is watched",
        "help: set TILESCALE_WATCHDOG, for example to 5s, before the kernels are compiled",
    ]


def test_what_is_written_beside_a_tensor_is_named(run):
    body = """
import ctypes
heap = function("open_heap")("local", 2, -1, 0, "", 0)
inbox, flags = tensors(heap, 25, ranks=2, name="inbox"), tensors(heap, 3, ranks=2, name="flags")
ctypes.pythonapi.PyCapsule_GetPointer.restype = ctypes.c_void_p
ctypes.pythonapi.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
def write(tensor, offset, count):
    capsule = tensor.__dlpack__()  # whose memory begins with the address of the data
    at = ctypes.pythonapi.PyCapsule_GetPointer(capsule, b"dltensor")
    ctypes.memset(ctypes.c_void_p.from_address(at).value + offset, 1, count)
error_of(lambda: heap.barrier([]))
write(inbox[0], 0, 100)
error_of(lambda: heap.barrier([]))
print("within:")
write(inbox[1], 100, 4)
write(flags[0], -8, 4)
error_of(lambda: heap.barrier([]))
error_of(lambda: heap.barrier([]))
print("at its end:")
write(flags[1], 12 + 256, 1)
del flags
error_of(lambda: heap.barrier([]))
print("at the heap's:")
write(inbox[1], 99, 2)
error_of(heap.close)
"""
    lines = run(HEAP + body, STUB_DEVICES="2", TILESCALE_HEAP_DEBUG="1")
    help = "help: the simulator names the line: TILESCALE_TARGET=sim"
    said = lines[lines.index("within:") :]
    assert said[:10] == [
        "within:",
        "RuntimeError: memory behind `inbox` of rank 1 was written: bytes 1 to 4 behind its last",
        "memory in front of `flags` of rank 0 was written: bytes 5 to 8 in front of its first",
        help,
        "at its end:",
        "RuntimeError: memory behind `flags` of rank 1 was written: bytes 257 to 257 behind its last",
        help,
        "at the heap's:",
        "RuntimeError: memory behind `inbox` of rank 1 was written: bytes 1 to 1 behind its last",
        help,
    ]
    assert not any(line.startswith("RuntimeError") for line in lines[: lines.index("within:")])


def test_a_gpu_is_watched_after_the_simulator_in_one_process(run):
    """Each has memory of its own for the word that ends waits, and reports of its own."""
    first = """
import numpy, tilescale
from tests.distributed.test_watchdog import waiting
from tilescale.distributed import World
kernel = tilescale.compile(waiting(1), target="sim")
def simulated():
    with World(2, target="sim") as w:
        flags, out = w.tensor((4,), "int32"), w.tensor((2,), "int32")
        for part in flags:
            numpy.asarray(part)[...] = 7
        w.launch(kernel, flags, out)
        w.barrier()
simulated()
"""
    last = "\nsimulated()\nprint('simulated')"
    lines = run(
        first + WATCHED.replace("within(2)", "time.sleep(2)\nsimulated()\nwithin(2)") + last,
        TILESCALE_WATCHDOG="500ms",
        STUB_HANG="1",
    )
    assert "raised in time True Deadlock" in lines and lines.count("simulated") == 1
