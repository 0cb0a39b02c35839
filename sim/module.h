// SPDX-License-Identifier: MIT
// A compiled kernel text, loaded: entry points, the plan of its shared buffers, its code positions.
#pragma once

#include "sim/core.h"
#include "sim/machine.h"
#include "sim/types.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tilescale::sim {

// Where a kernel's shared buffers go. Buffers that share planned bytes keep their relative offsets
// in one block, so wrong reuse is a race; all others get pages of their own, so one element past
// the end is found.
struct SharedPlan {
  struct Block {
    u64 first = 0, end = 0;  // planned offsets
    std::vector<Allocation::Part> parts;
  };
  std::vector<Block> blocks;
  struct Buffer {
    u32 block;
    u64 offset;  // in the block
  };
  std::vector<Buffer> buffers;  // by declaration
  u64 bytes = 0;                // planned, in all

  // Allocates the blocks for a CTA that starts.
  void Place(Cta* c) const;
};

// A per-thread array, as reports name it.
struct LocalArray {
  std::string name, type;
  u64 count = 0;
};

class Module : public KernelModule {
 public:
  // Throws Diag with the loader's message.
  explicit Module(const std::string& path);
  ~Module() override;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  using Entry = void (*)(void**);
  // Throws Diag if there is no such kernel.
  Entry Find(const std::string& kernel) const;
  void Require(const std::string& kernel) const override { Find(kernel); }
  void* Constant(const char* name) const override;
  const SharedPlan& Plan(const std::string& kernel);
  // The per-thread array of a kernel with so many elements; of several, their names.
  LocalArray LocalOf(const std::string& kernel, u64 count) const;

  const std::string& path() const { return path_; }
  u64 serial() const { return serial_; }  // of no other module: paths come again
  u8* base() const { return base_; }
  u64 size() const { return size_; }
  bool Contains(const void* p) const { return u64(static_cast<const u8*>(p) - base_) < size_; }
  // Code positions of this module are [site_base, site_base + size); set by PlaceCode.
  u32 site_base = 0;
  bool placed = false;

 private:
  friend std::unique_ptr<Module> LoadBytes(std::string_view binary);
  void MakePlans(const std::string& kernel);
  std::string path_;
  u64 serial_;
  void* handle_ = nullptr;
  int descriptor_ = -1;  // of the memory file, if it came from bytes
  u8* base_ = nullptr;
  u64 size_ = 0;
  std::map<std::string, SharedPlan> plans_;
};

// Gives a module's code a range of the 24-bit positions that cells store; throws Diag if
// there is no room. ForgetCode begins anew: only when the shadow remembers nothing.
void PlaceCode(Module& m);
void ForgetCode();
// The module whose range holds a position; null if it was unloaded.
const Module* ModuleOfSite(u32 site);
void ForgetModule(const Module& m);

// A module from the bytes of a shared object, kept in memory only.
std::unique_ptr<Module> LoadBytes(std::string_view binary);

}  // namespace tilescale::sim
