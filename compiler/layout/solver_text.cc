// SPDX-License-Identifier: MIT
// Programs of the solver as text, for tests and tools. One line an item; lines that start with two
// spaces belong to the nest or buffer above; '#' starts a comment.
//
//   threads 128
//   fragment C 128,128 32 [live 0 9] [threads 128]
//   buffer S
//     option swizzle 128: 64,64 | 64:64a | 64:1a | swz 3,3,3
//   anchor def|annotated|read C: 128,128 | 8:4t 2:2s ..: T.gemm        name, layout, why
//   nest add 128,128 ops 1 [weight 8] [threads 32]
//     loop_layout 128,128 | ...: loop_layout at line 3
//     read C 0 1
//     read q 0 1/2                        index: loop variable, /divisor, +offset; `.` is 0
//     write C 0 1
//     global load|store ld X: bits 32: 128,128 | 128:128a | 128:1a
//     shared load|store ld S: bits 16: 64,64 | 64:64a | 64:1a
//     shared load|store ld S: bits 16: of S: 64,64 | 64:1@1 | 64:1@0
//   reduce x m 1 [weight 8]
//   scan x 1 [weight 8]
//   view x y reshape | permute 1 0 | recast 1 -2    [copy]
//   matrix_reads S 16 0 64 [weight 8]    bits, row dim, times
#include "compiler/layout/solver.h"

#include <charconv>
#include <map>

