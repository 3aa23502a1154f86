// See the header.
#include "test/templates/tools/cuda_timing.h"

#include "runtime/abi/kt_cuda.h"
#include "test/templates/cuda/driver.h"
#include "test/templates/tools/cuda_operands.h"

#include <algorithm>
#include <cstdio>
#include <random>

namespace ktc::cuda_timing {
namespace {

constexpr uint64_t BeyondL2 = 512ull << 20; // larger than any L2 cache, several times
constexpr uint64_t MaxCopies = 256;
constexpr uint64_t MaxMemory = 16ull << 30; // of all copies

// Everything a timing allocates; the process ends after it, so nothing is freed.
class Timing {
public:
  Timing(const test::Driver &gpu, const cuda::GpuKernel &kernel) : gpu(gpu), kernel(kernel) {}

  kt::Status load() {
    std::vector<uint8_t> image = kernel.compiled.image;
    image.push_back(0);
    ktrt::cuda::Module module = nullptr;
    if (kt::Status status = gpu.check(gpu.table.moduleLoadData(&module, image.data()), "loading the kernel");
        !status)
      return status;
    if (kt::Status status =
            gpu.check(gpu.table.moduleGetFunction(&function, module, "kernel"), "function `kernel`");
        !status)
      return status;
    const int shared = static_cast<int>(kernel.instance.launch.sharedBytes);
    if (shared == 0)
      return {};
    return gpu.check(gpu.table.functionSetAttribute(function, ktrt::cuda::kMaxDynamicSharedBytes, shared),
                     "shared memory");
  }

  // Makes the arguments of `copies` launches that differ in what they stream.
  kt::Status place(const std::vector<TimedOperand> &operands, uint32_t tokens, int64_t past) {
    uint64_t rotated = 0;
    for (const TimedOperand &operand : operands) {
      streamedBytes += operand.streamed;
      rotated += operand.streamed ? operand.bytes : 0;
    }
    uint64_t copies = 1;
    if (streamedBytes != 0)
      copies = std::clamp<uint64_t>(std::min(BeyondL2 / streamedBytes + 1, MaxMemory / rotated), 2, MaxCopies);
    arguments.assign(copies, KtCudaArgs{});
    const KtCudaStep step = {tokens, static_cast<uint32_t>(past), 0, 1};
    test::DevicePointer stepAt = 0;
    if (kt::Status status = upload(&step, sizeof(step), stepAt); !status)
      return status;
    for (size_t i = 0; i < operands.size(); ++i) {
      test::DevicePointer address = 0;
      for (uint64_t c = 0; c < copies && operands[i].bytes; ++c) {
        if (c == 0 || operands[i].streamed)
          if (kt::Status status = makeOperand(operands[i], address); !status)
            return status;
        arguments[c].operands[i] = reinterpret_cast<void *>(address);
      }
    }
    for (KtCudaArgs &one : arguments)
      one.step = reinterpret_cast<const KtCudaStep *>(stepAt);
    return {};
  }

  // Launches `count` times; returns milliseconds by events.
  kt::Result<double> launches(size_t count, test::DevicePointer traces) {
    ktrt::cuda::Event start = nullptr, end = nullptr;
    gpu.table.eventCreate(&start, 0);
    gpu.table.eventCreate(&end, 0);
    gpu.table.eventRecord(start, nullptr);
    const cuda::Launch &launch = kernel.instance.launch;
    for (size_t i = 0; i < count; ++i) {
      KtCudaArgs args = arguments[i % arguments.size()];
      args.trace = traces ? reinterpret_cast<unsigned long long *>(traces + i * 16) : nullptr;
      void *parameters[] = {&args};
      const int code = gpu.launch(function, launch.gridX, launch.gridY, launch.gridZ, launch.threads, 1, 1,
                                  launch.sharedBytes, nullptr, parameters, nullptr);
      if (kt::Status status = gpu.check(code, "launch"); !status)
        return status.error();
    }
    gpu.table.eventRecord(end, nullptr);
    if (kt::Status status = gpu.check(gpu.synchronize(), "running the kernel"); !status)
      return status.error();
    float milliseconds = 0;
    if (kt::Status status = gpu.check(gpu.eventElapsed(&milliseconds, start, end), "timing"); !status)
      return status.error();
    return double(milliseconds);
  }

