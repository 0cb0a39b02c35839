// SPDX-License-Identifier: MIT
// What the language may call: statements are emitted into a Builder, expressions are made by free
// functions. It promotes, folds, converts literals, checks ranks, ranges and scopes; the front end
// only decides what is Python and what is a value of the kernel. Registered as
// `tilescale.builder.*` (builder_ffi.cc), one function each, positional arguments.
//
// A *value* (ffi::Any) is an Expr, a Python bool, int or float, a `T.alloc_var` cell (read here) or
// a region of one element. Errors carry the contract's exception kind; the front end adds the
// user's line.
#pragma once

#include "compiler/ir/build.h"
#include "compiler/ir/diag.h"

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/optional.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace tilescale::ir {

using Values = std::vector<ffi::Any>;

// -- values (builder_value.cc)
// -----------------------------------------------------------------------

DataType TypeOf(std::string_view name);  // TypeError for a name that is no dtype
bool IsNone(const ffi::Any& v);
bool IsNumber(const ffi::Any& v);  // a Python bool, int or float
// A number by the default rule (int32, int64 or uint64; float32; bool), anything else as it is.
Expr ToExpr(const ffi::Any& v);
// As ToExpr, then converted to `dtype`; a Python number directly, so 1e300 into float64 is exact.
// ValueError if a literal does not fit.
Expr ToTyped(const ffi::Any& v, DataType dtype);
Expr ToBool(Expr e);                  // e != 0 unless it is one; TypeError of a vector
Expr CastTo(Expr e, DataType dtype);  // folds; a scalar is broadcast to lanes
Expr ToIndex(const ffi::Any& v, const Buffer& buffer, size_t dim);
// What an argument is called in an error: `expression`, 'text', or the name of its type.
std::string Given(const ffi::Any& v);
int64_t ToInt(const ffi::Any& v, std::string_view what);  // a Python int or a constant expression
std::string DimText(const Expr& e);  // a number as such, anything else in the notation of the IR

// -- expressions (builder_expr.cc, builder_math.cc)
// ----------------------------------------------------

// Operators and pure intrinsics by the name of the language's table. `result`: None for the
// opcode's own rule, a dtype's name, or the positions of the arguments that are promoted to the
// result's type.
Expr BuildOp(std::string_view opcode, const Values& args, const ffi::Any& result);
// Both operands promoted; folded; integers are subtracted in linear normal form.
Expr Binary(std::string_view opcode, Expr a, Expr b);
// a - b where terms cancel, so that the extent of `i * 64 : (i + 1) * 64` is 64.
Expr Minus(const Expr& a, const Expr& b);
// The pure functions of the table; null when `name` is none of them. (builder_math.cc)
Expr BuildMath(std::string_view name, const Values& args, const ffi::Any& result);

// -- places (builder_buffer.cc)
// ------------------------------------------------------------------------

// base, base + stride, …; one lane is its base.
Expr RampOf(const Expr& base, const Expr& stride, int64_t lanes);
// One lane of a vector, of a scalar itself; computes no other lane where it can.
Expr LaneOf(const Expr& vector, int lane);
// One element, or one of each lane of a vector index. IndexError when the count of indices is not
// the rank.
Expr BuildLoad(const Buffer& buffer, const std::vector<Expr>& index);
// extent None: a start address whose extents the op reconciles.
Region BuildRegion(const Buffer& buffer, const Values& begin, const ffi::Any& extent);
std::vector<Expr> ToIndices(const Buffer& buffer, const Values& index);
// A buffer, slice, element or pointer as an address. `count`: elements that an element stands for.
Expr ToAddress(const ffi::Any& v, int64_t count = 1);
// Operand of a tile op: a buffer, a slice, or an element as a start address; null for anything
// else.
Region ToRegion(const ffi::Any& v);
// A value whose pieces may be memory: dtype of what it reads as.
DataType TypeOfValue(const ffi::Any& v);

// -- statements
// ----------------------------------------------------------------------------------------

// Statements of a lazy operand, to be spliced once.
class SideObj : public ffi::Object {
 public:
  std::vector<Stmt> stmts;
  static constexpr bool _type_mutable = true;
  TVM_FFI_DECLARE_OBJECT_INFO_FINAL("tilescale.builder.Side", SideObj, ffi::Object);
};
class Side : public ffi::ObjectRef {
 public:
  TVM_FFI_DEFINE_OBJECT_REF_METHODS_NULLABLE(Side, ffi::ObjectRef, SideObj);
};

class BuilderObj : public ffi::Object {
 public:
  // program and regions (builder_scope.cc)
  void BeginFunc(const std::string& name);
  Func EndFunc();
  ffi::ObjectRef AddParam(std::string_view kind, const std::string& name, DataType dtype,
                          const Values& shape, const ffi::Any& strides, std::string_view scope,
                          bool is_out);
  // Block variables (as many as `grid` has extents), then the three thread variables.
  std::pair<std::vector<Var>, std::vector<Var>> BeginKernel(const Values& grid,
                                                            const Values& threads,
                                                            const std::vector<int64_t>& cluster,
                                                            const std::string& prelude,
                                                            const std::vector<std::string>& names);
  Var BeginFor(std::string_view kind, const ffi::Any& begin, const ffi::Any& end,
               const ffi::Any& step, const Values& hints, const std::string& name);
  std::vector<Var> BeginParallel(const Values& extents, const Values& hints,
                                 const std::vector<std::string>& names);
  void BeginWhile();
  void WhileCond(const ffi::Any& cond);
  void BeginIf(const ffi::Any& cond);
  void BeginElse();
  void BeginGroup(int64_t first, int64_t count);
  void BeginSide();
  Side EndSide();  // null when it holds nothing
  void Splice(const Side& side);
  void End();
  void BeginLabel(const std::string& text);
  void EndLabel();
  Var AddBind(const std::string& name, const ffi::Any& value);
  void SetName(const ffi::ObjectRef& symbol, const std::string& text);
  void AddCheck(std::string_view kind, const ffi::Any& cond, const std::string& message);
  void AddJump(std::string_view kind);
  // A new span from [file, line, column, function, …] (innermost first), or one made earlier.
  int64_t At(const Values& chain);
  void AtId(int64_t id);

  // memory (builder_buffer.cc)
  Buffer AddAlloc(std::string_view scope, DataType dtype, const Values& shape,
                  const Values& options);
  Buffer AddView(const ffi::Any& base, std::string_view how, DataType dtype, const ffi::Any& shape,
                 const ffi::Any& strides);
  void AddStore(const Buffer& buffer, const Values& index, const ffi::Any& value);

  // operations (builder_tile.cc, builder_call.cc, builder_annotate.cc)
  void AddTile(const std::string& name, const Values& args);
  Var AddCall(const std::string& name, const Values& args, const ffi::Any& result);
  void AddAnnotation(const std::string& name, const Values& args);

  // For the rows of builder_call.cc: emits one instruction; the result Var, if it has one, is new.
  Var EmitCall(std::string_view instr, std::vector<Expr> args, DataType result = Void(),
               std::string_view text = "");
  Var EmitBind(const std::string& name, Expr value);
  Stmt Emit(ffi::ObjectPtr<StmtObj> stmt);
  KernelObj* kernel() { return kernel_.get(); }  // the open kernel, or null
  Var thread_var(int dim) const { return kernel_->thread_vars[dim]; }
  const Span& span() const { return span_; }
  // What a Bind of this function gave the variable; null for others.
  Expr LetOf(const ffi::Any& v) const;

  static constexpr bool _type_mutable = true;
  TVM_FFI_DECLARE_OBJECT_INFO_FINAL("tilescale.builder.Builder", BuilderObj, ffi::Object);

 private:
  enum class RegionKind : uint8_t {
    kFunc,
    kKernel,
    kFor,
    kParallel,
    kWhileHead,
    kWhile,
    kThen,
    kElse,
    kGroup,
    kSide
  };
  struct Frame {
    RegionKind kind;
    int id;                        // scopes names; a side has its parent's
    ffi::ObjectPtr<StmtObj> node;  // the statement that the region is the body of
    std::vector<Stmt> stmts;
    bool jumped = false;  // what follows cannot run and is dropped
    bool live = true;     // the statement itself was not dropped
  };
  struct Label {
    std::string text;
    size_t depth;  // frames open when it began: only statements of that region carry it
  };

  Frame& top();
  void Push(RegionKind kind, ffi::ObjectPtr<StmtObj> node);
  Frame Pop();
  void Close(Frame frame);
  Stmt Attach(ffi::ObjectPtr<StmtObj> stmt, Frame* frame);
  void Declare(const ffi::Object* symbol);    // in the innermost region that scopes names
  void CheckUses(const NodeObj* node) const;  // RuntimeError for a symbol of a closed region
  void NeedKernel(std::string_view what) const;
  Var NewVar(const std::string& name, DataType dtype);
  std::string Unique(const std::string& name);
  Buffer NewBuffer(const std::string& name, DataType dtype, std::vector<Expr> shape,
                   Storage storage);
  // annotations of loops: known keys become fields
  void LoopAnnotation(ForObj* loop, const std::string& key, const ffi::Any& value);
  void ParallelAnnotation(ParallelObj* loop, const std::string& key, const ffi::Any& value);
  bool IgnoredKey(const std::string& key, std::string_view where);
  AllocObj* AllocOf(const Buffer& buffer, std::string_view what);
  void AnnotateLayout(const Values& entries);
  void CheckInjective(const std::string& text, const Buffer& buffer);
  void AnnotateKernel(const std::string& name, const Values& args);
  void AddPrint(const ffi::Any& value, const std::string& message, int64_t thread);
  void PrintBuffer(const Buffer& buffer, const std::string& message, int64_t thread);
  void PrintValue(const ffi::Any& value, const std::string& message);
  Var SyncGrid();
  Var SyncRanks(const Values& args);

  std::vector<Frame> frames_;
  std::vector<Label> labels_;
  Values ws_schedule_;      // of the open kernel, as T.annotate_ws_schedule gave it
  std::vector<bool> open_;  // by region id
  std::unordered_map<const ffi::Object*, int> region_of_;  // of symbols declared in a region
  std::unordered_map<const ffi::Object*, Expr> lets_;
  std::unordered_set<const ffi::Object*> named_;
  std::unordered_map<std::string, int> used_names_;
  std::unordered_map<const ffi::Object*, AllocObj*> allocs_;  // by buffer
  std::unordered_map<const ffi::Object*, Storage> pointees_;  // of pointer values
  std::vector<ffi::ObjectRef> keep_;  // symbols whose addresses are keys above
  std::vector<Span> spans_;
  Span span_;
  ffi::ObjectPtr<FuncObj> func_;
  ffi::ObjectPtr<OptionsObj> options_;
  ffi::ObjectPtr<KernelObj> kernel_;
  Buffer grid_barrier_;  // of this kernel's T.sync_grid
  Buffer rank_barrier_;  // of this kernel's T.barrier_all
  int num_kernels_ = 0;
};
class Builder : public ffi::ObjectRef {
 public:
  TVM_FFI_DEFINE_OBJECT_REF_METHODS_NULLABLE(Builder, ffi::ObjectRef, BuilderObj);
};
Builder MakeBuilder();

// A user's layout (plain lists, see LayoutText) as layout text for a tile of `shape` and `dtype`.
// `threads`: of the kernel, for a replicated layout.
std::string LayoutText(const Values& spec, const std::vector<int64_t>& shape, DataType dtype,
                       int64_t threads, std::string_view name);
// Sets one pass configuration. CompileError for an unknown key.
void SetOption(OptionsObj* options, const std::string& key, const ffi::Any& value);

Values ToValues(const ffi::Any& list);  // an Array as a vector; None as empty
std::string ToText(const ffi::Any& v, std::string_view what);

}  // namespace tilescale::ir
