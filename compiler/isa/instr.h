// SPDX-License-Identifier: MIT
// Instructions are data. A row says what an instruction is called, where it exists, who issues it,
// what it does to memory and which device function prints it. Codegen, selection, layouts,
// synchronisation and the simulator's coverage table read these rows; one file a family.
#pragma once

#include "compiler/ir/effects.h"
#include "compiler/ir/stmt.h"
#include "compiler/layout/layout.h"
#include "compiler/target/target.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tilescale::isa {

using target::Target;

// What one argument or result of a row does to memory. `arg` counts args first, then results as
// -1, -2, …; the footprint is the argument's Addr region.
struct ArgEffect {
  int arg;
  ir::Mode mode;
  ir::Proxy proxy = ir::Proxy::kGeneric;
  ir::Done done = ir::Done::kProgram;
};

enum class Issue : uint8_t { kThread, kWarp, kGroup, kOne };

// What kind of synchronisation a row is, for InsertSync, Covered and the mutants.
enum class SyncKind : uint8_t {
  kNone,
  kCtaBarrier,
  kNamedBarrier,
  kBarrierArrive,
  kWarpBarrier,
  kAsyncCommit,
  kAsyncWait,
  kMbarInit,
  kMbarArrive,
  kMbarWait,
  kFence,
  kCluster
};

struct Instr {
  std::string name;    // "ldmatrix.x4.trans"
  std::string header;  // device header: "ptx/ldmatrix.cuh"; empty: kernel.cuh
  std::string
      function;  // "ts::ptx::ldmatrix_x4_trans"; `text` of a Call is an extra template or literal
  Issue issue = Issue::kThread;
  std::vector<ArgEffect> effects;
  ir::Order order = ir::Order::kWeak;
  ir::MemScope scope = ir::MemScope::kCta;
  SyncKind sync = SyncKind::kNone;
  bool (*available)(const Target&) = nullptr;  // null: everywhere
  bool convergent = false;  // all lanes of the warp (or the group) must reach it together
  // Results are passed as pointers behind which the values are written, before the arguments; else
  // a single Var result is the return value.
  bool results_by_pointer = false;
  // C types that pointers are cast to, in printed order (results by pointer, then args); "" for
  // none.
  std::vector<std::string> casts;
  int template_args = 0;  // the first n args are printed as template arguments
  bool text_is_template =
      false;            // Call.text "relaxed.gpu" is printed as <ts::ptx::relaxed, ts::ptx::gpu>
  bool opaque = false;  // reads and writes all that its pointers reach
  bool completes_nbi = false;  // waits for what the nbi forms began (Done::kQuiet)
  bool needs_heap = false;     // reaches other ranks through what it is given
};

void Register(Instr row);
const Instr* Find(std::string_view name);  // nullptr when unknown
const Instr& Get(std::string_view name);   // must exist
std::vector<const Instr*> All();           // by name
bool IsAvailable(const Instr& row, const Target& target);

// Effects of a Call through its row.
ir::Effects EffectsOf(const ir::CallObj* call);

// How a Call orders memory, and for whom: by its text where the row leaves that open
// ("release.sys", "gpu"), and at least as the row does. A volatile access is a relaxed one (PTX
// "Operation types").
struct Ordering {
  ir::Order order;
  ir::MemScope scope;
  bool publishes() const {
    return order == ir::Order::kRelease || order == ir::Order::kAcqRel ||
           order == ir::Order::kSeqCst;
  }
};
Ordering OrderingOf(const ir::CallObj* call);

struct Registration {
  explicit Registration(std::vector<Instr> rows) {
    for (Instr& r : rows) Register(std::move(r));
  }
};

// A matrix instruction of one warp: D[m,n] += A[m,k] · B[k,n]. Fragment layouts in the text form of
// layout/layout.h: A over (m, k), B over (n, k), C over (m, n); threads are lanes, slots registers'
// elements.
struct MmaRow {
  std::string instr;
  int m, n, k;
  ir::DataType a, b, c;
  Layout a_layout, b_layout, c_layout;
  bool (*available)(const Target&);
};
const std::vector<MmaRow>& MmaRows();  // mma_sync.cc, best first

}  // namespace tilescale::isa
