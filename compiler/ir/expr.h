// SPDX-License-Identifier: MIT
// Expressions: values without effects (invariant I2). An expression may read memory; everything
// that writes, waits, traps or prints is a statement. Constructors here do not fold: use
// ir/build.h.
#pragma once

#include "compiler/ir/node.h"

namespace tilescale::ir {

enum class OpCode : uint8_t {
#define TS_OPCODE(name, text, arity, cls) name,
#include "compiler/ir/opcodes.def"
};
enum class OpClass : uint8_t { kInfix, kArith, kCompare, kLogic, kCast, kVector, kSpecial, kMath };
struct OpInfo {
  const char* text;
  int arity;
  OpClass cls;
};
const OpInfo& Info(OpCode op);
// The opcode that prints as `text`, or -1.
int FindOpCode(std::string_view text);

// A scalar name: parameter, loop, block or thread index, or the result of a Bind or Call. Identity
// is the object; `name` is for printing, which makes it unique.
class VarObj : public ExprObj {
 public:
  ffi::String name;
  VarObj() : ExprObj(NodeKind::kVar) {}
  static constexpr auto Fields() { return std::make_tuple(F("name", &VarObj::name)); }
  static constexpr TVMFFISEqHashKind _type_s_eq_hash_kind = kTVMFFISEqHashKindFreeVar;
  TS_DECLARE_NODE(Var, Expr);
};
TS_DEFINE_REF(Var, Expr);

// A literal. Integers, bools and floats; `i` holds the bits of integer types, `f` those of floats.
class ConstObj : public ExprObj {
 public:
  int64_t i = 0;
  double f = 0;
  ConstObj() : ExprObj(NodeKind::kConst) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("i", &ConstObj::i), F("f", &ConstObj::f));
  }
  TS_DECLARE_NODE(Const, Expr);
};
TS_DEFINE_REF(Const, Expr);

class OpObj : public ExprObj {
 public:
  int64_t code = 0;  // OpCode
  ffi::Array<Expr> args;
  OpObj() : ExprObj(NodeKind::kOp) {}
  OpCode op() const { return static_cast<OpCode>(code); }
  static constexpr auto Fields() {
    return std::make_tuple(F("code", &OpObj::code), F("args", &OpObj::args));
  }
  TS_DECLARE_NODE(Op, Expr);
};
TS_DEFINE_REF(Op, Expr);

// One piece of memory: the unit of aliasing, effects and placement. A symbol.
class StorageObj : public NodeObj {
 public:
  ffi::String name;
  int64_t space_ = 0;  // Space
  int64_t root_ = 0;   // Root
  Expr bits;           // size; null where unknown (pointers)
  StorageObj() : NodeObj(NodeKind::kStorage) {}
  Space space() const { return static_cast<Space>(space_); }
  Root root() const { return static_cast<Root>(root_); }
  static constexpr auto Fields() {
    return std::make_tuple(F("name", &StorageObj::name), F("space", &StorageObj::space_),
                           F("root", &StorageObj::root_), F("bits", &StorageObj::bits));
  }
  static constexpr TVMFFISEqHashKind _type_s_eq_hash_kind = kTVMFFISEqHashKindFreeVar;
  TS_DECLARE_NODE(Storage, Node);
};
TS_DEFINE_REF(Storage, Node);

// An affine view of a storage: element x is at bit `offset + dtype.bits · Σ strides[d]·x[d]` of the
// storage's row-major flat index (before any layout). Offset in elements of `dtype`. A symbol.
class BufferObj : public NodeObj {
 public:
  ffi::String name;
  DataType dtype{kDLFloat, 32, 1};
  ffi::Array<Expr> shape;
  Storage storage;
  Expr offset;               // elements; null is 0
  ffi::Array<Expr> strides;  // elements; empty is row-major
  BufferObj() : NodeObj(NodeKind::kBuffer) {}
  Space space() const { return storage->space(); }
  int ndim() const { return static_cast<int>(shape.size()); }
  static constexpr auto Fields() {
    return std::make_tuple(F("name", &BufferObj::name), F("dtype", &BufferObj::dtype),
                           F("shape", &BufferObj::shape), F("storage", &BufferObj::storage),
                           F("offset", &BufferObj::offset), F("strides", &BufferObj::strides));
  }
  static constexpr TVMFFISEqHashKind _type_s_eq_hash_kind = kTVMFFISEqHashKindFreeVar;
  TS_DECLARE_NODE(Buffer, Node);
};
TS_DEFINE_REF(Buffer, Node);

