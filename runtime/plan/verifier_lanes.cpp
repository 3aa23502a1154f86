// Checks of what differs between lanes of CPUs and GPUs: which code they run, which memory they reach, and the
// order of commands on a GPU.
#include "runtime/plan/verifier_detail.h"

namespace ktrt::plan {

// The limits of CUDA's programming guide for every GPU since compute capability 8.0; a GPU may allow less
// shared memory, which its driver says when the kernel is loaded.
static constexpr uint32_t kMaxGridX = 0x7fffffff;
static constexpr uint32_t kMaxGridYZ = 65535;
static constexpr uint32_t kMaxThreads = 1024;
static constexpr uint32_t kMaxSharedBytes = 227 << 10;

bool isGpuTarget(std::string_view isa) {
  std::string_view number = isa;
  if (isa.substr(0, 3) == "sm_")
    number.remove_prefix(3);
  else if (isa.substr(0, 8) == "compute_")
    number.remove_prefix(8);
  else
    return false;
  if (!number.empty() && (number.back() == 'a' || number.back() == 'f')) // code for one SM or one family only
    number.remove_suffix(1);
  return !number.empty() && number.find_first_not_of("0123456789") == std::string_view::npos;
}

// The launch of a variant: present, with a possible geometry, for GPU code, and only for that.
bool VerifierState::checkLaunch(const std::string &where, const KernelVariant &variant) {
  const Launch *launch = variant.launch();
  if (!isGpuTarget(variant.isa()->string_view()))
    return !launch || fail("%s: a launch, which %s code has not", where.c_str(), variant.isa()->c_str());
  if (!launch)
    return fail("%s: no launch, which %s code needs", where.c_str(), variant.isa()->c_str());
  if (variant.scratch_bytes() != 0)
    return fail("%s: scratch per thread, which %s code has not", where.c_str(), variant.isa()->c_str());
  const struct {
    const char *name;
    uint32_t value, low, high;
  } ranges[] = {{"grid_x", launch->grid_x(), 1, kMaxGridX},
                {"grid_y", launch->grid_y(), 1, kMaxGridYZ},
                {"grid_z", launch->grid_z(), 1, kMaxGridYZ},
                {"threads", launch->threads(), 1, kMaxThreads},
                {"shared_bytes", launch->shared_bytes(), 0, kMaxSharedBytes}};
  for (const auto &range : ranges)
    if (range.value < range.low || range.value > range.high)
      return fail("%s.launch.%s is %u, expected %u to %u", where.c_str(), range.name, range.value, range.low,
                  range.high);
  return true;
}

// Explicit order: on GPU lanes only, of earlier commands, each named once.
bool VerifierState::checkAfter(const std::string &where, const Lane &lane, const Command &command,
                               uint32_t index) {
  uint32_t count = sizeOf(command.after());
  if (count != 0 && lane.kind() != LaneKind::CudaStream)
    return fail("%s.after: lane '%s' is no CUDA stream", where.c_str(), textOf(lane.name()));
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t earlier = command.after()->Get(i);
    if (!inRange(where + formatText(".after[%u]", i), earlier, index))
      return false;
    if (i != 0 && earlier <= command.after()->Get(i - 1))
      return fail("%s.after[%u] is %u, expected more than the %u before it", where.c_str(), i, earlier,
                  command.after()->Get(i - 1));
  }
  return true;
}

// The kernel of a dispatch has code for the lane's kind of device.
bool VerifierState::checkKernelRuns(const std::string &where, const Lane &lane, const Dispatch &dispatch) {
  const Kernel &kernel = *plan.kernels()->Get(dispatch.kernel());
  bool isGpu = lane.kind() == LaneKind::CudaStream;
  for (const KernelVariant *variant : *kernel.variants())
    if (isGpuTarget(variant->isa()->string_view()) == isGpu)
      return true;
  return fail("%s: kernel '%s' has no %s code, which lane '%s' runs", where.c_str(), kernel.name()->c_str(),
              isGpu ? "GPU" : "CPU", textOf(lane.name()));
}

// A lane reaches the memory of its own device; GPU lanes also arenas that are mapped, CPU lanes that of all CPU
// devices. The operand is valid and not None.
bool VerifierState::checkReach(const std::string &where, const Lane &lane, const Operand &operand) {
  bool isArena = operand.kind() == OperandKind::Arena;
  uint32_t device =
      isArena ? plan.arenas()->Get(operand.index())->device() : plan.weights()->Get(operand.index())->device();
  bool onCpu = plan.devices()->Get(device)->kind() == DeviceKind::Cpu;
  bool reaches =
      lane.kind() == LaneKind::CpuTeam
          ? onCpu
          : device == lane.device() || (onCpu && isArena && plan.arenas()->Get(operand.index())->mapped());
  return reaches || fail("%s: on device '%s', which lane '%s' cannot reach", where.c_str(),
                         textOf(plan.devices()->Get(device)->name()), textOf(lane.name()));
}

} // namespace ktrt::plan
