// SPDX-License-Identifier: MIT
#pragma once

#include "runtime/symm/arena.h"
#include "support/wire.h"

#include <condition_variable>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

/// How the processes of one heap agree: where blocks are, and whose memory is behind them.
namespace tilescale::runtime {

/// What rank 0 says, given to all ranks: rank 0 listens at the address ("tcp:host:port"), the
/// others ask there. Throws Diag (BootstrapError): the port is in use; a rank does not come in
/// time; ranks of different builds or of different counts.
std::string Meet(const std::string& address, int rank, int ranks, const std::string& said);

/// Where a block is, and how many segments of memory it needs.
struct Placement {
  int64_t offset = 0;
  int64_t segments = 0;
};

/// Serves the ranks of one heap at a Unix socket, on threads of its own: one process has it (rank
/// 0's), all ranks talk to it, that one included. Ranks of one host only: files are passed.
class Coordinator {
 public:
  /// Bytes at the start of each rank's memory that are the heap's own.
  static constexpr int64_t kReserved = 2 * Arena::kAlign;

  /// Throws Diag (BootstrapError) if the address is in use.
  Coordinator(const std::string& address, int ranks);
  ~Coordinator();

  const std::string& address() const { return listener_.address(); }

 private:
  struct Client {
    Connection connection;
    int rank = -1;
    std::thread thread;
  };
  struct Block {
    std::string name;
    int64_t bytes = 0;
    int first = 0;  // the rank that made it
    Placement place;
    int freed = 0;
  };
  /// What one rank has put behind a segment: a file or a handle.
  struct Export {
    int descriptor = -1;
    std::string handle;
  };

  void Accept();
  void Serve(Client* client);
  void Hello(Client* client, Unpacker& ask);
  void Allocate(int rank, Unpacker& ask, Packer* answer);
  void Free(Unpacker& ask);
  void CoverWithSegments();
  Export WaitForExport(int64_t segment, int rank);
  void Leave(Client* client, bool dead);

  int ranks_;
  Listener listener_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  std::list<Client> clients_;
  int64_t limit_ = -1;  // of the heap, by the first rank
  int limit_rank_ = 0;
  std::unique_ptr<Arena> arena_;
  int64_t segment_bytes_ = 0;
  int64_t mapped_ = 0;
  std::vector<int64_t> segments_;  // sizes
  std::vector<Block> blocks_;
  std::map<int, size_t> made_;  // by rank
  std::map<std::pair<int64_t, int>, Export> exports_;
  std::string death_;   // of the first rank that has ended without leaving
  std::set<int> left_;  // in order
  std::thread accepting_;
};

/// A rank's end of a Coordinator. Throw the coordinator's errors.
class CoordinatorClient {
 public:
  CoordinatorClient(const std::string& address, int rank, int ranks, int64_t limit,
                    int64_t segment_bytes);
  /// Leaves in order.
  ~CoordinatorClient();

  Placement Allocate(const std::string& name, int64_t bytes);
  void Free(int64_t offset);
  int64_t SegmentBytes(int64_t segment);
  void Export(int64_t segment, int descriptor, const std::string& handle);
  /// Waits for the other rank's Export. Gives its file (the caller closes it) or its handle.
  std::pair<int, std::string> Import(int64_t segment, int rank);

 private:
  Unpacker Ask(const Packer& request);

  std::mutex mutex_;
  Connection connection_;
};

}  // namespace tilescale::runtime
