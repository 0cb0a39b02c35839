// SPDX-License-Identifier: MIT
#include "runtime/artifact.h"

#include "support/diagnostics.h"

#include <bit>
#include <cstring>
#include <type_traits>

namespace tilescale::runtime {
namespace {

// Bumped whenever a field is added, removed or changes its meaning.
constexpr uint32_t kFormatVersion = 5;
constexpr std::string_view kMagic = "TSARTIF1";

bool SameDType(const DLDataType& a, const DLDataType& b) {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

// One list of fields for each struct; the writer and the reader below walk the same list, so the
// format cannot drift between them.
template <class V, class T>
void VisitFields(V& v, T& t)
  requires std::is_same_v<std::remove_const_t<T>, Param>
{
  v(t.name), v(t.kind), v(t.dtype), v(t.shape), v(t.strides), v(t.is_output), v(t.nullable);
  v(t.remote);
}
template <class V, class T>
void VisitFields(V& v, T& t)
  requires std::is_same_v<std::remove_const_t<T>, Symbol>
{
  v(t.name), v(t.bind);
}
template <class V, class T>
void VisitFields(V& v, T& t)
  requires std::is_same_v<std::remove_const_t<T>, HostCheck>
{
  v(t.condition), v(t.kind), v(t.message);
}
template <class V, class T>
void VisitFields(V& v, T& t)
  requires std::is_same_v<std::remove_const_t<T>, Workspace>
{
  v(t.name), v(t.bytes), v(t.zeroed), v(t.of_heap);
}
template <class V, class T>
void VisitFields(V& v, T& t)
  requires std::is_same_v<std::remove_const_t<T>, KernelArg>
{
  v(t.kind), v(t.index), v(t.value), v(t.dtype);
}
template <class V, class T>
void VisitFields(V& v, T& t)
  requires std::is_same_v<std::remove_const_t<T>, KernelLaunch>
{
  v(t.entry);
  for (auto* extents : {&t.grid, &t.block, &t.cluster}) {
    for (auto& extent : *extents) v(extent);
  }
  v(t.dynamic_shared_bytes), v(t.min_blocks), v(t.cooperative), v(t.args);
}
template <class V, class T>
void VisitFields(V& v, T& t)
  requires std::is_same_v<std::remove_const_t<T>, LaunchFact>
{
  v(t.condition), v(t.text);
}
template <class V, class T>
void VisitFields(V& v, T& t)
  requires std::is_same_v<std::remove_const_t<T>, Variant>
{
  v(t.facts), v(t.source), v(t.kernels), v(t.workspaces), v(t.explain);
}
template <class V, class T>
void VisitFields(V& v, T& t)
  requires std::is_same_v<std::remove_const_t<T>, HostInstr>
{
  v(t.op), v(t.param), v(t.dim), v(t.value);
}
template <class V, class T>
void VisitFields(V& v, T& t)
  requires std::is_same_v<std::remove_const_t<T>, Artifact>
{
  v(t.name), v(t.target_kind), v(t.target_arch), v(t.params), v(t.symbols), v(t.checks);
  v(t.variants), v(t.outputs), v(t.compile_options), v(t.uses_heap);
  v(t.min_ranks), v(t.min_ranks_by), v(t.flops), v(t.bytes);
}

template <class T>
constexpr bool kIsNumber = std::is_integral_v<T> || std::is_enum_v<T>;

static_assert(std::endian::native == std::endian::little, "the format is little endian");

class Writer {
 public:
  std::string out;

  template <class T>
  void operator()(const T& value) {
    if constexpr (kIsNumber<T>) {
      out.append(reinterpret_cast<const char*>(&value), sizeof value);
    } else {
      VisitFields(*this, value);
    }
  }
  void operator()(const DLDataType& t) { (*this)(t.code), (*this)(t.bits), (*this)(t.lanes); }
  void operator()(const std::string& text) {
    (*this)(static_cast<uint64_t>(text.size()));
    out += text;
  }
  void operator()(const HostExpr& expr) { (*this)(expr.code()); }
  template <class T>
  void operator()(const std::vector<T>& list) {
    (*this)(static_cast<uint64_t>(list.size()));
    for (const T& item : list) (*this)(item);
  }
};

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}

