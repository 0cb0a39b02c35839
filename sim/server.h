// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>

namespace tilescale::sim {

// Owns the machine that ranks of other processes join (sim/remote.h), at a Unix socket's address.
// Never returns. When all ranks have left the machine begins anew, for the next program.
[[noreturn]] void Serve(const std::string& address, const std::function<void()>& ready);

}  // namespace tilescale::sim
