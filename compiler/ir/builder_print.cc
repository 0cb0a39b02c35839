// SPDX-License-Identifier: MIT
// T.print: a message, a value, or every element of a buffer.
#include "compiler/ir/builder.h"
#include "compiler/ir/text.h"

#include <tvm/ffi/cast.h>

namespace tilescale::ir {

namespace {

std::string Escape(const std::string& message) {
  std::string out;
  for (char c : message) out += c == '%' ? std::string("%%") : std::string(1, c);
  return out;
}

// A value as printf takes it, and the conversion that prints it.
struct Printable {
  Expr value;
  const char* format;
};
Printable Promoted(const Expr& e) {
  DataType t = e.dtype();
  if (t.lanes != 1)
    Raise("TypeError", "T.print of a vector (", LanguageName(t), "): print its lanes");
  if (IsHandle(t)) return {e, "%p"};
  if (IsFloat(t)) return {CastTo(e, Float(64)), "%f"};
  if (t.bits > 32) return {e, IsInt(t) ? "%lld" : "%llu"};
  if (IsUInt(t)) return {CastTo(e, UInt(32)), "%u"};
  return {CastTo(e, Int(32)), "%d"};
}

constexpr const char* kWhere = "msg='%s' BlockIdx=(%d, %d, %d), ThreadIdx=(%d, %d, %d): ";

// The prefix with the message in its place; block and thread indices are the first six operands.
std::string Where(const std::string& message) {
  std::string text = kWhere;
  size_t at = text.find("%s");
  return text.replace(at, 2, Escape(message));
}

std::vector<Expr> Indices(const KernelObj* kernel) {
  std::vector<Expr> out;
  for (const Var& v : kernel->block_vars) out.push_back(v);
  for (const Var& v : kernel->thread_vars) out.push_back(v);
  return out;
}

}  // namespace

void BuilderObj::PrintValue(const ffi::Any& value, const std::string& message) {
  Expr e = ToExpr(value);
  Printable p = Promoted(e);
  std::string text = Where(message.empty() ? "expr<" + Spelled(e) + ">" : message) +
                     "dtype=" + LanguageName(e.dtype()) + " value=" + p.format + "\n";
  std::vector<Expr> operands = Indices(kernel_.get());
  operands.push_back(p.value);
  EmitCall("print", operands, Void(), text);
}

void BuilderObj::PrintBuffer(const Buffer& buffer, const std::string& message, int64_t thread) {
  std::string name = buffer->name, dtype = LanguageName(buffer->dtype);
  Buffer source = buffer;
  if (buffer->space() == Space::kFrag) {
    // A fragment is spread over the threads: one of them can print it from shared memory.
    Values shape(buffer->shape.begin(), buffer->shape.end());
    source = AddAlloc("shared", buffer->dtype, shape, {});
    SetName(source, name + "_print");
    AddTile("copy", {buffer, source});
  }
  bool one = source->space() == Space::kShared;
  if (one) {
    Expr mine = Eq(thread_var(0), MakeConst(thread));
    for (int d = 1; d < 3; ++d) mine = And(mine, Eq(thread_var(d), MakeConst(0)));
    BeginIf(mine);
  }
  Expr count = MakeConst(1);
  for (const Expr& e : source->shape) count = Binary("mul", count, e);
  Var flat = BeginFor("serial", MakeConst(0, count.dtype()), count, ffi::Any(), {}, "e");
  std::vector<Expr> index(source->shape.size());
  Expr rest = flat;
  for (size_t d = index.size(); d-- > 0;) {
    index[d] = d == 0 ? rest : Binary("floormod", rest, source->shape[d]);
    if (d > 0) rest = Binary("floordiv", rest, source->shape[d]);
  }
  Printable p = Promoted(BuildLoad(source, index));
  Printable i = Promoted(flat);
  std::string text = Where(message.empty() ? "buffer<" + name + ", " + dtype + ">" : message) +
                     "buffer=" + name + ", index=" + i.format + ", dtype=" + dtype +
                     " value=" + p.format + "\n";
  std::vector<Expr> operands = Indices(kernel_.get());
  operands.push_back(i.value);
  operands.push_back(p.value);
  EmitCall("print", operands, Void(), text);
  End();
  if (one) End();
}

void BuilderObj::AddPrint(const ffi::Any& value, const std::string& message, int64_t thread) {
  if (IsNone(value)) {
    if (message.empty()) Raise("AssertionError", "T.print needs a value or a message");
    EmitCall("print", {}, Void(), Escape(message) + "\n");
    return;
  }
  auto buffer = value.as<Buffer>();
  if (buffer && (*buffer)->space() != Space::kVar) return PrintBuffer(*buffer, message, thread);
  if (value.as<Region>()) {
    Raise("NotImplementedError",
          "T.print of a slice is not supported yet: print the buffer or an element");
  }
  PrintValue(value, message);
}

}  // namespace tilescale::ir
