// SPDX-License-Identifier: MIT
// Loops and tile operations.
#include "compiler/ir/build.h"
#include "compiler/ir/hint.h"
#include "compiler/ir/parser.h"
#include "compiler/ir/text_rules.h"

namespace tilescale::ir::text {

Stmt Parser::ForStmt() {
  auto loop = ffi::make_object<ForObj>();
  const Lexeme& name = Symbol("a loop variable");
  const DataType dtype = Accept(":") ? Type() : Int(32);
  if (!IsInteger(dtype)) FailAt(name, "a loop variable is an integer, got " + ShortName(dtype));
  Expect("in");
  if (Now().kind == LexKind::kInt && Now().text == "0" && IsAt(Ahead(1), "..")) {
    Take();
    Take();
    loop->begin = MakeConst(0, dtype);
  } else {
    loop->begin = Value(dtype);
    Expect("+:");
  }
  loop->extent = Value(dtype);
  if (Accept("step")) loop->step = Value(dtype);
  for (ForKind kind : {ForKind::kUnroll, ForKind::kVector, ForKind::kPipelined}) {
    if (Accept(ForKindName(kind))) loop->kind_ = static_cast<int64_t>(kind);
  }
  if (Accept("factor")) loop->factor = Integer("a factor");
  const bool hinted = Accept("hint") || (loop->loop() == ForKind::kPipelined && Is("("));
  if (hinted) loop->hint = Hint();
  if (Is("@")) loop->span = SpanMark();
  Push();
  loop->var = DeclareVar(name, dtype);
  scheduled_[std::string(name.text)].push_back(loop->var);
  loop->body = Body();
  Pop();
  return For(std::move(loop));
}

PipelineHint Parser::Hint() {
  auto hint = ffi::make_object<PipelineHintObj>();
  Expect("(");
  do {
    const Lexeme& at = Now();
    const std::string key = Word("stages, order, stage or group");
    Expect("=");
    if (key == "stages") {
      hint->stages = Accept("auto") ? kAutomaticStages : Integer("how many stages");
    } else if (key == "order") {
      hint->order = Integers("a position");
    } else if (key == "stage") {
      hint->stage = Integers("a stage");
    } else if (key == "group") {
      Expect("[");
      while (!Is("]")) {
        if (!hint->group.empty()) Expect(",");
        hint->group.push_back(Integers("a position"));
      }
      Expect("]");
    } else {
      FailAt(at, "expected stages, order, stage or group, got " + Shown(at));
    }
  } while (Accept(","));
  Expect(")");
  return PipelineHint(std::move(hint));
}

Stmt Parser::ParallelStmt() {
  auto nest = ffi::make_object<ParallelObj>();
  struct Axis {
    const Lexeme* name;
    DataType dtype;
  };
  std::vector<Axis> axes;
  do {
    const Lexeme& name = Symbol("a loop variable");
    axes.push_back({&name, Accept(":") ? Type() : Int(32)});
    if (!IsInteger(axes.back().dtype)) FailAt(name, "a loop variable is an integer");
  } while (Accept(","));
  Expect("in");
  for (size_t i = 0; i < axes.size(); ++i) {
    if (i > 0) Expect(",");
    nest->extents.push_back(Value(axes[i].dtype));
  }
  if (Accept("width")) nest->width = Integer("a width");
  nest->prefer_async = Accept("async");
  nest->layout_fixed = Accept("fixed");
  if (Accept("layout")) nest->layout = String("a layout");
  if (Is("@")) nest->span = SpanMark();
  Push();
  for (const Axis& axis : axes) nest->vars.push_back(DeclareVar(*axis.name, axis.dtype));
  nest->body = Body();
  Pop();
  return Parallel(std::move(nest));
}

ffi::Any Parser::TileArg(const OpParam& param) {
  if (Accept("none")) return nullptr;
  const Lexeme& at = Now();
  switch (param.kind) {
    case ArgKind::kRegion:
      if (Accept("value")) return Value();
      return RegionValue();
    case ArgKind::kExpr:
      if (Accept("region")) return RegionValue();
      return Value();
    case ArgKind::kInt:
      return Integer(param.name);
    case ArgKind::kFloat:
      return Number(param.name);
    case ArgKind::kBool:
      if (!Is("true") && !Is("false")) Fail("expected true or false, got " + Shown(at));
      return Take().text == "true";
    case ArgKind::kString:
      return ffi::String(Word(param.name));
    case ArgKind::kInts:
      return Integers(param.name);
  }
  Fail("expected an argument");
}

// The default of a parameter that the text leaves out.
ffi::Any Parser::Fallback(const OpParam& param, const Lexeme& at) const {
  if (param.fallback == nullptr) FailAt(at, "missing argument " + std::string(param.name));
  Parser parser(param.fallback);
  ffi::Any value = parser.TileArg(param);
  parser.ExpectEnd();
  return value;
}

// Reads an op along its format: words must be there, $names are arguments.
void Parser::TileFormat(const OpSyntax& syntax, std::vector<std::optional<ffi::Any>>* args) {
  const std::vector<Lexeme> format = Lex(syntax.format);
  for (size_t i = 1; format[i].kind != LexKind::kEnd; ++i) {
    const bool dollar = IsAt(format[i], "$");
    const int index = dollar ? syntax.Find(format[i + 1].text) : -1;
    if (index < 0) {
      Expect(format[i].text);
      continue;
    }
    (*args)[index] = TileArg(syntax.params[index]);
    ++i;
  }
}

Stmt Parser::TileStmt(const OpSyntax& syntax) {
  const Lexeme& at = Take();
  std::vector<std::optional<ffi::Any>> args(syntax.params.size());
  TileFormat(syntax, &args);
  while (Now().kind == LexKind::kWord && IsAt(Ahead(1), "=")) {
    const Lexeme& name = Take();
    const int index = syntax.Find(name.text);
    if (index < 0) FailAt(name, std::string(syntax.name) + " has no parameter " + Shown(name));
    if (args[index]) FailAt(name, "argument " + Shown(name) + " is given twice");
    Expect("=");
    args[index] = TileArg(syntax.params[index]);
  }
  auto op = ffi::make_object<TileOpObj>();
  op->op = syntax.name;
  for (size_t i = 0; i < args.size(); ++i) {
    op->args.push_back(args[i] ? *args[i] : Fallback(syntax.params[i], at));
  }
  if (Accept("via")) op->lowering = DottedName("a lowering");
  if (Accept("layout")) op->layout = String("a layout");
  return TileOp(std::move(op));
}

}  // namespace tilescale::ir::text
