// Content-addressed files of compiled GPU kernels, so that each is compiled once per machine and not once per
// model.
//
// A file is named by the hash of all that decides the kernel. It is written beside its place and renamed, so
// several processes may share a folder; one that does not check out is compiled again and replaced.
#pragma once

#include "compiler/schedule-to-kernels/cuda/resource_usage.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ktc::cuda {

// Machine code (or PTX text), what the compiler said, and what the kernel uses.
struct CompiledKernel {
  std::vector<uint8_t> image;
  std::string log;
  ResourceUsage usage;
  bool fromCache = false;
};

// Hash, as 32 hexadecimal digits, of a source, the headers it includes directly or indirectly (by the names of
// cuda::headers()) and the options.
std::string kernelKey(std::string_view source, std::span<const std::string> options);

class KernelCache {
public:
  // `folder` is made when something is stored; empty: nothing is ever found or stored.
  explicit KernelCache(std::string folder) : folder(std::move(folder)) {}

  // The folder of this user: KTC_CUDA_CACHE if that is set (empty: no cache), else ktc/cuda in XDG_CACHE_HOME
  // or
  // ~/.cache.
  static std::string defaultFolder();

  // What was stored for `key` by this version of the compiler, or with an empty version by any; nothing if
  // there is none or the file is damaged.
  std::optional<CompiledKernel> find(const std::string &key, const std::string &version) const;

  // Failures are ignored: the cache only saves time.
  void store(const std::string &key, const std::string &version, const CompiledKernel &kernel) const;

private:
  std::string folder;
};

} // namespace ktc::cuda
