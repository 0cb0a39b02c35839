// SPDX-License-Identifier: MIT
#include "runtime/executable.h"
#include "support/diagnostics.h"

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/extra/c_env_api.h>

#include <algorithm>

namespace tilescale::runtime {
namespace {

namespace ffi = tvm::ffi;

// CUDA's limits on a launch of any architecture (programming guide, "Technical Specifications per
// Compute Capability"), which the simulator shares: 2^31-1 blocks in x, 65535 in y and z. The
// runtime sees nothing of the compiler, so they stand here and in compiler/target, too.
constexpr int64_t kGridLimits[3] = {INT32_MAX, 65535, 65535};
constexpr int64_t kBlockLimits[3] = {1024, 1024, 64};
constexpr int64_t kClusterLimits[3] = {16, 16, 16};

Stream CurrentStream(const DLDevice& device) {
  if (device.device_type == kDLCPU) return HostStream();
  return TVMFFIEnvGetStream(device.device_type, device.device_id);
}

// Memory of a launch that a tensor of ours owns. It goes back in the order of the stream that wrote
// it, whatever stream the thread that drops the tensor is on (as frameworks do: who reads it on
// another stream keeps it until that stream is done).
struct DeviceAllocator {
  std::shared_ptr<Device> device;
  Stream stream = nullptr;

  void AllocData(DLTensor* tensor) {
    stream = CurrentStream(tensor->device);
    tensor->data = device->Allocate(ffi::GetDataSize(*tensor), stream);
  }
  void FreeData(DLTensor* tensor) { device->Free(tensor->data, stream); }
};

// Gives workspaces back when the launch is enqueued, or has failed.
class Workspaces {
 public:
  Workspaces(Device& device, Stream stream) : device_(device), stream_(stream) {}
  ~Workspaces() {
    for (int i = 0; i < count_; ++i) {
      if (addresses_[i] != lent_) device_.Free(addresses_[i], stream_);
    }
  }
  Workspaces(const Workspaces&) = delete;
  Workspaces& operator=(const Workspaces&) = delete;

  void Add(size_t bytes, bool zeroed) {
    void* at = addresses_[count_++] = device_.Allocate(bytes, stream_);
    if (zeroed) device_.Zero(at, bytes, stream_);
  }
  // Memory that stays with its owner.
  void Lend(void* address) { lent_ = addresses_[count_++] = address; }
  void* const* addresses() const { return addresses_; }

