// SPDX-License-Identifier: MIT
// Statements. A body is one flat Seq (invariant I3): Bind, Alloc and View scope over the rest of
// theirs. What a statement means, and in which order effects are seen: I6 and I7 (docs/ir.md).
#pragma once

#include "compiler/ir/expr.h"

namespace tilescale::ir {

class SeqObj : public StmtObj {
 public:
  ffi::Array<Stmt> stmts;
  SeqObj() : StmtObj(NodeKind::kSeq) {}
  static constexpr auto Fields() { return std::make_tuple(F("stmts", &SeqObj::stmts)); }
  TS_DECLARE_NODE(Seq, Stmt);
};
TS_DEFINE_REF(Seq, Stmt);

// Evaluates `value` once, here: a snapshot.
class BindObj : public StmtObj {
 public:
  Var var;
  Expr value;
  BindObj() : StmtObj(NodeKind::kBind) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("var", &BindObj::var), F("value", &BindObj::value));
  }
  TS_DECLARE_NODE(Bind, Stmt);
};
TS_DEFINE_REF(Bind, Stmt);

// How a shared buffer may be laid out; an Alloc carries the set, SolveLayouts takes one.
enum Family : int64_t {
  kLinear = 1,
  kPadded = 2,
  kSwizzle32 = 4,
  kSwizzle64 = 8,
  kSwizzle128 = 16,
  kExact = 32
};
// "{sw64, pad}" <-> bits.
std::string FamiliesText(int64_t families);
std::optional<int64_t> ParseFamily(std::string_view name);

// Declares a storage and its first buffer, or a token. Every fact that passes decide about a piece
// of memory is here (I1): `layout` (text form, empty while open), `versions` (copies, of a pipe's
// buffers), `offset` (byte address in the shared arena after PlaceMemory; -1 before). `init` is the
// start value of a var cell. `arrivals` / `release_arrivals`: counts of an mbarrier or of a token's
// full / empty side.
class AllocObj : public StmtObj {
 public:
  Buffer buffer;  // null for a token
  Token token;    // null for a buffer
  ffi::String layout;
  int64_t families = 0;
  int64_t align = 0;
  int64_t versions = 1;
  int64_t offset = -1;
  Expr init;
  int64_t arrivals = 0, release_arrivals = 0;
  bool layout_fixed = false;  // the user wrote the layout
  AllocObj() : StmtObj(NodeKind::kAlloc) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("buffer", &AllocObj::buffer), F("token", &AllocObj::token),
                           F("layout", &AllocObj::layout), F("families", &AllocObj::families),
                           F("align", &AllocObj::align), F("versions", &AllocObj::versions),
                           F("offset", &AllocObj::offset), F("init", &AllocObj::init),
                           F("arrivals", &AllocObj::arrivals),
                           F("release_arrivals", &AllocObj::release_arrivals),
                           F("layout_fixed", &AllocObj::layout_fixed));
  }
  TS_DECLARE_NODE(Alloc, Stmt);
};
TS_DEFINE_REF(Alloc, Stmt);

// Another view of a live storage, or of a pointer value (`pointer` non-null). `version` selects one
// copy of a storage with versions, evaluated here. `slots`: the registers of a fragment in slot
// order, as a 1-D buffer (mapped stage).
class ViewObj : public StmtObj {
 public:
  Buffer buffer;
  Expr pointer, version;
  bool slots = false;
  ViewObj() : StmtObj(NodeKind::kView) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("buffer", &ViewObj::buffer), F("pointer", &ViewObj::pointer),
                           F("version", &ViewObj::version), F("slots", &ViewObj::slots));
  }
  TS_DECLARE_NODE(View, Stmt);
};
TS_DEFINE_REF(View, Stmt);

// Writes one element (or value.dtype.lanes consecutive ones) unless `guard` is false.
class StoreObj : public StmtObj {
 public:
  Buffer buffer;
  ffi::Array<Expr> index;
  Expr value, guard;
  StoreObj() : StmtObj(NodeKind::kStore) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("buffer", &StoreObj::buffer), F("index", &StoreObj::index),
                           F("value", &StoreObj::value), F("guard", &StoreObj::guard));
  }
  TS_DECLARE_NODE(Store, Stmt);
};
TS_DEFINE_REF(Store, Stmt);

