// SPDX-License-Identifier: MIT
// The base of all IR nodes.
//
// Nodes are immutable tvm-ffi objects. A node class is a pair: `ForObj` holds the data, `For` is
// the reference to it (null when absent). Each class lists its fields once in `Fields()`;
// reflection, visiting and mutating are derived from that list, `kind` selects without a virtual
// call.
#pragma once

#include "compiler/ir/type.h"

#include <tvm/ffi/any.h>
#include <tvm/ffi/cast.h>
#include <tvm/ffi/container/array.h>
#include <tvm/ffi/object.h>
#include <tvm/ffi/string.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace tilescale {
namespace ffi = tvm::ffi;
}

namespace tilescale::ir {

inline std::string_view Str(const ffi::String& s) {
  return {s.data(), s.size()};
}

enum class NodeKind : uint8_t {
#define TS_NODE(name, parent) k##name,
#include "compiler/ir/nodes.def"
};
const char* NodeKindName(NodeKind kind);

class NodeObj : public ffi::Object {
 public:
  NodeKind kind;
  explicit NodeObj(NodeKind k) : kind(k) {}
  static constexpr TVMFFISEqHashKind _type_s_eq_hash_kind = kTVMFFISEqHashKindTreeNode;
  static constexpr uint32_t _type_child_slots = 64;
  TVM_FFI_DECLARE_OBJECT_INFO("tilescale.ir.Node", NodeObj, ffi::Object);
};
class Node : public ffi::ObjectRef {
 public:
  NodeKind kind() const { return get()->kind; }
  TVM_FFI_DEFINE_OBJECT_REF_METHODS_NULLABLE(Node, ffi::ObjectRef, NodeObj);
};

// A field of a node: its name in reflection and a pointer to the member.
template <typename Obj, typename T>
struct Field {
  const char* name;
  T Obj::*member;
};
template <typename Obj, typename T>
constexpr Field<Obj, T> F(const char* name, T Obj::*member) {
  return {name, member};
}

// Declares the data class's type info and the reference class `Name` of `NameObj`.
#define TS_DECLARE_NODE(Name, Parent)                  \
  static constexpr NodeKind kKind = NodeKind::k##Name; \
  TVM_FFI_DECLARE_OBJECT_INFO_FINAL("tilescale.ir." #Name, Name##Obj, Parent##Obj)
#define TS_DEFINE_REF(Name, Parent)                                      \
  class Name : public Parent {                                           \
   public:                                                               \
    TVM_FFI_DEFINE_OBJECT_REF_METHODS_NULLABLE(Name, Parent, Name##Obj); \
  }

// The user's place of a statement. `caller` is the line that called the macro or helper, or null.
class SpanObj : public NodeObj {
 public:
  ffi::String file;
  int64_t line = 0, column = 0;
  ffi::String function;
  Node caller;  // Span or null
  SpanObj() : NodeObj(NodeKind::kSpan) {}
  static constexpr auto Fields() {
    return std::make_tuple(F("file", &SpanObj::file), F("line", &SpanObj::line),
                           F("column", &SpanObj::column), F("function", &SpanObj::function),
                           F("caller", &SpanObj::caller));
  }
  TS_DECLARE_NODE(Span, Node);
};
TS_DEFINE_REF(Span, Node);

class ExprObj : public NodeObj {
 public:
  DataType dtype{kDLInt, 32, 1};
  explicit ExprObj(NodeKind k) : NodeObj(k) {}
  static constexpr uint32_t _type_child_slots = 16;
  TVM_FFI_DECLARE_OBJECT_INFO("tilescale.ir.Expr", ExprObj, NodeObj);
};
class Expr : public Node {
 public:
  DataType dtype() const { return get()->dtype; }
  TVM_FFI_DEFINE_OBJECT_REF_METHODS_NULLABLE(Expr, Node, ExprObj);
};

class StmtObj : public NodeObj {
 public:
  Span span;          // null only in text that names none
  ffi::String label;  // empty when unlabelled; schedules name statements by label
  explicit StmtObj(NodeKind k) : NodeObj(k) {}
  static constexpr uint32_t _type_child_slots = 24;
  TVM_FFI_DECLARE_OBJECT_INFO("tilescale.ir.Stmt", StmtObj, NodeObj);
};
class Stmt : public Node {
 public:
  TVM_FFI_DEFINE_OBJECT_REF_METHODS_NULLABLE(Stmt, Node, StmtObj);
};

// A fresh, shallow copy of a node, to be changed before it is published. The only way to make a
// variant.
template <typename Obj>
ffi::ObjectPtr<Obj> CopyNode(const Obj* node) {
  return ffi::make_object<Obj>(*node);
}

}  // namespace tilescale::ir
