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
    tables.arenas[op.getSymName()] = static_cast<uint32_t>(tables.plan.arenas.size());
    tables.plan.arenas.push_back(std::move(arena));
  }
  return {};
}

void buildKernelTable(PlanTables &tables, uint32_t firstSection) {
  const CodeImage &image = tables.image;
  for (size_t i = 0; i < image.kernels.size(); ++i) {
    auto kernel = std::make_unique<KernelT>();
    kernel->name = kernelName(image.kernels[i].family, image.kernels[i].params);
    kernel->family = image.kernels[i].family;
    for (size_t s = 0; s < image.segments.size(); ++s) {
      const KernelCode &code = image.segments[s].kernels[i];
      auto variant = std::make_unique<KernelVariantT>();
      variant->isa = x64::isaName(image.segments[s].isa);
      variant->section = firstSection + static_cast<uint32_t>(s);
      variant->offset = code.offset;
      variant->bytes = code.bytes;
      variant->scratch_bytes = code.scratchBytes;
      kernel->variants.push_back(std::move(variant));
    }
    tables.kernels[image.kernels[i].symbol] = static_cast<uint32_t>(i);
    tables.plan.kernels.push_back(std::move(kernel));
  }
}

} // namespace ktc
