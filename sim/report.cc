// SPDX-License-Identifier: MIT
#include "sim/report.h"

#include "sim/fiber.h"
#include "sim/module.h"

#include <bit>

namespace tilescale::sim {
namespace {

std::string Str(u64 n) {
  return std::to_string(n);
}

std::string IndexText(const Dim3& i, const Dim3& grid) {
  if (grid.y == 1 && grid.z == 1) return Str(i.x);
  std::string s = "(" + Str(i.x) + "," + Str(i.y);
  return s + (grid.z == 1 ? "" : "," + Str(i.z)) + ")";
}

std::string CtaText(u32 rank, const Dim3& index, const Dim3& grid) {
  return "rank " + Str(rank) + " CTA " + IndexText(index, grid);
}

const char* ScopeName(Scope s) {
  static const char* names[] = {"cta", "cluster", "gpu", "sys"};
  return names[int(s)];
}

const std::string& KernelName(const Launch& l) {
  return l.info.name.empty() ? l.info.entry : l.info.name;
}

Cta* FindCta(u32 uid) {
  for (Cta* c : core.resident) {
    if (c->uid == uid) return c;
  }
  return nullptr;
}

const Launch* LaunchOf(u32 cta) {
  for (const auto& l : core.running) {
    if (l->id == core.cta_info[cta].launch) return l.get();
  }
  return nullptr;
}

struct Component {
  Kind kind = Kind::kThread;
  u32 index = 0;  // thread, or number of the mbarrier
};

Component ComponentOf(const Access& a, u32 lane) {
  u32 threads = core.cta_info[a.cta()].threads, n = a.group() * 32 + lane;
  for (Kind kind :
       {Kind::kNbi, Kind::kBulkDone, Kind::kBulkRead, Kind::kMbarrier, Kind::kCpAsync}) {
    u32 base = ComponentBase(kind, threads);
    if (n >= base) return {kind, n - base};
  }
  return {Kind::kThread, n};
}

const char* EngineName(Kind kind) {
  switch (kind) {
    case Kind::kThread:
      return "";
    case Kind::kMbarrier:
      return "bulk load";
    case Kind::kCpAsync:
      return "cp.async";
    case Kind::kBulkRead:
    case Kind::kBulkDone:
      return "bulk store";
    case Kind::kNbi:
      return "non-blocking put";
  }
  return "";
}

struct Described {
  AccessInfo info;
  std::string text;
};

Described Describe(const Access& a, u32 lane) {
  const CtaInfo& cta = core.cta_info[a.cta()];
  const Launch* launch = LaunchOf(a.cta());
  Component c = ComponentOf(a, lane);
  Described d;
  AccessInfo& i = d.info;
  i.kind = a.flags() & kWrite ? "write" : "read";
  if (a.flags() & kStrong) {
    i.kind = "strong " + i.kind;
    i.scope = ScopeName(a.scope());
  }
  i.agent = EngineName(c.kind);
  i.rank = cta.rank;
  Dim3 grid = launch ? launch->info.grid : Dim3{u32(cta.linear) + 1, 1, 1};
  i.cta = {u32(cta.linear % grid.x), u32(cta.linear / grid.x % grid.y),
           u32(cta.linear / grid.x / grid.y)};
  Line line = LineOf(a.site >> 8);
  i.file = line.file;
  i.line = line.line;
  d.text = i.kind + (i.scope.empty() ? "" : " (scope " + i.scope + ")") + " by " +
           (i.agent.empty() ? "" : i.agent + " of ") + CtaText(i.rank, i.cta, grid);
  if (c.kind == Kind::kMbarrier) {
    const Cta* owner = FindCta(a.cta());
    std::string bar = "an mbarrier";
    if (owner) {
      for (const auto& [p, m] : owner->mbarriers) {
        if (m.index == c.index) bar = PlaceOf(p).text;
      }
    }
    d.text += ", completing on " + bar + ",";
  } else {
    i.warp = int(c.index / 32);
    i.lane = int(c.index % 32);
    d.text += " warp " + Str(c.index / 32) + " lane " + Str(c.index % 32);
  }
  d.text += " at " + line.text();
  return d;
}

bool KnownTo(const Knowledge& k, const Access& a, u32 lane) {
  const CtaClocks* c = k.before.Find(a.cta());
  return (c && c->Knows(a.group() * 32 + lane, a.clock)) ||
         k.finished.Has(core.cta_info[a.cta()].launch);
}

// Why the two accesses are not ordered, as far as the machine can tell.
std::string ReasonOf(const Access& old, u32 lane, const Access& now, const Fiber& f,
                     RaceReason reason) {
  if (reason == RaceReason::kNoProxyFence) {
    return "ordered, but no fence.proxy.async stands between the write and the asynchronous access";
  }
  Component c = ComponentOf(old, lane);
  if (c.kind == Kind::kMbarrier) return "not ordered: nobody waited for that phase of the mbarrier";
  if (c.kind != Kind::kThread) {
    bool own = old.cta() == f.cta->uid && c.index == f.tid;
    std::string wait = c.kind == Kind::kCpAsync ? "cp.async.wait_group"
                       : c.kind == Kind::kNbi   ? "quiet"
                                                : "bulk wait_group";
    return own ? "not ordered: no " + wait + " of this thread covers it"
               : "not ordered: the issuing thread's " + wait +
                     " and then a barrier must come before";
  }
  if (old.flags() & now.flags() & kStrong) {
    if (old.bytes() == now.bytes() && !((old.flags() ^ now.flags()) & kWord8)) {
      return "both are strong, but their scopes do not include each other's thread";
    }
    return "both are strong, but of different sizes";
  }
  if (f.order_state) {
    for (const Release& r : f.order_state->pending) {
      if (KnownTo(r.knowledge, old, lane)) {
        return "not ordered: its release was read by a relaxed load (no acquire, no fence behind "
               "it)";
      }
    }
    for (const Release& r : f.order_state->narrow) {
      if (KnownTo(r.knowledge, old, lane)) {
        return std::string("not ordered: it was released, but scope ") + ScopeName(r.scope) +
               " of the release or of the read that saw it does not include the other thread";
      }
    }
  }
  if (old.cta() == f.cta->uid) return "not ordered: no barrier stands between them";
  return "not ordered: no release and acquire connect them";
}

Report Start(const char* kind, const Place& place) {
  Report r;
  r.kind = kind;
  r.buffer = place.buffer;
  r.space = place.space;
  r.index = place.index;
  r.owner_rank = place.rank;
  return r;
}

AccessInfo InfoOf(const Fiber& f, bool write) {
  AccessInfo i;
  i.kind = write ? "write" : "read";
  i.rank = f.cta->rank;
  i.cta = f.cta->index;
  i.warp = int(f.warp());
  i.lane = int(f.lane());
  Line line = LineOf(f.site);
  i.file = line.file;
  i.line = line.line;
  return i;
}

std::string ByText(const Fiber& f) {
  return "by " + NameOf(f) + " at " + LineOf(f.site).text();
}

}  // namespace

void Fail(Report report) {
  core.reporting = true;
  const Launch* launch = current ? current->cta->launch : nullptr;
  if (!launch && !core.running.empty()) launch = core.running.front().get();
  const Config& config = core.config;
  if (report.kernel.empty() && launch) report.kernel = KernelName(*launch);
  report.arch = launch && !launch->info.arch.empty() ? launch->info.arch : config.arch;
  report.ranks = config.ranks;
  report.seed = config.seed;
  if (core.unread && report.kind != "DataRace" && report.kind != "UninitializedRead") {
    report.text += "\n  before that: " + core.unread->text;
  }
  report.text += "\n  kernel " + report.kernel + " on sim " + report.arch + ", " +
                 Str(config.ranks) + (config.ranks == 1 ? " rank" : " ranks") +
                 "; reproduce with TILESCALE_SIM_SEED=" + Str(config.seed);
  core.failed = true;
  core.report = std::move(report);
  core.reporting = false;
  if (!current) throw Stop{};
  for (;;) SwitchOut();
}

Place PlaceOf(const u8* p) {
  if (current && u64(p - stack_low) < kStackBytes) {
    Place local;
    local.text = local.buffer = "a local array";
    local.space = "local";
    return local;
  }
  Allocation* a = arena.At(p);
  bool inside = a && u64(p - a->base) < a->bytes;
  if (!inside) a = arena.Nearest(p);
  Place place;
  if (!a) {
    place.text =
        "an address outside all memory (of tensors the simulator knows those that are arguments, "
        "and outputs that kernels allocated)";
    place.space = "unknown";
    return place;
  }
  long offset = p - a->base;
  u64 bytes = a->bytes;
  u32 element = a->element_bytes;
  std::string name = a->name, type = a->type;
  // Of the buffers of a shared block the nearest one that begins before the address.
  const Allocation::Part* part = nullptr;
  for (const auto& candidate : a->parts) {
    bool before = offset >= long(candidate.offset);
    bool within = before && u64(offset) < candidate.offset + candidate.bytes;
    if (!part || within || (before && candidate.offset > part->offset)) part = &candidate;
    if (within) break;
  }
  if (part) {
    name = part->name;
    type = part->type;
    element = part->element_bytes;
    bytes = part->bytes;
    offset -= long(part->offset);
  }
  place.buffer = name;
  place.space = a->cta ? "shared" : "global";
  place.rank = int(a->rank);
  long rest = offset % long(element);
  if (rest < 0) rest += element;
  place.index = (offset - rest) / long(element);
  place.text = name + "[" + std::to_string(place.index) + "]";
  if (rest) place.text += "+" + std::to_string(rest) + " bytes";
  place.detail =
      Str(bytes / element) + " elements of " + (type.empty() ? Str(element) + " bytes" : type);
  place.detail +=
      a->cta ? ", shared memory of " + CtaName(*a->cta) : ", global memory of rank " + Str(a->rank);
  return place;
}

std::string CtaName(const Cta& c) {
  return CtaText(c.rank, c.index, c.launch->info.grid);
}

std::string NameOf(const Fiber& f) {
  return CtaName(*f.cta) + " warp " + Str(f.warp()) + " lane " + Str(f.lane());
}

Report RaceReport(const Access& old, u32 lane, const Access& now, Fiber& f, const u8* p,
                  RaceReason reason) {
  core.reporting = true;
  Place place = PlaceOf(p);
  Report r = Start("DataRace", place);
  Described first = Describe(old, lane);
  Described second = Describe(now, u32(std::countr_zero(now.lanes)));
  r.reason = ReasonOf(old, lane, now, f, reason);
  r.text = "data race on " + place.text + " (" + place.detail + ")\n    " + first.text + "\n    " +
           second.text + "\n    " + r.reason;
  r.accesses = {first.info, second.info};
  core.reporting = false;
  return r;
}

Report EngineReport(Fiber& f, const std::string& text, const u8* p) {
  Place place = PlaceOf(p);
  Report r = Start("DataRace", place);
  r.reason = text;
  r.kernel = KernelName(*f.cta->launch);
  r.text = "data race on " + place.text + " (" + place.detail + "): " + text + "\n    " + ByText(f);
  r.accesses = {InfoOf(f, false)};
  return r;
}

Report BoundsReport(const u8* p, u64 bytes, u8 flags, Fiber& f) {
  Place place = PlaceOf(p);
  Report r = Start("OutOfBounds", place);
  const char* what = flags & kWrite ? "write" : "read";
  r.text = std::string(what) + " of " + Str(bytes) + " bytes out of bounds at " + place.text;
  if (!place.detail.empty()) r.text += " (" + place.detail + ")";
  r.text += "\n    " + ByText(f);
  r.accesses = {InfoOf(f, flags & kWrite)};
  return r;
}

Report LocalBoundsReport(const LocalArray& array, long index, Fiber& f) {
  Report r;
  r.kind = "OutOfBounds";
  r.buffer = array.name;
  r.space = "local";
  r.index = index;
  r.text = "access out of bounds at " + array.name + "[" + std::to_string(index) + "] (" +
           Str(array.count) + " elements of " + array.type + ", local memory of a thread)\n    " +
           ByText(f);
  r.accesses = {InfoOf(f, false)};
  return r;
}

Report FaultReport(const std::string& text, Fiber& f) {
  Report r = MachineReport(text + "\n    " + ByText(f));
  r.accesses = {InfoOf(f, false)};
  return r;
}

Report RankReport(long rank, Fiber& f) {
  Report r;
  r.kind = "OutOfBounds";
  r.index = rank;
  r.text = "rank " + std::to_string(rank) + " is out of range: there are " +
           Str(core.config.ranks) + " ranks\n    " + ByText(f);
  r.accesses = {InfoOf(f, false)};
  return r;
}

Report PeerReport(const u8* p, bool write, Fiber& f) {
  Place place = PlaceOf(p);
  Report r = Start("OutOfBounds", place);
  r.text = (write ? "store to " : "load of ") + place.text + " (" + place.detail +
           "): this transport has no access to the memory of other ranks, only put, get and "
           "signals\n    " +
           ByText(f);
  r.accesses = {InfoOf(f, write)};
  return r;
}

Report AlignmentReport(const u8* p, u64 bytes, u64 alignment, Fiber& f) {
  Place place = PlaceOf(p);
  Report r = Start("MisalignedAccess", place);
  r.text = "misaligned access of " + Str(bytes) + " bytes at " + place.text +
           ": its address must be a multiple of " + Str(alignment) + ", but is " +
           Str(u64(p) % alignment) + " above one";
  if (!place.detail.empty()) r.text += " (" + place.detail + ")";
  r.text += "\n    " + ByText(f);
  r.accesses = {InfoOf(f, false)};
  return r;
}

Report DeadlockReport(const std::string& text) {
  Report r;
  r.kind = "Deadlock";
  r.text = text;
  return r;
}

Report InterruptReport() {
  Report r = MachineReport("the run was interrupted");
  r.interrupted = true;
  return r;
}

Report MachineReport(const std::string& text) {
  Report r;
  r.kind = "SimulationError";
  r.text = text;
  return r;
}

void NoteUnwritten(Fiber& f, const u8* p) {
  if (core.unread) return;
  core.reporting = true;
  Place place = PlaceOf(p);
  Report r = Start("UninitializedRead", place);
  r.text = "uninitialised read of " + place.text + " (" + place.detail + ")\n    " + ByText(f);
  r.accesses = {InfoOf(f, false)};
  r.kernel = KernelName(*f.cta->launch);
  core.unread_launch = f.cta->launch->id;
  core.unread = std::make_unique<Report>(std::move(r));
  core.reporting = false;
}

}  // namespace tilescale::sim
