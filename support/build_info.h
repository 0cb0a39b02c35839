// SPDX-License-Identifier: MIT
// Who we are: the version, and a name for exactly this build of the library.
#pragma once

#include <string>

namespace tilescale {

// "0.1.0"
std::string Version();

// Hexadecimal build id of the binary that holds this function: the linker's hash of its content.
// Two builds of the same sources by the same tools agree; any other pair differs. Keys the kernel
// cache.
const std::string& BuildId();

}  // namespace tilescale
