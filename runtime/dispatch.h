// SPDX-License-Identifier: MIT
#pragma once

#include "runtime/executable.h"

#include <tvm/ffi/function.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

/// The call path of an eager kernel function: from Python arguments to the kernel compiled for
/// them, without asking Python. Example: in
///
///     def matmul(A, B, block: int = 64):    # A: T.Tensor[[M, K], ...] with M, K = T.const(...)
///
/// A and B are run-time arguments, `block` is a compile-time value, and A.shape[0], A.shape[1] and
/// B.shape[1] are consts: the key of a kernel is (block, M, K, N).
namespace tilescale::runtime {

/// A compile-time integer read from a tensor argument.
struct ConstSource {
  int32_t arg = 0;
  int32_t dim = 0;
  bool stride = false;
};

class Dispatch {
 public:
  /// Makes the executable for arguments that no known kernel takes; raises what is wrong with them.
  using Resolver = std::function<std::shared_ptr<Executable>(const TVMFFIAny* args, int32_t count)>;

  /// `is_runtime[i]`: argument i goes to the kernel; otherwise it is part of the key.
  Dispatch(std::vector<bool> is_runtime, std::vector<ConstSource> consts, Resolver resolver);

  void Call(const TVMFFIAny* args, int32_t num_args, tvm::ffi::Any* result);

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view key) const { return std::hash<std::string_view>()(key); }
  };

  std::shared_ptr<Executable> Find(std::string_view key) const;

  const std::vector<bool> is_runtime_;
  const std::vector<ConstSource> consts_;
  const Resolver resolver_;
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Executable>, Hash, std::equal_to<>> kernels_;
};

}  // namespace tilescale::runtime
