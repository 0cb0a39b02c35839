// SPDX-License-Identifier: MIT
// The last tier: Z3, loaded at the first query that reaches it. One context per analyzer, a fixed
// resource limit (a count, so answers do not depend on the machine's speed), results memoised by
// text.
#include "compiler/arith/analyzer_impl.h"
#include "compiler/ir/text.h"
#include "support/knobs.h"

#include <algorithm>
#include <dlfcn.h>
#include <unordered_map>

namespace tilescale::arith {

using namespace ir;  // NOLINT

namespace {

constexpr unsigned kResourceLimit = 200000;  // about 20 ms on the machines we measure on
using Ctx = void*;
using Ast = void*;

std::string& LibraryPath() {
  static std::string path = "libz3.so";
  return path;
}

// The functions of Z3's C API (z3_api.h) that are used here.
struct Z3 {
  Ctx (*mk_config)();
  Ctx (*mk_context)(Ctx);
  void (*del_context)(Ctx);
  void (*del_config)(Ctx);
  void (*set_param)(Ctx, const char*, const char*);
  void (*set_error_handler)(Ctx, void (*)(Ctx, int));
  void* (*mk_int_sort)(Ctx);
  void* (*mk_string_symbol)(Ctx, const char*);
  Ast (*mk_const)(Ctx, void*, void*);
  Ast (*mk_int64)(Ctx, int64_t, void*);
  Ast (*mk_add)(Ctx, unsigned, const Ast*);
  Ast (*mk_sub)(Ctx, unsigned, const Ast*);
  Ast (*mk_mul)(Ctx, unsigned, const Ast*);
  Ast (*mk_div)(Ctx, Ast, Ast);
  Ast (*mk_mod)(Ctx, Ast, Ast);
  Ast (*mk_lt)(Ctx, Ast, Ast);
  Ast (*mk_le)(Ctx, Ast, Ast);
  Ast (*mk_eq)(Ctx, Ast, Ast);
  Ast (*mk_not)(Ctx, Ast);
  Ast (*mk_and)(Ctx, unsigned, const Ast*);
  Ast (*mk_or)(Ctx, unsigned, const Ast*);
  Ast (*mk_ite)(Ctx, Ast, Ast, Ast);
  Ast (*mk_true)(Ctx);
  void* (*mk_solver)(Ctx);
  void (*solver_inc_ref)(Ctx, void*);
  void (*solver_dec_ref)(Ctx, void*);
  void (*solver_assert)(Ctx, void*, Ast);
  int (*solver_check)(Ctx, void*);
  void* (*solver_get_model)(Ctx, void*);
  bool (*model_eval)(Ctx, void*, Ast, bool, Ast*);
  const char* (*get_numeral_string)(Ctx, Ast);
  bool (*is_numeral_ast)(Ctx, Ast);
  void* (*mk_params)(Ctx);
  void (*params_inc_ref)(Ctx, void*);
  void (*params_dec_ref)(Ctx, void*);
  void (*params_set_uint)(Ctx, void*, void*, unsigned);
  void (*solver_set_params)(Ctx, void*, void*);
  bool ok = false;
};

template <typename T>
void Resolve(void* lib, const char* name, T* out, bool* ok) {
  *out = reinterpret_cast<T>(dlsym(lib, name));
  *ok = *ok && *out != nullptr;
}

const Z3& Library() {
  static const Z3 z3 = [] {
    Z3 z;
    const std::string named = knobs::Z3();
    const std::string& path = named.empty() ? LibraryPath() : named;
    void* lib = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (lib == nullptr) return z;
    bool ok = true;
#define TS_Z3(name) Resolve(lib, "Z3_" #name, &z.name, &ok)
    TS_Z3(mk_config);
    TS_Z3(mk_context);
    TS_Z3(del_context);
    TS_Z3(del_config);
    Resolve(lib, "Z3_set_param_value", &z.set_param, &ok);
    TS_Z3(set_error_handler);
    TS_Z3(mk_int_sort);
    TS_Z3(mk_string_symbol);
    TS_Z3(mk_const);
    TS_Z3(mk_int64);
    TS_Z3(mk_add);
    TS_Z3(mk_sub);
    TS_Z3(mk_mul);
    TS_Z3(mk_div);
    TS_Z3(mk_mod);
    TS_Z3(mk_lt);
    TS_Z3(mk_le);
    TS_Z3(mk_eq);
    TS_Z3(mk_not);
    TS_Z3(mk_and);
    TS_Z3(mk_or);
    TS_Z3(mk_ite);
    TS_Z3(mk_true);
    TS_Z3(mk_solver);
    TS_Z3(solver_inc_ref);
    TS_Z3(solver_dec_ref);
    TS_Z3(solver_assert);
    TS_Z3(solver_check);
    TS_Z3(solver_get_model);
    TS_Z3(model_eval);
    TS_Z3(get_numeral_string);
    TS_Z3(is_numeral_ast);
    TS_Z3(mk_params);
    TS_Z3(params_inc_ref);
    TS_Z3(params_dec_ref);
    TS_Z3(params_set_uint);
    TS_Z3(solver_set_params);
#undef TS_Z3
    z.ok = ok;
    return z;
  }();
  return z3;
}

// One query: variables and opaque atoms become integer constants with what is known of them.
class Query {
 public:
  Query(const Z3& z, Analyzer::Impl* impl) : z_(z), impl_(impl) {
    Ctx config = z.mk_config();
    ctx_ = z.mk_context(config);
    z.del_config(config);
    z.set_error_handler(ctx_, [](Ctx, int) {});
    int_ = z.mk_int_sort(ctx_);
    solver_ = z.mk_solver(ctx_);
    z.solver_inc_ref(ctx_, solver_);
    void* params = z.mk_params(ctx_);
    z.params_inc_ref(ctx_, params);
    z.params_set_uint(ctx_, params, z.mk_string_symbol(ctx_, "rlimit"), kResourceLimit);
    z.params_set_uint(ctx_, params, z.mk_string_symbol(ctx_, "random_seed"), 42);
    z.solver_set_params(ctx_, solver_, params);
    z.params_dec_ref(ctx_, params);
  }
  ~Query() {
    z_.solver_dec_ref(ctx_, solver_);
    z_.del_context(ctx_);
  }

