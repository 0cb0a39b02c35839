# SPDX-License-Identifier: MIT
"""Fragment tables of the matrix instructions, one line of modes each, and the blocks that warps make of them.

The tests check each against the index formulas of the PTX manual, and that it is a bijection.
"""

from .model import Layout


# -- mma.sync, ldmatrix, stmatrix
# e = elements per 32-bit register. A is (M, K), B is (N, K), C is (M, N). Slots count elements in register order.
def mma_a(k, bits):
    e = max(1, 32 // bits)
    return Layout.parse(f"16,{k} | 8:4t 2:{e}s | {e}:1s 4:1t {k // (4 * e)}:{2 * e}s")


def mma_b(k, bits):
    e = max(1, 32 // bits)
    return Layout.parse(f"8,{k} | 8:4t | {e}:1s 4:1t {k // (4 * e)}:{e}s")


def mma_a8(k, bits):
    return mma_b(k, bits)  # the m8 shapes (f64 m8n8k4, s8 m8n8k16): A is read like B


MMA_C = Layout.parse("16,8 | 8:4t 2:2s | 2:1s 4:1t")
MMA_C8 = Layout.parse("8,8 | 8:4t | 2:1s 4:1t")


def ldmatrix(x, trans=False):
    """x matrices of 8x8 16-bit elements (matrix, row, col) as stored -> registers. stmatrix is the same table read
    backwards."""
    return Layout.parse(f"{x},8,8 | {x}:2s | " + ("2:1s 4:1t | 8:4t" if trans else "8:4t | 2:1s 4:1t"))


def ldmatrix_rows(x):
    return Layout.parse(f"{x},8 | {x}:8t | 8:1t")  # (matrix, row) -> the lane that supplies its address


# -- blocks: warps over the tile. The accumulator of T.gemm, and the register A operand with the same owners as C
def mma_c_block(M, N, mw, nw):
    wm, wn = M // mw, N // nw
    cols = f"2:1s 4:1t {wn // 8}:4s"
    return Layout.parse(f"{M},{N} | 8:4t 2:2s {wm // 16}:{wn // 2}s {mw}:32t | {cols} {nw}:{32 * mw}t")


def mma_a_block(M, K, bits, mw, nw):
    e, wm = max(1, 32 // bits), M // mw
    cols = f"{e}:1s 4:1t {K // (4 * e)}:{2 * e}s"
    return Layout.parse(f"{M},{K} | 8:4t 2:{e}s {wm // 16}:{K // 2}s {mw}:32t | {cols} | rep {nw}:{32 * mw}t")


def mma_b_block(N, K, bits, mw, nw):
    e, wn = max(1, 32 // bits), N // nw
    return Layout.parse(
        f"{N},{K} | 8:4t {wn // 8}:{K // 4}s {nw}:{32 * mw}t | {e}:1s 4:1t {K // (4 * e)}:{e}s | rep {mw}:32t"
    )


# -- wgmma: 128 threads, M = 64. Block forms: every warpgroup owns a slab of M/G rows, for C and for A alike
def wgmma_c(n):
    return Layout.parse(f"64,{n} | 8:4t 2:2s 4:32t | 2:1s 4:1t {n // 8}:4s")


def wgmma_a(bits):
    e = 32 // bits
    return Layout.parse(f"64,{8 * e} | 8:4t 2:{e}s 4:32t | {e}:1s 4:1t 2:{2 * e}s")


def wgmma_c_block(M, N, groups_m, groups_n=1):
    wr, wn = M // (64 * groups_m), N // groups_n
    cols = f"2:1s 4:1t {wn // 8}:4s {groups_n}:{128 * groups_m}t"
    return Layout.parse(f"{M},{N} | 8:4t 2:2s 4:32t {wr}:{wn // 2}s {groups_m}:128t | {cols}")


def wgmma_a_block(M, K, bits, groups_m, groups_n=1):
    e, wr = 32 // bits, M // (64 * groups_m)
    cols = f"{e}:1s 4:1t {K // (4 * e)}:{2 * e}s"
    return Layout.parse(
        f"{M},{K} | 8:4t 2:{e}s 4:32t {wr}:{K // 2}s {groups_m}:128t | {cols} | rep {groups_n}:{128 * groups_m}t"
    )


# -- tensor memory: (lane, col) of one warp's access -> registers, repetition n; and where tcgen05 puts D
def tmem_32x32b(n):
    return Layout.parse(f"32,{n} | 32:1t | {n}:1s")


def tmem_16x64b(n):
    return Layout.parse(f"16,{2 * n} | 8:4t 2:1t | 2:2t {n}:1s")


def tmem_16x128b(n):
    return Layout.parse(f"16,{4 * n} | 8:4t 2:1s | 4:1t {n}:2s")


def tmem_16x256b(n):
    return Layout.parse(f"16,{8 * n} | 8:4t 2:2s | 2:1s 4:1t {n}:4s")


def tcgen05_d(kind, n):
    """Accumulator (M of one CTA, N) -> (lane, col): A, D full 128 lanes; B, E two column halves; C, G four quarters;
    F 16 of each 32 lanes."""
    return Layout.parse(
        {
            "A": f"128,{n} | 128:1l | {n}:1q",
            "B": f"64,{n} | 64:1l | {n // 2}:1q 2:64l",
            "C": f"32,{n} | 32:1l | {n // 4}:1q 4:32l",
            "F": f"64,{n} | 16:1l 4:32l | {n}:1q",
        }[{"D": "A", "E": "B", "G": "C"}.get(kind, kind)]
    )


def tcgen05_ld(shape, n):
    """A warpgroup's load of all its lanes by one shape: warps 32 lanes apart; 16-lane shapes issue twice."""
    atom = {"32x32b": tmem_32x32b, "16x64b": tmem_16x64b, "16x128b": tmem_16x128b, "16x256b": tmem_16x256b}[shape](n)
    L = atom if atom.shape[0] == 32 else atom.repeat(0, 2, {"slot": atom.extents().get("slot", 1)})
    return L.repeat(0, 4, {"thread": 32})


# -- operands of sm_120 block scaling and of 2:4 sparsity (read from published traits and figures; replicas = what the
# selector picks)
SCALE_A = Layout.parse("16,4 | 8:4t 2:1t | 4:1s | rep 2:2t")  # m16n8k64, 4 scales a row, slot = byte of the register
SCALE_B = Layout.parse("8,4 | 8:4t | 4:1s | rep 4:1t")
# metadata, one slot = the 4 bits of a chunk of 4 (8-bit, 16-bit types): (row, chunk) -> thread, nibble
SPARSE_E16_K16 = Layout.parse("16,4 | 8:4t 2:4s | 4:1s | rep 4:1t")
SPARSE_E16_K32 = Layout.parse("16,8 | 8:4t 2:4s | 4:1s 2:1t | rep 2:2t")
SPARSE_E8_K64 = Layout.parse("16,16 | 8:4t 2:1t | 8:1s 2:2t")
