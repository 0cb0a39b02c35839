// SPDX-License-Identifier: MIT
#include "compiler/ir/build.h"
#include "compiler/ir/hint.h"
#include "compiler/ir/printer.h"
#include "compiler/ir/text_rules.h"
#include "compiler/ir/visit.h"

namespace tilescale::ir::text {
namespace {

template <typename Int>
std::string IntsText(const ffi::Array<Int>& values) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(values[i]);
  }
  return text + "]";
}

bool IsSized(const BufferObj* b) {
  if (!b->storage->bits.defined() || !b->strides.empty() || b->offset.defined()) return false;
  return SameExpr(b->storage->bits, ElementBits(b));
}

Buffer DeclaredBy(const Stmt& s) {
  if (const AllocObj* alloc = s.as<AllocObj>()) return alloc->buffer;
  if (const ViewObj* view = s.as<ViewObj>()) return view->buffer;
  return Buffer();
}

}  // namespace

// What follows a buffer's name: "f16[128, 32] strides [..] offset e root r sized".
void Printer::PrintBufferType(const BufferObj* b, Root usual_root) {
  out_ += ShortName(b->dtype);
  // A parameter's brackets tell a tensor of rank 0 from a scalar.
  if (!b->shape.empty() || usual_root == Root::kParam) {
    out_ += "[";
    PrintExprs(b->shape);
    out_ += "]";
  }
  if (!b->strides.empty()) {
    out_ += " strides [";
    PrintExprs(b->strides);
    out_ += "]";
  }
  if (b->offset.defined()) {
    out_ += " offset ";
    PrintExpr(b->offset);
  }
  if (storages_.count(b->storage.get()) != 0) return;
  storages_.emplace(b->storage.get(), b);
  if (b->storage->root() != usual_root)
    out_ += std::string(" root ") + RootName(b->storage->root());
  if (IsSized(b)) {
    out_ += " sized";
  } else if (b->storage->bits.defined()) {
    out_ += " bits ";
    PrintExpr(b->storage->bits);
  }
}

void Printer::PrintLayout(const ffi::String& layout, bool fixed) {
  if (fixed) out_ += " fixed";
  if (!layout.empty()) out_ += " layout " + Quote(View(layout));
}

void Printer::PrintAlloc(const AllocObj* alloc) {
  out_ += "alloc ";
  if (alloc->token.defined()) {
    const TokenObj* token = alloc->token.get();
    out_ += "%" + names_.Declare(token, View(token->name)) + ": token " + DoneName(token->done()) +
            " depth " + std::to_string(token->depth);
  } else {
    const BufferObj* b = alloc->buffer.get();
    out_ += "%" + names_.Declare(b, View(b->name)) + ": " + SpaceName(b->space()) + " ";
    PrintBufferType(b, Root::kAlloc);
  }
  auto fact = [&](const char* word, int64_t value, int64_t usual) {
    if (value != usual) out_ += std::string(" ") + word + " " + std::to_string(value);
  };
  fact("versions", alloc->versions, 1);
  fact("at", alloc->offset, -1);
  fact("align", alloc->align, 0);
  if (alloc->families != 0) out_ += " families " + FamiliesText(alloc->families);
  PrintLayout(alloc->layout, alloc->layout_fixed);
  if (alloc->init.defined()) {
    out_ += " init ";
    PrintExpr(alloc->init, 0, alloc->buffer.defined() ? alloc->buffer->dtype : Int(32));
  }
  fact("arrivals", alloc->arrivals, 0);
  fact("releases", alloc->release_arrivals, 0);
}

void Printer::PrintView(const ViewObj* view) {
  const BufferObj* b = view->buffer.get();
  const bool known = storages_.count(b->storage.get()) != 0;
  const std::string base =
      known ? NameOf(storages_.at(b->storage.get())) : std::string(SpaceName(b->space()));
  out_ += "view %" + names_.Declare(b, View(b->name)) + ": ";
  PrintBufferType(b, Root::kPointer);
  out_ += known ? " of %" + base : " in " + base;
  if (view->pointer.defined()) {
    out_ += " at ";
    PrintExpr(view->pointer);
  }
  if (view->version.defined()) {
    out_ += " version ";
    PrintExpr(view->version);
  }
  if (view->slots) out_ += " slots";
}

void Printer::PrintStore(const StoreObj* store) {
  out_ += "store %" + NameOf(store->buffer.get());
  if (!store->index.empty()) {
    out_ += "[";
    PrintExprs(store->index);
    out_ += "]";
  }
  out_ += " = ";
  PrintExpr(store->value, 0, store->buffer->dtype);
  if (store->guard.defined()) {
    out_ += " guard ";
    PrintExpr(store->guard);
  }
}

