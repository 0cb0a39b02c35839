# SPDX-License-Identifier: MIT
"""What the rates of the examples rest on, read off their text: barriers an iteration, widths of global accesses,
operands that stay in registers."""

import re

import programs
import pytest
import tilescale
import tilescale.language as T


def source(example, program, *arguments, **choice):
    prim = getattr(programs.load(example), program).get_tir(*arguments, **choice)
    return tilescale.compile(prim, target={"kind": "cuda", "arch": "sm_90a"}).get_kernel_source()


def main_loop(text, variable):
    """The text of the loop over `variable`, by indentation."""
    start = re.search(rf"^( *)for \(int {variable} = 0.*$", text, re.MULTILINE)
    end = re.search(rf"^{start.group(1)}}}$", text[start.end() :], re.MULTILINE)
    return text[start.end() : start.end() + end.start()]


@pytest.mark.parametrize(("transpose_B", "stages"), [(False, 3), (True, 3), (False, 2), (False, 4)])
def test_gemm_has_one_barrier_an_iteration(transpose_B, stages):
    text = source("gemm", "matmul", 512, 512, 512, 128, 128, 32, False, transpose_B, num_stages=stages)
    loop = main_loop(text, "ko")
    assert loop.count("cta_sync()") == 1
    assert loop.count("cp_async<16>") == 2 and "cp_async_wait<" in loop


@pytest.mark.parametrize("causal", [False, True])
def test_attention_keeps_the_weights_in_registers(causal):
    text = source("flash_attention", "flash_attention", 1, 1, 1024, 1024, 128, causal, 128, 64, 2, 128)
    loop = main_loop(text, "k")
    assert loop.count("cta_sync()") == 1
    # The accumulator of the first product is the A operand of the second where it lies: only Q, K and V are read
    # from shared memory, and nothing is stored there.
    assert loop.count("ldmatrix") == 3
    second = [line for line in loop.splitlines() if "mma_m16n8k16" in line][1]
    assert "(const ts::u32*)(weights + " in second
    assert not re.search(r"^ *\S*_shared\S* = |ws\[.*\] = ", loop, re.MULTILINE)


@pytest.mark.parametrize(("example", "accesses"), [("rms_norm", 3), ("softmax", 2)])
def test_norms_access_sixteen_bytes(example, accesses):
    text = source(example, example, 64, 8192, block_M=1, threads=512, dtype="bfloat16")
    wide = re.findall(r"\*\((?:const )?ts::vec<ts::bf16, (\d+)>\*\)\((?:A|W|B) ", text)
    assert wide == ["8"] * accesses


def test_a_swizzled_address_keeps_its_constants_outside():
    """Each ldmatrix adds the part that unrolling makes constant last, to a pointer: an offset of the instruction."""
    text = source("gemm", "matmul", 512, 512, 512, 128, 128, 32)
    loads = [line for line in text.splitlines() if "ldmatrix_x4" in line]
    assert len(loads) == 2
    for line in loads:
        assert re.search(r" \+ \(\w+ \* \d+\)\);$", line), line


def test_values_wrap_and_indices_do_not():
    """Signed overflow is undefined in C++, and NVRTC makes x of `x * 2 / 2`: arithmetic of values is that of unsigned
    integers. Addresses keep the signed kind, which the device compiler widens for free."""

    @T.prim_func
    def main(A: T.Tensor((256,), "int32"), O: T.Tensor((256,), "int32"), W: T.Tensor((256,), "int64")):
        with T.Kernel(2, threads=128) as bx:
            i = bx * 128 + T.get_thread_binding()
            x = A[i]
            y = x * 2
            if y - 1 < x:
                O[i] = y // 2 + i * 100000000
            W[i] = T.cast(-x, "int64") << 40

    text = tilescale.compile(main, target={"kind": "cuda", "arch": "sm_90a"}).get_kernel_source()
    lines = [line.strip() for line in text.splitlines() if not line.startswith("#line")]
    for line in (
        "const int i = (bx * 128) + tx;",
        "const int y = ts::wrapping_mul(x, 2);",
        "if (ts::wrapping_sub(y, 1) < x) {",
        "O[i] = ts::wrapping_add(ts::wrapping_mul(i, 100000000), y >> 1);",
    ):
        assert line in lines
    [wide] = [line for line in lines if line.startswith("W[i] = ")]
    assert wide.startswith("W[i] = ts::wrapping_shl((ts::i64)")
