// SPDX-License-Identifier: MIT
// As generated: C[M,N] = A[M,K] @ B[K,N], f16 in, f32 out; 128x128x32 tile, 4 warps of 64x64, 3
// stages of cp.async, XOR-swizzled tiles. DROP plants a fault: 1 no wait of cp.async, 2 no barrier,
// 3 one element too far.
#include <tilescale/kernel.cuh>
#include <tilescale/ptx/cp_async.cuh>
#include <tilescale/ptx/ldmatrix.cuh>
#include <tilescale/ptx/mma_sync.cuh>
#ifndef DROP
#define DROP 0
#endif
// One stage of A and of B, 16 bytes a copy; places outside the matrix get zeros.
TS_DEVICE void load_A(ts::f16* A_shared, const ts::f16* A, int by, int M, int K, int k, int stage) {
#line 10 "gemm.py"
  for (int v = 0; v < 4; ++v) {
#line 10 "gemm.py"
    const int c = ts::tid_x() + v * 128, row = c >> 2, col = c & 3;
#line 10 "gemm.py"
    const int gr = by * 128 + row, gc = k * 32 + col * 8;
#line 10 "gemm.py"
    const bool in = gr < M && gc < K;
#line 10 "gemm.py"
    ts::ptx::cp_async_zfill<16>(
        A_shared + stage * 4096 + row * 32 + ((col ^ ((row >> 1) & 3)) << 3),
        A + (in ? (long)gr * K + gc : 0), in);
  }
}
TS_DEVICE void load_B(ts::f16* B_shared, const ts::f16* B, int bx, int N, int K, int k, int stage) {
#line 11 "gemm.py"
  for (int v = 0; v < 4; ++v) {
#line 11 "gemm.py"
    const int c = ts::tid_x() + v * 128, row = c >> 4, col = c & 15;
#line 11 "gemm.py"
    const int gr = k * 32 + row, gc = bx * 128 + col * 8;
#line 11 "gemm.py"
    const bool in = gr < K && gc < N;
#line 11 "gemm.py"
    ts::ptx::cp_async_zfill<16>(B_shared + stage * 4096 + row * 128 + ((col ^ (row & 7)) << 3),
                                B + (in ? (long)gr * N + gc : 0), in);
  }
}
TS_KERNEL(gemm, 128, 1)
(const ts::f16* TS_RESTRICT A, const ts::f16* TS_RESTRICT B, float* TS_RESTRICT C, int M, int N,
 int K) {
#line 3 "gemm.py"
  const int tiles_n = (N + 127) / 128;
#line 3 "gemm.py"
  const int by = ts::bid_x() / tiles_n, bx = ts::bid_x() % tiles_n;
#line 4 "gemm.py"
  TS_SMEM(ts::f16, A_shared, 3 * 128 * 32, 0);
#line 5 "gemm.py"
  TS_SMEM(ts::f16, B_shared, 3 * 32 * 128, 24576);
#line 6 "gemm.py"
  const int tid = ts::tid_x(), lane = tid & 31, warp = tid >> 5;
#line 6 "gemm.py"
  const int wm = (warp & 1) * 64, wn = (warp >> 1) * 64;
#line 6 "gemm.py"
  TS_LOCAL(float, C_local, 128);
#line 7 "gemm.py"
  for (int i = 0; i < 128; ++i) C_local[i] = 0.f;
#line 8 "gemm.py"
  const int steps = (K + 31) / 32;
#line 9 "gemm.py"
  for (int s = 0; s < 2; ++s) {
    if (s < steps) {
      load_A(A_shared, A, by, M, K, s, s);
      load_B(B_shared, B, bx, N, K, s, s);
    }
#line 9 "gemm.py"
    ts::ptx::cp_async_commit();
  }
#line 9 "gemm.py"
  for (int k = 0; k < steps; ++k) {
#if DROP != 1
#line 9 "gemm.py"
    ts::ptx::cp_async_wait<1>();
#endif
#if DROP != 2
#line 9 "gemm.py"
    ts::cta_sync();
#endif
#line 9 "gemm.py"
    const int nk = k + 2;
    if (nk < steps) {
      load_A(A_shared, A, by, M, K, nk, nk % 3);
      load_B(B_shared, B, bx, N, K, nk, nk % 3);
    }
#line 9 "gemm.py"
    ts::ptx::cp_async_commit();
#line 12 "gemm.py"
    const ts::f16* As = A_shared + (k % 3) * 4096;
#line 12 "gemm.py"
    const ts::f16* Bs = B_shared + (k % 3) * 4096;
#line 12 "gemm.py"
    for (int ki = 0; ki < 2; ++ki) {
#line 12 "gemm.py"
      TS_LOCAL(ts::u32, a, 16);
#line 12 "gemm.py"
      TS_LOCAL(ts::u32, b, 16);
#line 12 "gemm.py"
      for (int i = 0; i < 4; ++i) {
#line 12 "gemm.py"
        const int row = wm + i * 16 + (lane & 15), col = ki * 2 + (lane >> 4);
#line 12 "gemm.py"
        ts::ptx::ldmatrix_x4(a + 4 * i, As + row * 32 + ((col ^ ((row >> 1) & 3)) << 3));
      }
#line 12 "gemm.py"
      for (int j = 0; j < 4; ++j) {
#line 12 "gemm.py"
        const int row = ki * 16 + (lane & 15), col = ((wn + j * 16) >> 3) + (lane >> 4);
#line 12 "gemm.py"
        ts::ptx::ldmatrix_x4_trans(b + 4 * j, Bs + row * 128 + ((col ^ (row & 7)) << 3));
      }
#line 12 "gemm.py"
      for (int i = 0; i < 4; ++i)
#line 12 "gemm.py"
        for (int j = 0; j < 8; ++j)
#line 12 "gemm.py"
          ts::ptx::mma_m16n8k16_f32_f16_f16(C_local + (i * 8 + j) * 4, a + 4 * i,
                                            b + (j >> 1) * 4 + (j & 1) * 2,
                                            C_local + (i * 8 + j) * 4);
    }
  }
#line 13 "gemm.py"
  for (int i = 0; i < 4; ++i)
#line 13 "gemm.py"
    for (int j = 0; j < 8; ++j)
#line 13 "gemm.py"
      for (int h = 0; h < 2; ++h) {
#line 13 "gemm.py"
        const int row = by * 128 + wm + i * 16 + (lane >> 2) + h * 8 + (DROP == 3 ? 1 : 0);
#line 13 "gemm.py"
        const int col = bx * 128 + wn + j * 8 + (lane & 3) * 2;
#line 13 "gemm.py"
        ts::vec<float, 2> x;
#line 13 "gemm.py"
        x[0] = C_local[(i * 8 + j) * 4 + h * 2];
#line 13 "gemm.py"
        x[1] = C_local[(i * 8 + j) * 4 + h * 2 + 1];
#line 13 "gemm.py"
        if (DROP == 3 || (row < M && col < N)) *(ts::vec<float, 2>*)(C + (long)row * N + col) = x;
      }
#line 13 "gemm.py"
  ts::ptx::cp_async_wait<0>();
}
TS_LAUNCH(gemm, (*(const ts::f16**)args[0], *(const ts::f16**)args[1], *(float**)args[2],
                 *(int*)args[3], *(int*)args[4], *(int*)args[5]))
