// SPDX-License-Identifier: MIT
#include "runtime/artifact.h"
#include "runtime/limits.h"
#include "support/diagnostics.h"

namespace tilescale::runtime {
namespace {

// What a leaf of an expression may refer to at the place where the expression stands.
struct Scope {
  int num_symbols = 0;
  bool outputs = true;  // data and strides of parameters that the launcher allocates
};

class Validator {
 public:
  explicit Validator(const Artifact& artifact) : artifact_(artifact) {}

  void Run() {
    CheckCounts();
    for (const Param& param : artifact_.params) CheckParam(param);
    for (size_t i = 0; i < artifact_.symbols.size(); ++i) {
      const Symbol& symbol = artifact_.symbols[i];
      CheckExpr(symbol.bind, {static_cast<int>(i), false}, "symbol " + symbol.name);
    }
    for (const HostCheck& check : artifact_.checks) CheckExpr(check.condition, All(), "check");
    CheckOutputs();
    for (size_t i = 0; i < artifact_.variants.size(); ++i) {
      CheckVariant(artifact_.variants[i], "variant " + std::to_string(i));
    }
    if (!artifact_.variants.back().facts.empty()) Fail("the last variant", "states facts");
    if (!artifact_.flops.empty()) CheckExpr(artifact_.flops, All(), "flops");
    if (!artifact_.bytes.empty()) CheckExpr(artifact_.bytes, All(), "bytes");
  }

 private:
  [[noreturn]] void Fail(const std::string& what, const std::string& fault) const {
    TS_UNREACHABLE("artifact " << artifact_.name << ": " << what << " " << fault);
  }

  Scope All() const { return {static_cast<int>(artifact_.symbols.size()), true}; }

  void CheckCounts() const {
    if (artifact_.params.size() > kMaxParams) {
      Fail("params", "exceed the limit of " + std::to_string(kMaxParams));
    }
    if (artifact_.symbols.size() > kMaxSymbols) {
      Fail("symbols", "exceed the limit of " + std::to_string(kMaxSymbols));
    }
    if (artifact_.variants.empty()) Fail("variants", "are missing");
  }

  bool IsTensor(int64_t param) const {
    return param >= 0 && param < static_cast<int64_t>(artifact_.params.size()) &&
           artifact_.params[param].kind == ParamKind::kTensor;
  }

  bool LeafInScope(const HostInstr& leaf, const Scope& scope) const {
    const auto& params = artifact_.params;
    const bool exists = leaf.param >= 0 && leaf.param < static_cast<int>(params.size());
    const bool readable = exists && (scope.outputs || !params[leaf.param].is_output);
    switch (leaf.op) {
      case HostOp::kSymbol:
        return leaf.value >= 0 && leaf.value < scope.num_symbols;
      case HostOp::kDim:
      case HostOp::kStride:
        return readable && IsTensor(leaf.param) && leaf.dim >= 0 &&
               leaf.dim < static_cast<int>(params[leaf.param].shape.size()) &&
               !params[leaf.param].nullable;
      case HostOp::kNumel:
        return readable && IsTensor(leaf.param) && !params[leaf.param].nullable;
      case HostOp::kAddress:
        return readable && params[leaf.param].kind != ParamKind::kScalar;
      case HostOp::kScalar:
        return exists && params[leaf.param].kind == ParamKind::kScalar &&
               (params[leaf.param].dtype.code == kDLInt ||
                params[leaf.param].dtype.code == kDLUInt ||
                params[leaf.param].dtype.code == kDLBool);
      default:
        return true;
    }
  }

  void CheckExpr(const HostExpr& expr, const Scope& scope, const std::string& what) const {
    const int depth = expr.Depth();
    if (depth < 0) Fail(what, "has a malformed expression");
    if (depth > HostExpr::kMaxDepth) Fail(what, "has an expression that is too deep");
    for (const HostInstr& instr : expr.code()) {
      if (!LeafInScope(instr, scope)) Fail(what, "refers to something that is not there");
    }
  }

