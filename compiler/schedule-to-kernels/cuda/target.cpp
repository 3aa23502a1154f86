// The table of GPU targets; see the header.
#include "compiler/schedule-to-kernels/cuda/target.h"

#include <string>

namespace ktc::cuda {

std::span<const Target> targets() {
  // sm_90a: wgmma and setmaxnreg exist in Hopper's own feature set only, and no later GPU runs its code.
  // PTX is for any GPU, so its kernels are made for the smallest shared memory.
  static constexpr Target all[] = {{"sm_80", {80}, 163 << 10},          {"sm_86", {86}, 99 << 10},
                                   {"sm_89", {89}, 99 << 10},           {"sm_90a", {90}, 227 << 10},
                                   {"sm_100", {100}, 227 << 10},        {"sm_120", {120}, 99 << 10},
                                   {"compute_80", {86}, 99 << 10, true}};
  return all;
}

kt::Result<Target> parseTarget(std::string_view name) {
  std::string known;
  for (const Target &target : targets()) {
    if (name == target.name || (name == "sm_90" && target.name == "sm_90a"))
      return target;
    known += (known.empty() ? "" : ", ") + std::string(target.name);
  }
  return kt::Error{"unknown GPU target '" + std::string(name) + "', expected one of " + known};
}

kt::Result<Target> targetFor(int major, int minor) {
  const std::string capability = std::to_string(major) + "." + std::to_string(minor);
  if (major < 8)
    return kt::Error{"a GPU of compute capability " + capability + " is too old, expected 8.0 or later"};
  const Target *best = nullptr;
  for (const Target &target : targets()) {
    const int number = static_cast<int>(target.sm.number);
    if (!target.ptx && number / 10 == major && number % 10 <= minor)
      best = &target;
  }
  return best ? *best : parseTarget("compute_80");
}

} // namespace ktc::cuda
