// SPDX-License-Identifier: MIT
// The texts of the IR's enumerations.
#include "compiler/ir/func.h"

#include <array>
#include <string>
#include <unordered_map>

namespace tilescale::ir {
namespace {

constexpr std::array kNodeNames = {
#define TS_NODE(name, parent) #name,
#include "compiler/ir/nodes.def"
};

constexpr std::array kOpInfos = {
#define TS_OPCODE(name, text, arity, cls) OpInfo{text, arity, OpClass::cls},
#include "compiler/ir/opcodes.def"
};

constexpr std::array kDoneNames = {"program", "cp_async", "mbarrier", "bulk_read",
                                   "bulk",    "wgmma",    "tmem",     "quiet"};
constexpr std::array kForNames = {"serial", "unroll", "vector", "pipelined"};
constexpr std::array kTokenVerbNames = {"acquire", "commit", "wait", "release", "await"};
constexpr std::array kStepVerbNames = {"do",      "acquire", "commit", "wait",
                                       "release", "await",   "enter",  "leave"};
constexpr std::array kStageNames = {"tile", "mapped", "machine"};

struct FamilyName {
  Family bit;
  const char* name;
};
// Printed in this order: the most constrained first.
constexpr std::array kFamilyNames = {
    FamilyName{kExact, "exact"},    FamilyName{kSwizzle128, "sw128"},
    FamilyName{kSwizzle64, "sw64"}, FamilyName{kSwizzle32, "sw32"},
    FamilyName{kPadded, "pad"},     FamilyName{kLinear, "linear"},
};

}  // namespace

const char* NodeKindName(NodeKind kind) {
  return kNodeNames[static_cast<size_t>(kind)];
}
const OpInfo& Info(OpCode op) {
  return kOpInfos[static_cast<size_t>(op)];
}

int FindOpCode(std::string_view text) {
  static const auto* const kCodes = [] {
    auto* codes = new std::unordered_map<std::string_view, int>();
    for (size_t i = 0; i < kOpInfos.size(); ++i)
      codes->emplace(kOpInfos[i].text, static_cast<int>(i));
    return codes;
  }();
  auto it = kCodes->find(text);
  return it == kCodes->end() ? -1 : it->second;
}

const char* DoneName(Done done) {
  return kDoneNames[static_cast<size_t>(done)];
}
const char* ForKindName(ForKind kind) {
  return kForNames[static_cast<size_t>(kind)];
}
const char* TokenVerbName(TokenVerb verb) {
  return kTokenVerbNames[static_cast<size_t>(verb)];
}
const char* StepVerbName(StepVerb verb) {
  return kStepVerbNames[static_cast<size_t>(verb)];
}
const char* StageName(Stage stage) {
  return kStageNames[static_cast<size_t>(stage)];
}

std::string FamiliesText(int64_t families) {
  std::string text;
  for (const FamilyName& f : kFamilyNames) {
    if (!(families & f.bit)) continue;
    if (!text.empty()) text += ", ";
    text += f.name;
  }
  return "{" + text + "}";
}

std::optional<int64_t> ParseFamily(std::string_view name) {
  for (const FamilyName& f : kFamilyNames) {
    if (name == f.name) return f.bit;
  }
  return std::nullopt;
}

}  // namespace tilescale::ir
