// SPDX-License-Identifier: MIT
#include "compiler/ir/build.h"
#include "compiler/ir/printer.h"
#include "compiler/ir/text_rules.h"
#include "compiler/ir/visit.h"

#include <cctype>

namespace tilescale::ir::text {
namespace {

// A symbol's own name with what a name cannot hold replaced.
std::string Sanitize(std::string_view wish) {
  std::string name;
  for (char c : wish) {
    const auto byte = static_cast<unsigned char>(c);
    name += byte < 0x80 && (std::isalnum(byte) != 0 || c == '_') ? c : '_';
  }
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) != 0) name = "v" + name;
  return name;
}

std::unordered_set<const NodeObj*> UsedSymbols(const KernelObj* kernel) {
  std::unordered_set<const NodeObj*> used;
  auto note = [&](const NodeObj* n) {
    used.insert(n);
    return true;
  };
  auto expr = [&](const Expr& e) { note(e.get()); };
  Walk(kernel->body, [&](const NodeObj* n) {
    note(n);
    if (n->kind == NodeKind::kView || n->kind == NodeKind::kAlloc) {
      ForEachExpr(static_cast<const StmtObj*>(n), expr);
    }
    return true;
  });
  for (const Expr& e : kernel->requires_) Walk(e, note);
  return used;
}

}  // namespace

void Names::Pop() {
  for (const NodeObj* symbol : scopes_.back()) {
    auto it = names_.find(symbol);
    taken_.Free(it->second);
    names_.erase(it);
  }
  scopes_.pop_back();
}

const std::string& Names::Add(const NodeObj* symbol, std::string_view wish, size_t scope) {
  scopes_[scope].push_back(symbol);
  return names_[symbol] = taken_.Make(Sanitize(wish));
}

const std::string& Names::Declare(const NodeObj* symbol, std::string_view wish) {
  auto it = names_.find(symbol);
  return it != names_.end() ? it->second : Add(symbol, wish, scopes_.size() - 1);
}

const std::string& Names::Of(const NodeObj* symbol, std::string_view wish) {
  auto it = names_.find(symbol);
  return it != names_.end() ? it->second : Add(symbol, wish, 0);
}

void Printer::CollectSources(const Func& f) {
  Walk(f->body, [&](const NodeObj* n) {
    if (!IsStmtKind(n->kind)) return false;
    for (Span span = static_cast<const StmtObj*>(n)->span; span.defined();) {
      const int number = static_cast<int>(sources_.size());
      sources_.try_emplace({std::string(span->file), std::string(span->function)}, number);
      const SpanObj* caller = span->caller.as<SpanObj>();
      span = caller != nullptr ? ffi::GetRef<Span>(caller) : Span();
    }
    return true;
  });
}

// At the machine stage a storage is known in flat forms of several element types. The text declares
// each where the storage is declared; no node stands for that.
void Printer::CollectMemories(const Func& f) {
  std::unordered_set<const NodeObj*> declared;
  for (const Param& param : f->params) declared.insert(param->buffer.get());
  Walk(f->body, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kAlloc) declared.insert(static_cast<const AllocObj*>(n)->buffer.get());
    if (n->kind == NodeKind::kView) declared.insert(static_cast<const ViewObj*>(n)->buffer.get());
    return true;
  });
  Walk(f->body, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kBuffer && declared.insert(n).second) {
      const auto* b = static_cast<const BufferObj*>(n);
      memories_[b->storage.get()].push_back(b);
    }
    return true;
  });
}

void Printer::PrintMemories(const StorageObj* storage) {
  auto it = memories_.find(storage);
  if (it == memories_.end()) return;
  const std::string& base = NameOf(storages_.at(storage));
  for (const BufferObj* b : it->second) {
    Line();
    out_ += "memory %" + names_.Declare(b, View(b->name)) + ": ";
    PrintBufferType(b, Root::kAlloc);
    out_ += " of %" + base;
  }
  memories_.erase(it);
}

