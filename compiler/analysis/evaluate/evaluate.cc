// SPDX-License-Identifier: MIT
#include "compiler/analysis/evaluate/evaluate.h"

#include "compiler/analysis/evaluate/machine.h"
#include "compiler/ir/diag.h"
#include "support/ffi_boundary.h"

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/reflection/registry.h>

namespace tilescale::analysis {

using namespace ir;  // NOLINT

namespace {

[[noreturn]] void BadArgument(const ParamObj* param, const std::string& why) {
  Raise("ValueError", "evaluate: argument `", std::string(param->name), "` ", why);
}

ffi::Tensor TensorOf(const ParamObj* param, const ffi::Any& given) {
  auto tensor = given.try_cast<ffi::Tensor>();
  if (!tensor.has_value()) BadArgument(param, "must be a tensor, got " + given.GetTypeKey());
  if (tensor->device().device_type != kDLCPU) BadArgument(param, "must be in host memory");
  const DataType want = param->buffer->dtype, got = tensor->dtype();
  const bool packed = want.bits < 8 && got.bits == 8;
  if ((want.bits != got.bits && !packed) || (IsFloat(want) != IsFloat(got) && want.bits > 8)) {
    BadArgument(param, "must be " + LanguageName(want) + ", got " + LanguageName(got));
  }
  if (tensor->ndim() != param->buffer->ndim()) {
    BadArgument(param, "must have " + std::to_string(param->buffer->ndim()) + " dimensions, got " +
                           std::to_string(tensor->ndim()));
  }
  return *tensor;
}

// Strides in elements; those of a dense tensor may be left out.
std::vector<int64_t> StridesOf(const ffi::Tensor& tensor) {
  std::vector<int64_t> out(static_cast<size_t>(tensor.ndim()));
  int64_t dense = 1;
  for (size_t d = out.size(); d-- > 0;) {
    const auto dim = static_cast<int64_t>(d);
    out[d] = tensor.strides().size() == out.size() ? tensor.stride(dim) : dense;
    dense *= tensor.size(dim);
  }
  return out;
}

}  // namespace

void Machine::Bind(const Func& f, const ffi::Array<ffi::Any>& inputs) {
  if (inputs.size() != f->params.size()) {
    Raise("TypeError", "evaluate: `", std::string(f->name), "` has ", f->params.size(),
          " parameters, got ", inputs.size(), " arguments");
  }
  // A name that a shape or stride consists of is bound by the first argument that has it.
  auto match = [&](const ParamObj* param, const Expr& declared, int64_t got, const char* what,
                   size_t d) {
    const auto* var = declared.as<VarObj>();
    if (var != nullptr && env_.count(var) == 0) {
      env_[var] = {true, {Value{got, 0}}};
    } else if (const int64_t want = EvalInt(declared); want != got) {
      BadArgument(param, std::string("has ") + what + " " + std::to_string(got) + " in dimension " +
                             std::to_string(d) + ", expected " + std::to_string(want));
    }
  };
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ParamObj* param = f->params[i].get();
    if (param->param() == ParamKind::kPointer)
      BadArgument(param, "is a pointer, which has no extent");
    if (param->param() == ParamKind::kScalar) {
      const DataType t = param->var->dtype;
      Value v;
      if (auto number = inputs[i].try_cast<double>(); IsFloat(t) && number.has_value()) {
        v = FromReal(*number, t);
      } else if (auto integer = inputs[i].try_cast<int64_t>(); integer.has_value()) {
        v = FromReal(*integer, t);
      } else {
        BadArgument(param, "must be a number, got " + inputs[i].GetTypeKey());
      }
      env_[param->var.get()] = {true, {v}};
    }
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ParamObj* param = f->params[i].get();
    if (param->param() != ParamKind::kTensor) continue;
    const ffi::Tensor tensor = TensorOf(param, inputs[i]);
    std::vector<int64_t> strides = StridesOf(tensor);
    const Buffer& buffer = param->buffer;
    std::vector<int64_t> shape(tensor.shape().begin(), tensor.shape().end());
    if (const int64_t each = tensor.dtype().bits / buffer->dtype.bits; each > 1) {
      shape.back() *= each;
      for (size_t d = 0; d + 1 < strides.size(); ++d) strides[d] *= each;
    }
    int64_t reach = 1, dense = 1;
    for (size_t d = strides.size(); d-- > 0;) {
      match(param, buffer->shape[d], shape[d], "extent", d);
      if (!buffer->strides.empty()) {
        match(param, buffer->strides[d], strides[d], "stride", d);
      } else if (shape[d] != 1 && strides[d] != dense) {
        BadArgument(param, "must be contiguous");
      }
      dense *= shape[d];
      reach += shape[d] == 0 ? -reach : (shape[d] - 1) * strides[d];
    }
    Memory& memory = memories_[buffer->storage.get()];
    memory.data = static_cast<uint8_t*>(tensor.data_ptr());
    memory.bytes = (std::max<int64_t>(reach, 0) * buffer->dtype.bits + 7) / 8;
  }
}

void Evaluate(const Func& f, const ffi::Array<ffi::Any>& inputs) {
  if (f->stage() != Stage::kTile) {
    Raise("ValueError", "evaluate takes a program at the tile stage, `", std::string(f->name),
          "` is at the ", StageName(f->stage()), " stage");
  }
  Machine machine;
  try {
    machine.Bind(f, inputs);
    machine.RunHost(f->body);
  } catch (const Refusal& refusal) {
    Raise(refusal.kind, "evaluate: ", refusal.text);
  }
}

namespace {

void EvaluateForPython(Func f, ffi::Array<ffi::Any> inputs) {
  Evaluate(f, inputs);
}

const bool kRegistered = [] {
  ffi::reflection::GlobalDef().def("tilescale.evaluate", Guarded(&EvaluateForPython));
  return true;
}();

}  // namespace

}  // namespace tilescale::analysis
