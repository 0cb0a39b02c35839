// SPDX-License-Identifier: MIT
// Function + target → Artifact. The one entry to the compiler.
#pragma once

#include "compiler/ir/func.h"
#include "compiler/target/target.h"
#include "runtime/artifact.h"

#include <tvm/ffi/container/map.h>

#include <optional>
#include <string>
#include <vector>

namespace tilescale::driver {

struct PassTime {
  std::string pass;
  int64_t microseconds;
  int64_t nodes;   // of the program after it
  int64_t visits;  // of nodes, by its walks and rewrites
};

// All that Compile's result depends on, as text: the program in canonical form, its options and the
// target. nullopt where a compilation must run, because its doings are asked for (verify, dump).
std::optional<std::string> CacheText(const ir::Func& f, const target::Target& target);

// The artifact with variant `index` in text. Index 0 relies on launch facts; if it states any, the
// artifact has a second, empty variant that relies on none: the launcher asks for it (index 1) on
// first need. `times`, if given, gets one entry a pass, and one each for the launch record and the
// text. Internal errors write a replay file and name it.
runtime::Artifact Compile(const ir::Func& f, const target::Target& target, int index = 0,
                          std::vector<PassTime>* times = nullptr);

// The same in two steps, for variant 0: the program behind the last pass, and the artifact of one.
ir::Func Lower(const ir::Func& f, const target::Target& target);
runtime::Artifact Assemble(const ir::Func& lowered, const target::Target& target);

// `f` with pass configs set: "tl.disable_shared_memory_reuse" -> true.
ir::Func WithOptions(const ir::Func& f, const ffi::Map<ffi::String, ffi::Any>& options);

// The CUDA text of a program behind the last pass.
std::string EmitText(const ir::Func& f, const target::Target& target);

}  // namespace tilescale::driver
