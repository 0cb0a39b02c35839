// SPDX-License-Identifier: MIT
// Regions of the program under construction: which statements go where, which names may be used.
#include "compiler/ir/builder.h"
#include "compiler/ir/builder_schedule.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"

#include <tvm/ffi/cast.h>

#include <algorithm>
#include <cctype>

namespace tilescale::ir {

namespace {

constexpr size_t kMaxNested = 128;

}  // namespace

Builder MakeBuilder() {
  return Builder(ffi::make_object<BuilderObj>());
}

// -- frames
// --------------------------------------------------------------------------------------------

BuilderObj::Frame& BuilderObj::top() {
  if (frames_.empty()) Raise("RuntimeError", "no function is open in this builder");
  return frames_.back();
}

void BuilderObj::Push(RegionKind kind, ffi::ObjectPtr<StmtObj> node) {
  // Passes and the device compiler recurse into what is nested.
  if (frames_.size() > kMaxNested) {
    Raise("ValueError", "loops, branches and other blocks are nested more than ", kMaxNested,
          " deep");
  }
  int id;
  if (kind == RegionKind::kSide) {
    id = top().id;
  } else {
    id = static_cast<int>(open_.size());
    open_.push_back(true);
  }
  bool live = frames_.empty() || (frames_.back().live && !frames_.back().jumped);
  if (node) {
    node->span = span_;
    if (!labels_.empty() && labels_.back().depth == frames_.size())
      node->label = labels_.back().text;
  }
  frames_.push_back(Frame{kind, id, std::move(node), {}, false, live});
}

BuilderObj::Frame BuilderObj::Pop() {
  Frame frame = std::move(top());
  frames_.pop_back();
  if (frame.kind != RegionKind::kSide) open_[frame.id] = false;
  while (!labels_.empty() && labels_.back().depth > frames_.size()) labels_.pop_back();
  return frame;
}

Stmt BuilderObj::Attach(ffi::ObjectPtr<StmtObj> stmt, Frame* frame) {
  Stmt s(std::move(stmt));
  if (frame->live && !frame->jumped) frame->stmts.push_back(s);
  return s;
}

Stmt BuilderObj::Emit(ffi::ObjectPtr<StmtObj> stmt) {
  CheckUses(stmt.get());
  stmt->span = span_;
  if (!labels_.empty() && labels_.back().depth == frames_.size()) stmt->label = labels_.back().text;
  return Attach(std::move(stmt), &top());
}

void BuilderObj::NeedKernel(std::string_view what) const {
  if (kernel_) return;
  Raise("ValueError", what, " outside of a kernel: put it inside `with T.Kernel(...)`");
}

void BuilderObj::Declare(const ffi::Object* symbol) {
  region_of_[symbol] = top().id;
}

void BuilderObj::CheckUses(const NodeObj* node) const {
  auto check = [&](const ffi::Object* symbol, const ffi::String& name, DataType dtype,
                   bool is_var) {
    auto it = region_of_.find(symbol);
    if (it == region_of_.end() || open_[it->second]) return;
    if (!is_var) {
      Raise("RuntimeError", "Buffer `", std::string(name),
            "` is used outside its defining region! It was ",
            "allocated inside a loop or branch that has ended; allocate it before");
    }
    Raise("RuntimeError", "Immutable variable `", std::string(name),
          "` is used outside its defining region! It was bound inside a loop or branch that has "
          "ended; ",
          "declare `", std::string(name), " = T.alloc_var(\"", LanguageName(dtype),
          "\")` before it and assign to that");
  };
  Walk(node, [&](const NodeObj* n) {
    switch (n->kind) {
      case NodeKind::kVar: {
        const auto* v = static_cast<const VarObj*>(n);
        check(v, v->name, v->dtype, true);
        return true;
      }
      case NodeKind::kLoad: {
        const auto* load = static_cast<const LoadObj*>(n);
        check(load->buffer.get(), load->buffer->name, load->dtype, false);
        return true;
      }
      case NodeKind::kStore: {
        const auto* store = static_cast<const StoreObj*>(n);
        check(store->buffer.get(), store->buffer->name, store->buffer->dtype, false);
        return true;
      }
      case NodeKind::kRegion: {
        const auto* region = static_cast<const RegionObj*>(n);
        check(region->buffer.get(), region->buffer->name, region->buffer->dtype, false);
        return true;
      }
      default:
        return true;
    }
  });
}

// -- names
// ---------------------------------------------------------------------------------------------

std::string BuilderObj::Unique(const std::string& name) {
  std::string base;
  for (char c : name) base += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  if (base.empty() || std::isdigit(static_cast<unsigned char>(base[0])) != 0) base = "v" + base;
  int& uses = used_names_[base];
  if (uses++ == 0) return base;
  std::string unique = base + "_" + std::to_string(uses - 1);
  while (used_names_.count(unique) != 0) unique = base + "_" + std::to_string(++uses - 1);
  used_names_[unique] = 1;
  return unique;
}

Var BuilderObj::NewVar(const std::string& name, DataType dtype) {
  Var v = MakeVar(Unique(name.empty() ? "v" : name), dtype);
  keep_.push_back(v);
  if (!name.empty()) named_.insert(v.get());
  return v;
}

Buffer BuilderObj::NewBuffer(const std::string& name, DataType dtype, std::vector<Expr> shape,
                             Storage storage) {
  Buffer b = MakeBuffer(name, dtype, std::move(shape), std::move(storage));
  keep_.push_back(b);
  return b;
}

void BuilderObj::SetName(const ffi::ObjectRef& symbol, const std::string& text) {
  if (!named_.insert(symbol.get()).second) return;
  // A symbol's name is for printing; until the function is finished nobody else has seen it.
  if (const auto* v = symbol.as<VarObj>()) {
    const_cast<VarObj*>(v)->name = Unique(text);
  } else if (const auto* b = symbol.as<BufferObj>()) {
    auto* buffer = const_cast<BufferObj*>(b);
    buffer->name = Unique(text);
    if (allocs_.count(b) != 0) const_cast<StorageObj*>(b->storage.get())->name = buffer->name;
  } else {
    Raise("InternalError", "only variables and buffers have names");
  }
}

// -- program
// -------------------------------------------------------------------------------------------

void BuilderObj::BeginFunc(const std::string& name) {
  if (func_) Raise("RuntimeError", "a function is open already in this builder");
  func_ = ffi::make_object<FuncObj>();
  func_->name = name;
  options_ = ffi::make_object<OptionsObj>();
  Push(RegionKind::kFunc, nullptr);
}

Func BuilderObj::EndFunc() {
  if (!func_ || frames_.size() != 1) Raise("InternalError", "end_func with an open region");
  Frame frame = Pop();
  func_->body = MakeSeq(std::move(frame.stmts));
  func_->options = Options(std::move(options_));
  return Func(std::move(func_));
}

ffi::ObjectRef BuilderObj::AddParam(std::string_view kind, const std::string& name, DataType dtype,
                                    const Values& shape, const ffi::Any& strides,
                                    std::string_view scope, bool is_out) {
  if (!func_) Raise("RuntimeError", "a parameter needs an open function");
  auto param = ffi::make_object<ParamObj>();
  std::string unique = Unique(name);
  param->name = unique;
  param->is_out = is_out;
  ffi::ObjectRef symbol;
  if (kind == "tensor") {
    if (scope != "global") {
      Raise("ValueError", "parameter `", name, "` of scope \"", std::string(scope),
            "\": a kernel's tensors are global");
    }
    auto buffer = ffi::make_object<BufferObj>();
    Expr bits = MakeConst(dtype.bits * dtype.lanes, Int(64));
    std::vector<Expr> extents, steps;
    for (const ffi::Any& v : shape) {
      extents.push_back(ToExpr(v));
      const auto extent = AsInt(extents.back());
      if (!IsInteger(extents.back().dtype()) || (extent && *extent < 0)) {
        Raise(extent ? "ValueError" : "TypeError", "parameter `", name,
              "`: the extent of a dimension is an integer of at least 0, got ",
              DimText(extents.back()));
      }
      bits = Mul(bits, CastTo(extents.back(), Int(64)));
    }
    for (const ffi::Any& v : ToValues(strides)) steps.push_back(ToExpr(v));
    if (!steps.empty() && steps.size() != extents.size()) {
      Raise("ValueError", "parameter `", name, "` has ", extents.size(), " dimensions and ",
            steps.size(), " strides");
    }
    if (const int64_t each = 8 / (dtype.bits * dtype.lanes); each > 1 && !extents.empty()) {
      auto last = AsInt(extents.back());
      if (last && *last % each != 0) {
        Raise("ValueError", "parameter `", name, "`: ", each, " elements of ", LanguageName(dtype),
              " share a byte, its last dimension must be a multiple of ", each, ", got ", *last);
      }
    }
    buffer->name = unique;
    buffer->dtype = dtype;
    buffer->shape = ffi::Array<Expr>(extents);
    buffer->strides = ffi::Array<Expr>(steps);
    // A strided tensor may be larger than its elements: its size is not known here.
    buffer->storage =
        MakeStorage(unique, Space::kGlobal, Root::kParam, steps.empty() ? bits : Expr());
    param->kind_ = static_cast<int64_t>(ParamKind::kTensor);
    param->buffer = Buffer(buffer);
    symbol = param->buffer;
  } else if (kind == "scalar" || kind == "pointer") {
    bool pointer = kind == "pointer";
    Var var = MakeVar(unique, pointer ? Handle() : dtype);
    param->kind_ = static_cast<int64_t>(pointer ? ParamKind::kPointer : ParamKind::kScalar);
    param->var = var;
    param->restrict_ = !pointer;
    if (pointer) {
      Storage storage = MakeStorage(unique, Space::kGlobal, Root::kPointer);
      param->buffer = MakeBuffer(unique, UInt(8), {MakeConst(1)}, storage);
      pointees_[var.get()] = storage;
    }
    symbol = var;
  } else {
    Raise("InternalError", "unknown kind of parameter `", std::string(kind), "`");
  }
  keep_.push_back(symbol);
  named_.insert(symbol.get());
  func_->params.push_back(Param(param));
  return symbol;
}

// -- regions
// ---------------------------------------------------------------------------------------------

std::pair<std::vector<Var>, std::vector<Var>> BuilderObj::BeginKernel(
    const Values& grid, const Values& threads, const std::vector<int64_t>& cluster,
    const std::string& prelude, const std::vector<std::string>& names) {
  if (kernel_)
    Raise("ValueError", "T.Kernel inside of T.Kernel: a kernel cannot launch another one");
  if (top().kind != RegionKind::kFunc && top().kind != RegionKind::kThen &&
      top().kind != RegionKind::kElse) {
    Raise("NotImplementedError", "T.Kernel in a loop of the host is not supported yet");
  }
  if (grid.size() > 3)
    Raise("ValueError", "T.Kernel takes at most 3 grid extents, got ", grid.size());
  auto kernel = ffi::make_object<KernelObj>();
  std::string name = func_->name;
  if (num_kernels_ > 0) name += "_" + std::to_string(num_kernels_);
  ++num_kernels_;
  kernel->name = name;
  kernel->prelude = prelude;
  static constexpr const char* kBlocks[] = {"bx", "by", "bz"};
  static constexpr const char* kThreads[] = {"tx", "ty", "tz"};
  std::vector<Expr> extents;
  for (size_t d = 0; d < 3; ++d) {
    extents.push_back(d < grid.size() ? ToExpr(grid[d]) : MakeConst(1));
    if (!IsInteger(extents.back().dtype())) {
      Raise("TypeError", "grid extent ", d, " must be an integer, got `", Spelled(extents.back()),
            "`");
    }
    int64_t n = d < threads.size() ? ToInt(threads[d], "threads") : 1;
    if (n <= 0) Raise("ValueError", "threads must be positive, got ", n);
    kernel->threads.push_back(n);
    kernel->cluster.push_back(d < cluster.size() ? cluster[d] : 1);
    if (kernel->cluster[d] != 1)
      Raise("NotImplementedError", "T.ClusterKernel is not supported yet");
  }
  for (const Expr& e : extents) CheckUses(e.get());
  kernel->grid = ffi::Array<Expr>(extents);
  Push(RegionKind::kKernel, kernel);
  kernel_ = kernel;
  std::vector<Var> blocks, lanes;
  for (size_t d = 0; d < 3; ++d) {
    Var b = NewVar(d < names.size() && !names[d].empty() ? names[d] : kBlocks[d], Int(32));
    Declare(b.get());
    kernel->block_vars.push_back(b);
    if (d < grid.size()) blocks.push_back(b);
  }
  for (size_t d = 0; d < 3; ++d) {
    lanes.push_back(NewVar(kThreads[d], Int(32)));
    Declare(lanes[d].get());
    kernel->thread_vars.push_back(lanes[d]);
  }
  return {blocks, lanes};
}

void BuilderObj::BeginWhile() {
  NeedKernel("a while loop");
  Push(RegionKind::kWhileHead, ffi::make_object<WhileObj>());
}

void BuilderObj::WhileCond(const ffi::Any& cond) {
  if (top().kind != RegionKind::kWhileHead)
    Raise("InternalError", "while_cond outside of a while's head");
  Expr test = ToBool(ToExpr(cond));
  CheckUses(test.get());
  // The head's names are in scope of the condition and of the body: one region.
  Frame& frame = top();
  auto* loop = static_cast<WhileObj*>(frame.node.get());
  if (!frame.stmts.empty()) loop->head = MakeSeq(std::move(frame.stmts));
  frame.stmts.clear();
  frame.jumped = false;
  loop->cond = test;
  frame.kind = RegionKind::kWhile;
}

void BuilderObj::BeginIf(const ffi::Any& cond) {
  auto node = ffi::make_object<IfObj>();
  node->cond = ToBool(ToExpr(cond));
  CheckUses(node->cond.get());
  Push(RegionKind::kThen, node);
}

void BuilderObj::BeginElse() {
  if (top().kind != RegionKind::kThen) Raise("InternalError", "begin_else without an open if");
  Frame then = Pop();
  auto node = then.node;
  static_cast<IfObj*>(node.get())->then_case = MakeSeq(std::move(then.stmts));
  Span span = node->span;
  ffi::String label = node->label;
  Push(RegionKind::kElse, node);
  node->span = span;
  node->label = label;
}

void BuilderObj::BeginGroup(int64_t first, int64_t count) {
  NeedKernel("T.ws");
  int64_t threads = kernel_->user_threads();
  if (first < 0 || count <= 0 || first + count > threads) {
    Raise("ValueError", "T.ws names threads ", first, " to ", first + count,
          ", but the kernel has ", threads);
  }
  auto group = ffi::make_object<GroupObj>();
  group->first = first;
  group->count = count;
  Push(RegionKind::kGroup, group);
}

void BuilderObj::BeginSide() {
  Push(RegionKind::kSide, nullptr);
}

Side BuilderObj::EndSide() {
  if (top().kind != RegionKind::kSide) Raise("InternalError", "end_side without an open side");
  Frame frame = Pop();
  if (frame.stmts.empty()) return Side();
  auto side = ffi::make_object<SideObj>();
  side->stmts = std::move(frame.stmts);
  return Side(std::move(side));
}

void BuilderObj::Splice(const Side& side) {
  if (!side.defined()) return;
  Frame& frame = top();
  if (frame.live && !frame.jumped) {
    frame.stmts.insert(frame.stmts.end(), side->stmts.begin(), side->stmts.end());
  }
  side->stmts.clear();
}

void BuilderObj::End() {
  RegionKind kind = top().kind;
  if (kind == RegionKind::kFunc || kind == RegionKind::kSide || kind == RegionKind::kWhileHead) {
    Raise("InternalError", "end without a matching begin");
  }
  Close(Pop());
}

// The popped region becomes the body of its statement.
void BuilderObj::Close(Frame frame) {
  Stmt body = MakeSeq(std::move(frame.stmts));
  switch (frame.kind) {
    case RegionKind::kKernel:
      kernel_->body = body;
      if (!ws_schedule_.empty()) {
        kernel_->schedule = MakeWsSchedule(kernel_.get(), ws_schedule_);
        ws_schedule_.clear();
      }
      kernel_ = nullptr;
      grid_barrier_ = rank_barrier_ = Buffer();
      break;
    case RegionKind::kFor:
      static_cast<ForObj*>(frame.node.get())->body = body;
      break;
    case RegionKind::kParallel:
      static_cast<ParallelObj*>(frame.node.get())->body = body;
      break;
    case RegionKind::kWhile:
      static_cast<WhileObj*>(frame.node.get())->body = body;
      break;
    case RegionKind::kThen:
      static_cast<IfObj*>(frame.node.get())->then_case = body;
      break;
    case RegionKind::kElse: {
      auto* node = static_cast<IfObj*>(frame.node.get());
      if (!StmtsOf(body).empty()) node->else_case = body;
      break;
    }
    case RegionKind::kGroup:
      static_cast<GroupObj*>(frame.node.get())->body = body;
      break;
    default:
      break;
  }
  Attach(std::move(frame.node), &top());
}

// -- simple statements
// -----------------------------------------------------------------------------------

void BuilderObj::BeginLabel(const std::string& text) {
  labels_.push_back({text, frames_.size()});
}

void BuilderObj::EndLabel() {
  if (labels_.empty()) Raise("InternalError", "end_label without a label");
  labels_.pop_back();
}

Var BuilderObj::EmitBind(const std::string& name, Expr value) {
  auto bind = ffi::make_object<BindObj>();
  bind->var = NewVar(name, value.dtype());
  bind->value = value;
  Emit(bind);
  Declare(bind->var.get());
  lets_[bind->var.get()] = value;
  return bind->var;
}

Var BuilderObj::AddBind(const std::string& name, const ffi::Any& value) {
  return EmitBind(name, ToExpr(value));
}

Expr BuilderObj::LetOf(const ffi::Any& v) const {
  const auto* var = v.as<VarObj>();
  if (var == nullptr) return Expr();
  auto it = lets_.find(var);
  return it == lets_.end() ? Expr() : it->second;
}

void BuilderObj::AddCheck(std::string_view kind, const ffi::Any& cond, const std::string& message) {
  auto check = ffi::make_object<CheckObj>();
  check->assume = kind == "assume";
  check->cond = ToBool(ToExpr(cond));
  check->message = message;
  if (kind == "device_assert") NeedKernel("T.device_assert");
  Emit(check);
}

void BuilderObj::AddJump(std::string_view kind) {
  NeedKernel(kind == "return" ? "T.thread_return" : kind);
  bool exits = kind == "return";
  if (!exits) {
    // The innermost loop of the trace; a Parallel has no order to break.
    auto loop = std::find_if(frames_.rbegin(), frames_.rend(), [](const Frame& f) {
      return f.kind == RegionKind::kFor || f.kind == RegionKind::kWhile ||
             f.kind == RegionKind::kParallel || f.kind == RegionKind::kWhileHead;
    });
    if (loop == frames_.rend())
      Raise("SyntaxError", "'", kind, "' outside of a loop of the kernel");
    if (loop->kind == RegionKind::kParallel) {
      Raise("ValueError", "'", kind, "' in T.Parallel: its points have no order");
    }
  }
  auto jump = ffi::make_object<JumpObj>();
  jump->kind_ = static_cast<int64_t>(exits             ? JumpKind::kExit
                                     : kind == "break" ? JumpKind::kBreak
                                                       : JumpKind::kContinue);
  Emit(jump);
  top().jumped = true;
}

int64_t BuilderObj::At(const Values& chain) {
  if (chain.size() % 4 != 0) Raise("InternalError", "a span chain has four entries a line");
  Span span;
  for (size_t i = chain.size(); i >= 4; i -= 4) {
    auto node = ffi::make_object<SpanObj>();
    node->file = chain[i - 4].cast<ffi::String>();
    node->line = chain[i - 3].cast<int64_t>();
    node->column = chain[i - 2].cast<int64_t>();
    node->function = chain[i - 1].cast<ffi::String>();
    node->caller = span;
    span = Span(node);
  }
  spans_.push_back(span);
  span_ = span;
  return static_cast<int64_t>(spans_.size()) - 1;
}

void BuilderObj::AtId(int64_t id) {
  if (id < 0 || id >= static_cast<int64_t>(spans_.size())) Raise("InternalError", "no span ", id);
  span_ = spans_[id];
}

}  // namespace tilescale::ir
