// SPDX-License-Identifier: MIT
// Symmetric memory: offsets, the collective ledger, and how the launcher finds a heap.
#include "runtime/symm/heap.h"

#include "runtime/symm/arena.h"
#include "tests/unit/runtime/call_fixture.h"

#include <cstdlib>
#include <map>
#include <random>

namespace tilescale::runtime {
namespace {

TEST(Arena, BlocksNeverMeetAndGapsJoin) {
  std::mt19937 random(std::random_device{}());
  Arena arena(1 << 20);
  std::map<int64_t, int64_t> live;
  for (int step = 0; step < 4000; ++step) {
    if (live.empty() || random() % 3 != 0) {
      const int64_t bytes = 1 + static_cast<int64_t>(random() % 5000);
      const int64_t at = arena.Allocate(bytes);
      if (at < 0) continue;
      ASSERT_EQ(at % Arena::kAlign, 0);
      ASSERT_GE(arena.SizeOf(at), bytes);
      ASSERT_LE(at + bytes, arena.capacity());
      const auto next = live.lower_bound(at);
      if (next != live.end()) {
        ASSERT_LE(at + bytes, next->first);
      }
      if (next != live.begin()) {
        const auto before = std::prev(next);
        ASSERT_LE(before->first + before->second, at);
      }
      live[at] = bytes;
    } else {
      const auto victim = std::next(live.begin(), static_cast<long>(random() % live.size()));
      arena.Free(victim->first);
      live.erase(victim);
    }
  }
  for (const auto& [at, bytes] : live) arena.Free(at);
  EXPECT_EQ(arena.end(), 0);
  EXPECT_EQ(arena.Allocate(1 << 20), 0);
  EXPECT_EQ(arena.Allocate(1), -1);
}

// Ranks in host memory, 1 MB each.
class TestHeap : public SymmetricHeap {
 public:
  explicit TestHeap(const HeapRequest& request)
      : SymmetricHeap(request), memory_(static_cast<size_t>(request.ranks) << 20) {}
  const char* transport() const override { return "test"; }
  std::shared_ptr<Device> device(int rank) const override {
    return GetDevice("fake", "heap", rank);
  }
  Stream stream(int) const override { return nullptr; }
  void* Peer(const void* address, int from, int to) const override {
    return const_cast<char*>(static_cast<const char*>(address)) + ((to - from) << 20);
  }
  int RankOf(const void* address) const override {
    const auto at = static_cast<const char*>(address) - memory_.data();
    return at >= 0 && at < static_cast<int64_t>(memory_.size()) ? static_cast<int>(at >> 20) : -1;
  }
  HeapTable Table(int rank) const override { return {rank, ranks(), {}}; }
  int live = 0;

 protected:
  void* Make(const HeapBlock& block) override {
    ++live;
    const int64_t at = next_;
    next_ += (block.bytes + 255) / 256 * 256;
    return memory_.data() + at;
  }
  void Release(void*) override { --live; }

