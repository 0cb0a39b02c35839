// SPDX-License-Identifier: MIT
// Visiting and rewriting: what is entered, what stays shared, what is renamed.
#include "compiler/ir/build.h"
#include "compiler/ir/text.h"
#include "compiler/ir/verify.h"
#include "compiler/ir/visit.h"
#include "tests/unit/ir/testing.h"

#include <gtest/gtest.h>
#include <map>

namespace tilescale::ir {
namespace {

constexpr const char* kBody =
    "alloc %s: shared f16[64, 64]\n"
    "alloc %t: token cp_async depth 2\n"
    "for %i in 0..4 {\n"
    "  view %v: f16[8] offset %i * 8 of %s\n"
    "  if %i < %n { store %v[%i] = %s[%i, 1] + f16(1.0) guard %i > 0 } else { copy %A[%i, 0 +: 64] "
    "-> %s[0] }\n"
    "  bind %x = %i * 2\n"
    "  wait %t\n"
    "  call %y: i32, &%s[0, %x] = some.instr(%x, &%s[%i, 0])\n"
    "}";

Func Parsed() {
  RegisterTestOps();
  std::string body = kBody;
  body.replace(body.find("%s[0] }"), 7, "%s[0, 0 +: 64] }");
  return ParseFunc(Program(body));
}

class NoOp : public Mutator {};

TEST(Mutator, NoChangeIsTheSameObject) {
  const Func f = Parsed();
  EXPECT_TRUE(NoOp()(f->body).same_as(f->body));
}

// Replaces one constant.
class Replace : public Mutator {
 public:
  Replace(int64_t from, int64_t to) : from_(from), to_(to) {}
  Expr MutateConst(const Const& c) override {
    return IsInteger(c->dtype) && c->i == from_ ? MakeConst(to_, c->dtype) : Expr(c);
  }

 private:
  int64_t from_, to_;
};

TEST(Mutator, WhatDidNotChangeStaysShared) {
  RegisterTestOps();
  const Func f =
      ParseFunc(Program("bind %a = %tx + 5\nfor %i in 0..4 { bind %b = %i + 7 }\n"
                        "for %j in 0..9 { bind %c = %j + 5 }"));
  const Func g = MapKernels(f, [](const Kernel& k) {
    auto copy = CopyNode(k.get());
    copy->body = Replace(5, 6)(k->body);
    return Kernel(std::move(copy));
  });
  auto stmts = [](const Func& func) {
    std::vector<Stmt> result;
    for (const Stmt& s : StmtsOf(func->body)) {
      if (const KernelObj* k = s.as<KernelObj>()) result = StmtsOf(k->body);
    }
    return result;
  };
  const std::vector<Stmt> before = stmts(f), after = stmts(g);
  EXPECT_FALSE(after[0].same_as(before[0]));
  EXPECT_TRUE(after[1].same_as(before[1]));
  EXPECT_FALSE(after[2].same_as(before[2]));
  EXPECT_TRUE(after[2].as<ForObj>()->var.same_as(before[2].as<ForObj>()->var));
  EXPECT_EQ(Print(after[0]), "bind %a = %tx + 6");
  EXPECT_EQ(Print(before[0]), "bind %a = %tx + 5");
}

TEST(Mutator, RebuildingFolds) {
  Var x = MakeVar("x");
  EXPECT_TRUE(Replace(5, 0)(Add(x, 5)).same_as(x));
}

// Deletes stores, doubles binds, lets an arm become empty.
class Reshape : public Mutator {
 public:
  Stmt MutateStore(const Store&) override { return Stmt(); }
  Stmt MutateBind(const Bind& b) override {
    return MakeSeq({b, MakeBind(MakeVar("twin"), b->value, b->span)});
  }
};

TEST(Mutator, StatementsVanishAndMultiply) {
  const Func f = Parsed();
  const Func g = MapKernels(f, [](const Kernel& k) {
    auto copy = CopyNode(k.get());
    copy->body = Reshape()(k->body);
    return Kernel(std::move(copy));
  });
  Verify(g);
  const std::string text = Print(g);
  EXPECT_EQ(text.find("store"), std::string::npos);
  EXPECT_NE(text.find("bind %x = %i * 2\n      bind %twin = %i * 2"), std::string::npos) << text;
  EXPECT_NE(text.find("if %i < %n {\n      } else {"), std::string::npos) << text;
}

// Widens indices: the operations above follow.
class Widen : public Mutator {
 public:
  Expr MutateVar(const Var& v) override { return Cast(v, Int(64)); }
  Expr MutateConst(const Const& c) override { return MakeConst(c->i, Int(64)); }
};

TEST(Mutator, TypesFollowOperands) {
  Var x = MakeVar("x");
  EXPECT_EQ(Print(Widen()(Add(Mul(x, 3), 4))), "cast.i64(%x) * 3 + 4");
  EXPECT_TRUE(SameType(Widen()(Add(x, 4)).dtype(), Int(64)));
}

TEST(Mutator, BuffersAreReplacedEverywhere) {
  class Rename : public Mutator {
   public:
    Buffer MutateBuffer(const Buffer& b) override {
      auto it = fresh_.find(b.get());
      if (it != fresh_.end()) return it->second;
      auto copy = CopyNode(b.get());
      copy->name = "new_" + std::string(b->name);
      return fresh_[b.get()] = Buffer(std::move(copy));
    }
    std::map<const BufferObj*, Buffer> fresh_;
  };
  RegisterTestOps();
  Stmt body;
  const Func f = Parsed();
  Walk(f, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kKernel) body = static_cast<const KernelObj*>(n)->body;
    return true;
  });
  const std::string text = Print(Rename()(body));
  EXPECT_EQ(text.find("%s["), std::string::npos) << text;
  EXPECT_EQ(text.find("%s:"), std::string::npos) << text;
  EXPECT_NE(text.find("of %new_s"), std::string::npos) << text;
}

