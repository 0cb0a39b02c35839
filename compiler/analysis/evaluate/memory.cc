// SPDX-License-Identifier: MIT
#include "compiler/analysis/evaluate/machine.h"
#include "compiler/ir/build.h"

#include <algorithm>

namespace tilescale::analysis {

using namespace ir;  // NOLINT

Memory& Machine::MemoryOf(const Buffer& buffer) {
  auto found = memories_.find(buffer->storage.get());
  if (found == memories_.end()) {
    Refuse("NotImplementedError", "`" + std::string(buffer->name) +
                                      "` is memory behind a pointer, which has no value here");
  }
  return found->second;
}

void Machine::Allocate(const Buffer& buffer, const Threads& threads) {
  Memory& memory = memories_[buffer->storage.get()];
  memory = Memory();
  memory.space = buffer->space();
  int64_t elements = 1;
  for (const Expr& extent : buffer->shape) elements *= EvalInt(extent);
  memory.bytes = (elements * buffer->dtype.bits * buffer->dtype.lanes + 7) / 8;
  memory.own.assign(static_cast<size_t>(memory.bytes), 0);
  memory.written.assign(static_cast<size_t>(memory.bytes), 0);
  memory.by_thread = memory.space == Space::kVar || memory.space == Space::kLocal;
  memory.scope = threads;
  memory.data = memory.own.data();
}

void Machine::Diverge(Memory& memory) {
  const auto n = static_cast<size_t>(memory.bytes);
  memory.own.resize(n * num_threads_);
  memory.written.resize(n * num_threads_);
  for (size_t t = 1; t < num_threads_; ++t) {
    std::copy_n(memory.own.begin(), n, memory.own.begin() + static_cast<int64_t>(t * n));
    std::copy_n(memory.written.begin(), n, memory.written.begin() + static_cast<int64_t>(t * n));
  }
  memory.data = memory.own.data();
  memory.same = false;
}

std::vector<int64_t> Machine::EvalIndex(const Buffer& buffer, const ffi::Array<Expr>& index) {
  std::vector<int64_t> out;
  for (size_t d = 0; d < index.size(); ++d) {
    int64_t at = EvalInt(index[d]);
    // A literal that is negative counts from the end.
    if (at < 0 && index[d].kind() == NodeKind::kConst) at += EvalInt(buffer->shape[d]);
    out.push_back(at);
  }
  return out;
}

bool Machine::InRange(const Buffer& buffer, const std::vector<int64_t>& index) {
  for (size_t d = 0; d < index.size(); ++d) {
    const int64_t extent = EvalInt(buffer->shape[d]);
    if (index[d] >= 0 && index[d] < extent) continue;
    if (buffer->space() == Space::kGlobal) return false;
    Refuse("IndexError", "index " + std::to_string(index[d]) + " of dimension " +
                             std::to_string(d) + " is outside `" + std::string(buffer->name) +
                             "`, whose extent is " + std::to_string(extent));
  }
  return true;
}

// The first bit of an element, counted from the storage's start.
int64_t Machine::BitOf(const Buffer& buffer, const std::vector<int64_t>& index) {
  int64_t at = 0;
  if (buffer->strides.empty()) {
    for (size_t d = 0; d < index.size(); ++d) at = at * EvalInt(buffer->shape[d]) + index[d];
  } else {
    for (size_t d = 0; d < index.size(); ++d) at += EvalInt(buffer->strides[d]) * index[d];
  }
  if (buffer->offset.defined()) at += EvalInt(buffer->offset);
  return at * buffer->dtype.bits;
}

// The bytes of the running thread, and where its copy starts in `own`.
uint8_t* Machine::CopyOf(Memory& memory, size_t* at) {
  *at = 0;
  if (!memory.by_thread || memory.same) return memory.data;
  if (point_ != 0) {
    Refuse(
        "NotImplementedError",
        "a point of T.Parallel reads memory that differs among the threads: its value depends on "
        "the thread that runs the point");
  }
  varies_ = true;
  *at = lane_ * static_cast<size_t>(memory.bytes);
  return memory.data + *at;
}

Value Machine::ReadElement(const Buffer& buffer, const std::vector<int64_t>& index) {
  Memory& memory = MemoryOf(buffer);
  size_t copy;
  const uint8_t* data = CopyOf(memory, &copy);
  const int64_t bit = BitOf(buffer, index), bits = buffer->dtype.bits;
  const int64_t first = bit / 8, count = (bits + 7) / 8;
  if (first < 0 || first + count > memory.bytes) {
    Refuse("IndexError", "an element of `" + std::string(buffer->name) +
                             "` lies outside the memory that it is a view of");
  }
  uint64_t value = 0;
  for (int64_t k = 0; k < count; ++k) {
    if (!memory.written.empty() && memory.written[copy + static_cast<size_t>(first + k)] == 0) {
      std::string at;
      for (int64_t i : index) at += (at.empty() ? "" : ", ") + std::to_string(i);
      Refuse("ValueError", std::string(buffer->name) + "[" + at + "] is read before it is written");
    }
    value |= static_cast<uint64_t>(data[first + k]) << (8 * k);
  }
  if (bits < 8) value = value >> (bit % 8) & ((uint64_t{1} << bits) - 1);
  return FromBits(value, buffer->dtype);
}

void Machine::WriteElement(const Buffer& buffer, const std::vector<int64_t>& index, Value v) {
  Memory& memory = MemoryOf(buffer);
  memory.touched = point_;
  size_t copy;
  uint8_t* data = CopyOf(memory, &copy);
  const int64_t bit = BitOf(buffer, index), bits = buffer->dtype.bits;
  const int64_t first = bit / 8, count = (bits + 7) / 8;
  if (first < 0 || first + count > memory.bytes) {
    Refuse("IndexError", "an element of `" + std::string(buffer->name) +
                             "` lies outside the memory that it is a view of");
  }
  const uint64_t value = ToBits(v, buffer->dtype);
  for (int64_t k = 0; k < count; ++k) {
    if (!memory.written.empty()) memory.written[copy + static_cast<size_t>(first + k)] = 1;
    if (bits >= 8) {
      data[first + k] = static_cast<uint8_t>(value >> (8 * k));
      continue;
    }
    const auto mask = static_cast<uint8_t>(((1U << bits) - 1) << (bit % 8));
    data[first] = static_cast<uint8_t>((data[first] & ~mask) | (value << (bit % 8) & mask));
  }
}

// What a global load out of range gives.
Value Machine::Outside(const Buffer& buffer, const Expr& other) {
  if (other.defined()) return CastValue(Eval(other), other.dtype(), buffer->dtype);
  if (kernel_ != nullptr) {
    for (size_t i = 0; i < kernel_->safe_buffers.size(); ++i) {
      if (!kernel_->safe_buffers[i]->storage.same_as(buffer->storage)) continue;
      const Expr& safe = kernel_->safe_values[i];
      return CastValue(Eval(safe), safe.dtype(), buffer->dtype);
    }
  }
  return Value();
}

std::vector<int64_t> Machine::Extents(const Region& r) {
  std::vector<int64_t> out;
  for (const Expr& e : r->extent) out.push_back(EvalInt(e));
  return out;
}

Real Machine::Read(const Region& r, const std::vector<int64_t>& offset) {
  std::vector<int64_t> index = EvalIndex(r->buffer, r->begin);
  for (size_t d = 0; d < index.size(); ++d) index[d] += offset[d];
  const Value v =
      InRange(r->buffer, index) ? ReadElement(r->buffer, index) : Outside(r->buffer, r->other);
  return ToReal(v, r->buffer->dtype);
}

void Machine::Write(const Region& r, const std::vector<int64_t>& offset, Real value) {
  std::vector<int64_t> index = EvalIndex(r->buffer, r->begin);
  for (size_t d = 0; d < index.size(); ++d) index[d] += offset[d];
  if (InRange(r->buffer, index)) {
    WriteElement(r->buffer, index, FromReal(value, r->buffer->dtype));
  }
}

Real Machine::Scalar(const Expr& e) {
  return ToReal(Eval(e), e.dtype());
}

}  // namespace tilescale::analysis
