// SPDX-License-Identifier: MIT
#include "sim/server.h"

#include "runtime/symm/heap.h"
#include "sim/local_machine.h"
#include "sim/memory.h"
#include "sim/remote.h"
#include "sim/world.h"
#include "support/build_info.h"
#include "support/diagnostics.h"

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace tilescale::sim {
namespace {

class Server;

// One process that is connected: its thread answers its requests.
class Client {
 public:
  Client(Server* server, Connection connection)
      : server_(server), connection_(std::move(connection)) {}

  void Serve();
  int descriptor() const { return connection_.descriptor(); }
  bool HungUp() const {
    pollfd end{descriptor(), POLLRDHUP, 0};
    return poll(&end, 1, 0) == 1;
  }

  int rank = -1;  // once it has joined
  int process = 0;
  bool ended = false;  // it left, or is known to have died

 private:
  void Heaps(Request request, Unpacker& ask, Packer* answer);
  void Memory(Request request, Unpacker& ask, Packer* answer);
  void Run(Request request, Unpacker& ask, Packer* answer);
  void Launch(Unpacker& ask);

  Server* server_;
  Connection connection_;
  std::map<u64, std::shared_ptr<KernelModule>> modules_;
  u64 next_module_ = 1;
};

// What the ranks of one program share.
class Server {
 public:
  void Accept(Listener* listener);
  void Watch();  // for ranks that die

  void Join(Client* client, Unpacker& ask, Packer* answer);
  // In order, or dead.
  void End(Client* client, bool dead);
  u64 OpenHeap(u32 rank, u64 limit);
  std::shared_ptr<runtime::SymmetricHeap> Heap(u64 index);
  void CloseHeap(u64 index);

 private:
  struct SharedHeap {
    std::shared_ptr<runtime::SymmetricHeap> heap;
    u64 limit = 0;
    u32 first = 0;   // the rank that opened it
    u32 closed = 0;  // by so many ranks
  };

  void EndLocked(Client* client, bool dead);  // under mutex_

  std::mutex mutex_;
  std::list<Client> clients_;
  std::map<u32, Client*> joined_;
  u32 ranks_ = 0;  // 0: no program runs
  u32 first_ = 0;  // the rank that joined first
  std::string program_;
  std::vector<SharedHeap> heaps_;
  std::map<u32, u64> opened_;  // by rank: how many
};

LocalMachine& TheMachine() {
  return static_cast<LocalMachine&>(Machine::Local());
}

void Server::Accept(Listener* listener) {
  for (;;) {
    Connection connection = listener->Accept();
    TS_CHECK(connection.descriptor() >= 0) << "the machine's address is closed";
    Client* client = nullptr;
    {
      const std::lock_guard lock(mutex_);
      client = &clients_.emplace_back(this, std::move(connection));
    }
    std::thread([this, client] {
      client->Serve();
      End(client, client->rank >= 0);
      const std::lock_guard lock(mutex_);
      clients_.remove_if([client](const Client& c) { return &c == client; });
    }).detach();
  }
}

// The thread of a client may be running the machine when the client dies.
void Server::Watch() {
  constexpr int kIntervalMs = 100;
  for (;;) {
    std::vector<pollfd> ends;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [rank, client] : joined_) {
        ends.push_back({client->descriptor(), POLLRDHUP, 0});
      }
    }
    poll(ends.data(), ends.size(), kIntervalMs);
    for (const pollfd& end : ends) {
      if (!(end.revents & (POLLRDHUP | POLLHUP | POLLERR))) continue;
      const std::lock_guard lock(mutex_);
      for (const auto& [rank, client] : joined_) {
        // Its own thread may have ended it meanwhile, and another have its descriptor.
        if (client->descriptor() != end.fd || !client->HungUp()) continue;
        EndLocked(client, true);
        break;  // which takes it out of joined_
      }
    }
    if (ends.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(kIntervalMs));
  }
}

