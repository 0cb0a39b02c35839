// SPDX-License-Identifier: MIT
// Effectful builtins of the language: each becomes an instruction (a Call), or a few statements.
#include "compiler/ir/builder.h"
#include "compiler/ir/text.h"
#include "compiler/target/constants.h"
#include "support/ranks.h"

#include <tvm/ffi/cast.h>

#include <algorithm>
#include <array>

namespace tilescale::ir {

namespace {

using target::kAllLanes;
using target::kWarpSize;

ffi::Any Arg(const Values& args, size_t i) {
  return i < args.size() ? args[i] : ffi::Any();
}

// "void", a dtype's name, or [i]: the type of argument i.
DataType ResultType(const Values& args, const ffi::Any& result) {
  if (IsNone(result)) return Void();
  if (auto name = result.as<ffi::String>()) return TypeOf(std::string(*name));
  Values positions = ToValues(result);
  DataType t = TypeOfValue(args.at(static_cast<size_t>(ToInt(positions.at(0), "result"))));
  for (size_t i = 1; i < positions.size(); ++i) {
    t = Promote(t, TypeOfValue(args.at(static_cast<size_t>(ToInt(positions[i], "result")))));
  }
  return t;
}

Expr Barrier(const ffi::Any& v) {
  if (auto buffer = v.as<Buffer>(); buffer && (*buffer)->space() == Space::kMbar) {
    if ((*buffer)->ndim() != 1) {
      Raise("AssertionError", "mbarrier `", std::string((*buffer)->name),
            "` must have one dimension, has ", (*buffer)->ndim());
    }
    return MakeAddr(*buffer, {MakeConst(0)});
  }
  const auto* load = v.as<LoadObj>();
  if (load != nullptr && load->buffer->space() == Space::kMbar) return ToAddress(v);
  Raise("TypeError", "mbarrier must be a barrier of T.alloc_barrier or an element of one, but got ",
        Given(v));
}

Expr Predicate(const std::string& name, const ffi::Any& v) {
  Expr e = ToExpr(v);
  if (IsFloat(e.dtype()) || IsHandle(e.dtype())) {
    Raise("TypeError", "T.", name, " requires an integer or boolean predicate, but got ",
          LanguageName(e.dtype()));
  }
  return ToBool(e);
}

// Rows that only convert their operands, one letter each: b barrier, a address, i int32, n
// constant, m lane mask (all lanes by default), p predicate, v value.
struct SimpleRow {
  std::string_view name, instr, operands;
};
constexpr std::array kSimple = {
    SimpleRow{"named_barrier_arrive", "bar.arrive", "ii"},
    SimpleRow{"quiet", "comm.quiet", ""},
    SimpleRow{"fence", "comm.quiet", ""},
    SimpleRow{"sync_warp", "warp.sync", "m"},
    SimpleRow{"syncthreads_count", "bar.cta_count", "p"},
    SimpleRow{"syncthreads_and", "bar.cta_and", "p"},
    SimpleRow{"syncthreads_or", "bar.cta_or", "p"},
    SimpleRow{"mbarrier_wait_parity", "mbarrier.wait", "bi"},
    SimpleRow{"barrier_wait", "mbarrier.wait", "bi"},
    SimpleRow{"ptx_wait_barrier", "mbarrier.wait", "bi"},
    SimpleRow{"barrier_arrive", "mbarrier.arrive", "b"},
    SimpleRow{"ptx_arrive_barrier", "mbarrier.arrive", "b"},
    SimpleRow{"mbarrier_expect_tx", "mbarrier.expect_tx", "bi"},
    SimpleRow{"mbarrier_arrive_expect_tx", "mbarrier.arrive_expect_tx", "bi"},
    SimpleRow{"ptx_arrive_barrier_expect_tx", "mbarrier.arrive_expect_tx", "bi"},
    SimpleRow{"ptx_init_barrier_thread_count", "mbarrier.init", "bi"},
    SimpleRow{"ptx_fence_barrier_init", "fence.mbarrier_init", ""},
    SimpleRow{"fence_proxy_async", "fence.proxy_async", ""},
    SimpleRow{"cp_async_barrier_noinc", "cp_async.mbar_arrive", "b"},
    SimpleRow{"ptx_cp_async_barrier", "cp_async.mbar_arrive", "b"},
    SimpleRow{"ptx_commit_group", "cp_async.commit", ""},
    SimpleRow{"ptx_wait_group", "cp_async.wait_group", "n"},
    SimpleRow{"tma_store_arrive", "bulk.commit", ""},
    SimpleRow{"inc_max_nreg", "setmaxnreg.inc", "n"},
    SimpleRow{"dec_max_nreg", "setmaxnreg.dec", "n"},
    SimpleRow{"shfl_sync", "shfl.idx", "viim"},
    SimpleRow{"shfl_xor", "shfl.xor", "viim"},
    SimpleRow{"shfl_down", "shfl.down", "viim"},
    SimpleRow{"shfl_up", "shfl.up", "viim"},
    SimpleRow{"any_sync", "vote.any", "pm"},
    SimpleRow{"all_sync", "vote.all", "pm"},
    SimpleRow{"ballot_sync", "vote.ballot", "pm"},
    SimpleRow{"ballot", "vote.ballot", "pm"},
    SimpleRow{"activemask", "activemask", ""},
    SimpleRow{"match_any_sync", "match.any", "vm"},
    SimpleRow{"match_all_sync", "match.all", "vm"},
};

Var SimpleCall(BuilderObj* b, const SimpleRow& row, const Values& args, const ffi::Any& result) {
  std::string name(row.name);
  std::vector<Expr> operands;
  for (size_t i = 0; i < row.operands.size(); ++i) {
    ffi::Any v = Arg(args, i);
    switch (row.operands[i]) {
      case 'b':
        operands.push_back(Barrier(v));
        break;
      case 'a':
        operands.push_back(ToAddress(v));
        break;
      case 'i':
        // The width of a shuffle may be left out.
        operands.push_back(IsNone(v) ? MakeConst(kWarpSize) : CastTo(ToExpr(v), Int(32)));
        break;
      case 'n':
        operands.push_back(MakeConst(ToInt(v, "the argument of T." + name)));
        break;
      case 'm':
        operands.push_back(IsNone(v) ? MakeConst(kAllLanes, UInt(32))
                                     : CastTo(ToExpr(v), UInt(32)));
        break;
      case 'p':
        operands.push_back(Predicate(name, v));
        break;
      default:
        operands.push_back(ToExpr(v));
    }
  }
  return b->EmitCall(row.instr, operands, ResultType(args, result));
}

// -- atomics
// -------------------------------------------------------------------------------------------

struct AtomicOrder {
  std::string sem;     // of the instruction
  bool fence = false;  // seq_cst: a fence before it
};
AtomicOrder OrderOf(const std::string& name, const ffi::Any& v, const char* allowed_text,
                    std::initializer_list<std::string_view> allowed) {
  std::string order = IsNone(v) ? "relaxed" : ToText(v, "memory_order");
  if (std::find(allowed.begin(), allowed.end(), order) == allowed.end()) {
    Raise("ValueError", name, " does not support memory_order='", order, "'; expected one of ",
          allowed_text);
  }
  // The machine has no consume; seq_cst is a fence and then an acquire (the mapping of PTX's
  // model).
  if (order == "consume") return {"acquire"};
  if (order == "seq_cst") return {"acquire", true};
  return {order};
}

const char* ScopeOf(const Expr& address) {
  const auto* addr = address.as<AddrObj>();
  return addr != nullptr && addr->region->buffer->space() == Space::kShared ? "cta" : "gpu";
}

struct Place {
  Expr address;
  DataType dtype;
};
Place AtomicPlace(BuilderObj* b, const std::string& name, const ffi::Any& v, int lanes) {
  Expr let = b->LetOf(v);
  ffi::Any place = let.defined() ? ffi::Any(let) : v;
  if (const auto* load = place.as<LoadObj>()) {
    Space space = load->buffer->space();
    if (space != Space::kGlobal && space != Space::kShared) {
      Raise("ValueError", "T.", name, " needs an element of global or shared memory, `",
            std::string(load->buffer->name), "` is in registers");
    }
    return {ToAddress(place, lanes), load->buffer->dtype};
  }
  if (Region region = ToRegion(place); region.defined()) {
    return {ToAddress(place), region->buffer->dtype};
  }
  Raise("TypeError", "T.", name, " needs an element of a buffer as its destination, got ",
        Given(v));
}

// The place on rank `pe`; None and the literal -1 are this rank. True if it is another one's.
bool MoveToPeer(Place* place, const std::string& name, const ffi::Any& pe) {
  if (IsNone(pe)) return false;
  Expr peer = ToExpr(pe);
  auto known = AsInt(peer);
  if (known && *known == -1) return false;
  if (known && *known < 0) {
    Raise("ValueError", "T.", name, ": there is no rank ", *known,
          "; ranks count from 0, and -1 is this rank");
  }
  if (!IsInteger(peer.dtype())) {
    Raise("TypeError", "T.", name, ": a rank is an integer, got `", Spelled(peer), "` of ",
          LanguageName(peer.dtype()));
  }
  const auto* addr = place->address.as<AddrObj>();
  auto region = CopyNode(addr->region.get());
  if (region->buffer->space() != Space::kGlobal ||
      region->buffer->storage->root() != Root::kParam) {
    Raise("ValueError", "T.", name, ": `", std::string(region->buffer->name),
          "` is on this rank only; other ranks reach tensor arguments that are in symmetric "
          "memory");
  }
  region->peer = CastTo(peer, Int(32));
  place->address = MakeAddr(Region(region));
  return true;
}

void CheckAtomicType(const std::string& name, const std::string& op, DataType t) {
  bool wide = t.bits == 32 || t.bits == 64;
  bool ok = IsInteger(t)  ? wide
            : op == "add" ? t.code == kDLBfloat || (t.code == kDLFloat)
                          : (op == "max" || op == "min" || op == "exch") && IsFloat(t) &&
                                (t.code == kDLFloat || t.code == kDLBfloat);
  if (ok) return;
  Raise("TypeError", "T.", name, " of ", LanguageName(t), " is not supported");
}

// One instruction for the vector in global memory; shared memory has none.
void AddLanes(BuilderObj* b, const Place& place, const Expr& value, const std::string& order) {
  DataType t = place.dtype;
  int lanes = value.dtype().lanes;
  const Region& region = place.address.as<AddrObj>()->region;
  if (region->buffer->space() == Space::kGlobal) {
    std::string type = (t.code == kDLBfloat ? "bf" : "f") + std::to_string(t.bits);
    b->EmitCall("red.add.v" + std::to_string(lanes) + "_" + type, {place.address, value}, Void(),
                order);
    return;
  }
  Var vector = b->EmitBind("v", value);
  for (int i = 0; i < lanes; ++i) {
    auto element = CopyNode(region.get());
    size_t last = region->begin.size() - 1;
    element->begin.Set(last, Add(region->begin[last], i));
    element->extent.Set(last, MakeConst(1));
    Expr lane = MakeOp(OpCode::kLane, {vector, MakeConst(i)}, t);
    b->EmitCall("red.add", {MakeAddr(Region(element)), lane}, Void(), order);
  }
}

Var Atomic(BuilderObj* b, const std::string& name, const std::string& op, const Values& args,
           bool returns, int lanes, const ffi::Any& order, const ffi::Any& pe) {
  AtomicOrder sem =
      OrderOf(name, order, "['relaxed', 'consume', 'acquire', 'release', 'acq_rel', 'seq_cst']",
              {"relaxed", "consume", "acquire", "release", "acq_rel", "seq_cst"});
  Place place = AtomicPlace(b, name, Arg(args, 0), lanes);
  CheckAtomicType(name, op, place.dtype);
  Expr value;
  if (lanes > 1) {
    // The value is addressed like the destination: consecutive elements from it on.
    ffi::Any from = Arg(args, 1);
    const auto* load = from.as<LoadObj>();
    bool pairs = place.dtype.bits == 16 && lanes == 2;
    if (!pairs && !(place.dtype.code == kDLFloat && place.dtype.bits == 32)) {
      Raise("TypeError", "T.", name, " of ", LanguageName(place.dtype), " is not supported");
    }
    if (load != nullptr && load->dtype.lanes == 1) {
      std::vector<Expr> index(load->index.begin(), load->index.end());
      value = MakeLoad(load->buffer, index, Expr(), Expr(), lanes);
    } else if (auto buffer = from.as<Buffer>(); buffer && (*buffer)->space() != Space::kVar) {
      std::vector<Expr> zeros(static_cast<size_t>((*buffer)->ndim()), MakeConst(0));
      value = MakeLoad(*buffer, zeros, Expr(), Expr(), lanes);
    } else {
      value = ToExpr(from);
    }
    value = CastTo(value, WithLanes(place.dtype, lanes));
  } else {
    value = ToTyped(Arg(args, 1), place.dtype);
  }
  // Ranks that update one element need system scope.
  const char* scope = MoveToPeer(&place, name, pe) ? "sys" : ScopeOf(place.address);
  if (sem.fence) b->EmitCall("fence.sc", {}, Void(), scope);
  if (lanes > 1) {
    if (returns) {
      Raise("NotImplementedError", "T.", name, " with return_prev=True is not supported yet");
    }
    AddLanes(b, place, value, sem.sem + "." + scope);
    return Var();
  }
  // `red` reads nothing that an acquire could order behind.
  const bool atom = returns || sem.sem == "acquire" || sem.sem == "acq_rel";
  return b->EmitCall((atom ? "atom." : "red.") + op, {place.address, value},
                     atom ? value.dtype() : Void(), sem.sem + "." + scope);
}

Var AtomicLoad(BuilderObj* b, const Values& args) {
  AtomicOrder sem =
      OrderOf("atomic_load", Arg(args, 1), "['relaxed', 'consume', 'acquire', 'seq_cst']",
              {"relaxed", "consume", "acquire", "seq_cst"});
  Place place = AtomicPlace(b, "atomic_load", Arg(args, 0), 1);
  const char* scope = ScopeOf(place.address);
  if (sem.fence) b->EmitCall("fence.sc", {}, Void(), scope);
  return b->EmitCall("ld.strong", {place.address}, place.dtype, sem.sem + "." + scope);
}

Var AtomicStore(BuilderObj* b, const Values& args) {
  AtomicOrder sem = OrderOf("atomic_store", Arg(args, 2), "['relaxed', 'release', 'seq_cst']",
                            {"relaxed", "release", "seq_cst"});
  Place place = AtomicPlace(b, "atomic_store", Arg(args, 0), 1);
  const char* scope = ScopeOf(place.address);
  if (sem.fence) b->EmitCall("fence.sc", {}, Void(), scope);
  return b->EmitCall("st.strong", {place.address, ToTyped(Arg(args, 1), place.dtype)}, Void(),
                     (sem.fence ? std::string("relaxed") : sem.sem) + "." + scope);
}

// (target, value, scope, sem, peer): gives the old value.
Var AtomAdd(BuilderObj* b, const Values& args) {
  AtomicOrder sem =
      OrderOf("atom_add", Arg(args, 3), "['relaxed', 'acquire', 'release', 'acq_rel']",
              {"relaxed", "acquire", "release", "acq_rel"});
  std::string scope = ToText(Arg(args, 2), "scope");
  if (scope != "cta" && scope != "gpu" && scope != "sys") {
    Raise("ValueError", "atom_add: scope must be one of ['cta', 'gpu', 'sys'], got '", scope, "'");
  }
  Place place;
  if (const auto* addr = Arg(args, 0).as<AddrObj>()) {
    place = {ffi::GetRef<Expr>(addr), addr->region->buffer->dtype};
  } else {
    place = AtomicPlace(b, "atom_add", Arg(args, 0), 1);
  }
  CheckAtomicType("atom_add", "add", place.dtype);
  MoveToPeer(&place, "atom_add_remote", Arg(args, 4));
  return b->EmitCall("atom.add", {place.address, ToTyped(Arg(args, 1), place.dtype)}, place.dtype,
                     sem.sem + "." + scope);
}

// (dst, value, order, return_prev, use_tma, dst_pe)
Var AtomicRow(BuilderObj* b, const std::string& name, const Values& args, const ffi::Any& result) {
  std::string op = name.substr(std::string("atomic_").size());
  if (!IsNone(Arg(args, 4)) && Arg(args, 4).type_index() == ffi::TypeIndex::kTVMFFIBool &&
      Arg(args, 4).cast<bool>()) {
    Raise("NotImplementedError", "T.", name, " with use_tma=True is not supported yet");
  }
  bool returns = !IsNone(Arg(args, 3)) && ToInt(Arg(args, 3), "return_prev") != 0;
  if (auto kind = result.as<ffi::String>(); kind && *kind == "void") returns = false;
  return Atomic(b, name, op, args, returns, 1, Arg(args, 2), Arg(args, 5));
}

// -- warps
// ---------------------------------------------------------------------------------------------

// All lanes get the warp's result: five butterflies.
Var WarpReduce(BuilderObj* b, const std::string& op, const Values& args) {
  std::string opcode = op == "sum" ? "add" : op == "bitand" ? "and" : op == "bitor" ? "or" : op;
  Var v = b->EmitBind("r", ToExpr(Arg(args, 0)));
  for (int delta = kWarpSize / 2; delta > 0; delta /= 2) {
    Var other = b->EmitCall(
        "shfl.xor", {v, MakeConst(delta), MakeConst(kWarpSize), MakeConst(kAllLanes, UInt(32))},
        v->dtype);
    v = b->EmitBind("r", Binary(opcode, v, other));
  }
  return v;
}

// The index of the thread in its block, x fastest.
Expr LinearThread(BuilderObj* b) {
  const ffi::Array<int64_t>& n = b->kernel()->threads;
  Expr tid = b->thread_var(0);
  if (n[1] > 1) tid = Add(tid, Mul(b->thread_var(1), n[0]));
  if (n[2] > 1) tid = Add(tid, Mul(b->thread_var(2), n[0] * n[1]));
  return tid;
}

Var Elect(BuilderObj* b, const Values& args) {
  int64_t extent = IsNone(Arg(args, 0)) ? 0 : ToInt(Arg(args, 0), "thread_extent");
  if (extent < 0) Raise("ValueError", "thread_extent must not be negative, got ", extent);
  Expr tid = LinearThread(b);
  Expr rank = extent == 0 ? tid : FloorMod(tid, extent);
  return b->EmitBind("elected", Eq(rank, MakeConst(0)));
}

// -- memory and the rest
// -------------------------------------------------------------------------------

Var CpAsync(BuilderObj* b, const Values& args) {
  Expr dst = ToAddress(Arg(args, 0)), src = ToAddress(Arg(args, 1));
  const auto* to = dst.as<AddrObj>();
  const auto* from = src.as<AddrObj>();
  if (to == nullptr || from == nullptr || to->region->buffer->space() != Space::kShared ||
      from->region->buffer->space() != Space::kGlobal) {
    Raise("ValueError",
          "T.ptx_cp_async copies an element of a global buffer to one of shared memory");
  }
  int64_t count = ToInt(Arg(args, 2), "num_elems");
  int64_t bytes = count * to->region->buffer->dtype.bits / 8;
  if (bytes != 4 && bytes != 8 && bytes != 16) {
    Raise("ValueError", "T.ptx_cp_async copies 4, 8 or 16 bytes, got ", bytes);
  }
  auto widen = [&](const AddrObj* a) {
    std::vector<Expr> begin(a->region->begin.begin(), a->region->begin.end());
    return MakeAddr(a->region->buffer, begin, bytes * 8 / a->region->buffer->dtype.bits);
  };
  std::vector<Expr> operands = {widen(to), widen(from)};
  if (!IsNone(Arg(args, 3))) operands.push_back(ToBool(ToExpr(Arg(args, 3))));
  return b->EmitCall("cp_async." + std::to_string(bytes), operands);
}

Var SyncThreads(BuilderObj* b, const Values& args) {
  if (IsNone(Arg(args, 0))) return b->EmitCall("bar.cta", {});
  Expr id = CastTo(ToExpr(Arg(args, 0)), Int(32));
  Expr count = IsNone(Arg(args, 1)) ? MakeConst(b->kernel()->user_threads())
                                    : CastTo(ToExpr(Arg(args, 1)), Int(32));
  auto n = AsInt(count);
  if (n && (*n <= 0 || *n % kWarpSize != 0)) {
    Raise("ValueError", "T.sync_threads: arrive_count must be a positive multiple of ", kWarpSize,
          ", got ", *n);
  }
  if (n && *n > b->kernel()->user_threads()) {
    Raise("ValueError", "T.sync_threads: arrive_count ", *n, " waits for more threads than the ",
          b->kernel()->user_threads(), " of the block");
  }
  return b->EmitCall("bar.sync", {id, count});
}

Var StorageSync(BuilderObj* b, const Values& args) {
  std::string scope = ToText(Arg(args, 0), "storage_scope");
  if (scope == "warp") return b->EmitCall("warp.sync", {MakeConst(kAllLanes, UInt(32))});
  if (scope == "shared" || scope == "shared.dyn") return b->EmitCall("bar.cta", {});
  Raise("NotImplementedError", "T.tvm_storage_sync(\"", scope, "\") is not supported yet");
}

// (dtype, name, arguments …)
Var CallExtern(BuilderObj* b, const Values& args) {
  DataType t = TypeOf(ToText(Arg(args, 0), "dtype"));
  std::string name = ToText(Arg(args, 1), "func_name");
  std::vector<Expr> operands;
  auto add = [&](const ffi::Any& v) {
    bool memory = v.as<Region>() || (v.as<Buffer>() && (*v.as<Buffer>())->space() != Space::kVar);
    operands.push_back(memory ? ToAddress(v) : ToExpr(v));
  };
  for (size_t i = 2; i < args.size(); ++i) {
    if (args[i].as<ffi::Array<ffi::Any>>()) {
      for (const ffi::Any& v : ToValues(args[i])) add(v);
    } else {
      add(args[i]);
    }
  }
  return b->EmitCall("extern", operands, t, name);
}

Var LdMatrix(BuilderObj* b, const Values& given) {
  Values args = given.size() == 1 ? ToValues(given[0]) : given;
  bool trans = ToInt(Arg(args, 0), "trans") != 0;
  int64_t count = ToInt(Arg(args, 1), "num");
  if (count != 1 && count != 2 && count != 4) {
    Raise("ValueError", "T.ptx_ldmatrix loads 1, 2 or 4 matrices, got ", count);
  }
  auto call = ffi::make_object<CallObj>();
  call->instr = "ldmatrix.x" + std::to_string(count) + (trans ? ".trans" : "");
  call->args = ffi::Array<Expr>({ToAddress(Arg(args, 2))});
  call->results = ffi::Array<Expr>({ToAddress(Arg(args, 3), count * 2)});  // two halves a register
  b->Emit(call);
  return Var();
}

// (barrier, expected): one thread of the grid lets `expected` arrivals carry into the last bit. An
// addition, so that blocks may arrive before it.
Var InitGpuBarrier(BuilderObj* b, const Values& args) {
  Place place = AtomicPlace(b, "init_barrier_gpu", Arg(args, 0), 1);
  if (!SameType(place.dtype, UInt(32))) {
    Raise("TypeError", "T.init_barrier_gpu needs an element of uint32, got ",
          LanguageName(place.dtype));
  }
  Expr left = Sub(MakeConst(0x80000000, UInt(32)), CastTo(ToExpr(Arg(args, 1)), UInt(32)));
  Expr first = Eq(LinearThread(b), MakeConst(0));
  for (const Var& block : b->kernel()->block_vars) first = And(first, Eq(block, MakeConst(0)));
  b->BeginIf(first);
  b->EmitCall("red.add", {place.address, left}, Void(), "relaxed.gpu");
  b->End();
  return Var();
}

Var SetMaxNreg(BuilderObj* b, const Values& args) {
  bool inc = ToInt(Arg(args, 1), "is_inc") != 0;
  return b->EmitCall(inc ? "setmaxnreg.inc" : "setmaxnreg.dec",
                     {MakeConst(ToInt(Arg(args, 0), "reg_count"))});
}

Var WaitStores(BuilderObj* b, const Values& args) {
  bool read = IsNone(Arg(args, 1)) || ToInt(Arg(args, 1), "read") != 0;
  int64_t count = IsNone(Arg(args, 0)) ? 0 : ToInt(Arg(args, 0), "count");
  return b->EmitCall(read ? "bulk.wait_read" : "bulk.wait", {MakeConst(count)});
}

}  // namespace

Var BuilderObj::EmitCall(std::string_view instr, std::vector<Expr> args, DataType result,
                         std::string_view text) {
  auto call = ffi::make_object<CallObj>();
  call->instr = std::string(instr);
  call->args = ffi::Array<Expr>(args);
  call->text = std::string(text);
  Var var;
  if (!SameType(result, Void())) {
    var = NewVar("", result);
    call->results = ffi::Array<Expr>({var});
  }
  Emit(call);
  if (var.defined()) Declare(var.get());
  return var;
}

// (op, completes): the ranks meet in words that belong to the heap.
Var BuilderObj::SyncRanks(const Values& args) {
  if (!rank_barrier_.defined()) {
    rank_barrier_ = AddAlloc("global", Int(32), {kMaxRanks}, {});
    SetName(rank_barrier_, "rank_barrier");
    const_cast<StorageObj*>(rank_barrier_->storage.get())->root_ =
        static_cast<int64_t>(Root::kHeap);
  }
  if (ToInt(Arg(args, 1), "completes") != 0) EmitCall("comm.quiet", {});
  AddTile(ToText(Arg(args, 0), "op"), {rank_barrier_});
  return Var();
}

// The blocks meet in a word that belongs to the launch and starts as zero.
Var BuilderObj::SyncGrid() {
  if (!grid_barrier_.defined()) {
    kernel_->cooperative = true;
    grid_barrier_ = AddAlloc("global", UInt(32), {int64_t{1}}, {int64_t{0}});
    SetName(grid_barrier_, "grid_barrier");
  }
  EmitCall("bar.cta", {});
  EmitCall("grid.sync", {ToAddress(grid_barrier_)});
  return EmitCall("bar.cta", {});
}

Var BuilderObj::AddCall(const std::string& name, const Values& args, const ffi::Any& result) {
  NeedKernel("T." + name);
  for (const SimpleRow& row : kSimple) {
    if (row.name == name) return SimpleCall(this, row, args, result);
  }
  if (name == "mbarrier_arrive") {
    if (!IsNone(Arg(args, 1))) {
      Raise("NotImplementedError", "T.mbarrier_arrive with cta_id is not supported yet");
    }
    return EmitCall("mbarrier.arrive", {Barrier(Arg(args, 0))});
  }
  static constexpr std::array<std::string_view, 7> kAtomics = {
      "atomic_add", "atomic_max", "atomic_min", "atomic_or",
      "atomic_and", "atomic_xor", "atomic_exch"};
  if (std::find(kAtomics.begin(), kAtomics.end(), name) != kAtomics.end()) {
    return AtomicRow(this, name, args, result);
  }
  if (name == "atomic_addx2" || name == "atomic_addx4") {
    bool returns = !IsNone(Arg(args, 2)) && ToInt(Arg(args, 2), "return_prev") != 0;
    return Atomic(this, name, "add", args, returns, name.back() - '0', ffi::Any(), Arg(args, 3));
  }
  if (name == "atom_add") return AtomAdd(this, args);
  if (name.starts_with("fence_") && name.size() == 9) {
    return EmitCall("fence.acq_rel", {}, Void(), name.substr(6));
  }
  if (name == "atomic_load") return AtomicLoad(this, args);
  if (name == "atomic_store") return AtomicStore(this, args);
  if (name.starts_with("warp_reduce_")) return WarpReduce(this, name.substr(12), args);
  if (name == "init_barrier_gpu") return InitGpuBarrier(this, args);
  if (name == "shuffle_elect") return Elect(this, args);
  if (name == "ptx_cp_async") return CpAsync(this, args);
  if (name == "ptx_ldmatrix") return LdMatrix(this, args);
  if (name == "sync_threads") return SyncThreads(this, args);
  if (name == "tvm_storage_sync") return StorageSync(this, args);
  if (name == "tma_store_wait") return WaitStores(this, args);
  if (name == "set_max_nreg") return SetMaxNreg(this, args);
  if (name == "call_extern") return CallExtern(this, args);
  if (name == "barrier_all") return SyncRanks(args);
  if (name == "sync_grid") {
    return SyncGrid();
  }
  if (name == "thread_return" || name == "loop_break") {
    AddJump(name == "thread_return" ? "return" : "break");
    return Var();
  }
  if (name == "device_assert") {
    std::string message = IsNone(Arg(args, 1)) ? "" : ToText(Arg(args, 1), "msg");
    AddCheck("device_assert", Arg(args, 0), message);
    return Var();
  }
  if (name == "print") {
    std::string message = IsNone(Arg(args, 1)) ? "" : ToText(Arg(args, 1), "msg");
    int64_t group = IsNone(Arg(args, 2)) ? 0 : ToInt(Arg(args, 2), "warp_group_id");
    int64_t warp = IsNone(Arg(args, 3)) ? 0 : ToInt(Arg(args, 3), "warp_id");
    AddPrint(Arg(args, 0), message, group * 4 * kWarpSize + warp * kWarpSize);
    return Var();
  }
  Raise("NotImplementedError", "T.", name, " is not supported on this version");
}

}  // namespace tilescale::ir
