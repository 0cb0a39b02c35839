// SPDX-License-Identifier: MIT
// Identity, shared buffers, peers, barriers, fences, mbarriers and asynchronous copies: twins of
// ptx/config.cuh, barrier.cuh, peer.cuh, fence.cuh, mbarrier.cuh, cp_async.cuh, bulk.cuh, nbi.cuh.
#include "sim/collective.h"
#include "sim/core.h"
#include "sim/report.h"

#include <cstring>
#include <tilescale/ptx/barrier.cuh>
#include <tilescale/ptx/bulk.cuh>
#include <tilescale/ptx/cp_async.cuh>
#include <tilescale/ptx/fence.cuh>
#include <tilescale/ptx/mbarrier.cuh>
#include <tilescale/ptx/nbi.cuh>
#include <tilescale/ptx/peer.cuh>

namespace sim = tilescale::sim;
using sim::current;

namespace {

sim::u8* Bytes(const void* p) {
  return static_cast<sim::u8*>(const_cast<void*>(p));
}

int ThreadId(const sim::Fiber& f, int axis) {
  const sim::Dim3& b = f.cta->launch->info.block;
  if (axis == 0) return int(f.tid % b.x);
  if (axis == 1) return int(f.tid / b.x % b.y);
  return int(f.tid / b.x / b.y);
}

int Axis(const sim::Dim3& d, int axis) {
  return int(axis == 0 ? d.x : axis == 1 ? d.y : d.z);
}

}  // namespace

int ts_sim_id(int which) {
  const sim::Fiber& f = *current;
  const sim::Launch& l = *f.cta->launch;
  if (which < 3) return ThreadId(f, which);
  if (which < 6) return Axis(f.cta->index, which - 3);
  if (which < 9) return Axis(l.info.grid, which - 6);
  if (which < 12) return Axis(l.info.block, which - 9);
  switch (which) {
    case 12:
      return int(f.lane());
    case 13:
      return int(f.warp());
    case 14:
      return int(f.cta->rank);
    case 15:
      return int(sim::core.config.ranks);
    default:
      return int(f.tid);
  }
}

void* ts_sim_smem(const ts_smem_decl* decl) {
  return current->cta->shared[decl->index];
}

void ts_sim_poison(void* p, ts_usize bytes) {
  std::memset(p, 0xff, bytes);
}

void ts_sim_spin(const char* relation, ts_u64 value, bool is_signed) {
  TS_SIM_ENTER();
  current->awaited = {relation, value, is_signed};
  if (sim::core.stale == sim::core.Lasting()) sim::ReportEndlessLoop();
  sim::core.spins++;
  current->cta->calm = 0;
  if (sim::core.Random() & 1) sim::Yield();
}

void* ts_sim_peer(const void* p, int rank) {
  TS_SIM_ENTER();
  sim::Fiber& f = *current;
  if (rank < 0 || sim::u32(rank) >= sim::core.config.ranks) sim::Fail(sim::RankReport(rank, f));
  return sim::arena.HeapOf(sim::u32(rank)) + (Bytes(p) - sim::arena.HeapOf(f.cta->rank));
}

void ts_sim_bar_sync(ts_u32 id, ts_u32 count) {
  TS_SIM_ENTER();
  sim::BarrierArrive(*current, id, count, true);
}

void ts_sim_bar_arrive(ts_u32 id, ts_u32 count) {
  TS_SIM_ENTER();
  sim::BarrierArrive(*current, id, count, false);
}

int ts_sim_bar_red(ts_u32 id, ts_u32 count, int pred, int op) {
  TS_SIM_ENTER();
  return sim::BarrierReduce(*current, id, count, pred != 0, op);
}

void ts_sim_warp_sync(ts_u32 mask) {
  TS_SIM_ENTER();
  sim::WarpBarrierArrive(*current, mask);
}

void ts_sim_fence(int scope, int sequential) {
  TS_SIM_ENTER();
  sim::Fence(*current, sim::Scope(scope), sequential != 0);
}

void ts_sim_fence_proxy_async() {
  TS_SIM_ENTER();
  sim::FenceProxyAsync(*current);
}

// Orders mbarrier.init for later operations of the cluster; every path to them that is simulated
// goes through a barrier, which orders it already.
void ts_sim_fence_mbarrier_init() {
  TS_SIM_ENTER();
}

void ts_sim_mbar_init(ts::mbar* bar, ts_u32 count) {
  TS_SIM_ENTER();
  sim::MbarrierInit(*current, Bytes(bar), count);
}

void ts_sim_mbar_inval(ts::mbar* bar) {
  TS_SIM_ENTER();
  sim::MbarrierInvalidate(*current, Bytes(bar));
}

void ts_sim_mbar_arrive(ts::mbar* bar) {
  TS_SIM_ENTER();
  sim::MbarrierArrive(*current, Bytes(bar), 0, true);
}

void ts_sim_mbar_expect_tx(ts::mbar* bar, ts_u32 bytes) {
  TS_SIM_ENTER();
  sim::MbarrierArrive(*current, Bytes(bar), bytes, false);
}

void ts_sim_mbar_arrive_expect_tx(ts::mbar* bar, ts_u32 bytes) {
  TS_SIM_ENTER();
  sim::MbarrierArrive(*current, Bytes(bar), bytes, true);
}

void ts_sim_mbar_wait(ts::mbar* bar, ts_u32 parity) {
  TS_SIM_ENTER();
  sim::MbarrierWait(*current, Bytes(bar), parity);
}

bool ts_sim_mbar_test(ts::mbar* bar, ts_u32 parity) {
  TS_SIM_ENTER();
  return sim::MbarrierTest(*current, Bytes(bar), parity);
}

void ts_sim_cp_async(void* smem, const void* gmem, ts_u32 bytes, ts_u32 valid) {
  TS_SIM_ENTER();
  sim::CpAsync(*current, Bytes(smem), Bytes(gmem), bytes, valid);
}

void ts_sim_cp_async_commit() {
  sim::CpAsyncCommit(*current);
}

void ts_sim_cp_async_wait(ts_u32 groups) {
  TS_SIM_ENTER();
  sim::CpAsyncWait(*current, groups);
}

void ts_sim_cp_async_wait_all() {
  TS_SIM_ENTER();
  sim::CpAsyncWaitAll(*current);
}

void ts_sim_cp_async_mbar_arrive(ts::mbar* bar) {
  TS_SIM_ENTER();
  sim::CpAsyncArrive(*current, Bytes(bar));
}

void ts_sim_bulk_load(void* smem, const void* gmem, ts_u32 bytes, ts::mbar* bar) {
  TS_SIM_ENTER();
  sim::BulkLoad(*current, Bytes(smem), Bytes(gmem), bytes, Bytes(bar));
}

void ts_sim_bulk_store(void* gmem, const void* smem, ts_u32 bytes) {
  TS_SIM_ENTER();
  sim::BulkStore(*current, Bytes(gmem), Bytes(smem), bytes);
}

void ts_sim_bulk_commit() {
  current->bulk_group++;
}

void ts_sim_bulk_wait(ts_u32 groups, int read) {
  TS_SIM_ENTER();
  sim::BulkWait(*current, groups, read != 0);
}

void ts_sim_move(int change) {
  current->moves += ts_u32(change);
}

void ts_sim_put_nbi(void* to, const void* from, ts_u32 bytes) {
  TS_SIM_ENTER();
  sim::PutNbi(*current, Bytes(to), Bytes(from), bytes);
}

void ts_sim_quiet() {
  TS_SIM_ENTER();
  sim::Quiet(*current);
}
