// SPDX-License-Identifier: MIT
#pragma once

#include "runtime/host_expr.h"

#include <array>
#include <cstdint>
#include <dlpack/dlpack.h>
#include <string>
#include <string_view>
#include <vector>

/// The one type that crosses from compiler to runtime: a compiled function as plain data.
///
/// An Artifact says how to check and bind the arguments of a call (`params`, `symbols`, `checks`),
/// which text to compile (`variants[i].source`) and how to launch it (`variants[i].kernels`).
/// Nothing in it is code of the host; runtime/launch.cc interprets it. Example, the artifact of
///
///     def scale(A: T.Tensor((m, 64), "float16"), C: T.Tensor((m, 64), "float16"), n: T.int32)
///
/// in short: params {A f16[m, 64], C f16[m, 64], n i32}, symbols {m = A.shape[0]}, one variant that
/// states `A.data % 16 == 0` and a second that states nothing, each with one kernel of
/// grid (ceildiv(m, 128), 1, 1), block (128, 1, 1), args {data A, data C, expr m as i32, scalar n}.
namespace tilescale::runtime {

enum class ParamKind : uint8_t { kTensor, kScalar, kPointer };

struct Param {
  std::string name;
  ParamKind kind = ParamKind::kTensor;
  /// Element type of a tensor or pointer, type of a scalar. tf32 tensors are declared float32.
  DLDataType dtype{};
  /// Tensors: one expression per dimension, constants or over symbols.
  std::vector<HostExpr> shape;
  /// Tensors: empty requires a contiguous tensor (dimensions of extent 1 may have any stride).
  /// Otherwise one expression per dimension, in elements.
  std::vector<HostExpr> strides;
  /// Allocated by the launcher and returned, not passed by the caller.
  bool is_output = false;
  /// No kernel touches the data: None is accepted.
  bool nullable = false;
  /// Where kernels reach this tensor on other ranks ("line 12 of put_signal.py"), so that the
  /// caller's must be in symmetric memory; empty: nowhere.
  std::string remote;

  bool operator==(const Param&) const;
};

/// A run-time integer. `bind` is evaluated once per call, in the order of the list, and may use
/// kDim, kStride, kScalar leaves of the parameters that the caller passes and earlier symbols. A
/// dimension declared `2 * m` binds m = FloorDiv(Dim(0, 0), 2); the launcher then compares every
/// declared shape with the tensor's, so a remainder is found there.
struct Symbol {
  std::string name;
  HostExpr bind;

  bool operator==(const Symbol&) const = default;
};

/// A condition on a call that must hold, whichever variant runs. `kind` is the Python exception:
/// T.assume gives {"N % 4 == 0", "RuntimeError", "Assume: N % 4 == 0"}.
struct HostCheck {
  HostExpr condition;
  std::string kind = "ValueError";
  std::string message;

  bool operator==(const HostCheck&) const = default;
};

/// Memory of one launch, in global memory, 256-byte aligned. Zeros, or not initialised (poisoned on
/// sim). `of_heap`: not of the launch, but the words in which the ranks of its heap meet.
struct Workspace {
  std::string name;
  HostExpr bytes;
  bool zeroed = false;
  bool of_heap = false;

  bool operator==(const Workspace&) const = default;
};

enum class ArgKind : uint8_t {
  kTensorData,   // data address of tensor or pointer parameter `index`
  kScalarParam,  // scalar parameter `index`, in its declared type
  kExpr,         // `value` as an integer of type `dtype`
  kWorkspace,    // address of workspace `index`
};

struct KernelArg {
  ArgKind kind = ArgKind::kTensorData;
  int32_t index = 0;
  HostExpr value;
  DLDataType dtype{};

  bool operator==(const KernelArg&) const;
};

/// One __global__ function and its launch. Kernels of a variant run in order on one stream.
struct KernelLaunch {
  std::string entry;
  std::array<HostExpr, 3> grid{HostExpr(1), HostExpr(1), HostExpr(1)};
  std::array<HostExpr, 3> block{HostExpr(1), HostExpr(1), HostExpr(1)};
  std::array<HostExpr, 3> cluster{HostExpr(1), HostExpr(1), HostExpr(1)};
  HostExpr dynamic_shared_bytes{0};
  int32_t min_blocks = 1;
  bool cooperative = false;
  std::vector<KernelArg> args;

  bool operator==(const KernelLaunch&) const = default;
};

/// A fact that the variant's text relies on, in the host's words and in the user's.
struct LaunchFact {
  HostExpr condition;
  std::string text;

  bool operator==(const LaunchFact&) const = default;
};

/// The launcher runs the first variant whose facts hold. The last one states none. A variant whose
/// `source` is empty is not generated yet: the launcher asks the compiler for it on first need.
struct Variant {
  std::vector<LaunchFact> facts;
  std::string source;
  std::vector<KernelLaunch> kernels;
  std::vector<Workspace> workspaces;
  /// What `kernel.explain()` prints for this variant.
  std::string explain;

  bool operator==(const Variant&) const = default;
};

struct Artifact {
  std::string name;
  std::string target_kind;  // "cuda", "sim"
  std::string target_arch;  // "sm_80", "sm_90a"
  std::vector<Param> params;
  std::vector<Symbol> symbols;
  std::vector<HostCheck> checks;
  std::vector<Variant> variants;
  /// Parameters with is_output, in the order in which the call returns them.
  std::vector<int32_t> outputs;
  /// Device-compiler options from the pass configs, for example "--use_fast_math".
  std::vector<std::string> compile_options;
  /// A kernel asks for ranks or reaches them: a launch without a symmetric heap is an error.
  bool uses_heap = false;
  /// The ranks that every launch reaches by number: a world with fewer is an error.
  int32_t min_ranks = 0;
  std::string min_ranks_by{};  // "line 12 of put.py"
  /// Work of one call for the profiler; empty if not known.
  HostExpr flops;
  HostExpr bytes;

  bool operator==(const Artifact&) const = default;

  HostNames Names() const;
  /// Bytes for the disk cache and for crossing the FFI. Equal artifacts give equal bytes.
  std::string Serialize() const;
  /// Throws a Diag of type ValueError if `bytes` is truncated, of another format version, or breaks
  /// an invariant.
  static Artifact Deserialize(std::string_view bytes);
  /// Throws InternalError naming the field if an index is out of range, a program is malformed, a
  /// limit is exceeded, or the last variant states facts. Deserialize and Executable call it.
  void Validate() const;
  /// A readable listing of everything but the sources.
  std::string ToString() const;
};

/// "float16", "int32", "float8_e4m3fn", as Python prints dtypes.
std::string DTypeName(DLDataType dtype);

}  // namespace tilescale::runtime
