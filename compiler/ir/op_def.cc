// SPDX-License-Identifier: MIT
#include "compiler/ir/op_def.h"

#include "compiler/ir/text_rules.h"
#include "support/diagnostics.h"

#include <map>

namespace tilescale::ir {
namespace {

// Made at the first use: registrations run while the library is loaded, in any order. std::map
// keeps rows in place and sorted.
std::map<std::string, OpSyntax, std::less<>>& Registry() {
  static auto* const registry = new std::map<std::string, OpSyntax, std::less<>>();
  return *registry;
}

const ffi::Any& Arg(const TileOpObj* op, std::string_view param, ArgKind kind) {
  const OpSyntax& syntax = SyntaxOf(op);
  const int index = syntax.Find(param);
  TS_CHECK(index >= 0) << "tile op " << syntax.name << " has no parameter " << param;
  TS_CHECK(syntax.params[index].kind == kind)
      << "parameter " << param << " of tile op " << syntax.name << " is of another kind";
  TS_CHECK(op->args.size() == syntax.params.size())
      << "tile op " << syntax.name << " has " << op->args.size() << " arguments, expected "
      << syntax.params.size();
  return *(op->args.GetArrayObj()->begin() + index);
}

template <typename T>
T Required(const TileOpObj* op, std::string_view param, ArgKind kind) {
  std::optional<T> value = Arg(op, param, kind).template try_cast<T>();
  TS_CHECK(value.has_value()) << "argument " << param << " of tile op " << std::string(op->op)
                              << " has the wrong type";
  return *value;
}

}  // namespace

int OpSyntax::Find(std::string_view param) const {
  for (size_t i = 0; i < params.size(); ++i) {
    if (param == params[i].name) return static_cast<int>(i);
  }
  return -1;
}

void RegisterSyntax(OpSyntax syntax) {
  const std::string name = syntax.name;
  const std::string_view format = syntax.format;
  TS_CHECK(!text::IsReserved(name)) << name << " is a word of the IR's text, no name for a tile op";
  TS_CHECK(format.substr(0, format.find(' ')) == name)
      << "the format of tile op " << name << " begins with another word: " << format;
  TS_CHECK(Registry().emplace(name, std::move(syntax)).second)
      << "tile op " << name << " is registered twice";
}

const OpSyntax* FindSyntax(std::string_view op) {
  auto it = Registry().find(op);
  return it == Registry().end() ? nullptr : &it->second;
}

const OpSyntax& SyntaxOf(const TileOpObj* op) {
  const OpSyntax* syntax = FindSyntax(std::string_view(op->op.data(), op->op.size()));
  TS_CHECK(syntax != nullptr) << "unknown tile op " << std::string(op->op);
  return *syntax;
}

std::vector<const OpSyntax*> AllSyntax() {
  std::vector<const OpSyntax*> all;
  for (const auto& [name, syntax] : Registry()) all.push_back(&syntax);
  return all;
}

Region RegionArg(const TileOpObj* op, std::string_view param) {
  return Required<Region>(op, param, ArgKind::kRegion);
}
Expr ExprArg(const TileOpObj* op, std::string_view param) {
  return Required<Expr>(op, param, ArgKind::kExpr);
}
int64_t IntArg(const TileOpObj* op, std::string_view param) {
  return Required<int64_t>(op, param, ArgKind::kInt);
}
bool BoolArg(const TileOpObj* op, std::string_view param) {
  return Required<bool>(op, param, ArgKind::kBool);
}
std::string StringArg(const TileOpObj* op, std::string_view param) {
  if (Arg(op, param, ArgKind::kString) == nullptr) return "";  // None
  return Required<ffi::String>(op, param, ArgKind::kString);
}

std::vector<int64_t> IntsArg(const TileOpObj* op, std::string_view param) {
  auto values = Required<ffi::Array<int64_t>>(op, param, ArgKind::kInts);
  return std::vector<int64_t>(values.begin(), values.end());
}

TileOp WithArg(const TileOp& op, std::string_view param, ffi::Any value) {
  const int index = SyntaxOf(op.get()).Find(param);
  TS_CHECK(index >= 0) << "tile op " << std::string(op->op) << " has no parameter " << param;
  auto copy = CopyNode(op.get());
  copy->args.Set(index, std::move(value));
  return TileOp(std::move(copy));
}

}  // namespace tilescale::ir
