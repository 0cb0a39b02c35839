// SPDX-License-Identifier: MIT
// Kernel text to a shared object: by the host's C++ compiler, instrumented, against the twin
// headers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tilescale::sim {

struct CompileOutput {
  std::string binary;  // of a shared object; Machine::Load takes it
  std::string log;     // what the compiler said
};

// `name` is the text's file in diagnostics. Throws Diag("RuntimeError") with the compiler's
// messages, or when there is no compiler (naming the package to install).
CompileOutput CompileKernel(std::string_view text, std::string_view name = "kernel.cu",
                            const std::vector<std::string>& options = {});

// Identity of compiler, flags, twin headers and this library: keys a cache of binaries.
std::string CompilerId();

// Where the twin headers lie (TILESCALE_INCLUDE_DIR, beside the library, or the source tree);
// `folder` overrides what is found, for Python's package. Empty means: find it.
void SetIncludeFolders(std::vector<std::string> folders);

}  // namespace tilescale::sim
