// SPDX-License-Identifier: MIT
#include "compiler/driver/compile.h"

#include "compiler/codegen/codegen.h"
#include "compiler/driver/explain.h"
#include "compiler/ir/builder.h"
#include "compiler/ir/text.h"
#include "compiler/ir/visit.h"
#include "compiler/ir/visits.h"
#include "compiler/passes/passes.h"
#include "support/diagnostics.h"
#include "support/files.h"
#include "support/hash.h"
#include "support/knobs.h"

#include <chrono>

namespace tilescale::driver {

namespace {

// Saves the program as text: tilescale-opt reproduces the failure from it.
std::string WriteReplay(const ir::Func& f, const target::Target& target,
                        const std::string& message) {
  std::string text = "// " + message + "\n// target " + target.Text() + "\n" + ir::Print(f);
  std::string folder = knobs::ReplayDir().empty() ? SystemTempDir() : knobs::ReplayDir();
  std::string path = folder + "/tilescale-replay-" + Sha256Hex(text).substr(0, 16) + ".ir";
  return WriteFileAtomically(path, text) ? path : "";
}

// TILESCALE_DUMP: the program after each pass, one file a pass in pipeline order.
void DumpPass(const ir::Func& f, const PassInfo& pass) {
  size_t index = static_cast<size_t>(&pass - Pipeline().data());
  std::string number = std::to_string(index);
  std::string path = knobs::Dump() + "/" + std::string(f->name) + "." + (index < 10 ? "0" : "") +
                     number + "-" + pass.name + ".ir";
  (void)MakeDirs(knobs::Dump());
  (void)WriteFileAtomically(path, ir::Print(f));
}

// Options that the environment sets for all kernels.
ir::Func WithKnobs(const ir::Func& f) {
  if (!knobs::SourceComments() || f->options->source_comments) return f;
  auto options = ir::CopyNode(f->options.get());
  options->source_comments = true;
  auto out = ir::CopyNode(f.get());
  out->options = ir::Options(options);
  return ir::Func(out);
}

int64_t CountNodes(const ir::Func& f) {
  int64_t count = 0;
  ir::Walk(f.get(), [&](const ir::NodeObj*) { return ++count > 0; });
  return count;
}

// Collects times, if there is a place for them.
class Times {
 public:
  explicit Times(std::vector<PassTime>* out) : out_(out) {}
  void Add(const char* what, const ir::Func& after, int64_t us) {
    if (out_ == nullptr) return;
    const int64_t visits = ir::VisitsMade() - before_;
    out_->push_back({what, us, CountNodes(after), visits});
    before_ = ir::VisitsMade();
  }
  // What runs outside of the pipeline.
  template <class F>
  void Measure(const char* what, const ir::Func& f, F&& run) {
    const auto start = std::chrono::steady_clock::now();
    run();
    const auto elapsed = std::chrono::steady_clock::now() - start;
    Add(what, f, std::chrono::duration_cast<std::chrono::microseconds>(elapsed).count());
  }

 private:
  std::vector<PassTime>* out_;
  int64_t before_ = ir::VisitsMade();
};

// Lowers one variant; its launch program and text are appended to `artifact`.
void AddVariant(const ir::Func& f, const target::Target& target, bool general,
                runtime::Artifact* artifact, std::vector<PassTime>* out) {
  Times times(out);
  PassContext ctx;
  ctx.target = target;
  ctx.general = general;
  ctx.verify = knobs::Verify();
  if (!target.arch->tested && !general) {
    ctx.Record("warning", ir::Span(), target.Text(),
               "this architecture is not tested yet: the kernel uses the instructions that it "
               "shares with earlier ones");
  }
  ReplayScope replay([&](const std::string& message) { return WriteReplay(f, target, message); });
  ir::Func lowered = RunPasses(WithKnobs(f), ctx, "", "",
                               [&](const PassInfo& pass, const ir::Func& after, int64_t us) {
                                 times.Add(pass.name, after, us);
                                 if (!knobs::Dump().empty()) DumpPass(after, pass);
                               });
  times.Measure("plan-host", lowered, [&] { passes::PlanHost(lowered, ctx, artifact); });
  runtime::Variant& v = artifact->variants.back();
  times.Measure("emit", lowered, [&] { v.source = EmitText(lowered, target); });
  v.explain = ExplainText(ctx, *artifact, v);
}

void AddOptions(const ir::Func& f, runtime::Artifact* artifact) {
  for (const ffi::String& flag : f->options->compile_flags)
    artifact->compile_options.emplace_back(flag);
  if (f->options->enable_fast_math) artifact->compile_options.emplace_back("--use_fast_math");
}

}  // namespace

ir::Func WithOptions(const ir::Func& f, const ffi::Map<ffi::String, ffi::Any>& options) {
  auto set =
      f->options.defined() ? ir::CopyNode(f->options.get()) : ffi::make_object<ir::OptionsObj>();
  for (const auto& [key, value] : options) ir::SetOption(set.get(), std::string(key), value);
  auto out = ir::CopyNode(f.get());
  out->options = ir::Options(set);
  return ir::Func(out);
}

std::string EmitText(const ir::Func& f, const target::Target& target) {
  std::string text = codegen::EmitCuda(f, target);
  if (knobs::HeapDebug()) text = "#define TS_HEAP_DEBUG 1\n" + text;
  if (!knobs::Watchdog().empty()) text = "#define TS_WATCHDOG 1\n" + text;
  return text;
}

std::optional<std::string> CacheText(const ir::Func& f, const target::Target& target) {
  if (knobs::Verify() || !knobs::Dump().empty()) return std::nullopt;
  return target.Text() + "\n" + ir::Print(f);
}

runtime::Artifact Compile(const ir::Func& f, const target::Target& target, int index,
                          std::vector<PassTime>* times) {
  runtime::Artifact artifact;
  if (index == 0) {
    AddVariant(f, target, /*general=*/false, &artifact, times);
    // What breaks a fact runs the general text, made on first need.
    if (!artifact.variants[0].facts.empty()) artifact.variants.emplace_back();
  } else {
    AddVariant(f, target, /*general=*/true, &artifact, times);
    artifact.variants.insert(artifact.variants.begin(), runtime::Variant());
  }
  AddOptions(f, &artifact);
  return artifact;
}

ir::Func Lower(const ir::Func& f, const target::Target& target) {
  PassContext ctx;
  ctx.target = target;
  return RunPasses(f, ctx);
}

runtime::Artifact Assemble(const ir::Func& lowered, const target::Target& target) {
  runtime::Artifact artifact;
  PassContext ctx;
  ctx.target = target;
  passes::PlanHost(lowered, ctx, &artifact);
  artifact.variants[0].source = EmitText(lowered, target);
  if (!artifact.variants[0].facts.empty()) artifact.variants.emplace_back();
  AddOptions(lowered, &artifact);
  return artifact;
}

}  // namespace tilescale::driver
