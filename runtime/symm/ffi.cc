// SPDX-License-Identifier: MIT
// What Python sees of symmetric memory: `tilescale.runtime.open_heap`.
#include "runtime/symm/coordinator.h"
#include "runtime/symm/heap.h"
#include "runtime/watchdog.h"
#include "support/diagnostics.h"
#include "support/ffi_boundary.h"

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/dtype.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/object.h>
#include <tvm/ffi/reflection/registry.h>
#include <tvm/ffi/string.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tilescale::runtime {
namespace {

namespace ffi = tvm::ffi;
namespace refl = tvm::ffi::reflection;

// A tensor owns its rank's part of the allocation, and keeps the heap.
struct HeapAllocator {
  std::shared_ptr<SymmetricHeap> heap;
  int rank;
  std::string name;

  void AllocData(DLTensor* tensor) {
    const auto bytes = static_cast<int64_t>(ffi::GetDataSize(*tensor));
    tensor->data = heap->Allocate(rank, {name, bytes, tensor->dtype});
  }
  void FreeData(DLTensor* tensor) { heap->Free(rank, tensor->data); }
};

// Memory of another rank, as long as this rank's part lives.
struct PeerView {
  ffi::Tensor part;
  void* address;

  void AllocData(DLTensor* tensor) { tensor->data = address; }
  void FreeData(DLTensor*) {}
};

class HeapObj : public ffi::Object {
 public:
  std::shared_ptr<SymmetricHeap> heap;

  explicit HeapObj(std::shared_ptr<SymmetricHeap> h) : heap(std::move(h)) {}
  ~HeapObj() {
    for (const auto& [rank, stream] : made_) {
      try {
        heap->device(rank)->DestroyStream(stream);
      } catch (const std::exception&) {  // work of the stream failed: who waited for it knows
      }
    }
  }

  int64_t Ranks() const { return heap->ranks(); }
  int64_t Own() const { return heap->own(); }
  ffi::String Transport() const { return heap->transport(); }
  bool Closed() const { return heap->closed(); }
  void Close() {
    CallGuarded([&] { heap->Close(); });
  }
  /// Waits for what was launched on the ranks' streams, and for all that is on the callers' (one a
  /// rank, or none) and on those that were launched on.
  void Barrier(ffi::Array<int64_t> callers) {
    CallGuarded([&] {
      auto streams = std::exchange(callers_, {});
      for (size_t r = 0; r < callers.size(); ++r)
        streams.insert({Checked(int64_t(r)), Raw(callers[r])});
      for (const auto& [rank, stream] : streams) heap->device(rank)->Synchronize(stream);
      for (const auto& [rank, stream] : made_) heap->device(rank)->Synchronize(stream);
      heap->Barrier();
      RaiseIfAborted(heap.get());
    });
  }
  int64_t DeviceOf(int64_t rank) const {
    return CallGuarded([&] { return heap->device(Checked(rank))->tensor_device().device_id; });
  }

  /// The rank's next allocation.
  ffi::Tensor Tensor(int64_t rank, ffi::Array<int64_t> shape, ffi::String dtype, ffi::String name) {
    return CallGuarded([&] {
      const int r = Checked(rank);
      const std::vector<int64_t> extents(shape.begin(), shape.end());
      return ffi::Tensor::FromNDAlloc(
          HeapAllocator{heap, r, std::string(name)}, ffi::ShapeView(extents.data(), extents.size()),
          ffi::StringToDLDataType(dtype), heap->device(r)->tensor_device());
    });
  }

  /// The rank, the number of ranks, where each rank's memory begins.
  ffi::Array<int64_t> Table(int64_t rank) {
    return CallGuarded([&] {
      const HeapTable table = heap->Table(Checked(rank));
      ffi::Array<int64_t> numbers{table.rank, table.num_ranks};
      for (int r = 0; r < table.num_ranks; ++r) {
        numbers.push_back(static_cast<int64_t>(table.base[r]));
      }
      return numbers;
    });
  }