// What `T.Pipelined` asked for. order / stage / group as the user gave them; empty when not given.
class PipelineHintObj : public NodeObj {
 public:
  int64_t stages = 0;
  ffi::Array<int64_t> order, stage;
  ffi::Array<ffi::Array<int64_t>> group;
  PipelineHintObj() : NodeObj(NodeKind::kPipelineHint) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("stages", &PipelineHintObj::stages),
                           F("order", &PipelineHintObj::order), F("stage", &PipelineHintObj::stage),
                           F("group", &PipelineHintObj::group));
  }
  TS_DECLARE_NODE(PipelineHint, Node);
};
TS_DEFINE_REF(PipelineHint, Node);

enum class ForKind : uint8_t { kSerial, kUnroll, kVector, kPipelined };
const char* ForKindName(ForKind kind);

// `factor` of an unroll that the compiler expands itself, in Normalise; others are left to the back
// end.
inline constexpr int64_t kExplicitUnroll = -1;

// var = begin, begin + step, …, `extent` iterations. `factor`: how far an unroll goes, 0 is fully.
class ForObj : public StmtObj {
 public:
  Var var;
  Expr begin, extent, step;  // step null: 1
  int64_t kind_ = 0;         // ForKind
  int64_t factor = 0;
  PipelineHint hint;
  Stmt body;
  ForObj() : StmtObj(NodeKind::kFor) {}
  ForKind loop() const { return static_cast<ForKind>(kind_); }
  static constexpr auto Fields() {
    return std::make_tuple(F("var", &ForObj::var), F("begin", &ForObj::begin),
                           F("extent", &ForObj::extent), F("step", &ForObj::step),
                           F("kind", &ForObj::kind_), F("factor", &ForObj::factor),
                           F("hint", &ForObj::hint), F("body", &ForObj::body));
  }
  TS_DECLARE_NODE(For, Stmt);
};
TS_DEFINE_REF(For, Stmt);

// The body once per point, by the thread that the layout picks; all replicas of a fragment compute,
// replica 0 alone writes memory and does atomics. `width`: the user's vector width, 0 for none.
class ParallelObj : public StmtObj {
 public:
  ffi::Array<Var> vars;
  ffi::Array<Expr> extents;
  Stmt body;
  ffi::String layout;
  bool layout_fixed = false;
  int64_t width = 0;
  bool prefer_async = false;
  ParallelObj() : StmtObj(NodeKind::kParallel) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("vars", &ParallelObj::vars), F("extents", &ParallelObj::extents),
                           F("body", &ParallelObj::body), F("layout", &ParallelObj::layout),
                           F("layout_fixed", &ParallelObj::layout_fixed),
                           F("width", &ParallelObj::width),
                           F("prefer_async", &ParallelObj::prefer_async));
  }
  TS_DECLARE_NODE(Parallel, Stmt);
};
TS_DEFINE_REF(Parallel, Stmt);

// `head` runs before every test of `cond`.
class WhileObj : public StmtObj {
 public:
  Stmt head;  // Seq or null
  Expr cond;
  Stmt body;
  WhileObj() : StmtObj(NodeKind::kWhile) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("head", &WhileObj::head), F("cond", &WhileObj::cond),
                           F("body", &WhileObj::body));
  }
  TS_DECLARE_NODE(While, Stmt);
};
TS_DEFINE_REF(While, Stmt);

class IfObj : public StmtObj {
 public:
  Expr cond;
  Stmt then_case;
  Stmt else_case;  // or null
  IfObj() : StmtObj(NodeKind::kIf) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("cond", &IfObj::cond), F("then", &IfObj::then_case),
                           F("else", &IfObj::else_case));
  }
  TS_DECLARE_NODE(If, Stmt);
};
TS_DEFINE_REF(If, Stmt);

enum class JumpKind : uint8_t { kBreak, kContinue, kExit };