void Server::Join(Client* client, Unpacker& ask, Packer* answer) {
  const auto build = ask.Get<std::string>();
  const auto rank = ask.Get<u32>();
  const auto ranks = ask.Get<u32>();
  const auto program = ask.Get<std::string>();
  const int process = ask.Get<int>();
  const std::string me = "rank " + std::to_string(rank);
  if (build != BuildId()) {
    throw Diag({}, "BootstrapError")
        << me << " runs another build of the library than the simulated machine"
        << Help("install one version for all ranks");
  }
  if (rank >= ranks) {
    throw Diag({}, "BootstrapError") << "there is no " << me << " among " << ranks << " ranks";
  }
  const std::lock_guard lock(mutex_);
  if (ranks_ == 0) {
    Machine& m = Machine::Local();
    Config config = WithKnobs({});
    config.ranks = ranks;
    m.Configure(config);
    OpenWorld(ranks);
    for (u32 r = 0; r < ranks; ++r) TheMachine().Expect(r);
    ranks_ = ranks;
    first_ = rank;
    program_ = program;
  }
  if (ranks != ranks_ || program != program_) {
    Diag error({}, "BootstrapError");
    error << me << " runs " << program << " with " << ranks << " ranks, but rank " << first_
          << " runs " << program_ << " with " << ranks_;
    error << Help("all ranks of a machine run one program with one number of ranks");
    throw error;
  }
  if (const auto other = joined_.find(rank); other != joined_.end()) {
    throw Diag({}, "BootstrapError")
        << me << " has joined already, as process " << other->second->process
        << Help("give each process a rank of its own");
  }
  joined_[rank] = client;
  client->rank = int(rank);
  client->process = process;
  const Config& config = Machine::Local().config();
  answer->Put(config.arch).Put(config.seed).Put(u64(arena.base())).Put(arena.bytes());
  answer->Put(arena.heap_start()).Put(arena.heap_stride());
}

void Server::End(Client* client, bool dead) {
  const std::lock_guard lock(mutex_);
  EndLocked(client, dead);
}

void Server::EndLocked(Client* client, bool dead) {
  if (client->rank < 0 || client->ended) return;
  client->ended = true;
  joined_.erase(u32(client->rank));
  TheMachine().Depart(u32(client->rank),
                      dead ? "rank " + std::to_string(client->rank) + " (process " +
                                 std::to_string(client->process) +
                                 ") has ended while others need it; its own output says why"
                           : "");
  if (!joined_.empty()) return;
  heaps_.clear();
  opened_.clear();
  ranks_ = 0;
  CloseWorld();
}

u64 Server::OpenHeap(u32 rank, u64 limit) {
  const std::lock_guard lock(mutex_);
  const u64 index = opened_[rank];
  if (index == heaps_.size()) {
    heaps_.push_back({runtime::OpenHeap("sim", {.ranks = int(ranks_), .limit = int64_t(limit)}),
                      limit, rank, 0});
  }
  const SharedHeap& heap = heaps_[index];
  if (heap.limit != limit) {
    throw Diag({}, "ValueError") << "heap " << index << " of rank " << rank << " has " << limit
                                 << " bytes, but that of rank " << heap.first << " has "
                                 << heap.limit
                                 << Help("all ranks open the same heaps in the same order");
  }
  ++opened_[rank];
  return index;
}

std::shared_ptr<runtime::SymmetricHeap> Server::Heap(u64 index) {
  const std::lock_guard lock(mutex_);
  TS_CHECK(index < heaps_.size()) << "heap " << index << " of " << heaps_.size();
  return heaps_[index].heap;
}

void Server::CloseHeap(u64 index) {
  const std::lock_guard lock(mutex_);
  TS_CHECK(index < heaps_.size()) << "heap " << index << " of " << heaps_.size();
  if (++heaps_[index].closed == ranks_) heaps_[index].heap->Close();
}

void Client::Serve() {
  std::string bytes;
  while (connection_.Receive(&bytes)) {
    Packer answer;
    int file = -1;
    try {
      Unpacker ask(std::move(bytes));
      const auto request = ask.Get<Request>();
      answer.Put(true);
      if (request == Request::kJoin) {
        server_->Join(this, ask, &answer);
        file = arena.file();
      } else if (request == Request::kLeave) {
        server_->End(this, false);
      } else if (rank < 0) {
        throw Diag({}, "BootstrapError") << "a process asks for the machine before it has joined";
      } else if (request <= Request::kHeapFree) {
        Heaps(request, ask, &answer);
      } else if (request <= Request::kMarkInitialized) {
        Memory(request, ask, &answer);
      } else {
        Run(request, ask, &answer);
      }
    } catch (const Diag& error) {
      answer = Packer().Put(false).Put(error.type()).Put(error.what());
    } catch (const std::exception& error) {
      answer = Packer().Put(false).Put("RuntimeError").Put(error.what());
    }
    if (!connection_.Send(answer.bytes())) return;
    if (file >= 0 && !connection_.SendDescriptor(file)) return;
  }
}

void Client::Heaps(Request request, Unpacker& ask, Packer* answer) {
  const u32 me = u32(rank);
  if (request == Request::kOpenHeap) {
    const u64 opened = server_->OpenHeap(me, ask.Get<u64>());
    answer->Put(opened).Put(u64(server_->Heap(opened)->BarrierWords(rank)));
    return;
  }
  const auto index = ask.Get<u64>();
  if (request == Request::kCloseHeap) return server_->CloseHeap(index);
  const auto heap = server_->Heap(index);
  if (request == Request::kHeapFree) {
    heap->Free(rank, reinterpret_cast<void*>(ask.Get<u64>()));
    return;
  }
  runtime::HeapBlock block;
  block.name = ask.Get<std::string>();
  block.bytes = ask.Get<int64_t>();
  block.dtype = ask.Get<DLDataType>();
  answer->Put(u64(heap->Allocate(rank, block)));
}

