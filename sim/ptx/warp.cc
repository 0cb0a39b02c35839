// SPDX-License-Identifier: MIT
// Shuffles, votes, match, redux, elect: twins of ptx/shuffle.cuh ("Warp-level primitives" of the
// PTX ISA). Lanes of the mask that have exited are not waited for; no memory is ordered.
#include "sim/collective.h"
#include "sim/core.h"

#include <algorithm>
#include <tilescale/ptx/shuffle.cuh>

namespace sim = tilescale::sim;
using sim::CollectLanes;
using sim::Lanes;
using sim::u32;
using sim::u64;

namespace {

struct Shuffle {
  u64 bits;
  int mode, lane, width;
  u64 result;
};

// Source lane of lane l; l itself where the segment has no such lane ("shfl.sync").
u32 Source(const Shuffle& s, u32 l) {
  int width = s.width, first = int(l) & ~(width - 1), at = int(l) - first, from = at;
  switch (s.mode) {
    case 0:
      from = s.lane & (width - 1);
      break;
    case 1:
      from = at ^ s.lane;
      break;
    case 2:
      from = at - s.lane;
      break;
    default:
      from = at + s.lane;
      break;
  }
  return from < 0 || from >= width ? l : u32(first + from);
}

struct Word {
  u64 bits;
  int op;
  u32 result;
};

void Match(const Lanes& lanes) {
  lanes.ForEach([&](u32 l) {
    Word& w = lanes.As<Word>(l);
    w.result = 0;
    lanes.ForEach([&](u32 k) { w.result |= u32(lanes.As<Word>(k).bits == w.bits) << k; });
    if (w.op && w.result != lanes.mask) w.result = 0;  // all: every lane, or none
  });
}

u32 Combine(int op, u32 a, u32 b) {
  switch (op) {
    case 0:
      return a + b;
    case 1:
      return std::min(a, b);
    case 2:
      return std::max(a, b);
    case 3:
      return u32(std::min(int(a), int(b)));
    case 4:
      return u32(std::max(int(a), int(b)));
    case 5:
      return a & b;
    case 6:
      return a | b;
    default:
      return a ^ b;
  }
}

}  // namespace

ts_u64 ts_sim_shfl(ts_u64 bits, int mode, int lane, int width, ts_u32 mask) {
  TS_SIM_ENTER();
  static const char* names[] = {"shfl.idx", "shfl.xor", "shfl.up", "shfl.down"};
  Shuffle s{bits, mode, lane, width, bits};
  CollectLanes(names[mode & 3], mask, &s, [](const Lanes& lanes) {
    constexpr u64 kUndefined = ~u64{0};  // read of a lane that is not there
    lanes.ForEach([&](u32 l) {
      Shuffle& s = lanes.As<Shuffle>(l);
      u32 from = Source(s, l);
      s.result = lanes.Has(from) ? lanes.As<Shuffle>(from).bits : kUndefined;
    });
  });
  return s.result;
}

ts_u32 ts_sim_vote(int pred, int mode, ts_u32 mask) {
  TS_SIM_ENTER();
  static const char* names[] = {"vote.any", "vote.all", "vote.ballot"};
  Word w{u64(pred != 0), mode, 0};
  CollectLanes(names[mode], mask, &w, [](const Lanes& lanes) {
    u32 ballot = 0;
    lanes.ForEach([&](u32 l) { ballot |= u32(lanes.As<Word>(l).bits) << l; });
    lanes.ForEach([&](u32 l) {
      Word& w = lanes.As<Word>(l);
      w.result = w.op == 0 ? ballot != 0 : w.op == 1 ? ballot == lanes.mask : ballot;
    });
  });
  return w.result;
}

bool ts_sim_elect(ts_u32 mask) {
  TS_SIM_ENTER();
  Word w{0, 0, 0};
  CollectLanes("elect", mask, &w, [](const Lanes& lanes) {
    lanes.As<Word>(u32(std::countr_zero(lanes.mask))).result = 1;
  });
  return w.result != 0;
}

ts_u32 ts_sim_match(ts_u64 bits, int all, ts_u32 mask) {
  TS_SIM_ENTER();
  Word w{bits, all, 0};
  CollectLanes(all ? "match.all" : "match.any", mask, &w, Match);
  return w.result;
}

ts_u32 ts_sim_redux(ts_u32 bits, int op, ts_u32 mask) {
  TS_SIM_ENTER();
  static const char* names[] = {"redux.add",     "redux.min.u32", "redux.max.u32", "redux.min.s32",
                                "redux.max.s32", "redux.and",     "redux.or",      "redux.xor"};
  Word w{bits, op, 0};
  CollectLanes(names[op & 7], mask, &w, [](const Lanes& lanes) {
    u32 first = u32(std::countr_zero(lanes.mask)), sum = u32(lanes.As<Word>(first).bits);
    lanes.ForEach([&](u32 l) {
      const Word& w = lanes.As<Word>(l);
      if (l != first) sum = Combine(w.op, sum, u32(w.bits));
    });
    lanes.ForEach([&](u32 l) { lanes.As<Word>(l).result = sum; });
  });
  return w.result;
}

// Which lanes are converged is the hardware's choice; only the calling one is sure to be.
ts_u32 ts_sim_activemask() {
  TS_SIM_ENTER();
  return 1u << sim::current->lane();
}
