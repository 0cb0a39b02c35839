// SPDX-License-Identifier: MIT
#pragma once

#include "runtime/device.h"
#include "support/diagnostics.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace tilescale::runtime {

/// A machine that compiles by copying the text and launches by writing down what it was asked.
class FakeDevice : public Device {
 public:
  struct FakeFunction : Function {
    FunctionRequest request;
  };

  struct FakeModule : Module {
    std::vector<std::unique_ptr<FakeFunction>> functions;
    Function* GetFunction(const FunctionRequest& request) override {
      functions.push_back(std::make_unique<FakeFunction>());
      functions.back()->request = request;
      return functions.back().get();
    }
  };

  struct Launched {
    std::string entry;
    Dim3 grid, block, cluster;
    uint32_t shared;
    std::vector<int64_t> args;  // eight bytes of each argument
    std::vector<std::string> buffers;
    std::vector<int64_t> buffer_bytes;
    std::vector<bool> fresh;
  };

  explicit FakeDevice(DLDevice where) : where_(where) {
    properties_.name = "fake";
    properties_.arch = "sm_00";
    properties_.max_shared_bytes = 100000;
  }

  DLDevice tensor_device() const override { return where_; }
  const DeviceProperties& properties() const override { return properties_; }
  bool needs_buffers() const override { return describe; }
  std::string CompilerId() override { return compiler_id; }
  CompileResult Compile(const CompileRequest& request) override {
    ++compiled;
    return {"binary of " + std::string(request.source), "log", {{"k", 7, 0, 0, 0, 16}}};
  }
  std::unique_ptr<Module> Load(std::string_view) override {
    ++loaded;
    return std::make_unique<FakeModule>();
  }
  void* Allocate(size_t bytes, Stream) override {
    ++live;
    return std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  }
  void Free(void* address, Stream stream) override {
    --live;
    freed_on.push_back(stream);
    std::free(address);
  }
  void Copy(void* target, const void* source, size_t bytes, Stream) override {
    std::memcpy(target, source, bytes);
  }
  void Zero(void* at, size_t bytes, Stream) override {
    std::memset(at, 0, bytes);
    zeroed += static_cast<int64_t>(bytes);
  }
  void Launch(const LaunchRequest& request) override {
    if (fail_launch) throw Diag({}, "CudaError") << "planned";
    if (!record) {
      ++launches;
      return;
    }
    Launched launched;
    launched.entry = static_cast<FakeFunction*>(request.function)->request.entry;
    launched.grid = request.grid;
    launched.block = request.block;
    launched.cluster = request.cluster;
    launched.shared = request.dynamic_shared_bytes;
    for (int i = 0; i < request.num_args; ++i) {
      int64_t value = 0;
      std::memcpy(&value, request.args[i], sizeof value);
      launched.args.push_back(value);
    }
    for (int i = 0; i < request.num_buffers; ++i) {
      launched.buffers.emplace_back(request.buffers[i].name);
      launched.buffer_bytes.push_back(request.buffers[i].bytes);
      launched.fresh.push_back(request.buffers[i].fresh);
    }
    log.push_back(std::move(launched));
  }
  Stream CreateStream() override { return nullptr; }
  void DestroyStream(Stream) override {}
  void Synchronize(Stream) override {}
  Event CreateEvent() override { return nullptr; }
  void DestroyEvent(Event) override {}
  void RecordEvent(Event, Stream) override {}
  void SynchronizeEvent(Event) override {}
  void WaitEvent(Stream, Event) override {}
  double ElapsedMilliseconds(Event, Event) override { return 0; }

  bool describe = true;
  bool record = true;
  bool fail_launch = false;
  std::string compiler_id = "fake 1";
  std::atomic<int> compiled = 0;
  std::atomic<int> loaded = 0;
  std::atomic<int> launches = 0;
  std::atomic<int> live = 0;
  int64_t zeroed = 0;  // bytes
  std::vector<Launched> log;
  std::vector<Stream> freed_on;  // by free

 private:
  DLDevice where_;
  DeviceProperties properties_;
};

/// Before any test: the kind "fake" exists, and nothing touches the user's disk cache.
inline const bool kFakeRegistered = [] {
  setenv("TILESCALE_CACHE", "0", 1);
  RegisterDeviceFactory("fake", [](std::string_view, int) -> std::shared_ptr<Device> {
    return std::make_shared<FakeDevice>(DLDevice{kDLCPU, 0});
  });
  return true;
}();

/// The device of artifacts with target kind "fake" (tensors in host memory). A fresh arch is a
/// fresh device, so a test that names its own sees only its own launches.
inline std::shared_ptr<FakeDevice> GetFake(const std::string& arch) {
  return std::static_pointer_cast<FakeDevice>(GetDevice("fake", arch, 0));
}

}  // namespace tilescale::runtime
