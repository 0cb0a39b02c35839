// SPDX-License-Identifier: MIT
// Loops: trip counts, and the hints and annotations that become fields of the loop.
#include "compiler/ir/builder.h"
#include "compiler/ir/hint.h"
#include "compiler/ir/text.h"

#include <tvm/ffi/cast.h>

#include <algorithm>
#include <array>

namespace tilescale::ir {

namespace {

struct Range {
  Expr begin, extent, step;  // step null: 1
  DataType dtype;
};

// var = begin + i·step for i in [0, extent). A step whose sign is not known counts as positive.
Range MakeRange(const ffi::Any& begin, const ffi::Any& end, const ffi::Any& step) {
  Expr from = ToExpr(begin), to = ToExpr(end), by = IsNone(step) ? MakeConst(1) : ToExpr(step);
  for (const Expr& e : {from, to, by}) {
    if (!IsInteger(e.dtype()) || e.dtype().lanes != 1) {
      Raise("TypeError", "the range of a loop must be of integers, got `", Spelled(e), "` of ",
            LanguageName(e.dtype()));
    }
  }
  DataType common = Promote(from.dtype(), to.dtype());
  if (common.bits < 32) common = Int(32);
  from = CastTo(from, common);
  to = CastTo(to, common);
  by = CastTo(by, common);
  auto s = AsInt(by);
  if (s && *s == 0) Raise("ValueError", "Invalid stepped serial: step must be non-zero");
  bool down = s && *s < 0;
  Expr distance = down ? Minus(from, to) : Minus(to, from);
  if (!s) {
    distance = CeilDiv(distance, by);
  } else if (*s != 1 && *s != -1) {
    distance = CeilDiv(distance, MakeConst(down ? -*s : *s, common));
  }
  auto n = AsInt(distance);
  if (n && *n < 0) distance = MakeConst(0, common);
  return {from, distance, s && *s == 1 ? Expr() : by, common};
}

// Keys that the contract knows and that have no meaning here: accepted and listed by explain().
constexpr std::array<std::string_view, 12> kIgnoredKeys = {
    "tl_pipeline_sync",
    "pragma_auto_unroll_max_step",
    "disable_coalesced",
    "tl_pipelined_num_stages",
    "lexical_alloc_scope",
    "stmt_group",
    "tl.persistent",
    "layout_free_buffers",
    "enable_fadd2",
    "parallel_async_without_async_commit_wait",
    "tl.pipeline_context_num_stages",
    "loop_unswitching"};

ffi::Array<int64_t> ToInts(const ffi::Any& v, std::string_view what) {
  ffi::Array<int64_t> out;
  for (const ffi::Any& i : ToValues(v)) out.push_back(ToInt(i, what));
  return out;
}

PipelineHintObj* HintOf(ForObj* loop) {
  if (!loop->hint.defined()) {
    loop->hint = PipelineHint(ffi::make_object<PipelineHintObj>());
    loop->kind_ = static_cast<int64_t>(ForKind::kPipelined);
  }
  // Still private to this builder.
  return const_cast<PipelineHintObj*>(loop->hint.get());
}

int64_t NumStages(const ffi::Any& value) {
  if (value.type_index() == ffi::TypeIndex::kTVMFFIBool)
    Raise("TypeError", "num_stages must be a constant integer, got a bool");
  int64_t stages = ToInt(value, "num_stages");
  if (stages < 0) Raise("ValueError", "num_stages must not be negative, got ", stages);
  return stages;
}

void CheckHint(const PipelineHintObj* hint) {
  if (!hint->order.empty() && !hint->stage.empty() && hint->order.size() != hint->stage.size()) {
    Raise("ValueError", "T.Pipelined: order has ", hint->order.size(), " entries and stage has ",
          hint->stage.size());
  }
  std::vector<int64_t> order(hint->order.begin(), hint->order.end());
  std::sort(order.begin(), order.end());
  auto twice = std::adjacent_find(order.begin(), order.end());
  if (twice != order.end() && *twice >= 0) {
    Raise("ValueError", "T.Pipelined: order names position ", *twice, " twice");
  }
}

}  // namespace

bool BuilderObj::IgnoredKey(const std::string& key, std::string_view where) {
  if (std::find(kIgnoredKeys.begin(), kIgnoredKeys.end(), key) == kIgnoredKeys.end()) {
    Raise("CompileError", "unknown annotation \"", key, "\" of ", where);
  }
  options_->ignored.push_back(key);
  return true;
}

void BuilderObj::LoopAnnotation(ForObj* loop, const std::string& key, const ffi::Any& value) {
  if (key == "num_stages") {
    HintOf(loop)->stages = NumStages(value);
  } else if (key == "software_pipeline_stage" || key == "tl_pipeline_stage") {
    HintOf(loop)->stage = ToInts(value, key);
  } else if (key == "software_pipeline_order" || key == "tl_pipeline_order") {
    HintOf(loop)->order = ToInts(value, key);
  } else if (key == "software_pipeline_async_stages") {
    // Which stages are asynchronous is what SelectOps decides from the operations themselves.
    options_->ignored.push_back(key);
  } else if (key == "tl_pipeline_group") {
    ffi::Array<ffi::Array<int64_t>> groups;
    for (const ffi::Any& g : ToValues(value)) groups.push_back(ToInts(g, key));
    HintOf(loop)->group = groups;
  } else if (key == "pragma_unroll_explicit") {
    if (ToInt(value, key) != 0 && loop->loop() == ForKind::kUnroll) loop->factor = kExplicitUnroll;
  } else if (key == "pragma_unroll_factor") {
    loop->factor = ToInt(value, key);
  } else if (key == "tl.ws_op_id") {
    loop->label = ToText(value, key);
  } else {
    IgnoredKey(key, "a loop");
  }
}

Var BuilderObj::BeginFor(std::string_view kind, const ffi::Any& begin, const ffi::Any& end,
                         const ffi::Any& step, const Values& hints, const std::string& name) {
  NeedKernel("a loop");
  Range range = MakeRange(begin, end, step);
  auto loop = ffi::make_object<ForObj>();
  loop->begin = range.begin;
  loop->extent = range.extent;
  loop->step = range.step;
  CheckUses(range.begin.get());
  CheckUses(range.extent.get());
  if (range.step.defined()) CheckUses(range.step.get());
  Push(RegionKind::kFor, loop);
  auto hint = [&](size_t i) { return i + 1 < hints.size() ? hints[i] : ffi::Any(); };
  if (kind == "unroll") {
    loop->kind_ = static_cast<int64_t>(ForKind::kUnroll);
    bool whole = !IsNone(hint(0)) && ToInt(hint(0), "explicit") != 0;
    if (whole && !IsNone(hint(1))) {
      Raise("ValueError", "T.unroll's explicit and unroll_factor params are mutually exclusive.");
    }
    if (whole) loop->factor = kExplicitUnroll;
    if (!IsNone(hint(1))) loop->factor = ToInt(hint(1), "unroll_factor");
    if (loop->factor < kExplicitUnroll)
      Raise("ValueError", "unroll_factor must be positive, got ", loop->factor);
  } else if (kind == "vector") {
    loop->kind_ = static_cast<int64_t>(ForKind::kVector);
    if (!AsInt(range.extent)) {
      Raise("ValueError", "T.vectorized needs a constant extent, got `", Spelled(range.extent),
            "`");
    }
  } else if (kind == "pipelined") {
    PipelineHintObj* pipe = HintOf(loop.get());
    pipe->stages = IsNone(hint(0)) ? kAutomaticStages : NumStages(hint(0));
    if (!IsNone(hint(1))) pipe->order = ToInts(hint(1), "order");
    if (!IsNone(hint(2))) pipe->stage = ToInts(hint(2), "stage");
    if (!IsNone(hint(4))) LoopAnnotation(loop.get(), "tl_pipeline_group", hint(4));
  } else if (kind != "serial") {
    Raise("InternalError", "unknown kind of loop `", std::string(kind), "`");
  }
  for (const ffi::Any& pair : hints.empty() ? Values{} : ToValues(hints.back())) {
    Values entry = ToValues(pair);
    LoopAnnotation(loop.get(), ToText(entry.at(0), "an annotation's key"), entry.at(1));
  }
  if (loop->hint.defined()) CheckHint(loop->hint.get());
  loop->var = NewVar(name.empty() ? "i" : name, range.dtype);
  Declare(loop->var.get());
  return loop->var;
}

void BuilderObj::ParallelAnnotation(ParallelObj* loop, const std::string& key,
                                    const ffi::Any& value) {
  if (key == "coalesced_width") {
    loop->width = ToInt(value, key);
  } else if (key == "prefer_async" || key == "parallel_prefer_async") {
    loop->prefer_async = ToInt(value, key) != 0;
  } else if (key == "parallel_loop_layout") {
    std::vector<int64_t> shape;
    for (const Expr& e : loop->extents) {
      auto n = AsInt(e);
      if (!n) Raise("ValueError", "loop_layout needs constant extents, got `", Spelled(e), "`");
      shape.push_back(*n);
    }
    loop->layout =
        LayoutText(ToValues(value), shape, Int(32), kernel_->user_threads(), "T.Parallel");
    loop->layout_fixed = true;
  } else if (key == "tl.ws_op_id") {
    loop->label = ToText(value, key);
  } else {
    IgnoredKey(key, "T.Parallel");
  }
}

std::vector<Var> BuilderObj::BeginParallel(const Values& extents, const Values& hints,
                                           const std::vector<std::string>& names) {
  NeedKernel("T.Parallel");
  if (extents.empty()) Raise("ValueError", "T.Parallel needs at least one extent");
  auto loop = ffi::make_object<ParallelObj>();
  std::vector<Expr> sizes;
  for (const ffi::Any& v : extents) {
    Expr e = ToExpr(v);
    if (!IsInteger(e.dtype())) {
      Raise("TypeError", "an extent of T.Parallel must be an integer, got `", Spelled(e), "` of ",
            LanguageName(e.dtype()));
    }
    auto n = AsInt(e);
    if (n && *n < 0) Raise("ValueError", "an extent of T.Parallel must not be negative, got ", *n);
    CheckUses(e.get());
    sizes.push_back(CastTo(e, e.dtype().bits == 64 ? Int(64) : Int(32)));
  }
  loop->extents = ffi::Array<Expr>(sizes);
  Push(RegionKind::kParallel, loop);
  static constexpr const char* kKeys[] = {"coalesced_width", "parallel_loop_layout",
                                          "prefer_async"};
  for (size_t i = 0; i < 3 && i + 1 < hints.size(); ++i) {
    if (!IsNone(hints[i])) ParallelAnnotation(loop.get(), kKeys[i], hints[i]);
  }
  for (const ffi::Any& pair : hints.empty() ? Values{} : ToValues(hints.back())) {
    Values entry = ToValues(pair);
    ParallelAnnotation(loop.get(), ToText(entry.at(0), "an annotation's key"), entry.at(1));
  }
  if (loop->width < 0) Raise("ValueError", "coalesced_width must be positive, got ", loop->width);
  std::vector<Var> vars;
  for (size_t d = 0; d < sizes.size(); ++d) {
    static constexpr const char* kNames[] = {"i", "j", "k", "l"};
    std::string name = d < names.size() && !names[d].empty() ? names[d] : kNames[d % 4];
    vars.push_back(NewVar(name, sizes[d].dtype()));
    Declare(vars[d].get());
  }
  loop->vars = ffi::Array<Var>(vars);
  return vars;
}

}  // namespace tilescale::ir
