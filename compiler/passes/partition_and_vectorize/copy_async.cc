// SPDX-License-Identifier: MIT
// Vector copies from global to shared memory as cp.async.
#include "compiler/passes/partition_and_vectorize/partition.h"

namespace tilescale::partition {

using namespace ir;  // NOLINT

namespace {

Stmt MakeAsync(const Stmt& s) {
  const auto* store = s.as<StoreObj>();
  if (store == nullptr || store->buffer->space() != Space::kShared) return s;
  const auto* load = store->value.as<LoadObj>();
  if (load == nullptr || load->buffer->space() != Space::kGlobal || load->other.defined()) return s;
  int bytes = Bytes(load->dtype);
  if (bytes != 4 && bytes != 8 && bytes != 16) return s;
  int64_t lanes = load->dtype.lanes;
  Expr dst = MakeAddr(store->buffer, {store->index[0]}, lanes);
  Expr src = MakeAddr(load->buffer, {load->index[0]}, lanes);
  std::string name = "cp_async." + std::to_string(bytes);
  Stmt call = load->guard.defined()
                  ? MakeCall(name + ".zfill", {dst, src, load->guard}, s.get()->span)
                  : MakeCall(name, {dst, src}, s.get()->span);
  if (!store->guard.defined()) return call;
  return MakeIf(store->guard, call, s.get()->span);
}

class AsyncCopies : public Mutator {
 public:
  Stmt MutateStore(const Store& s) override { return MakeAsync(s); }
};

}  // namespace

std::string WhyNotAsync(const std::vector<Stmt>& body) {
  std::string why;
  for (const Stmt& s : body) {
    Walk(s, [&](const NodeObj* n) {
      const auto* store = n->kind == NodeKind::kStore ? static_cast<const StoreObj*>(n) : nullptr;
      if (store == nullptr || store->buffer->space() != Space::kShared) return true;
      const auto* load = store->value.as<LoadObj>();
      why = load == nullptr || load->buffer->space() != Space::kGlobal
                ? "lanes are put together in registers"
                : std::to_string(Bytes(load->dtype)) +
                      " bytes lie together in both tiles, and it copies 4, 8 or 16";
      return true;
    });
  }
  return why;
}

Stmt CopyAsync(const Stmt& s) {
  return AsyncCopies()(s);
}

}  // namespace tilescale::partition
