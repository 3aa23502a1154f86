// Lanes by the placement of operations: see the header.
#include "compiler/placed-to-schedule/lower/Lane.h"

#include <map>

using namespace mlir;

namespace ktc::lower {

static constexpr llvm::StringLiteral kCudaPrefix = "cuda:";

// The number behind "cuda:", or -1.
static int64_t gpuNumber(StringRef device) {
  int64_t number = -1;
  if (!device.consume_front(kCudaPrefix) || device.getAsInteger(10, number))
    return -1;
  return number;
}

Lane laneOf(StringRef device) {
  const int64_t number = gpuNumber(device);
  if (number < 0)
    return {device.str(), kCpuLane.str(), kActivationArena.str(), kKvArena.str(), kIoArena.str(), false};
  const std::string text = std::to_string(number);
  return {device.str(),
          number == 0 ? "gpu.stream" : "gpu" + text + ".stream",
          (kActivationArena + ".cuda" + text).str(),
          (kKvArena + ".cuda" + text).str(),
          (kIoArena + ".cuda" + text).str(),
          true};
}

const Lane &laneOf(Operation *op, ArrayRef<Lane> lanes) {
  if (auto placement = op->getAttrOfType<model::PlacementAttr>("placement"))
    for (const Lane &candidate : lanes)
      if (candidate.device == placement.getDevice())
        return candidate;
  return lanes.front();
}

FailureOr<std::vector<Lane>> collectLanes(ArrayRef<Operation *> functions) {
  std::map<int64_t, std::string> gpus;
  auto visit = [&](Operation *op) -> WalkResult {
    auto placement = op->getAttrOfType<model::PlacementAttr>("placement");
    if (!placement)
      return WalkResult::advance();
    const std::string device = placement.getDevice().str();
    if (placement.getPrefill() != device) {
      op->emitOpError() << "is placed on " << device << " for decode and on " << placement.getPrefill()
                        << " for prefill; its weights and its KV cache would have to be on both";
      return WalkResult::interrupt();
    }
    if (device == kCpuDevice)
      return WalkResult::advance();
    const int64_t number = gpuNumber(device);
    if (number < 0) {
      op->emitOpError() << "is placed on " << device << ", expected cpu or cuda:N";
      return WalkResult::interrupt();
    }
    gpus.emplace(number, device);
    return WalkResult::advance();
  };
  for (Operation *function : functions)
    if (function->walk(visit).wasInterrupted())
      return failure();
  std::vector<Lane> lanes = {laneOf(kCpuDevice)};
  for (const auto &[number, device] : gpus)
    lanes.push_back(laneOf(device));
  return lanes;
}

} // namespace ktc::lower
