// SPDX-License-Identifier: MIT
// Statements as C++: one statement a line, `#line` before each that has a place.
#include "compiler/codegen/cuda/printer.h"
#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"
#include "compiler/isa/instr.h"
#include "support/diagnostics.h"

namespace tilescale::codegen::cuda {

void Printer::Put(const std::string& line) {
  out_.append(indent_ * 2, ' ');
  out_ += line;
  out_ += '\n';
}

void Printer::Line(const ir::Span& span) {
  if (!span.defined()) return;
  if (func_->options->source_comments && span.get() != last_span_) {
    out_.append(indent_ * 2, ' ');
    out_ += "// line " + std::to_string(span->line) + " in " + std::string(span->function) + "\n";
    last_span_ = span.get();
  }
  out_ += "#line " + std::to_string(span->line) + " \"" + std::string(span->file) + "\"\n";
}

void Printer::Body(const ir::Stmt& s) {
  std::unordered_set<const ir::StorageObj*> outer = std::exchange(pointers_, {});
  ++indent_;
  if (s.defined()) {
    for (const ir::Stmt& x : ir::StmtsOf(s)) Stmt(x);
  }
  --indent_;
  pointers_ = std::move(outer);
}

void Printer::Alloc(const ir::AllocObj* s) {
  const ir::Buffer& b = s->buffer;
  TS_CHECK(b.defined()) << "token declaration in the printer";
  declared_[b->storage.get()] = b->dtype;
  std::string name = ArrayName(b), type = TypeName(b->dtype);
  switch (b->space()) {
    case ir::Space::kShared:
    case ir::Space::kMbar: {
      TS_CHECK(s->offset >= 0) << "shared buffer " << b->name << " has no address";
      if (b->space() == ir::Space::kMbar) {
        headers_.insert("ptx/mbarrier.cuh");
        type = "ts::mbar";
      }
      Put("TS_SMEM(" + type + ", " + name + ", " + std::to_string(ir::NumElements(b)) + ", " +
          std::to_string(s->offset) + ");");
      return;
    }
    case ir::Space::kLocal:
      Put("TS_LOCAL(" + type + ", " + name + ", " + std::to_string(ir::NumElements(b)) + ");");
      return;
    case ir::Space::kVar:
      Put("TS_VAR(" + type + ", " + name + ");");
      if (s->init.defined()) Put(name + " = " + Value(s->init) + ";");
      return;
    default:
      TS_UNREACHABLE("declaration of " << ir::SpaceName(b->space()) << " memory in a kernel");
  }
}

namespace {

// Does a store move an element from or to another rank? Those of tiles do; T.ld and T.st are calls.
bool Moves(const ir::StoreObj* s) {
  auto is_remote = [](const ir::Buffer& b) { return b->storage->root() == ir::Root::kHeap; };
  bool found = is_remote(s->buffer);
  ir::WalkOnce(s->value, [&](const ir::NodeObj* n) {
    const auto* load =
        n->kind == ir::NodeKind::kLoad ? static_cast<const ir::LoadObj*>(n) : nullptr;
    found = found || (load != nullptr && is_remote(load->buffer));
    return !found;
  });
  return found;
}

}  // namespace

void Printer::Store(const ir::StoreObj* s) {
  std::string place = s->value.dtype().lanes > 1
                          ? VectorPlace(s->buffer, s->index[0], s->value.dtype(), true)
                          : Element(s->buffer, s->index.empty() ? ir::MakeConst(0) : s->index[0]);
  std::string text = place + " = " + Value(s->value) + ";";
  if (Moves(s)) text = "{ TS_MOVE(); " + text + " }";
  Put(s->guard.defined() ? "if (" + IndexOrValue(s->guard) + ") " + text : text);
}

void Printer::For(const ir::ForObj* s) {
  std::string v = Name(s->var.get(), ir::Str(s->var->name)), type = TypeName(s->var.dtype());
  std::string begin = Expr(s->begin);
  std::string step = s->step.defined() ? Expr(s->step) : "1";
  auto unit = s->step.defined() ? ir::AsInt(s->step) : std::optional<int64_t>(1);
  if (s->loop() == ir::ForKind::kUnroll) {
    Put(s->factor > 0 ? "#pragma unroll " + std::to_string(s->factor) : "#pragma unroll");
    if (s->factor == 0) unrolled_.insert(s->var.get());
  } else if (ir::AsInt(s->extent).value_or(0) > 4) {
    Put("#pragma unroll 1");
  }
  if (unit && *unit > 0) {
    // begin + extent·step as one expression where constant.
    ir::Expr end = ir::Add(s->begin, ir::Mul(ir::Cast(s->extent, s->begin.dtype()), *unit));
    std::string advance = *unit == 1 ? "++" + v : v + " += " + step;
    Put("for (" + type + " " + v + " = " + begin + "; " + v + " < " + Expr(end) + "; " + advance +
        ") {");
    Body(s->body);
    Put("}");
    return;
  }
  std::string n = Name(s, std::string(s->var->name) + "_n");
  Put("for (int " + n + " = 0; " + n + " < " + Expr(s->extent) + "; ++" + n + ") {");
  ++indent_;
  Put("const " + type + " " + v + " = " + begin + " + " + n + " * (" + step + ");");
  --indent_;
  Body(s->body);
  Put("}");
}

namespace {

// "relaxed.gpu" → "<ts::Sem::relaxed, ts::Scope::gpu>"; "gpu" → "<ts::Scope::gpu>".
std::string TemplateText(std::string_view text) {
  size_t dot = text.find('.');
  if (dot == std::string_view::npos) return "<ts::Scope::" + std::string(text) + ">";
  return "<ts::Sem::" + std::string(text.substr(0, dot)) +
         ", ts::Scope::" + std::string(text.substr(dot + 1)) + ">";
}

std::string Quoted(std::string_view s) {
  std::string out = "\"";
  for (char c : s) {
    switch (c) {
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      default:
        out += c;
    }
  }
  return out + "\"";
}

}  // namespace

std::string Printer::CallText(const ir::CallObj* s) {
  const isa::Instr& row = isa::Get(ir::Str(s->instr));
  if (!row.header.empty()) headers_.insert(row.header);
  std::string f = row.function;
  size_t first = 0;
  if (row.opaque) f = std::string(s->text);
  if (row.text_is_template && s->text.size() > 0) f += TemplateText(ir::Str(s->text));
  if (row.template_args > 0) {
    f += "<";
    for (; first < static_cast<size_t>(row.template_args); ++first) {
      f += (first ? ", " : "") + Expr(s->args[first]);
    }
    f += ">";
  }
  std::vector<std::string> args;
  auto add = [&](const ir::Expr& e) {
    size_t i = args.size();
    std::string text = Value(e);
    if (i < row.casts.size() && !row.casts[i].empty())
      text = "(" + row.casts[i] + ")(" + text + ")";
    args.push_back(text);
  };
  if (s->instr == "print" || s->instr == "assert") args.push_back(Quoted(ir::Str(s->text)));
  if (row.results_by_pointer) {
    for (const ir::Expr& r : s->results) add(r);
  }
  for (size_t i = first; i < s->args.size(); ++i) add(s->args[i]);
  std::string text = f + "(";
  for (size_t i = 0; i < args.size(); ++i) text += (i ? ", " : "") + args[i];
  return text + ")";
}

void Printer::Call(const ir::CallObj* s) {
  const isa::Instr& row = isa::Get(ir::Str(s->instr));
  std::string text = CallText(s);
  if (s->results.empty() || row.results_by_pointer) {
    Put(s->guard.defined() ? "if (" + Expr(s->guard) + ") " + text + ";" : text + ";");
    return;
  }
  const ir::Expr& r = s->results[0];
  if (r.kind() != ir::NodeKind::kVar) {
    const auto* region = r.as<ir::AddrObj>()->region.get();
    Put(Element(region->buffer, region->begin[0]) + " = " + text + ";");
    return;
  }
  std::string v = Name(r.get(), ir::Str(r.as<ir::VarObj>()->name));
  values_.insert(r.get());
  const std::string type = TypeName(r.dtype());
  if (s->guard.defined()) text = Expr(s->guard) + " ? " + text + " : " + type + "{}";
  Put("const " + type + " " + v + " = " + text + ";");
}

void Printer::Stmt(const ir::Stmt& s) {
  if (s.kind() == ir::NodeKind::kSeq) {
    for (const ir::Stmt& x : ir::StmtsOf(s)) Stmt(x);
    return;
  }
  Line(s->span);
  switch (s.kind()) {
    case ir::NodeKind::kBind: {
      const auto* bind = s.as<ir::BindObj>();
      const bool is_value = indices_.count(bind->var.get()) == 0 || IsValue(bind->value, false);
      if (is_value) values_.insert(bind->var.get());
      std::string value = is_value ? Value(bind->value) : Expr(bind->value);
      Put("const " + TypeName(bind->var.dtype()) + " " +
          Name(bind->var.get(), ir::Str(bind->var->name)) + " = " + value + ";");
      return;
    }
    case ir::NodeKind::kAlloc:
      Alloc(s.as<ir::AllocObj>());
      return;
    case ir::NodeKind::kView: {
      const auto* view = s.as<ir::ViewObj>();
      const ir::Buffer& b = view->buffer;
      // Views of one pointer are one storage and share a name.
      if (!pointers_.insert(b->storage.get()).second) return;
      std::string type = TypeName(declared_.try_emplace(b->storage.get(), b->dtype).first->second);
      std::string value = Expr(view->pointer);
      Put(type + "* " + ArrayName(b) + " = (" + type + "*)(" + value + ");");
      return;
    }
    case ir::NodeKind::kStore:
      Store(s.as<ir::StoreObj>());
      return;
    case ir::NodeKind::kFor:
      For(s.as<ir::ForObj>());
      return;
    case ir::NodeKind::kWhile: {
      const auto* w = s.as<ir::WhileObj>();
      Put("for (;;) {");
      Body(w->head);
      ++indent_;
      Line(s->span);
      Put("if (!(" + IndexOrValue(w->cond) + ")) break;");
      Line(s->span);
      Put("ts::spin();");
      --indent_;
      Body(w->body);
      Put("}");
      return;
    }
    case ir::NodeKind::kIf: {
      const auto* i = s.as<ir::IfObj>();
      Put("if (" + IndexOrValue(i->cond) + ") {");
      Body(i->then_case);
      if (i->else_case.defined()) {
        Put("} else {");
        Body(i->else_case);
      }
      Put("}");
      return;
    }
    case ir::NodeKind::kJump: {
      auto kind = s.as<ir::JumpObj>()->jump();
      Put(kind == ir::JumpKind::kBreak      ? "break;"
          : kind == ir::JumpKind::kContinue ? "continue;"
                                            : "return;");
      return;
    }
    case ir::NodeKind::kGroup: {
      const auto* g = s.as<ir::GroupObj>();
      std::string rank = "ts::thread_rank()", cond;
      if (g->first > 0) cond = rank + " >= " + std::to_string(g->first);
      cond += (cond.empty() ? "" : " && ") + rank + " < " + std::to_string(g->first + g->count);
      Put("if (" + cond + ") {  // " + (g->name.size() ? std::string(g->name) : "group"));
      Body(g->body);
      Put("}");
      return;
    }
    case ir::NodeKind::kCall:
      Call(s.as<ir::CallObj>());
      return;
    case ir::NodeKind::kCheck: {
      const auto* c = s.as<ir::CheckObj>();
      if (c->assume) return;
      Put("ts::device_assert(" + IndexOrValue(c->cond) + ", " + Quoted(ir::Str(c->message)) + ");");
      return;
    }
    default:
      TS_UNREACHABLE("statement " << ir::NodeKindName(s.kind()) << " at the machine stage");
  }
}

}  // namespace tilescale::codegen::cuda
