// SPDX-License-Identifier: MIT
// Tile operations: the arguments of a row of the op registry, then the op's own checks.
#include "compiler/ir/builder.h"
#include "compiler/ir/op_def.h"
#include "compiler/ir/text.h"
#include "support/strings.h"

#include <tvm/ffi/cast.h>

#include <algorithm>
#include <array>

namespace tilescale::ir {

namespace {

// Annotation keys that name a parameter of the op by another word.
struct KeyAlias {
  std::string_view key, param;
};
constexpr std::array kAliases = {KeyAlias{"parallel_loop_layout", "loop_layout"},
                                 KeyAlias{"nan_propagate", "nan_propagate"}};

// Keys of the contract that mean nothing here, for any op.
constexpr std::array<std::string_view, 4> kIgnored = {"enable_fadd2", "tl.ws_op_id", "lower_hint",
                                                      "tl.persistent"};

[[noreturn]] void WrongArgument(std::string_view op, const OpParam& p, std::string_view needs,
                                const ffi::Any& v) {
  Raise("TypeError", "T.", op, ": ", p.name, " must be ", needs, ", got ", Given(v));
}

ffi::Any Fallback(std::string_view op, const OpParam& p) {
  std::string_view text = p.fallback == nullptr ? "" : p.fallback;
  if (p.fallback == nullptr) Raise("TypeError", "T.", op, ": ", p.name, " must not be None");
  if (text == "none") return ffi::Any();
  switch (p.kind) {
    case ArgKind::kBool:
      return text == "true" || text == "True" || text == "1";
    case ArgKind::kInt:
      return static_cast<int64_t>(std::stoll(std::string(text)));
    case ArgKind::kFloat:
      return std::stod(std::string(text));
    case ArgKind::kString:
      return ffi::String(std::string(text));
    case ArgKind::kInts:
      return ffi::Array<int64_t>();
    default:
      return ffi::Any();
  }
}

// `v` as the parameter's kind says. Layouts are given as lists and kept as text.
ffi::Any Convert(const BuilderObj& builder, std::string_view op, const OpParam& p,
                 const ffi::Any& v) {
  if (IsNone(v)) return Fallback(op, p);
  switch (p.kind) {
    case ArgKind::kRegion: {
      Expr let = builder.LetOf(v);  // a name that was bound to a place still names it
      ffi::Any place = let.defined() ? ffi::Any(let) : v;
      if (const auto* addr = place.as<AddrObj>()) {  // T.address_of(…): a start address
        auto start = CopyNode(addr->region.get());
        start->extent = ffi::Array<Expr>(std::vector<Expr>(start->begin.size()));
        return Region(start);
      }
      Region region = ToRegion(place);
      if (!region.defined()) WrongArgument(op, p, "a buffer, a slice or an element of one", v);
      return region;
    }
    case ArgKind::kExpr:
      // Marked 'r', it may be a tile as well as one value.
      if (p.mode == 'r' &&
          (v.as<Region>() || (v.as<Buffer>() && (*v.as<Buffer>())->space() != Space::kVar))) {
        return ToRegion(v);
      }
      // A condition that is left out and one that is False are the same.
      if (v.type_index() == ffi::TypeIndex::kTVMFFIBool && !v.cast<bool>() &&
          p.fallback != nullptr) {
        return Fallback(op, p);
      }
      return ToExpr(v);
    case ArgKind::kBool:
      return ToInt(v, p.name) != 0;
    case ArgKind::kInt:
      return ToInt(v, p.name);
    case ArgKind::kFloat:
      if (v.type_index() == ffi::TypeIndex::kTVMFFIFloat) return v.cast<double>();
      return static_cast<double>(ToInt(v, p.name));
    case ArgKind::kString:
      if (!v.as<ffi::String>()) WrongArgument(op, p, "a string", v);
      return v;
    case ArgKind::kInts: {
      ffi::Array<int64_t> ints;
      for (const ffi::Any& i : ToValues(v)) ints.push_back(ToInt(i, p.name));
      return ints;
    }
  }
  return ffi::Any();
}

// The tile that a layout argument of an op describes: the shape of its first written region.
std::vector<int64_t> TileShape(const OpSyntax& syntax, const Values& args) {
  std::vector<int64_t> shape;
  for (size_t i = 0; i < syntax.params.size() && i < args.size(); ++i) {
    if (syntax.params[i].kind != ArgKind::kRegion || syntax.params[i].mode == 'r') continue;
    Region region = ToRegion(args[i]);
    if (!region.defined()) continue;
    for (const Expr& e : region->extent) {
      auto n = e.defined() ? AsInt(e) : std::nullopt;
      shape.push_back(n.value_or(1));
    }
    break;
  }
  return shape;
}

bool IsLayoutSpec(const ffi::Any& v) {
  return v.as<ffi::Array<ffi::Any>>().has_value();
}

}  // namespace

void BuilderObj::AddTile(const std::string& name, const Values& args) {
  NeedKernel("T." + name);
  const OpSyntax* syntax = FindSyntax(name);
  if (syntax == nullptr) Raise("NotImplementedError", "T.", name, " is not supported yet");
  if (syntax->moves_elements && args.size() >= 2) {
    auto element = [&](const ffi::Any& v) {
      Expr let = LetOf(v);
      const LoadObj* load = let.defined() ? let.as<LoadObj>() : v.as<LoadObj>();
      return load;
    };
    const LoadObj *src = element(args[0]), *dst = element(args[1]);
    if (src != nullptr && dst != nullptr) {
      return AddStore(dst->buffer, Values(dst->index.begin(), dst->index.end()), args[0]);
    }
  }
  const std::vector<OpParam>& params = syntax->params;
  // Arguments that the compiler adds later have no place in the language's row: their default
  // stands.
  Values values = args;
  Values notes;
  if (values.size() > 0 && IsLayoutSpec(values.back()) &&
      (values.size() > params.size() || params[values.size() - 1].kind != ArgKind::kInts)) {
    notes = ToValues(values.back());
    values.pop_back();
  } else if (values.size() > params.size() && IsNone(values.back())) {
    values.pop_back();
  }
  if (values.size() > params.size()) {
    Raise("InternalError", "T.", name, " has ", params.size(), " parameters, got ", values.size());
  }
  values.resize(params.size());
  for (const ffi::Any& pair : notes) {
    Values entry = ToValues(pair);
    std::string key = ToText(entry.at(0), "an annotation's key");
    for (const KeyAlias& alias : kAliases) {
      if (alias.key == key) key = alias.param;
    }
    int i = syntax->Find(key);
    if (i >= 0) {
      values[i] = entry.at(1);  // an annotation wins over the keyword argument
    } else if (std::find(kIgnored.begin(), kIgnored.end(), key) != kIgnored.end()) {
      options_->ignored.push_back(key);
    } else {
      Raise("CompileError", "unknown annotation \"", key, "\" of T.", name);
    }
  }
  std::vector<ffi::Any> converted;
  for (size_t i = 0; i < params.size(); ++i) {
    const OpParam& p = params[i];
    if (p.kind == ArgKind::kString && IsLayoutSpec(values[i])) {
      values[i] = ffi::String(LayoutText(ToValues(values[i]), TileShape(*syntax, args), Int(32),
                                         kernel_->user_threads(), p.name));
    }
    converted.push_back(Convert(*this, name, p, values[i]));
  }
  // Without a span: while tracing, the front end adds the user's line to what the op raises.
  TileOp op = MakeTileOp(name, converted, Span());
  if (syntax->make != nullptr) op = syntax->make(op);
  Emit(CopyNode(op.get()));
}

}  // namespace tilescale::ir