  bool Holds(const Expr& cond) {
    for (size_t i = 0; i < impl_->conditions.size(); ++i) {
      if (!(impl_->conditions_use[i] & Analyzer::Impl::kIndexFact)) continue;
      z_.solver_assert(ctx_, solver_, Bool(impl_->conditions[i]));
    }
    Ast goal = Bool(cond);
    z_.solver_assert(ctx_, solver_, z_.mk_not(ctx_, goal));
    int answer = z_.solver_check(ctx_, solver_);
    if (answer > 0) DescribeModel();
    return answer < 0;
  }

 private:
  Ast Num(int64_t v) { return z_.mk_int64(ctx_, v, int_); }
  Ast Two(Ast (*make)(Ctx, unsigned, const Ast*), Ast a, Ast b) {
    Ast both[2] = {a, b};
    return make(ctx_, 2, both);
  }
  void Assert(Ast a) { z_.solver_assert(ctx_, solver_, a); }

  // A constant for an atom, with its interval and symbolic bounds.
  Ast Atom(const Expr& e) {
    std::string key = impl_->KeyOf(e);
    auto [it, fresh] = atoms_.emplace(key, nullptr);
    if (!fresh) return it->second;
    Ast a = z_.mk_const(ctx_, z_.mk_string_symbol(ctx_, key.c_str()), int_);
    atoms_[key] = a;
    Interval r = impl_->BoundsOf(e);
    if (r.lo != Interval::kMin) Assert(z_.mk_le(ctx_, Num(r.lo), a));
    if (r.hi != Interval::kMax) Assert(z_.mk_le(ctx_, a, Num(r.hi)));
    if (const auto* v = e.as<VarObj>()) {
      names_.emplace_back(std::string(v->name), a);
      auto fact = impl_->vars.find(v);
      if (fact != impl_->vars.end()) {
        if (fact->second.begin.defined()) Assert(z_.mk_le(ctx_, Int(fact->second.begin), a));
        if (fact->second.last.defined()) Assert(z_.mk_le(ctx_, a, Int(fact->second.last)));
      }
    }
    return a;
  }