  // Mean microseconds from first start to last end, of `count` launches with a trace.
  kt::Result<double> traced(size_t count) {
    std::vector<unsigned long long> traces(2 * count);
    for (size_t i = 0; i < count; ++i)
      traces[2 * i] = ~0ull;
    test::DevicePointer address = 0;
    if (kt::Status status = upload(traces.data(), traces.size() * 8, address); !status)
      return status.error();
    if (kt::Result<double> done = launches(count, address); !done)
      return done.error();
    if (kt::Status status = gpu.check(gpu.toHost(traces.data(), address, traces.size() * 8), "traces"); !status)
      return status.error();
    double nanos = 0;
    for (size_t i = 0; i < count; ++i)
      nanos += static_cast<double>(traces[2 * i + 1] - traces[2 * i]);
    return nanos / 1e3 / static_cast<double>(count);
  }

  uint64_t streamedBytes = 0;
  std::vector<KtCudaArgs> arguments; // one per copy

private:
  kt::Status upload(const void *content, size_t bytes, test::DevicePointer &address) {
    if (kt::Status status = gpu.check(gpu.table.memAlloc(&address, bytes), std::to_string(bytes) + " bytes");
        !status)
      return status;
    return gpu.check(gpu.toDevice(address, content, bytes), "copy to the device");
  }

  // Made-up contents are small float32 numbers, as bytes good enough for every weight format.
  kt::Status makeOperand(const TimedOperand &operand, test::DevicePointer &address) {
    if (!operand.content.empty())
      return upload(operand.content.data(), operand.content.size(), address);
    if (pattern.empty()) {
      std::mt19937 random(1);
      std::normal_distribution<float> normal(0.0f, 0.05f);
      pattern.resize(1 << 20);
      std::generate(pattern.begin(), pattern.end(), [&] { return normal(random); });
    }
    if (kt::Status status =
            gpu.check(gpu.table.memAlloc(&address, operand.bytes), std::to_string(operand.bytes) + " bytes");
        !status)
      return status;
    const uint64_t step = pattern.size() * sizeof(float);
    for (uint64_t at = 0; at < operand.bytes; at += step)
      if (kt::Status status =
              gpu.check(gpu.toDevice(address + at, pattern.data(), std::min(step, operand.bytes - at)),
                        "copy to the device");
          !status)
        return status;
    return {};
  }

  const test::Driver &gpu;
  const cuda::GpuKernel &kernel;
  ktrt::cuda::Function function = nullptr;
  std::vector<float> pattern;
};

} // namespace

kt::Status run(const std::string &family, const Params &params, const Sizes &sizes,
               const cuda::GpuKernel &kernel) {
  kt::Result<const test::Driver *> gpu = test::driver();
  if (!gpu)
    return gpu.error();
  const std::vector<TimedOperand> operands = timedOperands(family, params, sizes);
  if (std::none_of(operands.begin(), operands.end(), [](const TimedOperand &one) { return one.bytes != 0; }))
    return kt::Error{"sizes of the operands of '" + family + "' are unknown; give them by --operand"};
  Timing timing(**gpu, kernel);
  if (kt::Status status = timing.load(); !status)
    return status;
  const uint32_t tokens = static_cast<uint32_t>(intParam(params, "m", 1));
  if (kt::Status status = timing.place(operands, tokens, sizes.past); !status)
    return status;
  const size_t count = std::max<size_t>(200, 3 * timing.arguments.size());
  if (kt::Result<double> warm = timing.launches(timing.arguments.size(), 0); !warm)
    return warm.error();
  kt::Result<double> milliseconds = timing.launches(count, 0);
  if (!milliseconds)
    return milliseconds.error();
  kt::Result<double> inside = timing.traced(count);
  if (!inside)
    return inside.error();
  const double between = *milliseconds * 1e3 / static_cast<double>(count);
  std::printf("%.2f us between launches, %.2f us inside; %.2f MB of weights, %.0f GB/s (%.0f inside)\n",
              between, *inside, static_cast<double>(timing.streamedBytes) / 1e6,
              static_cast<double>(timing.streamedBytes) / between / 1e3,
              static_cast<double>(timing.streamedBytes) / *inside / 1e3);
  return {};
}

} // namespace ktc::cuda_timing
