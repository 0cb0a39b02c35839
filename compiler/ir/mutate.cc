// SPDX-License-Identifier: MIT
#include "compiler/ir/build.h"
#include "compiler/ir/fold.h"
#include "compiler/ir/visit.h"
#include "compiler/ir/visits.h"
#include "support/diagnostics.h"

#include <string_view>
#include <type_traits>

namespace tilescale::ir {
namespace {

template <typename T>
T ElementAt(const ffi::ArrayObj* data, int64_t i) {
  const ffi::Any& element = *(data->begin() + i);
  if constexpr (std::is_same_v<T, ffi::Any>) {
    return element;
  } else {
    return element.cast<T>();
  }
}

// Applies `f` to each element; the same array (nothing allocated) if every result is its element.
template <typename T, typename F>
ffi::Array<T> MutateArray(const ffi::Array<T>& array, F f) {
  const ffi::ArrayObj* data = array.GetArrayObj();
  const int64_t size = static_cast<int64_t>(array.size());
  for (int64_t i = 0; i < size; ++i) {
    const T old = ElementAt<T>(data, i);
    T changed = f(old);
    if (changed.same_as(old)) continue;
    ffi::Array<T> result;
    result.reserve(size);
    for (int64_t j = 0; j < i; ++j) result.push_back(ElementAt<T>(data, j));
    result.push_back(std::move(changed));
    for (int64_t j = i + 1; j < size; ++j) result.push_back(f(ElementAt<T>(data, j)));
    return result;
  }
  return array;
}

// A null body is an empty one, and a body stays a Seq (I3). else and head may be absent.
Stmt AsBody(Stmt body, bool optional) {
  if (!body.defined()) return optional ? body : MakeSeq({});
  return body.kind() == NodeKind::kSeq ? body : MakeSeq({std::move(body)});
}

}  // namespace

// Mutates each field of a node, copying the node at the first that changes.
class FieldMutator {
 public:
  explicit FieldMutator(Mutator* mutator) : mutator_(mutator) {}

  template <typename Ref, typename Obj>
  Ref Rebuild(const Obj* node) {
    ffi::ObjectPtr<Obj> copy;
    std::apply([&](const auto&... field) { (Mutate(node, field, &copy), ...); }, Obj::Fields());
    return copy != nullptr ? Ref(std::move(copy)) : ffi::GetRef<Ref>(node);
  }

  ffi::Array<Expr> Apply(const ffi::Array<Expr>& exprs) {
    return MutateArray<Expr>(exprs, [&](const Expr& e) { return mutator_->MutateExpr(e); });
  }

 private:
  template <typename Obj, typename T>
  void Mutate(const Obj* node, const Field<Obj, T>& field, ffi::ObjectPtr<Obj>* copy) {
    if constexpr (std::is_same_v<T, Stmt>) {
      const Stmt& old = node->*field.member;
      if (!old.defined()) return;
      const std::string_view name = field.name;
      const bool optional = name == "else" || name == "head";
      Set(node, field, AsBody(mutator_->MutateStmt(old), optional), copy);
    } else if constexpr (std::is_base_of_v<ffi::ObjectRef, T> && !std::is_same_v<T, ffi::String>) {
      Set(node, field, Apply(node->*field.member), copy);
    }
  }

  template <typename Obj, typename T>
  void Set(const Obj* node, const Field<Obj, T>& field, T value, ffi::ObjectPtr<Obj>* copy) {
    if (value.same_as(node->*field.member)) return;
    if (*copy == nullptr) *copy = CopyNode(node);
    copy->get()->*field.member = std::move(value);
  }

  Expr Apply(const Expr& e) { return e.defined() ? mutator_->MutateExpr(e) : e; }
  Region Apply(const Region& r) { return r.defined() ? mutator_->MutateRegion(r) : r; }
  Buffer Apply(const Buffer& b) { return b.defined() ? mutator_->MutateBuffer(b) : b; }
  Pipe Apply(const Pipe& p) { return Rebuild<Pipe>(p.get()); }
  Schedule Apply(const Schedule& s) { return s.defined() ? Rebuild<Schedule>(s.get()) : s; }
  ffi::Array<Buffer> Apply(const ffi::Array<Buffer>& a) {
    return MutateArray<Buffer>(a, [&](const Buffer& b) { return Apply(b); });
  }
  ffi::Array<Pipe> Apply(const ffi::Array<Pipe>& a) {
    return MutateArray<Pipe>(a, [&](const Pipe& p) { return Apply(p); });
  }
  ffi::Any ApplyAny(const ffi::Any& arg) {
    if (arg == nullptr) return arg;
    if (auto region = arg.as<Region>()) return Apply(*region);
    if (auto expr = arg.as<Expr>()) return Apply(*expr);
    return arg;
  }
  ffi::Array<ffi::Any> Apply(const ffi::Array<ffi::Any>& a) {
    return MutateArray<ffi::Any>(a, [&](const ffi::Any& arg) { return ApplyAny(arg); });
  }
  // Binders, symbols that are not buffers, hints and lists of numbers or names stay.
  template <typename T>
  const T& Apply(const T& other) {
    return other;
  }

