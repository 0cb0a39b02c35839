// SPDX-License-Identifier: MIT
// What `kernel.explain()` prints.
#pragma once

#include "compiler/passes/passes.h"
#include "compiler/target/target.h"
#include "runtime/artifact.h"

#include <string>

namespace tilescale::driver {

// The decisions of one compilation by topic, each with its line in the user's program and with the
// choices that were refused; what was decided several times alike stands once.
std::string ExplainText(const PassContext& ctx, const runtime::Artifact& artifact,
                        const runtime::Variant& variant);

// What the device's compiler made of one kernel.
struct KernelResources {
  std::string entry;
  int64_t threads = 0;
  int64_t registers = 0;      // a thread; -1: not known
  int64_t spilled_bytes = 0;  // stores and loads of one thread
  int64_t shared_bytes = 0;   // a block, static and dynamic
};
// "gemm_kernel: 124 registers a thread, nothing spilled, 49152 bytes of shared memory: 4 blocks of
// 128 threads on a multiprocessor, 25% of its threads, limited by registers".
std::string ResourceText(const target::Arch& arch, const KernelResources& k);

}  // namespace tilescale::driver
