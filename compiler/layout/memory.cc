// SPDX-License-Identifier: MIT
// What an access costs: shared-memory wavefronts and global sectors, over all warps and steps.
//
// The lanes of a warp form a pattern of addresses relative to the first; every step of the slots
// and every further warp shifts it. A shift by a whole period (128 bytes of banks or 32 bytes of a
// sector, and the block of the swizzle) costs the same, so a pattern is priced once for each
// residue and not once for each access.
#include "compiler/layout/memory.h"

#include "compiler/target/constants.h"

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <numeric>

namespace tilescale {

using namespace target;  // constants.h

int64_t BankCycles(std::span<const int64_t> byte_addr, int64_t width) {
  size_t per_phase = size_t(kWarpSize / std::max<int64_t>(1, width / kBankBytes));
  int64_t cycles = 0;
  for (size_t p = 0; p < byte_addr.size(); p += per_phase) {
    std::array<std::array<int64_t, kWarpSize>, kBanks> words;  // distinct words of each bank
    std::array<uint8_t, kBanks> count{};
    uint8_t most = 0;
    size_t end = std::min(p + per_phase, byte_addr.size());
    for (size_t i = p; i < end; ++i) {
      int64_t x = byte_addr[i];
      if (x == kIdle) continue;
      for (int64_t w = x / kBankBytes; w <= (x + width - 1) / kBankBytes; ++w) {
        auto& bank = words[size_t(w & (kBanks - 1))];
        uint8_t& n = count[size_t(w & (kBanks - 1))];
        if (std::find(bank.begin(), bank.begin() + n, w) != bank.begin() + n) continue;
        bank[n++] = w;  // at most one word a lane
        most = std::max(most, n);
      }
    }
    cycles += most;
  }
  return cycles;
}

int64_t Sectors(std::span<const int64_t> byte_addr, int64_t width, int64_t unit) {
  std::vector<int64_t> touched;
  for (int64_t x : byte_addr) {
    if (x == kIdle) continue;
    for (int64_t s = x / unit; s <= (x + width - 1) / unit; ++s) touched.push_back(s);
  }
  std::sort(touched.begin(), touched.end());
  return std::unique(touched.begin(), touched.end()) - touched.begin();
}

namespace {

using Lanes = std::array<int64_t, kWarpSize>;

// Adds up accesses of one kind.
class Tally {
 public:
  Tally(int64_t width, int bits, MemorySpace space) : space_(space) {
    cost_.width = width;
    bytes_ = std::max<int64_t>(1, width * bits / 8);
  }

  struct Price {
    int64_t transfers = -1;
    int64_t ideal = 0;
  };
  Price PriceOf(const Lanes& lanes) const {
    if (space_ == MemorySpace::kGlobal) return {Sectors(lanes, bytes_), 0};
    int64_t active = kWarpSize - std::count(lanes.begin(), lanes.end(), kIdle);
    return {BankCycles(lanes, bytes_),
            std::max<int64_t>(1, CeilDiv(active * bytes_, kBanks * kBankBytes))};
  }
  void Add(const Price& price) {
    ++cost_.accesses;
    cost_.transfers += price.transfers;
    cost_.ideal += price.ideal;
  }
  MemoryCost Total(int64_t points, int bits) {
    if (space_ == MemorySpace::kGlobal) cost_.ideal = CeilDiv(points * bits, 8 * kSectorBytes);
    return cost_;
  }

 private:
  MemorySpace space_;
  int64_t bytes_;
  MemoryCost cost_{};
};

// By the definition: all points, grouped by warp and vector step. Replica 0 accesses memory.
MemoryCost CostByTable(const Table& frag, const Table& mem, int64_t v, int bits,
                       MemorySpace space) {
  std::map<std::pair<int64_t, int64_t>, Lanes> steps;
  for (int64_t p = 0; p < frag.box(); ++p) {
    int64_t t = frag.At(kThread, p), s = frag.At(kSlot, p);
    if (!frag.inside(p) || s % v) continue;
    auto [at, fresh] = steps.try_emplace({t / kWarpSize, s / v});
    if (fresh) at->second.fill(kIdle);
    at->second[size_t(t % kWarpSize)] = mem.At(kAddr, p) * bits / 8;
  }
  Tally tally(v, bits, space);
  for (const auto& [key, lanes] : steps) tally.Add(tally.PriceOf(lanes));
  return tally.Total(frag.NumPoints(), bits);
}

// The digits of an access as two lists of combined steps: threads and vector starts.
class DigitCost {
 public:
  // Nothing where the digits do not say enough: two points in one register, or an offset. `frag`
  // has no replicas, and no digit is padded.
  static std::optional<MemoryCost> Of(const Layout& frag, const AccessDigits& access, int64_t v,
                                      int bits, MemorySpace space) {
    if (!frag.off().empty() || !frag.Injective()) return std::nullopt;
    DigitCost cost(access, bits, space);
    for (int i = 0; i < frag.num_groups(); ++i) {
      LayoutGroup g = frag.group(i);
      if (g.Padded() != g.bound) cost.limits_.push_back({Axis::Dims(g.dims), g.bound});
    }
    if (!cost.Combine(kThread, 1, &cost.threads_) || !cost.Combine(kSlot, v, &cost.steps_)) {
      return std::nullopt;
    }
    cost.MakeWarps();
    return cost.Sum(v, frag.NumPoints());
  }

