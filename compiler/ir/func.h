// SPDX-License-Identifier: MIT
// Programs: a Func is a host program that launches Kernels.
#pragma once

#include "compiler/ir/schedule.h"
#include "compiler/ir/stmt.h"

namespace tilescale::ir {

enum class ParamKind : uint8_t { kTensor, kScalar, kPointer };

// A runtime parameter. tensor: `buffer` (its shape and strides may hold symbolic Vars, bound from
// the argument); scalar: `var`; pointer: both.
class ParamObj : public NodeObj {
 public:
  int64_t kind_ = 0;
  ffi::String name;
  Buffer buffer;
  Var var;
  bool is_out = false;
  bool restrict_ = true;  // false: may alias others (annotate_restrict_buffers and pointers)
  ParamObj() : NodeObj(NodeKind::kParam) {}
  ParamKind param() const { return static_cast<ParamKind>(kind_); }
  static constexpr auto Fields() {
    return std::make_tuple(F("kind", &ParamObj::kind_), F("name", &ParamObj::name),
                           F("buffer", &ParamObj::buffer), F("var", &ParamObj::var),
                           F("is_out", &ParamObj::is_out), F("restrict", &ParamObj::restrict_));
  }
  TS_DECLARE_NODE(Param, Node);
};
TS_DEFINE_REF(Param, Node);

// The pass configurations of the contract as typed fields. `ignored` lists
// accepted keys that mean nothing here; explain() shows them.
class OptionsObj : public NodeObj {
 public:
  bool disable_safe_memory_legalize = false;
  bool disable_thread_storage_sync = false;
  bool disable_warp_specialized = false;
  bool disable_tma_lower = false;
  bool disable_vectorize_256 = false;
  bool disable_shared_reuse = false;  // no two shared buffers get the same bytes
  bool enable_fast_math = false;
  bool source_comments = false;  // one comment with the user's line before each statement
  bool debug_bounds = false;     // keep guards on proven accesses
  int64_t index_bitwidth = 32;   // 64 forbids 32-bit indices
  int64_t max_registers = 0;     // 0: no limit
  ffi::Array<ffi::String> ignored;
  ffi::Array<ffi::String> compile_flags;
  OptionsObj() : NodeObj(NodeKind::kOptions) {}
  static constexpr auto Fields() {
    return std::make_tuple(
        F("disable_safe_memory_legalize", &OptionsObj::disable_safe_memory_legalize),
        F("disable_thread_storage_sync", &OptionsObj::disable_thread_storage_sync),
        F("disable_warp_specialized", &OptionsObj::disable_warp_specialized),
        F("disable_tma_lower", &OptionsObj::disable_tma_lower),
        F("disable_vectorize_256", &OptionsObj::disable_vectorize_256),
        F("disable_shared_reuse", &OptionsObj::disable_shared_reuse),
        F("enable_fast_math", &OptionsObj::enable_fast_math),
        F("source_comments", &OptionsObj::source_comments),
        F("debug_bounds", &OptionsObj::debug_bounds),
        F("index_bitwidth", &OptionsObj::index_bitwidth),
        F("max_registers", &OptionsObj::max_registers), F("ignored", &OptionsObj::ignored),
        F("compile_flags", &OptionsObj::compile_flags));
  }
  TS_DECLARE_NODE(Options, Node);
};
TS_DEFINE_REF(Options, Node);

// One launch. `requires_`: launch facts: host-evaluable conditions that this text
// needs beyond its types; the launcher takes the first variant whose facts hold. `shared_bytes`
// after PlaceMemory; min_blocks 0: not set. swizzle_panel 0: blocks in grid order; else threads of
// the grid are renumbered in panels (rows if swizzle_rows). `max_threads` is threads[0]·[1]·[2]
// plus threads that roles add.
class KernelObj : public StmtObj {
 public:
  ffi::String name;
  ffi::Array<Expr> grid;        // 3
  ffi::Array<Var> block_vars;   // 3
  ffi::Array<int64_t> threads;  // 3
  ffi::Array<Var> thread_vars;  // 3
  ffi::Array<int64_t> cluster;  // 3
  Stmt body;
  Schedule schedule;  // or null
  ffi::Array<Expr> requires_;
  int64_t min_blocks = 0;
  int64_t swizzle_panel = 0;
  bool swizzle_rows = true;
  bool cooperative = false;
  bool pdl = false;
  int64_t shared_bytes = 0;
  int64_t extra_threads = 0;  // added behind the user's by roles
  ffi::String prelude;
  ffi::Array<Buffer> safe_buffers;  // annotate_safe_value: buffer i's out-of-range value
  ffi::Array<Expr> safe_values;
  KernelObj() : StmtObj(NodeKind::kKernel) {}
  int64_t user_threads() const { return threads[0] * threads[1] * threads[2]; }
  int64_t total_threads() const { return user_threads() + extra_threads; }
  static constexpr auto Fields() {
    return std::make_tuple(
        F("name", &KernelObj::name), F("grid", &KernelObj::grid),
        F("block_vars", &KernelObj::block_vars), F("threads", &KernelObj::threads),
        F("thread_vars", &KernelObj::thread_vars), F("cluster", &KernelObj::cluster),
        F("body", &KernelObj::body), F("schedule", &KernelObj::schedule),
        F("requires", &KernelObj::requires_), F("min_blocks", &KernelObj::min_blocks),
        F("swizzle_panel", &KernelObj::swizzle_panel), F("swizzle_rows", &KernelObj::swizzle_rows),
        F("cooperative", &KernelObj::cooperative), F("pdl", &KernelObj::pdl),
        F("shared_bytes", &KernelObj::shared_bytes), F("extra_threads", &KernelObj::extra_threads),
        F("prelude", &KernelObj::prelude), F("safe_buffers", &KernelObj::safe_buffers),
        F("safe_values", &KernelObj::safe_values));
  }
  TS_DECLARE_NODE(Kernel, Stmt);
};
TS_DEFINE_REF(Kernel, Stmt);

enum class Stage : uint8_t { kTile, kMapped, kMachine };
const char* StageName(Stage stage);

class FuncObj : public NodeObj {
 public:
  ffi::String name;
  ffi::Array<Param> params;
  Stmt body;  // Seq of Bind, If, Check, Alloc (workspaces), Kernel
  Options options;
  ffi::String target;  // "sm_90a", or empty before a target is chosen
  int64_t stage_ = 0;
  FuncObj() : NodeObj(NodeKind::kFunc) {}
  Stage stage() const { return static_cast<Stage>(stage_); }
  static constexpr auto Fields() {
    return std::make_tuple(F("name", &FuncObj::name), F("params", &FuncObj::params),
                           F("body", &FuncObj::body), F("options", &FuncObj::options),
                           F("target", &FuncObj::target), F("stage", &FuncObj::stage_));
  }
  TS_DECLARE_NODE(Func, Node);
};
TS_DEFINE_REF(Func, Node);

}  // namespace tilescale::ir