  /// What `tensor` is on another rank; keeps `tensor`.
  ffi::Tensor Peer(ffi::Tensor tensor, int64_t rank) {
    return CallGuarded([&] {
      const int to = Checked(rank);
      const DLTensor& mine = *tensor.GetDLTensorPtr();
      const int from = heap->RankOf(mine.data);
      if (from < 0) {
        throw Diag({}, "ValueError") << "the tensor is not in this symmetric heap"
                                     << Help("allocate it with tilelang.tensor(allocator=...)");
      }
      return ffi::Tensor::FromNDAlloc(PeerView{tensor, heap->Peer(mine.data, from, to)},
                                      tensor.shape(), mine.dtype, mine.device);
    });
  }

  /// Launches of this thread are the rank's from now on, until Leave. `caller`: the current stream
  /// on the rank's device.
  void Enter(int64_t rank, bool prepare, int64_t caller) {
    CallGuarded([&] { EnterRank(Checked(rank), prepare, Raw(caller)); });
  }
  /// The same on a stream of MakeStream.
  void EnterOn(int64_t rank, bool prepare, int64_t stream) {
    CallGuarded([&] {
      const int r = Checked(rank);
      if (heap->closed()) throw Diag({}, "RuntimeError") << "the world of this launch is closed";
      SetLaunchPlace({heap, r, prepare, Raw(stream)});
    });
  }
  void Leave() { SetLaunchPlace({}); }

  /// `entry` for every rank. An argument that is an array has a value for each. All load before one
  /// launches: loading a module may wait for running kernels, which may wait for the rank that is
  /// loading.
  void Launch(const ffi::Function& entry, const std::vector<Stream>& callers,
              const ffi::AnyView* args, int32_t count) {
    struct Place {
      ~Place() { SetLaunchPlace({}); }
    } leave;
    std::vector<const ffi::ArrayObj*> arrays;
    for (int32_t i = 0; i < count; ++i) {
      arrays.push_back(args[i].as<ffi::ArrayObj>());
      if (arrays[i] == nullptr || arrays[i]->size() == static_cast<size_t>(heap->ranks())) continue;
      throw Diag({}, "ValueError") << "argument " << i << " has " << arrays[i]->size()
                                   << " values, the world has " << heap->ranks() << " ranks";
    }
    std::vector<ffi::AnyView> own(args, args + count);
    for (const bool prepare : {true, false}) {
      if (!prepare) Order(callers, true);
      for (int r = 0; r < heap->ranks(); ++r) {
        EnterRank(r, prepare, callers[r]);
        for (int32_t i = 0; i < count; ++i) {
          if (arrays[i] != nullptr) own[i] = arrays[i]->at(r);
        }
        ffi::Any result;
        entry.CallPacked(own.data(), count, &result);
      }
    }
    Order(callers, false);
  }