 private:
  // Combined digits on one axis; y has one value a limit for each of them.
  struct Steps {
    std::vector<int64_t> at, addr, y;
    size_t size() const { return at.size(); }
  };
  struct Warp {
    size_t begin, end;  // of the sorted threads
    size_t pattern;     // warps with equal patterns share prices
  };
  struct Limit {
    Axis name;
    int64_t bound;
  };

  DigitCost(const AccessDigits& access, int bits, MemorySpace space)
      : access_(access), bits_(bits), space_(space) {}

  // All combinations of the digits on an axis whose place is a multiple of `unit`.
  bool Combine(Axis axis, int64_t unit, Steps* out) const {
    size_t k = limits_.size();
    out->at.assign(1, 0);
    out->addr.assign(1, 0);
    out->y.assign(k, 0);
    for (const AccessDigit& d : access_.digits) {
      if (!(d.axis == axis)) continue;
      size_t n = out->size();
      if (int64_t(n) * d.n > kEnumerationLimit) return false;
      // A digit below the unit counts only in whole units; the width has divided it.
      int64_t first = d.stride < unit ? std::max<int64_t>(1, unit / d.stride) : 1;
      for (int64_t i = first; i < d.n; i += first) {
        for (size_t j = 0; j < n; ++j) {
          out->at.push_back(out->at[j] + i * d.stride);
          out->addr.push_back(out->addr[j] + i * d.addr);
          for (size_t l = 0; l < k; ++l) {
            int64_t y = limits_[l].name == d.name ? i * d.weight : 0;
            out->y.push_back(out->y[j * k + l] + y);
          }
        }
      }
    }
    return true;
  }

  void MakeWarps() {
    std::vector<size_t> order(threads_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return threads_.at[a] < threads_.at[b]; });
    Steps sorted;
    size_t k = limits_.size();
    for (size_t i : order) {
      sorted.at.push_back(threads_.at[i]);
      sorted.addr.push_back(threads_.addr[i]);
      for (size_t l = 0; l < k; ++l) sorted.y.push_back(threads_.y[i * k + l]);
    }
    threads_ = std::move(sorted);
    for (size_t i = 0; i < threads_.size();) {
      Warp w{i, i, 0};
      while (w.end < threads_.size() &&
             threads_.at[w.end] / kWarpSize == threads_.at[i] / kWarpSize)
        ++w.end;
      for (; w.pattern < patterns_.size(); ++w.pattern) {
        if (SamePattern(patterns_[w.pattern], w)) break;
      }
      if (w.pattern == patterns_.size()) patterns_.push_back(w);
      warps_.push_back(w);
      i = w.end;
    }
  }

  bool SamePattern(const Warp& a, const Warp& b) const {
    if (a.end - a.begin != b.end - b.begin) return false;
    int64_t shift = threads_.addr[b.begin] - threads_.addr[a.begin];
    for (size_t i = 0; i < a.end - a.begin; ++i) {
      if (threads_.at[a.begin + i] % kWarpSize != threads_.at[b.begin + i] % kWarpSize)
        return false;
      if (threads_.addr[a.begin + i] + shift != threads_.addr[b.begin + i]) return false;
    }
    return true;
  }

  // Elements after which banks (or sectors) and the swizzle repeat; 0: no period.
  int64_t Period() const {
    int64_t unit = 8 * (space_ == MemorySpace::kShared ? kBanks * kBankBytes : kSectorBytes);
    if (unit % bits_ || !std::has_single_bit(uint64_t(bits_))) return 0;
    int64_t period = unit / bits_;
    const Swizzle& s = access_.swz;
    return s ? std::max(period, int64_t(1) << (s.base + s.shift + s.bits)) : period;
  }