void Printer::PrintCall(const CallObj* call) {
  // Arguments first: a result may not be one, and a name it takes is not theirs.
  std::string head = std::move(out_);
  out_.clear();
  PrintExprs(call->args);
  std::string args = std::move(out_);
  if (!call->text.empty()) args += (args.empty() ? "" : ", ") + Quote(View(call->text));
  std::string guard;
  if (call->guard.defined()) {
    out_ = " guard ";
    PrintExpr(call->guard);
    guard = std::move(out_);
  }
  out_ = std::move(head);
  out_ += "call ";
  bool first = true;
  for (const Expr& result : call->results) {
    if (!first) out_ += ", ";
    first = false;
    if (const VarObj* v = result.as<VarObj>()) {
      out_ += "%" + names_.Declare(v, View(v->name)) + ": " + ShortName(v->dtype);
    } else {
      PrintExpr(result);
    }
  }
  if (!first) out_ += " = ";
  out_ += WordOrQuotedName(View(call->instr)) + "(" + args + ")" + guard;
}

void Printer::PrintHint(const PipelineHintObj* hint) {
  bool automatic = hint->stages == kAutomaticStages;
  out_ += "(stages=" + (automatic ? "auto" : std::to_string(hint->stages));
  if (!hint->order.empty()) out_ += ", order=" + IntsText(hint->order);
  if (!hint->stage.empty()) out_ += ", stage=" + IntsText(hint->stage);
  if (!hint->group.empty()) {
    out_ += ", group=[";
    for (size_t i = 0; i < hint->group.size(); ++i) {
      out_ += (i > 0 ? ", " : "") + IntsText(hint->group[i]);
    }
    out_ += "]";
  }
  out_ += ")";
}

void Printer::PrintFor(const ForObj* loop) {
  // The bounds stand outside the variable's scope.
  const DataType dtype = loop->var->dtype;
  std::string head = std::move(out_);
  out_.clear();
  if (IsConst(loop->begin, 0) && SameType(loop->begin.dtype(), dtype)) {
    out_ += "0..";
    PrintExpr(loop->extent, 0, dtype);
  } else {
    PrintExpr(loop->begin, 0, dtype);
    out_ += " +: ";
    PrintExpr(loop->extent, 0, dtype);
  }
  if (loop->step.defined()) {
    out_ += " step ";
    PrintExpr(loop->step, 0, dtype);
  }
  std::string bounds = std::move(out_);
  out_ = std::move(head);
  names_.Push();
  out_ += "for %" + names_.Declare(loop->var.get(), View(loop->var->name));
  if (!SameType(dtype, Int(32))) out_ += ": " + ShortName(dtype);
  out_ += " in " + bounds;
  if (loop->loop() != ForKind::kSerial) out_ += std::string(" ") + ForKindName(loop->loop());
  if (loop->factor != 0) out_ += " factor " + std::to_string(loop->factor);
  if (loop->hint.defined()) {
    if (loop->loop() != ForKind::kPipelined) out_ += " hint";
    PrintHint(loop->hint.get());
  }
  PrintSpan(loop->span);
  PrintBody(loop->body);
  names_.Pop();
}

void Printer::PrintParallel(const ParallelObj* nest) {
  std::string head = std::move(out_);
  out_.clear();
  for (size_t i = 0; i < nest->extents.size(); ++i) {
    if (i > 0) out_ += ", ";
    PrintExpr(nest->extents[i], 0, nest->vars[i].dtype());
  }
  std::string extents = std::move(out_);
  out_ = std::move(head);
  names_.Push();
  out_ += "parallel ";
  for (size_t i = 0; i < nest->vars.size(); ++i) {
    const Var v = nest->vars[i];
    out_ += (i > 0 ? ", %" : "%") + names_.Declare(v.get(), View(v->name));
    if (!SameType(v.dtype(), Int(32))) out_ += ": " + ShortName(v.dtype());
  }
  out_ += " in " + extents;
  if (nest->width != 0) out_ += " width " + std::to_string(nest->width);
  if (nest->prefer_async) out_ += " async";
  PrintLayout(nest->layout, nest->layout_fixed);
  PrintSpan(nest->span);
  PrintBody(nest->body);
  names_.Pop();
}