  Mutator* mutator_;
};

Expr Mutator::MutateExpr(const Expr& e) {
  if (!e.defined()) return e;
  CountVisit();
  switch (e.kind()) {
#define TS_NODE(name, parent) \
  case NodeKind::k##name:     \
    return Mutate##name(ffi::GetRef<name>(static_cast<const name##Obj*>(e.get())));
    TS_EXPR_NODES(TS_NODE)
#undef TS_NODE
    default:
      TS_UNREACHABLE(NodeKindName(e.kind()) << " is not an expression");
  }
}

Stmt Mutator::MutateStmt(const Stmt& s) {
  if (!s.defined()) return s;
  CountVisit();
  switch (s.kind()) {
#define TS_NODE(name, parent) \
  case NodeKind::k##name:     \
    return Mutate##name(ffi::GetRef<name>(static_cast<const name##Obj*>(s.get())));
    TS_STMT_NODES(TS_NODE)
#undef TS_NODE
    default:
      TS_UNREACHABLE(NodeKindName(s.kind()) << " is not a statement");
  }
}

#define TS_NODE(name, parent)                 \
  Expr Mutator::Mutate##name(const name& n) { \
    return DefaultExpr(n);                    \
  }
TS_EXPR_NODES(TS_NODE)
#undef TS_NODE
#define TS_NODE(name, parent)                 \
  Stmt Mutator::Mutate##name(const name& n) { \
    return DefaultStmt(n);                    \
  }
TS_STMT_NODES(TS_NODE)
#undef TS_NODE

Region Mutator::MutateRegion(const Region& r) {
  return r.defined() ? FieldMutator(this).Rebuild<Region>(r.get()) : r;
}

ffi::Array<Expr> Mutator::MutateExprs(const ffi::Array<Expr>& a) {
  return FieldMutator(this).Apply(a);
}

namespace {

// The type follows the operands' where it did before: 32-bit indices that became 64-bit ones stay
// legal.
Expr RebuildOp(const OpObj* op, const ffi::Array<Expr>& args) {
  DataType dtype = op->dtype;
  std::optional<DataType> before = InferType(op->op(), op->args);
  if (before && SameType(*before, dtype)) dtype = *InferType(op->op(), args);
  return MakeOp(op->op(), std::vector<Expr>(args.begin(), args.end()), dtype);
}

Expr RebuildLoad(const LoadObj* before, Load load) {
  const DataType old = before->buffer->dtype, now = load->buffer->dtype;
  if (SameType(old, now)) return load;
  auto copy = CopyNode(load.get());
  copy->dtype = WithLanes(now, load->dtype.lanes / old.lanes * now.lanes);
  return Load(std::move(copy));
}

}  // namespace

Expr Mutator::DefaultExpr(const Expr& e) {
  FieldMutator fields(this);
  switch (e.kind()) {
    case NodeKind::kOp: {
      const OpObj* op = e.as<OpObj>();
      ffi::Array<Expr> args = fields.Apply(op->args);
      return args.same_as(op->args) ? e : RebuildOp(op, args);
    }
    case NodeKind::kLoad: {
      const LoadObj* load = e.as<LoadObj>();
      Load changed = fields.Rebuild<Load>(load);
      return changed.get() == load ? e : RebuildLoad(load, std::move(changed));
    }
    case NodeKind::kAddr:
      return fields.Rebuild<Addr>(e.as<AddrObj>());
    default:
      return e;
  }
}

namespace {

// Appends what a statement of a Seq became: nothing, itself, or the statements of a Seq.
void Splice(Stmt s, std::vector<Stmt>* out) {
  if (!s.defined()) return;
  if (const SeqObj* seq = s.as<SeqObj>()) {
    for (const Stmt& inner : seq->stmts) Splice(inner, out);
  } else {
    out->push_back(std::move(s));
  }
}

template <typename F>
Stmt RebuildSeq(const SeqObj* seq, F mutate) {
  const ffi::ArrayObj* data = seq->stmts.GetArrayObj();
  const int64_t size = static_cast<int64_t>(seq->stmts.size());
  std::vector<Stmt> changed;
  bool any = false;
  for (int64_t i = 0; i < size; ++i) {
    const Stmt old = ElementAt<Stmt>(data, i);
    Stmt now = mutate(old);
    if (!any && now.same_as(old)) continue;
    if (!any) {
      any = true;
      changed.reserve(size);
      for (int64_t j = 0; j < i; ++j) changed.push_back(ElementAt<Stmt>(data, j));
    }
    Splice(std::move(now), &changed);
  }
  if (!any) return ffi::GetRef<Stmt>(seq);
  auto copy = CopyNode(seq);
  copy->stmts = ffi::Array<Stmt>(changed.begin(), changed.end());
  return Seq(std::move(copy));
}

}  // namespace

Stmt Mutator::DefaultStmt(const Stmt& s) {
  FieldMutator fields(this);
  switch (s.kind()) {
    case NodeKind::kSeq:
      return RebuildSeq(s.as<SeqObj>(), [&](const Stmt& t) { return MutateStmt(t); });
#define TS_NODE(name, parent) \
  case NodeKind::k##name:     \
    return fields.Rebuild<name>(static_cast<const name##Obj*>(s.get()));
      // clang-format off: it never agrees with itself on this list
#define TS_STMTS_BUT_SEQ(X)                                                            \
  X(Bind, Stmt) X(Alloc, Stmt) X(View, Stmt) X(Store, Stmt) X(For, Stmt)               \
  X(Parallel, Stmt) X(While, Stmt) X(If, Stmt) X(Jump, Stmt) X(Group, Stmt)            \
  X(Call, Stmt) X(TokenOp, Stmt) X(Check, Stmt) X(TileOp, Stmt) X(Kernel, Stmt)
      // clang-format on
      TS_STMTS_BUT_SEQ(TS_NODE)
#undef TS_NODE
    default:
      TS_UNREACHABLE(NodeKindName(s.kind()) << " is not a statement");
  }
}

}  // namespace tilescale::ir