  bool Inside(size_t thread, size_t step) const {
    size_t k = limits_.size();
    for (size_t l = 0; l < k; ++l) {
      if (threads_.y[thread * k + l] + steps_.y[step * k + l] >= limits_[l].bound) return false;
    }
    return true;
  }

  // The lanes' byte addresses; false where no lane is active.
  bool AddressesOf(const Warp& w, size_t step, Lanes* out) const {
    out->fill(kIdle);
    bool any = false;
    for (size_t i = w.begin; i < w.end; ++i) {
      if (!Inside(i, step)) continue;
      any = true;
      int64_t a = access_.off + threads_.addr[i] + steps_.addr[step];
      if (access_.swz) a = access_.swz(a);
      (*out)[size_t(threads_.at[i] % kWarpSize)] = a * bits_ / 8;
    }
    return any;
  }

  // Whether every lane is inside the domain at this step.
  bool Full(const Warp& w, size_t step) const {
    if (limits_.empty()) return true;
    for (size_t i = w.begin; i < w.end; ++i) {
      if (!Inside(i, step)) return false;
    }
    return true;
  }

  MemoryCost Sum(int64_t v, int64_t points) const {
    Tally tally(v, bits_, space_);
    int64_t period = Period();
    // All bases are multiples of `grain`, so only period / grain residues occur.
    int64_t grain = std::gcd(period, access_.off);
    for (const Warp& w : warps_) grain = std::gcd(grain, threads_.addr[w.begin]);
    for (int64_t a : steps_.addr) grain = std::gcd(grain, a);
    size_t residues = period ? size_t(period / grain) : 0;
    int shift = period ? std::countr_zero(uint64_t(grain)) : 0;
    std::vector<Tally::Price> known(residues * patterns_.size());
    Lanes lanes;
    for (const Warp& w : warps_) {
      for (size_t step = 0; step < steps_.size(); ++step) {
        if (period && Full(w, step)) {
          // Both are powers of two, and so is what divides them.
          int64_t base = access_.off + threads_.addr[w.begin] + steps_.addr[step];
          size_t residue = size_t((base & (period - 1)) >> shift);
          Tally::Price& price = known[w.pattern * residues + residue];
          if (price.transfers < 0) {
            AddressesOf(w, step, &lanes);
            price = tally.PriceOf(lanes);
          }
          tally.Add(price);
        } else if (AddressesOf(w, step, &lanes)) {
          tally.Add(tally.PriceOf(lanes));
        }
      }
    }
    return tally.Total(points, bits_);
  }

  const AccessDigits& access_;
  int bits_;
  MemorySpace space_;
  std::vector<Limit> limits_;
  Steps threads_, steps_;
  std::vector<Warp> warps_, patterns_;
};

}  // namespace

MemoryCost MemoryCostOf(const Layout& frag, const Layout& mem, int bits, MemorySpace space) {
  Layout one = frag.Normal().WithoutReplicas();
  int64_t v;
  // Replicas do not move addresses: the width is that of one copy.
  if (Expected<AccessDigits> access = OverDigits(one, mem); access.ok() && !access->padded) {
    v = VectorWidthOf(one, *access, 8 * kMaxAccessBytes / bits);
    if (auto cost = DigitCost::Of(one, *access, v, bits, space)) return *cost;
  } else {
    v = VectorWidthByDefinition(one, mem, 8 * kMaxAccessBytes / bits);
  }
  Expected<Table> f = Table::FromLayout(one), m = Table::FromLayout(mem);
  if (!f.ok() || !m.ok()) {
    // Too large to enumerate: the conservative answer is one transfer an element.
    int64_t n = frag.NumPoints();
    return MemoryCost{1, n, CeilDiv(n * bits, 8 * kSectorBytes), CeilDiv(n, kWarpSize)};
  }
  return CostByTable(*f, *m, v, bits, space);
}

MemoryCost MemoryCostOf(const AnyLayout& frag, const AnyLayout& mem, int bits, MemorySpace space) {
  const Layout* a = std::get_if<Layout>(&frag);
  const Layout* b = std::get_if<Layout>(&mem);
  if (a && b) return MemoryCostOf(*a, *b, bits, space);
  int64_t v = VectorWidthByDefinition(frag, mem, 8 * kMaxAccessBytes / bits);
  Expected<Table> f = TableOf(frag), m = TableOf(mem);
  if (!f.ok() || !m.ok()) return MemoryCost{1, 0, 0, 0};
  return CostByTable(*f, *m, v, bits, space);
}

}  // namespace tilescale