  void CheckParam(const Param& param) const {
    const std::string what = "param " + param.name;
    if (param.kind > ParamKind::kPointer) Fail(what, "is of unknown kind");
    if (param.shape.size() > kMaxRank) {
      Fail(what, "has a rank above " + std::to_string(kMaxRank));
    }
    if (param.kind != ParamKind::kTensor && (!param.shape.empty() || param.is_output)) {
      Fail(what, "is no tensor but has a shape or is an output");
    }
    if (!param.strides.empty() && param.strides.size() != param.shape.size()) {
      Fail(what, "has another number of strides than of dimensions");
    }
    // What is given is checked before outputs are allocated.
    const Scope scope{static_cast<int>(artifact_.symbols.size()), param.is_output};
    for (const HostExpr& extent : param.shape) CheckExpr(extent, scope, what);
    for (const HostExpr& stride : param.strides) CheckExpr(stride, scope, what);
    if (param.kind == ParamKind::kScalar && param.dtype.bits > 64) Fail(what, "is too wide");
  }

  void CheckOutputs() const {
    size_t declared = 0;
    for (const Param& param : artifact_.params) declared += param.is_output;
    if (declared != artifact_.outputs.size()) Fail("outputs", "disagree with params");
    for (int32_t index : artifact_.outputs) {
      if (!IsTensor(index) || !artifact_.params[index].is_output) {
        Fail("outputs", "name a parameter that is no output");
      }
      // Allocated before its own shape exists, and contiguous.
      const Scope scope{static_cast<int>(artifact_.symbols.size()), false};
      for (const HostExpr& extent : artifact_.params[index].shape) {
        CheckExpr(extent, scope, "output " + artifact_.params[index].name);
      }
      if (!artifact_.params[index].strides.empty()) {
        Fail("output " + artifact_.params[index].name, "has explicit strides");
      }
    }
  }

  void CheckVariant(const Variant& variant, const std::string& what) const {
    for (const LaunchFact& fact : variant.facts) CheckExpr(fact.condition, All(), what + " fact");
    if (variant.workspaces.size() > kMaxWorkspaces) {
      Fail(what, "has more than " + std::to_string(kMaxWorkspaces) + " workspaces");
    }
    for (const Workspace& space : variant.workspaces) CheckExpr(space.bytes, All(), what);
    for (const KernelLaunch& kernel : variant.kernels) {
      const std::string where = what + " kernel " + kernel.entry;
      for (const auto* extents : {&kernel.grid, &kernel.block, &kernel.cluster}) {
        for (const HostExpr& extent : *extents) CheckExpr(extent, All(), where);
      }
      CheckExpr(kernel.dynamic_shared_bytes, All(), where);
      if (kernel.args.size() > kMaxKernelArgs) {
        Fail(where, "has more than " + std::to_string(kMaxKernelArgs) + " arguments");
      }
      for (const KernelArg& arg : kernel.args) CheckArg(variant, arg, where);
    }
    if (variant.source.empty() != variant.kernels.empty()) {
      Fail(what, "has a source without kernels or kernels without a source");
    }
  }

  void CheckArg(const Variant& variant, const KernelArg& arg, const std::string& where) const {
    const auto count = static_cast<int32_t>(artifact_.params.size());
    const bool is_param = arg.index >= 0 && arg.index < count;
    switch (arg.kind) {
      case ArgKind::kTensorData:
        if (!is_param || artifact_.params[arg.index].kind == ParamKind::kScalar) {
          Fail(where, "passes data of something that is no tensor or pointer");
        }
        return;
      case ArgKind::kScalarParam:
        if (!is_param || artifact_.params[arg.index].kind != ParamKind::kScalar) {
          Fail(where, "passes a scalar that is none");
        }
        return;
      case ArgKind::kExpr:
        CheckExpr(arg.value, All(), where);
        if (arg.dtype.code != kDLInt && arg.dtype.code != kDLUInt && arg.dtype.code != kDLBool) {
          Fail(where, "passes an expression in a type that is no integer");
        }
        return;
      case ArgKind::kWorkspace:
        if (arg.index < 0 || arg.index >= static_cast<int32_t>(variant.workspaces.size())) {
          Fail(where, "passes a workspace that is not there");
        }
        return;
    }
    Fail(where, "has an argument of unknown kind");
  }

  const Artifact& artifact_;
};

}  // namespace

void Artifact::Validate() const {
  Validator(*this).Run();
}

}  // namespace tilescale::runtime
