// SPDX-License-Identifier: MIT
#include "compiler/ir/build.h"
#include "compiler/ir/printer.h"
#include "compiler/ir/text_rules.h"

namespace tilescale::ir::text {
namespace {

constexpr std::string_view kWordEnd = " ,()[]{}:;";

// The next piece of an op's format: "$name", or text up to the next "$".
std::string_view NextPiece(std::string_view* format) {
  size_t end = (*format)[0] == '$' ? format->find_first_of(kWordEnd, 1) : format->find('$');
  if (end == std::string_view::npos) end = format->size();
  std::string_view piece = format->substr(0, end);
  format->remove_prefix(end);
  return piece;
}

}  // namespace

void Printer::PrintTileArg(const ffi::Any& arg, ArgKind kind) {
  if (arg == nullptr) {
    out_ += "none";
  } else if (auto region = arg.as<Region>()) {
    if (kind == ArgKind::kExpr) out_ += "region ";
    PrintRegion(*region);
  } else if (auto expr = arg.as<Expr>()) {
    if (kind == ArgKind::kRegion) out_ += "value ";
    PrintExpr(*expr);
  } else if (auto text = arg.as<ffi::String>()) {
    out_ += WordOrQuoted(View(*text));
  } else if (auto flag = arg.as<bool>()) {
    out_ += *flag ? "true" : "false";
  } else if (auto list = arg.as<ffi::Array<ffi::Any>>()) {
    out_ += "[";
    for (size_t i = 0; i < list->size(); ++i) {
      if (i > 0) out_ += ", ";
      PrintTileArg((*list)[i], ArgKind::kInt);
    }
    out_ += "]";
  } else if (auto number = arg.as<int64_t>(); number && kind != ArgKind::kFloat) {
    out_ += std::to_string(*number);
  } else if (auto real = arg.try_cast<double>()) {
    PrintExpr(MakeFloat(*real, Float(64)), 0, Float(64));
  } else {
    out_ += "?";
  }
}

void Printer::PrintTileOp(const TileOpObj* op) {
  const OpSyntax* syntax = FindSyntax(View(op->op));
  if (syntax == nullptr || op->args.size() != syntax->params.size()) {
    // Only a broken program has one; a dump of it should still be readable.
    out_ += "tile " + Quote(View(op->op)) + "(";
    for (size_t i = 0; i < op->args.size(); ++i) {
      if (i > 0) out_ += ", ";
      PrintTileArg(op->args[i], ArgKind::kExpr);
    }
    out_ += ")";
    return;
  }
  std::vector<bool> printed(syntax->params.size(), false);
  std::string_view format = syntax->format;
  while (!format.empty()) {
    std::string_view piece = NextPiece(&format);
    const int index = piece[0] == '$' ? syntax->Find(piece.substr(1)) : -1;
    if (index < 0) {
      out_ += piece;
      continue;
    }
    printed[index] = true;
    PrintTileArg(op->args[index], syntax->params[index].kind);
  }
  for (size_t i = 0; i < printed.size(); ++i) {
    if (printed[i]) continue;
    const OpParam& param = syntax->params[i];
    std::string head = std::move(out_);
    out_.clear();
    PrintTileArg(op->args[i], param.kind);
    std::string value = std::move(out_);
    out_ = std::move(head);
    if (param.fallback != nullptr && value == param.fallback) continue;
    out_ += std::string(" ") + param.name + "=" + value;
  }
  if (!op->lowering.empty()) out_ += " via " + WordOrQuotedName(View(op->lowering));
  PrintLayout(op->layout, false);
}

}  // namespace tilescale::ir::text
