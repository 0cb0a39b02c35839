// SPDX-License-Identifier: MIT
// Flat addresses. Global: Σ stride·x in the tensor's element type. Shared and fragments: the layout
// of the declaration, versions outermost. Views go through the row-major index of their storage.
#include "compiler/arith/apply_table.h"
#include "compiler/arith/facts.h"
#include "compiler/ir/diag.h"
#include "compiler/passes/partition_and_vectorize/partition.h"
#include "support/diagnostics.h"

namespace tilescale::partition {

using namespace ir;  // NOLINT: the pass speaks of IR throughout

namespace {

Expr Numel(const Buffer& b) {
  Expr n = MakeConst(1, Int(64));
  for (const Expr& e : b->shape) n = Mul(n, Cast(e, Int(64)));
  return n;
}

Buffer FlatBuffer(const Buffer& like, Expr count, Storage storage) {
  return MakeBuffer(Str(like->name), like->dtype, {std::move(count)}, std::move(storage));
}

}  // namespace

void Memories::DeclareGlobal(const Buffer& buffer) {
  Memory m;
  m.root = buffer;
  m.flat = FlatBuffer(buffer, Numel(buffer), buffer->storage);
  memories_[buffer->storage.get()] = m;
  views_[buffer.get()] = {&memories_[buffer->storage.get()], Expr(), false};
}

Stmt Memories::DeclareAlloc(const AllocObj* alloc) {
  if (!alloc->buffer.defined()) return ffi::GetRef<Stmt>(alloc);
  const Buffer& b = alloc->buffer;
  Space space = b.get()->space();
  Memory m;
  m.root = b;
  auto out = CopyNode(alloc);
  if (space == Space::kVar || space == Space::kDesc) {
    m.flat = b;
  } else {
    if (alloc->layout.size() != 0) {
      m.layout = *ParseAny(Str(alloc->layout));
      m.has_layout = true;
      m.physical = ExtentOf(m.layout, space == Space::kFrag ? kSlot : kAddr);
    } else if (space != Space::kGlobal) {
      TS_CHECK(space != Space::kFrag) << "fragment " << b->name << " has no layout";
      m.physical = NumElements(b);
    }
    Storage storage = b->storage;
    if (space == Space::kFrag)
      storage = MakeStorage(Str(storage->name), Space::kLocal, Root::kAlloc);
    Expr count =
        space == Space::kGlobal ? Numel(b) : MakeConst(m.physical * alloc->versions, Int(64));
    m.flat = FlatBuffer(b, count, storage);
  }
  out->buffer = m.flat;
  out->layout = ffi::String();
  out->families = 0;
  out->versions = 1;
  out->layout_fixed = false;
  memories_[b->storage.get()] = m;
  views_[b.get()] = {&memories_[b->storage.get()], Expr(), false};
  return Stmt(out);
}

Stmt Memories::DeclareView(const ViewObj* view) {
  const Buffer& b = view->buffer;
  if (view->pointer.defined()) {
    // Memory behind a pointer value: a root of its own.
    Memory m;
    m.root = b;
    m.flat = FlatBuffer(b, Numel(b), b->storage);
    memories_[b->storage.get()] = m;
    views_[b.get()] = {&memories_[b->storage.get()], Expr(), false};
    auto out = CopyNode(view);
    out->buffer = m.flat;
    return Stmt(out);
  }
  Memory* m = MemoryOf(b);
  ViewInfo info{m, Expr(), view->slots};
  Stmt bind;
  if (view->version.defined()) {
    // A snapshot: the slot that is current here.
    Var v = MakeVar(std::string(b->name) + "_slot", Int(32));
    bind = MakeBind(v, view->version, view->span);
    info.version = v;
    analyzer_->Bind(v, analyzer_->Bounds(view->version));
  }
  views_[b.get()] = info;
  return bind;
}

Memory* Memories::MemoryOf(const Buffer& b) {
  auto it = memories_.find(b->storage.get());
  TS_CHECK(it != memories_.end()) << "buffer " << b->name << " has no declaration in scope";
  return &it->second;
}

Buffer Memories::Retyped(Memory* m, DataType t) {
  if (SameType(m->flat->dtype, t)) return m->flat;
  for (const Buffer& b : retyped_[m->flat.get()]) {
    if (SameType(b->dtype, t)) return b;
  }
  auto copy = CopyNode(m->flat.get());
  copy->dtype = t;
  Expr bits = Mul(Cast(m->flat->shape[0], Int(64)), m->flat->dtype.bits);
  copy->shape = {FloorDiv(bits, t.bits)};
  Buffer out(copy);
  retyped_[m->flat.get()].push_back(out);
  return out;
}

// The row-major (or strided) index of b[index] in its storage, in b's elements.
Expr Memories::RowMajorIndex(const Buffer& b, const ffi::Array<Expr>& index) {
  Expr flat = b->offset.defined() ? b->offset : MakeConst(0);
  if (!b->strides.empty()) {
    for (size_t d = 0; d < index.size(); ++d) {
      flat = Add(flat, Mul(Cast(index[d], flat.dtype()), Cast(b->strides[d], flat.dtype())));
    }
    return flat;
  }
  Expr row;
  for (size_t d = 0; d < index.size(); ++d) {
    row = row.defined() ? Add(Mul(row, Cast(b->shape[d], row.dtype())), Cast(index[d], row.dtype()))
                        : Cast(index[d], flat.dtype());
  }
  return row.defined() ? Add(flat, row) : flat;
}

bool Memories::NeedsWideIndex(Memory* m, const Buffer& b) {
  auto it = wide_.find(b->storage.get());
  if (it != wide_.end()) return it->second;
  constexpr int64_t kLimit = int64_t(1) << 31;
  bool wide = false;
  Expr count = Numel(m->root);
  if (!m->root->strides.empty()) {
    count = MakeConst(1, Int(64));
    for (size_t d = 0; d < m->root->shape.size(); ++d) {
      Expr last = Add(Cast(m->root->shape[d], Int(64)), -1);
      count = Add(count, Mul(last, Cast(m->root->strides[d], Int(64))));
    }
  }
  auto known = AsInt(analyzer_->Simplify(count));
  if (known) {
    wide = *known >= kLimit;
  } else {
    Expr fact = Lt(count, MakeConst(kLimit, Int(64)));
    wide = ctx_->general || !arith::IsHostEvaluable(count, func_);
    if (!wide) facts_.push_back(fact);
  }
  return wide_[b->storage.get()] = wide;
}

Expr Memories::GlobalIndex(Memory* m, const Buffer& b, const ffi::Array<Expr>& index) {
  if (!NeedsWideIndex(m, b)) return RowMajorIndex(b, index);
  ffi::Array<Expr> wide;
  for (const Expr& e : index) wide.push_back(Cast(e, Int(64)));
  auto copy = CopyNode(b.get());
  copy->offset = Cast(b->offset.defined() ? b->offset : MakeConst(0), Int(64));
  return RowMajorIndex(Buffer(copy), wide);
}

Expr Memories::LayoutIndex(Memory* m, const Buffer& b, const ffi::Array<Expr>& index) {
  Axis axis = m->root->space() == Space::kFrag ? kSlot : kAddr;
  int64_t mine = b->dtype.bits, roots = m->root->dtype.bits;
  bool same_shape = b->shape.size() == m->root->shape.size() && mine == roots &&
                    b->strides.empty() && !b->offset.defined();
  for (size_t d = 0; same_shape && d < b->shape.size(); ++d) {
    same_shape = AsInt(b->shape[d]) == AsInt(m->root->shape[d]);
  }
  std::vector<Expr> point(index.begin(), index.end());
  Expr low;  // position inside one element of the root, of a view with smaller elements
  if (!same_shape) {
    Expr flat = RowMajorIndex(b, index);
    if (mine < roots) {
      low = FloorMod(flat, roots / mine);
      flat = FloorDiv(flat, roots / mine);
    } else if (mine > roots) {
      flat = Mul(flat, mine / roots);
    }
    point.clear();
    std::vector<int64_t> shape = ConstShape(m->root);
    for (size_t d = shape.size(); d-- > 0;) {
      point.insert(point.begin(), d == 0 ? flat : FloorMod(flat, shape[d]));
      flat = FloorDiv(flat, shape[d]);
    }
  }
  const Layout* modes = std::get_if<Layout>(&m->layout);
  Expr place = modes != nullptr ? arith::ApplyLayout(*modes, axis, point)
                                : arith::ApplyTable(std::get<Table>(m->layout), axis, point);
  if (!place.defined()) {
    Raise("CompileError", "the layout of `", m->root->name,
          "` has no formula for the places of its ", NumElements(m->root),
          " elements (a linear sum modulo a number, or an XOR of bits of the "
          "index), and at most ",
          arith::kLookupLimit,
          " are looked up one by one: annotate a layout "
          "with a formula, or a smaller tile");
  }
  if (low.defined()) return Add(Mul(place, roots / mine), low);
  return mine > roots ? FloorDiv(place, mine / roots) : place;
}

Memories::Place Memories::Locate(const Buffer& b, const ffi::Array<Expr>& index) {
  auto it = views_.find(b.get());
  ViewInfo info = it != views_.end() ? it->second : ViewInfo{MemoryOf(b), Expr(), false};
  Memory* m = info.memory;
  Space space = m->root->space();
  if (space == Space::kVar || space == Space::kDesc)
    return {m->flat, index.empty() ? MakeConst(0) : index[0]};
  Buffer flat = Retyped(m, b->dtype);
  Expr place;
  if (info.slots) {
    place = index[0];
  } else if (space == Space::kGlobal) {
    place = GlobalIndex(m, b, index);
  } else if (m->has_layout) {
    place = LayoutIndex(m, b, index);
  } else {
    place = RowMajorIndex(b, index);
  }
  if (info.version.defined()) {
    int64_t step = m->physical * m->root->dtype.bits / b->dtype.bits;
    place = Add(Mul(Cast(info.version, place.dtype()), step), place);
  }
  return {flat, analyzer_->Simplify(place)};
}

Expr AddressRewriter::MutateLoad(const Load& load) {
  ffi::Array<Expr> index;
  for (const Expr& e : load->index) index.push_back(MutateExpr(e));
  Memories::Place place = memories_->Locate(load->buffer, index);
  auto out = CopyNode(load.get());
  out->buffer = place.flat;
  out->index = {place.index};
  out->guard = analyzer_->Simplify(MutateExpr(load->guard));
  if (out->guard.defined() && IsConst(out->guard, 1)) out->guard = Expr();
  out->other = MutateExpr(load->other);
  return Expr(out);
}

Stmt AddressRewriter::MutateStore(const Store& store) {
  ffi::Array<Expr> index;
  for (const Expr& e : store->index) index.push_back(MutateExpr(e));
  Memories::Place place = memories_->Locate(store->buffer, index);
  auto out = CopyNode(store.get());
  out->buffer = place.flat;
  out->index = {place.index};
  out->value = MutateExpr(store->value);
  out->guard = analyzer_->Simplify(MutateExpr(store->guard));
  if (out->guard.defined() && IsConst(out->guard, 1)) out->guard = Expr();
  return Stmt(out);
}

// The address of a box: its first element. The flat extent is that of the last dim where it is
// known to be a run (instructions touch rows), else the whole rest of the buffer. What is checked
// of the logical dims has become a guard of the statement.
Region AddressRewriter::MutateRegion(const Region& region) {
  ffi::Array<Expr> begin;
  for (const Expr& e : region->begin) begin.push_back(MutateExpr(e));
  Memories::Place place = memories_->Locate(region->buffer, begin);
  Expr count = MakeConst(1, place.index.dtype());
  for (const Expr& e : region->extent) {
    if (e.defined()) count = Mul(count, Cast(MutateExpr(e), count.dtype()));
  }
  auto out = CopyNode(region.get());
  out->buffer = place.flat;
  out->begin = {place.index};
  out->extent = {count};
  out->check_lo = out->check_hi = 0;
  if (region->peer.defined()) out->peer = MutateExpr(region->peer);
  if (region->cta.defined()) out->cta = MutateExpr(region->cta);
  return Region(out);
}

}  // namespace tilescale::partition
