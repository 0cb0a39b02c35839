// SPDX-License-Identifier: MIT
// The CUDA printer's state: names, headers, the text so far.
#pragma once

#include "compiler/ir/func.h"
#include "compiler/ir/kernel_params.h"
#include "compiler/ir/unique_names.h"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace tilescale::codegen::cuda {

// C++ name of a dtype: "ts::f16", "int", "ts::vec<float, 4>".
std::string TypeName(ir::DataType t);

class Printer {
 public:
  explicit Printer(const ir::Func& f) : func_(f) {}
  void PrintKernel(const ir::Kernel& k);
  const std::set<std::string>& headers() const { return headers_; }
  const std::string& text() const { return out_; }

 private:
  // expr.cc
  std::string Expr(const ir::Expr& e);
  std::string Const(const ir::ConstObj* c);
  std::string Op(const ir::OpObj* op);
  std::string Cast(const ir::OpObj* op);
  std::string Low(ir::DataType t, const std::string& x);
  std::string Load(const ir::LoadObj* load);
  std::string Addr(const ir::RegionObj* region);
  std::string Pointer(const ir::Buffer& b);  // the array, cast if b's dtype is not the declared one
  std::string Element(const ir::Buffer& b, const ir::Expr& index);
  std::string Offset(const std::string& pointer, const ir::Expr& index);
  std::string VectorPlace(const ir::Buffer& b, const ir::Expr& index, ir::DataType t, bool write);

  // Integer arithmetic on values wraps (docs/language.md), and C++ signed arithmetic may not; that
  // of indices does not overflow. values.cc
  void FindIndices(const ir::Kernel& k);
  // Reads memory, or a variable that holds a value. A cell may hold either: `cells` decides.
  bool IsValue(const ir::Expr& e, bool cells) const;
  std::string Value(const ir::Expr& e);         // as a value
  std::string IndexOrValue(const ir::Expr& e);  // a condition, or what a name is bound to
  bool MayOverflow(const ir::OpObj* op) const;

  // stmt.cc
  void Stmt(const ir::Stmt& s);
  void Body(const ir::Stmt& s);
  void Alloc(const ir::AllocObj* s);
  void Store(const ir::StoreObj* s);
  void For(const ir::ForObj* s);
  void Call(const ir::CallObj* s);
  std::string CallText(const ir::CallObj* s);
  void Line(const ir::Span& span);
  void Put(const std::string& line);

  std::string Name(const ir::NodeObj* symbol, std::string_view wish);
  std::string ArrayName(const ir::Buffer& b);

  const ir::Func& func_;
  std::string out_;
  int indent_ = 0;
  std::set<std::string> headers_;
  ir::UniqueNames used_;
  std::unordered_map<const ir::NodeObj*, std::string> names_;         // Var, Storage
  std::unordered_map<const ir::StorageObj*, ir::DataType> declared_;  // element type of the C array
  std::unordered_set<const ir::StorageObj*> pointers_;  // declared in the block being printed
  std::set<const ir::StorageObj*> read_only_;
  std::set<const ir::NodeObj*> unrolled_;  // variables of the enclosing fully unrolled loops
  std::set<const ir::NodeObj*> indices_;   // variables that an index or a bound is made of
  std::set<const ir::NodeObj*> values_;    // variables that hold values
  bool value_ = false;                     // what is being printed is a value
  const ir::SpanObj* last_span_ = nullptr;
};

}  // namespace tilescale::codegen::cuda
