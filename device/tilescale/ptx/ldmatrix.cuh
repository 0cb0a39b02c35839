// SPDX-License-Identifier: MIT
// ldmatrix / stmatrix: 8x8 matrices of 16-bit elements between shared memory and registers.
// PTX "Warp-level Matrix Instructions: ldmatrix, stmatrix". Every function is called by all 32
// lanes of a converged warp. Lane 8*m+r gives the address of row r of matrix m (16 bytes, 16-byte
// aligned; x1 and x2 read the addresses of the first 8 and 16 lanes, the others must still be valid
// pointers). Register m of lane l holds row l/4, columns 2*(l%4) and +1 of matrix m; `_trans`: of
// its transpose. Weak accesses, synchronous; they order no other memory.
#pragma once
#include <tilescale/ptx/config.cuh>

namespace ts {
namespace ptx {

#define TS_LDMATRIX(suffix, modifier)                                                           \
  TS_DEVICE void ldmatrix_x1##suffix(u32* r, const void* smem) {                                \
    asm volatile("ldmatrix.sync.aligned.m8n8.x1" modifier ".shared.b16 {%0}, [%1];"             \
                 : "=r"(r[0])                                                                   \
                 : "r"(smem_address(smem))                                                      \
                 : "memory");                                                                   \
  }                                                                                             \
  TS_DEVICE void ldmatrix_x2##suffix(u32* r, const void* smem) {                                \
    asm volatile("ldmatrix.sync.aligned.m8n8.x2" modifier ".shared.b16 {%0, %1}, [%2];"         \
                 : "=r"(r[0]), "=r"(r[1])                                                       \
                 : "r"(smem_address(smem))                                                      \
                 : "memory");                                                                   \
  }                                                                                             \
  TS_DEVICE void ldmatrix_x4##suffix(u32* r, const void* smem) {                                \
    asm volatile("ldmatrix.sync.aligned.m8n8.x4" modifier ".shared.b16 {%0, %1, %2, %3}, [%4];" \
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])                               \
                 : "r"(smem_address(smem))                                                      \
                 : "memory");                                                                   \
  }
TS_LDMATRIX(, "")
TS_LDMATRIX(_trans, ".trans")
#undef TS_LDMATRIX

#if __CUDA_ARCH__ >= 900
#define TS_STMATRIX(suffix, modifier)                                             \
  TS_DEVICE void stmatrix_x1##suffix(void* smem, const u32* r) {                  \
    asm volatile("stmatrix.sync.aligned.m8n8.x1" modifier                         \
                 ".shared.b16 [%0], {%1};" ::"r"(smem_address(smem)),             \
                 "r"(r[0])                                                        \
                 : "memory");                                                     \
  }                                                                               \
  TS_DEVICE void stmatrix_x2##suffix(void* smem, const u32* r) {                  \
    asm volatile("stmatrix.sync.aligned.m8n8.x2" modifier                         \
                 ".shared.b16 [%0], {%1, %2};" ::"r"(smem_address(smem)),         \
                 "r"(r[0]), "r"(r[1])                                             \
                 : "memory");                                                     \
  }                                                                               \
  TS_DEVICE void stmatrix_x4##suffix(void* smem, const u32* r) {                  \
    asm volatile("stmatrix.sync.aligned.m8n8.x4" modifier                         \
                 ".shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(smem_address(smem)), \
                 "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])                       \
                 : "memory");                                                     \
  }
TS_STMATRIX(, "")
TS_STMATRIX(_trans, ".trans")
#undef TS_STMATRIX
#endif

}  // namespace ptx
}  // namespace ts
