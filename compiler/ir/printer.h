// SPDX-License-Identifier: MIT
// The printer behind text.h. One instance prints one program; it holds the names given so far.
#pragma once

#include "compiler/ir/op_def.h"
#include "compiler/ir/text.h"
#include "compiler/ir/unique_names.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace tilescale::ir::text {

// Names of the symbols that are in scope. A name is its symbol's own, with a numeric suffix where
// that one is taken: the same program always gets the same names, and names given once are kept by
// parsing and printing again.
class Names {
 public:
  Names() { Push(); }
  void Push() { scopes_.emplace_back(); }
  void Pop();
  bool Known(const NodeObj* symbol) const { return names_.count(symbol) != 0; }
  // Declares `symbol` in the innermost scope; no effect if it is known.
  const std::string& Declare(const NodeObj* symbol, std::string_view wish);
  // The name of a symbol; one that nobody declared (a piece of a program is printed) gets one for
  // good.
  const std::string& Of(const NodeObj* symbol, std::string_view wish);

 private:
  const std::string& Add(const NodeObj* symbol, std::string_view wish, size_t scope);

  std::unordered_map<const NodeObj*, std::string> names_;
  UniqueNames taken_;
  std::vector<std::vector<const NodeObj*>> scopes_;
};

class Printer {
 public:
  enum class Notation { kText, kUser };  // what is read back; what messages say
  explicit Printer(bool spans, Notation notation = Notation::kText)
      : spans_(spans), user_(notation == Notation::kUser) {}

  void PrintFunc(const Func& f);
  void PrintStmt(const Stmt& s);
  // `min_precedence`: weaker operators are put in parentheses. `context`: the type that an untyped
  // literal has in this place.
  void PrintExpr(const Expr& e, int min_precedence = 0, std::optional<DataType> context = {});
  void PrintRegion(const Region& r);
  void PrintSchedule(const Schedule& s);
  std::string Take() { return std::move(out_); }

 private:
  // expressions
  void PrintConst(const ConstObj* c, std::optional<DataType> context);
  void PrintOp(const OpObj* op, int min_precedence);
  void PrintCallForm(const OpObj* op);
  void PrintLoad(const LoadObj* load);
  void PrintAddr(const AddrObj* addr);
  void PrintSlot(const SlotObj* slot);
  void PrintVar(const VarObj* var);
  void PrintExprs(const ffi::Array<Expr>& exprs);
  void PrintGuards(const RegionObj* r);
  void PrintBox(const RegionObj* r);

  // statements
  void PrintBody(const Stmt& body);  // " {", the statements in a scope, "}"
  void PrintFlat(const Stmt& body);  // the statements in a scope, no braces
  void PrintSimple(const Stmt& s);
  void PrintAlloc(const AllocObj* alloc);
  void PrintView(const ViewObj* view);
  void PrintStore(const StoreObj* store);
  void PrintCall(const CallObj* call);
  void PrintFor(const ForObj* loop);
  void PrintHint(const PipelineHintObj* hint);
  void PrintParallel(const ParallelObj* nest);
  void PrintIf(const IfObj* branch);
  void PrintWhile(const WhileObj* loop);
  void PrintGroup(const GroupObj* group);
  void PrintTileOp(const TileOpObj* op);
  void PrintTileArg(const ffi::Any& arg, ArgKind kind);
  void PrintKernel(const KernelObj* kernel);
  void PrintAxes(std::string_view word, const ffi::Array<Var>& vars,
                 const ffi::Array<Expr>& extents, const std::unordered_set<const NodeObj*>& used);
  void PrintKernelFacts(const KernelObj* kernel);
  void DeclareScheduled(const KernelObj* kernel);
  void PrintSpan(const Span& span);
  void PrintLayout(const ffi::String& layout, bool fixed);

  // programs
  void PrintParam(const ParamObj* param);
  void PrintOptions(const OptionsObj* options);
  void CollectSources(const Func& f);
  void CollectMemories(const Func& f);
  void PrintMemories(const StorageObj* storage);

  void PrintBufferType(const BufferObj* buffer, Root usual_root);
  void Line() { out_.append("\n").append(2 * indent_, ' '); }
  const std::string& NameOf(const BufferObj* b) { return names_.Of(b, View(b->name)); }
  static std::string_view View(const ffi::String& s) { return {s.data(), s.size()}; }

  // A name that the program declares.
  void PrintName(const std::string& name) { out_ += (user_ ? "" : "%") + name; }
  std::string TypeName(DataType t) const { return user_ ? LanguageName(t) : ShortName(t); }

  bool spans_;
  bool user_;
  bool declaring_ = false;  // a parameter's shape: its unknown variables are declared there
  int indent_ = 0;
  std::string out_;
  Names names_;
  std::unordered_map<const StorageObj*, const BufferObj*> storages_;  // its first buffer
  // Buffers that no statement declares, by the storage they are another form of.
  std::unordered_map<const StorageObj*, std::vector<const BufferObj*>> memories_;
  std::map<std::pair<std::string, std::string>, int> sources_;  // (file, function) -> number
};

}  // namespace tilescale::ir::text
