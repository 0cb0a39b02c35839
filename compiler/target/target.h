// SPDX-License-Identifier: MIT
// What a kernel is compiled for: a kind (who runs the text) and an architecture (what the machine
// has). Numbers that differ between architectures stand here and in isa/, nowhere else: passes ask
// for a feature or a limit, never for a generation.
#pragma once

#include "compiler/target/constants.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tilescale::target {

// The weights of the layout solver's cost, in quarter issue slots of one SM.
struct CostWeights {
  int arithmetic = 4;  // an operation of a nest, times slots and warps / 4
  int global_instr = 4, global_sector = 8, global_replica_sector = 2;
  int shared_instr = 4, shared_wavefront = 4;
  int reduce_slot = 4, reduce_lane = 12, reduce_warps = 256, reduce_warp = 4;
  int scan_slot = 8, scan_run = 60, scan_warps = 256;
  int convert_shuffle = 16, convert_shared = 256, convert_row = 16;
  int reg = 1, spilled_reg = 256, reg_limit = 200;
};

struct Arch {
  const char* name;  // "sm_90a"
  int generation;    // 90: for isa/'s rows ("from sm_89 on") and for compiler flags
  int shared_per_block, shared_per_sm;
  int threads_per_sm, blocks_per_sm, sms;

  bool has_cp_async, has_ldmatrix, has_mbarrier, has_redux;
  bool has_fp8_cvt, has_fp8_mma;
  bool has_stmatrix, has_bulk, has_tma, has_cluster, has_pdl, has_elect;
  bool has_vector_atomics, has_bf16_atomics;  // red.global.v2/v4; atom.add of bf16
  bool has_setmaxnreg, has_wgmma;
  bool has_tcgen05, has_vector_256;  // 32-byte global accesses
  // Tests compile its texts; of a later one only what it shares with these is used.
  bool tested;

  CostWeights cost;

  int warps_per_sm() const { return threads_per_sm / kWarpSize; }
};

enum class Kind : uint8_t { kCuda, kSim };
const char* KindName(Kind kind);

struct Target {
  Kind kind = Kind::kCuda;
  const Arch* arch = nullptr;  // never null after ParseTarget
  bool arch_given = false;     // false: `arch` is the default, the caller may ask the device
  // "cuda sm_90a": ParseTarget reads it back.
  std::string Text() const;
};

// How many blocks one multiprocessor holds at a time, and what allows no more.
struct Occupancy {
  int64_t blocks;
  const char* limit;  // "registers", "shared memory", "threads", "blocks"
};
Occupancy BlocksPerSm(const Arch& arch, int64_t threads, int64_t registers, int64_t shared_bytes);

// nullptr when unknown. "sm_90" names "sm_90a": the features of the suffix are always used.
const Arch* FindArch(std::string_view name);
const std::vector<Arch>& AllArchs();
// What a kernel is compiled for when nobody says: the simulator's machine.
const Arch& DefaultArch();

// "cuda", "sim sm_80", "cuda:sm_90a", "cuda -arch=sm_90a", "sm_80". ValueError naming what is
// known.
Target ParseTarget(std::string_view text);

}  // namespace tilescale::target
