// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <string>
#include <vector>

namespace tilescale::runtime {

/// All device headers, read once in a process: what NVRTC compiles against is what the digest in
/// the cache key was taken of, even if files change meanwhile.
struct HeaderSet {
  std::vector<std::string> names;  // as in #include <...>, sorted
  std::vector<std::string> texts;
  std::string digest;
};

const HeaderSet& Headers();

}  // namespace tilescale::runtime
