// SPDX-License-Identifier: MIT
#pragma once

#include "runtime/device.h"

#include <string>
#include <string_view>
#include <vector>

/// CUDA text to a cubin in this process. NVRTC is looked for at the first use: the file that
/// TILESCALE_NVRTC names, the folders that Python adds, the wheels of our Python environment
/// (nvidia-cuda-nvrtc, torch), the CUDA toolkit, the system's folders. What the driver is too old
/// to run is passed over.
namespace tilescale::runtime {

struct NvrtcResult {
  std::string cubin;
  std::string log;
  std::vector<KernelUsage> usage;
};

/// Compiles for one arch, "sm_90a". Throws NvrtcError with the log and the failing lines, or naming
/// what is missing and how to install it.
NvrtcResult NvrtcCompile(std::string_view name, std::string_view source, std::string_view arch,
                         const std::vector<std::string>& options);

/// Identity of the library that would be loaded, without loading it (that takes longer than a disk
/// hit may): its file name and build id. Throws NvrtcError if there is none.
std::string NvrtcId();

/// Path of the library.
std::string NvrtcPath();

/// Folders that may hold libnvrtc, in order; replaces earlier ones. From Python, which knows its
/// site-packages.
void SetNvrtcFolders(std::vector<std::string> folders);

/// The device headers that kernels include: the folder that TILESCALE_INCLUDE_DIR names, that
/// Python sets, or the one beside the library.
void SetIncludeFolder(std::string folder);
std::string IncludeFolder();

/// Digest of all device headers.
const std::string& IncludeDigest();

/// Passes over libraries of a newer CUDA than the driver runs; 0 sets no limit.
void LimitNvrtcMajor(int major);

/// Registers, spills and shared memory of each kernel, from the text that ptxas -v prints.
std::vector<KernelUsage> ParsePtxasUsage(std::string_view log);

}  // namespace tilescale::runtime
