// The kernels of a plan for this CPU: picks one variant of each and loads its code.
#pragma once

#include "runtime/abi/kt_abi.h"
#include "runtime/abi/result.hpp"
#include "runtime/cpu/code.h"
#include "runtime/cpu/cpuid.h"
#include "runtime/plan/reader.h"

#include <string>
#include <vector>

namespace ktrt {

// Loaded code of all kernels that CPU lanes dispatch.
class KernelSet {
public:
  // Picks the best level that the plan and the CPU have in common, at most `isaLimit` ("" = no limit), and for
  // each kernel its best variant up to that level. Errors name the kernel, or list what plan and CPU have.
  static kt::Result<KernelSet> load(const plan::PlanFile &file, std::string_view isaLimit, bool perfMap);

  // Entry point of kernel `index`; null for kernels that no CPU lane uses.
  KtKernelFn function(uint32_t index) const { return functions[index]; }
  uint64_t scratchBytes() const { return scratch; } // per thread, the most that any loaded variant wants
  IsaLevel isa() const { return level; }
  // Loaded code sections, for tests of their protection.
  const std::vector<CodeSegment> &segments() const { return code; }

private:
  kt::Status loadVariants(const plan::PlanFile &file, const std::vector<bool> &used, IsaSet supported);

  std::vector<CodeSegment> code; // by section index; empty for sections not needed
  std::vector<KtKernelFn> functions;
  std::vector<CodeSymbol> symbols;
  uint64_t scratch = 0;
  IsaLevel level = IsaLevel::Avx2;
};

} // namespace ktrt
