// SPDX-License-Identifier: MIT
// Runs kernels of tests/races on the machine: compiles a file once, allocates the litmus buffers on
// every rank, launches one kernel on all ranks.
#pragma once

#include "sim/compile.h"
#include "sim/machine.h"
#include "support/files.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace tilescale::sim {

// Tests run from the sources' root.
inline std::shared_ptr<KernelModule> Compiled(const std::string& path,
                                              const std::vector<std::string>& options = {}) {
  static auto* known = new std::map<std::string, std::shared_ptr<KernelModule>>;
  std::string key = path;
  for (const auto& o : options) key += " " + o;
  auto& module = (*known)[key];
  if (!module) {
    auto text = ReadFile(path);
    if (!text.ok()) throw std::runtime_error(text.reason());
    std::vector<std::string> all = options;
    all.push_back("-I" + ParentDir(path));
    module = Machine::Get().Load(
        CompileKernel("#line 1 \"" + path.substr(path.rfind('/') + 1) + "\"\n" + *text, path, all)
            .binary);
  }
  return module;
}

inline std::shared_ptr<KernelModule> CompiledText(const std::string& text) {
  static auto* known = new std::map<std::string, std::shared_ptr<KernelModule>>;
  auto& module = (*known)[text];
  if (!module) module = Machine::Get().Load(CompileKernel(text).binary);
  return module;
}

template <class T>
std::vector<u8> Arg(T value) {
  std::vector<u8> bytes(sizeof(T));
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

// The four buffers of the litmus kernels, at the same offsets of every rank.
class Buffers {
 public:
  static constexpr int kElements = 4096, kFlags = 64;

  explicit Buffers(u32 ranks) : ranks_(ranks) {
    Machine& m = Machine::Get();
    auto make = [&](const char* name, const char* type, u32 element, int count) {
      return m.AllocateSymmetric(
          u64(element) * u64(count),
          {.name = name, .element_bytes = element, .type = type, .initialized = true});
    };
    d_ = make("D", "float", 4, kElements);
    f_ = make("F", "u32", 4, kFlags);
    o_ = make("O", "float", 4, kElements);
    h_ = make("H", "u16", 2, kElements);
  }
  void Reset() {
    for (u32 r = 0; r < ranks_; ++r) {
      float* d = D(r);
      for (int i = 0; i < kElements; ++i) d[i] = float(i);
      std::memset(O(r), 0, kElements * 4);
      std::memset(At(f_, r), 0, kFlags * 4);
      std::memset(At(h_, r), 0, kElements * 2);
    }
  }
  float* D(u32 r) const { return static_cast<float*>(At(d_, r)); }
  float* O(u32 r) const { return static_cast<float*>(At(o_, r)); }
  std::vector<std::vector<u8>> Args(int variant, u32 r) const {
    return {Arg(variant), Arg(At(d_, r)), Arg(At(f_, r)), Arg(At(o_, r)), Arg(At(h_, r))};
  }

 private:
  void* At(void* p, u32 r) const { return Machine::Get().Peer(p, 0, r); }
  u32 ranks_;
  void *d_, *f_, *o_, *h_;
};

struct Case {
  std::string kernel;
  int variant = 0;
  u32 ranks = 1, ctas = 1, threads = 32, slots = 8;
};

inline void LaunchAll(const std::shared_ptr<KernelModule>& module, const Case& c,
                      const Buffers& buffers) {
  for (u32 r = 0; r < c.ranks; ++r) {
    LaunchInfo l;
    l.rank = r;
    l.module = module;
    l.entry = c.kernel;
    l.grid = {c.ctas, 1, 1};
    l.block = {c.threads, 1, 1};
    l.args = buffers.Args(c.variant, r);
    Machine::Get().Launch(std::move(l));
  }
}

// A number from the environment, for longer runs by hand.
inline u64 EnvOr(const char* name, u64 fallback) {
  const char* s = std::getenv(name);
  return s ? std::strtoull(s, nullptr, 10) : fallback;
}

}  // namespace tilescale::sim
