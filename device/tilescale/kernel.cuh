// SPDX-License-Identifier: MIT
// What every kernel text includes. The simulator compiles the same text against the twins in
// sim/include.
//
//   included here        names
//   ptx/config.cuh       TS_KERNEL TS_SMEM TS_LOCAL TS_VAR TS_RESTRICT TS_LAUNCH, i8 to u64, Sem,
//                        Scope, tid_x to nctaid_z, thread_rank, lane_id, warp_id, spin, bits
//   ptx/barrier.cuh      cta_sync, cta_sync_and/or/count, bar_sync, bar_arrive, warp_sync
//   ptx/misc.cuh         print, device_assert; ptx::nanosleep, clock, globaltimer, trap
//   numeric/types.cuh    f16 bf16 tf32 e4m3 e5m2, vec, f16_bits, bf16_bits
//   numeric/half.cuh     f16 and bf16: operators, fma, min, max, min_nan, max_nan, add2 to max2
//   numeric/cast.cuh     cast, cast_vec
//   numeric/classify.cuh isnan, isinf, isfinite
//   numeric/integer.cuh  min, max, abs, wrapping_*, popcount, clz, ffs, floordiv, floormod
//   math.cuh             exp to hypot, min, max, fast_*, add_rn to fma_rp
//
//   by need              names, in ts::ptx but for the last three
//   ptx/cp_async.cuh     cp_async, cp_async_zfill, _commit, _wait, _wait_all, _mbar_arrive
//   ptx/ldmatrix.cuh     ldmatrix_*, stmatrix_*
//   ptx/mma_sync.cuh     mma_*
//   ptx/mbarrier.cuh     ts::mbar, mbar_*
//   ptx/fence.cuh        fence_*
//   ptx/ldst.cuh         ld, st, ld_nc
//   ptx/atomic.cuh       atom_*, red_*
//   ptx/shuffle.cuh      shfl_*, vote_*, match_*, redux_*, elect_one, activemask
//   ptx/bulk.cuh         bulk_*
//   ptx/nbi.cuh          put_nbi, quiet
//   ptx/peer.cuh         ts::rank, ts::num_ranks, ts::peer
//   numeric/int4.cuh     ts::i4vec, ts::u4vec, ts::to_i4, ts::to_u4, ts::cast_i4vec, ts::cast_u4vec
//   sync/grid.cuh        ts::grid_sync
#pragma once
#include <tilescale/numeric/numeric.cuh>
#include <tilescale/ptx/barrier.cuh>
#include <tilescale/ptx/config.cuh>
#include <tilescale/ptx/misc.cuh>
