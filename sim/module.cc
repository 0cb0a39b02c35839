// SPDX-License-Identifier: MIT
#include "sim/module.h"

#include "support/diagnostics.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <dlfcn.h>
#include <link.h>
#include <set>
#include <sys/mman.h>
#include <tilescale/ptx/config.cuh>
#include <unistd.h>

namespace tilescale::sim {
namespace {

std::vector<Module*>& Placed() {
  static auto* v = new std::vector<Module*>;
  return *v;
}
u32 next_site = 1;

// Kernel modules find our functions in the global scope, but Python loads libraries into local
// ones.
void PromoteThisLibrary() {
  static bool done = [] {
    Dl_info info;
    if (dladdr(reinterpret_cast<void*>(&PlaceCode), &info) && info.dli_fname) {
      dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
    }
    return true;
  }();
  (void)done;
}

struct Extent {
  u64 base;
  u64 end = 0;
};

int FindExtent(dl_phdr_info* info, size_t, void* data) {
  auto* e = static_cast<Extent*>(data);
  if (info->dlpi_addr != e->base) return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& h = info->dlpi_phdr[i];
    if (h.p_type == PT_LOAD) e->end = std::max<u64>(e->end, h.p_vaddr + h.p_memsz);
  }
  return 1;
}

}  // namespace

Module::Module(const std::string& path) : path_(path) {
  static std::atomic<u64> loaded = 0;
  serial_ = ++loaded;
  PromoteThisLibrary();
  handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle_) throw Diag({}, "RuntimeError") << "cannot load a kernel module: " << dlerror();
  link_map* map = nullptr;
  dlinfo(handle_, RTLD_DI_LINKMAP, &map);
  Extent e{map->l_addr};
  dl_iterate_phdr(FindExtent, &e);
  base_ = reinterpret_cast<u8*>(map->l_addr);
  size_ = e.end;
}

Module::~Module() {
  ForgetModule(*this);
  if (handle_) dlclose(handle_);
  if (descriptor_ >= 0) close(descriptor_);
}

Module::Entry Module::Find(const std::string& kernel) const {
  void* p = dlsym(handle_, (kernel + "__launch").c_str());
  if (!p) {
    throw Diag({}, "RuntimeError")
        << "there is no kernel '" << kernel << "' in this module"
        << Help("kernel text needs TS_LAUNCH(" + kernel + ", …) at its end");
  }
  return reinterpret_cast<Entry>(p);
}

void* Module::Constant(const char* name) const {
  return dlsym(handle_, name);
}

void Module::MakePlans(const std::string& kernel) {
  SharedPlan plan;
  using Table = void (*)(ts_smem_decl**, ts_smem_decl**);
  auto table = reinterpret_cast<Table>(dlsym(handle_, (kernel + "__smem").c_str()));
  ts_smem_decl *first = nullptr, *last = nullptr;
  if (table) table(&first, &last);
  std::vector<ts_smem_decl*> order;
  for (auto* d = first; d != last; ++d) {
    if (kernel != d->kernel) continue;
    d->index = order.size();
    order.push_back(d);
    plan.bytes = std::max<u64>(plan.bytes, d->offset + d->count * d->element_bytes);
  }
  plan.buffers.resize(order.size());
  std::stable_sort(order.begin(), order.end(),
                   [](auto* a, auto* b) { return a->offset < b->offset; });
  for (auto* d : order) {
    u64 bytes = d->count * d->element_bytes;
    if (plan.blocks.empty() || d->offset >= plan.blocks.back().end) {
      plan.blocks.push_back({d->offset, d->offset, {}});
    }
    auto& block = plan.blocks.back();
    block.end = std::max<u64>(block.end, d->offset + bytes);
    block.parts.push_back({d->name, d->type, d->offset - block.first, bytes, d->element_bytes});
    plan.buffers[d->index] = {u32(plan.blocks.size() - 1), d->offset - block.first};
  }
  plans_[kernel] = std::move(plan);
}

const SharedPlan& Module::Plan(const std::string& kernel) {
  if (!plans_.count(kernel)) MakePlans(kernel);
  return plans_[kernel];
}

LocalArray Module::LocalOf(const std::string& kernel, u64 count) const {
  LocalArray found;
  found.count = count;
  std::set<std::string> names;
  using Table = void (*)(ts_local_decl**, ts_local_decl**);
  auto table = reinterpret_cast<Table>(dlsym(handle_, (kernel + "__local").c_str()));
  ts_local_decl *first = nullptr, *last = nullptr;
  if (table) table(&first, &last);
  for (const auto* d = first; d != last; ++d) {
    if (kernel != d->kernel || d->count != count) continue;
    names.insert(d->name);
    found.type = d->type;
  }
  for (const auto& name : names) found.name += (found.name.empty() ? "" : " or ") + name;
  if (names.empty()) found.name = "a local array";
  return found;
}

void SharedPlan::Place(Cta* c) const {
  constexpr u64 kAlignment = 1024;  // the largest that shared memory is planned by
  for (const Block& b : blocks) {
    c->blocks.push_back(arena.AllocateShared(b.end - b.first, b.first % kAlignment, c, b.parts));
  }
  for (const Buffer& b : buffers) c->shared.push_back(c->blocks[b.block]->base + b.offset);
}

void PlaceCode(Module& m) {
  if (m.placed) return;
  if (next_site + m.size() > kMaxCode) {
    throw Diag({}, "RuntimeError")
        << "more than 16 MB of kernel code run between two synchronisations"
        << Help("synchronize more often");
  }
  m.site_base = next_site;
  next_site += u32(m.size());
  m.placed = true;
  Placed().push_back(&m);
}

void ForgetCode() {
  for (Module* m : Placed()) m->placed = false;
  Placed().clear();
  next_site = 1;
}

const Module* ModuleOfSite(u32 site) {
  for (const Module* m : Placed()) {
    if (site - m->site_base < m->size()) return m;
  }
  return nullptr;
}

void ForgetModule(const Module& m) {
  std::erase(Placed(), &m);
}

std::unique_ptr<Module> LoadBytes(std::string_view binary) {
  int fd = memfd_create("tilescale-kernel", MFD_CLOEXEC);
  if (fd < 0) throw Diag({}, "OSError") << "cannot make a memory file for a kernel module";
  for (size_t done = 0; done < binary.size();) {
    ssize_t n = write(fd, binary.data() + done, binary.size() - done);
    if (n <= 0) {
      close(fd);
      throw Diag({}, "OSError") << "cannot write a memory file for a kernel module";
    }
    done += size_t(n);
  }
  // The symboliser reads the file through the same name, so the descriptor stays open.
  std::string path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd);
  try {
    auto module = std::make_unique<Module>(path);
    module->descriptor_ = fd;
    return module;
  } catch (...) {
    close(fd);
    throw;
  }
}

}  // namespace tilescale::sim