// " @7:12", and behind each "<" the line that called: " @7:12<2#30".
void Printer::PrintSpan(const Span& span) {
  if (!spans_ || !span.defined()) return;
  out_ += "  @";
  for (const SpanObj* s = span.get(); s != nullptr; s = s->caller.as<SpanObj>()) {
    if (s != span.get()) out_ += "<";
    auto it = sources_.find({std::string(s->file), std::string(s->function)});
    if (it != sources_.end() && it->second != 0) out_ += std::to_string(it->second) + "#";
    out_ += std::to_string(s->line);
    if (s->column != 0) out_ += ":" + std::to_string(s->column);
  }
}

void Printer::PrintParam(const ParamObj* param) {
  const NodeObj* symbol = param->var.get();
  std::string_view own;
  if (param->param() == ParamKind::kTensor) {
    symbol = param->buffer.get();
    own = View(param->buffer->name);
  } else {
    own = View(param->var->name);
  }
  if (param->param() == ParamKind::kPointer) out_ += "pointer ";
  const std::string name = names_.Declare(symbol, own);
  out_ += "%" + name;
  if (View(param->name) != name) out_ += " named " + Quote(View(param->name));
  if (param->param() == ParamKind::kScalar) {
    out_ += ": " + ShortName(param->var->dtype);
  } else if (param->buffer.defined()) {
    const BufferObj* b = param->buffer.get();
    if (param->param() == ParamKind::kPointer) out_ += " to %" + names_.Declare(b, View(b->name));
    out_ += ": ";
    declaring_ = true;
    PrintBufferType(b, param->param() == ParamKind::kPointer ? Root::kPointer : Root::kParam);
    declaring_ = false;
  }
  if (param->is_out) out_ += " out";
  if (!param->restrict_) out_ += " alias";
}

void Printer::PrintOptions(const OptionsObj* options) {
  const OptionsObj usual;
  std::string list;
  auto add = [&](const std::string& text) { list += (list.empty() ? "" : ", ") + text; };
  auto print = [&](const auto& field) {
    const auto& value = options->*field.member;
    using T = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<T, bool>) {
      if (value) add(field.name);
    } else if constexpr (std::is_same_v<T, int64_t>) {
      if (value != usual.*field.member) add(std::string(field.name) + "=" + std::to_string(value));
    } else {
      if (value.empty()) return;
      std::string items;
      for (const ffi::String& item : value)
        items += (items.empty() ? "" : ", ") + Quote(View(item));
      add(std::string(field.name) + "=[" + items + "]");
    }
  };
  std::apply([&](const auto&... field) { (print(field), ...); }, OptionsObj::Fields());
  if (!list.empty()) out_ += " options(" + list + ")";
}

// Names that the schedule says are the kernel's own, wherever in its body they are declared.
void Printer::DeclareScheduled(const KernelObj* kernel) {
  if (!kernel->schedule.defined()) return;
  for (const Pipe& pipe : kernel->schedule->pipes) {
    for (const Buffer& b : pipe->buffers) names_.Declare(b.get(), View(b->name));
  }
  for (const Scope& scope : kernel->schedule->scopes) {
    if (scope->loop.defined()) names_.Declare(scope->loop.get(), View(scope->loop->name));
  }
}

// " grid(%bx: 32, %by: %m / 128)"; trailing axes of extent 1 whose variable nobody reads are left
// out.
void Printer::PrintAxes(std::string_view word, const ffi::Array<Var>& vars,
                        const ffi::Array<Expr>& extents,
                        const std::unordered_set<const NodeObj*>& used) {
  size_t count = vars.size();
  while (count > 1 && IsConst(extents[count - 1], 1) && used.count(vars[count - 1].get()) == 0) {
    --count;
  }
  out_ += " " + std::string(word) + "(";
  for (size_t i = 0; i < count; ++i) {
    const Var v = vars[i];
    out_ += (i > 0 ? ", %" : "%") + names_.Declare(v.get(), View(v->name)) + ": ";
    PrintExpr(extents[i]);
  }
  out_ += ")";
}