TEST(Substitute, ReplacesUsesAndViews) {
  const Func f = Parsed();
  const ForObj* loop = nullptr;
  Walk(f, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kFor) loop = static_cast<const ForObj*>(n);
    return true;
  });
  const Stmt body = Substitute(loop->body, {{loop->var.get(), MakeConst(3)}});
  const std::string text = Print(body);
  EXPECT_EQ(text.find("%i"), std::string::npos) << text;
  EXPECT_NE(text.find("offset 24"), std::string::npos) << text;
  EXPECT_NE(text.find("bind %x = 6"), std::string::npos) << text;
  EXPECT_TRUE(Substitute(loop->body, VarMap{}).same_as(loop->body));
}

TEST(RefreshDeclarations, IsAnEqualProgramOfOtherSymbols) {
  const Func f = Parsed();
  Stmt body;
  Walk(f, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kKernel) body = static_cast<const KernelObj*>(n)->body;
    return true;
  });
  const Stmt fresh = RefreshDeclarations(body);
  EXPECT_TRUE(StructuralEqual(body, fresh));
  std::map<const NodeObj*, int> declared;
  for (const Stmt& s : {body, fresh}) {
    Walk(s, [&](const NodeObj* n) {
      if (n->kind == NodeKind::kBind) ++declared[static_cast<const BindObj*>(n)->var.get()];
      if (n->kind == NodeKind::kFor) ++declared[static_cast<const ForObj*>(n)->var.get()];
      if (n->kind == NodeKind::kView) ++declared[static_cast<const ViewObj*>(n)->buffer.get()];
      if (n->kind == NodeKind::kAlloc) {
        const auto* alloc = static_cast<const AllocObj*>(n);
        ++declared[alloc->buffer.defined() ? static_cast<const NodeObj*>(alloc->buffer.get())
                                           : alloc->token.get()];
        if (alloc->buffer.defined()) ++declared[alloc->buffer->storage.get()];
      }
      return true;
    });
  }
  EXPECT_EQ(declared.size(), 12u);
  for (const auto& [symbol, count] : declared) EXPECT_EQ(count, 1);
}

TEST(Walk, VisitsInFieldOrder) {
  Var x = MakeVar("x"), y = MakeVar("y");
  std::string order;
  Walk(Mul(Add(x, y), x), [&](const NodeObj* n) {
    order += n->kind == NodeKind::kVar ? std::string(static_cast<const VarObj*>(n)->name) : "o";
    return true;
  });
  EXPECT_EQ(order, "ooxyx");
  order.clear();
  Walk(
      Mul(Add(x, y), x), [&](const NodeObj* n) { return n->kind != NodeKind::kVar; },
      [&](const NodeObj* n) { order += n->kind == NodeKind::kVar ? "v" : "o"; });
  EXPECT_EQ(order, "vvovo");
}

TEST(ForEachExpr, StaysInTheStatement) {
  const Func f = Parsed();
  std::map<NodeKind, std::string> seen;
  Walk(f, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kIf || n->kind == NodeKind::kView) {
      ForEachExpr(static_cast<const StmtObj*>(n),
                  [&](const Expr& e) { seen[n->kind] += Print(e) + ";"; });
    }
    return true;
  });
  EXPECT_EQ(seen[NodeKind::kIf], "%i < %n;%i;%n;");
  EXPECT_EQ(seen[NodeKind::kView], "8;%i * 8;%i;8;");
}

TEST(SameExpr, IsIdentityOfVariables) {
  Var x = MakeVar("x"), other = MakeVar("x");
  EXPECT_TRUE(SameExpr(Add(x, 1), Add(x, 1)));
  EXPECT_FALSE(SameExpr(Add(x, 1), Add(other, 1)));
  EXPECT_FALSE(SameExpr(Add(x, 1), Add(x, 2)));
  EXPECT_FALSE(SameExpr(MakeFloat(0.0, Float(32)), MakeFloat(-0.0, Float(32))));
  EXPECT_TRUE(SameExpr(Expr(), Expr()));
  EXPECT_FALSE(SameExpr(Expr(), x));
}

TEST(OpDef, TypedArguments) {
  RegisterTestOps();
  const Func f = ParseFunc(Program("alloc %s: shared f16[8]\nreduce %s -> %s by max axes=[1, 2]"));
  const TileOpObj* op = nullptr;
  Walk(f, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kTileOp) op = static_cast<const TileOpObj*>(n);
    return true;
  });
  EXPECT_EQ(StringArg(op, "kind"), "max");
  EXPECT_EQ(IntArg(op, "dim"), -1);
  EXPECT_EQ(IntsArg(op, "axes"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(RegionArg(op, "src")->buffer->name, "s");
  EXPECT_FALSE(ExprArg(op, "init").defined());
  const TileOp changed = WithArg(ffi::GetRef<TileOp>(op), "dim", 2);
  EXPECT_EQ(IntArg(changed.get(), "dim"), 2);
  EXPECT_EQ(IntArg(op, "dim"), -1);
}

}  // namespace
}  // namespace tilescale::ir
