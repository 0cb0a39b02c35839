// SPDX-License-Identifier: MIT
#pragma once

/// Sizes of the launcher's stack buffers. Artifact::Validate enforces them, so the launcher never
/// tests them on a call.
namespace tilescale::runtime {

inline constexpr int kMaxParams = 128;
inline constexpr int kMaxSymbols = 128;
inline constexpr int kMaxKernelArgs = 256;
inline constexpr int kMaxWorkspaces = 16;
inline constexpr int kMaxRank = 16;

}  // namespace tilescale::runtime