  /// A stream of the rank beside that of its launches, until the heap's object is dropped.
  int64_t MakeStream(int64_t rank) {
    return CallGuarded([&] {
      const int r = Checked(rank);
      const Stream stream = heap->device(r)->CreateStream();
      made_.emplace_back(r, stream);
      return reinterpret_cast<int64_t>(stream);
    });
  }
  /// The stream of a rank's launches, whose caller's is `caller`.
  int64_t StreamOf(int64_t rank, int64_t caller) {
    return CallGuarded([&] {
      const int r = Checked(rank);
      return heap->needs_own_streams() ? reinterpret_cast<int64_t>(heap->stream(r)) : caller;
    });
  }
  /// By the copy engine, behind what is on the rank's stream.
  void Copy(int64_t rank, int64_t to, int64_t from, int64_t bytes, int64_t stream) {
    CallGuarded([&] {
      heap->device(Checked(rank))
          ->Copy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from),
                 static_cast<size_t>(bytes), Raw(stream));
    });
  }

  /// Work of the ranks' streams comes behind what is on the callers' streams (one a rank), and what
  /// those get later behind the ranks'. All ranks at once: a rank must not wait for another's end.
  /// Nothing where launches go to the callers' streams.
  void Fork(ffi::Array<int64_t> callers) {
    CallGuarded([&] { Order(Raw(callers), true); });
  }
  void Join(ffi::Array<int64_t> callers) {
    CallGuarded([&] { Order(Raw(callers), false); });
  }

  static constexpr bool _type_mutable = true;
  TVM_FFI_DECLARE_OBJECT_INFO_FINAL("tilescale.runtime.Heap", HeapObj, ffi::Object);

 private:
  std::vector<std::pair<int, Stream>> made_;
  std::set<std::pair<int, Stream>> callers_;  // launched on since the last barrier: rank, stream

  static Stream Raw(int64_t handle) { return reinterpret_cast<Stream>(handle); }
  static std::vector<Stream> Raw(const ffi::Array<int64_t>& handles) {
    std::vector<Stream> streams;
    for (const int64_t handle : handles) streams.push_back(Raw(handle));
    return streams;
  }

  void EnterRank(int rank, bool prepare, Stream caller) {
    if (heap->closed()) throw Diag({}, "RuntimeError") << "the world of this launch is closed";
    const Stream stream = heap->needs_own_streams() ? heap->stream(rank) : caller;
    SetLaunchPlace({heap, rank, prepare, stream});
    if (!heap->needs_own_streams() && !prepare) callers_.insert({rank, stream});
  }

  void Order(const std::vector<Stream>& callers, bool fork) {
    if (!heap->needs_own_streams()) return;
    for (int r = 0; r < heap->ranks(); ++r) {
      const Stream own = heap->stream(r);
      fork ? Order(r, callers[r], own) : Order(r, own, callers[r]);
    }
  }

  int Checked(int64_t rank) const {
    if (rank >= 0 && rank < heap->ranks()) return static_cast<int>(rank);
    throw Diag({}, "IndexError") << "there is no rank " << rank << " in a world of "
                                 << heap->ranks();
  }

  void Order(int rank, Stream first, Stream then) {
    if (first == then) return;
    Device& device = *heap->device(rank);
    const Event event = device.CreateEvent();
    device.RecordEvent(event, first);
    device.WaitEvent(then, event);
    device.DestroyEvent(event);
  }
};

// The heap, the kernel's entry, the current stream of each rank's device, the arguments.
void LaunchRanks(ffi::PackedArgs given, ffi::Any*) {
  CallGuarded([&] {
    auto* heap = const_cast<HeapObj*>(given[0].cast<const HeapObj*>());
    const auto entry = given[1].cast<ffi::Function>();
    const int ranks = heap->heap->ranks();
    std::vector<Stream> callers;
    for (int r = 0; r < ranks; ++r) {
      callers.push_back(reinterpret_cast<Stream>(given[2 + r].cast<int64_t>()));
    }
    heap->Launch(entry, callers, given.data() + 2 + ranks, given.size() - 2 - ranks);
  });
}

ffi::ObjectRef Open(ffi::String transport, int64_t ranks, int64_t own, int64_t limit,
                    ffi::String address, int64_t device) {
  return ffi::ObjectRef(ffi::make_object<HeapObj>(
      OpenHeap(std::string(transport), {static_cast<int>(ranks), static_cast<int>(own), limit,
                                        std::string(address), static_cast<int>(device)})));
}

// The meeting place of the ranks of one heap, for as long as its owner keeps it.
class CoordinatorObj : public ffi::Object {
 public:
  Coordinator coordinator;

  CoordinatorObj(const std::string& address, int ranks) : coordinator(address, ranks) {}
  ffi::String Address() const { return coordinator.address(); }

  static constexpr bool _type_mutable = true;
  TVM_FFI_DECLARE_OBJECT_INFO_FINAL("tilescale.runtime.Coordinator", CoordinatorObj, ffi::Object);
};

ffi::ObjectRef MakeCoordinator(ffi::String address, int64_t ranks) {
  return ffi::ObjectRef(
      ffi::make_object<CoordinatorObj>(std::string(address), static_cast<int>(ranks)));
}

// What rank 0 says, on all ranks: each calls it with the address where rank 0 listens.
ffi::String MeetAt(ffi::String address, int64_t rank, int64_t ranks, ffi::String said) {
  return Meet(std::string(address), static_cast<int>(rank), static_cast<int>(ranks),
              std::string(said));
}