void Client::Memory(Request request, Unpacker& ask, Packer* answer) {
  Machine& m = Machine::Local();
  auto address = [&] { return reinterpret_cast<void*>(ask.Get<u64>()); };
  switch (request) {
    case Request::kAllocate: {
      const auto on = ask.Get<u32>();
      const auto bytes = ask.Get<u64>();
      answer->Put(u64(m.Allocate(on, bytes, GetInfo(&ask))));
      break;
    }
    case Request::kFree:
      m.Free(address());
      break;
    case Request::kFreeAsync: {
      const auto on = ask.Get<u32>();
      const auto stream = ask.Get<u64>();
      m.FreeAsync(on, stream, address());
      break;
    }
    case Request::kBytesFrom:
      answer->Put(m.BytesFrom(address()));
      break;
    case Request::kSetName: {
      void* p = address();
      const auto name = ask.Get<std::string>();
      const auto type = ask.Get<std::string>();
      m.SetName(p, name, type, ask.Get<u32>());
      break;
    }
    default: {
      void* p = address();
      m.MarkInitialized(p, ask.Get<u64>());
    }
  }
}

void Client::Launch(Unpacker& ask) {
  LaunchInfo l;
  l.rank = ask.Get<u32>();
  l.stream = ask.Get<u64>();
  l.module = modules_.at(ask.Get<u64>());
  l.entry = ask.Get<std::string>();
  l.name = ask.Get<std::string>();
  l.arch = ask.Get<std::string>();
  l.grid = ask.Get<Dim3>();
  l.block = ask.Get<Dim3>();
  l.cluster = ask.Get<Dim3>();
  l.shared_bytes = ask.Get<u64>();
  l.gang = ask.Get<bool>();
  for (auto n = ask.Get<u64>(); n > 0; --n) {
    const auto bytes = ask.Get<std::string>();
    l.args.emplace_back(bytes.begin(), bytes.end());
  }
  Machine::Local().Launch(std::move(l));
}

void Client::Run(Request request, Unpacker& ask, Packer* answer) {
  Machine& m = Machine::Local();
  switch (request) {
    case Request::kLoad:
      modules_[next_module_] = m.Load(ask.Get<std::string>());
      answer->Put(next_module_++);
      break;
    case Request::kUnload:
      modules_.erase(ask.Get<u64>());
      break;
    case Request::kRequire: {
      const auto& module = modules_.at(ask.Get<u64>());
      module->Require(ask.Get<std::string>());
      break;
    }
    case Request::kLaunch:
      Launch(ask);
      break;
    case Request::kRecordEvent: {
      const auto on = ask.Get<u32>();
      answer->Put(m.RecordEvent(on, ask.Get<u64>()));
      break;
    }
    case Request::kWaitEvent: {
      const auto on = ask.Get<u32>();
      const auto stream = ask.Get<u64>();
      m.WaitEvent(on, stream, ask.Get<u64>());
      break;
    }
    case Request::kEventSeconds:
      answer->Put(m.EventSeconds(ask.Get<u64>()));
      break;
    case Request::kDropEvent:
      m.DropEvent(ask.Get<u64>());
      break;
    case Request::kSynchronizeRank:
      PutReport(answer, m.SynchronizeRank(ask.Get<u32>()));
      break;
    case Request::kSynchronizeStream: {
      const auto on = ask.Get<u32>();
      PutReport(answer, m.Synchronize(on, ask.Get<u64>()));
      break;
    }
    case Request::kSynchronizeEvent:
      PutReport(answer, m.SynchronizeEvent(ask.Get<u64>()));
      break;
    case Request::kStatistics:
      answer->Put(m.TakeStatistics());
      break;
    default: {
      const std::vector<OlderValue> values = m.TakeOlderValues();
      answer->Put(u64{values.size()});
      for (const OlderValue& v : values) {
        answer->Put(v.place).Put(v.file).Put(v.line).Put(v.got).Put(v.newest).Put(v.rank);
      }
    }
  }
}

}  // namespace

void Serve(const std::string& address, const std::function<void()>& ready) {
  arena.MakeShared();
  Machine::Local();
  Listener listener(address);
  auto* server = new Server;  // for ever
  std::thread([server] { server->Watch(); }).detach();
  ready();
  for (;;) server->Accept(&listener);
}

}  // namespace tilescale::sim
