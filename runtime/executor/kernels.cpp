// Choosing and loading kernel variants; see kernels.h.
#include "runtime/executor/kernels.h"

#include "runtime/plan/message.h"

#include <algorithm>

namespace ktrt {

// Kernels that at least one CPU lane dispatches.
static std::vector<bool> usedKernels(const plan::Plan &plan) {
  std::vector<bool> used(plan.kernels() ? plan.kernels()->size() : 0);
  for (const plan::Entry *entry : *plan.entries())
    for (const plan::LaneProgram *program : *entry->programs()) {
      if (plan.lanes()->Get(program->lane())->kind() != plan::LaneKind::CpuTeam || !program->commands())
        continue;
      for (const plan::Command *command : *program->commands())
        if (const plan::Dispatch *dispatch = command->body_as_Dispatch())
          used[dispatch->kernel()] = true;
    }
  return used;
}

kt::Result<KernelSet> KernelSet::load(const plan::PlanFile &file, std::string_view isaLimit, bool perfMap) {
  const plan::Plan &plan = file.plan();
  std::vector<bool> used = usedKernels(plan);
  IsaSet available = 0, supported = supportedIsas();
  for (uint32_t i = 0; i < used.size(); ++i)
    if (used[i])
      for (const plan::KernelVariant *variant : *plan.kernels()->Get(i)->variants())
        if (int isa = parseIsaLevel(variant->isa()->string_view()); isa >= 0)
          available |= isaBit(IsaLevel(isa));
  KernelSet set;
  if (available != 0) {
    kt::Result<IsaLevel> chosen = chooseIsa(available, supported, isaLimit);
    if (!chosen)
      return failure("%s: %s", file.path().c_str(), chosen.error().message.c_str());
    set.level = *chosen;
  }
  if (kt::Status status = set.loadVariants(file, used, supported); !status)
    return status.error();
  if (perfMap)
    if (kt::Status status = writePerfMap(set.symbols); !status)
      return status.error();
  return set;
}

kt::Status KernelSet::loadVariants(const plan::PlanFile &file, const std::vector<bool> &used,
                                   IsaSet supported) {
  code.resize(file.sections().size());
  functions.resize(used.size());
  for (uint32_t i = 0; i < used.size(); ++i) {
    if (!used[i])
      continue;
    const plan::Kernel &kernel = *file.plan().kernels()->Get(i);
    const plan::KernelVariant *best = nullptr;
    int bestIsa = -1;
    for (const plan::KernelVariant *variant : *kernel.variants()) {
      int isa = parseIsaLevel(variant->isa()->string_view());
      if (isa > bestIsa && isa <= int(level) && (supported & (1u << isa))) {
        best = variant;
        bestIsa = isa;
      }
    }
    if (!best)
      return failure("%s: kernels[%u] ('%s') has no code for %s or less", file.path().c_str(), i,
                     kernel.name()->c_str(), isaName(level));
    CodeSegment &segment = code[best->section()];
    if (!segment.data()) {
      kt::Result<CodeSegment> loaded =
          CodeSegment::load(file.section(best->section()), file.sections()[best->section()].bytes,
                            formatText("%s: sections[%u]", file.path().c_str(), best->section()));
      if (!loaded)
        return loaded.error();
      segment = std::move(*loaded);
    }
    const uint8_t *address = segment.data() + best->offset();
    functions[i] = reinterpret_cast<KtKernelFn>(reinterpret_cast<uintptr_t>(address));
    symbols.push_back({address, best->bytes(), kernel.name()->string_view()});
    scratch = std::max(scratch, best->scratch_bytes());
  }
  return {};
}

} // namespace ktrt
