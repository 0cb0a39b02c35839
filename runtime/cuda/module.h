// SPDX-License-Identifier: MIT
#pragma once

#include "runtime/cuda/driver_api.h"
#include "runtime/device.h"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace tilescale::runtime::cuda {

class CudaFunction : public Function {
 public:
  explicit CudaFunction(FunctionRef handle) : handle_(handle) {}
  FunctionRef handle() const { return handle_; }

 private:
  FunctionRef handle_;
};

/// Stays loaded for the life of the process: a launch may still be in flight, and a captured graph
/// holds the function without our knowledge.
class CudaModule : public Module {
 public:
  CudaModule(Context context, std::string_view cubin);
  Function* GetFunction(const FunctionRequest& request) override;
  bool SetConstant(const char* name, const void* value, size_t bytes) override;

 private:
  Context context_;
  ModuleRef handle_ = nullptr;
  std::mutex mutex_;
  std::vector<std::unique_ptr<CudaFunction>> functions_;
};

}  // namespace tilescale::runtime::cuda
