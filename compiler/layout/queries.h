// SPDX-License-Identifier: MIT
// Questions about fragments: who owns what, what a conversion moves, how a dim is reduced.
#pragma once

#include "compiler/layout/layout.h"
#include "compiler/layout/table.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tilescale {

// For every point, each place of g on the axis is one of f: the owner in g reads f without
// communication. Different shapes or domains: no.
bool Contains(const AnyLayout& f, const AnyLayout& g, Axis axis = kThread);
bool Contains(const Layout& f, const Layout& g, Axis axis = kThread);

enum class ConversionKind { kSame, kMoves, kShuffle, kShared };
const char* Name(ConversionKind kind);  // "same", "moves", "shuffle", "shared"

struct Conversion {
  ConversionKind kind = ConversionKind::kSame;
  int64_t values = 0;  // most values that one thread must receive: shuffle rounds
  int64_t bytes = 0;   // shared memory needed
  bool operator==(const Conversion&) const = default;
};
// Cost class of making fragment b from fragment a, each of b's owners taking the nearest copy.
// Refused for other shapes or domains, and beyond the enumeration limit.
Expected<Conversion> ConversionOf(const Layout& a, const Layout& b, int bits);
Expected<Conversion> ConversionOf(const AnyLayout& a, const AnyLayout& b, int bits);

// Some element must certainly cross warps, so the conversion is kShared: decided at a few points
// without enumeration. False says nothing.
bool CertainlyCrossesWarps(const Layout& a, const Layout& b);

enum class StageKind { kSlots, kLanes, kWarps };
const char* Name(StageKind kind);  // "slots", "lanes", "warps"

struct ReduceStage {
  StageKind kind;
  int64_t n;       // participants; for lanes padded to a power of two, holes hold the identity
  int64_t stride;  // lane distance of the butterfly; 1 otherwise
  bool operator==(const ReduceStage&) const = default;
};
using ReducePlan = FixedVec<ReduceStage, kMaxModes + 2>;
// Slots serially, then butterflies over lanes, then whole warps through shared memory.
Expected<ReducePlan> PlanReduce(const Layout& layout, int dim);
// Where the result lies: all lanes of a butterfly end with it.
Expected<Layout> ReduceResult(const Layout& layout, int dim);

// How ldmatrix loads `frag` from shared memory (stmatrix: the same question).
struct LdmatrixForm {
  int matrices;  // 1, 2 or 4 an instruction
  bool transposed;
  bool operator==(const LdmatrixForm&) const = default;
};
Expected<LdmatrixForm> LdmatrixFormOf(const Layout& frag, const Layout& shared, int bits);

}  // namespace tilescale
