// SPDX-License-Identifier: MIT
// Annotations of the kernel and the function, and the contract's pass configurations: strings
// become typed fields here and exist nowhere else.
#include "compiler/ir/builder.h"
#include "compiler/layout/layout.h"
#include "compiler/layout/table.h"
#include "compiler/target/constants.h"
#include "support/strings.h"

#include <tvm/ffi/cast.h>

#include <algorithm>
#include <array>
#include <optional>

namespace tilescale::ir {

namespace {

bool Truth(const ffi::Any& v, const std::string& key) {
  if (v.type_index() == ffi::TypeIndex::kTVMFFIBool ||
      v.type_index() == ffi::TypeIndex::kTVMFFIInt) {
    return v.cast<int64_t>() != 0;
  }
  Raise("CompileError", "pass config \"", key, "\" must be True or False, got ", Given(v));
}

struct BoolOption {
  std::string_view key;
  bool OptionsObj::*field;
};
constexpr std::array kBoolOptions = {
    BoolOption{"tl.disable_safe_memory_legalize", &OptionsObj::disable_safe_memory_legalize},
    BoolOption{"tl.disable_thread_storage_sync", &OptionsObj::disable_thread_storage_sync},
    BoolOption{"tl.disable_warp_specialized", &OptionsObj::disable_warp_specialized},
    BoolOption{"tl.disable_tma_lower", &OptionsObj::disable_tma_lower},
    BoolOption{"tl.disable_vectorize_256", &OptionsObj::disable_vectorize_256},
    BoolOption{"tl.disable_shared_memory_reuse", &OptionsObj::disable_shared_reuse},
    BoolOption{"tl.enable_fast_math", &OptionsObj::enable_fast_math},
    BoolOption{"tl.source_comments", &OptionsObj::source_comments},
    BoolOption{"tl.debug_bounds", &OptionsObj::debug_bounds},
};

// Keys of the contract without a meaning here.
constexpr std::array<std::string_view, 45> kIgnoredOptions = {
    "tl.Simplify",
    "tl.disable_buffer_init_check",
    "tl.disable_data_race_check",
    "tl.disable_prelower_semantic_check",
    "tl.ptxas_register_usage_level",
    "tl.emit_line_directives",
    "tl.enable_reducer_plan_verbose",
    "tl.layout_cost_model",
    "tl.reducer_force_baseline",
    "tl.enable_async_copy",
    "tl.enable_lower_ldgstg",
    "tl.enable_lower_ldgstg_predicated",
    "tl.enable_vectorize_planner_verbose",
    "tl.disable_wgmma",
    "tl.debug_merge_shared_memory_allocations",
    "tl.enable_aggressive_shared_memory_merge",
    "tl.disable_shuffle_elect",
    "tl.disable_loop_unswitching",
    "tl.loop_unswitching_allow_non_trivial_else",
    "tl.if_stmt_binding_inline_replayable_binds",
    "tl.force_let_inline",
    "tl.ast_print_enable",
    "tl.layout_visualization_enable",
    "tl.layout_visualization_formats",
    "tl.storage_rewrite_detect_inplace",
    "tl.disable_out_of_bound_warning",
    "tl.enable_dump_ir",
    "tl.dump_ir_path",
    "tl.pass_profile",
    "tl.pass_profile_threshold_ms",
    "tir.enable_equiv_terms_in_cse_tir",
    "tirx.disable_cse_tir",
    "tirx.Simplify",
    "tirx.disable_storage_rewrite",
    "tirx.disable_vectorize",
    "tirx.use_async_copy",
    "tirx.enable_debug",
    "tirx.merge_static_smem",
    "tirx.add_lower_pass",
    "tirx.noalias",
    "cuda.kernels_output_dir",
    "tl.UnrollLoop",
    "tl.disable_rdc",
    "tl.enable_ptxas_verbose_output",
    "tl.disable_dynamic_tail_split"};

void AddFlags(OptionsObj* options, const ffi::Any& flags) {
  if (auto one = flags.as<ffi::String>()) {
    options->compile_flags.push_back(*one);
    return;
  }
  for (const ffi::Any& f : ToValues(flags)) {
    options->compile_flags.push_back(ToText(f, "a compile flag"));
  }
}

}  // namespace

void SetOption(OptionsObj* options, const std::string& key, const ffi::Any& value) {
  for (const BoolOption& row : kBoolOptions) {
    if (row.key == key) {
      options->*row.field = !IsNone(value) && Truth(value, key);
      return;
    }
  }
  if (key == "tl.disable_fast_math") {
    options->enable_fast_math = !Truth(value, key);
  } else if (key == "tl.config_index_bitwidth") {
    int64_t bits = ToInt(value, key);
    if (bits != 32 && bits != 64) {
      Raise("CompileError", "pass config \"", key, "\" must be 32 or 64, got ", bits);
    }
    options->index_bitwidth = bits;
  } else if (key == "tl.max_registers") {
    const int64_t most = ToInt(value, "pass config \"" + key + "\"");
    if (most < 0 || most > target::kMaxRegistersPerThread) {
      Raise("CompileError", "pass config \"", key, "\" must be from 0 (no limit) to ",
            target::kMaxRegistersPerThread, ", got ", most);
    }
    options->max_registers = most;
  } else if (key == "compile_flags" || key == "tl.device_compile_flags") {
    if (!IsNone(value)) AddFlags(options, value);
  } else if (std::find(kIgnoredOptions.begin(), kIgnoredOptions.end(), key) !=
                 kIgnoredOptions.end() ||
             key.starts_with("tir.")) {
    options->ignored.push_back(key);
  } else {
    std::vector<std::string> known;
    for (const BoolOption& row : kBoolOptions) known.emplace_back(row.key);
    for (std::string_view k : kIgnoredOptions) known.emplace_back(k);
    std::string near = ClosestName(key, known);
    Raise("CompileError", "unknown pass config \"", key, "\"",
          near.empty() ? "" : "; did you mean \"" + near + "\"?");
  }
}

AllocObj* BuilderObj::AllocOf(const Buffer& buffer, std::string_view what) {
  auto it = allocs_.find(buffer.get());
  if (it != allocs_.end()) return it->second;
  Raise("ValueError", what, ": `", std::string(buffer->name),
        "` is not an allocation of this kernel");
}

void BuilderObj::AnnotateLayout(const Values& entries) {
  for (const ffi::Any& pair : entries) {
    Values entry = ToValues(pair);
    Buffer buffer = entry.at(0).cast<Buffer>();
    std::string name = buffer->name;
    if (buffer->space() == Space::kGlobal) {
      Raise("NotImplementedError", "T.annotate_layout of `", name,
            "`, a tensor in global memory, is not supported yet: index it by the outputs of the "
            "layout's function, or lay out a shared tile");
    }
    AllocObj* alloc = AllocOf(buffer, "T.annotate_layout");
    std::vector<int64_t> shape = ConstShape(buffer);
    std::string text =
        LayoutText(ToValues(entry.at(1)), shape, buffer->dtype, kernel_->user_threads(), name);
    if (text.empty()) continue;
    if (buffer->space() == Space::kShared) CheckInjective(text, buffer);
    alloc->layout = text;
    alloc->layout_fixed = true;
    if (buffer->space() == Space::kShared) alloc->families = kExact;
  }
}

// Two elements of a shared buffer at one address would overwrite each other.
void BuilderObj::CheckInjective(const std::string& text, const Buffer& buffer) {
  auto layout = Layout::Parse(text);
  auto table = layout ? Table::FromLayout(*layout) : Table::Parse(text);
  if (!table || table->Injective()) return;
  std::string name = buffer->name;
  std::unordered_map<int64_t, int64_t> seen;
  std::vector<int64_t> shape(table->shape().begin(), table->shape().end());
  auto point = [&](int64_t flat) {
    std::string s;
    for (size_t d = shape.size(); d-- > 0;) {
      s = std::to_string(flat % shape[d]) + (s.empty() ? "" : ", ") + s;
      flat /= shape[d];
    }
    return "[" + s + "]";
  };
  for (int64_t p = 0; p < table->box(); ++p) {
    int64_t address = table->At(kAddr, p);
    auto [it, fresh] = seen.emplace(address, p);
    if (fresh) continue;
    Raise("ValueError", "Invalid layout for shared buffer '", name,
          "': the forward map must be injective. Details: ", point(it->second), " and ", point(p),
          " both map to physical coordinates [", address, "]");
  }
}

void BuilderObj::AnnotateKernel(const std::string& name, const Values& args) {
  NeedKernel("T." + name);
  if (name == "use_swizzle") {
    std::string order = args.size() > 1 && !IsNone(args[1]) ? ToText(args[1], "order") : "row";
    if (order != "row" && order != "column") {
      if (order == "mlx")
        Raise("NotImplementedError", "T.use_swizzle order \"mlx\" is not supported yet");
      Raise("ValueError", "Unsupported swizzle order: ", order);
    }
    int64_t panel = ToInt(args.at(0), "panel_size");
    if (panel <= 0) Raise("ValueError", "panel_size must be positive, got ", panel);
    if (args.size() > 2 && !IsNone(args[2]) && ToInt(args[2], "enable") == 0) return;
    kernel_->swizzle_panel = panel;
    kernel_->swizzle_rows = order == "row";
  } else if (name == "annotate_layout") {
    AnnotateLayout(ToValues(args.at(0)));
  } else if (name == "annotate_safe_value") {
    for (const ffi::Any& pair : ToValues(args.at(0))) {
      Values entry = ToValues(pair);
      Buffer buffer = entry.at(0).cast<Buffer>();
      if (buffer->space() != Space::kGlobal) {
        Raise("ValueError", "T.annotate_safe_value: `", std::string(buffer->name),
              "` is on chip, only accesses of global memory are guarded");
      }
      kernel_->safe_buffers.push_back(buffer);
      kernel_->safe_values.push_back(ToTyped(entry.at(1), buffer->dtype));
    }
  } else if (name == "annotate_min_blocks_per_sm") {
    int64_t n = ToInt(args.at(0), "n");
    if (n <= 0)
      Raise("AssertionError", "annotate_min_blocks_per_sm needs a positive integer, got ", n);
    kernel_->min_blocks = n;
  } else if (name == "annotate_l2_hit_ratio") {
    for (const ffi::Any& pair : ToValues(args.at(0))) {
      Buffer buffer = ToValues(pair).at(0).cast<Buffer>();
      if (buffer->space() != Space::kGlobal) {
        Raise("AssertionError", "annotate_l2_hit_ratio: `", std::string(buffer->name),
              "` is not a global buffer");
      }
    }
    options_->ignored.push_back(name);
  } else if (name == "annotate_ws_schedule") {
    if (!ws_schedule_.empty())
      Raise("ValueError", "T.annotate_ws_schedule: the kernel has a schedule already");
    ws_schedule_ = args;
  } else if (name == "import_source") {
    kernel_->prelude = std::string(kernel_->prelude) + ToText(args.at(0), "source") + "\n";
  } else {
    options_->ignored.push_back(name);
  }
}

void BuilderObj::AddAnnotation(const std::string& name, const Values& args) {
  if (name == "annotate_restrict_buffers") {
    // One list, or the buffers themselves.
    Values buffers =
        args.size() == 1 && args[0].as<ffi::Array<ffi::Any>>() ? ToValues(args[0]) : args;
    for (const ffi::Any& v : buffers) {
      Buffer buffer = v.cast<Buffer>();
      for (const Param& p : func_->params) {
        if (p->buffer.same_as(buffer)) const_cast<ParamObj*>(p.get())->restrict_ = false;
      }
    }
    return;
  }
  if (name == "attr") {
    // `T.attr(…, key, value)` is a hint to passes of another compiler.
    options_->ignored.push_back(ToText(args.at(0), "the key of T.attr"));
    return;
  }
  if (name == "annotate_compile_flags") return AddFlags(options_.get(), args.at(0));
  if (name == "annotate_pass_configs" || name == "func_attr") {
    for (const ffi::Any& pair : ToValues(args.at(0))) {
      Values entry = ToValues(pair);
      std::string key = ToText(entry.at(0), "a key");
      if (name == "func_attr") {
        options_->ignored.push_back(key);
      } else {
        SetOption(options_.get(), key, entry.at(1));
      }
    }
    return;
  }
  static constexpr std::array<std::string_view, 11> kKernel = {"use_swizzle",
                                                               "annotate_layout",
                                                               "annotate_safe_value",
                                                               "annotate_ws_schedule",
                                                               "annotate_min_blocks_per_sm",
                                                               "annotate_l2_hit_ratio",
                                                               "import_source",
                                                               "annotate_producer_reg_dealloc",
                                                               "annotate_consumer_reg_alloc",
                                                               "disable_warp_group_reg_alloc",
                                                               "no_set_max_nreg"};
  if (std::find(kKernel.begin(), kKernel.end(), name) != kKernel.end())
    return AnnotateKernel(name, args);
  Raise("NotImplementedError", "T.", name, " is not supported on this version");
}

}  // namespace tilescale::ir
