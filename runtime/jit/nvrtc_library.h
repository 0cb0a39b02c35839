// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>

namespace tilescale::runtime {

/// The functions of NVRTC that we use; types follow nvrtc.h, names are without "nvrtc".
struct NvrtcApi {
  using Program = struct ProgramHandle*;

  int (*Version)(int* major, int* minor);
  const char* (*GetErrorString)(int result);
  int (*CreateProgram)(Program* program, const char* source, const char* name, int num_headers,
                       const char* const* headers, const char* const* include_names);
  int (*DestroyProgram)(Program* program);
  int (*CompileProgram)(Program program, int num_options, const char* const* options);
  int (*GetCUBINSize)(Program program, size_t* size);
  int (*GetCUBIN)(Program program, char* cubin);
  int (*GetProgramLogSize)(Program program, size_t* size);
  int (*GetProgramLog)(Program program, char* log);
};

/// Loads the library on the first call.
const NvrtcApi& Nvrtc();

}  // namespace tilescale::runtime
