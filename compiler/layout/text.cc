// SPDX-License-Identifier: MIT
// Text form of layouts: parse and print. Printing then parsing gives the same parts back.
#include "compiler/layout/layout.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace tilescale {
namespace {

constexpr char kLetters[] = "aqclr?st";  // by Axis::place(); `rep` has no letter

std::string_view Trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

std::vector<std::string_view> Split(std::string_view s, char sep) {
  std::vector<std::string_view> out;
  for (size_t at = 0;;) {
    size_t end = s.find(sep, at);
    out.push_back(s.substr(at, end == std::string_view::npos ? end : end - at));
    if (end == std::string_view::npos) return out;
    at = end + 1;
  }
}

std::vector<std::string_view> Words(std::string_view s) {
  std::vector<std::string_view> out;
  for (std::string_view w : Split(s, ' ')) {
    if (!w.empty()) out.push_back(w);
  }
  return out;
}

Refusal Bad(std::string_view what, std::string_view got) {
  return Refusal{"expected " + std::string(what) + " in a layout, got \"" + std::string(got) +
                 "\""};
}

Expected<int64_t> ParseInt(std::string_view s) {
  int64_t v = 0;
  auto [end, err] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (err != std::errc() || end != s.data() + s.size() || s.empty()) return Bad("a number", s);
  return v;
}

Expected<Axis> ParseDims(std::string_view s) {
  DimList dims;
  for (std::string_view w : Split(s, '.')) {
    TS_TRY(int64_t d, ParseInt(w));
    if (d < 0 || d >= kMaxDims) return Bad("a dim below 8", w);
    dims.push_back(int8_t(d));
  }
  if (dims.overflowed()) return Bad("at most 8 dims", s);
  return Axis::Dims(dims);
}

// 8a, 1t+4s, 0, 8@1, 8@0.1
Expected<Strides> ParseStrides(std::string_view s) {
  Strides out;
  if (s.empty()) return Bad("a stride", s);
  for (std::string_view w : Split(s, '+')) {
    if (w == "0") continue;
    size_t at = w.find('@');
    if (at != std::string_view::npos) {
      TS_TRY(int64_t n, ParseInt(w.substr(0, at)));
      TS_TRY(Axis axis, ParseDims(w.substr(at + 1)));
      out.Add(axis, n);
      continue;
    }
    if (w.size() < 2) return Bad("a stride such as 8a", w);
    const char* letter = nullptr;
    for (const char* c = kLetters; *c; ++c) {
      if (*c == w.back() && *c != '?') letter = c;
    }
    if (!letter) return Bad("an axis (a t s c r l q)", w);
    TS_TRY(int64_t n, ParseInt(w.substr(0, w.size() - 1)));
    out.Add(Axis::Place(int(letter - kLetters)), n);
  }
  return out;
}

Expected<ModeList> ParseModes(std::span<const std::string_view> words) {
  ModeList out;
  for (std::string_view w : words) {
    size_t colon = w.find(':');
    if (colon == std::string_view::npos) return Bad("a digit such as 8:4t", w);
    TS_TRY(int64_t n, ParseInt(w.substr(0, colon)));
    TS_TRY(Strides v, ParseStrides(w.substr(colon + 1)));
    out.push_back(Mode{n, v});
  }
  if (out.overflowed()) {
    return Refusal{"more than " + std::to_string(kMaxModes) + " digits"};
  }
  return out;
}

// Reads the groups in order; remembers which dims are still free, as *k takes the next ones.
class GroupReader {
 public:
  explicit GroupReader(const Shape& shape) : shape_(shape) {}

  std::optional<Refusal> Read(std::vector<std::string_view> words, LayoutBuilder* out) {
    DimList dims;
    size_t first = 0;
    size_t take = 1;
    if (!words.empty() && words[0][0] == '[') {
      std::string_view w = words[0];
      if (w.back() != ']') return Bad("dims such as [1,0]", w);
      for (std::string_view d : Split(w.substr(1, w.size() - 2), ',')) {
        auto n = ParseInt(d);
        if (!n.ok()) return n.refusal();
        if (*n < 0 || *n >= shape_.size()) return Bad("a dim of the shape", d);
        dims.push_back(int8_t(*n));
      }
      first = 1;
      take = 0;
    } else if (!words.empty() && words[0][0] == '*') {
      auto n = ParseInt(words[0].substr(1));
      if (!n.ok()) return n.refusal();
      if (*n < 0 || *n > shape_.size()) return Bad("a number of dims", words[0]);
      take = size_t(*n);
      first = 1;
    }
    for (int d = 0; d < shape_.size() && take > 0; ++d) {
      if (!used_[d]) {
        dims.push_back(int8_t(d));
        --take;
      }
    }
    if (take > 0) return Refusal{"a layout has more parts than dims"};
    int64_t bound = 1;
    for (int8_t d : dims) {
      used_[d] = true;
      bound *= shape_[d];
    }
    if (words.size() > first && words.back()[0] == '<') {
      auto n = ParseInt(words.back().substr(1));
      if (!n.ok()) return n.refusal();
      bound = *n;
      words.pop_back();
    }
    auto modes = ParseModes(std::span(words).subspan(first));
    if (!modes.ok()) return modes.refusal();
    out->AddGroup(dims, bound, *modes);
    return std::nullopt;
  }

