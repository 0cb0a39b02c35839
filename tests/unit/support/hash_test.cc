// SPDX-License-Identifier: MIT
#include "support/hash.h"

#include <gtest/gtest.h>
#include <string>

namespace tilescale {
namespace {

// Vectors of FIPS 180-4 (NIST's examples), and a million bytes.
TEST(Sha256, StandardVectors) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Sha256Hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesHashAsTheWhole) {
  const std::string text(257, 'q');
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(Sha256().Update(text.substr(0, cut)).Update(text.substr(cut)).HexDigest(),
              Sha256Hex(text));
  }
}

TEST(Sha256, FieldsAreKeptApart) {
  EXPECT_NE(Sha256().AddField("ab").AddField("c").HexDigest(),
            Sha256().AddField("a").AddField("bc").HexDigest());
  EXPECT_NE(Sha256().AddField("").HexDigest(), Sha256().HexDigest());
}

}  // namespace
}  // namespace tilescale
