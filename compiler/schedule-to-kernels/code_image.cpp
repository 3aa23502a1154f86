// Generation of a schedule's kernels: in parallel, then laid out in the order of the module, so that the result
// does not depend on the number of threads.
#include "compiler/schedule-to-kernels/code_image.h"

#include "compiler/schedule-to-kernels/kernel_params.h"
#include "compiler/schedule-to-kernels/shared_bytes.h"

#include "mlir/IR/Threading.h"
#include "llvm/ADT/StringMap.h"

#include <optional>

using namespace mlir;

namespace ktc {

namespace {

using Generated = std::optional<kt::Result<x64::Kernel>>;

// A kernel that cannot be placed in a plan is an error of its generator.
std::string problemOf(const kt::Result<x64::Kernel> &result) {
  if (!result)
    return result.error().message;
  if (result->code.empty() || result->codeBytes == 0 || result->codeBytes > result->code.size())
    return "the generator made " + std::to_string(result->code.size()) + " bytes, " +
           std::to_string(result->codeBytes) + " of them instructions";
  return {};
}

} // namespace

// Marks on which kinds of device each kernel runs. `kernels` are in the order of the module.
static void markDevices(ModuleOp module, std::vector<KernelInfo> &kernels) {
  llvm::StringMap<bool> isGpuDevice, isGpuLane;
  for (auto device : module.getOps<sched::DeviceOp>())
    isGpuDevice[device.getSymName()] = device.getKind() == "cuda";
  for (auto lane : module.getOps<sched::LaneOp>())
    isGpuLane[lane.getSymName()] = isGpuDevice.lookup(lane.getDevice());
  llvm::StringMap<std::pair<bool, bool>> users; // CPU, GPU
  module.walk([&](sched::DispatchOp dispatch) {
    std::pair<bool, bool> &uses = users[dispatch.getKernel()];
    (isGpuLane.lookup(dispatch.getLane()) ? uses.second : uses.first) = true;
  });
  for (KernelInfo &kernel : kernels) {
    std::pair<bool, bool> uses = users.lookup(kernel.symbol);
    kernel.onGpu = uses.second;
    kernel.onCpu = uses.first || !uses.second;
  }
}

// Returns false if a kernel could not be generated.
static bool generateCpu(ModuleOp module, MutableArrayRef<sched::KernelOp> ops, std::span<const x64::Isa> isas,
                        CodeImage &image) {
  std::vector<Generated> results(ops.size() * isas.size());
  parallelFor(module.getContext(), 0, results.size(), [&](size_t i) {
    const KernelInfo &info = image.kernels[i % ops.size()];
    if (info.onCpu)
      results[i] = x64::generate(info.family, info.params, isas[i / ops.size()]);
  });
  bool good = true;
  for (size_t s = 0; s < isas.size(); ++s) {
    CodeSegment segment = {isas[s], {}, std::vector<KernelCode>(ops.size())};
    SharedBytes bytes;
    for (size_t k = 0; k < ops.size(); ++k) {
      const Generated &result = results[s * ops.size() + k];
      if (!result)
        continue;
      if (std::string problem = problemOf(*result); !problem.empty()) {
        ops[k].emitOpError() << "cannot be generated for " << x64::isaName(isas[s]) << ": " << problem;
        good = false;
        continue;
      }
      const x64::Kernel &kernel = **result;
      segment.kernels[k] = {bytes.add(kernel.code), kernel.code.size(), kernel.codeBytes, kernel.scratchBytes};
    }
    segment.bytes = bytes.take();
    image.segments.push_back(std::move(segment));
  }
  return good;
}

// Returns false if a kernel could not be generated.
static bool generateGpu(MutableArrayRef<sched::KernelOp> ops, const GpuOptions &gpu, CodeImage &image) {
  std::vector<GpuRequest> requests;
  for (size_t k = 0; k < ops.size(); ++k)
    if (image.kernels[k].onGpu)
      requests.push_back({k, image.kernels[k].family, &image.kernels[k].params});
  if (requests.empty())
    return true;
  if (gpu.targets.empty()) {
    ops[requests.front().index].emitOpError()
        << "runs on a GPU lane, but there is no GPU target to generate it for";
    return false;
  }
  std::vector<GpuFailure> failures;
  image.gpuSegments = compileGpuSegments(requests, ops.size(), gpu, failures);
  for (const GpuFailure &failure : failures)
    ops[failure.index].emitOpError() << failure.message;
  return failures.empty();
}

FailureOr<CodeImage> generateKernels(ModuleOp module, std::span<const x64::Isa> isas, const GpuOptions &gpu) {
  CodeImage image;
  SmallVector<sched::KernelOp> ops(module.getOps<sched::KernelOp>());
  for (sched::KernelOp op : ops)
    image.kernels.push_back({op.getSymName().str(), op.getFamily().str(), kernelParams(op.getParams())});
  markDevices(module, image.kernels);
  const bool cpuGood = generateCpu(module, ops, isas, image);
  if (!generateGpu(ops, gpu, image) || !cpuGood)
    return failure();
  return image;
}

} // namespace ktc
