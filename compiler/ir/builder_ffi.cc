// SPDX-License-Identifier: MIT
// The builder as the language sees it: `tilescale.builder.*`, positional arguments. Functions that
// make expressions take no builder: shapes are written before any function is open.
#include "compiler/ir/builder.h"
#include "compiler/ir/op_def.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"
#include "support/ffi_boundary.h"

#include <tvm/ffi/cast.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>

namespace tilescale::ir {

namespace refl = tvm::ffi::reflection;

namespace {

using List = ffi::Array<ffi::Any>;
using Text = ffi::String;

Values Of(const List& list) {
  return Values(list.begin(), list.end());
}
std::string OptionalText(const ffi::Any& v) {
  return IsNone(v) ? "" : ToText(v, "a name");
}
std::vector<std::string> Names(const List& list) {
  std::vector<std::string> names;
  for (const ffi::Any& v : list) names.push_back(OptionalText(v));
  return names;
}
template <typename T>
List ToList(const std::vector<T>& items) {
  List list;
  for (const T& item : items) list.push_back(item);
  return list;
}

// -- program and regions
// -------------------------------------------------------------------------------

Builder Create() {
  return MakeBuilder();
}
void BeginFunc(Builder b, Text name) {
  b->BeginFunc(name);
}
Func EndFunc(Builder b) {
  return b->EndFunc();
}

ffi::ObjectRef AddParam(Builder b, Text kind, Text name, Text dtype, ffi::Any shape,
                        ffi::Any strides, Text scope, bool is_out) {
  return b->AddParam(std::string(kind), name, TypeOf(std::string(dtype)), ToValues(shape), strides,
                     std::string(scope), is_out);
}

Func SetOutputs(Func f, ffi::Array<int64_t> indices) {
  auto copy = CopyNode(f.get());
  std::vector<Param> params(f->params.begin(), f->params.end());
  for (int64_t i : indices) {
    if (i < 0 || i >= static_cast<int64_t>(params.size())) {
      Raise("ValueError", "out_idx ", i, " is out of range: the function has ", params.size(),
            " parameters");
    }
    if (params[i]->param() != ParamKind::kTensor) {
      Raise("ValueError", "out_idx ", i, " names `", std::string(params[i]->name),
            "`, which is no tensor");
    }
    auto param = CopyNode(params[i].get());
    param->is_out = true;
    params[i] = Param(param);
  }
  copy->params = ffi::Array<Param>(params);
  return Func(copy);
}

// Parameter i of the result is parameter order[i]: a body may declare them in another order than
// the signature, which is the order of a call.
Func OrderParams(Func f, ffi::Array<int64_t> order) {
  auto copy = CopyNode(f.get());
  std::vector<Param> params;
  for (int64_t i : order) params.push_back(f->params[i]);
  copy->params = ffi::Array<Param>(params);
  return Func(copy);
}

List BeginKernel(Builder b, List grid, List threads, ffi::Any cluster, ffi::Any prelude,
                 List names) {
  std::vector<int64_t> ctas;
  for (const ffi::Any& v : ToValues(cluster)) ctas.push_back(ToInt(v, "cluster_dims"));
  auto [blocks, lanes] =
      b->BeginKernel(Of(grid), Of(threads), ctas, OptionalText(prelude), Names(names));
  return List({ToList(blocks), ToList(lanes)});
}

Var BeginFor(Builder b, Text kind, ffi::Any begin, ffi::Any end, ffi::Any step, List hints,
             ffi::Any name) {
  return b->BeginFor(std::string(kind), begin, end, step, Of(hints), OptionalText(name));
}
List BeginParallel(Builder b, List extents, List hints, List names) {
  return ToList(b->BeginParallel(Of(extents), Of(hints), Names(names)));
}
void BeginWhile(Builder b) {
  b->BeginWhile();
}
void WhileCond(Builder b, ffi::Any cond) {
  b->WhileCond(cond);
}
void BeginIf(Builder b, ffi::Any cond) {
  b->BeginIf(cond);
}
void BeginElse(Builder b) {
  b->BeginElse();
}
void BeginGroup(Builder b, int64_t first, int64_t count) {
  b->BeginGroup(first, count);
}
void BeginSide(Builder b) {
  b->BeginSide();
}
Side EndSide(Builder b) {
  return b->EndSide();
}
void Splice(Builder b, Side side) {
  b->Splice(side);
}
void End(Builder b) {
  b->End();
}
void BeginLabel(Builder b, Text text) {
  b->BeginLabel(text);
}
void EndLabel(Builder b) {
  b->EndLabel();
}

// -- statements
// ----------------------------------------------------------------------------------------

Var AddBind(Builder b, Text name, ffi::Any value) {
  return b->AddBind(name, value);
}
void SetName(Builder b, ffi::ObjectRef symbol, Text text) {
  b->SetName(symbol, text);
}
Buffer AddAlloc(Builder b, Text scope, Text dtype, List shape, List options) {
  return b->AddAlloc(std::string(scope), TypeOf(std::string(dtype)), Of(shape), Of(options));
}
Buffer AddView(Builder b, ffi::Any base, Text how, ffi::Any dtype, ffi::Any shape,
               ffi::Any strides) {
  return b->AddView(base, std::string(how), IsNone(dtype) ? Void() : TypeOf(ToText(dtype, "dtype")),
                    shape, strides);
}
void AddStore(Builder b, Buffer buffer, List index, ffi::Any value) {
  b->AddStore(buffer, Of(index), value);
}
void AddTile(Builder b, Text name, List args) {
  b->AddTile(name, Of(args));
}
ffi::Any AddCall(Builder b, Text name, List args, ffi::Any result) {
  Var v = b->AddCall(name, Of(args), result);
  return v.defined() ? ffi::Any(v) : ffi::Any();
}
void AddAnnotation(Builder b, Text name, List args) {
  b->AddAnnotation(name, Of(args));
}
void AddCheck(Builder b, Text kind, ffi::Any cond, Text message) {
  b->AddCheck(std::string(kind), cond, message);
}
void AddJump(Builder b, Text kind) {
  b->AddJump(std::string(kind));
}
int64_t At(Builder b, ffi::Any chain) {
  if (chain.type_index() != ffi::TypeIndex::kTVMFFIInt) return b->At(ToValues(chain));
  int64_t id = chain.cast<int64_t>();
  b->AtId(id);
  return id;
}

// -- expressions
// ---------------------------------------------------------------------------------------

Expr MakeLiteral(ffi::Any value, ffi::Any dtype) {
  return IsNone(dtype) ? ToExpr(value) : ToTyped(value, TypeOf(ToText(dtype, "dtype")));
}
Var NewVar(Text name, Text dtype, Text kind) {
  std::string k = kind;
  if (k != "var" && k != "dynamic" && k != "const" && k != "param") {
    Raise("InternalError", "unknown kind of variable `", k, "`");
  }
  return MakeVar(std::string(name), TypeOf(std::string(dtype)));
}
// Passes walk expressions as trees and recurse into them, so their size is bounded where they are
// made. The front end answers with names for the operands (language/expr.py).
constexpr int64_t kMaxOperations = 256;
struct Weight {
  int64_t operations = 0;
  bool loads = false;
};
Weight WeightOf(const NodeObj* e) {
  Weight sum{1, e->kind == NodeKind::kLoad};
  ForEachChild(e, [&](const NodeObj* child) {
    if (sum.operations > kMaxOperations) return;
    Weight w = WeightOf(child);
    // The guard of a load repeats an index that no bound is known of.
    sum.operations += e->kind == NodeKind::kLoad && w.loads ? 3 * w.operations : w.operations;
    sum.loads = sum.loads || w.loads;
  });
  return sum;
}
Expr Bounded(Expr e) {
  if (WeightOf(e.get()).operations <= kMaxOperations) return e;
  Raise("ExpressionSizeError", "the expression has more than ", kMaxOperations,
        " operations (an operand that is used twice counts twice). Inside `with T.Kernel(...)` it "
        "would be evaluated in parts; here compute it with Python numbers, or write less");
}
Expr Op(Text opcode, List args, ffi::Any result) {
  return Bounded(BuildOp(std::string(opcode), Of(args), result));
}
Expr CastValue(ffi::Any value, Text dtype) {
  DataType t = TypeOf(std::string(dtype));
  Expr e = ToExpr(value);
  // A vector keeps its lanes under a scalar dtype's name.
  return Bounded(CastTo(e, t.lanes == 1 ? WithLanes(t, e.dtype().lanes) : t));
}
Expr LoadOf(Buffer buffer, List index) {
  return Bounded(BuildLoad(buffer, ToIndices(buffer, Of(index))));
}
Region RegionOf(Buffer buffer, List begin, ffi::Any extent) {
  return BuildRegion(buffer, Of(begin), extent);
}
bool Same(ffi::Any a, ffi::Any b) {
  auto x = a.as<Expr>(), y = b.as<Expr>();
  if (x && y) return SameExpr(*x, *y);
  if (a.as<ffi::ObjectRef>() && b.as<ffi::ObjectRef>()) {
    return a.cast<ffi::ObjectRef>().same_as(b.cast<ffi::ObjectRef>());
  }
  bool number = IsNumber(a) || IsNumber(b);
  return number && SameExpr(ToExpr(a), ToExpr(b));
}
Text TextOf(ffi::Any v) {
  if (auto e = v.as<Expr>()) return Spelled(*e);
  if (auto r = v.as<Region>()) return Spelled(*r);
  if (auto b = v.as<Buffer>()) return std::string((*b)->name);
  if (IsNumber(v)) return Spelled(ToExpr(v));
  Raise("TypeError", std::string(v.GetTypeKey()), " has no text form");
}
Text DtypeOf(ffi::Any v) {
  return LanguageName(TypeOfValue(v));
}
bool Reads(ffi::Any v) {
  auto e = v.as<Expr>();
  if (!e) return v.as<Buffer>() || v.as<Region>();
  bool found = false;
  Walk(*e, [&](const NodeObj* n) {
    found = found || n->kind == NodeKind::kLoad || n->kind == NodeKind::kAddr;
    return !found;
  });
  return found;
}

// The registry of tile ops, for the check that the language's table and it agree: [[name,
// [[parameter, default or None]]]].
List TileOps() {
  List ops;
  for (const OpSyntax* op : AllSyntax()) {
    List params;
    for (const OpParam& p : op->params) {
      params.push_back(
          List({Text(p.name), p.fallback == nullptr ? ffi::Any() : ffi::Any(Text(p.fallback))}));
    }
    ops.push_back(List({Text(op->name), params}));
  }
  return ops;
}

bool RegisterAll() {
  refl::ObjectDef<BuilderObj>();
  refl::ObjectDef<SideObj>();
  refl::GlobalDef()
      .def("tilescale.builder.create", Guarded(&Create))
      .def("tilescale.builder.begin_func", Guarded(&BeginFunc))
      .def("tilescale.builder.end_func", Guarded(&EndFunc))
      .def("tilescale.builder.param", Guarded(&AddParam))
      .def("tilescale.builder.set_outputs", Guarded(&SetOutputs))
      .def("tilescale.builder.order_params", Guarded(&OrderParams))
      .def("tilescale.builder.begin_kernel", Guarded(&BeginKernel))
      .def("tilescale.builder.begin_for", Guarded(&BeginFor))
      .def("tilescale.builder.begin_parallel", Guarded(&BeginParallel))
      .def("tilescale.builder.begin_while", Guarded(&BeginWhile))
      .def("tilescale.builder.while_cond", Guarded(&WhileCond))
      .def("tilescale.builder.begin_if", Guarded(&BeginIf))
      .def("tilescale.builder.begin_else", Guarded(&BeginElse))
      .def("tilescale.builder.begin_group", Guarded(&BeginGroup))
      .def("tilescale.builder.begin_side", Guarded(&BeginSide))
      .def("tilescale.builder.end_side", Guarded(&EndSide))
      .def("tilescale.builder.splice", Guarded(&Splice))
      .def("tilescale.builder.end", Guarded(&End))
      .def("tilescale.builder.label", Guarded(&BeginLabel))
      .def("tilescale.builder.end_label", Guarded(&EndLabel))
      .def("tilescale.builder.bind", Guarded(&AddBind))
      .def("tilescale.builder.name", Guarded(&SetName))
      .def("tilescale.builder.alloc", Guarded(&AddAlloc))
      .def("tilescale.builder.view", Guarded(&AddView))
      .def("tilescale.builder.store", Guarded(&AddStore))
      .def("tilescale.builder.tile", Guarded(&AddTile))
      .def("tilescale.builder.call", Guarded(&AddCall))
      .def("tilescale.builder.annotate", Guarded(&AddAnnotation))
      .def("tilescale.builder.check", Guarded(&AddCheck))
      .def("tilescale.builder.jump", Guarded(&AddJump))
      .def("tilescale.builder.at", Guarded(&At))
      .def("tilescale.builder.const", Guarded(&MakeLiteral))
      .def("tilescale.builder.var", Guarded(&NewVar))
      .def("tilescale.builder.op", Guarded(&Op))
      .def("tilescale.builder.cast", Guarded(&CastValue))
      .def("tilescale.builder.load", Guarded(&LoadOf))
      .def("tilescale.builder.region", Guarded(&RegionOf))
      .def("tilescale.builder.same", Guarded(&Same))
      .def("tilescale.builder.text", Guarded(&TextOf))
      .def("tilescale.builder.dtype", Guarded(&DtypeOf))
      .def("tilescale.builder.reads", Guarded(&Reads))
      .def("tilescale.builder.tile_ops", Guarded(&TileOps));
  return true;
}
// A variable and not a constructor function: type indices are initialised the same way, in order.
const bool kRegistered = RegisterAll();

}  // namespace

}  // namespace tilescale::ir
