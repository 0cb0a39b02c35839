// SPDX-License-Identifier: MIT
// The layout algebra for Python and for tests, text in and text out: tilescale.layout.*.
// A refusal comes back as "refused: " and its reason.
#include "compiler/layout/block.h"
#include "compiler/layout/descriptor.h"
#include "compiler/layout/memory.h"
#include "compiler/layout/queries.h"
#include "compiler/layout/solver.h"
#include "compiler/layout/table.h"
#include "compiler/layout/tma.h"

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/reflection/registry.h>
#include <tvm/ffi/string.h>

#include <vector>

namespace tilescale {
namespace {

namespace ffi = tvm::ffi;
using ffi::String;
using Ints = ffi::Array<int64_t>;

String Refused(const std::string& reason) {
  return "refused: " + reason;
}
String Show(const std::string& text) {
  return text;
}
String Show(const Layout& layout) {
  return layout.Text();
}
String Show(const AnyLayout& layout) {
  return TextOf(layout);
}
String Show(const Table& table) {
  return table.Text();
}
String Show(const ModeList& modes) {
  std::string out;
  for (const Mode& m : modes) {
    // The part of a one-dim layout that prints these digits.
    Layout one = LayoutBuilder(Shape{m.n}).AddDim(0, {&m, 1}).BuildUnchecked();
    std::string text = one.Text();
    out += (out.empty() ? "" : " ") + text.substr(text.find("| ") + 2);
  }
  return out;
}
template <class T>
String Show(const Expected<T>& x) {
  return x.ok() ? Show(*x) : Refused(x.reason());
}

std::string_view View(const String& s) {
  return {s.data(), s.size()};
}

std::vector<int64_t> Vec(const Ints& xs) {
  return {xs.begin(), xs.end()};
}
std::vector<int> Dims(const Ints& xs) {
  return {xs.begin(), xs.end()};
}

Expected<AnyLayout> ParseAny(const String& text) {
  return tilescale::ParseAny(View(text));
}

// Calls f with the layout of a text, and shows what it returns.
template <class F>
String With(const String& text, F&& f) {
  Expected<Layout> l = Layout::Parse(View(text));
  return l.ok() ? Show(f(*l)) : Refused(l.reason());
}
template <class F>
String With(const String& a, const String& b, F&& f) {
  return With(a, [&](const Layout& x) -> Expected<std::string> {
    TS_TRY(Layout y, Layout::Parse(View(b)));
    return f(x, y);
  });
}
template <class F>
String WithAny(const String& a, const String& b, F&& f) {
  Expected<AnyLayout> x = ParseAny(a), y = ParseAny(b);
  if (!x.ok()) return Refused(x.reason());
  if (!y.ok()) return Refused(y.reason());
  return Show(f(*x, *y));
}

Expected<Axis> AxisNamed(std::string_view name) {
  for (int id = 0; id < 8; ++id) {
    if (Axis::Place(id).Name() == name) return Axis::Place(id);
  }
  return Refusal{"no axis is named \"" + std::string(name) + "\""};
}

std::string YesNo(bool b) {
  return b ? "yes" : "no";
}

std::string Join(std::span<const std::string> parts, const char* separator) {
  std::string out;
  for (const std::string& p : parts) out += (out.empty() ? "" : separator) + p;
  return out;
}

// -- domain operations
// ------------------------------------------------------------------------------

// An operation on modes, or on the table of the same text.
template <class F>
String OnEither(const String& text, F&& f) {
  Expected<AnyLayout> l = ParseAny(text);
  if (!l.ok()) return Refused(l.reason());
  return std::visit([&](const auto& x) { return Show(f(x)); }, *l);
}

String DivideText(String t, int64_t dim, int64_t tile) {
  return OnEither(t, [&](const auto& l) { return l.Divide(int(dim), tile); });
}
String PermuteText(String t, Ints order) {
  return OnEither(t, [&](const auto& l) { return l.Permute(Dims(order)); });
}
String ReshapeText(String t, Ints shape) {
  return OnEither(t, [&](const auto& l) { return l.Reshape(Vec(shape)); });
}
String SliceText(String t, int64_t dim, int64_t start, int64_t size) {
  return OnEither(t, [&](const auto& l) { return l.Slice(int(dim), start, size); });
}
String DropText(String t, int64_t dim, int64_t at) {
  return OnEither(t, [&](const auto& l) { return l.Drop(int(dim), at); });
}
String BroadcastText(String t, int64_t dim, int64_t n) {
  return OnEither(t, [&](const auto& l) { return l.Broadcast(int(dim), n); });
}
String JoinText(String t, Ints dims) {
  return With(t, [&](const Layout& l) { return l.Join(Dims(dims)); });
}
String RepeatText(String t, int64_t dim, int64_t n, String strides) {
  return With(t, [&](const Layout& l) -> Expected<Layout> {
    TS_TRY(Layout v, Layout::Parse(" | off " + std::string(View(strides))));
    return l.Repeat(int(dim), n, v.off());
  });
}
String ProjectText(String t, int64_t dim) {
  return With(t, [&](const Layout& l) { return l.Project(int(dim)); });
}
String RecastText(String t, int64_t dim, int64_t k, String axis) {
  return With(t, [&](const Layout& l) -> Expected<Layout> {
    TS_TRY(Axis a, AxisNamed(View(axis)));
    return l.Recast(int(dim), k, a);
  });
}
String FreeText(String t, String axis, int64_t extent) {
  return With(t, [&](const Layout& l) -> Expected<ModeList> {
    TS_TRY(Axis a, AxisNamed(View(axis)));
    return l.Free(a, extent);
  });
}

// -- type
// -------------------------------------------------------------------------------------------

String RoundTripText(String t) {
  return OnEither(t, [](const auto& l) { return Expected<std::string>(l.Text()); });
}
String NormalText(String t) {
  return With(t, [](const Layout& l) { return l.Normal(); });
}
String TableText(String t) {
  return With(t, [](const Layout& l) { return Table::FromLayout(l); });
}
String EqualsText(String a, String b) {
  return WithAny(a, b, [](const AnyLayout& x, const AnyLayout& y) -> Expected<std::string> {
    const Layout* l = std::get_if<Layout>(&x);
    const Layout* m = std::get_if<Layout>(&y);
    if (l && m) return YesNo(l->Equals(*m));
    TS_TRY(Table s, TableOf(x));
    TS_TRY(Table u, TableOf(y));
    return YesNo(s.Equals(u));
  });
}
String InjectiveText(String t) {
  return OnEither(t, [](const auto& l) { return Expected<std::string>(YesNo(l.Injective())); });
}
String ExtentText(String t, String axis) {
  return With(t, [&](const Layout& l) -> Expected<std::string> {
    TS_TRY(Axis a, AxisNamed(View(axis)));
    return std::to_string(l.Extent(a));
  });
}
String ComposeText(String a, String b) {
  return With(a, b, [](const Layout& x, const Layout& y) -> Expected<std::string> {
    TS_TRY(Layout l, Compose(x, y));
    return l.Text();
  });
}
String ComposeAnyText(String a, String b) {
  Expected<AnyLayout> x = ParseAny(a);
  Expected<Layout> y = Layout::Parse(View(b));
  if (!x.ok()) return Refused(x.reason());
  if (!y.ok()) return Refused(y.reason());
  return Show(ComposeAny(*x, *y));
}
// places: axis, value, axis, value, ..; "0=3 1=2" or "hole".
String InverseText(String t, ffi::Array<String> axes, Ints values) {
  return With(t, [&](const Layout& l) -> Expected<std::string> {
    TS_TRY(Inverse inverse, Invert(l));
    std::vector<Inverse::Place> places;
    for (size_t i = 0; i < axes.size(); ++i) {
      TS_TRY(Axis a, AxisNamed(View(axes[int64_t(i)])));
      places.push_back({a, values[int64_t(i)]});
    }
    auto c = inverse.At(places);
    if (!c) return std::string("hole");
    std::vector<std::string> out;
    for (const Inverse::Coordinate& x : *c) {
      out.push_back(x.name.Name() + "=" + std::to_string(x.value));
    }
    return Join(out, " ");
  });
}
String InverseLayoutText(String t, ffi::Array<String> axes) {
  return With(t, [&](const Layout& l) -> Expected<Layout> {
    TS_TRY(Inverse inverse, Invert(l));
    std::vector<Axis> names;
    for (const String& a : axes) {
      TS_TRY(Axis axis, AxisNamed(View(a)));
      names.push_back(axis);
    }
    return inverse.AsLayout(names);
  });
}
String SampleText(Ints shape, ffi::Array<String> axes, ffi::Array<Ints> outputs,
                  int64_t replicate) {
  std::vector<Axis> names;
  for (const String& a : axes) {
    Expected<Axis> axis = AxisNamed(View(a));
    if (!axis.ok()) return Refused(axis.reason());
    names.push_back(*axis);
  }
  std::vector<std::vector<int64_t>> values;
  for (const Ints& o : outputs) values.push_back(Vec(o));
  return Show(FromSamples(Vec(shape), names, values, replicate));
}

// -- queries
// ----------------------------------------------------------------------------------------

String ContainsText(String a, String b, String axis) {
  return WithAny(a, b, [&](const AnyLayout& x, const AnyLayout& y) -> Expected<std::string> {
    TS_TRY(Axis on, AxisNamed(View(axis)));
    return YesNo(Contains(x, y, on));
  });
}
String ConversionText(String a, String b, int64_t bits) {
  return WithAny(a, b, [&](const AnyLayout& x, const AnyLayout& y) -> Expected<std::string> {
    TS_TRY(Conversion c, ConversionOf(x, y, int(bits)));
    return std::string(Name(c.kind)) + " " + std::to_string(c.values) + " " +
           std::to_string(c.bytes);
  });
}
String ReducePlanText(String t, int64_t dim) {
  return With(t, [&](const Layout& l) -> Expected<std::string> {
    TS_TRY(ReducePlan plan, PlanReduce(l, int(dim)));
    std::vector<std::string> out;
    for (const ReduceStage& s : plan) {
      out.push_back(std::string(Name(s.kind)) + " " + std::to_string(s.n) + " " +
                    std::to_string(s.stride));
    }
    return Join(out, ", ");
  });
}
String ReduceResultText(String t, int64_t dim) {
  return With(t, [&](const Layout& l) { return ReduceResult(l, int(dim)); });
}
int64_t VectorWidthText(String frag, String mem, int64_t bits, int64_t max_bits,
                        int64_t base_bits) {
  Expected<AnyLayout> f = ParseAny(frag), m = ParseAny(mem);
  if (!f.ok() || !m.ok()) return 0;
  const Layout* x = std::get_if<Layout>(&*f);
  const Layout* y = std::get_if<Layout>(&*m);
  if (x && y) return VectorWidth(*x, *y, int(bits), int(max_bits), int(base_bits));
  return VectorWidthByDefinition(*f, *m, std::min(max_bits, base_bits) / bits);
}
String MemoryCostText(String frag, String mem, int64_t bits, String space) {
  return WithAny(frag, mem, [&](const AnyLayout& x, const AnyLayout& y) -> Expected<std::string> {
    MemorySpace where = View(space) == "shared" ? MemorySpace::kShared : MemorySpace::kGlobal;
    MemoryCost c = MemoryCostOf(x, y, int(bits), where);
    return std::to_string(c.width) + " " + std::to_string(c.transfers) + " " +
           std::to_string(c.ideal) + " " + std::to_string(c.accesses);
  });
}
int64_t BankCyclesOf(Ints addresses, int64_t width) {
  return BankCycles(Vec(addresses), width);
}
int64_t SectorsOf(Ints addresses, int64_t width, int64_t unit) {
  return Sectors(Vec(addresses), width, unit);
}
String LdmatrixFormText(String frag, String shared, int64_t bits) {
  return With(frag, shared, [&](const Layout& f, const Layout& s) -> Expected<std::string> {
    TS_TRY(LdmatrixForm form, LdmatrixFormOf(f, s, int(bits)));
    return "x" + std::to_string(form.matrices) + (form.transposed ? " trans" : "");
  });
}
String TmaPlanText(String shared, Ints strides, int64_t bits) {
  return With(shared, [&](const Layout& l) -> Expected<std::string> {
    TS_TRY(TmaPlan plan, PlanTma(l, Vec(strides), int(bits)));
    std::string out = "box";
    for (const TmaPlan::BoxDim& b : plan.box) {
      out += " " + std::to_string(b.dim) + ":" + std::to_string(b.extent);
    }
    out += " | issues";
    for (const TmaPlan::Issue& i : plan.issues) {
      out += " " + std::to_string(i.dim) + ":" + std::to_string(i.step) + ":" +
             std::to_string(i.n) + ":" + std::to_string(i.shared_stride);
    }
    return out + " | swizzle " + std::to_string(plan.swizzle) + " | align " +
           std::to_string(plan.align);
  });
}
String MatrixDescriptorText(String shared, int64_t bits, int64_t mn, int64_t k) {
  return With(shared, [&](const Layout& l) -> Expected<std::string> {
    TS_TRY(MatrixDescriptor d, MatrixDescriptorOf(l, int(bits), mn, k));
    std::string out = std::string(d.mn_major ? "MN" : "K") + " | swizzle " +
                      std::to_string(d.swizzle) + " | lbo " + std::to_string(d.lbo) + " | sbo " +
                      std::to_string(d.sbo) + " | starts";
    for (const MatrixDescriptor::Start& s : d.starts) {
      out += " " + std::to_string(s.mn) + ":" + std::to_string(s.k) + ":" + std::to_string(s.bytes);
    }
    return out;
  });
}
String SharedLayoutText(Ints shape, int64_t bits, String family) {
  Expected<SharedFamily> f = ParseSharedFamily(View(family));
  if (!f.ok()) return Refused(f.reason());
  return Show(SharedLayout(Vec(shape), int(bits), *f));
}
String MakeBlockText(String operand, String atom, int64_t rows, int64_t cols, int64_t row_warps,
                     int64_t col_warps) {
  return With(atom, [&](const Layout& l) -> Expected<Layout> {
    WarpGrid grid{row_warps, col_warps};
    if (View(operand) == "A") return MakeBlockA(l, rows, cols, grid);
    if (View(operand) == "B") return MakeBlockB(l, rows, cols, grid);
    return MakeBlockC(l, rows, cols, grid);
  });
}

// -- solver
// -----------------------------------------------------------------------------------------

String SolveText(String program, bool options) {
  Expected<solver::Program> p = solver::ParseProgram(View(program));
  if (!p.ok()) return Refused(p.reason());
  Expected<solver::Solution> s = solver::Solve(*p);
  if (!s.ok()) return Refused(s.reason());
  return solver::ExplainText(*p, *s, options);
}

TVM_FFI_STATIC_INIT_BLOCK() {
  ffi::reflection::GlobalDef()
      .def("tilescale.layout.round_trip", RoundTripText)
      .def("tilescale.layout.normal", NormalText)
      .def("tilescale.layout.table", TableText)
      .def("tilescale.layout.equals", EqualsText)
      .def("tilescale.layout.injective", InjectiveText)
      .def("tilescale.layout.extent", ExtentText)
      .def("tilescale.layout.compose", ComposeText)
      .def("tilescale.layout.compose_any", ComposeAnyText)
      .def("tilescale.layout.inverse", InverseText)
      .def("tilescale.layout.inverse_layout", InverseLayoutText)
      .def("tilescale.layout.sample", SampleText)
      .def("tilescale.layout.divide", DivideText)
      .def("tilescale.layout.permute", PermuteText)
      .def("tilescale.layout.reshape", ReshapeText)
      .def("tilescale.layout.slice", SliceText)
      .def("tilescale.layout.drop", DropText)
      .def("tilescale.layout.broadcast", BroadcastText)
      .def("tilescale.layout.join", JoinText)
      .def("tilescale.layout.repeat", RepeatText)
      .def("tilescale.layout.project", ProjectText)
      .def("tilescale.layout.recast", RecastText)
      .def("tilescale.layout.free", FreeText)
      .def("tilescale.layout.contains", ContainsText)
      .def("tilescale.layout.conversion", ConversionText)
      .def("tilescale.layout.reduce_plan", ReducePlanText)
      .def("tilescale.layout.reduce_result", ReduceResultText)
      .def("tilescale.layout.vector_width", VectorWidthText)
      .def("tilescale.layout.memory_cost", MemoryCostText)
      .def("tilescale.layout.bank_cycles", BankCyclesOf)
      .def("tilescale.layout.sectors", SectorsOf)
      .def("tilescale.layout.ldmatrix_form", LdmatrixFormText)
      .def("tilescale.layout.tma_plan", TmaPlanText)
      .def("tilescale.layout.matrix_descriptor", MatrixDescriptorText)
      .def("tilescale.layout.shared_layout", SharedLayoutText)
      .def("tilescale.layout.make_block", MakeBlockText)
      .def("tilescale.layout.solve", SolveText);
}

}  // namespace
}  // namespace tilescale
