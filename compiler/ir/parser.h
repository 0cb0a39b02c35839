// SPDX-License-Identifier: MIT
// The parser behind text.h: recursive descent over the grammar of docs/ir.md.
#pragma once

#include "compiler/ir/lexer.h"
#include "compiler/ir/op_def.h"
#include "compiler/ir/text.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tilescale::ir::text {

// An expression as read. A literal without a type has none until its siblings are known.
struct Operand {
  Expr expr;  // null for an untyped literal
  const Lexeme* at = nullptr;
  bool is_float = false;
  bool negative = false;
  uint64_t magnitude = 0;  // of an untyped integer
  double number = 0;       // of an untyped float
  int depth = 1;           // levels; a chain of infix operators nests without brackets
};

class Parser {
 public:
  explicit Parser(std::string_view source) : source_(source), lexemes_(Lex(source)) { Push(); }

  Func ParseFunc();
  Schedule ParseSchedule();
  // A schedule that stands alone: its buffers and loops are those of `kernel`.
  void UseKernel(const Kernel& kernel);
  void ExpectEnd();

 private:
  // lexemes
  const Lexeme& Now() const { return lexemes_[pos_]; }
  const Lexeme& Ahead(size_t n) const {
    return lexemes_[pos_ + n < lexemes_.size() ? pos_ + n : lexemes_.size() - 1];
  }
  bool Is(std::string_view text) const { return IsAt(Now(), text); }
  static bool IsAt(const Lexeme& l, std::string_view text) {
    return (l.kind == LexKind::kWord || l.kind == LexKind::kPunct) && l.text == text;
  }
  bool Accept(std::string_view text);
  void Expect(std::string_view text);
  const Lexeme& Take() { return lexemes_[pos_ + 1 < lexemes_.size() ? pos_++ : pos_]; }
  [[noreturn]] void Fail(const std::string& message) const { FailAt(Now(), message); }
  static std::string Shown(const Lexeme& l);
  std::string Word(const char* what);        // a word or a string
  std::string DottedName(const char* what);  // "mma.m16n8k16" or a string
  std::string String(const char* what);
  int64_t Integer(const char* what);  // with a sign
  double Number(const char* what);
  DataType Type();
  ffi::Array<int64_t> Integers(const char* what);

  // Counts nesting, so that no input exhausts the stack.
  class Nested {
   public:
    explicit Nested(Parser* parser);
    ~Nested() { --parser_->depth_; }

   private:
    Parser* parser_;
  };

  // symbols
  void Push() { scopes_.emplace_back(); }
  void Pop() { scopes_.pop_back(); }
  void Declare(const Lexeme& at, Node symbol);
  Node Find(std::string_view name) const;  // null when unknown
  Node Lookup(const Lexeme& at) const;
  Buffer LookupBuffer(const Lexeme& at) const;
  Token LookupToken(const Lexeme& at) const;
  const Lexeme& Symbol(const char* what);

  // expressions
  Expr Value(
      std::optional<DataType> context = {});  // an expression; untyped literals get `context`
  Expr Finish(const Operand& operand, std::optional<DataType> context) const;
  Operand Infix(int min_precedence);
  Operand Unary();
  Operand Primary();
  Operand Literal(bool negative);
  Operand WordExpr();
  Operand TypedLiteral(DataType dtype);
  Operand CallForm();
  Operand Combine(const Lexeme& at, OpCode op, std::vector<Operand> operands,
                  std::optional<DataType> dtype) const;
  Operand SymbolExpr();
  Expr BufferExpr(const Buffer& buffer);
  Expr SlotExpr(const Token& token);
  Operand Typed(Expr e, const Lexeme& at) const;
  std::vector<Expr> Values(std::string_view close);
  Region RegionValue();
  void Box(RegionObj* region);
  void Guards(RegionObj* region);

  // statements
  Stmt Body();
  Stmt Statements();  // up to "}"
  Stmt Statement();
  Stmt Core(const Lexeme& at);
  Stmt BindStmt();
  Stmt AllocStmt();
  Stmt TokenAlloc(const Lexeme& name);
  void AllocFacts(AllocObj* alloc);
  void Families(AllocObj* alloc);
  Stmt ViewStmt();
  void MemoryLine();
  Stmt StoreStmt();
  Stmt ForStmt();
  PipelineHint Hint();
  Stmt ParallelStmt();
  Stmt WhileStmt();
  Stmt IfStmt();
  Stmt GroupStmt();
  Stmt CallStmt();
  Stmt TokenStmt(TokenVerb verb);
  Stmt CheckStmt(bool assume);
  Stmt TileStmt(const OpSyntax& syntax);
  void TileFormat(const OpSyntax& syntax, std::vector<std::optional<ffi::Any>>* args);
  ffi::Any TileArg(const OpParam& param);
  ffi::Any Fallback(const OpParam& param, const Lexeme& at) const;
  Stmt KernelStmt();
  void KernelFacts(KernelObj* kernel);
  template <typename F>
  size_t Axes(const char* word, ffi::Array<Var>* vars, const char* const* names, F extent);
  Span SpanMark();
  Buffer BufferType(std::string_view name, const Storage& storage, Storage* made, Space space,
                    Root usual_root);
  Var DeclareVar(const Lexeme& name, DataType dtype);

  // programs
  void Sources();
  Param ParseParam();
  void ParamBuffer(ParamObj* param, const Lexeme& name, Root root);
  Options ParseOptions();

  // schedules
  Role ParseRole();
  Pipe ParsePipe();
  Scope ParseScope();
  Step ParseStep(const std::string& role);
  Node Scheduled(const Lexeme& at, NodeKind kind) const;

  std::string_view source_;
  std::vector<Lexeme> lexemes_;
  size_t pos_ = 0;
  int depth_ = 0;
  bool declaring_ = false;  // in a parameter's shape: unknown variables are declared
  std::vector<std::map<std::string, Node, std::less<>>> scopes_;
  std::vector<std::pair<std::string, std::string>> sources_;  // file, function
  // Buffers and loop variables of the kernel being read, by name, for its schedule.
  std::map<std::string, std::vector<Node>, std::less<>> scheduled_;
};

}  // namespace tilescale::ir::text
