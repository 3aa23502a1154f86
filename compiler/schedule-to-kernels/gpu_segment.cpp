// Compilation of GPU segments; see the header. The layout does not depend on the number of threads.
#include "compiler/schedule-to-kernels/gpu_segment.h"

#include "compiler/schedule-to-kernels/shared_bytes.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

namespace ktc {

namespace {

using Compiled = std::optional<kt::Result<cuda::GpuKernel>>;

// Calls job(0 .. count - 1) from several threads, and `progress` after each.
void inParallel(size_t count, const std::function<void(size_t)> &job,
                const std::function<void(size_t, size_t)> &progress) {
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  size_t done = 0;
  auto work = [&] {
    for (size_t i = next++; i < count; i = next++) {
      job(i);
      std::lock_guard lock(mutex);
      ++done;
      if (progress)
        progress(done, count);
    }
  };
  std::vector<std::thread> threads;
  for (size_t t = 1; t < std::min<size_t>(count, std::max(1u, std::thread::hardware_concurrency())); ++t)
    threads.emplace_back(work);
  work();
  for (std::thread &thread : threads)
    thread.join();
}

} // namespace

std::vector<GpuSegment> compileGpuSegments(std::span<const GpuRequest> requests, size_t kernelCount,
                                           const GpuOptions &options, std::vector<GpuFailure> &failures) {
  std::vector<GpuSegment> segments;
  if (requests.empty())
    return segments;
  const cuda::Compiler compiler(options.compiler);
  std::vector<Compiled> results(requests.size() * options.targets.size());
  inParallel(
      results.size(),
      [&](size_t i) {
        const GpuRequest &request = requests[i % requests.size()];
        results[i] = compiler.make(request.family, *request.params, options.targets[i / requests.size()]);
      },
      options.progress);
  for (size_t t = 0; t < options.targets.size(); ++t) {
    GpuSegment segment = {options.targets[t], {}, std::vector<GpuCode>(kernelCount)};
    SharedBytes bytes;
    for (size_t r = 0; r < requests.size(); ++r) {
      kt::Result<cuda::GpuKernel> &result = *results[t * requests.size() + r];
      if (!result) {
        failures.push_back({requests[r].index, "cannot be generated for " +
                                                   std::string(options.targets[t].name) + ": " +
                                                   result.error().message});
        continue;
      }
      cuda::CompiledKernel &compiled = result->compiled;
      segment.kernels[requests[r].index] = {bytes.add(compiled.image), compiled.image.size(),
                                            result->instance.launch,   compiled.usage,
                                            result->instance.source,   compiled.log};
    }
    segment.bytes = bytes.take();
    segments.push_back(std::move(segment));
  }
  return segments;
}

} // namespace ktc
