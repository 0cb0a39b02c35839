// SPDX-License-Identifier: MIT
// Fences of the memory model and between proxies. PTX: fence.acq_rel, fence.sc, fence.proxy.async,
// fence.mbarrier_init. The text of a Call is the scope: "cta", "gpu", "sys".
#include "compiler/isa/instr.h"

namespace tilescale::isa {
namespace {

Instr Row(const char* name, const char* function, ir::Order order, bool scoped,
          bool (*available)(const Target&) = nullptr) {
  Instr r;
  r.name = name;
  r.header = "ptx/fence.cuh";
  r.function = function;
  r.sync = SyncKind::kFence;
  r.order = order;
  r.text_is_template = scoped;
  r.available = available;
  return r;
}

bool HasAsyncProxy(const Target& t) {
  return t.arch->has_bulk;
}

const Registration kRows({
    Row("fence.acq_rel", "ts::ptx::fence_acq_rel", ir::Order::kAcqRel, true),
    Row("fence.sc", "ts::ptx::fence_sc", ir::Order::kSeqCst, true),
    Row("fence.proxy_async", "ts::ptx::fence_proxy_async", ir::Order::kWeak, false, HasAsyncProxy),
    Row("fence.mbarrier_init", "ts::ptx::fence_mbarrier_init", ir::Order::kWeak, false,
        HasAsyncProxy),
});

}  // namespace
}  // namespace tilescale::isa
