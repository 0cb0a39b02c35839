// SPDX-License-Identifier: MIT
// Exchanges and votes among the lanes of a warp. They order no memory. PTX: shfl.sync, vote.sync,
// match.sync, redux.sync (sm_80), elect.sync (sm_90).
#include "compiler/isa/instr.h"

namespace tilescale::isa {
namespace {

Instr Row(const std::string& name, const std::string& function) {
  Instr r;
  r.name = name;
  r.header = "ptx/shuffle.cuh";
  r.function = "ts::ptx::" + function;
  r.issue = Issue::kWarp;
  r.convergent = true;
  return r;
}

std::vector<Instr> Rows() {
  std::vector<Instr> out = {Row("shfl.idx", "shfl_idx"),       Row("shfl.xor", "shfl_xor"),
                            Row("shfl.up", "shfl_up"),         Row("shfl.down", "shfl_down"),
                            Row("vote.any", "vote_any"),       Row("vote.all", "vote_all"),
                            Row("vote.ballot", "vote_ballot"), Row("match.any", "match_any"),
                            Row("match.all", "match_all"),     Row("activemask", "activemask"),
                            Row("elect.one", "elect_one")};
  for (const char* op : {"add", "min", "max", "and", "or", "xor"}) {
    Instr r = Row(std::string("redux.") + op, std::string("redux_") + op);
    r.available = [](const Target& t) { return t.arch->has_redux; };
    out.push_back(std::move(r));
  }
  return out;
}

const Registration kRows(Rows());

}  // namespace
}  // namespace tilescale::isa
