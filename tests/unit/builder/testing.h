// SPDX-License-Identifier: MIT
// What the tests of the builder share: short spellings of its calls, and errors as text.
#pragma once

#include "compiler/ir/builder.h"
#include "compiler/ir/text.h"
#include "compiler/ir/verify.h"

#include <tvm/ffi/cast.h>
#include <tvm/ffi/error.h>

#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tilescale::ir {

using List = ffi::Array<ffi::Any>;

inline ffi::Any Text(const std::string& s) {
  return ffi::String(s);
}
inline ffi::Any None() {
  return ffi::Any();
}

// "ValueError: text" of what `f` throws; "no error" when it returns.
inline std::string ErrorOf(const std::function<void()>& f) {
  try {
    f();
  } catch (const ffi::Error& e) {
    return e.kind() + ": " + e.message();
  } catch (const std::exception& e) {
    return std::string("std::exception: ") + e.what();
  }
  return "no error";
}

// The statements of the first kernel, as text without spans.
inline std::string BodyOf(const Func& f) {
  PrintOptions options;
  options.spans = false;
  std::string text = Print(f, options);
  size_t begin = text.find('\n', text.find("kernel @"));
  size_t end = text.rfind('}', text.rfind('}') - 1);
  return text.substr(begin + 1, text.rfind('\n', end) - begin);
}

// A function with tensors A and C of f32[64, 32] and one open kernel of 128 threads on a grid of 4.
struct KernelFixture {
  Builder b = MakeBuilder();
  Buffer A, C;
  Var bx, tx;

  explicit KernelFixture(int64_t threads = 128) {
    b->BeginFunc("main");
    A = Tensor("A", {int64_t{64}, int64_t{32}});
    C = Tensor("C", {int64_t{64}, int64_t{32}});
    auto [blocks, lanes] =
        b->BeginKernel({int64_t{4}}, {threads, int64_t{1}, int64_t{1}}, {}, "", {"bx"});
    bx = blocks[0];
    tx = lanes[0];
  }
  Buffer Tensor(const std::string& name, const Values& shape, DataType dtype = Float(32)) {
    return b->AddParam("tensor", name, dtype, shape, None(), "global", false).as_or_throw<Buffer>();
  }
  Buffer Alloc(const std::string& name, std::string_view scope, const Values& shape,
               DataType dtype = Float(32), const Values& options = {}) {
    Buffer buffer = b->AddAlloc(scope, dtype, shape, options);
    b->SetName(buffer, name);
    return buffer;
  }
  Var For(const std::string& name, int64_t extent) {
    return b->BeginFor("serial", int64_t{0}, extent, int64_t{1}, {List()}, name);
  }
  Func Finish() {
    b->End();
    return b->EndFunc();
  }
  std::string Body() { return BodyOf(Finish()); }
};

}  // namespace tilescale::ir
