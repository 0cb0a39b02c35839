// SPDX-License-Identifier: MIT
#include "compiler/ir/build.h"

#include "compiler/ir/fold.h"
#include "compiler/ir/numeric.h"
#include "support/diagnostics.h"

namespace tilescale::ir {
namespace {

ffi::Array<Expr> ToArray(const std::vector<Expr>& exprs) {
  return ffi::Array<Expr>(exprs.begin(), exprs.end());
}

Expr Binary(OpCode op, Expr a, Expr b) {
  TS_CHECK(a.defined() && b.defined()) << "null operand of " << Info(op).text;
  // A shift amount may have a type of its own.
  TS_CHECK(SameType(a.dtype(), b.dtype()) || op == OpCode::kShl || op == OpCode::kShr)
      << Info(op).text << " of " << ShortName(a.dtype()) << " and " << ShortName(b.dtype())
      << ": operands must have one type";
  const DataType dtype = *InferType(op, {a, b});
  return MakeOp(op, {std::move(a), std::move(b)}, dtype);
}

// A body is a Seq (I3), also when it holds one statement or none.
Stmt Body(Stmt body) {
  if (body.defined() && body.as<SeqObj>() != nullptr) return body;
  return MakeSeq({std::move(body)});
}

}  // namespace

Var MakeVar(std::string_view name, DataType dtype) {
  auto node = ffi::make_object<VarObj>();
  node->name = std::string(name);
  node->dtype = dtype;
  return Var(std::move(node));
}

Expr MakeConst(int64_t value, DataType dtype) {
  TS_CHECK(!IsFloat(dtype)) << "integer literal of type " << ShortName(dtype);
  auto node = ffi::make_object<ConstObj>();
  node->i = WrapInt(value, dtype);
  node->dtype = dtype;
  return Const(std::move(node));
}

Expr MakeFloat(double value, DataType dtype) {
  TS_CHECK(IsFloat(dtype)) << "float literal of type " << ShortName(dtype);
  auto node = ffi::make_object<ConstObj>();
  node->f = RoundFloat(value, dtype);
  node->dtype = dtype;
  return Const(std::move(node));
}

Expr MakeNumber(double value, DataType dtype) {
  if (IsFloat(dtype)) return MakeFloat(value, dtype);
  return MakeConst(static_cast<int64_t>(value), dtype);
}

Expr Add(Expr a, Expr b) {
  return Binary(OpCode::kAdd, std::move(a), std::move(b));
}
Expr Sub(Expr a, Expr b) {
  return Binary(OpCode::kSub, std::move(a), std::move(b));
}
Expr Mul(Expr a, Expr b) {
  return Binary(OpCode::kMul, std::move(a), std::move(b));
}
Expr FloorDiv(Expr a, Expr b) {
  return Binary(OpCode::kFloorDiv, std::move(a), std::move(b));
}
Expr FloorMod(Expr a, Expr b) {
  return Binary(OpCode::kFloorMod, std::move(a), std::move(b));
}

Expr CeilDiv(Expr a, Expr b) {
  const DataType dtype = a.dtype();
  return FloorDiv(Add(std::move(a), Sub(b, MakeConst(1, dtype))), b);
}

Expr Min(Expr a, Expr b) {
  return Binary(OpCode::kMin, std::move(a), std::move(b));
}
Expr Max(Expr a, Expr b) {
  return Binary(OpCode::kMax, std::move(a), std::move(b));
}

Expr And(Expr a, Expr b) {
  if (!a.defined()) return b;
  if (!b.defined()) return a;
  return Binary(OpCode::kAnd, std::move(a), std::move(b));
}

Expr Or(Expr a, Expr b) {
  if (!a.defined()) return a;
  if (!b.defined()) return b;
  return Binary(OpCode::kOr, std::move(a), std::move(b));
}

Expr Not(Expr a) {
  const DataType dtype = Bool(a.dtype().lanes);
  return MakeOp(OpCode::kNot, {std::move(a)}, dtype);
}

Expr Compare(OpCode op, Expr a, Expr b) {
  return Binary(op, std::move(a), std::move(b));
}

Expr If3(Expr cond, Expr a, Expr b) {
  const DataType dtype = a.dtype();
  return MakeOp(OpCode::kIf, {std::move(cond), std::move(a), std::move(b)}, dtype);
}

Expr Select(Expr cond, Expr a, Expr b) {
  const DataType dtype = a.dtype();
  return MakeOp(OpCode::kSelect, {std::move(cond), std::move(a), std::move(b)}, dtype);
}

Expr Cast(Expr e, DataType dtype) {
  return MakeOp(OpCode::kCast, {std::move(e)}, dtype);
}

std::optional<int64_t> AsInt(const Expr& e) {
  const ConstObj* c = e.as<ConstObj>();
  if (c == nullptr || IsFloat(c->dtype)) return std::nullopt;
  return c->i;
}

Storage MakeStorage(std::string_view name, Space space, Root root, Expr bits) {
  auto node = ffi::make_object<StorageObj>();
  node->name = std::string(name);
  node->space_ = static_cast<int64_t>(space);
  node->root_ = static_cast<int64_t>(root);
  node->bits = std::move(bits);
  return Storage(std::move(node));
}

Buffer MakeBuffer(std::string_view name, DataType dtype, std::vector<Expr> shape, Storage storage) {
  auto node = ffi::make_object<BufferObj>();
  node->name = std::string(name);
  node->dtype = dtype;
  node->shape = ToArray(shape);
  node->storage = std::move(storage);
  return Buffer(std::move(node));
}

Expr MakeLoad(Buffer b, std::vector<Expr> index, Expr guard, Expr other, int lanes) {
  TS_CHECK(index.size() == b->shape.size())
      << "load of " << b->name << ": " << index.size() << " indices, rank " << b->shape.size();
  auto node = ffi::make_object<LoadObj>();
  node->dtype = lanes == 1 ? b->dtype : WithLanes(b->dtype, lanes * b->dtype.lanes);
  node->index = ToArray(index);
  node->guard = std::move(guard);
  node->other = std::move(other);
  node->buffer = std::move(b);
  return Load(std::move(node));
}

Region MakeRegion(Buffer b, std::vector<Expr> begin, std::vector<Expr> extent) {
  TS_CHECK(begin.size() == b->shape.size() && extent.size() == b->shape.size())
      << "region of " << b->name << ": " << begin.size() << " starts and " << extent.size()
      << " extents, rank " << b->shape.size();
  auto node = ffi::make_object<RegionObj>();
  node->buffer = std::move(b);
  node->begin = ToArray(begin);
  node->extent = ToArray(extent);
  return Region(std::move(node));
}

int64_t NumNeighbours(const Region& r) {
  int64_t n = 1;
  for (size_t d = 0; d < r->extent.size(); ++d) {
    if (!r->extent[d].defined()) continue;
    auto known = AsInt(r->extent[d]);
    if (!known || (*known != 1 && d + 1 != r->extent.size())) return 0;
    n = *known;
  }
  return n;
}

Region FullRegion(Buffer b) {
  std::vector<Expr> begin, extent;
  for (const Expr& dim : b->shape) {
    begin.push_back(MakeConst(0, dim.dtype()));
    extent.push_back(dim);
  }
  return MakeRegion(std::move(b), std::move(begin), std::move(extent));
}

Expr MakeAddr(Region r) {
  auto node = ffi::make_object<AddrObj>();
  node->region = std::move(r);
  node->dtype = Handle();
  return Addr(std::move(node));
}

Expr MakeAddr(Buffer b, std::vector<Expr> index, int64_t count) {
  std::vector<Expr> extent(index.size(), MakeConst(1));
  if (!extent.empty()) extent.back() = MakeConst(count);
  return MakeAddr(MakeRegion(std::move(b), std::move(index), std::move(extent)));
}

Expr MakeSlot(Token t, bool out, int64_t back, bool phase) {
  auto node = ffi::make_object<SlotObj>();
  node->token = std::move(t);
  node->out = out;
  node->back = back;
  node->phase = phase;
  node->dtype = Int(32);
  return Slot(std::move(node));
}

Stmt MakeSeq(std::vector<Stmt> stmts) {
  auto node = ffi::make_object<SeqObj>();
  std::vector<Stmt> flat;
  flat.reserve(stmts.size());
  for (Stmt& s : stmts) {
    if (!s.defined()) continue;
    if (const SeqObj* inner = s.as<SeqObj>()) {
      for (const Stmt& t : StmtsOf(s)) flat.push_back(t);
      if (!node->span.defined()) node->span = inner->span;
    } else {
      flat.push_back(std::move(s));
    }
  }
  if (!node->span.defined() && !flat.empty()) node->span = flat.front()->span;
  node->stmts = ffi::Array<Stmt>(flat.begin(), flat.end());
  return Seq(std::move(node));
}

Stmt MakeBind(Var v, Expr value, Span span) {
  auto node = ffi::make_object<BindObj>();
  node->var = std::move(v);
  node->value = std::move(value);
  node->span = std::move(span);
  return Bind(std::move(node));
}

Stmt MakeStore(Buffer b, std::vector<Expr> index, Expr value, Span span, Expr guard) {
  TS_CHECK(index.size() == b->shape.size())
      << "store to " << b->name << ": " << index.size() << " indices, rank " << b->shape.size();
  auto node = ffi::make_object<StoreObj>();
  node->buffer = std::move(b);
  node->index = ToArray(index);
  node->value = std::move(value);
  node->guard = std::move(guard);
  node->span = std::move(span);
  return Store(std::move(node));
}

Stmt MakeFor(Var v, Expr extent, Stmt body, Span span, ForKind kind) {
  auto node = ffi::make_object<ForObj>();
  node->begin = MakeConst(0, v.dtype());
  node->var = std::move(v);
  node->extent = std::move(extent);
  node->kind_ = static_cast<int64_t>(kind);
  node->body = Body(std::move(body));
  node->span = std::move(span);
  return For(std::move(node));
}

Stmt MakeIf(Expr cond, Stmt then_case, Span span, Stmt else_case) {
  auto node = ffi::make_object<IfObj>();
  node->cond = std::move(cond);
  node->then_case = Body(std::move(then_case));
  if (else_case.defined()) node->else_case = Body(std::move(else_case));
  node->span = std::move(span);
  return If(std::move(node));
}

Stmt MakeParallel(std::vector<Var> vars, std::vector<Expr> extents, Stmt body, Span span) {
  TS_CHECK(vars.size() == extents.size())
      << "parallel nest of " << vars.size() << " variables and " << extents.size() << " extents";
  auto node = ffi::make_object<ParallelObj>();
  node->vars = ffi::Array<Var>(vars.begin(), vars.end());
  node->extents = ToArray(extents);
  node->body = Body(std::move(body));
  node->span = std::move(span);
  return Parallel(std::move(node));
}

Stmt MakeCall(std::string_view instr, std::vector<Expr> args, Span span, std::vector<Expr> results,
              std::string_view text) {
  auto node = ffi::make_object<CallObj>();
  node->instr = std::string(instr);
  node->args = ToArray(args);
  node->results = ToArray(results);
  node->text = std::string(text);
  node->span = std::move(span);
  return Call(std::move(node));
}

Stmt MakeTokenOp(TokenVerb verb, Token token, Span span, int64_t pending) {
  auto node = ffi::make_object<TokenOpObj>();
  node->verb_ = static_cast<int64_t>(verb);
  node->token = std::move(token);
  node->pending = pending;
  node->span = std::move(span);
  return TokenOp(std::move(node));
}

TileOp MakeTileOp(std::string_view op, std::vector<ffi::Any> args, Span span) {
  auto node = ffi::make_object<TileOpObj>();
  node->op = std::string(op);
  node->args = ffi::Array<ffi::Any>(args.begin(), args.end());
  node->span = std::move(span);
  return TileOp(std::move(node));
}

Token MakeToken(std::string_view name, Done kind, int64_t depth) {
  auto node = ffi::make_object<TokenObj>();
  node->name = std::string(name);
  node->kind_ = static_cast<int64_t>(kind);
  node->depth = depth;
  return Token(std::move(node));
}

std::vector<int64_t> ConstShape(const Buffer& b) {
  std::vector<int64_t> shape;
  for (const Expr& dim : b->shape) {
    std::optional<int64_t> extent = AsInt(dim);
    TS_CHECK(extent.has_value()) << "dimension " << shape.size() << " of " << b->name
                                 << " is not a constant";
    shape.push_back(*extent);
  }
  return shape;
}

int64_t NumElements(const Buffer& b) {
  int64_t count = 1;
  for (int64_t extent : ConstShape(b)) count *= extent;
  return count;
}

int64_t StorageBytes(const Buffer& b) {
  return (NumElements(b) * b->dtype.bits * b->dtype.lanes + 7) / 8;
}

std::vector<Stmt> StmtsOf(const Stmt& s) {
  if (!s.defined()) return {};
  const SeqObj* seq = s.as<SeqObj>();
  if (seq == nullptr) return {s};
  return std::vector<Stmt>(seq->stmts.begin(), seq->stmts.end());
}

}  // namespace tilescale::ir