namespace tilescale::solver {
namespace {

std::string_view Trim(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

std::vector<std::string_view> Split(std::string_view s, char sep, size_t limit = 1000) {
  std::vector<std::string_view> out;
  while (out.size() + 1 < limit && s.find(sep) != std::string_view::npos) {
    out.push_back(Trim(s.substr(0, s.find(sep))));
    s.remove_prefix(s.find(sep) + 1);
  }
  out.push_back(Trim(s));
  return out;
}

std::vector<std::string_view> Words(std::string_view s) {
  std::vector<std::string_view> out;
  for (std::string_view w : Split(s, ' ')) {
    if (!w.empty()) out.push_back(w);
  }
  return out;
}

class Parser {
 public:
  Expected<Program> Run(std::string_view text) {
    int line = 0;
    for (std::string_view raw : Split0(text)) {
      ++line;
      raw = raw.substr(0, raw.find('#'));
      if (Trim(raw).empty()) continue;
      Line(raw.substr(0, 2) == "  ", Trim(raw));
      if (!error_.empty()) return Refusal{"line " + std::to_string(line) + ": " + error_};
    }
    return std::move(p_);
  }

 private:
  static std::vector<std::string_view> Split0(std::string_view s) {
    std::vector<std::string_view> out;
    size_t at = 0;
    while (at <= s.size()) {
      size_t end = std::min(s.find('\n', at), s.size());
      out.push_back(s.substr(at, end - at));
      at = end + 1;
    }
    return out;
  }

  void Fail(const std::string& why) {
    if (error_.empty()) error_ = why;
  }

  int64_t Int(std::string_view s) {
    int64_t v = 0;
    auto [end, err] = std::from_chars(s.data(), s.data() + s.size(), v);
    if (err != std::errc() || end != s.data() + s.size()) {
      Fail("expected a number, got \"" + std::string(s) + "\"");
    }
    return v;
  }

  std::vector<int64_t> Extents(std::string_view s) {
    std::vector<int64_t> out;
    for (std::string_view w : Split(s, ',')) {
      if (!w.empty()) out.push_back(Int(w));
    }
    return out;
  }

  Layout LayoutOf(std::string_view s) {
    Expected<Layout> l = Layout::Parse(s);
    if (l.ok()) return *l;
    Fail(l.reason());
    return {};
  }

  int Named(const std::map<std::string, int, std::less<>>& names, std::string_view name) {
    auto at = names.find(name);
    if (at != names.end()) return at->second;
    Fail("nothing is named \"" + std::string(name) + "\"");
    return 0;
  }

  // Optional pairs at the end of a line: `live 0 9`, `threads 32`, `weight 8`, `ops 4`.
  std::optional<int64_t> Option(std::span<const std::string_view> words, std::string_view key,
                                size_t offset = 1) {
    for (size_t i = 0; i + offset < words.size(); ++i) {
      if (words[i] == key) return Int(words[i + offset]);
    }
    return std::nullopt;
  }

  void Line(bool inner, std::string_view s) {
    std::vector<std::string_view> w = Words(s);
    std::string_view key = w[0];
    auto need = [&](size_t n) {
      if (w.size() < n)
        Fail("expected " + std::to_string(n - 1) + " words after " + std::string(key));
      return w.size() >= n;
    };
    std::span<const std::string_view> tail(w);
    if (inner) return Inner(s, w);
    if (key == "threads" && need(2)) {
      p_.threads = Int(w[1]);
    } else if (key == "fragment" && need(4)) {
      Fragment f;
      f.name = w[1];
      f.shape = Extents(w[2]);
      f.bits = int(Int(w[3]));
      if (auto x = Option(tail, "live")) {
        f.first = int(*x);
        f.last = int(Option(tail, "live", 2).value_or(*x));
      }
      f.threads = Option(tail, "threads").value_or(0);
      fragments_[f.name] = int(p_.fragments.size());
      p_.fragments.push_back(std::move(f));
    } else if (key == "buffer" && need(2)) {
      buffers_[std::string(w[1])] = int(p_.buffers.size());
      p_.buffers.push_back(SharedBuffer{std::string(w[1]), {}});
    } else if (key == "anchor" && need(3)) {
      size_t why = s.rfind(": ");
      Anchor a;
      a.use = w[1] == "read"        ? AnchorUse::kRead
              : w[1] == "annotated" ? AnchorUse::kAnnotated
                                    : AnchorUse::kDef;
      std::string_view name = w[2];
      if (!name.ends_with(':') || why == std::string_view::npos) {
        return Fail("expected anchor USE NAME: LAYOUT: WHY");
      }
      name.remove_suffix(1);
      a.fragment = Named(fragments_, name);
      size_t begin = s.find(": ") + 2;
      if (why < begin) return Fail("expected anchor USE NAME: LAYOUT: WHY");
      a.layout = LayoutOf(s.substr(begin, why - begin));
      a.why = s.substr(why + 2);
      p_.ops.push_back(std::move(a));
    } else if (key == "nest" && need(3)) {
      Nest n;
      n.name = w[1];
      n.shape = Extents(w[2]);
      n.arithmetic = Option(tail, "ops").value_or(1);
      n.weight = Option(tail, "weight").value_or(1);
      n.threads = Option(tail, "threads").value_or(0);
      p_.ops.push_back(std::move(n));
    } else if (key == "reduce" && need(4)) {
      p_.ops.push_back(Reduce{Named(fragments_, w[1]), Named(fragments_, w[2]), int(Int(w[3])),
                              Option(tail, "weight").value_or(1)});
    } else if (key == "scan" && need(3)) {
      p_.ops.push_back(
          Scan{Named(fragments_, w[1]), int(Int(w[2])), Option(tail, "weight").value_or(1)});
    } else if (key == "view" && need(4)) {
      ViewLine(w);
    } else if (key == "matrix_reads" && need(5)) {
      p_.ops.push_back(MatrixReads{Named(buffers_, w[1]), int(Int(w[2])), int(Int(w[3])), Int(w[4]),
                                   Option(tail, "weight").value_or(1)});
    } else {
      Fail("unknown item \"" + std::string(key) + "\"");
    }
  }

  void ViewLine(std::vector<std::string_view> w) {
    solver::View v;
    v.src = Named(fragments_, w[1]);
    v.dst = Named(fragments_, w[2]);
    if (w.back() == "copy") {
      v.alias = false;
      w.pop_back();
    }
    if (w[3] == "permute") {
      v.kind = ViewKind::kPermute;
      for (size_t i = 4; i < w.size(); ++i) v.order.push_back(int(Int(w[i])));
    } else if (w[3] == "recast" && w.size() == 6) {
      v.kind = ViewKind::kRecast;
      v.dim = int(Int(w[4]));
      v.factor = Int(w[5]);
    } else if (w[3] != "reshape") {
      return Fail("expected reshape, permute or recast");
    }
    p_.ops.push_back(std::move(v));
  }

  void Inner(std::string_view s, const std::vector<std::string_view>& w) {
    if (w[0] == "option") {
      if (p_.buffers.empty()) return Fail("an option without a buffer");
      std::vector<std::string_view> parts = Split(s.substr(6), ':', 2);
      if (parts.size() != 2) return Fail("expected option NAME: LAYOUT");
      p_.buffers.back().options.push_back(FamilyOption{std::string(parts[0]), LayoutOf(parts[1])});
      return;
    }
    Nest* n = p_.ops.empty() ? nullptr : std::get_if<Nest>(&p_.ops.back());
    if (!n) return Fail("\"" + std::string(w[0]) + "\" outside a nest");
    if (w[0] == "loop_layout") {
      size_t why = s.rfind(": ");
      if (why == std::string_view::npos) return Fail("expected loop_layout LAYOUT: WHY");
      n->anchor = LayoutOf(s.substr(11, why - 11));
      n->anchor_why = s.substr(why + 2);
    } else if ((w[0] == "read" || w[0] == "write") && w.size() >= 2) {
      FragmentAccess a{Named(fragments_, w[1]), {}};
      for (size_t i = 2; i < w.size(); ++i) a.index.push_back(IndexOf(w[i], int(n->shape.size())));
      if (!error_.empty()) return;
      if (a.index.size() != p_.fragments[size_t(a.fragment)].shape.size()) {
        return Fail("expected one index a dim of " + std::string(w[1]));
      }
      (w[0] == "read" ? n->reads : n->writes).push_back(std::move(a));
    } else if (w[0] == "global" || w[0] == "shared") {
      Memory(s, w, n);
    } else {
      Fail("unknown item \"" + std::string(w[0]) + "\" of a nest");
    }
  }

  Index IndexOf(std::string_view s, int vars) {
    Index out;
    size_t plus = s.find('+');
    if (plus != std::string_view::npos) {
      out.offset = Int(s.substr(plus + 1));
      s = s.substr(0, plus);
    }
    if (s == ".") return out;
    size_t slash = s.find('/');
    if (slash != std::string_view::npos) {
      out.div = Int(s.substr(slash + 1));
      s = s.substr(0, slash);
    }
    out.var = int(Int(s));
    if (out.var < 0 || out.var >= vars || out.div < 1) Fail("no such loop variable");
    return out;
  }

  void Memory(std::string_view s, const std::vector<std::string_view>& w, Nest* n) {
    // SPACE load|store NAME: bits B: [of BUFFER:] LAYOUT
    MemoryAccess m;
    m.space = w[0] == "shared" ? MemorySpace::kShared : MemorySpace::kGlobal;
    if (w.size() < 3) return Fail("expected load or store");
    m.store = w[1] == "store";
    std::string_view rest = Trim(s.substr(size_t(w[2].data() - s.data())));
    std::vector<std::string_view> parts = Split(rest, ':', 3);
    if (parts.size() != 3 || !parts[1].starts_with("bits ")) {
      return Fail("expected NAME: bits B: LAYOUT");
    }
    m.name = parts[0];
    m.bits = int(Int(parts[1].substr(5)));
    std::string_view layout = parts[2];
    if (layout.starts_with("of ")) {
      std::vector<std::string_view> of = Split(layout.substr(3), ':', 2);
      if (of.size() != 2) return Fail("expected of BUFFER: INDEX");
      m.buffer = Named(buffers_, of[0]);
      layout = of[1];
    }
    m.layout = LayoutOf(layout);
    n->memory.push_back(std::move(m));
  }

  Program p_;
  std::map<std::string, int, std::less<>> fragments_, buffers_;
  std::string error_;
};

}  // namespace

Expected<Program> ParseProgram(std::string_view text) {
  return Parser().Run(text);
}

}  // namespace tilescale::solver
