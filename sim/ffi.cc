// SPDX-License-Identifier: MIT
// What Python sees of sim/: `tilescale.sim.*`. Reports are raised as errors named after their kind;
// their fields are those of `tilescale.sim.last_report`.
#include "sim/compile.h"
#include "sim/machine.h"
#include "sim/remote.h"
#include "sim/server.h"
#include "sim/world.h"
#include "support/ffi_boundary.h"

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/map.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>
#include <tvm/ffi/string.h>

namespace tilescale::sim {
namespace {

namespace ffi = tvm::ffi;
namespace refl = tvm::ffi::reflection;

using Record = ffi::Map<ffi::String, ffi::Any>;

void* Address(int64_t a) {
  return reinterpret_cast<void*>(a);
}
int64_t Number(const void* p) {
  return reinterpret_cast<int64_t>(p);
}

void PyOpenWorld(int64_t ranks) {
  OpenWorld(u32(ranks));
}
void PyCloseWorld() {
  CloseWorld();
}
int64_t PyRanks() {
  return Machine::Get().config().ranks;
}

int64_t PyAllocateSymmetric(int64_t bytes, ffi::String name, int64_t element_bytes,
                            ffi::String type) {
  return Number(Machine::Get().AllocateSymmetric(
      u64(bytes),
      {.name = name, .element_bytes = u32(element_bytes), .type = type, .initialized = true}));
}
int64_t PyPeer(int64_t address, int64_t from, int64_t to) {
  return Number(Machine::Get().Peer(Address(address), u32(from), u32(to)));
}
void PyFree(int64_t address) {
  Machine::Get().Free(Address(address));
}

void PySynchronize() {
  RaiseIfFound(Machine::Get().Synchronize());
}

void PySetSeed(int64_t seed) {
  SetSeedOverride(u64(seed));
}
void PyClearSeed() {
  ClearSeedOverride();
}
int64_t PySeed() {
  return int64_t(WithKnobs(Machine::Get().config()).seed);
}

Record PyStatistics() {
  Statistics s = Machine::Get().TakeStatistics();
  return {{"accesses", int64_t(s.accesses)},
          {"switches", int64_t(s.switches)},
          {"launches", int64_t(s.launches)},
          {"ctas", int64_t(s.ctas)},
          {"sampled", s.sampled}};
}

ffi::Array<Record> PyOlderValues() {
  ffi::Array<Record> out;
  for (const OlderValue& v : Machine::Get().TakeOlderValues()) {
    out.push_back({{"place", ffi::String(v.place)},
                   {"file", ffi::String(v.file)},
                   {"line", int64_t(v.line)},
                   {"got", int64_t(v.got)},
                   {"newest", int64_t(v.newest)},
                   {"rank", int64_t(v.rank)}});
  }
  return out;
}

Record PyLastReport() {
  const Report r = LastReport();
  ffi::Array<Record> accesses;
  for (const AccessInfo& a : r.accesses) {
    accesses.push_back(
        {{"kind", ffi::String(a.kind)},
         {"scope", ffi::String(a.scope)},
         {"agent", ffi::String(a.agent)},
         {"rank", int64_t(a.rank)},
         {"cta", ffi::Array<int64_t>{int64_t(a.cta.x), int64_t(a.cta.y), int64_t(a.cta.z)}},
         {"warp", int64_t(a.warp)},
         {"lane", int64_t(a.lane)},
         {"file", ffi::String(a.file)},
         {"line", int64_t(a.line)}});
  }
  return {{"kind", ffi::String(r.kind)},     {"text", ffi::String(r.text)},
          {"kernel", ffi::String(r.kernel)}, {"arch", ffi::String(r.arch)},
          {"ranks", int64_t(r.ranks)},       {"seed", int64_t(r.seed)},
          {"buffer", ffi::String(r.buffer)}, {"space", ffi::String(r.space)},
          {"index", int64_t(r.index)},       {"owner_rank", int64_t(r.owner_rank)},
          {"reason", ffi::String(r.reason)}, {"accesses", accesses}};
}

void PyServe(ffi::String address, ffi::Function ready) {
  Serve(address, [&] { ready(); });
}
void PyJoin(ffi::String address, int64_t rank, int64_t ranks, ffi::String program) {
  Join({address, u32(rank), u32(ranks), program});
}
void PyLeave() {
  Leave();
}
int64_t PyJoinedRank() {
  return JoinedRank();
}

bool PyOwns(int64_t address) {
  return Machine::Get().Owns(Address(address));
}
void PySettle(int64_t stream) {
  SettleStream(u64(stream));
}

void PySetIncludeFolders(ffi::Array<ffi::String> folders) {
  std::vector<std::string> list;
  for (const auto& f : folders) list.push_back(f);
  SetIncludeFolders(std::move(list));
}

TVM_FFI_STATIC_INIT_BLOCK() {
  refl::GlobalDef()
      .def("tilescale.sim.open_world", Guarded(&PyOpenWorld))
      .def("tilescale.sim.close_world", Guarded(&PyCloseWorld))
      .def("tilescale.sim.ranks", Guarded(&PyRanks))
      .def("tilescale.sim.allocate_symmetric", Guarded(&PyAllocateSymmetric))
      .def("tilescale.sim.peer", Guarded(&PyPeer))
      .def("tilescale.sim.free", Guarded(&PyFree))
      .def("tilescale.sim.synchronize", Guarded(&PySynchronize))
      .def("tilescale.sim.set_seed", Guarded(&PySetSeed))
      .def("tilescale.sim.clear_seed", Guarded(&PyClearSeed))
      .def("tilescale.sim.seed", Guarded(&PySeed))
      .def("tilescale.sim.statistics", Guarded(&PyStatistics))
      .def("tilescale.sim.older_values", Guarded(&PyOlderValues))
      .def("tilescale.sim.last_report", Guarded(&PyLastReport))
      .def("tilescale.sim.serve", Guarded(&PyServe))
      .def("tilescale.sim.join", Guarded(&PyJoin))
      .def("tilescale.sim.leave", Guarded(&PyLeave))
      .def("tilescale.sim.joined_rank", Guarded(&PyJoinedRank))
      .def("tilescale.sim.owns", Guarded(&PyOwns))
      .def("tilescale.sim.settle", Guarded(&PySettle))
      .def("tilescale.sim.set_include_folders", Guarded(&PySetIncludeFolders));
}

}  // namespace
}  // namespace tilescale::sim
