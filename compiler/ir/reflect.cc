// SPDX-License-Identifier: MIT
// Registers every node with tvm-ffi from its field list: Python classes, structural equality and
// hash, JSON and deep copy follow from it.
#include "compiler/ir/func.h"
#include "compiler/ir/text.h"

#include <tvm/ffi/reflection/registry.h>

#include <string_view>
#include <type_traits>

namespace tilescale::ir {
namespace {

namespace refl = tvm::ffi::reflection;

// Where a symbol is declared: structural equality pairs the two sides' symbols there and compares
// later uses by that pairing. The whole value is a pattern, so that a buffer's storage and the
// shape variables of a parameter are declared with it.
template <typename Obj>
bool IsBinding(std::string_view field) {
  if constexpr (std::is_same_v<Obj, BindObj> || std::is_same_v<Obj, ForObj>) return field == "var";
  if constexpr (std::is_same_v<Obj, ParallelObj>) return field == "vars";
  if constexpr (std::is_same_v<Obj, KernelObj>) {
    return field == "block_vars" || field == "thread_vars";
  }
  if constexpr (std::is_same_v<Obj, AllocObj>) return field == "buffer" || field == "token";
  if constexpr (std::is_same_v<Obj, ViewObj>) return field == "buffer";
  if constexpr (std::is_same_v<Obj, CallObj>) return field == "results";
  if constexpr (std::is_same_v<Obj, ParamObj>) return field == "buffer" || field == "var";
  return false;
}

// The name of a symbol is for people; identity is the object.
template <typename Obj>
bool IsIgnored(std::string_view field) {
  constexpr bool kSymbol = std::is_same_v<Obj, VarObj> || std::is_same_v<Obj, StorageObj> ||
                           std::is_same_v<Obj, BufferObj> || std::is_same_v<Obj, TokenObj>;
  return kSymbol && field == "name";
}

// One call whatever the field is: def_ro is expensive to compile.
template <typename Obj, typename Class, typename T>
void DefineField(Class& def, const Field<Obj, T>& field) {
  int32_t flag = 0;
  if (IsIgnored<Obj>(field.name)) flag |= kTVMFFIFieldFlagBitMaskSEqHashIgnore;
  if (IsBinding<Obj>(field.name)) flag |= kTVMFFIFieldFlagBitMaskSEqHashDefPattern;
  def.def_ro(field.name, field.member, refl::AttachFieldFlag(flag));
}

template <typename Obj, typename Class>
void DefineFields(Class& def) {
  std::apply([&](const auto&... field) { (DefineField<Obj>(def, field), ...); }, Obj::Fields());
}

template <typename Obj>
void DefineNode() {
  refl::ObjectDef<Obj> def(refl::init(false));
  DefineFields<Obj>(def);
}

// Python reads these as methods: the fields hold codes.
template <>
void DefineNode<OpObj>() {
  refl::ObjectDef<OpObj> def(refl::init(false));
  DefineFields<OpObj>(def);
  def.def("opcode", [](const OpObj* op) { return ffi::String(Info(op->op()).text); });
}

template <>
void DefineNode<ConstObj>() {
  refl::ObjectDef<ConstObj> def(refl::init(false));
  DefineFields<ConstObj>(def);
  def.def("value", [](const ConstObj* c) -> ffi::Any {
    if (IsFloat(c->dtype)) return c->f;
    if (IsBool(c->dtype)) return c->i != 0;
    return c->i;
  });
}

}  // namespace

TVM_FFI_STATIC_INIT_BLOCK() {
  // Base classes before derived ones: a type's index is allocated behind its parent's.
  refl::ObjectDef<NodeObj>(refl::init(false));
  refl::ObjectDef<ExprObj>(refl::init(false)).def_ro("dtype", &ExprObj::dtype);
  refl::ObjectDef<StmtObj>(refl::init(false))
      .def_ro("span", &StmtObj::span, refl::AttachFieldFlag::SEqHashIgnore())
      .def_ro("label", &StmtObj::label);
#define TS_NODE(name, parent) DefineNode<name##Obj>();
#include "compiler/ir/nodes.def"
}

}  // namespace tilescale::ir