void Printer::PrintIf(const IfObj* branch) {
  out_ += "if ";
  PrintExpr(branch->cond);
  PrintSpan(branch->span);
  PrintBody(branch->then_case);
  if (!branch->else_case.defined()) return;
  out_ += " else";
  const std::vector<Stmt> stmts = StmtsOf(branch->else_case);
  if (stmts.size() == 1 && stmts[0].as<IfObj>() != nullptr && stmts[0]->label.empty()) {
    out_ += " ";
    PrintIf(stmts[0].as<IfObj>());
  } else {
    PrintBody(branch->else_case);
  }
}

void Printer::PrintWhile(const WhileObj* loop) {
  // What the head declares is in scope of the condition and of the body.
  names_.Push();
  out_ += "while ";
  if (loop->head.defined()) {
    out_ += "head {";
    PrintFlat(loop->head);
    out_ += "} ";
  }
  PrintExpr(loop->cond);
  PrintSpan(loop->span);
  PrintBody(loop->body);
  names_.Pop();
}

void Printer::PrintGroup(const GroupObj* group) {
  out_ += "group " + std::to_string(group->first) + " +: " + std::to_string(group->count);
  if (!group->name.empty()) out_ += " name " + WordOrQuoted(View(group->name));
  if (group->nreg != 0) out_ += " nreg " + std::to_string(group->nreg);
  PrintSpan(group->span);
  PrintBody(group->body);
}

void Printer::PrintFlat(const Stmt& body) {
  ++indent_;
  for (const Stmt& s : StmtsOf(body)) {
    Line();
    PrintStmt(s);
    const Buffer declared = DeclaredBy(s);
    if (declared.defined()) PrintMemories(declared->storage.get());
  }
  --indent_;
  Line();
}

void Printer::PrintBody(const Stmt& body) {
  out_ += " {";
  names_.Push();
  PrintFlat(body);
  names_.Pop();
  out_ += "}";
}

void Printer::PrintSimple(const Stmt& s) {
  switch (s.kind()) {
    case NodeKind::kBind: {
      const BindObj* bind = s.as<BindObj>();
      std::string head = std::move(out_);
      out_.clear();
      PrintExpr(bind->value);
      std::string value = std::move(out_);
      out_ = std::move(head);
      out_ += "bind %" + names_.Declare(bind->var.get(), View(bind->var->name)) + " = " + value;
      return;
    }
    case NodeKind::kAlloc:
      return PrintAlloc(s.as<AllocObj>());
    case NodeKind::kView:
      return PrintView(s.as<ViewObj>());
    case NodeKind::kStore:
      return PrintStore(s.as<StoreObj>());
    case NodeKind::kCall:
      return PrintCall(s.as<CallObj>());
    case NodeKind::kJump: {
      constexpr const char* kWords[] = {"break", "continue", "exit"};
      out_ += kWords[s.as<JumpObj>()->kind_];
      return;
    }
    case NodeKind::kTokenOp: {
      const TokenOpObj* op = s.as<TokenOpObj>();
      out_ += std::string(TokenVerbName(op->verb())) + " %" +
              names_.Of(op->token.get(), View(op->token->name));
      if (op->pending != 0) out_ += " pending " + std::to_string(op->pending);
      return;
    }
    case NodeKind::kCheck: {
      const CheckObj* check = s.as<CheckObj>();
      out_ += check->assume ? "assume " : "assert ";
      PrintExpr(check->cond);
      if (!check->message.empty()) out_ += ", " + Quote(View(check->message));
      return;
    }
    case NodeKind::kTileOp:
      return PrintTileOp(s.as<TileOpObj>());
    default:
      out_ += NodeKindName(s.kind());
  }
}

void Printer::PrintStmt(const Stmt& s) {
  if (!s.defined()) {
    out_ += "none";
    return;
  }
  if (!s->label.empty()) out_ += WordOrQuoted(View(s->label)) + ": ";
  switch (s.kind()) {
    case NodeKind::kFor:
      return PrintFor(s.as<ForObj>());
    case NodeKind::kParallel:
      return PrintParallel(s.as<ParallelObj>());
    case NodeKind::kIf:
      return PrintIf(s.as<IfObj>());
    case NodeKind::kWhile:
      return PrintWhile(s.as<WhileObj>());
    case NodeKind::kGroup:
      return PrintGroup(s.as<GroupObj>());
    case NodeKind::kKernel:
      return PrintKernel(s.as<KernelObj>());
    case NodeKind::kSeq:
      out_ += "{";
      names_.Push();
      PrintFlat(s);
      names_.Pop();
      out_ += "}";
      return;
    default:
      PrintSimple(s);
      PrintSpan(s->span);
  }
}

}  // namespace tilescale::ir::text
