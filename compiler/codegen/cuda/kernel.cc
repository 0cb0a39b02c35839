// SPDX-License-Identifier: MIT
// Kernels: names, signature, thread and block variables, the trampoline of the simulator.
#include "compiler/codegen/codegen.h"
#include "compiler/codegen/cuda/printer.h"
#include "compiler/ir/build.h"
#include "compiler/ir/visit.h"

#include <array>

namespace tilescale::codegen {

namespace cuda {

namespace {

// Words that cannot be names in the text.
const std::set<std::string>& Reserved() {
  static const auto* words = new std::set<std::string>{
      "alignas", "alignof",   "and",    "asm",     "auto",      "bool",     "break",    "case",
      "catch",   "char",      "class",  "const",   "constexpr", "continue", "default",  "delete",
      "do",      "double",    "else",   "enum",    "explicit",  "export",   "extern",   "false",
      "float",   "for",       "friend", "goto",    "if",        "inline",   "int",      "long",
      "mutable", "namespace", "new",    "not",     "operator",  "or",       "private",  "protected",
      "public",  "register",  "return", "short",   "signed",    "sizeof",   "static",   "struct",
      "switch",  "template",  "this",   "throw",   "true",      "try",      "typedef",  "typename",
      "union",   "unsigned",  "using",  "virtual", "void",      "volatile", "while",    "xor",
      "ts",      "args",      "main",   "printf",  "threadIdx", "blockIdx", "blockDim", "gridDim",
      "warpSize"};
  return *words;
}

}  // namespace

std::string Printer::Name(const ir::NodeObj* symbol, std::string_view wish) {
  auto it = names_.find(symbol);
  if (it != names_.end()) return it->second;
  std::string base;
  for (char c : wish) base += (std::isalnum(static_cast<unsigned char>(c)) || c == '_') ? c : '_';
  if (base.empty() || std::isdigit(static_cast<unsigned char>(base[0])) ||
      base.rfind("TS_", 0) == 0)
    base = "v" + base;
  if (base.rfind("__", 0) == 0) base = "v" + base;
  return names_[symbol] =
             used_.Make(base, [](const std::string& n) { return Reserved().count(n) != 0; });
}

void Printer::PrintKernel(const ir::Kernel& k) {
  names_.clear();
  used_.Clear();
  declared_.clear();
  read_only_.clear();
  used_.Take(std::string(k->name));
  std::string signature, trampoline;
  int position = 0;
  for (const ir::KernelParam& p : ir::KernelParams(func_, k)) {
    std::string type, name;
    bool pointer =
        p.kind == ir::KernelParam::Kind::kData || p.kind == ir::KernelParam::Kind::kWorkspace;
    if (pointer) {
      bool raw = p.var.defined();
      type =
          raw ? "void*" : std::string(p.written ? "" : "const ") + TypeName(p.buffer->dtype) + "*";
      name = raw ? Name(p.var.get(), ir::Str(p.var->name)) : ArrayName(p.buffer);
      if (!raw) declared_[p.buffer->storage.get()] = p.buffer->dtype;
      if (!raw && !p.written) read_only_.insert(p.buffer->storage.get());
    } else {
      type = TypeName(p.var.dtype());
      name = Name(p.var.get(), ir::Str(p.var->name));
    }
    std::string between = pointer && p.restrict_ ? " TS_RESTRICT " : " ";
    signature += (position ? ", " : "") + type + between + name;
    trampoline +=
        (position ? ", " : "") + ("*(" + type + "*)args[" + std::to_string(position) + "]");
    ++position;
  }
  std::string threads = std::to_string(k->total_threads());
  Put("TS_KERNEL(" + std::string(k->name) + ", " + threads + ", " +
      std::to_string(std::max<int64_t>(1, k->min_blocks)) + ")(" + signature + ") {");
  ++indent_;
  FindIndices(k);
  std::set<const ir::NodeObj*> used;
  ir::Walk(k->body, [&](const ir::NodeObj* n) {
    if (n->kind == ir::NodeKind::kVar) used.insert(n);
    return true;
  });
  const std::array<const char*, 3> axes = {"x", "y", "z"};
  Line(k->span);
  for (int i = 0; i < 3; ++i) {
    if (static_cast<size_t>(i) < k->block_vars.size() && used.count(k->block_vars[i].get())) {
      Put("const int " + Name(k->block_vars[i].get(), ir::Str(k->block_vars[i]->name)) +
          " = ts::bid_" + axes[i] + "();");
    }
    if (static_cast<size_t>(i) < k->thread_vars.size() && used.count(k->thread_vars[i].get())) {
      Put("const int " + Name(k->thread_vars[i].get(), ir::Str(k->thread_vars[i]->name)) +
          " = ts::tid_" + axes[i] + "();");
    }
  }
  --indent_;
  Body(k->body);
  Put("}");
  Put("TS_LAUNCH(" + std::string(k->name) + ", (" + trampoline + "))");
}

}  // namespace cuda

std::string EmitCuda(const ir::Func& f, const target::Target&) {
  cuda::Printer printer(f);
  std::string prelude;
  ir::MapKernels(f, [&](const ir::Kernel& k) {
    printer.PrintKernel(k);
    prelude += std::string(k->prelude);
    return k;
  });
  std::string out = "#include <tilescale/kernel.cuh>\n";
  for (const std::string& h : printer.headers()) out += "#include <tilescale/" + h + ">\n";
  if (!prelude.empty()) out += prelude + "\n";
  return out + "\n" + printer.text();
}

}  // namespace tilescale::codegen