class JumpObj : public StmtObj {
 public:
  int64_t kind_ = 0;  // JumpKind
  JumpObj() : StmtObj(NodeKind::kJump) {}
  JumpKind jump() const { return static_cast<JumpKind>(kind_); }
  static constexpr auto Fields() { return std::make_tuple(F("kind", &JumpObj::kind_)); }
  TS_DECLARE_NODE(Jump, Stmt);
};
TS_DEFINE_REF(Jump, Stmt);

// Threads [first, first + count) of the kernel run the body. Layouts inside count threads from
// `first`; thread variables that the user wrote stay absolute.
class GroupObj : public StmtObj {
 public:
  int64_t first = 0, count = 0;
  ffi::String name;
  int64_t nreg = 0;
  Stmt body;
  GroupObj() : StmtObj(NodeKind::kGroup) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("first", &GroupObj::first), F("count", &GroupObj::count),
                           F("name", &GroupObj::name), F("nreg", &GroupObj::nreg),
                           F("body", &GroupObj::body));
  }
  TS_DECLARE_NODE(Group, Stmt);
};
TS_DEFINE_REF(Group, Stmt);

// An instruction: a row of isa/. The only effectful scalar statement; builtins that the user wrote
// and instructions that the compiler chose are the same node. `results` are Vars (defined here,
// scoping over the rest of the Seq) or Addrs of register places. `text` carries the literal text of
// a few rows (format strings, names of extern functions). `guard` null: always.
class CallObj : public StmtObj {
 public:
  ffi::String instr;
  ffi::Array<Expr> args;
  ffi::Array<Expr> results;
  ffi::String text;
  Expr guard;
  CallObj() : StmtObj(NodeKind::kCall) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("instr", &CallObj::instr), F("args", &CallObj::args),
                           F("results", &CallObj::results), F("text", &CallObj::text),
                           F("guard", &CallObj::guard));
  }
  TS_DECLARE_NODE(Call, Stmt);
};
TS_DEFINE_REF(Call, Stmt);

enum class TokenVerb : uint8_t { kAcquire, kCommit, kWait, kRelease, kAwait };
const char* TokenVerbName(TokenVerb verb);

// One step of a token's protocol. `pending`: how many later commits may stay in
// flight.
class TokenOpObj : public StmtObj {
 public:
  int64_t verb_ = 0;
  Token token;
  int64_t pending = 0;
  TokenOpObj() : StmtObj(NodeKind::kTokenOp) {}
  TokenVerb verb() const { return static_cast<TokenVerb>(verb_); }
  static constexpr auto Fields() {
    return std::make_tuple(F("verb", &TokenOpObj::verb_), F("token", &TokenOpObj::token),
                           F("pending", &TokenOpObj::pending));
  }
  TS_DECLARE_NODE(TokenOp, Stmt);
};
TS_DEFINE_REF(TokenOp, Stmt);

// assert: traps with the message where `cond` is false. assume: a fact for the prover, no code.
class CheckObj : public StmtObj {
 public:
  bool assume = false;
  Expr cond;
  ffi::String message;
  CheckObj() : StmtObj(NodeKind::kCheck) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("assume", &CheckObj::assume), F("cond", &CheckObj::cond),
                           F("message", &CheckObj::message));
  }
  TS_DECLARE_NODE(Check, Stmt);
};
TS_DEFINE_REF(Check, Stmt);

// A tile operation: a row of the op registry (ir/op_def.h, compiler/ops). `args` follow the row's
// parameters: Region, Expr, int, float, bool, string, list of ints, or None. `lowering` is the name
// chosen by SelectOps, empty before; `layout` that of the op's own loop nest after SolveLayouts,
// for lowerings that are one.
class TileOpObj : public StmtObj {
 public:
  ffi::String op;
  ffi::Array<ffi::Any> args;
  ffi::String lowering;
  ffi::String layout;
  TileOpObj() : StmtObj(NodeKind::kTileOp) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("op", &TileOpObj::op), F("args", &TileOpObj::args),
                           F("lowering", &TileOpObj::lowering), F("layout", &TileOpObj::layout));
  }
  TS_DECLARE_NODE(TileOp, Stmt);
};
TS_DEFINE_REF(TileOp, Stmt);

}  // namespace tilescale::ir
