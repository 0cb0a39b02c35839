// SPDX-License-Identifier: MIT
// Walking and rewriting, derived from the field lists.
//
//   Walk(stmt, [&](const NodeObj* n) { …; return true; });          // pre-order; false: skip
//   children class Fix : public Mutator { Expr MutateLoad(const Load& e) override { … } };
//
// A Mutator returns the same object when nothing below changed, so unchanged parts stay shared. It
// enters symbols' declarations only where told to: buffers and storages are not rewritten by
// default (their shapes are host expressions); override MutateBuffer to replace references.
#pragma once

#include "compiler/ir/func.h"

#include <functional>
#include <string_view>
#include <unordered_map>

namespace tilescale::ir {

bool IsExprKind(NodeKind kind);
bool IsStmtKind(NodeKind kind);

// Calls `f` on each child node of `node` (fields and array elements), in field order. References to
// symbols (Buffer, Token) are children without children of their own; spans are left out.
void ForEachChild(const NodeObj* node, const std::function<void(const NodeObj*)>& f);
// Pre-order; `enter` false skips the children.
void Walk(const NodeObj* node, const std::function<bool(const NodeObj*)>& enter,
          const std::function<void(const NodeObj*)>& leave = nullptr);
inline void Walk(const Node& node, const std::function<bool(const NodeObj*)>& enter,
                 const std::function<void(const NodeObj*)>& leave = nullptr) {
  if (node.defined()) Walk(node.get(), enter, leave);
}
// The same, each node once: an expression may be a graph of many more paths than nodes.
void WalkOnce(const Node& node, const std::function<bool(const NodeObj*)>& enter);

class Mutator {
 public:
  virtual ~Mutator() = default;
  Expr operator()(const Expr& e) { return MutateExpr(e); }
  Stmt operator()(const Stmt& s) { return MutateStmt(s); }
  // Dispatch on the kind; null stays null.
  virtual Expr MutateExpr(const Expr& e);
  // May return null: the statement is deleted from its Seq. A returned Seq is spliced into its
  // parent Seq.
  virtual Stmt MutateStmt(const Stmt& s);
  virtual Region MutateRegion(const Region& r);
  virtual Buffer MutateBuffer(const Buffer& b) { return b; }

 protected:
  // Rebuild a node from mutated fields; the same object if nothing changed.
  Expr DefaultExpr(const Expr& e);
  Stmt DefaultStmt(const Stmt& s);
  ffi::Array<Expr> MutateExprs(const ffi::Array<Expr>& a);
#define TS_NODE(name, parent) virtual parent Mutate##name(const name& n);
  // clang-format off: it never agrees with itself on these lists
#define TS_EXPR_NODES(X) \
  X(Var, Expr) X(Const, Expr) X(Op, Expr) X(Load, Expr) X(Addr, Expr) X(Slot, Expr)
#define TS_STMT_NODES(X)                                                             \
  X(Seq, Stmt) X(Bind, Stmt) X(Alloc, Stmt) X(View, Stmt) X(Store, Stmt) X(For, Stmt) \
  X(Parallel, Stmt) X(While, Stmt) X(If, Stmt) X(Jump, Stmt) X(Group, Stmt)           \
  X(Call, Stmt) X(TokenOp, Stmt) X(Check, Stmt) X(TileOp, Stmt) X(Kernel, Stmt)
  // clang-format on
  TS_EXPR_NODES(TS_NODE)
  TS_STMT_NODES(TS_NODE)
#undef TS_NODE
};

// Replaces variables; binders inside are left alone (their vars are distinct objects). A View whose
// offset, shape or strides name a replaced variable declares a new buffer, which the uses below
// take.
using VarMap = std::unordered_map<const VarObj*, Expr>;
Expr Substitute(const Expr& e, const VarMap& map);
Stmt Substitute(const Stmt& s, const VarMap& map);
// Replaces buffers, declared and used.
using BufferMap = std::unordered_map<const BufferObj*, Buffer>;
Stmt ReplaceBuffers(const Stmt& s, const BufferMap& map);
// A copy with fresh symbols for everything that `s` (no Kernel) declares. A symbol is declared once
// in a Func (I3), so a statement that is to stand at a second place goes through here.
Stmt RefreshDeclarations(const Stmt& s);

// Pre-order visit of every expression of a statement (its own fields, not nested statements; of an
// Alloc or View the shape, offset and strides of the buffer it declares, too).
void ForEachExpr(const StmtObj* s, const std::function<void(const Expr&)>& f);
bool Loads(const Expr& e);  // does it read a buffer?
// Bind, Alloc, View, or an assumption: declares something, does nothing.
bool IsDeclaration(const Stmt& s);
// `s` with another label; no label for "".
Stmt WithLabel(const Stmt& s, std::string_view label);
// Applies `f` to each Kernel of a Func's body.
Func MapKernels(const Func& f, const std::function<Kernel(const Kernel&)>& fn);
// Alpha-equivalence, spans ignored (tvm-ffi structural equality).
bool StructuralEqual(const Node& a, const Node& b);
bool SameExpr(const Expr& a, const Expr& b);  // same free variables, structurally

}  // namespace tilescale::ir
