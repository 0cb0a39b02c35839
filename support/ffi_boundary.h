// SPDX-License-Identifier: MIT
// The one place where our exceptions become tvm-ffi's. Every function registered for Python goes
// through it:
//
//   refl::GlobalDef().def("tilescale.compile", Guarded(&Compile));
#pragma once

#include "support/diagnostics.h"

#include <tvm/ffi/error.h>

#include <utility>

namespace tilescale {

// Calls `f`; a Diag leaves as an error of its type, an InternalError as "InternalError".
template <class F>
decltype(auto) CallGuarded(F&& f) {
  try {
    return std::forward<F>(f)();
  } catch (const Diag& diag) {
    throw tvm::ffi::Error(diag.type(), diag.what(), "");
  } catch (const InternalError& error) {
    throw tvm::ffi::Error("InternalError", error.what(), "");
  }
}

template <class R, class... Args>
auto Guarded(R (*f)(Args...)) {
  return [f](Args... args) -> R {
    return CallGuarded([&]() -> R { return f(std::forward<Args>(args)...); });
  };
}

}  // namespace tilescale
