// SPDX-License-Identifier: MIT
#include "compiler/ir/build.h"
#include "compiler/ir/parser.h"

namespace tilescale::ir::text {
namespace {

constexpr const char* kBlockNames[] = {"bx", "by", "bz"};
constexpr const char* kThreadNames[] = {"tx", "ty", "tz"};

}  // namespace

// "grid(%bx: 32, %by: %m / 128)"; axes that are left out have extent 1. Returns how many were
// written.
template <typename F>
size_t Parser::Axes(const char* word, ffi::Array<Var>* vars, const char* const* names, F extent) {
  Expect(word);
  Expect("(");
  size_t count = 0;
  do {
    if (count == 3) Fail(std::string(word).append(" has at most 3 axes"));
    const Lexeme& name = Symbol("an axis");
    Expect(":");
    extent();
    vars->push_back(DeclareVar(name, Int(32)));
    ++count;
  } while (Accept(","));
  Expect(")");
  for (size_t i = count; i < 3; ++i) vars->push_back(MakeVar(names[i]));
  return count;
}

void Parser::KernelFacts(KernelObj* kernel) {
  while (true) {
    if (Accept("cluster")) {
      Expect("(");
      kernel->cluster = ffi::Array<int64_t>();
      for (int i = 0; i < 3; ++i) {
        if (i > 0) Expect(",");
        kernel->cluster.push_back(Integer("blocks of a cluster"));
      }
      Expect(")");
    } else if (Accept("requires")) {
      Expect("(");
      for (const Expr& e : Values(")")) kernel->requires_.push_back(e);
    } else if (Accept("min_blocks")) {
      kernel->min_blocks = Integer("how many blocks");
    } else if (Accept("swizzle_panel")) {
      kernel->swizzle_panel = Integer("a panel's size");
    } else if (Accept("swizzle_columns")) {
      kernel->swizzle_rows = false;
    } else if (Accept("cooperative")) {
      kernel->cooperative = true;
    } else if (Accept("pdl")) {
      kernel->pdl = true;
    } else if (Accept("shared")) {
      kernel->shared_bytes = Integer("bytes of shared memory");
    } else if (Accept("extra_threads")) {
      kernel->extra_threads = Integer("how many threads");
    } else if (Accept("safe")) {
      Expect("(");
      Buffer buffer = LookupBuffer(Symbol("a buffer"));
      Expect(":");
      kernel->safe_values.push_back(Value(buffer->dtype));
      kernel->safe_buffers.push_back(buffer);
      Expect(")");
    } else if (Accept("prelude")) {
      kernel->prelude = String("text");
    } else {
      return;
    }
  }
}

Stmt Parser::KernelStmt() {
  auto kernel = ffi::make_object<KernelObj>();
  Expect("@");
  kernel->name = Word("a kernel's name");
  // A parameter's buffer may be in a pipe of no kernel; only what this one declares may.
  auto outer = std::move(scheduled_);
  scheduled_.clear();
  Push();
  const size_t axes =
      Axes("grid", &kernel->block_vars, kBlockNames, [&] { kernel->grid.push_back(Value()); });
  for (size_t i = axes; i < 3; ++i) kernel->grid.push_back(MakeConst(1));
  const size_t thread_axes = Axes("threads", &kernel->thread_vars, kThreadNames,
                                  [&] { kernel->threads.push_back(Integer("how many threads")); });
  for (size_t i = thread_axes; i < 3; ++i) kernel->threads.push_back(1);
  kernel->cluster = {1, 1, 1};
  KernelFacts(kernel.get());
  if (Is("@")) kernel->span = SpanMark();
  kernel->body = Body();
  if (Is("schedule")) kernel->schedule = ParseSchedule();
  Pop();
  scheduled_ = std::move(outer);
  return Kernel(std::move(kernel));
}

void Parser::ParamBuffer(ParamObj* param, const Lexeme& name, Root root) {
  declaring_ = true;
  Storage made;
  param->buffer = BufferType(name.text, Storage(), &made, Space::kGlobal, root);
  declaring_ = false;
  Declare(name, param->buffer);
}

Param Parser::ParseParam() {
  auto param = ffi::make_object<ParamObj>();
  const bool pointer = Accept("pointer");
  const Lexeme& name = Symbol("a parameter");
  param->name = std::string(name.text);
  if (Accept("named")) param->name = String("a name");
  if (pointer) {
    param->kind_ = static_cast<int64_t>(ParamKind::kPointer);
    param->var = DeclareVar(name, Handle());
    if (Accept("to")) {
      const Lexeme& buffer = Symbol("a buffer's name");
      Expect(":");
      ParamBuffer(param.get(), buffer, Root::kPointer);
    }
  } else {
    Expect(":");
    if (IsAt(Ahead(1), "[")) {
      param->kind_ = static_cast<int64_t>(ParamKind::kTensor);
      ParamBuffer(param.get(), name, Root::kParam);
    } else {
      param->kind_ = static_cast<int64_t>(ParamKind::kScalar);
      const DataType dtype = Type();
      // A shape before may have named it.
      Node known = Find(name.text);
      if (const VarObj* var = known.as<VarObj>(); var != nullptr && SameType(var->dtype, dtype)) {
        param->var = ffi::GetRef<Var>(var);
      } else {
        param->var = DeclareVar(name, dtype);
      }
    }
  }
  param->is_out = Accept("out");
  param->restrict_ = !Accept("alias");
  return Param(std::move(param));
}

Options Parser::ParseOptions() {
  auto options = ffi::make_object<OptionsObj>();
  if (Accept("none")) return Options();
  Expect("(");
  do {
    const Lexeme& at = Now();
    const std::string key = Word("an option");
    bool found = false;
    auto read = [&](const auto& field) {
      if (found || key != field.name) return;
      found = true;
      auto& value = options.get()->*field.member;
      using T = std::decay_t<decltype(value)>;
      if constexpr (std::is_same_v<T, bool>) {
        value = true;
      } else {
        Expect("=");
        if constexpr (std::is_same_v<T, int64_t>) {
          value = Integer(field.name);
        } else {
          Expect("[");
          while (!Is("]")) {
            if (!value.empty()) Expect(",");
            value.push_back(ffi::String(String(field.name)));
          }
          Expect("]");
        }
      }
    };
    std::apply([&](const auto&... field) { (read(field), ...); }, OptionsObj::Fields());
    if (!found) FailAt(at, "unknown option " + Shown(at));
  } while (Accept(","));
  Expect(")");
  return Options(std::move(options));
}

void Parser::Sources() {
  while (Accept("source")) {
    const Lexeme& at = Now();
    if (Integer("a source's number") != static_cast<int64_t>(sources_.size())) {
      FailAt(at, "sources are numbered from 0 in order");
    }
    std::string file = String("a file");
    std::string function = Accept("function") ? String("a function") : "";
    sources_.emplace_back(std::move(file), std::move(function));
  }
}

Func Parser::ParseFunc() {
  auto func = ffi::make_object<FuncObj>();
  Sources();
  Expect("func");
  Expect("@");
  func->name = Word("a function's name");
  Expect("(");
  while (!Is(")")) {
    if (!func->params.empty()) Expect(",");
    func->params.push_back(ParseParam());
  }
  Expect(")");
  if (Accept("target")) func->target = DottedName("a target");
  if (Accept("stage")) {
    const Lexeme& at = Now();
    const std::string word = Word("a stage");
    func->stage_ = -1;
    for (Stage stage : {Stage::kTile, Stage::kMapped, Stage::kMachine}) {
      if (word == StageName(stage)) func->stage_ = static_cast<int64_t>(stage);
    }
    if (func->stage_ < 0) FailAt(at, "expected tile, mapped or machine, got " + Shown(at));
  }
  func->options = Accept("options") ? ParseOptions() : Options(ffi::make_object<OptionsObj>());
  func->body = Body();
  ExpectEnd();
  return Func(std::move(func));
}

}  // namespace tilescale::ir::text

namespace tilescale::ir {

Func ParseFunc(std::string_view text) {
  return text::Parser(text).ParseFunc();
}

}  // namespace tilescale::ir
