// SPDX-License-Identifier: MIT
#include "runtime/symm/coordinator.h"

#include "support/build_info.h"
#include "support/diagnostics.h"

#include <algorithm>
#include <chrono>
#include <unistd.h>

namespace tilescale::runtime {
namespace {

constexpr int64_t kBootstrapMs = 120000;

enum class Request : uint8_t { kHello, kAllocate, kFree, kSegment, kExport, kImport, kLeave };

std::string Text(const std::string& name, int64_t bytes) {
  return "`" + name + "` of " + std::to_string(bytes) + " bytes";
}

std::string Gone(int rank) {
  return "rank " + std::to_string(rank) +
         " has ended while others need its memory; its own output says why";
}

void RequireAlike(const std::string& build, int rank, int ranks, int expected) {
  if (build != BuildId()) {
    throw Diag({}, "BootstrapError") << "rank " << rank << " runs another build of the library"
                                     << Help("install one version for all ranks");
  }
  if (ranks != expected || rank < 0 || rank >= ranks) {
    throw Diag({}, "BootstrapError") << "rank " << rank << " says that there are " << ranks
                                     << " ranks, rank 0 says " << expected;
  }
}

Packer Failure(const Diag& error) {
  Packer answer;
  answer.Put(false).Put(error.type()).Put(error.what());
  return answer;
}

Unpacker Checked(std::string bytes) {
  Unpacker answer(std::move(bytes));
  if (answer.Get<bool>()) return answer;
  std::string type = answer.Get<std::string>();
  throw Diag({}, std::move(type)) << answer.Get<std::string>();
}

constexpr const char* kBooksGone = "rank 0, which keeps the symmetric heap's books, has ended";

// The coordinator listened before anyone was told where.
Connection Reach(const std::string& address) {
  try {
    return Connect(address, 0);
  } catch (const Diag&) {
    throw Diag({}, "BootstrapError") << kBooksGone << Help("its own output says why");
  }
}

}  // namespace

std::string Meet(const std::string& address, int rank, int ranks, const std::string& said) {
  if (rank != 0) {
    Connection connection = Connect(address, kBootstrapMs);
    Packer ask;
    ask.Put(BuildId()).Put(rank).Put(ranks);
    std::string bytes;
    if (!connection.Send(ask.bytes()) || !connection.Receive(&bytes)) {
      throw Diag({}, "BootstrapError") << "rank 0 at " << address << " has ended";
    }
    return Checked(std::move(bytes)).Get<std::string>();
  }
  Listener listener(address);
  for (int met = 1; met < ranks; ++met) {
    Connection connection = listener.Accept(kBootstrapMs);
    std::string bytes;
    if (connection.descriptor() < 0 || !connection.Receive(&bytes)) {
      throw Diag({}, "BootstrapError")
          << "only " << met << " of " << ranks << " ranks came to " << address << " within "
          << kBootstrapMs / 1000 << " s" << Help("start all ranks, with the same address");
    }
    Unpacker ask(std::move(bytes));
    try {
      const auto build = ask.Get<std::string>();
      const int other = ask.Get<int>();
      RequireAlike(build, other, ask.Get<int>(), ranks);
    } catch (const Diag& error) {
      connection.Send(Failure(error).bytes());
      throw;
    }
    Packer answer;
    answer.Put(true).Put(said);
    connection.Send(answer.bytes());
  }
  return said;
}

Coordinator::Coordinator(const std::string& address, int ranks)
    : ranks_(ranks), listener_(address), accepting_([this] { Accept(); }) {}

Coordinator::~Coordinator() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    for (Client& c : clients_) c.connection.Shutdown();
  }
  changed_.notify_all();
  listener_.Shutdown();
  accepting_.join();
  for (Client& c : clients_) c.thread.join();
  for (const auto& [key, made] : exports_) {
    if (made.descriptor >= 0) close(made.descriptor);
  }
}

void Coordinator::Accept() {
  for (;;) {
    Connection connection = listener_.Accept();
    const std::lock_guard lock(mutex_);
    if (ending_ || connection.descriptor() < 0) return;
    Client& client = clients_.emplace_back();
    client.connection = std::move(connection);
    client.thread = std::thread([this, &client] { Serve(&client); });
  }
}

