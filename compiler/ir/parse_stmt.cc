// SPDX-License-Identifier: MIT
#include "compiler/ir/build.h"
#include "compiler/ir/parser.h"
#include "compiler/ir/text_rules.h"
#include "support/strings.h"

namespace tilescale::ir::text {
namespace {

constexpr size_t kMaxRank = 32;  // guards are bit masks

}  // namespace

Stmt Parser::Body() {
  Expect("{");
  Push();
  Stmt body = Statements();
  Pop();
  return body;
}

Stmt Parser::Statements() {
  Nested nested(this);
  auto seq = ffi::make_object<SeqObj>();
  std::vector<Stmt> stmts;
  while (!Is("}")) {
    if (Now().kind == LexKind::kEnd) Fail("expected `}`, got the end of the text");
    if (Is("memory") && Ahead(1).kind == LexKind::kSymbol) {
      MemoryLine();
    } else {
      stmts.push_back(Statement());
    }
    while (Accept(";")) {
    }
  }
  Expect("}");
  if (!stmts.empty()) seq->span = stmts.front()->span;
  seq->stmts = ffi::Array<Stmt>(stmts.begin(), stmts.end());
  return Seq(std::move(seq));
}

Stmt Parser::Statement() {
  std::string label;
  const Lexeme& first = Now();
  const bool labelled = first.kind == LexKind::kWord || first.kind == LexKind::kString;
  if (labelled && IsAt(Ahead(1), ":")) {
    label = Word("a label");
    Expect(":");
  }
  Stmt s = Core(Now());
  auto* node = const_cast<StmtObj*>(s.get());  // made by Core, not yet shared
  node->label = label;
  if (Is("@")) node->span = SpanMark();
  return s;
}

Stmt Parser::Core(const Lexeme& at) {
  if (at.kind != LexKind::kWord) Fail("expected a statement, got " + Shown(at));
  constexpr JumpKind kJumps[] = {JumpKind::kBreak, JumpKind::kContinue, JumpKind::kExit};
  constexpr const char* kJumpWords[] = {"break", "continue", "exit"};
  for (size_t i = 0; i < 3; ++i) {
    if (!Accept(kJumpWords[i])) continue;
    auto jump = ffi::make_object<JumpObj>();
    jump->kind_ = static_cast<int64_t>(kJumps[i]);
    return Jump(std::move(jump));
  }
  for (TokenVerb verb : {TokenVerb::kAcquire, TokenVerb::kCommit, TokenVerb::kWait,
                         TokenVerb::kRelease, TokenVerb::kAwait}) {
    if (Accept(TokenVerbName(verb))) return TokenStmt(verb);
  }
  if (Accept("bind")) return BindStmt();
  if (Accept("alloc")) return AllocStmt();
  if (Accept("view")) return ViewStmt();
  if (Accept("store")) return StoreStmt();
  if (Accept("for")) return ForStmt();
  if (Accept("parallel")) return ParallelStmt();
  if (Accept("while")) return WhileStmt();
  if (Accept("if")) return IfStmt();
  if (Accept("group")) return GroupStmt();
  if (Accept("call")) return CallStmt();
  if (Accept("assert")) return CheckStmt(false);
  if (Accept("assume")) return CheckStmt(true);
  if (Accept("kernel")) return KernelStmt();
  if (const OpSyntax* syntax = FindSyntax(at.text)) return TileStmt(*syntax);
  std::vector<std::string> known;
  for (const OpSyntax* syntax : AllSyntax()) known.emplace_back(syntax->name);
  const std::string near = ClosestName(at.text, known);
  Fail("unknown statement " + Shown(at) + (near.empty() ? "" : "; did you mean `" + near + "`?"));
}

// "@7:12<1#9": line and column, then who called it; "1#" selects a source of the header.
Span Parser::SpanMark() {
  Expect("@");
  std::vector<Span> chain;
  do {
    auto span = ffi::make_object<SpanObj>();
    const Lexeme& at = Now();
    size_t source = 0;
    span->line = Integer("a line");
    if (Accept("#")) {
      source = static_cast<size_t>(span->line);
      span->line = Integer("a line");
    }
    if (Accept(":")) span->column = Integer("a column");
    if (source < sources_.size()) {
      span->file = sources_[source].first;
      span->function = sources_[source].second;
    } else if (source != 0) {
      FailAt(at, "no source " + std::to_string(source) + " in the header");
    }
    chain.emplace_back(std::move(span));
  } while (Accept("<"));
  for (size_t i = chain.size() - 1; i > 0; --i) {
    const_cast<SpanObj*>(chain[i - 1].get())->caller = chain[i];
  }
  return chain.front();
}

Stmt Parser::BindStmt() {
  const Lexeme& name = Symbol("a variable");
  Expect("=");
  Expr value = Value();
  Var var = DeclareVar(name, value.dtype());
  return MakeBind(std::move(var), std::move(value), Span());
}

// "f16[128, 32] strides [..] offset e", and for a new storage "root r" and "sized" or "bits e".
Buffer Parser::BufferType(std::string_view name, const Storage& storage, Storage* made, Space space,
                          Root usual_root) {
  auto buffer = ffi::make_object<BufferObj>();
  buffer->name = std::string(name);
  buffer->dtype = Type();
  if (Accept("[")) {
    const Lexeme& at = Now();
    std::vector<Expr> shape = Values("]");
    if (shape.size() > kMaxRank)
      FailAt(at, "more than " + std::to_string(kMaxRank) + " dimensions");
    buffer->shape = ffi::Array<Expr>(shape.begin(), shape.end());
  }
  if (Accept("strides")) {
    Expect("[");
    const Lexeme& at = Now();
    std::vector<Expr> strides = Values("]");
    if (strides.size() != buffer->shape.size()) FailAt(at, "expected one stride a dimension");
    buffer->strides = ffi::Array<Expr>(strides.begin(), strides.end());
  }
  if (Accept("offset")) buffer->offset = Value();
  buffer->storage = storage;
  if (storage.defined()) return Buffer(std::move(buffer));
  auto fresh = ffi::make_object<StorageObj>();
  fresh->name = std::string(name);
  fresh->space_ = static_cast<int64_t>(space);
  fresh->root_ = static_cast<int64_t>(usual_root);
  if (Accept("root")) {
    const Lexeme& at = Now();
    std::optional<Root> root = ParseRoot(Word("a root"));
    if (!root) FailAt(at, "expected param, alloc, workspace, pointer or heap, got " + Shown(at));
    fresh->root_ = static_cast<int64_t>(*root);
  }
  if (Accept("sized")) {
    fresh->bits = ElementBits(buffer.get());
  } else if (Accept("bits")) {
    fresh->bits = Value();
  }
  *made = Storage(std::move(fresh));
  buffer->storage = *made;
  return Buffer(std::move(buffer));
}

Stmt Parser::TokenAlloc(const Lexeme& name) {
  const Lexeme& at = Now();
  const std::string kind = Word("how a token completes");
  Expect("depth");
  const int64_t depth = Integer("a depth");
  for (int i = 0; i <= static_cast<int>(Done::kQuiet); ++i) {
    if (kind != DoneName(static_cast<Done>(i))) continue;
    auto alloc = ffi::make_object<AllocObj>();
    alloc->token = MakeToken(name.text, static_cast<Done>(i), depth);
    Declare(name, alloc->token);
    AllocFacts(alloc.get());
    return Alloc(std::move(alloc));
  }
  FailAt(at, "unknown kind of token " + Shown(at));
}

Stmt Parser::AllocStmt() {
  const Lexeme& name = Symbol("a buffer's or token's name");
  Expect(":");
  if (Accept("token")) return TokenAlloc(name);
  const Lexeme& at = Now();
  std::optional<Space> space = ParseSpace(Word("a memory space"));
  if (!space) FailAt(at, "expected a memory space such as shared or frag, got " + Shown(at));
  auto alloc = ffi::make_object<AllocObj>();
  Storage storage;
  alloc->buffer = BufferType(name.text, Storage(), &storage, *space, Root::kAlloc);
  Declare(name, alloc->buffer);
  AllocFacts(alloc.get());
  return Alloc(std::move(alloc));
}

void Parser::Families(AllocObj* alloc) {
  Expect("{");
  while (!Is("}")) {
    if (alloc->families != 0) Expect(",");
    const Lexeme& at = Now();
    std::optional<int64_t> family = ParseFamily(Word("a layout family"));
    if (!family) FailAt(at, "unknown layout family " + Shown(at));
    alloc->families |= *family;
  }
  Expect("}");
}

void Parser::AllocFacts(AllocObj* alloc) {
  while (true) {
    if (Accept("versions")) {
      alloc->versions = Integer("how many versions");
    } else if (Accept("at")) {
      alloc->offset = Integer("an address");
    } else if (Accept("align")) {
      alloc->align = Integer("an alignment");
    } else if (Accept("families")) {
      Families(alloc);
    } else if (Accept("fixed")) {
      alloc->layout_fixed = true;
    } else if (Accept("layout")) {
      alloc->layout = String("a layout");
    } else if (Accept("init")) {
      alloc->init = Value(alloc->buffer.defined() ? alloc->buffer->dtype : Int(32));
    } else if (Accept("arrivals")) {
      alloc->arrivals = Integer("how many arrivals");
    } else if (Accept("releases")) {
      alloc->release_arrivals = Integer("how many arrivals");
    } else {
      return;
    }
  }
}

Stmt Parser::ViewStmt() {
  const Lexeme& name = Symbol("a buffer's name");
  Expect(":");
  auto view = ffi::make_object<ViewObj>();
  // The storage stands behind the type, so the buffer gets it last.
  Storage made;
  Buffer buffer = BufferType(name.text, Storage(), &made, Space::kGlobal, Root::kPointer);
  auto copy = CopyNode(buffer.get());
  if (Accept("of")) {
    copy->storage = LookupBuffer(Symbol("a buffer"))->storage;
  } else {
    Expect("in");
    const Lexeme& at = Now();
    std::optional<Space> space = ParseSpace(Word("a memory space"));
    if (!space) FailAt(at, "expected a memory space such as global, got " + Shown(at));
    auto storage = CopyNode(made.get());
    storage->space_ = static_cast<int64_t>(*space);
    copy->storage = Storage(std::move(storage));
  }
  view->buffer = Buffer(std::move(copy));
  if (Accept("at")) view->pointer = Value();
  if (Accept("version")) view->version = Value();
  view->slots = Accept("slots");
  Declare(name, view->buffer);
  return View(std::move(view));
}

// Another form of a declared storage: a name for the text, no statement.
void Parser::MemoryLine() {
  Take();
  const Lexeme& name = Symbol("a buffer's name");
  Expect(":");
  Storage made;
  auto copy = CopyNode(BufferType(name.text, Storage(), &made, Space::kGlobal, Root::kAlloc).get());
  Expect("of");
  copy->storage = LookupBuffer(Symbol("a buffer"))->storage;
  Declare(name, Buffer(std::move(copy)));
}

Stmt Parser::StoreStmt() {
  const Lexeme& name = Symbol("a buffer");
  Buffer buffer = LookupBuffer(name);
  std::vector<Expr> index;
  if (Accept("[")) index = Values("]");
  if (index.size() != buffer->shape.size()) {
    FailAt(name, "buffer %" + std::string(buffer->name) + " has rank " +
                     std::to_string(buffer->shape.size()) + ", got " +
                     std::to_string(index.size()) + " indices");
  }
  Expect("=");
  Expr value = Value(buffer->dtype);
  Expr guard;
  if (Accept("guard")) guard = Value();
  return MakeStore(std::move(buffer), std::move(index), std::move(value), Span(), std::move(guard));
}

Stmt Parser::WhileStmt() {
  auto loop = ffi::make_object<WhileObj>();
  Push();
  if (Accept("head")) {
    Expect("{");
    loop->head = Statements();
  }
  loop->cond = Value();
  if (Is("@")) loop->span = SpanMark();
  loop->body = Body();
  Pop();
  return While(std::move(loop));
}

Stmt Parser::IfStmt() {
  Nested nested(this);
  auto branch = ffi::make_object<IfObj>();
  branch->cond = Value();
  if (Is("@")) branch->span = SpanMark();
  branch->then_case = Body();
  if (Accept("else")) {
    if (Accept("if")) {
      Stmt inner = IfStmt();
      auto seq = ffi::make_object<SeqObj>();
      seq->span = inner->span;
      seq->stmts = {inner};
      branch->else_case = Seq(std::move(seq));
    } else {
      branch->else_case = Body();
    }
  }
  return If(std::move(branch));
}

Stmt Parser::GroupStmt() {
  auto group = ffi::make_object<GroupObj>();
  group->first = Integer("the first thread");
  Expect("+:");
  group->count = Integer("how many threads");
  if (Accept("name")) group->name = Word("a name");
  if (Accept("nreg")) group->nreg = Integer("how many registers");
  if (Is("@")) group->span = SpanMark();
  group->body = Body();
  return Group(std::move(group));
}

Stmt Parser::CallStmt() {
  struct Result {
    const Lexeme* name;
    DataType dtype;
  };
  std::vector<Expr> results;
  std::vector<std::pair<size_t, Result>> fresh;  // position in `results`
  const bool results_first = Now().kind == LexKind::kSymbol || Is("&");
  while (results_first) {
    if (Now().kind == LexKind::kSymbol && IsAt(Ahead(1), ":")) {
      const Lexeme& name = Take();
      Expect(":");
      fresh.push_back({results.size(), {&name, Type()}});
      results.emplace_back();
    } else {
      results.push_back(Value());
    }
    if (!Accept(",")) break;
  }
  if (results_first) Expect("=");
  auto call = ffi::make_object<CallObj>();
  call->instr = DottedName("an instruction");
  Expect("(");
  for (bool first = true; !Is(")"); first = false) {
    if (!first) Expect(",");
    if (Now().kind == LexKind::kString) {
      call->text = Unescape(Take());
      break;
    }
    call->args.push_back(Accept("none") ? Expr() : Value());
  }
  Expect(")");
  if (Accept("guard")) call->guard = Value();
  // Declared behind the arguments: a result is none of them.
  for (const auto& [index, result] : fresh) {
    results[index] = DeclareVar(*result.name, result.dtype);
  }
  call->results = ffi::Array<Expr>(results.begin(), results.end());
  return Call(std::move(call));
}

Stmt Parser::TokenStmt(TokenVerb verb) {
  Token token = LookupToken(Symbol("a token"));
  const int64_t pending = Accept("pending") ? Integer("how many commits may be pending") : 0;
  return MakeTokenOp(verb, std::move(token), Span(), pending);
}

Stmt Parser::CheckStmt(bool assume) {
  auto check = ffi::make_object<CheckObj>();
  check->assume = assume;
  check->cond = Value();
  if (Accept(",")) check->message = String("a message");
  return Check(std::move(check));
}

}  // namespace tilescale::ir::text
