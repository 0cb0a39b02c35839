// SPDX-License-Identifier: MIT
#include "runtime/nvrtc.h"

#include "runtime/jit/headers.h"
#include "runtime/jit/nvrtc_library.h"
#include "support/diagnostics.h"
#include "support/knobs.h"
#include "support/strings.h"

#include <algorithm>
#include <cstdlib>

namespace tilescale::runtime {
namespace {

constexpr int kSuccess = 0;

void Check(int result, const char* call) {
  if (result == kSuccess) return;
  throw Diag({}, "NvrtcError") << call << ": " << Nvrtc().GetErrorString(result);
}

class Program {
 public:
  Program(const std::string& source, const std::string& name, const HeaderSet& headers) {
    std::vector<const char*> texts;
    std::vector<const char*> names;
    for (size_t i = 0; i < headers.names.size(); ++i) {
      texts.push_back(headers.texts[i].c_str());
      names.push_back(headers.names[i].c_str());
    }
    Check(Nvrtc().CreateProgram(&program_, source.c_str(), name.c_str(),
                                static_cast<int>(names.size()), texts.data(), names.data()),
          "nvrtcCreateProgram");
  }
  ~Program() { Nvrtc().DestroyProgram(&program_); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  int Compile(const std::vector<std::string>& options) {
    std::vector<const char*> texts;
    for (const std::string& option : options) texts.push_back(option.c_str());
    return Nvrtc().CompileProgram(program_, static_cast<int>(texts.size()), texts.data());
  }

  std::string Log() {
    size_t size = 0;
    Check(Nvrtc().GetProgramLogSize(program_, &size), "nvrtcGetProgramLogSize");
    std::string log(size, '\0');
    Check(Nvrtc().GetProgramLog(program_, log.data()), "nvrtcGetProgramLog");
    if (!log.empty() && log.back() == '\0') log.pop_back();
    return log;
  }

  std::string Cubin() {
    size_t size = 0;
    Check(Nvrtc().GetCUBINSize(program_, &size), "nvrtcGetCUBINSize");
    std::string cubin(size, '\0');
    Check(Nvrtc().GetCUBIN(program_, cubin.data()), "nvrtcGetCUBIN");
    return cubin;
  }

 private:
  NvrtcApi::Program program_ = nullptr;
};

// NVRTC keeps what it compiled on disk, too ("Caching (CUDA 12.9+)" of its guide): who turns our
// cache off wants no other one to answer.
bool HasCache() {
  int major = 0;
  int minor = 0;
  Check(Nvrtc().Version(&major, &minor), "nvrtcVersion");
  return major > 12 || (major == 12 && minor >= 9);
}

// The number before `unit` in "…, 128 bytes smem, …"; -1 if there is none.
int32_t NumberBefore(std::string_view line, std::string_view unit) {
  const size_t at = line.find(unit);
  if (at == std::string_view::npos) return -1;
  size_t begin = at;
  while (begin > 0 && line[begin - 1] >= '0' && line[begin - 1] <= '9') --begin;
  if (begin == at) return -1;
  return std::atoi(std::string(line.substr(begin, at - begin)).c_str());
}

}  // namespace

NvrtcResult NvrtcCompile(std::string_view name, std::string_view source, std::string_view arch,
                         const std::vector<std::string>& options) {
  const std::string file = std::string(name) + ".cu";
  Program program(std::string(source), file, Headers());
  std::vector<std::string> all = {"-arch=" + std::string(arch), "--std=c++17", "-default-device",
                                  "--ptxas-options=-v"};
  if (!knobs::Cache() && HasCache()) all.emplace_back("-no-cache");
  all.insert(all.end(), options.begin(), options.end());
  const int status = program.Compile(all);
  NvrtcResult result;
  result.log = program.Log();
  if (status != kSuccess) {
    throw Diag({}, "NvrtcError") << "NVRTC refused the text of '" << name << "' for " << arch
                                 << ": " << Nvrtc().GetErrorString(status) << "\n"
                                 << result.log;
  }
  result.cubin = program.Cubin();
  result.usage = ParsePtxasUsage(result.log);
  return result;
}

// ptxas prints, for each entry function:
//   ptxas info    : Compiling entry function 'gemm' for 'sm_80'
//   ptxas info    : Function properties for gemm
//   ptxas         .     256 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
//   ptxas info    : Used 124 registers, used 1 barriers, 128 bytes smem, 364 bytes cmem[0]
std::vector<KernelUsage> ParsePtxasUsage(std::string_view log) {
  constexpr std::string_view kEntry = "Compiling entry function '";
  std::vector<KernelUsage> all;
  for (const std::string& line : Split(log, '\n')) {
    if (const size_t at = line.find(kEntry); at != std::string::npos) {
      const size_t begin = at + kEntry.size();
      all.emplace_back().entry = line.substr(begin, line.find('\'', begin) - begin);
    } else if (!all.empty() && line.find("bytes stack frame") != std::string::npos) {
      all.back().stack_bytes = NumberBefore(line, " bytes stack frame");
      all.back().spill_store_bytes = NumberBefore(line, " bytes spill stores");
      all.back().spill_load_bytes = NumberBefore(line, " bytes spill loads");
    } else if (!all.empty() && line.find(": Used ") != std::string::npos) {
      all.back().registers = NumberBefore(line, " registers");
      all.back().static_shared_bytes = std::max(0, NumberBefore(line, " bytes smem"));
    }
  }
  return all;
}

}  // namespace tilescale::runtime