void Coordinator::Serve(Client* client) {
  std::string bytes;
  while (client->connection.Receive(&bytes)) {
    Packer answer;
    int descriptor = -1;
    try {
      Unpacker ask(std::move(bytes));
      const auto request = ask.Get<Request>();
      answer.Put(true);
      switch (request) {
        case Request::kHello:
          Hello(client, ask);
          break;
        case Request::kAllocate:
          Allocate(client->rank, ask, &answer);
          break;
        case Request::kFree:
          Free(ask);
          break;
        case Request::kSegment: {
          const std::lock_guard lock(mutex_);
          CoverWithSegments();
          answer.Put(segments_.at(static_cast<size_t>(ask.Get<int64_t>())));
          break;
        }
        case Request::kExport: {
          const auto segment = ask.Get<int64_t>();
          const bool file = ask.Get<bool>();
          runtime::Coordinator::Export made;
          made.handle = ask.Get<std::string>();
          if (file) made.descriptor = client->connection.ReceiveDescriptor();
          const std::lock_guard lock(mutex_);
          exports_[{segment, client->rank}] = made;
          changed_.notify_all();
          break;
        }
        case Request::kImport: {
          const auto segment = ask.Get<int64_t>();
          const auto found = WaitForExport(segment, ask.Get<int>());
          answer.Put(found.descriptor >= 0).Put(found.handle);
          descriptor = found.descriptor;
          break;
        }
        case Request::kLeave:
          Leave(client, false);
          break;
      }
    } catch (const Diag& error) {
      answer = Failure(error);
    } catch (const std::exception& error) {
      answer = Failure(Diag({}, "RuntimeError") << error.what());
    }
    if (!client->connection.Send(answer.bytes())) break;
    if (descriptor >= 0 && !client->connection.SendDescriptor(descriptor)) break;
  }
  Leave(client, true);
}

void Coordinator::Leave(Client* client, bool dead) {
  const std::lock_guard lock(mutex_);
  if (client->rank < 0 || ending_) return;
  if (dead && death_.empty()) death_ = Gone(client->rank);
  left_.insert(client->rank);
  client->rank = -1;
  changed_.notify_all();
}

void Coordinator::Hello(Client* client, Unpacker& ask) {
  const auto build = ask.Get<std::string>();
  const int rank = ask.Get<int>();
  RequireAlike(build, rank, ask.Get<int>(), ranks_);
  const auto limit = ask.Get<int64_t>();
  const auto segment_bytes = ask.Get<int64_t>();
  const std::lock_guard lock(mutex_);
  if (limit_ < 0) {
    limit_ = limit;
    limit_rank_ = rank;
    arena_ = std::make_unique<Arena>(limit + kReserved);
    arena_->Allocate(kReserved);
  }
  if (limit != limit_) {
    throw Diag({}, "ValueError") << "the heap of rank " << rank << " has " << limit
                                 << " bytes, but that of rank " << limit_rank_ << " has " << limit_
                                 << Help("all ranks open the same heaps in the same order");
  }
  for (const Client& c : clients_) {
    if (c.rank == rank) {
      throw Diag({}, "BootstrapError") << "rank " << rank << " has joined already"
                                       << Help("give each process a rank of its own");
    }
  }
  segment_bytes_ = std::max(segment_bytes_, segment_bytes);
  client->rank = rank;
}

void Coordinator::Allocate(int rank, Unpacker& ask, Packer* answer) {
  const auto name = ask.Get<std::string>();
  const auto bytes = ask.Get<int64_t>();
  const std::lock_guard lock(mutex_);
  if (!death_.empty()) throw Diag({}, "RuntimeError") << death_;
  const size_t index = made_[rank];
  if (index == blocks_.size()) {
    const int64_t offset = arena_->Allocate(bytes);
    if (offset < 0) {
      throw Diag({}, "MemoryError")
          << Text(name, bytes) << " does not fit: the symmetric heap has " << limit_
          << " bytes on each rank, of which " << arena_->end() << " are used up to the last block"
          << Help("pass a larger size to get_allocator");
    }
    CoverWithSegments();
    blocks_.push_back({name, bytes, rank, {offset, static_cast<int64_t>(segments_.size())}, 0});
  }
  const Block& block = blocks_[index];
  if (block.bytes != bytes) {
    throw Diag({}, "ValueError") << "allocation " << index << " of rank " << rank << " is "
                                 << Text(name, bytes) << ", but that of rank " << block.first
                                 << " is " << Text(block.name, block.bytes)
                                 << Help("all ranks allocate the same sizes in the same order");
  }
  ++made_[rank];
  answer->Put(block.place);
}

