// SPDX-License-Identifier: MIT
#include "support/wire.h"

#include "support/diagnostics.h"

#include <cerrno>
#include <chrono>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace tilescale {
namespace {

// A longer one is not ours: somebody else speaks to the port.
constexpr uint64_t kMaxMessage = uint64_t{1} << 32;

bool WriteAll(int fd, const char* from, size_t bytes) {
  while (bytes > 0) {
    const ssize_t n = send(fd, from, bytes, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    from += n;
    bytes -= static_cast<size_t>(n);
  }
  return true;
}

bool ReadAll(int fd, char* to, size_t bytes) {
  while (bytes > 0) {
    const ssize_t n = recv(fd, to, bytes, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to += n;
    bytes -= static_cast<size_t>(n);
  }
  return true;
}

struct Address {
  sockaddr_storage where{};
  socklen_t bytes = 0;
  bool tcp = false;
};

Address Resolve(const std::string& text) {
  Address result;
  if (text.rfind("unix:", 0) == 0) {
    sockaddr_un place{};
    place.sun_family = AF_UNIX;
    const std::string path = text.substr(5);
    if (path.empty() || path.size() >= sizeof place.sun_path) {
      throw Diag({}, "BootstrapError") << "a socket's path has 1 to " << sizeof place.sun_path - 1
                                       << " bytes, got '" << path << "'";
    }
    std::memcpy(place.sun_path, path.data(), path.size());
    std::memcpy(&result.where, &place, sizeof place);
    result.bytes = sizeof place;
    return result;
  }
  const size_t colon = text.rfind(':');
  if (text.rfind("tcp:", 0) != 0 || colon < 4) {
    throw Diag({}, "BootstrapError")
        << "an address is unix:<path> or tcp:<host>:<port>, got '" << text << "'";
  }
  const std::string host = text.substr(4, colon - 4);
  const std::string port = text.substr(colon + 1);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0 || found == nullptr) {
    throw Diag({}, "BootstrapError") << "cannot find the host of '" << text << "'";
  }
  std::memcpy(&result.where, found->ai_addr, found->ai_addrlen);
  result.bytes = found->ai_addrlen;
  result.tcp = true;
  freeaddrinfo(found);
  return result;
}

int OpenSocket(const Address& address) {
  const int fd = socket(address.where.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw Diag({}, "BootstrapError") << "cannot make a socket: " << strerror(errno);
  if (address.tcp) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  }
  return fd;
}

}  // namespace

std::string_view Unpacker::Take(uint64_t count) {
  if (count > bytes_.size() - at_) {
    throw Diag({}, "BootstrapError")
        << "a message of another process ends after " << bytes_.size() << " bytes";
  }
  const auto part = std::string_view(bytes_).substr(at_, count);
  at_ += count;
  return part;
}

Connection::~Connection() {
  if (descriptor_ >= 0) close(descriptor_);
}

Connection::Connection(Connection&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

Connection& Connection::operator=(Connection&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

bool Connection::Send(std::string_view message) {
  const uint64_t bytes = message.size();
  std::string whole(reinterpret_cast<const char*>(&bytes), sizeof bytes);
  whole.append(message);
  return WriteAll(descriptor_, whole.data(), whole.size());
}

bool Connection::Receive(std::string* message) {
  uint64_t bytes = 0;
  if (!ReadAll(descriptor_, reinterpret_cast<char*>(&bytes), sizeof bytes)) return false;
  if (bytes > kMaxMessage) return false;
  message->resize(bytes);
  return ReadAll(descriptor_, message->data(), bytes);
}

bool Connection::SendDescriptor(int descriptor) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  return sendmsg(descriptor_, &message, MSG_NOSIGNAL) == 1;
}

int Connection::ReceiveDescriptor() {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n = 0;
  do {
    n = recvmsg(descriptor_, &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  const cmsghdr* header = n == 1 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return -1;
  int descriptor = -1;
  std::memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
  return descriptor;
}

void Connection::Shutdown() {
  if (descriptor_ >= 0) shutdown(descriptor_, SHUT_RDWR);
}

Listener::Listener(const std::string& address) : address_(address) {
  const Address place = Resolve(address);
  descriptor_ = OpenSocket(place);
  if (bind(descriptor_, reinterpret_cast<const sockaddr*>(&place.where), place.bytes) != 0 ||
      listen(descriptor_, 128) != 0) {
    const int error = errno;
    close(descriptor_);
    throw Diag({}, "BootstrapError")
        << "cannot listen on " << address << ": " << strerror(error)
        << Help(place.tcp ? "choose another port with MASTER_PORT" : "remove the file");
  }
  if (place.tcp && address_.substr(address_.rfind(':')) == ":0") {
    sockaddr_storage bound{};
    socklen_t bytes = sizeof bound;
    getsockname(descriptor_, reinterpret_cast<sockaddr*>(&bound), &bytes);
    char port[NI_MAXSERV] = {};
    getnameinfo(reinterpret_cast<const sockaddr*>(&bound), bytes, nullptr, 0, port, sizeof port,
                NI_NUMERICSERV);
    address_ = address_.substr(0, address_.rfind(':') + 1) + port;
  }
}

Listener::~Listener() {
  close(descriptor_);
  if (address_.rfind("unix:", 0) == 0) unlink(address_.c_str() + 5);
}

Connection Listener::Accept(int64_t timeout_ms) {
  constexpr int kRetryMs = 10;
  pollfd comes{descriptor_, POLLIN, 0};
  if (timeout_ms >= 0 && poll(&comes, 1, static_cast<int>(timeout_ms)) != 1) return Connection();
  for (;;) {
    const int fd = accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) return Connection(fd);
    switch (errno) {
      case EINTR:
      case ECONNABORTED:
        break;
      case EMFILE:  // who comes waits in the queue until a descriptor is free
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        poll(nullptr, 0, kRetryMs);
        break;
      default:
        return Connection();
    }
  }
}

void Listener::Shutdown() {
  shutdown(descriptor_, SHUT_RDWR);
}

Connection Connect(const std::string& address, int64_t timeout_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  const Address place = Resolve(address);
  for (;;) {
    Connection connection(OpenSocket(place));
    if (connect(connection.descriptor(), reinterpret_cast<const sockaddr*>(&place.where),
                place.bytes) == 0) {
      return connection;
    }
    const int error = errno;
    if (std::chrono::steady_clock::now() >= deadline) {
      throw Diag({}, "BootstrapError")
          << "nobody answers at " << address << ": " << strerror(error) << " for "
          << timeout_ms / 1000 << " s" << Help("start all ranks, with the same address");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace tilescale
