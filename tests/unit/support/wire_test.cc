// SPDX-License-Identifier: MIT
#include "support/wire.h"

#include "support/diagnostics.h"

#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

namespace tilescale {
namespace {

TEST(Wire, PacksAndUnpacks) {
  Packer packer;
  packer.Put(uint8_t{7}).Put(std::string("a\0b", 3)).Put(-5L).Put("").Put(2.5);
  Unpacker unpacker(packer.bytes());
  EXPECT_EQ(unpacker.Get<uint8_t>(), 7);
  EXPECT_EQ(unpacker.Get<std::string>(), std::string("a\0b", 3));
  EXPECT_EQ(unpacker.Get<long>(), -5);
  EXPECT_EQ(unpacker.Get<std::string>(), "");
  EXPECT_EQ(unpacker.Get<double>(), 2.5);
  EXPECT_THROW(unpacker.Get<char>(), Diag);
}

TEST(Wire, AMessageThatEndsEarlyIsNamed) {
  Packer packer;
  packer.Put(uint64_t{1000});  // the length of a text that is not there
  Unpacker unpacker(packer.bytes());
  try {
    unpacker.Get<std::string>();
    FAIL();
  } catch (const Diag& error) {
    EXPECT_EQ(error.type(), "BootstrapError");
    EXPECT_STREQ(error.what(), "a message of another process ends after 8 bytes");
  }
}

// Messages and an open file go over a Unix socket; messages over TCP, at a port that is free.
TEST(Wire, GoesOverSockets) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("wire" + std::to_string(getpid()))).string();
  for (const std::string& address : {"unix:" + path, std::string("tcp:127.0.0.1:0")}) {
    Listener listener(address);
    const bool local = address[0] == 'u';
    std::thread other([&] {
      Connection connection = Connect(listener.address(), 5000);
      std::string heard;
      ASSERT_TRUE(connection.Receive(&heard));
      ASSERT_TRUE(connection.Send(heard + heard));
      if (!local) return;
      const int file = open("/proc/self/exe", O_RDONLY);
      ASSERT_TRUE(connection.SendDescriptor(file));
      close(file);
    });
    Connection connection = listener.Accept();
    const std::string said(100000, 'x');
    ASSERT_TRUE(connection.Send(said));
    std::string heard;
    ASSERT_TRUE(connection.Receive(&heard));
    EXPECT_EQ(heard, said + said);
    if (local) {
      const int file = connection.ReceiveDescriptor();
      char magic[4] = {};
      EXPECT_EQ(read(file, magic, 4), 4);
      EXPECT_EQ(std::string(magic + 1, 3), "ELF");
      close(file);
    }
    other.join();
    EXPECT_FALSE(connection.Receive(&heard)) << "the other end is gone";
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Wire, SaysWhatIsWrongWithAnAddress) {
  const auto error_of = [](const auto& f) -> std::string {
    try {
      f();
      return "no error";
    } catch (const Diag& error) {
      return error.what();
    }
  };
  Listener taken("tcp:127.0.0.1:0");
  EXPECT_EQ(error_of([&] { Listener again(taken.address()); }),
            "cannot listen on " + taken.address() +
                ": Address already in use\nhelp: choose another port with MASTER_PORT");
  EXPECT_EQ(error_of([] { Listener odd("udp:1"); }),
            "an address is unix:<path> or tcp:<host>:<port>, got 'udp:1'");
  EXPECT_EQ(
      error_of([] { Connect("unix:/nowhere/at/all", 0); }),
      "nobody answers at unix:/nowhere/at/all: No such file or directory for 0 s\nhelp: start "
      "all ranks, with the same address");
  EXPECT_EQ(taken.Accept(10).descriptor(), -1) << "nobody comes";
}

// Who comes when the process has no descriptor left waits, and the listener goes on.
TEST(Wire, AcceptsOnceADescriptorIsFree) {
  Listener listener("tcp:127.0.0.1:0");
  Connection other = Connect(listener.address(), 5000);
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const int last = dup(0);
  rlimit none = limit;
  none.rlim_cur = static_cast<rlim_t>(last) + 1;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  std::thread frees([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    close(last);
  });
  EXPECT_GE(listener.Accept().descriptor(), 0);
  frees.join();
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace
}  // namespace tilescale
