// SPDX-License-Identifier: MIT
// tilescale-opt: runs passes on a program's text, for golden tests and for replay files.
//
// Exit status: 0, 1 for an error in the text or of the program in it, 2 for a wrong command line,
// 3 for a fault of the compiler.
#include "compiler/driver/compile.h"
#include "compiler/ir/text.h"
#include "compiler/ir/verify.h"
#include "compiler/passes/passes.h"
#include "support/diagnostics.h"
#include "support/files.h"
#include "support/strings.h"

#include <tvm/ffi/error.h>

#include <charconv>
#include <iostream>
#include <iterator>

namespace tilescale {
namespace {

constexpr const char* kUsage =
    R"(usage: tilescale-opt [--target T] [--run FIRST..LAST | --run PASS,PASS | --stage S]
                     [--emit ir|cuda|times] [--options KEY=VALUE,KEY] [--general] [--no-spans]
                     [FILE]

Reads a program's text from FILE, else from standard input, runs passes on it, verifies it before
and after each, and prints it.

  --target T     what it is compiled for: sm_80, "sim sm_90a"; default: what the text says
  --run R        FIRST..LAST, either end may be left out, or passes by name; default: none
  --stage S      up to the last pass of stage tile, mapped or machine
  --emit E       the program (ir), its CUDA text (cuda), or microseconds of each pass (times)
  --options O    pass configs: tl.disable_shared_memory_reuse,tl.config_index_bitwidth=64
  --general      the text that relies on no launch fact
  --no-spans     leave the user's lines out
)";

// A wrong command line.
struct UsageError {
  std::string text;
};

struct CommandLine {
  std::string target, file;
  std::vector<std::pair<std::string, std::string>> ranges;  // first and last pass, in order
  std::string emit = "ir";
  ffi::Map<ffi::String, ffi::Any> options;
  bool general = false;
  bool spans = true;
};

std::pair<std::string, std::string> ParseRange(const std::string& text) {
  const size_t dots = text.find("..");
  if (dots == std::string::npos) return {text, text};
  return {text.substr(0, dots), text.substr(dots + 2)};
}

// The last pass after which a program is at the stage.
std::string LastPassOf(const std::string& stage) {
  std::string last;
  for (const PassInfo& pass : Pipeline()) {
    if (stage == ir::StageName(pass.stage_after)) last = pass.name;
  }
  if (last.empty()) throw UsageError{"--stage is tile, mapped or machine, got '" + stage + "'"};
  return last;
}

void ParseOptions(const std::string& text, ffi::Map<ffi::String, ffi::Any>* options) {
  for (const std::string& entry : Split(text, ',')) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos) {
      options->Set(entry, true);
      continue;
    }
    const std::string value = entry.substr(equals + 1);
    int64_t number = 0;
    const char* end = value.data() + value.size();
    const auto read = std::from_chars(value.data(), end, number);
    if (read.ec != std::errc() || read.ptr != end) {
      throw UsageError{"--options: '" + entry + "' is no KEY=INTEGER"};
    }
    options->Set(entry.substr(0, equals), number);
  }
}

void CheckOneOf(const std::string& flag, const std::string& value,
                const std::vector<std::string>& known) {
  for (const std::string& k : known) {
    if (value == k) return;
  }
  throw UsageError{flag + " is one of " + Join(known, ", ") + ", got '" + value + "'"};
}

void ParseFlag(const std::string& flag, const std::string& value, CommandLine* line) {
  if (flag == "--target") {
    line->target = value;
  } else if (flag == "--run") {
    for (const std::string& range : Split(value, ',')) line->ranges.push_back(ParseRange(range));
  } else if (flag == "--stage") {
    line->ranges.emplace_back("", LastPassOf(value));
  } else if (flag == "--emit") {
    CheckOneOf(flag, value, {"ir", "cuda", "times"});
    line->emit = value;
  } else if (flag == "--options") {
    ParseOptions(value, &line->options);
  } else {
    throw UsageError{"unknown option '" + flag + "'"};
  }
}

CommandLine ParseCommandLine(const std::vector<std::string>& words) {
  CommandLine line;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--no-spans") {
      line.spans = false;
    } else if (word == "--general") {
      line.general = true;
    } else if (!word.starts_with("--")) {
      if (!line.file.empty()) throw UsageError{"two files: '" + line.file + "' and '" + word + "'"};
      line.file = word;
    } else if (i + 1 == words.size()) {
      throw UsageError{"'" + word + "' needs a value"};
    } else {
      ParseFlag(word, words[++i], &line);
    }
  }
  return line;
}

std::string ReadInput(const std::string& file) {
  if (file.empty()) return {std::istreambuf_iterator<char>(std::cin), {}};
  Expected<std::string> text = ReadFile(file);
  if (!text) throw UsageError{text.reason()};
  return *text;
}

// A text that breaks a rule of its stage is the writer's mistake, not the compiler's.
void VerifyInput(const ir::Func& f) {
  try {
    ir::Verify(f);
  } catch (const InternalError& error) {
    throw Diag({}, "ValueError") << "the text is no program: " << error.what();
  }
}

std::string Output(const CommandLine& line) {
  ir::Func f = driver::WithOptions(ir::ParseFunc(ReadInput(line.file)), line.options);
  VerifyInput(f);
  std::string target = line.target.empty() ? std::string(f->target) : line.target;
  PassContext ctx;
  ctx.target = target::ParseTarget(target.empty() ? "cuda" : target);
  ctx.general = line.general;
  ctx.verify = true;
  std::string times;
  auto observe = [&](const PassInfo& pass, const ir::Func&, int64_t us) {
    times += std::string(pass.name) + " " + std::to_string(us) + "\n";
  };
  for (const auto& [first, last] : line.ranges) f = RunPasses(f, ctx, first, last, observe);
  if (line.emit == "times") return times;
  if (line.emit == "ir") return ir::Print(f, {.spans = line.spans});
  if (f->stage() != ir::Stage::kMachine) {
    throw Diag({}, "ValueError") << "--emit cuda needs a program at the machine stage, this one is"
                                 << " at the " << ir::StageName(f->stage()) << " stage"
                                 << Help("add --stage machine");
  }
  ir::VerifyNoTokens(f);
  return driver::EmitText(f, ctx.target);
}

int Main(const std::vector<std::string>& words) {
  try {
    if (words == std::vector<std::string>{"--help"}) {
      std::cout << kUsage;
      return 0;
    }
    std::cout << Output(ParseCommandLine(words));
    return 0;
  } catch (const UsageError& error) {
    std::cerr << "tilescale-opt: " << error.text << "\n" << "tilescale-opt --help says more\n";
    return 2;
  } catch (const Diag& error) {
    std::cerr << error.type() << ": " << error.what() << "\n";
    return 1;
  } catch (const ffi::Error& error) {
    std::cerr << error.kind() << ": " << error.message() << "\n";
    return 1;
  } catch (const std::exception& error) {
    std::cerr << "InternalError: " << error.what() << "\n";
    return 3;
  }
}

}  // namespace
}  // namespace tilescale

int main(int argc, char** argv) {
  return tilescale::Main({argv + 1, argv + argc});
}