// How the completion of asynchronous work is observed.
enum class Done : uint8_t {
  kProgram,
  kCpAsync,
  kMbarrier,
  kBulkRead,
  kBulk,
  kWgmma,
  kTmem,
  kQuiet
};
const char* DoneName(Done done);

// An array of `depth` completion objects: one for each slot of a pipe. A symbol.
class TokenObj : public NodeObj {
 public:
  ffi::String name;
  int64_t kind_ = 0;  // Done: cp_async, mbarrier, bulk, wgmma, …
  int64_t depth = 1;
  TokenObj() : NodeObj(NodeKind::kToken) {}
  Done done() const { return static_cast<Done>(kind_); }
  static constexpr auto Fields() {
    return std::make_tuple(F("name", &TokenObj::name), F("kind", &TokenObj::kind_),
                           F("depth", &TokenObj::depth));
  }
  static constexpr TVMFFISEqHashKind _type_s_eq_hash_kind = kTVMFFISEqHashKindFreeVar;
  TS_DECLARE_NODE(Token, Node);
};
TS_DEFINE_REF(Token, Node);

// Reads one element (or `lanes` consecutive ones: dtype.lanes > 1). Where `guard` is false nothing
// is read and the value is `other` (null: zero).
class LoadObj : public ExprObj {
 public:
  Buffer buffer;
  ffi::Array<Expr> index;
  Expr guard, other;
  LoadObj() : ExprObj(NodeKind::kLoad) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("buffer", &LoadObj::buffer), F("index", &LoadObj::index),
                           F("guard", &LoadObj::guard), F("other", &LoadObj::other));
  }
  TS_DECLARE_NODE(Load, Expr);
};
TS_DEFINE_REF(Load, Expr);

// A box of a buffer: operand of tile ops and instructions. `extent[d]` is null while unknown (an
// operand given as a start address; the op reconciles it). `peer` is a rank, `cta` a CTA of the
// cluster; null means this one. check_lo / check_hi: bit d set = coordinates of dim d may be below
// 0 / not below the buffer's extent, so accesses outside are skipped (loads give `other`, or zero).
class RegionObj : public NodeObj {
 public:
  Buffer buffer;
  ffi::Array<Expr> begin, extent;
  Expr peer, cta;
  int64_t check_lo = 0, check_hi = 0;
  Expr other;
  RegionObj() : NodeObj(NodeKind::kRegion) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("buffer", &RegionObj::buffer), F("begin", &RegionObj::begin),
                           F("extent", &RegionObj::extent), F("peer", &RegionObj::peer),
                           F("cta", &RegionObj::cta), F("check_lo", &RegionObj::check_lo),
                           F("check_hi", &RegionObj::check_hi), F("other", &RegionObj::other));
  }
  TS_DECLARE_NODE(Region, Node);
};
TS_DEFINE_REF(Region, Node);

// The address of a region's first element, as a pointer value. The extents say what may be touched
// through it: effects are taken from them.
class AddrObj : public ExprObj {
 public:
  Region region;
  AddrObj() : ExprObj(NodeKind::kAddr) {}
  static constexpr auto Fields() { return std::make_tuple(F("region", &AddrObj::region)); }
  TS_DECLARE_NODE(Addr, Expr);
};
TS_DEFINE_REF(Addr, Expr);

// The slot or phase of a token: the place last acquired (in), last waited for (out), or `back`
// places before it. Printed `%ab.in`, `%ab.out`, `%ab.out-1`, `%ab.phase_in`. Gone after
// InsertSync.
class SlotObj : public ExprObj {
 public:
  Token token;
  bool out = false;    // false: acquired by the producer; true: waited for by the consumer
  bool phase = false;  // the phase bit instead of the slot number
  int64_t back = 0;
  SlotObj() : ExprObj(NodeKind::kSlot) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("token", &SlotObj::token), F("out", &SlotObj::out),
                           F("phase", &SlotObj::phase), F("back", &SlotObj::back));
  }
  TS_DECLARE_NODE(Slot, Expr);
};
TS_DEFINE_REF(Slot, Expr);

}  // namespace tilescale::ir
