// SPDX-License-Identifier: MIT
// What Python calls of the IR: text and specifications.
#include "compiler/ir/text.h"
#include "compiler/ir/verify.h"
#include "compiler/ir/visit.h"
#include "support/ffi_boundary.h"

#include <tvm/ffi/reflection/registry.h>

namespace tilescale::ir {
namespace {

ffi::String PrintNode(Node node, bool spans) {
  PrintOptions options;
  options.spans = spans;
  if (const FuncObj* f = node.as<FuncObj>()) return Print(ffi::GetRef<Func>(f), options);
  if (const ScheduleObj* s = node.as<ScheduleObj>()) return Print(ffi::GetRef<Schedule>(s));
  if (const RegionObj* r = node.as<RegionObj>()) return Print(ffi::GetRef<Region>(r));
  if (node.defined() && IsExprKind(node.kind())) {
    return Print(ffi::GetRef<Expr>(static_cast<const ExprObj*>(node.get())));
  }
  if (node.defined() && IsStmtKind(node.kind())) {
    return Print(ffi::GetRef<Stmt>(static_cast<const StmtObj*>(node.get())));
  }
  throw Diag({}, "TypeError")
      << "expected a function, statement, expression, region or schedule, got "
      << (node.defined() ? NodeKindName(node.kind()) : "None");
}

Func ParseText(ffi::String text) {
  return ParseFunc(std::string_view(text.data(), text.size()));
}

void VerifyFunc(Func f) {
  Verify(f);
}

bool Equal(Node a, Node b) {
  return StructuralEqual(a, b);
}

}  // namespace

TVM_FFI_STATIC_INIT_BLOCK() {
  namespace refl = tvm::ffi::reflection;
  refl::GlobalDef()
      .def("tilescale.ir.print", Guarded(&PrintNode))
      .def("tilescale.ir.parse", Guarded(&ParseText))
      .def("tilescale.ir.verify", Guarded(&VerifyFunc))
      .def("tilescale.ir.structural_equal", Guarded(&Equal));
}

}  // namespace tilescale::ir