  Ast Sum(const LinearForm& f) {
    Ast sum = Num(f.constant);
    for (const auto& [atom, k] : f.terms) {
      sum = Two(z_.mk_add, sum, Two(z_.mk_mul, Num(k), Int(atom)));
    }
    return sum;
  }

  Ast Int(const Expr& e) {
    if (auto c = AsInt(e)) return BeyondInt64(e) ? Atom(e) : Num(*c);
    const auto* op = e.as<OpObj>();
    if (op == nullptr || op->dtype.lanes > 1 || op->args.empty()) return Atom(e);
    if (IsBool(op->dtype)) return z_.mk_ite(ctx_, Bool(e), Num(1), Num(0));
    if (!IsInteger(op->dtype)) return Atom(e);
    if (impl_->Wraps(op->dtype)) {
      // A sum in the type's range is that of integers, though a part of it may wrap.
      LinearForm f = impl_->ToLinear(e);
      if (!impl_->Faithful(f, op->dtype)) return Atom(e);
      if (f.terms.size() != 1 || f.terms[0].second != 1 || f.constant != 0) return Sum(f);
    }
    auto arg = [&](int i) { return Int(op->args[i]); };
    bool positive = op->args.size() == 2 && impl_->BoundsOf(op->args[1]).lo > 0;
    bool nonnegative = impl_->BoundsOf(op->args[0]).lo >= 0;
    switch (op->op()) {
      case OpCode::kAdd:
        return Two(z_.mk_add, arg(0), arg(1));
      case OpCode::kSub:
        return Two(z_.mk_sub, arg(0), arg(1));
      case OpCode::kMul:
        return impl_->ProductFits(op) ? Two(z_.mk_mul, arg(0), arg(1)) : Atom(e);
      case OpCode::kNeg:
        return Two(z_.mk_sub, Num(0), arg(0));
      case OpCode::kFloorDiv:
        return positive ? z_.mk_div(ctx_, arg(0), arg(1)) : Atom(e);
      case OpCode::kFloorMod:
        return positive ? z_.mk_mod(ctx_, arg(0), arg(1)) : Atom(e);
      case OpCode::kTruncDiv:
        return positive && nonnegative ? z_.mk_div(ctx_, arg(0), arg(1)) : Atom(e);
      case OpCode::kTruncMod:
        return positive && nonnegative ? z_.mk_mod(ctx_, arg(0), arg(1)) : Atom(e);
      case OpCode::kMin: {
        Ast a = arg(0), b = arg(1);
        return z_.mk_ite(ctx_, z_.mk_le(ctx_, a, b), a, b);
      }
      case OpCode::kMax: {
        Ast a = arg(0), b = arg(1);
        return z_.mk_ite(ctx_, z_.mk_le(ctx_, a, b), b, a);
      }
      case OpCode::kIf:
      case OpCode::kSelect:
        return z_.mk_ite(ctx_, Bool(op->args[0]), arg(1), arg(2));
      case OpCode::kCast: {
        DataType from = op->args[0].dtype();
        if (!IsInteger(from) && !IsBool(from)) return Atom(e);
        bool index = IsIndexCast(from, op->dtype) && !impl_->Wraps(op->dtype);
        Interval a = impl_->BoundsOf(op->args[0]), type = RangeOfType(op->dtype);
        bool kept = a.Bounded() && a.lo >= type.lo && a.hi <= type.hi;
        return index || kept ? arg(0) : Atom(e);
      }
      default:
        return Atom(e);
    }
  }

