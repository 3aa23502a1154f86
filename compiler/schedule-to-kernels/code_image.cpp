// Generation of a schedule's kernels: in parallel, then laid out in the order of the module, so that the result
// does not depend on the number of threads.
#include "compiler/schedule-to-kernels/code_image.h"

#include "compiler/schedule-to-kernels/kernel_params.h"

#include "mlir/IR/Threading.h"

#include <optional>
#include <string_view>
#include <unordered_map>

using namespace mlir;

namespace ktc {

namespace {

using Generated = std::optional<kt::Result<x64::Kernel>>;

// Appends kernels to a segment; equal bytes are stored once.
class SegmentBuilder {
public:
  explicit SegmentBuilder(x64::Isa isa) { segment.isa = isa; }

  void add(const x64::Kernel &kernel) {
    std::string content(reinterpret_cast<const char *>(kernel.code.data()), kernel.code.size());
    auto [known, isNew] = offsets.try_emplace(std::move(content), 0);
    if (isNew) {
      segment.bytes.resize((segment.bytes.size() + KT_BUFFER_ALIGNMENT - 1) / KT_BUFFER_ALIGNMENT *
                           KT_BUFFER_ALIGNMENT);
      known->second = segment.bytes.size();
      segment.bytes.insert(segment.bytes.end(), kernel.code.begin(), kernel.code.end());
    }
    segment.kernels.push_back({known->second, kernel.code.size(), kernel.codeBytes, kernel.scratchBytes});
  }

  CodeSegment take() { return std::move(segment); }

private:
  CodeSegment segment;
  std::unordered_map<std::string, uint64_t> offsets; // by content
};

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

FailureOr<CodeImage> generateKernels(ModuleOp module, std::span<const x64::Isa> isas) {
  CodeImage image;
  SmallVector<sched::KernelOp> ops(module.getOps<sched::KernelOp>());
  for (sched::KernelOp op : ops)
    image.kernels.push_back({op.getSymName().str(), op.getFamily().str(), kernelParams(op.getParams())});

  std::vector<Generated> results(ops.size() * isas.size());
  parallelFor(module.getContext(), 0, results.size(), [&](size_t i) {
    const KernelInfo &info = image.kernels[i % ops.size()];
    results[i] = x64::generate(info.family, info.params, isas[i / ops.size()]);
  });

  bool failed = false;
  for (size_t s = 0; s < isas.size(); ++s) {
    SegmentBuilder segment(isas[s]);
    for (size_t k = 0; k < ops.size(); ++k) {
      const kt::Result<x64::Kernel> &result = *results[s * ops.size() + k];
      std::string problem = problemOf(result);
      if (problem.empty()) {
        segment.add(*result);
        continue;
      }
      ops[k].emitOpError() << "cannot be generated for " << x64::isaName(isas[s]) << ": " << problem;
      failed = true;
    }
    image.segments.push_back(segment.take());
  }
  if (failed)
    return failure();
  return image;
}

} // namespace ktc
