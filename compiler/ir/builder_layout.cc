// SPDX-License-Identifier: MIT
// Layouts as a user gives them, to the text form that declarations carry:
//   ["linear"]  ["swizzle", 128 | 64 | 32]  ["chosen"]  ["text", "…"]  ["replicated"]
//   ["expr", shape, vars, outputs]              several outputs are linearised row-major
//   ["fragment", shape, vars, replicate, replica var, thread, index outputs, none if the index is
//   not given]
// A function of the user's is sampled exactly over its finite domain.
#include "compiler/ir/builder.h"
#include "compiler/ir/numeric.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"
#include "compiler/layout/layout.h"
#include "compiler/layout/memory.h"
#include "compiler/layout/table.h"

#include <tvm/ffi/cast.h>

#include <algorithm>
#include <unordered_map>

namespace tilescale::ir {

namespace {

using Point = std::unordered_map<const VarObj*, int64_t>;

int64_t Sample(const Expr& e, const Point& at, std::string_view name) {
  if (auto c = AsInt(e)) return *c;
  if (const auto* v = e.as<VarObj>()) {
    if (auto it = at.find(v); it != at.end()) return it->second;
  }
  if (const auto* op = e.as<OpObj>()) {
    if (op->op() == OpCode::kIf || op->op() == OpCode::kSelect) {
      return Sample(op->args[Sample(op->args[0], at, name) != 0 ? 1 : 2], at, name);
    }
    if (op->op() == OpCode::kCast) return Sample(op->args[0], at, name);
    if (op->args.size() == 2) {
      DataType t = op->args[0].dtype();
      auto v = EvalInt(op->op(), Sample(op->args[0], at, name), Sample(op->args[1], at, name), t);
      if (v) return *v;
    }
  }
  Raise("ValueError", "the layout of `", name, "` depends on `", Spelled(e),
        "`, which is not an integer function of its indices");
}

struct Samples {
  std::vector<int64_t> shape;  // the replica is the last dimension
  std::vector<std::vector<int64_t>> outputs;
};

Samples SampleAll(std::vector<int64_t> shape, const std::vector<Var>& vars,
                  const std::vector<Expr>& outputs, std::string_view name) {
  if (vars.size() != shape.size()) {
    Raise("ValueError", "the layout of `", name, "` has ", vars.size(), " indices for ",
          shape.size(), " dimensions");
  }
  int64_t count = 1;
  for (int64_t n : shape) count *= n;
  if (count > kEnumerationLimit) {
    Raise("ValueError", "the layout of `", name, "` is a function over ", count,
          " points, at most ", kEnumerationLimit, " can be sampled: give it as layout text");
  }
  Samples samples{shape, std::vector<std::vector<int64_t>>(outputs.size())};
  Point at;
  for (int64_t flat = 0; flat < count; ++flat) {
    int64_t rest = flat;
    for (size_t d = shape.size(); d-- > 0;) {
      at[vars[d].get()] = rest % shape[d];
      rest /= shape[d];
    }
    for (size_t o = 0; o < outputs.size(); ++o) {
      samples.outputs[o].push_back(Sample(outputs[o], at, name));
    }
  }
  return samples;
}

std::vector<Var> ToVars(const ffi::Any& v) {
  std::vector<Var> vars;
  for (const ffi::Any& x : ToValues(v)) vars.push_back(x.cast<Var>());
  return vars;
}

std::vector<int64_t> ToShape(const ffi::Any& v, std::string_view name) {
  std::vector<int64_t> shape;
  for (const ffi::Any& x : ToValues(v)) shape.push_back(ToInt(x, "a layout's extent"));
  if (shape.empty()) Raise("ValueError", "the layout of `", name, "` has no dimensions");
  return shape;
}

template <typename T>
T OrRaise(Expected<T> value, std::string_view name) {
  if (value) return *std::move(value);
  Raise("ValueError", "Invalid layout for `", name, "`: ", value.reason());
}

void CheckShape(const std::vector<int64_t>& given, const std::vector<int64_t>& shape,
                std::string_view name) {
  if (given == shape) return;
  auto text = [](const std::vector<int64_t>& v) {
    std::string s = "[";
    for (size_t i = 0; i < v.size(); ++i) s += (i > 0 ? ", " : "") + std::to_string(v[i]);
    return s + "]";
  };
  Raise("ValueError", "Invalid layout for `", name, "`: it is over ", text(given), ", the tile is ",
        text(shape));
}

AnyLayout FromExpr(const Values& spec, const std::vector<int64_t>& shape, std::string_view name) {
  std::vector<int64_t> given = ToShape(spec.at(1), name);
  CheckShape(given, shape, name);
  std::vector<Expr> outputs;
  for (const ffi::Any& e : ToValues(spec.at(3))) outputs.push_back(ToExpr(e));
  Samples s = SampleAll(given, ToVars(spec.at(2)), outputs, name);
  std::vector<Axis> axes = {kAddr};
  return OrRaise(FromSamples(s.shape, axes, s.outputs), name);
}

AnyLayout FromFragment(const Values& spec, const std::vector<int64_t>& shape,
                       std::string_view name) {
  std::vector<int64_t> given = ToShape(spec.at(1), name);
  CheckShape(given, shape, name);
  std::vector<Var> vars = ToVars(spec.at(2));
  int64_t replicate = ToInt(spec.at(3), "replicate");
  if (replicate < 1) Raise("ValueError", "replicate must be positive, got ", replicate);
  std::vector<Expr> outputs = {ToExpr(spec.at(5))};
  for (const ffi::Any& e : ToValues(spec.at(6))) outputs.push_back(ToExpr(e));
  std::vector<int64_t> domain = given;
  if (replicate > 1) {
    domain.push_back(replicate);
    vars.push_back(IsNone(spec.at(4)) ? MakeVar("rep") : spec.at(4).cast<Var>());
  } else if (!IsNone(spec.at(4))) {
    Var rep = spec.at(4).cast<Var>();
    for (Expr& e : outputs) e = Substitute(e, {{rep.get(), MakeConst(0, rep->dtype)}});
  }
  Samples s = SampleAll(domain, vars, outputs, name);
  // Several register indices are one slot number, row-major over their ranges.
  std::vector<int64_t> slots(s.outputs[0].size(), 0);
  for (size_t o = 1; o < s.outputs.size(); ++o) {
    int64_t range = 1;
    for (int64_t x : s.outputs[o]) range = std::max(range, x + 1);
    for (size_t i = 0; i < slots.size(); ++i) slots[i] = slots[i] * range + s.outputs[o][i];
  }
  if (s.outputs.size() == 1) {
    // Without an index function the elements of a thread follow one another as in the tile.
    std::unordered_map<int64_t, int64_t> held;
    for (size_t i = 0; i < slots.size(); i += replicate) {
      int64_t slot = held[s.outputs[0][i]]++;
      std::fill_n(slots.begin() + i, replicate, slot);
    }
  }
  std::vector<Axis> axes = {kThread, kSlot};
  std::vector<std::vector<int64_t>> values = {s.outputs[0], slots};
  return OrRaise(FromSamples(given, axes, values, replicate), name);
}

std::string PointText(std::span<const int64_t> shape, int64_t flat) {
  std::string s;
  for (size_t d = shape.size(); d-- > 0;) {
    s = std::to_string(flat % shape[d]) + (s.empty() ? "" : ", ") + s;
    flat /= shape[d];
  }
  return "[" + s + "]";
}

// Every element has a place of its own in the memory or the threads that there are.
void CheckPlaces(const AnyLayout& layout, int64_t threads, std::string_view name) {
  Expected<Table> table = TableOf(layout);
  if (!table) return;  // too many to enumerate
  std::unordered_map<int64_t, int64_t> seen;
  std::vector<Axis> axes = table->Axes();
  bool fragment =
      std::any_of(axes.begin(), axes.end(), [](Axis a) { return a == kThread || a == kSlot; });
  constexpr int64_t kMaxPlace = int64_t(1) << 31;
  for (int64_t p = 0; p < table->box(); ++p) {
    for (int64_t r = 0; r < table->replicas() && table->inside(p); ++r) {
      int64_t address = table->At(kAddr, p, r), slot = table->At(kSlot, p, r);
      int64_t thread = table->At(kThread, p, r);
      auto at = [&] { return PointText(table->shape(), p); };
      if (address < 0 || address >= kMaxPlace) {
        Raise("ValueError", "Invalid layout for `", name, "`: element ", at(), " is at address ",
              address, ", which must be from 0 to ", kMaxPlace - 1);
      }
      if (!fragment) continue;
      if (thread < 0 || thread >= threads) {
        Raise("ValueError", "Invalid layout for `", name, "`: element ", at(), " is in thread ",
              thread, ", there are threads 0 to ", threads - 1);
      }
      if (slot < 0 || slot >= kMaxPlace / threads) {
        Raise("ValueError", "Invalid layout for `", name, "`: element ", at(), " is in register ",
              slot, ", which must be from 0 to ", kMaxPlace / threads - 1);
      }
      auto [it, fresh] = seen.emplace(slot * threads + thread, p);
      if (fresh || it->second == p) continue;
      Raise(
          "ValueError", "Invalid layout for `", name,
          "`: the forward map must be injective. Details: ", PointText(table->shape(), it->second),
          " and ", at(), " both map to register ", slot, " of thread ", thread);
    }
  }
}

std::string Checked(const AnyLayout& layout, int64_t threads, std::string_view name) {
  CheckPlaces(layout, threads, name);
  return TextOf(layout);
}

}  // namespace

std::string LayoutText(const Values& spec, const std::vector<int64_t>& shape, DataType dtype,
                       int64_t threads, std::string_view name) {
  std::string kind = ToText(spec.at(0), "a layout's kind");
  if (kind == "chosen") return "";  // by the solver
  if (kind == "linear") return RowMajor(shape).Text();
  if (kind == "swizzle") {
    int64_t span = ToInt(spec.at(1), "the bytes of a swizzle");
    SharedFamily family;
    family.kind = span == 128  ? FamilyKind::kSwizzle128
                  : span == 64 ? FamilyKind::kSwizzle64
                               : FamilyKind::kSwizzle32;
    return OrRaise(SharedLayout(shape, dtype.bits, family), name).Text();
  }
  if (kind == "replicated") {
    Mode all{threads, Strides(kThread, 1)};
    Layout slots = RowMajor(shape).Renamed(kAddr, kSlot);
    return OrRaise(slots.WithReplicas({&all, 1}), name).Text();
  }
  if (kind == "text") {
    std::string text = ToText(spec.at(1), "layout text");
    if (text.find("table") != std::string::npos) {
      Table table = OrRaise(Table::Parse(text), name);
      CheckShape({table.shape().begin(), table.shape().end()}, shape, name);
      return Checked(table, threads, name);
    }
    Layout layout = OrRaise(Layout::Parse(text), name);
    CheckShape({layout.shape().begin(), layout.shape().end()}, shape, name);
    return Checked(layout, threads, name);
  }
  if (kind == "expr") return Checked(FromExpr(spec, shape, name), threads, name);
  if (kind == "fragment") return Checked(FromFragment(spec, shape, name), threads, name);
  Raise("ValueError", "Invalid layout: ", kind);
}

}  // namespace tilescale::ir