 private:
  Device& device_;
  Stream stream_;
  int count_ = 0;
  void* lent_ = nullptr;
  void* addresses_[kMaxWorkspaces];
};

// Bytes from the address to the last element that shape and strides reach.
int64_t Span(const DLTensor& tensor) {
  int64_t last = 0;
  int64_t dense = 1;
  for (int d = tensor.ndim - 1; d >= 0; --d) {
    const int64_t stride = tensor.strides != nullptr ? tensor.strides[d] : dense;
    last += (tensor.shape[d] - 1) * stride;
    dense *= tensor.shape[d];
  }
  return ((last + 1) * tensor.dtype.bits * tensor.dtype.lanes + 7) / 8;
}

// No kernel before `index` gets the same memory, so what this launch allocated is not written yet.
bool IsFirstUse(const Variant& variant, size_t index, const KernelArg& arg) {
  for (size_t k = 0; k < index; ++k) {
    for (const KernelArg& earlier : variant.kernels[k].args) {
      if (earlier.kind == arg.kind && earlier.index == arg.index) return false;
    }
  }
  return true;
}

}  // namespace

ffi::Tensor AllocateTensor(const std::shared_ptr<Device>& device, const int64_t* shape,
                           int32_t rank, DLDataType dtype, DLDevice where) {
  const ffi::ShapeView view(shape, rank);
  if (TVMFFIEnvGetDLPackManagedTensorAllocator() != nullptr) {
    return ffi::Tensor::FromEnvAlloc(TVMFFIEnvTensorAlloc, view, dtype, where);
  }
  return ffi::Tensor::FromNDAlloc(DeviceAllocator{.device = device}, view, dtype, where);
}

void Executable::Bind(const TVMFFIAny* args, int32_t num_args, CallFrame* frame) {
  if (!BindArguments(plan_, args, num_args, frame)) {
    ThrowArgumentError(artifact_, args, num_args);
  }
  // Without a tensor among the arguments nothing names the device.
  if (frame->device.device_id < 0) frame->device.device_id = 0;
}

int64_t Executable::EvaluateOrThrow(const HostExpr& expr, const CallFrame& frame,
                                    const char* what) const {
  int64_t value = 0;
  if (expr.Evaluate(frame.Values(), &value)) return value;
  throw Diag({}, "ValueError") << artifact_.name << ": " << what << " "
                               << expr.ToString(artifact_.Names())
                               << " divides by zero or exceeds 64 bits for these arguments";
}

void Executable::CheckConditions(const CallFrame& frame) const {
  for (const HostCheck& check : artifact_.checks) {
    if (EvaluateOrThrow(check.condition, frame, "condition") == 0) {
      throw Diag({}, check.kind) << check.message;
    }
  }
}

int Executable::ChooseVariant(const CallFrame& frame) const {
  const HostValues values = frame.Values();
  const size_t last = artifact_.variants.size() - 1;
  for (size_t i = 0; i < last; ++i) {
    bool holds = true;
    for (const LaunchFact& fact : artifact_.variants[i].facts) {
      int64_t value = 0;
      // A fact that cannot be evaluated is not known to hold.
      holds = fact.condition.Evaluate(values, &value) && value != 0;
      if (!holds) break;
    }
    if (holds) return static_cast<int>(i);
  }
  return static_cast<int>(last);
}

void Executable::OutputShape(const Param& param, const CallFrame& frame, int64_t* shape) const {
  for (size_t d = 0; d < param.shape.size(); ++d) {
    shape[d] = EvaluateOrThrow(param.shape[d], frame, "extent");
    if (shape[d] <= 0) {
      throw Diag({}, "ValueError")
          << artifact_.name << "." << param.name << ".shape[" << d << "] is " << shape[d]
          << ": an output needs at least one element in each dimension";
    }
  }
}

std::vector<ffi::Tensor> Executable::AllocateOutputs(DeviceState& state, CallFrame* frame) const {
  std::vector<ffi::Tensor> outputs;
  outputs.reserve(artifact_.outputs.size());
  for (const int32_t index : artifact_.outputs) {
    const Param& param = artifact_.params[index];
    int64_t shape[kMaxRank];
    OutputShape(param, *frame, shape);
    const auto rank = static_cast<int32_t>(param.shape.size());
    outputs.push_back(AllocateTensor(state.device, shape, rank, param.dtype, frame->device));
    const DLTensor* tensor = outputs.back().GetDLTensorPtr();
    frame->tensors[index] = tensor;
    frame->addresses[index] =
        reinterpret_cast<int64_t>(tensor->data) + static_cast<int64_t>(tensor->byte_offset);
  }
  return outputs;
}

Dim3 Executable::EvaluateExtents(const std::array<HostExpr, 3>& extents, const CallFrame& frame,
                                 const char* what, const int64_t (&limits)[3]) const {
  int64_t value[3];
  for (int i = 0; i < 3; ++i) {
    value[i] =
        extents[i].IsConst() ? extents[i].const_value() : EvaluateOrThrow(extents[i], frame, what);
    if (value[i] >= 1 && value[i] <= limits[i]) continue;
    Diag error({}, "ValueError");
    error << artifact_.name << ": " << what << " dimension " << "xyz"[i] << " is " << value[i];
    if (!extents[i].IsConst()) error << " = " << extents[i].ToString(artifact_.Names());
    error << ", a launch needs 1 to " << limits[i];
    throw error;
  }
  return {static_cast<uint32_t>(value[0]), static_cast<uint32_t>(value[1]),
          static_cast<uint32_t>(value[2])};
}

uint32_t Executable::SharedBytes(const DeviceState& state, const KernelLaunch& kernel,
                                 const CallFrame& frame) const {
  const int64_t bytes = EvaluateOrThrow(kernel.dynamic_shared_bytes, frame, "shared memory");
  const int64_t limit = state.device->properties().max_shared_bytes;
  if (bytes >= 0 && bytes <= limit) return static_cast<uint32_t>(bytes);
  throw Diag({}, "ValueError") << artifact_.name << ": shared memory is " << bytes << " bytes = "
                               << kernel.dynamic_shared_bytes.ToString(artifact_.Names())
                               << ", a block of this device has at most " << limit;
}

std::vector<BufferArg> Executable::DescribeBuffers(const LoadedVariant& loaded, size_t index,
                                                   const CallFrame& frame,
                                                   void* const* workspaces) const {
  std::vector<BufferArg> buffers;
  const std::vector<KernelArg>& args = loaded.variant.kernels[index].args;
  for (size_t i = 0; i < args.size(); ++i) {
    const KernelArg& arg = args[i];
    const bool pointer = arg.kind == ArgKind::kScalarParam &&
                         artifact_.params[arg.index].kind == ParamKind::kPointer &&
                         frame.tensors[arg.index] != nullptr;
    if (arg.kind != ArgKind::kTensorData && arg.kind != ArgKind::kWorkspace && !pointer) continue;
    BufferArg& buffer = buffers.emplace_back();
    buffer.arg = static_cast<int32_t>(i);
    if (arg.kind == ArgKind::kWorkspace) {
      const Workspace& workspace = loaded.variant.workspaces[arg.index];
      buffer.name = workspace.name.c_str();
      buffer.address = workspaces[arg.index];
      buffer.bytes = EvaluateOrThrow(workspace.bytes, frame, "workspace");
      buffer.dtype = {kDLUInt, 8, 1};
      buffer.fresh = !workspace.of_heap && IsFirstUse(loaded.variant, index, arg);
      continue;
    }
    const Param& param = artifact_.params[arg.index];
    buffer.name = param.name.c_str();
    buffer.address = reinterpret_cast<void*>(frame.addresses[arg.index]);
    buffer.bytes = -1;
    buffer.dtype = param.dtype;
    buffer.fresh = param.is_output && IsFirstUse(loaded.variant, index, arg);
    if (const DLTensor* tensor = frame.tensors[arg.index]) {
      buffer.bytes = Span(*tensor);
      buffer.ndim = tensor->ndim;
      buffer.shape = tensor->shape;
    }
  }
  return buffers;
}

void Executable::LaunchKernel(DeviceState& state, const LoadedVariant& loaded, size_t index,
                              const CallFrame& frame, void* const* workspaces,
                              Stream stream) const {
  const KernelLaunch& kernel = loaded.variant.kernels[index];
  void* args[kMaxKernelArgs];
  int64_t values[kMaxKernelArgs];
  const auto num_args = static_cast<int32_t>(kernel.args.size());
  for (int32_t i = 0; i < num_args; ++i) {
    const KernelArg& arg = kernel.args[i];
    switch (arg.kind) {
      case ArgKind::kTensorData:
        args[i] = const_cast<int64_t*>(&frame.addresses[arg.index]);
        break;
      case ArgKind::kScalarParam:
        args[i] = const_cast<int64_t*>(&frame.scalars[arg.index]);
        break;
      case ArgKind::kExpr: {
        const int64_t value = EvaluateOrThrow(arg.value, frame, "argument");
        if (!EncodeInteger(arg.dtype, value, &values[i])) {
          throw Diag({}, "ValueError")
              << artifact_.name << ": " << arg.value.ToString(artifact_.Names()) << " = " << value
              << " does not fit " << DTypeName(arg.dtype);
        }
        args[i] = &values[i];
        break;
      }
      case ArgKind::kWorkspace:
        args[i] = const_cast<void**>(&workspaces[arg.index]);
        break;
    }
  }
  std::vector<BufferArg> buffers;
  if (state.device->needs_buffers()) buffers = DescribeBuffers(loaded, index, frame, workspaces);
  LaunchRequest request;
  request.name = artifact_.name.c_str();
  request.function = loaded.functions[index];
  request.grid = EvaluateExtents(kernel.grid, frame, "grid", kGridLimits);
  request.block = EvaluateExtents(kernel.block, frame, "block", kBlockLimits);
  request.cluster = EvaluateExtents(kernel.cluster, frame, "cluster", kClusterLimits);
  request.dynamic_shared_bytes = SharedBytes(state, kernel, frame);
  request.cooperative = kernel.cooperative;
  request.uses_heap = artifact_.uses_heap;
  request.deferred = GetLaunchPlace().heap != nullptr;
  request.args = args;
  request.num_args = num_args;
  request.buffers = buffers.data();
  request.num_buffers = static_cast<int32_t>(buffers.size());
  request.stream = stream;
  state.device->Launch(request);
}

void Executable::Launch(DeviceState& state, const LoadedVariant& loaded, const CallFrame& frame,
                        Stream stream) const {
  const SymmetricHeap* heap = nullptr;
  if (loaded.watched != nullptr) {
    heap = state.heap.expired() ? GetLaunchPlace().heap.get() : state.heap.lock().get();
    RaiseIfAborted(heap);
    // On the simulator a launch may be over when it returns.
    NoteLaunch(*loaded.watched, stream, heap);
  }
  Workspaces workspaces(*state.device, stream);
  for (const Workspace& workspace : loaded.variant.workspaces) {
    const int64_t bytes = EvaluateOrThrow(workspace.bytes, frame, "workspace");
    if (workspace.of_heap) {
      workspaces.Lend(state.barrier_words);
    } else {
      workspaces.Add(static_cast<size_t>(std::max<int64_t>(bytes, 0)), workspace.zeroed);
    }
  }
  for (size_t i = 0; i < loaded.functions.size(); ++i) {
    LaunchKernel(state, loaded, i, frame, workspaces.addresses(), stream);
  }
  if (loaded.watched != nullptr) NoteLaunch(*loaded.watched, stream, heap);
}

int Executable::SelectVariant(const TVMFFIAny* args, int32_t num_args) {
  CallFrame frame;
  Bind(args, num_args, &frame);
  // Outputs stand for themselves with address 0: what an allocator returns is aligned.
  std::vector<std::array<int64_t, kMaxRank>> shapes(artifact_.outputs.size());
  std::vector<DLTensor> stand_ins(artifact_.outputs.size());
  for (size_t i = 0; i < stand_ins.size(); ++i) {
    const Param& param = artifact_.params[artifact_.outputs[i]];
    OutputShape(param, frame, shapes[i].data());
    stand_ins[i] = {nullptr,
                    frame.device,
                    static_cast<int32_t>(param.shape.size()),
                    param.dtype,
                    shapes[i].data(),
                    nullptr,
                    0};
    frame.tensors[artifact_.outputs[i]] = &stand_ins[i];
  }
  return ChooseVariant(frame);
}

void Executable::RunVariant(DeviceState& state, const CallFrame& frame, Stream stream,
                            bool prepare) {
  if (!artifact_.checks.empty()) CheckConditions(frame);
  const int variant = ChooseVariant(frame);
  const LoadedVariant* loaded = state.variants[variant].load(std::memory_order_acquire);
  if (loaded == nullptr) loaded = &LoadSlow(state, variant);
  if (prepare) return;
  Launch(state, *loaded, frame, stream);
  launches_[variant].fetch_add(1, std::memory_order_relaxed);
}

// The rank of a launch: the one whose memory the tensors are in, else the one that this thread
// launches for, else the one that the kernel was initialised for, else that of this process.
LaunchPlace Executable::PlaceOf(const CallFrame& frame) const {
  LaunchPlace place = GetLaunchPlace();
  const Param* first = nullptr;
  for (size_t i = 0; i < artifact_.params.size(); ++i) {
    const Param& param = artifact_.params[i];
    const bool memory = param.kind != ParamKind::kScalar && !param.is_output;
    if (!memory || frame.addresses[i] == 0) continue;
    LaunchPlace found = FindHeap(reinterpret_cast<const void*>(frame.addresses[i]));
    if (found.heap == nullptr) {
      if (param.remote.empty()) continue;
      throw Diag({}, "RuntimeError")
          << artifact_.name << ": " << param.remote << " reaches `" << param.name
          << "` of other ranks, but the tensor given is not in symmetric memory"
          << Help("allocate it with World.tensor, or with tilelang.tensor(..., allocator=)");
    }
    if (first != nullptr && (found.heap != place.heap || found.rank != place.rank)) {
      throw Diag({}, "ValueError")
          << artifact_.name << ": `" << first->name << "` is a tensor of rank " << place.rank
          << " and `" << param.name << "` one of "
          << (found.heap != place.heap ? "another world" : "rank " + std::to_string(found.rank))
          << ": a launch takes the tensors of one rank";
    }
    found.prepare = place.prepare;
    place = std::move(found);
    first = &param;
  }
  if (place.heap == nullptr) {
    place = place_;
    if (place.heap == nullptr || place.heap->closed()) place = OwnHeap();
  }
  if (place.heap != nullptr) return place;
  throw Diag({}, "RuntimeError")
      << artifact_.name << " asks for ranks, but is launched without any: no tensor given is in "
      << "symmetric memory" << Help("launch it with World.launch, or with tensors of an allocator");
}

void Executable::Call(const TVMFFIAny* args, int32_t num_args, ffi::Any* result) {
  CallFrame frame;
  Bind(args, num_args, &frame);
  const bool physical = plan_.device_type == kDLCUDA;
  const LaunchPlace& thread = GetLaunchPlace();
  const int rank = thread.heap != nullptr ? thread.rank : CurrentRank();
  DeviceState& state = artifact_.uses_heap ? StateOf(PlaceOf(frame))
                                           : StateOf(physical ? frame.device.device_id : rank);
  const Stream stream = thread.heap != nullptr ? thread.stream : CurrentStream(frame.device);
  if (artifact_.outputs.empty()) return RunVariant(state, frame, stream, thread.prepare);
  std::vector<ffi::Tensor> outputs = AllocateOutputs(state, &frame);
  RunVariant(state, frame, stream, thread.prepare);
  if (outputs.size() == 1) {
    *result = std::move(outputs[0]);
  } else {
    *result = ffi::Array<ffi::Tensor>(outputs.begin(), outputs.end());
  }
}

}  // namespace tilescale::runtime
