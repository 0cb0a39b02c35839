// SPDX-License-Identifier: MIT
#include "compiler/layout/table.h"

#include "compiler/layout/enumerate.h"

#include <algorithm>
#include <charconv>

namespace tilescale {
namespace {

int64_t Product(std::span<const int64_t> shape) {
  int64_t n = 1;
  for (int64_t e : shape) n *= e;
  return n;
}

Refusal TooLarge(int64_t n) {
  return Refusal{std::to_string(n) + " places are too many to enumerate"};
}

// Enough for every use: a thread count times registers stays far below.
bool Enumerable(int64_t points, int64_t replicas) {
  return points <= kEnumerationLimit && replicas <= kEnumerationLimit &&
         points * replicas <= 4 * kEnumerationLimit;
}

Expected<int64_t> Number(std::string_view s) {
  int64_t v = 0;
  auto [end, err] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (err != std::errc() || end != s.data() + s.size()) {
    return Refusal{"expected a number in a table, got \"" + std::string(s) + "\""};
  }
  return v;
}

std::vector<std::string_view> WordsOf(std::string_view s, char sep) {
  std::vector<std::string_view> out;
  size_t at = 0;
  while (at < s.size()) {
    size_t end = std::min(s.find(sep, at), s.size());
    if (end > at) out.push_back(s.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

// All places of every point, sorted and without repeats, as rows of `axes` values.
std::vector<std::vector<int64_t>> SortedPlaces(const Table& t, std::span<const Axis> axes,
                                               int64_t point) {
  std::vector<std::vector<int64_t>> out;
  for (int64_t r = 0; r < t.replicas(); ++r) {
    std::vector<int64_t> place;
    for (Axis a : axes) place.push_back(t.At(a, point, r));
    out.push_back(std::move(place));
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

// One dim of an index map: extent e, moving dim `to` by 1.
void MapDim(LayoutBuilder* b, int dim, int64_t e, int to) {
  Mode m{e, Strides(Axis::Dim(to), 1)};
  b->AddDim(dim, {&m, 1});
}

}  // namespace

Table::Table(std::vector<int64_t> shape, int64_t replicas)
    : shape_(std::move(shape)), replicas_(replicas), inside_(size_t(Product(shape_)), 1) {}

Expected<Table> Table::FromLayout(const Layout& layout) {
  if (!Enumerable(layout.Size(), layout.NumReplicas())) return TooLarge(layout.Size());
  Table out(std::vector<int64_t>(layout.shape().begin(), layout.shape().end()),
            layout.NumReplicas());
  BoxWalk walk(layout);
  out.inside_ = walk.Inside();
  for (Axis a : layout.Axes()) out.values_[a] = walk.Values(a);
  return out;
}

int64_t Table::NumPoints() const {
  return std::count(inside_.begin(), inside_.end(), 1);
}

std::vector<Axis> Table::Axes() const {
  std::vector<Axis> out;
  for (const auto& [axis, values] : values_) out.push_back(axis);
  return out;
}

std::span<const int64_t> Table::Values(Axis axis) const {
  auto at = values_.find(axis);
  if (at == values_.end()) return {};
  return at->second;
}

std::vector<int64_t>& Table::MutableValues(Axis axis) {
  std::vector<int64_t>& v = values_[axis];
  v.resize(inside_.size() * size_t(replicas_));
  return v;
}

int64_t Table::At(Axis axis, int64_t point, int64_t replica) const {
  std::span<const int64_t> v = Values(axis);
  return v.empty() ? 0 : v[size_t(point * replicas_ + replica)];
}

bool Table::Equals(const Table& o) const {
  if (shape_ != o.shape_ || inside_ != o.inside_) return false;
  std::vector<Axis> axes = Axes();
  for (Axis a : o.Axes()) {
    if (std::find(axes.begin(), axes.end(), a) == axes.end()) axes.push_back(a);
  }
  if (replicas_ == 1 && o.replicas_ == 1) {
    for (Axis a : axes) {
      std::span<const int64_t> x = Values(a), y = o.Values(a);
      for (size_t p = 0; p < inside_.size(); ++p) {
        if (inside_[p] && (x.empty() ? 0 : x[p]) != (y.empty() ? 0 : y[p])) return false;
      }
    }
    return true;
  }
  for (int64_t p = 0; p < box(); ++p) {
    if (inside(p) && SortedPlaces(*this, axes, p) != SortedPlaces(o, axes, p)) return false;
  }
  return true;
}

bool Table::Injective() const {
  std::vector<std::span<const int64_t>> columns;
  for (const auto& [axis, values] : values_) columns.push_back(values);
  std::vector<size_t> rows;
  for (size_t p = 0; p < inside_.size(); ++p) {
    if (!inside_[p]) continue;
    for (size_t r = 0; r < size_t(replicas_); ++r) rows.push_back(p * size_t(replicas_) + r);
  }
  auto before = [&](size_t a, size_t b) {
    for (auto c : columns) {
      if (c[a] != c[b]) return c[a] < c[b];
    }
    return false;
  };
  std::sort(rows.begin(), rows.end(), before);
  for (size_t i = 1; i < rows.size(); ++i) {
    if (!before(rows[i - 1], rows[i])) return false;
  }
  return true;
}

// -- text
// -------------------------------------------------------------------------------------------

std::string Table::Text() const {
  std::string out;
  for (size_t d = 0; d < shape_.size(); ++d) out += (d ? "," : "") + std::to_string(shape_[d]);
  out += " | table " + std::to_string(replicas_);
  static constexpr const char* kLetters = "aqclr?st";
  std::vector<Axis> axes = Axes();
  if (axes.empty()) axes.push_back(kAddr);
  for (Axis a : axes) {
    out += " | ";
    out += a.is_dim() ? "@" + a.Name() : std::string(1, kLetters[a.place()]);
    for (int64_t p = 0; p < box(); ++p) {
      for (int64_t r = 0; r < replicas_; ++r) {
        out += inside(p) ? " " + std::to_string(At(a, p, r)) : " -";
      }
    }
  }
  return out;
}

Expected<Table> Table::Parse(std::string_view text) {
  std::vector<std::string_view> parts = WordsOf(text, '|');
  if (parts.size() < 3) return Refusal{"expected shape | table N | values of an axis"};
  std::vector<int64_t> shape;
  for (std::string_view w : WordsOf(parts[0], ',')) {
    std::vector<std::string_view> word = WordsOf(w, ' ');
    if (word.size() != 1) continue;
    TS_TRY(int64_t e, Number(word[0]));
    if (e < 0 || e > kEnumerationLimit) return TooLarge(e);
    shape.push_back(e);
  }
  std::vector<std::string_view> head = WordsOf(parts[1], ' ');
  if (head.size() != 2 || head[0] != "table") return Refusal{"expected table N in a table"};
  TS_TRY(int64_t replicas, Number(head[1]));
  int64_t points = 1;
  for (int64_t e : shape) {
    points *= e;
    if (points > kEnumerationLimit) return TooLarge(points);
  }
  if (replicas < 1 || !Enumerable(points, replicas)) return TooLarge(replicas);
  Table out(shape, replicas);
  for (size_t i = 2; i < parts.size(); ++i) {
    std::vector<std::string_view> words = WordsOf(parts[i], ' ');
    if (words.size() != 1 + size_t(points * replicas)) {
      return Refusal{"expected " + std::to_string(points * replicas) +
                     " values of an axis in a table, got " + std::to_string(words.size() - 1)};
    }
    static constexpr std::string_view kLetters = "aqclr?st";
    size_t letter = words[0].size() == 1 ? kLetters.find(words[0][0]) : std::string_view::npos;
    if (letter == std::string_view::npos || words[0] == "?") {
      return Refusal{"expected an axis (a t s c r l q) in a table, got \"" + std::string(words[0]) +
                     "\""};
    }
    std::vector<int64_t>& values = out.MutableValues(Axis::Place(int(letter)));
    for (size_t k = 0; k < values.size(); ++k) {
      if (words[k + 1] == "-") {
        out.inside_[k / size_t(replicas)] = 0;
        continue;
      }
      TS_TRY(values[k], Number(words[k + 1]));
    }
  }
  return out;
}

// -- composition
// -----------------------------------------------------------------------------------

namespace {

// Coordinates over dims of `shape` at every (point, replica) of an index map.
struct Coordinates {
  std::vector<uint8_t> inside;
  int64_t replicas;
  std::vector<std::vector<int64_t>> dims;  // per dim of the outer shape
};

Expected<Coordinates> CoordinatesOf(const Layout& index, std::span<const int64_t> shape) {
  if (!Enumerable(index.Size(), index.NumReplicas())) return TooLarge(index.Size());
  BoxWalk walk(index);
  Coordinates out;
  out.inside = walk.Inside();
  out.replicas = index.NumReplicas();
  size_t rows = out.inside.size() * size_t(out.replicas);
  out.dims.assign(shape.size(), std::vector<int64_t>(rows, 0));
  for (Axis a : index.Axes()) {
    if (a == kRep) continue;
    if (!a.is_dim() || a.dim() >= int(shape.size())) {
      return Refusal{"the inner map moves " + a.Name() + ", which is no dim of the outer layout"};
    }
    std::vector<int64_t> v = walk.Values(a);
    for (int i = a.num_dims() - 1; i >= 0; --i) {
      int64_t e = shape[size_t(a.dim(i))];
      std::vector<int64_t>& to = out.dims[size_t(a.dim(i))];
      for (size_t k = 0; k < rows; ++k) {
        to[k] += a.num_dims() > 1 ? v[k] % e : v[k];
        v[k] /= e;
      }
    }
  }
  return out;
}

}  // namespace

Expected<Table> Table::Through(const Layout& index) const {
  TS_TRY(Coordinates c, CoordinatesOf(index, shape_));
  if (!Enumerable(index.Size(), c.replicas * replicas_)) return TooLarge(index.Size());
  Table out(std::vector<int64_t>(index.shape().begin(), index.shape().end()),
            c.replicas * replicas_);
  out.inside_ = c.inside;
  std::vector<int64_t> from(c.inside.size() * size_t(c.replicas), 0);
  for (size_t k = 0; k < from.size(); ++k) {
    if (!c.inside[k / size_t(c.replicas)]) continue;
    for (size_t d = 0; d < shape_.size(); ++d) {
      if (c.dims[d][k] < 0 || c.dims[d][k] >= shape_[d]) {
        return Refusal{"the inner map leaves the table"};
      }
      from[k] = from[k] * shape_[d] + c.dims[d][k];
    }
    if (!inside(from[k])) return Refusal{"the inner map leaves the table's domain"};
  }
  for (const auto& [axis, values] : values_) {
    std::vector<int64_t>& to = out.MutableValues(axis);
    for (size_t k = 0; k < from.size(); ++k) {
      for (size_t r = 0; r < size_t(replicas_); ++r) {
        to[k * size_t(replicas_) + r] = values[size_t(from[k]) * size_t(replicas_) + r];
      }
    }
  }
  return out;
}

Expected<Table> Table::Permute(std::span<const int> order) const {
  Shape shape;
  for (int d : order) shape.push_back(shape_[size_t(d)]);
  LayoutBuilder b(shape);
  for (size_t k = 0; k < order.size(); ++k) MapDim(&b, int(k), shape[int(k)], order[k]);
  TS_TRY(Layout map, b.Build());
  return Through(map);
}

Expected<Table> Table::Divide(int dim, int64_t tile) const {
  Shape shape;
  for (int d = 0; d < int(shape_.size()); ++d) {
    if (d == dim) shape.push_back(CeilDiv(shape_[size_t(d)], tile));
    shape.push_back(d == dim ? tile : shape_[size_t(d)]);
  }
  LayoutBuilder b(shape);
  for (int d = 0; d < int(shape_.size()); ++d) {
    if (d != dim) MapDim(&b, d + (d > dim), shape_[size_t(d)], d);
  }
  int64_t e = shape_[size_t(dim)];
  int8_t dims[] = {int8_t(dim), int8_t(dim + 1)};
  Mode m{CeilDiv(e, tile) * tile, Strides(Axis::Dim(dim), 1)};
  b.AddGroup(dims, e, {&m, 1});
  TS_TRY(Layout map, b.Build());
  return Through(map);
}

Expected<Table> Table::Reshape(std::span<const int64_t> shape) const {
  if (Product(shape) != box()) return Refusal{"a reshape keeps the number of elements"};
  DimList to, from;
  for (int d = 0; d < int(shape.size()); ++d) to.push_back(int8_t(d));
  for (int d = 0; d < int(shape_.size()); ++d) from.push_back(int8_t(d));
  Mode m{box(), from.empty() ? Strides() : Strides(Axis::Dims(from), 1)};
  LayoutBuilder b(shape);
  b.AddGroup(to, box(), {&m, 1});
  TS_TRY(Layout map, b.Build());
  return Through(map);
}

Expected<Table> Table::Slice(int dim, int64_t start, int64_t size) const {
  Shape shape(shape_);
  shape[dim] = size;
  LayoutBuilder b(shape);
  for (int d = 0; d < shape.size(); ++d) MapDim(&b, d, shape[d], d);
  b.SetOffset(Strides(Axis::Dim(dim), start));
  TS_TRY(Layout map, b.Build());
  return Through(map);
}

Expected<Table> Table::Drop(int dim, int64_t at) const {
  Shape shape(shape_);
  shape.erase(dim);
  LayoutBuilder b(shape);
  for (int d = 0; d < shape.size(); ++d) MapDim(&b, d, shape[d], d + (d >= dim));
  b.SetOffset(Strides(Axis::Dim(dim), at));
  TS_TRY(Layout map, b.Build());
  return Through(map);
}

Expected<Table> Table::Broadcast(int dim, int64_t n) const {
  Shape shape(shape_);
  shape.insert(dim, n);
  LayoutBuilder b(shape);
  Mode still{n, {}};
  b.AddDim(dim, {&still, 1});
  for (int d = 0; d < int(shape_.size()); ++d) MapDim(&b, d + (d >= dim), shape_[size_t(d)], d);
  TS_TRY(Layout map, b.Build());
  return Through(map);
}

// -- either form
// ------------------------------------------------------------------------------------

int64_t ExtentOf(const AnyLayout& layout, Axis axis) {
  if (const Layout* modes = std::get_if<Layout>(&layout)) return modes->Extent(axis);
  std::span<const int64_t> values = std::get<Table>(layout).Values(axis);
  return values.empty() ? 1 : *std::max_element(values.begin(), values.end()) + 1;
}

std::string TextOf(const AnyLayout& layout) {
  return std::visit([](const auto& l) { return l.Text(); }, layout);
}

Expected<AnyLayout> ParseAny(std::string_view text) {
  if (text.find("| table") != std::string_view::npos) {
    TS_TRY(Table t, Table::Parse(text));
    return AnyLayout(std::move(t));
  }
  TS_TRY(Layout l, Layout::Parse(text));
  return AnyLayout(l);
}

Expected<Table> TableOf(const AnyLayout& layout) {
  if (const auto* t = std::get_if<Table>(&layout)) return *t;
  return Table::FromLayout(std::get<Layout>(layout));
}

Expected<AnyLayout> ComposeAny(const AnyLayout& a, const Layout& b) {
  const Layout* modes = std::get_if<Layout>(&a);
  if (!modes) {
    TS_TRY(Table t, std::get<Table>(a).Through(b));
    return AnyLayout(std::move(t));
  }
  Expected<Layout> exact = Compose(*modes, b);
  if (exact.ok()) return AnyLayout(*std::move(exact));
  TS_TRY(Coordinates c, CoordinatesOf(b, modes->shape()));
  int64_t copies = modes->NumReplicas();
  if (!Enumerable(b.Size(), c.replicas * copies)) return TooLarge(b.Size());
  Table out(std::vector<int64_t>(b.shape().begin(), b.shape().end()), c.replicas * copies);
  for (size_t p = 0; p < c.inside.size(); ++p) out.set_inside(int64_t(p), c.inside[p]);
  for (Axis axis : modes->Axes()) {
    std::vector<int64_t>& to = out.MutableValues(axis);
    for (size_t k = 0; k < c.inside.size() * size_t(c.replicas); ++k) {
      if (!c.inside[k / size_t(c.replicas)]) continue;
      Shape x;
      for (const std::vector<int64_t>& dim : c.dims) x.push_back(dim[k]);
      for (int64_t r = 0; r < copies; ++r) {
        to[k * size_t(copies) + size_t(r)] = modes->At(axis, x, r);
      }
    }
  }
  return AnyLayout(std::move(out));
}

}  // namespace tilescale
