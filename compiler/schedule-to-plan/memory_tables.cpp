// Devices, lanes, arenas and kernels: declarations of the schedule, one table each.
#include "compiler/schedule-to-plan/plan_tables.h"

using namespace mlir;
using namespace ktrt::plan;

namespace ktc {

static void buildDevices(PlanTables &tables) {
  for (auto op : tables.module.getOps<sched::DeviceOp>()) {
    auto device = std::make_unique<DeviceT>();
    device->name = op.getSymName().str();
    device->kind = op.getKind() == "cuda" ? DeviceKind::Cuda : DeviceKind::Cpu;
    device->budget_bytes = op.getBudget();
    tables.devices[op.getSymName()] = static_cast<uint32_t>(tables.plan.devices.size());
    tables.plan.devices.push_back(std::move(device));
  }
}

kt::Status buildMemoryTables(PlanTables &tables) {
  buildDevices(tables);
  for (auto op : tables.module.getOps<sched::LaneOp>()) {
    kt::Result<uint32_t> device = PlanTables::find(tables.devices, op.getDevice(), "device");
    if (!device)
      return device.error();
    auto lane = std::make_unique<LaneT>();
    lane->name = op.getSymName().str();
    lane->device = *device;
    bool isCpu = tables.plan.devices[*device]->kind == DeviceKind::Cpu;
    lane->kind = isCpu ? LaneKind::CpuTeam : LaneKind::CudaStream;
    tables.lanes[op.getSymName()] = static_cast<uint32_t>(tables.plan.lanes.size());
    tables.plan.lanes.push_back(std::move(lane));
  }
  for (auto op : tables.module.getOps<sched::ArenaOp>()) {
    if (op.getBytes() == 0) // nothing can lie in it, and plans have no empty arenas
      continue;
    kt::Result<uint32_t> device = PlanTables::find(tables.devices, op.getDevice(), "device");
    if (!device)
      return device.error();
    auto arena = std::make_unique<ArenaT>();
    arena->name = op.getSymName().str();
    arena->kind = op.getKind() == "activation" ? ArenaKind::Activation
                  : op.getKind() == "kv_cache" ? ArenaKind::KvCache
                                               : ArenaKind::Io;
    arena->device = *device;
    arena->bytes = op.getBytes();
    arena->mapped = op.getMapped();
    tables.arenas[op.getSymName()] = static_cast<uint32_t>(tables.plan.arenas.size());
    tables.plan.arenas.push_back(std::move(arena));
  }
  return {};
}

static std::unique_ptr<KernelVariantT> makeVariant(const CodeSegment &segment, size_t index, uint32_t section) {
  const KernelCode &code = segment.kernels[index];
  auto variant = std::make_unique<KernelVariantT>();
  variant->isa = x64::isaName(segment.isa);
  variant->section = section;
  variant->offset = code.offset;
  variant->bytes = code.bytes;
  variant->scratch_bytes = code.scratchBytes;
  return variant;
}

static std::unique_ptr<KernelVariantT> makeVariant(const GpuSegment &segment, size_t index, uint32_t section) {
  const GpuCode &code = segment.kernels[index];
  auto variant = std::make_unique<KernelVariantT>();
  variant->isa = segment.target.name;
  variant->section = section;
  variant->offset = code.offset;
  variant->bytes = code.bytes;
  variant->launch = std::make_unique<Launch>(code.launch.gridX, code.launch.gridY, code.launch.gridZ,
                                             code.launch.threads, code.launch.sharedBytes);
  // What base.cuh compiles to; PTX for sm_90 would do as well, but there is none.
  variant->early_start = !segment.target.ptx && segment.target.sm.number >= 90;
  return variant;
}

// Appends the variants of all kernels that have code in `segments`, and counts the sections.
template <typename Segment>
static void addVariants(PlanTables &tables, const std::vector<Segment> &segments, uint32_t &section) {
  for (const Segment &segment : segments) {
    if (segment.bytes.empty())
      continue;
    for (size_t i = 0; i < segment.kernels.size(); ++i)
      if (segment.kernels[i].bytes != 0)
        tables.plan.kernels[i]->variants.push_back(makeVariant(segment, i, section));
    ++section;
  }
}

void buildKernelTable(PlanTables &tables, uint32_t firstSection) {
  const CodeImage &image = tables.image;
  for (size_t i = 0; i < image.kernels.size(); ++i) {
    auto kernel = std::make_unique<KernelT>();
    kernel->name = kernelName(image.kernels[i].family, image.kernels[i].params);
    kernel->family = image.kernels[i].family;
    tables.kernels[image.kernels[i].symbol] = static_cast<uint32_t>(i);
    tables.plan.kernels.push_back(std::move(kernel));
  }
  addVariants(tables, image.segments, firstSection);
  addVariants(tables, image.gpuSegments, firstSection);
}

} // namespace ktc
