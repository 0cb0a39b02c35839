// SPDX-License-Identifier: MIT
// A content hash for names of cached things: SHA-256, so that equal names mean equal content on any
// machine and no one can make two contents meet.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace tilescale {

class Sha256 {
 public:
  // Hashes the bytes as they are, as the standard says.
  Sha256& Update(std::string_view bytes);
  // Hashes length and bytes: fields "ab", "c" and "a", "bc" differ.
  Sha256& AddField(std::string_view bytes);
  // 64 hexadecimal digits. Ends the object's use.
  std::string HexDigest();

 private:
  void Block(const uint8_t* bytes);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> buffer_{};
  uint64_t length_ = 0;
};

std::string Sha256Hex(std::string_view bytes);

}  // namespace tilescale