 private:
  const Shape& shape_;
  bool used_[kMaxDims] = {};
};

void PrintStrides(const Strides& v, std::string* out) {
  if (v.empty()) *out += '0';
  for (int i = 0; i < v.size(); ++i) {
    if (i) *out += '+';
    *out += std::to_string(v[i].stride);
    if (v[i].axis.is_dim() || v[i].axis == kRep) {
      *out += '@' + v[i].axis.Name();
    } else {
      *out += kLetters[v[i].axis.place()];
    }
  }
}

void PrintModes(std::span<const Mode> modes, bool* first, std::string* out) {
  for (const Mode& m : modes) {
    if (!*first) *out += ' ';
    *first = false;
    *out += std::to_string(m.n) + ':';
    PrintStrides(m.v, out);
  }
}

}  // namespace

Expected<Layout> Layout::Parse(std::string_view text) {
  std::vector<std::string_view> parts = Split(text, '|');
  Shape shape;
  for (std::string_view w : Split(Trim(parts[0]), ',')) {
    if (w.empty()) continue;
    TS_TRY(int64_t e, ParseInt(Trim(w)));
    if (e < 0 || e > int64_t(1) << 40) return Bad("an extent", w);
    shape.push_back(e);
  }
  if (shape.overflowed()) return Refusal{"more than " + std::to_string(kMaxDims) + " dims"};
  LayoutBuilder out(shape);
  GroupReader groups(shape);
  for (size_t i = 1; i < parts.size(); ++i) {
    std::vector<std::string_view> words = Words(parts[i]);
    std::string_view head = words.empty() ? std::string_view() : words[0];
    if (head == "rep") {
      TS_TRY(ModeList modes, ParseModes(std::span(words).subspan(1)));
      out.AddReps(modes);
    } else if (head == "off" && words.size() == 2) {
      TS_TRY(Strides off, ParseStrides(words[1]));
      out.SetOffset(off);
    } else if (head == "swz" && words.size() == 2) {
      std::vector<std::string_view> w = Split(words[1], ',');
      if (w.size() != 3) return Bad("swz bits,base,shift", words[1]);
      TS_TRY(int64_t bits, ParseInt(w[0]));
      TS_TRY(int64_t base, ParseInt(w[1]));
      TS_TRY(int64_t shift, ParseInt(w[2]));
      if (bits < 0 || base < 0 || shift < 0 || bits + base + shift > 48) {
        return Bad("a swizzle within 48 bits", words[1]);
      }
      out.SetSwizzle(Swizzle{int32_t(bits), int32_t(base), int32_t(shift)});
    } else if (auto bad = groups.Read(words, &out)) {
      return *bad;
    }
  }
  return out.Build();
}

Layout Layout::Literal(std::string_view text) {
  Expected<Layout> out = Parse(text);
  if (!out.ok()) {
    std::fprintf(stderr, "layout literal \"%.*s\": %s\n", int(text.size()), text.data(),
                 out.reason().c_str());
    std::abort();
  }
  return *out;
}

std::string Layout::Text() const {
  std::string out;
  for (int d = 0; d < rank(); ++d) out += (d ? "," : "") + std::to_string(shape_[d]);
  bool used[kMaxDims] = {};
  for (int i = 0; i < num_groups(); ++i) {
    LayoutGroup g = group(i);
    out += " | ";
    bool next = true;  // are these the next free dims, in order?
    int d = 0;
    for (int8_t x : g.dims) {
      while (d < rank() && used[d]) ++d;
      next &= d++ == x;
    }
    for (int8_t x : g.dims) used[x] = true;
    bool first = true;
    if (!next) {
      out += '[';
      for (size_t k = 0; k < g.dims.size(); ++k) out += (k ? "," : "") + std::to_string(g.dims[k]);
      out += ']';
      first = false;
    } else if (g.dims.size() > 1) {
      out += '*' + std::to_string(g.dims.size());
      first = false;
    }
    PrintModes(g.modes, &first, &out);
    if (g.bound != SizeOf(g)) out += (first ? "<" : " <") + std::to_string(g.bound);
  }
  if (!reps_.empty()) {
    out += " | rep";
    bool first = false;
    PrintModes(reps_, &first, &out);
  }
  if (!off_.empty()) {
    out += " | off ";
    PrintStrides(off_, &out);
  }
  if (swz_) {
    out += " | swz " + std::to_string(swz_.bits) + ',' + std::to_string(swz_.base) + ',' +
           std::to_string(swz_.shift);
  }
  return out;
}

}  // namespace tilescale