  bool done() const { return in_.empty(); }

  template <class T>
  void operator()(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      uint8_t byte = 0;
      (*this)(byte);
      value = byte != 0;
    } else if constexpr (kIsNumber<T>) {
      std::memcpy(&value, Take(sizeof value).data(), sizeof value);
    } else {
      VisitFields(*this, value);
    }
  }
  void operator()(DLDataType& t) { (*this)(t.code), (*this)(t.bits), (*this)(t.lanes); }
  void operator()(std::string& text) { text = Take(Count()); }
  void operator()(HostExpr& expr) {
    std::vector<HostInstr> code;
    (*this)(code);
    expr = HostExpr::FromCode(std::move(code));
  }
  template <class T>
  void operator()(std::vector<T>& list) {
    const uint64_t count = Count();
    list.clear();
    for (uint64_t i = 0; i < count; ++i) (*this)(list.emplace_back());
  }

  std::string_view Take(uint64_t size) {
    if (size > in_.size()) throw Diag({}, "ValueError") << "the artifact is truncated";
    const std::string_view taken = in_.substr(0, size);
    in_.remove_prefix(size);
    return taken;
  }

 private:
  // Every item takes at least one byte, so a damaged count cannot make us allocate without bound.
  uint64_t Count() {
    uint64_t count = 0;
    (*this)(count);
    if (count > in_.size()) throw Diag({}, "ValueError") << "the artifact is truncated";
    return count;
  }

  std::string_view in_;
};

void AppendGrid(std::string& out, const char* what, const std::array<HostExpr, 3>& extents,
                const HostNames& names) {
  out += std::string(" ") + what + "(";
  for (int i = 0; i < 3; ++i) out += (i ? ", " : "") + extents[i].ToString(names);
  out += ")";
}

std::string ArgText(const Artifact& artifact, const Variant& variant, const KernelArg& arg,
                    const HostNames& names) {
  switch (arg.kind) {
    case ArgKind::kTensorData:
      return "data " + artifact.params[arg.index].name;
    case ArgKind::kScalarParam:
      return "scalar " + artifact.params[arg.index].name;
    case ArgKind::kExpr:
      return DTypeName(arg.dtype) + " " + arg.value.ToString(names);
    default:
      return "workspace " + variant.workspaces[arg.index].name;
  }
}

}  // namespace

bool Param::operator==(const Param& other) const {
  return name == other.name && kind == other.kind && SameDType(dtype, other.dtype) &&
         shape == other.shape && strides == other.strides && is_output == other.is_output &&
         nullable == other.nullable && remote == other.remote;
}

bool KernelArg::operator==(const KernelArg& other) const {
  return kind == other.kind && index == other.index && value == other.value &&
         SameDType(dtype, other.dtype);
}

HostNames Artifact::Names() const {
  HostNames names;
  for (const Symbol& symbol : symbols) names.symbols.push_back(symbol.name);
  for (const Param& param : params) names.params.push_back(param.name);
  return names;
}

std::string Artifact::Serialize() const {
  Writer writer;
  writer.out = kMagic;
  writer(kFormatVersion);
  writer(*this);
  return std::move(writer.out);
}

Artifact Artifact::Deserialize(std::string_view bytes) {
  Reader reader(bytes);
  if (bytes.substr(0, kMagic.size()) != kMagic) {
    throw Diag({}, "ValueError") << "these bytes are not an artifact";
  }
  reader.Take(kMagic.size());
  uint32_t version = 0;
  reader(version);
  if (version != kFormatVersion) {
    throw Diag({}, "ValueError") << "the artifact has format version " << version << ", expected "
                                 << kFormatVersion;
  }
  Artifact artifact;
  reader(artifact);
  if (!reader.done()) throw Diag({}, "ValueError") << "the artifact has bytes after its end";
  artifact.Validate();
  return artifact;
}