  Ast Bool(const Expr& e) {
    if (auto c = AsInt(e)) return *c ? z_.mk_true(ctx_) : z_.mk_not(ctx_, z_.mk_true(ctx_));
    const auto* op = e.as<OpObj>();
    bool scalar = op != nullptr && op->dtype.lanes == 1;
    if (scalar) {
      switch (op->op()) {
        case OpCode::kAnd:
          return Two(z_.mk_and, Bool(op->args[0]), Bool(op->args[1]));
        case OpCode::kOr:
          return Two(z_.mk_or, Bool(op->args[0]), Bool(op->args[1]));
        case OpCode::kNot:
          return z_.mk_not(ctx_, Bool(op->args[0]));
        default:
          break;
      }
      if (op->args.size() == 2 && IsInteger(op->args[0].dtype())) {
        switch (op->op()) {
          case OpCode::kLt:
            return z_.mk_lt(ctx_, Int(op->args[0]), Int(op->args[1]));
          case OpCode::kLe:
            return z_.mk_le(ctx_, Int(op->args[0]), Int(op->args[1]));
          case OpCode::kGt:
            return z_.mk_lt(ctx_, Int(op->args[1]), Int(op->args[0]));
          case OpCode::kGe:
            return z_.mk_le(ctx_, Int(op->args[1]), Int(op->args[0]));
          case OpCode::kEq:
            return z_.mk_eq(ctx_, Int(op->args[0]), Int(op->args[1]));
          case OpCode::kNe:
            return z_.mk_not(ctx_, z_.mk_eq(ctx_, Int(op->args[0]), Int(op->args[1])));
          default:
            break;
        }
      }
    }
    if (IsInteger(e.dtype())) return z_.mk_not(ctx_, z_.mk_eq(ctx_, Int(e), Num(0)));
    return z_.mk_eq(ctx_, Atom(e), Num(1));
  }

  void DescribeModel() {
    void* model = z_.solver_get_model(ctx_, solver_);
    std::string text;
    for (const auto& [name, ast] : names_) {
      Ast value = nullptr;
      if (!z_.model_eval(ctx_, model, ast, true, &value) || !z_.is_numeral_ast(ctx_, value))
        continue;
      text += (text.empty() ? "" : ", ") + name + " = " + z_.get_numeral_string(ctx_, value);
    }
    impl_->counterexample = text;
  }

  const Z3& z_;
  Analyzer::Impl* impl_;
  Ctx ctx_;
  void* int_;
  void* solver_;
  std::map<std::string, Ast> atoms_;
  std::vector<std::pair<std::string, Ast>> names_;
};

bool Mentions(const Expr& e, const NodeObj* node) {
  bool found = false;
  Walk(e, [&](const NodeObj* n) {
    found = found || n == node;
    return !found;
  });
  return found;
}

// The address of a buffer that `cond` asks about and no fact speaks of: it can be anything, so the
// solver has nothing to find. Every kernel asks for alignment; most need the solver for no more.
bool AsksOfUnknownAddress(const Expr& cond, const std::vector<Expr>& facts) {
  const BufferObj* asked = nullptr;
  Walk(cond, [&](const NodeObj* n) {
    if (n->kind == NodeKind::kAddr) asked = static_cast<const AddrObj*>(n)->region->buffer.get();
    return asked == nullptr;
  });
  return asked != nullptr && std::none_of(facts.begin(), facts.end(),
                                          [&](const Expr& f) { return Mentions(f, asked); });
}

}  // namespace

void SetSolverLibrary(std::string path) {
  LibraryPath() = std::move(path);
}

std::string Analyzer::Impl::KeyOf(const Expr& e) {
  std::string key = Print(e);
  Walk(e, [&](const NodeObj* n) {
    bool symbol =
        n->kind == NodeKind::kVar || n->kind == NodeKind::kBuffer || n->kind == NodeKind::kToken;
    if (symbol) key += "#" + std::to_string(OrderOf(n));
    return true;
  });
  return key;
}

bool Analyzer::Impl::ProveBySolver(const Expr& cond) {
  if (AsksOfUnknownAddress(cond, conditions)) return false;
  const Z3& z = Library();
  if (!z.ok) return false;
  int64_t state = undo.empty() ? 0 : undo.back().state;
  std::string key = KeyOf(cond) + "|" + std::to_string(state) + "|" + std::to_string(forgotten);
  auto [it, fresh] = solver_memo.emplace(key, false);
  if (!fresh) {
    stats.memo++;
    return it->second;
  }
  stats.solver++;
  return it->second = Query(z, this).Holds(cond);
}

}  // namespace tilescale::arith
