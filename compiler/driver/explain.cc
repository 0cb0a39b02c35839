// SPDX-License-Identifier: MIT
#include "compiler/driver/explain.h"

#include <algorithm>
#include <cstdint>
#include <map>

namespace tilescale::driver {

namespace {

// Topics in the order in which they are printed, with the passes that decide them.
struct Topic {
  const char* title;
  std::vector<std::string> passes;
};

const std::vector<Topic>& Topics() {
  static const std::vector<Topic> topics = {
      {"warnings", {"warning"}},
      {"waits", {"note"}},
      {"tile ops", {"select-ops", "lower-tile-ops"}},
      {"points of T.Parallel", {"check"}},
      {"pipelines", {"plan-schedule", "apply-schedule"}},
      {"layouts and accesses", {"solve-layouts", "partition-and-vectorize"}},
      {"shared memory", {"place-memory"}},
      {"synchronisation", {"insert-sync"}},
      {"bounds", {"guard-bounds"}},
  };
  return topics;
}

struct Entry {
  int64_t line;
  std::string text;
  int times = 1;
};

Entry Describe(const Decision& d) {
  const bool placed = d.span.defined() && d.span->line > 0;
  // Declarations first, then the program's lines, then what belongs to all of it.
  const int64_t line = placed ? d.span->line : d.subject.empty() ? INT64_MAX : 0;
  std::string text = placed ? "line " + std::to_string(line) + "  " : "";
  text += d.subject.empty() ? d.chosen : d.subject + ": " + d.chosen;
  for (const std::string& refused : d.refused) text += "\n    not " + refused;
  return {line, text};
}

std::string TopicText(const Topic& topic, const std::vector<Decision>& decisions) {
  std::vector<Entry> entries;
  std::map<std::string, size_t> known;
  for (const std::string& pass : topic.passes) {
    for (const Decision& d : decisions) {
      if (d.pass != pass) continue;
      Entry entry = Describe(d);
      const auto [at, fresh] = known.emplace(entry.text, entries.size());
      if (fresh) {
        entries.push_back(std::move(entry));
      } else {
        ++entries[at->second].times;
      }
    }
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.line < b.line; });
  std::string out;
  for (const Entry& e : entries) {
    out += "  " + e.text;
    if (e.times > 1) out += "  (" + std::to_string(e.times) + " times)";
    out += "\n";
  }
  return out.empty() ? out : std::string(topic.title) + "\n" + out;
}

}  // namespace

std::string ExplainText(const PassContext& ctx, const runtime::Artifact& artifact,
                        const runtime::Variant& variant) {
  std::string out = artifact.name + " for " + ctx.target.Text();
  for (size_t i = 0; i < variant.facts.size(); ++i) {
    out += (i == 0 ? ", for calls with " : " and ") + variant.facts[i].text;
  }
  out += "\n";
  for (const Topic& topic : Topics()) out += TopicText(topic, ctx.decisions);
  return out;
}

std::string ResourceText(const target::Arch& arch, const KernelResources& k) {
  std::string out = k.entry + ": " + std::to_string(k.registers) + " registers a thread, ";
  out +=
      k.spilled_bytes > 0 ? std::to_string(k.spilled_bytes) + " bytes spilled" : "nothing spilled";
  out += ", " + std::to_string(k.shared_bytes) + " bytes of shared memory: ";
  const target::Occupancy fit =
      target::BlocksPerSm(arch, k.threads, std::max<int64_t>(1, k.registers), k.shared_bytes);
  const int64_t percent = fit.blocks * k.threads * 100 / arch.threads_per_sm;
  return out + std::to_string(fit.blocks) + (fit.blocks == 1 ? " block of " : " blocks of ") +
         std::to_string(k.threads) + " threads on a multiprocessor, " + std::to_string(percent) +
         "% of its threads, limited by " + fit.limit;
}

}  // namespace tilescale::driver