std::string Artifact::ToString() const {
  const HostNames names = Names();
  std::string out = "artifact " + name + " target " + target_kind + " " + target_arch + "\n";
  for (const Param& param : params) {
    out += "param " + param.name + ": " + DTypeName(param.dtype);
    if (param.kind == ParamKind::kPointer) out += "*";
    if (param.kind == ParamKind::kTensor) {
      out += "[";
      for (size_t d = 0; d < param.shape.size(); ++d) {
        out += (d ? ", " : "") + param.shape[d].ToString(names);
      }
      out += "]";
    }
    for (size_t d = 0; d < param.strides.size(); ++d) {
      out += (d ? ", " : " strides ") + param.strides[d].ToString(names);
    }
    out += std::string(param.is_output ? " output" : "") + (param.nullable ? " nullable" : "") +
           (param.remote.empty() ? "" : " symmetric");
    out += "\n";
  }
  for (const Symbol& symbol : symbols) {
    out += "symbol " + symbol.name + " = " + symbol.bind.ToString(names) + "\n";
  }
  for (const HostCheck& check : checks) {
    out += "check " + check.condition.ToString(names) + ": " + check.message + "\n";
  }
  for (size_t i = 0; i < variants.size(); ++i) {
    out += "variant " + std::to_string(i);
    for (size_t f = 0; f < variants[i].facts.size(); ++f) {
      out += (f ? ", " : " requires ") + variants[i].facts[f].text;
    }
    out += variants[i].source.empty() ? " (not generated)\n" : "\n";
    for (const Workspace& workspace : variants[i].workspaces) {
      out += "  workspace " + workspace.name + ": " + workspace.bytes.ToString(names) +
             (workspace.of_heap  ? " bytes of the heap\n"
              : workspace.zeroed ? " bytes of zeros\n"
                                 : " bytes\n");
    }
    for (const KernelLaunch& kernel : variants[i].kernels) {
      out += "  kernel " + kernel.entry;
      AppendGrid(out, "grid", kernel.grid, names);
      AppendGrid(out, "block", kernel.block, names);
      AppendGrid(out, "cluster", kernel.cluster, names);
      out += " shared " + kernel.dynamic_shared_bytes.ToString(names);
      out += kernel.cooperative ? " cooperative" : "";
      out += " args(";
      for (size_t a = 0; a < kernel.args.size(); ++a) {
        out += (a ? ", " : "") + ArgText(*this, variants[i], kernel.args[a], names);
      }
      out += ")\n";
    }
  }
  return out;
}

std::string DTypeName(DLDataType dtype) {
  // DLPack names its 8-bit floats e4m3 and so on with the prefix float8_.
  static constexpr const char* kNames[] = {"int",
                                           "uint",
                                           "float",
                                           "handle",
                                           "bfloat",
                                           "complex",
                                           "bool",
                                           "float8_e3m4",
                                           "float8_e4m3",
                                           "float8_e4m3b11fnuz",
                                           "float8_e4m3fn",
                                           "float8_e4m3fnuz",
                                           "float8_e5m2",
                                           "float8_e5m2fnuz",
                                           "float8_e8m0fnu",
                                           "float6_e2m3fn",
                                           "float6_e3m2fn",
                                           "float4_e2m1fn"};
  constexpr int kCount = sizeof kNames / sizeof kNames[0];
  std::string name =
      dtype.code < kCount ? kNames[dtype.code] : "dtype" + std::to_string(dtype.code);
  const bool bits_in_name = dtype.code == kDLBool || (dtype.code >= 7 && dtype.code < kCount);
  if (!bits_in_name) name += std::to_string(dtype.bits);
  if (dtype.lanes > 1) name += "x" + std::to_string(dtype.lanes);
  return name;
}

}  // namespace tilescale::runtime