// The last segment may reach beyond the heap's limit.
void Coordinator::CoverWithSegments() {
  while (mapped_ < arena_->end()) {
    const int64_t need = arena_->end() - mapped_;
    segments_.push_back((need + segment_bytes_ - 1) / segment_bytes_ * segment_bytes_);
    mapped_ += segments_.back();
  }
}

void Coordinator::Free(Unpacker& ask) {
  const auto offset = ask.Get<int64_t>();
  const std::lock_guard lock(mutex_);
  for (Block& block : blocks_) {
    if (block.place.offset != offset || block.freed == ranks_) continue;
    if (++block.freed == ranks_) arena_->Free(offset);
    return;
  }
}

Coordinator::Export Coordinator::WaitForExport(int64_t segment, int rank) {
  std::unique_lock lock(mutex_);
  const auto key = std::make_pair(segment, rank);
  const bool there = changed_.wait_for(lock, std::chrono::milliseconds(kBootstrapMs), [&] {
    return exports_.count(key) != 0 || !death_.empty() || left_.count(rank) != 0 || ending_;
  });
  if (const auto found = exports_.find(key); found != exports_.end()) return found->second;
  if (!death_.empty()) throw Diag({}, "RuntimeError") << death_;
  if (left_.count(rank) != 0) throw Diag({}, "RuntimeError") << Gone(rank);
  throw Diag({}, "TimeoutError") << "rank " << rank << " did not make its allocation "
                                 << (there ? "before the heap ended" : "within 120 s")
                                 << Help("all ranks allocate the same sizes in the same order");
}

CoordinatorClient::CoordinatorClient(const std::string& address, int rank, int ranks, int64_t limit,
                                     int64_t segment_bytes)
    : connection_(Reach(address)) {
  Ask(Packer()
          .Put(Request::kHello)
          .Put(BuildId())
          .Put(rank)
          .Put(ranks)
          .Put(limit)
          .Put(segment_bytes));
}

CoordinatorClient::~CoordinatorClient() {
  try {
    Ask(Packer().Put(Request::kLeave));
  } catch (const std::exception&) {  // the coordinator's process has ended before
  }
}

Unpacker CoordinatorClient::Ask(const Packer& request) {
  const std::lock_guard lock(mutex_);
  std::string bytes;
  if (!connection_.Send(request.bytes()) || !connection_.Receive(&bytes)) {
    throw Diag({}, "RuntimeError") << kBooksGone;
  }
  return Checked(std::move(bytes));
}

Placement CoordinatorClient::Allocate(const std::string& name, int64_t bytes) {
  return Ask(Packer().Put(Request::kAllocate).Put(name).Put(bytes)).Get<Placement>();
}

void CoordinatorClient::Free(int64_t offset) {
  Ask(Packer().Put(Request::kFree).Put(offset));
}

int64_t CoordinatorClient::SegmentBytes(int64_t segment) {
  return Ask(Packer().Put(Request::kSegment).Put(segment)).Get<int64_t>();
}

void CoordinatorClient::Export(int64_t segment, int descriptor, const std::string& handle) {
  const std::lock_guard lock(mutex_);
  Packer ask;
  ask.Put(Request::kExport).Put(segment).Put(descriptor >= 0).Put(handle);
  std::string bytes;
  const bool sent = connection_.Send(ask.bytes()) &&
                    (descriptor < 0 || connection_.SendDescriptor(descriptor)) &&
                    connection_.Receive(&bytes);
  if (!sent) throw Diag({}, "RuntimeError") << kBooksGone;
  Checked(std::move(bytes));
}

std::pair<int, std::string> CoordinatorClient::Import(int64_t segment, int rank) {
  const std::lock_guard lock(mutex_);
  Packer ask;
  ask.Put(Request::kImport).Put(segment).Put(rank);
  std::string bytes;
  if (!connection_.Send(ask.bytes()) || !connection_.Receive(&bytes)) {
    throw Diag({}, "RuntimeError") << kBooksGone;
  }
  Unpacker answer = Checked(std::move(bytes));
  const bool file = answer.Get<bool>();
  std::string handle = answer.Get<std::string>();
  return {file ? connection_.ReceiveDescriptor() : -1, std::move(handle)};
}

}  // namespace tilescale::runtime