void Printer::PrintKernelFacts(const KernelObj* kernel) {
  const ffi::Array<int64_t>& cluster = kernel->cluster;
  if (!cluster.empty() && (cluster[0] != 1 || cluster[1] != 1 || cluster[2] != 1)) {
    out_ += " cluster(" + std::to_string(cluster[0]) + ", " + std::to_string(cluster[1]) + ", " +
            std::to_string(cluster[2]) + ")";
  }
  if (!kernel->requires_.empty()) {
    out_ += " requires(";
    PrintExprs(kernel->requires_);
    out_ += ")";
  }
  auto number = [&](const char* word, int64_t value) {
    if (value != 0) out_ += std::string(" ") + word + " " + std::to_string(value);
  };
  number("min_blocks", kernel->min_blocks);
  number("swizzle_panel", kernel->swizzle_panel);
  if (!kernel->swizzle_rows) out_ += " swizzle_columns";
  if (kernel->cooperative) out_ += " cooperative";
  if (kernel->pdl) out_ += " pdl";
  number("shared", kernel->shared_bytes);
  number("extra_threads", kernel->extra_threads);
  for (size_t i = 0; i < kernel->safe_buffers.size(); ++i) {
    const Buffer b = kernel->safe_buffers[i];
    out_ += " safe(%" + NameOf(b.get()) + ": ";
    PrintExpr(kernel->safe_values[i], 0, b->dtype);
    out_ += ")";
  }
  if (!kernel->prelude.empty()) out_ += " prelude " + Quote(View(kernel->prelude));
}

void Printer::PrintKernel(const KernelObj* kernel) {
  names_.Push();
  DeclareScheduled(kernel);
  out_ += "kernel @" + WordOrQuoted(View(kernel->name));
  const std::unordered_set<const NodeObj*> used = UsedSymbols(kernel);
  PrintAxes("grid", kernel->block_vars, kernel->grid, used);
  ffi::Array<Expr> threads;
  for (int64_t count : kernel->threads) threads.push_back(MakeConst(count));
  PrintAxes("threads", kernel->thread_vars, threads, used);
  PrintKernelFacts(kernel);
  PrintSpan(kernel->span);
  PrintBody(kernel->body);
  if (kernel->schedule.defined()) {
    out_ += " ";
    PrintSchedule(kernel->schedule);
  }
  names_.Pop();
}

void Printer::PrintFunc(const Func& f) {
  CollectMemories(f);
  if (spans_) {
    CollectSources(f);
    std::vector<std::string> lines(sources_.size());
    for (const auto& [source, number] : sources_) {
      lines[number] = "source " + std::to_string(number) + " " + Quote(source.first);
      if (!source.second.empty()) lines[number] += " function " + Quote(source.second);
    }
    for (const std::string& line : lines) out_ += line + "\n";
  }
  out_ += "func @" + WordOrQuoted(View(f->name)) + "(";
  for (size_t i = 0; i < f->params.size(); ++i) {
    if (i > 0) out_ += ", ";
    PrintParam(f->params[i].get());
  }
  out_ += ")";
  if (!f->target.empty()) out_ += " target " + WordOrQuotedName(View(f->target));
  out_ += std::string(" stage ") + StageName(f->stage());
  if (f->options.defined()) {
    PrintOptions(f->options.get());
  } else {
    out_ += " options none";
  }
  out_ += " {";
  names_.Push();
  ++indent_;
  for (const Param& param : f->params) {
    if (param->buffer.defined()) PrintMemories(param->buffer->storage.get());
  }
  --indent_;
  PrintFlat(f->body);
  names_.Pop();
  out_ += "}\n";
}

}  // namespace tilescale::ir::text
