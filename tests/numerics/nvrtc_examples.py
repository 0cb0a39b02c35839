# SPDX-License-Identifier: MIT
"""Programs of an example, compiled to cubins for the architectures named on the command line: one line a cubin, with
its registers and spills. Run by `tilescale run`, so that the examples find `tilelang`."""

import importlib
import sys
from pathlib import Path

import tilescale
from tilescale._ffi import function

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))

# The arguments of one program of each kind: sizes of a GPU, and sizes that nothing divides.
PROGRAMS = {
    "cumsum": [("cumsum", (4096, 8192), {}), ("cumsum", (77, 301), {"reverse": True})],
    "elementwise": [("scale_bias_relu", (4096, 4096), {}), ("scale_bias_relu", (77, 301), {"threads": 96})],
    "flash_attention": [
        ("flash_attention", (2, 8, 8192, 8192, 128, True), {"block_M": 128, "dtype": "bfloat16"}),
        ("flash_attention", (2, 8, 1000, 1001, 64, False), {}),
    ],
    "gemm": [
        ("matmul", (4096, 4096, 4096, 128, 128, 32), {"transpose_B": True, "dtype": "bfloat16"}),
        ("matmul", (77, 99, 45, 64, 64, 32), {"transpose_A": True, "out_dtype": "float16"}),
    ],
    "gemm_dynamic": [("matmul_dynamic", (), {})],
    "gemm_fp8": [("matmul_fp8", (1024, 1000, 1024), {}), ("matmul_fp8", (256, 256, 256, "float8_e5m2"), {})],
    "gemm_int8": [("matmul_int8", (1024, 1000, 1024), {}), ("matmul_int8", (99, 77, 45, "uint8"), {})],
    "gemm_splitk": [("matmul_splitk", (100, 130, 4096, 8), {})],
    "gemm_two_roles": [("matmul_two_roles", (4096, 4096, 4096), {"workers": 132})],
    "layer_norm": [("layer_norm", (4096, 1000), {}), ("weight_gradients", (4096, 1000), {})],
    "rms_norm": [("rms_norm", (4096, 8192), {"threads": 512}), ("rms_norm", (77, 301), {"threads": 96})],
    "softmax": [("softmax", (4096, 8192), {"block_M": 1}), ("softmax", (77, 301), {"threads": 96})],
    "tile_copy": [("tile_copy", (4096, 8192), {}), ("tile_copy", (77, 301), {"threads": 96})],
}


def main() -> None:
    example, archs = sys.argv[1], sys.argv[2:]
    module = importlib.import_module(example)
    for name, arguments, choice in PROGRAMS[example]:
        program = getattr(module, name).get_tir(*arguments, **choice)
        for arch in archs:
            kernel = tilescale.compile(program, target={"kind": "cuda", "arch": arch})
            built = function("runtime.nvrtc_compile")(name, kernel.get_kernel_source(), arch, [])
            [usage] = built["usage"]
            spilled = usage["spill_store_bytes"] + usage["spill_load_bytes"]
            print(f"{name} {arch}: {usage['registers']} registers, {spilled} spilled bytes")


if __name__ == "__main__":
    main()
