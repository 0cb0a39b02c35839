// SPDX-License-Identifier: MIT
// mma.sync: D = A·B + C by one warp, all operands in registers. The fragment layouts are PTX's
// figures for each shape ("Matrix Fragments for mma.m16n8k16 …"): with e elements of one operand in
// a register,
//   A  row digits 8:4t 2:es,       column digits e:1s 4:1t (K/4e):2es
//   B  (stored n, k)  8:4t,        e:1s 4:1t (K/4e):es
//   C  8:4t 2:2s,                  2:1s 4:1t
#include "compiler/isa/instr.h"

namespace tilescale::isa {
namespace {

using ir::DataType;

bool HasMma(const Target& t) {
  return t.arch->has_ldmatrix;
}
bool HasFp8(const Target& t) {
  return t.arch->has_fp8_mma;
}

std::string PtxName(DataType t) {
  if (ir::IsInt(t)) return "s" + std::to_string(t.bits);
  return ir::ShortName(t);
}

std::string Text(int64_t v) {
  return std::to_string(v);
}

// A over (m, k): m16 atoms; m8 for the f64 shape.
Layout OperandA(int m, int k, int bits) {
  int e = bits >= 32 ? 1 : 32 / bits;
  int high = k / (4 * e);
  std::string rows = m == 16 ? "8:4t 2:" + Text(e) + "s" : "8:4t";
  int step = m == 16 ? 2 * e : e;
  std::string cols = (e > 1 ? Text(e) + ":1s " : "") + "4:1t" +
                     (high > 1 ? " " + Text(high) + ":" + Text(step) + "s" : "");
  return Layout::Literal(Text(m) + "," + Text(k) + " | " + rows + " | " + cols);
}

Layout OperandB(int n, int k, int bits) {
  int e = bits >= 32 ? 1 : 32 / bits;
  int high = k / (4 * e);
  std::string cols = (e > 1 ? Text(e) + ":1s " : "") + "4:1t" +
                     (high > 1 ? " " + Text(high) + ":" + Text(e) + "s" : "");
  return Layout::Literal(Text(n) + "," + Text(k) + " | 8:4t | " + cols);
}

MmaRow Make(int m, int k, DataType a, DataType b, DataType c, bool (*available)(const Target&)) {
  MmaRow r;
  r.m = m;
  r.n = 8;
  r.k = k;
  r.a = a;
  r.b = b;
  r.c = c;
  r.instr =
      "mma.m" + Text(m) + "n8k" + Text(k) + "." + PtxName(c) + "." + PtxName(a) + "." + PtxName(b);
  r.a_layout = OperandA(m, k, a.bits);
  r.b_layout = OperandB(8, k, b.bits);
  r.c_layout = Layout::Literal(m == 16 ? "16,8 | 8:4t 2:2s | 2:1s 4:1t" : "8,8 | 8:4t | 2:1s 4:1t");
  r.available = available;
  return r;
}

std::vector<MmaRow> MakeRows() {
  using namespace ir;  // NOLINT: dtype names
  std::vector<MmaRow> rows;
  for (DataType c : {Float(32), Float(16)})
    rows.push_back(Make(16, 16, Float(16), Float(16), c, HasMma));
  rows.push_back(Make(16, 16, BFloat16(), BFloat16(), Float(32), HasMma));
  rows.push_back(Make(16, 8, Tf32(), Tf32(), Float(32), HasMma));
  rows.push_back(Make(8, 4, Float(64), Float(64), Float(64), HasMma));
  for (DataType a : {Int(8), UInt(8)}) {
    for (DataType b : {Int(8), UInt(8)}) rows.push_back(Make(16, 32, a, b, Int(32), HasMma));
  }
  for (DataType a : {Int(4), UInt(4)}) {
    for (DataType b : {Int(4), UInt(4)}) rows.push_back(Make(16, 64, a, b, Int(32), HasMma));
  }
  for (DataType c : {Float(32), Float(16)}) {
    for (DataType a : {E4M3(), E5M2()}) {
      for (DataType b : {E4M3(), E5M2()}) rows.push_back(Make(16, 32, a, b, c, HasFp8));
    }
  }
  return rows;
}

std::vector<Instr> Instructions() {
  std::vector<Instr> out;
  for (const MmaRow& m : MmaRows()) {
    Instr r;
    r.name = m.instr;
    r.header = "ptx/mma_sync.cuh";
    r.function = "ts::ptx::mma_m" + Text(m.m) + "n8k" + Text(m.k) + "_" + PtxName(m.c) + "_" +
                 PtxName(m.a) + "_" + PtxName(m.b);
    r.issue = Issue::kWarp;
    r.convergent = true;
    r.results_by_pointer = true;
    r.casts = {"", "const ts::u32*", "const ts::u32*", ""};
    r.effects = {
        {0, ir::Mode::kRead}, {1, ir::Mode::kRead}, {2, ir::Mode::kRead}, {-1, ir::Mode::kWrite}};
    r.available = m.available;
    out.push_back(std::move(r));
  }
  return out;
}

const Registration kRows(Instructions());

}  // namespace

const std::vector<MmaRow>& MmaRows() {
  static const auto* rows = new std::vector<MmaRow>(MakeRows());
  return *rows;
}

}  // namespace tilescale::isa
