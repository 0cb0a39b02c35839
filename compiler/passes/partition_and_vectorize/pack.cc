// SPDX-License-Identifier: MIT
// Elements of less than a byte lie side by side in bytes, the first in the lowest bits (I5: all
// elements of one byte belong to one thread). Behind this no memory has such elements: with int4,
//     load A[i]        becomes   cast<int4>(A8[i // 2] >> (i % 2 * 4))
//     load.8 A[i]      becomes   bitcast<int4x8>(load.4 A8[i // 2])
//     store A[i] = x   becomes   A8[i // 2] = A8[i // 2] & ~(15 << s) | (x & 15) << s
#include "compiler/passes/partition_and_vectorize/partition.h"
#include "support/diagnostics.h"

namespace tilescale::partition {

using namespace ir;  // NOLINT

namespace {

DataType Byte(int64_t lanes = 1) {
  return WithLanes(UInt(8), static_cast<int>(lanes));
}

Expr ByteOp(OpCode op, Expr a, Expr b) {
  return MakeOp(op, {std::move(a), std::move(b)}, Byte());
}

class Packer : public Mutator {
 public:
  explicit Packer(arith::Analyzer* analyzer) : analyzer_(analyzer) {}

  Expr MutateLoad(const Load& load) override {
    Expr mutated = DefaultExpr(load);
    const auto* l = mutated.as<LoadObj>();
    if (!IsPacked(l->buffer)) return mutated;
    const DataType element = l->buffer->dtype;
    const int64_t lanes = l->dtype.lanes;
    auto out = CopyNode(l);
    out->buffer = Bytes(l->buffer);
    out->index = {ByteOf(l->index[0], element)};
    out->other = Expr();
    if (lanes > 1) {
      out->dtype = Byte(lanes * element.bits / 8);
      if (l->other.defined()) out->other = Repeated(l->other, element, out->dtype);
      return MakeOp(OpCode::kBitcast, {Expr(out)}, WithLanes(element, static_cast<int>(lanes)));
    }
    out->dtype = Byte();
    Expr value = Cast(ByteOp(OpCode::kShr, Expr(out), Shift(l->index[0], element)), element);
    return l->other.defined() ? Select(l->guard, value, l->other) : value;
  }

  Stmt MutateStore(const Store& store) override {
    Stmt mutated = DefaultStmt(store);
    const auto* s = mutated.as<StoreObj>();
    if (!IsPacked(s->buffer)) return mutated;
    const DataType element = s->buffer->dtype;
    const int64_t lanes = s->value.dtype().lanes;
    auto out = CopyNode(s);
    out->buffer = Bytes(s->buffer);
    Expr index = ByteOf(s->index[0], element);
    out->index = {index};
    if (lanes > 1) {
      out->value = MakeOp(OpCode::kBitcast, {s->value}, Byte(lanes * element.bits / 8));
      return Stmt(out);
    }
    Expr mask = MakeConst((1 << element.bits) - 1, Byte()), shift = Shift(s->index[0], element);
    Expr kept = ByteOp(OpCode::kBitAnd, MakeLoad(out->buffer, {index}),
                       MakeOp(OpCode::kBitNot, {ByteOp(OpCode::kShl, mask, shift)}, Byte()));
    Expr mine = ByteOp(OpCode::kShl, ByteOp(OpCode::kBitAnd, Cast(s->value, Byte()), mask), shift);
    out->value = ByteOp(OpCode::kBitOr, kept, mine);
    return Stmt(out);
  }

  Stmt MutateAlloc(const Alloc& alloc) override {
    Stmt mutated = DefaultStmt(alloc);
    const auto* a = mutated.as<AllocObj>();
    if (!a->buffer.defined() || !IsPacked(a->buffer)) return mutated;
    auto out = CopyNode(a);
    out->buffer = Bytes(a->buffer);
    if (a->buffer->space() != Space::kLocal) return Stmt(out);
    // A single element is written by reading its byte: registers start as bytes that are set.
    Var k = MakeVar("k");
    Stmt zero = MakeStore(out->buffer, {k}, MakeConst(0, Byte()), a->span);
    return MakeSeq({Stmt(out), MakeFor(k, Cast(out->buffer->shape[0], Int(32)), zero, a->span,
                                       ForKind::kUnroll)});
  }

  Stmt MutateView(const View& view) override {
    Stmt mutated = DefaultStmt(view);
    const auto* v = mutated.as<ViewObj>();
    if (!IsPacked(v->buffer)) return mutated;
    auto out = CopyNode(v);
    out->buffer = Bytes(v->buffer);
    return Stmt(out);
  }

  Region MutateRegion(const Region& region) override {
    Region mutated = Mutator::MutateRegion(region);
    if (!IsPacked(mutated->buffer) || mutated->begin.size() != 1) return mutated;
    const int64_t each = 8 / mutated->buffer->dtype.bits;
    auto out = CopyNode(mutated.get());
    out->buffer = Bytes(mutated->buffer);
    out->begin = {ByteOf(mutated->begin[0], mutated->buffer->dtype)};
    out->extent = {analyzer_->Simplify(FloorDiv(Add(mutated->extent[0], each - 1), each))};
    return Region(out);
  }

 private:
  static bool IsPacked(const Buffer& b) {
    return b->dtype.bits < 8 && b->space() != Space::kVar && b->space() != Space::kDesc;
  }

  Buffer Bytes(const Buffer& b) {
    Buffer& bytes = bytes_[b.get()];
    if (bytes.defined()) return bytes;
    const int64_t each = 8 / b->dtype.bits;
    auto copy = CopyNode(b.get());
    copy->dtype = Byte();
    copy->shape = {FloorDiv(Add(b->shape[0], each - 1), each)};
    return bytes = Buffer(copy);
  }

  Expr ByteOf(const Expr& index, DataType element) {
    return analyzer_->Simplify(FloorDiv(index, 8 / element.bits));
  }

  // Bits before element i in its byte.
  static Expr Shift(const Expr& index, DataType element) {
    return Cast(Mul(FloorMod(index, 8 / element.bits), element.bits), Byte());
  }

  // A value that all lanes have, in bytes.
  static Expr Repeated(const Expr& other, DataType element, DataType type) {
    const auto* op = other.as<OpObj>();
    TS_CHECK(op != nullptr && op->op() == OpCode::kBroadcast) << "lanes that differ";
    const int64_t mask = (1 << element.bits) - 1;
    Expr low = ByteOp(OpCode::kBitAnd, Cast(op->args[0], Byte()), MakeConst(mask, Byte()));
    Expr byte = ByteOp(OpCode::kMul, low, MakeConst(255 / mask, Byte()));
    return type.lanes == 1 ? byte : MakeOp(OpCode::kBroadcast, {byte}, type);
  }

  arith::Analyzer* analyzer_;
  std::unordered_map<const BufferObj*, Buffer> bytes_;
};

}  // namespace

Stmt PackBytes(const Stmt& body, arith::Analyzer* analyzer) {
  return Packer(analyzer)(body);
}

}  // namespace tilescale::partition
