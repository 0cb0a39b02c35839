// SPDX-License-Identifier: MIT
// The machine's state, shared by the files of sim/. One operating-system thread runs it at a time,
// so nothing here is locked; the host side (machine.cc) guards entry.
#pragma once

#include "sim/clock.h"
#include "sim/collective.h"
#include "sim/machine.h"
#include "sim/memory.h"
#include "sim/shadow.h"
#include "sim/types.h"

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace tilescale::sim {

struct Cta;
struct Fiber;
struct Launch;

// A release carried by the value of a strong word.
struct Release {
  Scope scope = Scope::kSys;
  u32 rank = 0;
  u32 cta = 0;  // kSeveral: of more than one
  Knowledge knowledge;
  WordKey word = 0;  // set in pending lists: where it was read
};
constexpr u32 kSeveral = ~0u;

// Last values of a word used by strong operations.
struct WordValue {
  u64 value = 0;
  u32 cta = 0, component = 0, clock = 0;  // the write
  std::vector<Release> releases;
  u64 chain = 0;  // number of the write where its read-modify-writes start
  Scope scope = Scope::kCta;
  bool reduction = false;
};
struct StrongWord {
  std::vector<WordValue> values;  // newest last, at most four
  u64 writes = 0;                 // number of the newest
  struct Writer {
    u32 cta, component, clock;
  };
  std::vector<Writer> log;  // who made write number i + 1
};

struct NamedBarrier {
  u32 arrived = 0, expected = 0, max_clock = 0, phase = 0;
  u32 lanes[32] = {};                 // arrived lanes of warps that are not complete yet
  bool all = false;                   // counts whatever threads are left
  int count = 0, any = 0, every = 1;  // of predicates
  Ref<ClockList> last;                // list of the last arriver: equal lists need no second join
  Knowledge sum;
  std::vector<Fiber*> waiters;     // will learn
  std::vector<Fiber*> converging;  // arrive-only lanes that wait for the rest of their warp
};

// Latest use of shared memory by an engine: somebody must have waited for it when the CTA ends.
struct EngineUse {
  u32 clock = 0, site = 0, tid = 0;
  u8* shared = nullptr;
};

struct Mbarrier {
  u8* address = nullptr;
  u32 expected = 0, pending = 0;
  long transactions = 0;  // bytes missing
  u32 phase = 0;          // completed phases
  u32 index = 0;          // its component
  u32 in_flight = 0;      // copies bound to the current phase
  EngineUse last_load;
  Knowledge sum, done;  // of the open phase; of the last completed one
};

// Bytes in flight; they land as late as permitted.
struct Copy {
  u8* to = nullptr;
  const u8* from = nullptr;
  u32 bytes = 0, valid = 0;  // beyond `valid`: zeros
  Kind kind = Kind::kCpAsync;
  u32 clock = 0;
  Mbarrier* mbarrier = nullptr;
};
// A cp.async.mbarrier.arrive whose copies are still in flight.
struct CopyArrival {
  Mbarrier* mbarrier = nullptr;
  u32 clock = 0;
};

enum class FiberState : u8 { kReady, kWaiting, kPolling, kDone };
enum class WaitKind : u8 { kNone, kBarrier, kWarpSync, kMbarrier, kMbarrierInit, kInstruction };
struct Wait {
  WaitKind kind = WaitKind::kNone;
  u32 number = 0;         // barrier id, mbarrier parity
  const char* what = "";  // name of the warp instruction
  NamedBarrier* barrier = nullptr;
  Mbarrier* mbarrier = nullptr;
  u8* address = nullptr;
};

// What a thread has read or released by strong operations; made on first use.
struct OrderState {
  std::vector<Release> fenced;                  // what fences published, one per scope
  std::vector<Release> pending;                 // releases read by relaxed loads, not yet learnt
  std::vector<Release> narrow;                  // releases read whose scope excludes the reader
  std::map<WordKey, std::vector<Release>> own;  // own releases by word
};

struct Fiber {
  void* stack_pointer = nullptr;
  u8* stack = nullptr;
  Cta* cta = nullptr;
  u32 tid = 0;
  u32 clock = 1;
  u32 site = 0;   // code position of the latest call into the library
  u32 moves = 0;  // > 0: in a put or a get, whatever the transport does for one
  FiberState state = FiberState::kReady;
  const CtaClocks* own = nullptr;  // known.before of its own CTA
  Knowledge known;
  std::unique_ptr<OrderState> order_state;
  std::vector<Copy> copies;
  std::vector<CopyArrival> arrivals;
  u32 bulk_group = 1, nbi_count = 1;  // clock of the open group
  u32 cp_async_clock = 1;             // advanced by commits and by mbarrier arrivals
  std::vector<u32> cp_async_commits;  // clock at each commit that no wait has covered yet
  EngineUse last_cp_async, last_bulk_store;
  Wait wait;
  int barrier_result = 0;
  int barrier_predicate = 0;
  struct Polled {
    u8* address;
    u64 value;
    u32 bytes;
  };
  std::vector<Polled> polled;  // (address, value) pairs read since it last did something else
  u32 polling_index = 0;       // in core.polling
  struct {
    const char* relation = nullptr;  // "at least "; null: the loop does not say
    u64 value = 0;
    bool is_signed = true;  // of the word and of `value`
  } awaited;                // what its last turn of a waiting loop wanted to read
  u32 older_in_row = 0;
  // Stores that equal another lane's by instruction and address: compared when the thread goes on.
  struct SameStore {
    u8* address;
    u32 bytes, before;  // before: the old bytes
    Access other, mine;
    u32 other_lane;
  };
  std::vector<SameStore> same_stores;

  OrderState& order() {
    if (!order_state) order_state = std::make_unique<OrderState>();
    return *order_state;
  }
  u32 lane() const { return tid & 31; }
  u32 warp() const { return tid >> 5; }
};

struct Gather {
  Gather() {}  // NOLINT(modernize-use-equals-default): the arguments of absent lanes stay unset
  const char* instruction = nullptr;
  ExitedLanes exited = ExitedLanes::kSkip;
  u32 mask = 0;
  Lanes lanes;
  void (*execute)(const Lanes&) = nullptr;
};

struct Warp {
  u32 ready = 0, alive = 0;
  std::vector<Gather> gathers;
  std::map<u32, NamedBarrier> syncs;  // by mask
};

struct Cta {
  u32 uid = 0, rank = 0;
  u64 linear = 0;
  Dim3 index{0, 0, 0};
  u32 threads = 0;  // rounded up to whole warps
  u32 live = 0;
  Launch* launch = nullptr;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  NamedBarrier barriers[16];
  u32 warps_ready = 0;
  int ready_index = -1;  // in core.ready; -1: no lane is ready
  u32 in_flight = 0;     // copies
  u32 calm = ~0u;        // barriers passed since a thread took a turn of a loop that waits
  std::map<u8*, Mbarrier> mbarriers;
  std::vector<u8*> shared;  // by TS_SMEM declaration
  std::vector<Allocation*> blocks;
};

struct CtaInfo {
  u32 rank = 0, cluster = 0, launch = 0, threads = 0;
  u64 linear = 0;
};

class Module;
struct SharedPlan;

struct Launch {
  u32 id = 0;
  u32 slots = 0;
  LaunchInfo info;
  Module* module = nullptr;  // of info
  std::vector<void*> arg_addresses;
  void (*entry)(void**) = nullptr;
  const SharedPlan* plan = nullptr;
  u64 code_bias = 0;  // return address minus this is a code position
  u64 next = 0, done = 0, total = 0;
  u32 resident = 0;
  Knowledge start, end;
};

struct Core {
  Config config;
  u64 rng = 1;
  bool failed = false;
  bool reporting = false;  // a report is being made: the watchdog keeps still
  Report report;
  std::unique_ptr<Report> unread;  // deferred: the first read of bytes that nobody wrote
  u32 unread_launch = 0;           // by this launch

  std::vector<CtaInfo> cta_info{CtaInfo{}};
  u32 base_cta = 1;  // accesses of older CTAs are ordered before all that is to come
  std::vector<std::unique_ptr<Launch>> running;
  std::vector<Cta*> resident;
  std::vector<Cta*> ready;  // those with a ready lane
  std::vector<Fiber*> polling;

  std::unordered_map<WordKey, StrongWord> words;
  std::map<u64, Knowledge> sequential;  // fence.sc: one record per scope instance
  std::vector<ListNode> nodes{1};
  u32 free_node = 0;
  u64 live_nodes = 0;
  bool sampled = false;  // reader lists went over the budget
  // Tests: told of each race instead of ending the run.
  void (*race_observer)(const u8* address) = nullptr;

  u64 progress = 0, switches = 0, accesses = 0, launches = 0, ctas = 0;
  u64 waits = 0, spins = 0;  // switches of threads that wait; turns of loops that wait
  u64 turns = 0;  // of progress: barriers that a loop that waits may pass at each of its turns
  u64 Lasting() const { return progress - turns; }
  // Set by the watchdog: it is time to look after the host; `Lasting()` when loops that wait had
  // gone on for too long.
  volatile bool attend = false;
  volatile u64 stale = ~u64{0};
  std::vector<OlderValue> older_values;

  u64 Random() {
    rng ^= rng << 13;
    rng ^= rng >> 7;
    return rng ^= rng << 17;
  }
};

// Hidden, and not members: the callbacks of the kernel text read them on every access.
extern Core core;
extern Fiber* current;  // the running fiber; null in the scheduler
extern u8* stack_low;   // its stack
extern u64 code_bias;   // of its module

// Whether two CTAs are within one instance of the scope.
inline bool ScopeIncludes(Scope scope, u32 a, u32 b) {
  if (scope == Scope::kSys || a == b) return true;
  if (scope == Scope::kCta) return false;
  const CtaInfo &x = core.cta_info[a], &y = core.cta_info[b];
  return scope == Scope::kGpu ? x.rank == y.rank : x.cluster == y.cluster;
}

// ---- scheduler.cc
void MarkReady(Fiber& f);
// Parks the running fiber; returns when someone has marked it ready.
void Block(Fiber& f, const Wait& wait);
void Poll(Fiber& f);
// The running fiber exits; does not return.
void EndFiber(Fiber& f);
// A scheduling point: the fiber stays ready.
void Yield();
void SwitchOut();
// For the watchdog, in the middle of a fiber: the scheduler looks after the host, then the fiber
// goes on. No other fiber runs in between, so schedules do not depend on time.
void LetHostAttend();
// Runs what is in core.running and what `more` adds (it returns false when the caller has what it
// wants); returns with core.failed set or with nothing of use left to do.
class WorkSource {
 public:
  virtual ~WorkSource() = default;
  virtual bool Refill() = 0;  // starts queued work; false: the run may end
  virtual void Done(Launch& launch) = 0;
  virtual bool WaitForHost() = 0;           // nothing can go on: true if the host brought something
  virtual std::string Waiting() const = 0;  // ranks whose host has not launched, for reports
  // Lets the host handle its signals; true if that ends the run (Ctrl-C in Python).
  virtual bool Interrupted() = 0;
};
void Run(WorkSource& source);

// ---- order.cc
// Everything f knows, itself included; its clock then advances.
Knowledge Publish(Fiber& f);
void Learn(Fiber& f, const Knowledge& k);
// Whether an access with this scope by (rank, cta) includes the thread f.
bool ScopeIncludes(Scope scope, u32 rank, u32 cta, const Fiber& f);
void Fence(Fiber& f, Scope scope, bool sequential);
enum class Op : u8 { kLoad, kStore, kRmw, kReduce, kCas };
// A strong operation. `update` gives the new value of a read-modify-write from the old one.
struct StrongAccess {
  u8* address = nullptr;
  u32 bytes = 4;
  Op op = Op::kLoad;
  Sem sem = Sem::kRelaxed;
  Scope scope = Scope::kGpu;
  u64 operand = 0, expected = 0;
  u64 (*update)(u64 old, u64 operand, u32 bytes) = nullptr;
};
u64 Strong(Fiber& f, const StrongAccess& access);
// Ends the run if the thread may not load or store memory of another rank: a transport without peer
// access, outside a put or a get.
void CheckPeer(Fiber& f, const u8* p, bool write);

// ---- barrier.cc
// bar.sync (wait) and bar.arrive; a count of 0: all threads of the CTA.
void BarrierArrive(Fiber& f, u32 id, u32 count, bool wait);
// bar.red; op 0: and, 1: or, 2: count.
int BarrierReduce(Fiber& f, u32 id, u32 count, bool pred, int op);
void WarpBarrierArrive(Fiber& f, u32 mask);
void LeaveBarriers(Fiber& f);  // f exits
u32 LiveThreads(const Cta& c);

// ---- collective.cc
void LeaveGathers(Fiber& f);

// ---- async.cc
void LandAny(Cta& c);
// cp.async: copies to shared memory of f, its groups, its arrivals on mbarriers.
void CpAsync(Fiber& f, u8* to, u8* from, u32 bytes, u32 valid);
void CpAsyncCommit(Fiber& f);
void CpAsyncWait(Fiber& f, u32 groups);
void CpAsyncWaitAll(Fiber& f);
void CpAsyncArrive(Fiber& f, u8* bar);
// Bulk copies (async proxy) and non-blocking puts.
void BulkLoad(Fiber& f, u8* to, u8* from, u32 bytes, u8* bar);
void BulkStore(Fiber& f, u8* to, u8* from, u32 bytes);
void BulkWait(Fiber& f, u32 groups, bool read_only);
void PutNbi(Fiber& f, u8* to, u8* from, u32 bytes);
void Quiet(Fiber& f);
void FenceProxyAsync(Fiber& f);
// The CTA ends: no engine may still read or write its shared memory. `last`: what its threads knew.
void CheckEnginesDone(Cta& c, const Knowledge& last);

// ---- mbarrier.cc
void MbarrierInit(Fiber& f, u8* p, u32 count);
void MbarrierInvalidate(Fiber& f, u8* p);
void MbarrierArrive(Fiber& f, u8* p, u32 transactions, bool arrive);
void MbarrierWait(Fiber& f, u8* p, u32 parity);
bool MbarrierTest(Fiber& f, u8* p, u32 parity);
// The strong access of every operation on an mbarrier; waits while nobody has initialised it.
Mbarrier& MbarrierTouch(Fiber& f, u8* p);
// One arrival without knowledge (its caller adds to `sum`), and bytes that have landed.
void MbarrierCount(Cta& c, Mbarrier& m, Fiber* f);
void MbarrierLanded(Cta& c, Mbarrier& m, u32 bytes);

// ---- deadlock.cc
[[noreturn]] void ReportDeadlock(const WorkSource& source);
// The running fiber is in a loop that waits, and has been for too long.
[[noreturn]] void ReportEndlessLoop();
void StartWatchdog();
void StopWatchdog();

}  // namespace tilescale::sim