void StreamValue(int64_t device, int64_t stream, int64_t at, int64_t value, int64_t bits,
                 bool wait) {
  Device& gpu = *GetDevice("cuda", "", static_cast<int>(device));
  auto* queue = reinterpret_cast<Stream>(stream);
  auto* word = reinterpret_cast<void*>(at);
  const auto bytes = static_cast<int>(bits / 8);
  if (wait) {
    gpu.WaitValue(queue, word, static_cast<uint64_t>(value), bytes);
  } else {
    gpu.WriteValue(queue, word, static_cast<uint64_t>(value), bytes);
  }
}

// Memory of the host that a device reaches, too.
struct Mapped {
  std::shared_ptr<Device> device;
  void* host = nullptr;
  void* on_device = nullptr;

  Mapped(std::shared_ptr<Device> d, size_t bytes) : device(std::move(d)) {
    host = device->AllocateMapped(bytes, &on_device);
  }
  ~Mapped() { device->FreeMapped(host); }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
};

struct MappedView {
  std::shared_ptr<Mapped> memory;
  bool on_device;

  void AllocData(DLTensor* tensor) { tensor->data = on_device ? memory->on_device : memory->host; }
  void FreeData(DLTensor*) {}
};

ffi::Array<ffi::Tensor> MappedTensor(int64_t device, ffi::Array<int64_t> shape, ffi::String dtype) {
  const auto gpu = GetDevice("cuda", "", static_cast<int>(device));
  const std::vector<int64_t> extents(shape.begin(), shape.end());
  const DLDataType type = ffi::StringToDLDataType(dtype);
  int64_t bytes = (type.bits * type.lanes + 7) / 8;
  for (const int64_t n : extents) bytes *= n;
  const auto memory = std::make_shared<Mapped>(gpu, static_cast<size_t>(bytes));
  const ffi::ShapeView view(extents.data(), extents.size());
  return {ffi::Tensor::FromNDAlloc(MappedView{memory, false}, view, type, {kDLCPU, 0}),
          ffi::Tensor::FromNDAlloc(MappedView{memory, true}, view, type, gpu->tensor_device())};
}

TVM_FFI_STATIC_INIT_BLOCK() {
  refl::ObjectDef<HeapObj>(refl::init(false))
      .def("ranks", &HeapObj::Ranks)
      .def("transport", &HeapObj::Transport)
      .def("closed", &HeapObj::Closed)
      .def("close", &HeapObj::Close)
      .def("barrier", &HeapObj::Barrier)
      .def("device_of", &HeapObj::DeviceOf)
      .def("own", &HeapObj::Own)
      .def("tensor", &HeapObj::Tensor)
      .def("peer", &HeapObj::Peer)
      .def("table", &HeapObj::Table)
      .def("enter", &HeapObj::Enter)
      .def("enter_on", &HeapObj::EnterOn)
      .def("leave", &HeapObj::Leave)
      .def("make_stream", &HeapObj::MakeStream)
      .def("stream_of", &HeapObj::StreamOf)
      .def("copy", &HeapObj::Copy)
      .def("fork", &HeapObj::Fork)
      .def("join", &HeapObj::Join);
  refl::ObjectDef<CoordinatorObj>(refl::init(false)).def("address", &CoordinatorObj::Address);
  refl::GlobalDef()
      .def("tilescale.runtime.open_heap", Guarded(&Open))
      .def_packed("tilescale.runtime.launch_ranks", &LaunchRanks)
      .def("tilescale.runtime.coordinator", Guarded(&MakeCoordinator))
      .def("tilescale.runtime.meet", Guarded(&MeetAt))
      .def("tilescale.runtime.stream_value", Guarded(&StreamValue))
      .def("tilescale.runtime.mapped_tensor", Guarded(&MappedTensor))
      .def("tilescale.runtime.raise_if_aborted", Guarded(&RaiseIfAnyAborted))
      .def("tilescale.runtime.check_guards", Guarded(&CheckAllGuards))
      .def("tilescale.runtime.count_waits", Guarded(&CountWaits))
      .def("tilescale.runtime.abort_waits", Guarded(&AbortWaits));
}

}  // namespace
}  // namespace tilescale::runtime