 private:
  std::vector<char> memory_;
  int64_t next_ = 0;
};

const bool kRegistered = [] {
  RegisterTransport("test",
                    [](const HeapRequest& request) { return std::make_shared<TestHeap>(request); });
  return true;
}();

TEST(Heap, RanksAllocateTheSame) {
  const auto heap = OpenHeap("test", {3});
  void* a0 = heap->Allocate(0, {"A", 8192, kF32});
  EXPECT_EQ(ErrorOf([&] { heap->Allocate(1, {"B", 4096, kF32}); }),
            "ValueError: allocation 0 of rank 1 is `B` of 4096 bytes, but that of rank 0 is `A` of "
            "8192 bytes\nhelp: all ranks allocate the same sizes in the same order");
  void* a2 = heap->Allocate(2, {"A", 8192, kF32});
  EXPECT_EQ(heap->Peer(a0, 0, 2), a2);
  EXPECT_EQ(heap->RankOf(a2), 2);
  EXPECT_EQ(ErrorOf([&] { heap->Allocate(2, {"C", 0, kF32}); }),
            "ValueError: `C`: a symmetric tensor needs at least one element");
}

TEST(Heap, MemoryIsFreeWhenAllHaveFreedIt) {
  const auto heap = std::static_pointer_cast<TestHeap>(OpenHeap("test", {2}));
  void* a0 = heap->Allocate(0, {"A", 64, kF32});
  void* a1 = heap->Allocate(1, {"A", 64, kF32});
  EXPECT_EQ(heap->live, 2) << "and the words in which ranks meet";
  heap->Free(1, a1);
  heap->Free(1, a1);
  EXPECT_EQ(heap->live, 2) << "rank 0 has not freed it";
  heap->Free(0, a0);
  EXPECT_EQ(heap->live, 1);
}

TEST(Heap, HasALimit) {
  const auto heap = OpenHeap("test", {.ranks = 2, .limit = 1024});
  void* a = heap->Allocate(0, {"A", 300, kF32});
  heap->Allocate(0, {"B", 512, kF32});
  EXPECT_EQ(ErrorOf([&] { heap->Allocate(0, {"C", 4, kF32}); }),
            "MemoryError: `C` of 4 bytes does not fit: the symmetric heap has 1024 bytes on each "
            "rank, of which 1024 are used\nhelp: pass a larger size to get_allocator");
  void* a1 = heap->Allocate(1, {"A", 300, kF32});
  heap->Allocate(1, {"B", 512, kF32});
  heap->Free(0, a);
  heap->Free(1, a1);
  heap->Allocate(0, {"C", 4, kF32});
}

TEST(Heap, RanksMeetInItsOwnWords) {
  const auto heap = OpenHeap("test", {.ranks = 3, .limit = 256});
  void* a = heap->Allocate(1, {"A", 256, kF32});  // the words are no part of the limit
  for (int r = 0; r < 3; ++r) {
    void* words = heap->BarrierWords(r);
    EXPECT_EQ(words, heap->Peer(heap->BarrierWords(0), 0, r));
    EXPECT_EQ(heap->RankOf(words), r);
    EXPECT_NE(words, heap->Peer(a, 1, r));
  }
}

TEST(Heap, OfOneRankOnly) {
  const auto heap = std::static_pointer_cast<TestHeap>(OpenHeap("test", {.ranks = 4, .own = 2}));
  void* a = heap->Allocate(2, {"A", 64, kF32});
  // A peer's memory in a launch of this process: the launch is still this rank's.
  EXPECT_EQ(FindHeap(heap->Peer(a, 2, 3)).rank, 2);
  EXPECT_EQ(OwnHeap().heap, heap);
  heap->Free(2, a);
  EXPECT_EQ(heap->live, 1);
  heap->Close();
  EXPECT_EQ(OwnHeap().heap, nullptr);
}

TEST(Heap, ClosesOnce) {
  const auto heap = OpenHeap("test", {1});
  void* a = heap->Allocate(0, {"A", 64, kF32});
  EXPECT_EQ(FindHeap(a).heap, heap);
  heap->Close();
  EXPECT_EQ(FindHeap(a).heap, nullptr);
  EXPECT_EQ(ErrorOf([&] { heap->Close(); }), "RuntimeError: the world is closed already");
  EXPECT_EQ(ErrorOf([&] { heap->Allocate(0, {"B", 64, kF32}); }),
            "RuntimeError: the world of this allocation is closed");
  EXPECT_EQ(ErrorOf([&] { OpenHeap("test", {0}); }),
            "ValueError: a world has 1 to 72 ranks, fewer on the simulator; got 0");
  EXPECT_EQ(ErrorOf([&] { OpenHeap("carrier pigeon", {2}); }).substr(0, 52),
            "ValueError: there is no transport 'carrier pigeon'; ");
}

TEST(Heap, TheLauncherFindsIt) {
  Artifact artifact = ScaleArtifact("heap");
  artifact.uses_heap = true;
  Executable executable(artifact);
  TestTensor a({1, 64}, kF16);
  const auto call = [&] {
    return ErrorOf([&] { CallExecutable(executable, Args().Add(a).Add(int64_t{0}).Add(0.0)); });
  };
  EXPECT_EQ(
      call(),
      "RuntimeError: scale asks for ranks, but is launched without any: no tensor given is "
      "in symmetric memory\nhelp: launch it with World.launch, or with tensors of an allocator");
  artifact.params[0].remote = "line 12 of put.py";
  Executable remote(artifact);
  EXPECT_EQ(ErrorOf([&] { CallExecutable(remote, Args().Add(a).Add(int64_t{0}).Add(0.0)); }),
            "RuntimeError: scale: line 12 of put.py reaches `A` of other ranks, but the tensor "
            "given is not in symmetric memory\nhelp: allocate it with World.tensor, or with "
            "tilelang.tensor(..., allocator=)");
  const auto heap = OpenHeap("test", {2});
  void* mine = heap->Allocate(0, {"A", 128, kF16});
  a.tensor.data = heap->Peer(mine, 0, 1);
  EXPECT_EQ(call(), "no error");
  EXPECT_EQ(ErrorOf([&] { CallExecutable(remote, Args().Add(a).Add(int64_t{0}).Add(0.0)); }),
            "no error");
}

}  // namespace
}  // namespace tilescale::runtime
