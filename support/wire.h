// SPDX-License-Identifier: MIT
// Messages between processes of one program: bytes with a length in front, over a socket. Both ends
// are the same build on hosts of one byte order, so numbers are their own bytes.
//
//   Packer ask;
//   ask.Put(Op::kLoad).Put(binary);
//   connection.Send(ask.bytes());
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace tilescale {

class Packer {
 public:
  template <class T>
  Packer& Put(const T& value) {
    if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      const std::string_view text = value;
      Put(uint64_t{text.size()});
      bytes_.append(text);
    } else {
      static_assert(std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>);
      bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Throws Diag (BootstrapError) where a message is shorter than what is asked of it.
class Unpacker {
 public:
  explicit Unpacker(std::string bytes) : bytes_(std::move(bytes)) {}

  template <class T>
  T Get() {
    if constexpr (std::is_same_v<T, std::string>) {
      return std::string(Take(Get<uint64_t>()));
    } else {
      static_assert(std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>);
      T value;
      std::memcpy(&value, Take(sizeof value).data(), sizeof value);
      return value;
    }
  }

 private:
  std::string_view Take(uint64_t count);
  std::string bytes_;
  uint64_t at_ = 0;
};

// One end of a stream socket; closed when it goes.
class Connection {
 public:
  explicit Connection(int descriptor = -1) : descriptor_(descriptor) {}
  ~Connection();
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;

  int descriptor() const { return descriptor_; }
  // False if the other end is gone.
  bool Send(std::string_view message);
  bool Receive(std::string* message);
  // A descriptor of an open file, over a Unix socket; -1 if the other end is gone.
  bool SendDescriptor(int descriptor);
  int ReceiveDescriptor();
  // Ends both directions: a Receive of another thread returns.
  void Shutdown();

 private:
  int descriptor_;
};

// "unix:/path" or "tcp:host:port". Throw Diag (BootstrapError): the address is in use; nobody
// answers for `timeout_ms`.
class Listener {
 public:
  explicit Listener(const std::string& address);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // The address with the port that the system chose, if it was 0.
  const std::string& address() const { return address_; }
  int descriptor() const { return descriptor_; }
  // An invalid Connection once Shutdown was called, or when nobody comes for `timeout_ms` (-1: any
  // time).
  Connection Accept(int64_t timeout_ms = -1);
  void Shutdown();

 private:
  std::string address_;
  int descriptor_ = -1;
};

Connection Connect(const std::string& address, int64_t timeout_ms);

}  // namespace tilescale
