// SPDX-License-Identifier: MIT
// Memory of the language: allocations, views, elements, slices, addresses, stores.
#include "compiler/ir/builder.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"
#include "compiler/target/constants.h"

#include <tvm/ffi/cast.h>

#include <array>
#include <numeric>

namespace tilescale::ir {

namespace {

struct ScopeRow {
  std::string_view scope;  // as the user says it
  Space space;
};
constexpr std::array kScopes = {
    ScopeRow{"shared.dyn", Space::kShared},   ScopeRow{"shared", Space::kShared},
    ScopeRow{"local.fragment", Space::kFrag}, ScopeRow{"local", Space::kLocal},
    ScopeRow{"local.var", Space::kVar},       ScopeRow{"global", Space::kGlobal},
    ScopeRow{"shared.barrier", Space::kMbar},
};

std::optional<Space> FindScope(std::string_view scope) {
  for (const ScopeRow& row : kScopes) {
    if (row.scope == scope) return row.space;
  }
  return std::nullopt;
}

std::string ShapeText(const std::vector<Expr>& shape) {
  std::string text = "[";
  for (size_t d = 0; d < shape.size(); ++d) text += (d > 0 ? ", " : "") + DimText(shape[d]);
  return text + "]";
}

std::vector<Expr> ShapeOf(const Buffer& buffer) {
  return std::vector<Expr>(buffer->shape.begin(), buffer->shape.end());
}

// Strides in elements, row-major where the buffer names none.
std::vector<Expr> StridesOf(const Buffer& buffer) {
  if (!buffer->strides.empty()) {
    return std::vector<Expr>(buffer->strides.begin(), buffer->strides.end());
  }
  std::vector<Expr> strides(buffer->shape.size());
  Expr stride = MakeConst(1);
  for (size_t d = strides.size(); d-- > 0;) {
    strides[d] = stride;
    stride = Binary("mul", stride, buffer->shape[d]);
  }
  return strides;
}

Expr Product(const std::vector<Expr>& factors) {
  Expr product = MakeConst(1);
  for (const Expr& f : factors) product = Binary("mul", product, f);
  return product;
}

void CheckRank(const Buffer& buffer, size_t count, const std::string& given) {
  size_t rank = buffer->shape.size();
  if (count == rank) return;
  Raise("IndexError", "Buffer ", std::string(buffer->name), " is ", rank,
        "-dimensional (shape=", ShapeText(ShapeOf(buffer)), "), but ", count,
        " index(es) were provided: ", given, ". Please provide exactly ", rank,
        " index/indices or slice(s).");
}

// Of an access through vector indices. It is one access a lane: each has a bound and an alignment
// of its own.
int Lanes(const std::vector<Expr>& index) {
  int found = 1;
  for (const Expr& e : index) {
    int lanes = e.dtype().lanes;
    if (lanes == 1) continue;
    if (found > 1 && found != lanes) {
      Raise("TypeError", "vector indices of ", found, " and ", lanes,
            " lanes do not match: give them the same number");
    }
    found = lanes;
  }
  return found;
}

void CheckVector(DataType element, int lanes) {
  if (element.bits < 8) {
    Raise("TypeError", "a vector index of elements of ", LanguageName(element),
          " is not supported: access them in a T.vectorized loop");
  }
  if ((lanes & (lanes - 1)) == 0 &&
      lanes * element.lanes * element.bits <= 8 * target::kMaxAccessBytes) {
    return;
  }
  Raise("ValueError", "a vector of ", lanes, " lanes of ", LanguageName(element),
        ": the number of lanes is a power of 2, and a vector has at most 16 bytes");
}

std::vector<Expr> LanesOf(const std::vector<Expr>& index, int lane) {
  std::vector<Expr> scalar;
  for (const Expr& e : index) scalar.push_back(LaneOf(e, lane));
  return scalar;
}

}  // namespace

Expr LaneOf(const Expr& vector, int lane) {
  if (vector.dtype().lanes == 1) return vector;
  if (const auto* op = vector.as<OpObj>()) {
    if (op->op() == OpCode::kBroadcast) return op->args[0];
    if (op->op() == OpCode::kCast) return CastTo(LaneOf(op->args[0], lane), Element(op->dtype));
    if (op->op() == OpCode::kVector && static_cast<int>(op->args.size()) == op->dtype.lanes) {
      return op->args[lane];
    }
  }
  return MakeOp(OpCode::kLane, {vector, MakeConst(lane)}, Element(vector.dtype()));
}

std::vector<Expr> ToIndices(const Buffer& buffer, const Values& index) {
  std::string given = "[";
  if (index.size() != buffer->shape.size()) {
    for (size_t d = 0; d < index.size(); ++d)
      given += (d > 0 ? ", " : "") + DimText(ToExpr(index[d]));
    CheckRank(buffer, index.size(), given + "]");
  }
  std::vector<Expr> out;
  for (size_t d = 0; d < index.size(); ++d) out.push_back(ToIndex(index[d], buffer, d));
  return out;
}

Expr BuildLoad(const Buffer& buffer, const std::vector<Expr>& index) {
  CheckRank(buffer, index.size(), ShapeText(index));
  const int count = Lanes(index);
  if (count == 1) return MakeLoad(buffer, index);
  CheckVector(buffer->dtype, count);
  std::vector<Expr> lanes;
  for (int i = 0; i < count; ++i) lanes.push_back(MakeLoad(buffer, LanesOf(index, i)));
  return MakeOp(OpCode::kVector, lanes, WithLanes(buffer->dtype, count));
}

Region BuildRegion(const Buffer& buffer, const Values& begin, const ffi::Any& extent) {
  std::vector<Expr> from = ToIndices(buffer, begin);
  std::vector<Expr> size(from.size());
  if (!IsNone(extent)) {
    Values given = ToValues(extent);
    if (given.size() != from.size()) {
      Raise("InternalError", "a region of ", from.size(), " dimensions got ", given.size(),
            " extents");
    }
    for (size_t d = 0; d < size.size(); ++d) {
      if (IsNone(given[d])) continue;
      size[d] = ToIndex(given[d], buffer, d);
      auto n = AsInt(size[d]);
      if (n && *n < 0) {
        Raise("ValueError", "slice ", d, " of `", std::string(buffer->name),
              "` is empty: it has extent ", *n);
      }
    }
  }
  return MakeRegion(buffer, from, size);
}

Region ToRegion(const ffi::Any& v) {
  if (auto region = v.as<Region>()) return *region;
  if (auto buffer = v.as<Buffer>()) return FullRegion(*buffer);
  const auto* load = v.as<LoadObj>();
  if (load == nullptr || load->dtype.lanes != load->buffer->dtype.lanes) return Region();
  std::vector<Expr> begin(load->index.begin(), load->index.end());
  return MakeRegion(load->buffer, begin, std::vector<Expr>(begin.size()));
}

Expr ToAddress(const ffi::Any& v, int64_t count) {
  if (const auto* load = v.as<LoadObj>()) {
    std::vector<Expr> index(load->index.begin(), load->index.end());
    return MakeAddr(load->buffer, index, count * load->dtype.lanes / load->buffer->dtype.lanes);
  }
  if (Region region = ToRegion(v); region.defined()) {
    std::vector<Expr> extent(region->extent.begin(), region->extent.end());
    for (Expr& e : extent) {
      if (!e.defined()) e = MakeConst(1);
    }
    return MakeAddr(MakeRegion(
        region->buffer, std::vector<Expr>(region->begin.begin(), region->begin.end()), extent));
  }
  Expr e = ToExpr(v);
  if (IsHandle(e.dtype())) return e;
  if (IsInteger(e.dtype()) && e.dtype().bits == 64) return MakeOp(OpCode::kBitcast, {e}, Handle());
  Raise("TypeError", "an address is needed: a buffer, an element, a slice or a pointer, got `",
        Spelled(e), "` of ", LanguageName(e.dtype()));
}

namespace {

// The count of a barrier's arrivals: one number for all barriers of the array.
int64_t Arrivals(const ffi::Any& v) {
  Values counts = ToValues(v);
  if (counts.empty()) Raise("ValueError", "T.alloc_barrier needs an arrive count");
  int64_t first = ToInt(counts[0], "the arrive count of T.alloc_barrier");
  for (const ffi::Any& c : counts) {
    int64_t n = ToInt(c, "the arrive count of T.alloc_barrier");
    if (n <= 0)
      Raise("ValueError", "the arrive count of T.alloc_barrier must be positive, got ", n);
    if (n != first) {
      Raise("NotImplementedError", "T.alloc_barrier with different arrive counts (", first, " and ",
            n, ") is not supported yet: allocate one barrier for each count");
    }
  }
  return first;
}

std::vector<Expr> AllocShape(std::string_view scope, Space space, const Values& shape) {
  std::vector<Expr> out;
  for (const ffi::Any& v : shape) {
    Expr e = ToExpr(v);
    if (!IsInteger(e.dtype())) {
      Raise("TypeError", "the shape of an allocation must be of integers, got `", Spelled(e), "`");
    }
    auto n = AsInt(e);
    if (IsOnChip(space) && !n) {
      Raise("ValueError", "memory of scope \"", scope, "\" needs a constant shape, got `",
            Spelled(e), "`: pass the extent as a Python integer");
    }
    if (n && *n <= 0) {
      Raise("ValueError", "an allocation of scope \"", scope, "\" needs positive extents, got ",
            *n);
    }
    out.push_back(n ? MakeConst(*n) : e);
  }
  if (out.empty()) out.push_back(MakeConst(1));
  return out;
}

}  // namespace

Buffer BuilderObj::AddAlloc(std::string_view scope, DataType dtype, const Values& shape,
                            const Values& options) {
  auto space = FindScope(scope);
  if (!space) {
    const char* name = scope == "local.reducer"                ? "T.alloc_reducer"
                       : scope == "shared.tmem"                ? "T.alloc_tmem"
                       : scope == "shared.cluster_barrier"     ? "T.alloc_cluster_barrier"
                       : scope.starts_with("local.descriptor") ? "T.alloc_descriptor"
                                                               : nullptr;
    if (name != nullptr) Raise("NotImplementedError", name, " is not supported yet");
    Raise("ValueError", "unknown memory scope \"", scope, "\"");
  }
  if (IsOnChip(*space)) NeedKernel("an on-chip allocation");
  std::vector<Expr> extents = AllocShape(scope, *space, shape);
  Expr bits = MakeConst(dtype.bits * dtype.lanes, Int(64));
  for (const Expr& e : extents) bits = Mul(bits, CastTo(e, Int(64)));
  Root root = *space == Space::kGlobal ? Root::kWorkspace : Root::kAlloc;
  Buffer buffer = NewBuffer("buf", dtype, extents, MakeStorage("buf", *space, root, bits));
  auto alloc = ffi::make_object<AllocObj>();
  alloc->buffer = buffer;
  if (!options.empty() && !IsNone(options[0])) {
    // The host fills a workspace with zeros only.
    bool zeros = root == Root::kWorkspace && IsConst(ToExpr(options[0]), 0);
    if (*space != Space::kVar && !zeros) {
      Raise("ValueError", "only T.alloc_var takes an initial value");
    }
    alloc->init = ToTyped(options[0], dtype);
    CheckUses(alloc->init.get());
  }
  if (*space == Space::kMbar) {
    alloc->arrivals = Arrivals(options.size() > 1 ? options[1] : ffi::Any());
  }
  allocs_[buffer.get()] = alloc.get();
  if (root == Root::kWorkspace) {
    // A workspace is allocated by the host, before the launch.
    Attach(alloc, &frames_.front());
    region_of_[buffer.get()] = frames_.front().id;
  } else {
    Emit(alloc);
    Declare(buffer.get());
  }
  return buffer;
}

namespace {

// Where a view begins and what its elements are measured in.
struct Base {
  Storage storage;
  Expr offset;  // in elements of `dtype`
  DataType dtype;
  std::vector<Expr> shape, strides;
  bool strided = false;  // not row-major over its shape
};

Base BaseOf(const Buffer& buffer, const Region& region) {
  Base base{buffer->storage, buffer->offset,    buffer->dtype,
            ShapeOf(buffer), StridesOf(buffer), !buffer->strides.empty()};
  if (!base.offset.defined()) base.offset = MakeConst(0);
  if (!region.defined()) return base;
  std::vector<Expr> shape, strides;
  bool seen = false;  // a dimension of extent > 1: those behind it must be whole
  for (size_t d = 0; d < base.shape.size(); ++d) {
    Expr extent = region->extent[d].defined() ? Expr(region->extent[d]) : MakeConst(1);
    base.offset = Binary("add", base.offset, Binary("mul", region->begin[d], base.strides[d]));
    if (seen && !SameExpr(extent, base.shape[d])) base.strided = true;
    seen = seen || !IsConst(extent, 1);
    shape.push_back(extent);
    strides.push_back(base.strides[d]);
  }
  base.shape = shape;
  base.strides = strides;
  return base;
}

std::vector<Expr> ViewShape(const Base& base, DataType dtype, const ffi::Any& shape) {
  if (!IsNone(shape)) {
    std::vector<Expr> out;
    for (const ffi::Any& v : ToValues(shape)) out.push_back(ToExpr(v));
    return out;
  }
  // Without a shape the last dimension takes up the change of width.
  std::vector<Expr> out = base.shape;
  int64_t from = base.dtype.bits * base.dtype.lanes, to = dtype.bits * dtype.lanes;
  if (from != to && !out.empty()) {
    out.back() = Binary("floordiv", Binary("mul", out.back(), MakeConst(from)), MakeConst(to));
  }
  return out;
}

void CheckBits(std::string_view how, const Base& base, DataType dtype,
               const std::vector<Expr>& shape) {
  int64_t from = base.dtype.bits * base.dtype.lanes, to = dtype.bits * dtype.lanes;
  int64_t g = std::gcd(from, to);
  Expr have = Binary("mul", Product(base.shape), MakeConst(from / g));
  Expr want = Binary("mul", Product(shape), MakeConst(to / g));
  auto a = AsInt(have), b = AsInt(want);
  // Symbolic sizes are compared as far as their form shows; the rest is the user's word.
  if (!a || !b || *a == *b) return;
  Raise("AssertionError", "T.reshape/view shape check failed. ", how, " of ",
        LanguageName(base.dtype), ShapeText(base.shape), " as ", LanguageName(dtype),
        ShapeText(shape), ": ", *a * g, " bits against ", *b * g);
}

}  // namespace

Buffer BuilderObj::AddView(const ffi::Any& from, std::string_view how, DataType dtype,
                           const ffi::Any& shape, const ffi::Any& strides) {
  std::vector<Expr> steps;
  if (!IsNone(strides)) {
    for (const ffi::Any& v : ToValues(strides)) steps.push_back(ToExpr(v));
  }
  auto view = ffi::make_object<ViewObj>();
  auto buffer = ffi::make_object<BufferObj>();
  std::vector<Expr> extents;
  Region region = ToRegion(from);
  if (region.defined() && how != "from_ptr") {
    Buffer whole = region->buffer;
    Base base = BaseOf(whole, from.as<Buffer>() ? Region() : region);
    if (SameType(dtype, Void())) dtype = base.dtype;
    extents = ViewShape(base, dtype, shape);
    CheckBits(how, base, dtype, extents);
    if (base.strided && steps.empty()) {
      if (IsNone(shape) && SameType(dtype, base.dtype)) {
        steps = base.strides;
      } else {
        Raise("ValueError", "T.", how, " of `", Spelled(region),
              "` needs elements that follow one another in memory");
      }
    }
    int64_t from_bits = base.dtype.bits * base.dtype.lanes, to_bits = dtype.bits * dtype.lanes;
    if (!IsConst(base.offset, 0)) {
      buffer->offset = from_bits == to_bits
                           ? base.offset
                           : Binary("floordiv", Binary("mul", base.offset, MakeConst(from_bits)),
                                    MakeConst(to_bits));
    }
    buffer->storage = base.storage;
  } else {
    // An element of 64 bits is an address, one of a table of pointers: read once, where the view is
    // made.
    const auto* entry = from.as<LoadObj>();
    bool table = entry != nullptr && IsInteger(entry->dtype) && entry->dtype.bits == 64;
    Expr pointer =
        table ? ToAddress(EmitBind("address", ffi::GetRef<Expr>(entry))) : ToAddress(from);
    if (IsNone(shape)) Raise("ValueError", "a buffer over a pointer needs a shape");
    extents = ViewShape(Base{}, dtype, shape);
    if (const auto* addr = pointer.as<AddrObj>()) {
      // The address of a buffer: the same memory, under another type.
      Base base = BaseOf(addr->region->buffer, addr->region);
      buffer->storage = base.storage;
      int64_t from_bits = base.dtype.bits * base.dtype.lanes, to_bits = dtype.bits * dtype.lanes;
      if (!IsConst(base.offset, 0)) {
        buffer->offset = Binary("floordiv", Binary("mul", base.offset, MakeConst(from_bits)),
                                MakeConst(to_bits));
      }
    } else {
      Storage& storage = pointees_[pointer.get()];
      if (!storage.defined()) {
        const auto* var = pointer.as<VarObj>();
        storage = MakeStorage(var != nullptr ? std::string(var->name) : "ptr", Space::kGlobal,
                              Root::kPointer);
        keep_.push_back(pointer);
      }
      buffer->storage = storage;
      view->pointer = pointer;
    }
  }
  if (!steps.empty() && steps.size() != extents.size()) {
    Raise("ValueError", "a view of ", extents.size(), " dimensions got ", steps.size(), " strides");
  }
  buffer->name = Unique("view");
  buffer->dtype = dtype;
  buffer->shape = ffi::Array<Expr>(extents);
  buffer->strides = ffi::Array<Expr>(steps);
  view->buffer = Buffer(buffer);
  keep_.push_back(view->buffer);
  Emit(view);
  Declare(buffer.get());
  return Buffer(buffer);
}

void BuilderObj::AddStore(const Buffer& buffer, const Values& index, const ffi::Any& value) {
  NeedKernel("a store");
  std::vector<Expr> at = ToIndices(buffer, index);
  const int lanes = Lanes(at);
  Expr e = ToTyped(
      value, lanes == 1 ? buffer->dtype : WithLanes(buffer->dtype, lanes * buffer->dtype.lanes));
  auto emit = [&](std::vector<Expr> place, Expr piece) {
    auto store = ffi::make_object<StoreObj>();
    store->buffer = buffer;
    store->index = ffi::Array<Expr>(place);
    store->value = std::move(piece);
    Emit(store);
  };
  if (lanes == 1) return emit(at, e);
  CheckVector(buffer->dtype, lanes);
  // No lane's store changes the value or the place of another's.
  Expr once = e.as<VarObj>() ? e : Expr(EmitBind("v", e));
  std::vector<std::vector<Expr>> places;
  for (int i = 0; i < lanes; ++i) {
    places.push_back(LanesOf(at, i));
    for (Expr& x : places.back()) {
      if (Loads(x)) x = EmitBind("i", x);
    }
  }
  for (int i = 0; i < lanes; ++i) {
    emit(places[i], MakeOp(OpCode::kLane, {once, MakeConst(i)}, buffer->dtype));
  }
}

}  // namespace tilescale::ir
