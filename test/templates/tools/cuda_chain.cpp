// See the header. Kernels are compiled with a frame of their own, which notes four times per block.
#include "test/templates/tools/cuda_chain.h"

#include "runtime/abi/kt_cuda.h"
#include "test/templates/cuda/driver.h"
#include "test/templates/tools/cuda_operands.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>

namespace ktc::cuda_timing {
namespace {

namespace drv = ktrt::cuda;
constexpr size_t Times = 4; // of a block: start, before its wait, after it, end

// In place of runKernel (base.cuh).
constexpr const char *Probe = R"(
namespace kt {
template <class Body> __device__ inline void probeKernel(const KtCudaArgs &args) {
  const uint64_t start = globalNanos();
  letSuccessorsCome();
  prefetchOf<Body>(args, 0);
  const uint64_t before = globalNanos();
  awaitPredecessors();
  const uint64_t after = globalNanos();
  Body::run(args);
  __syncthreads();
  if (!isFirstThread())
    return;
  const uint64_t block = blockIdx.x + gridDim.x * (blockIdx.y + uint64_t(gridDim.y) * blockIdx.z);
  unsigned long long *times = args.trace + block * 4;
  times[0] = start, times[1] = before, times[2] = after, times[3] = globalNanos();
}
} // namespace kt
)";

constexpr const char *Pause = R"(#include "base.cuh"
extern "C" __global__ void kernel(const __grid_constant__ KtCudaArgs args) {
  kt::letSuccessorsCome();
  kt::awaitPredecessors();
  const uint64_t start = kt::globalNanos();
  while (kt::globalNanos() - start < args.timeout)
    ;
  args.trace[0] = args.trace[1] = args.trace[2] = start, args.trace[3] = kt::globalNanos();
}
)";

// The kernel's source with the probe.
std::string probed(std::string source) {
  const size_t line = source.find('\n') + 1, call = source.find("kt::runKernel<");
  source.replace(call, 14, "kt::probeKernel<");
  return source.insert(line, Probe);
}

// A kernel with the probe, as it is before there is a GPU.
struct Link {
  std::string name;
  cuda::Launch launch;
  std::vector<TimedOperand> operands;
  std::vector<uint8_t> image;
};

struct Step : Link {
  drv::Function function = nullptr;
  KtCudaArgs shared = {};       // operands that all layers share
  drv::DeviceAddress times = 0; // of all layers
  size_t blocks() const { return size_t(launch.gridX) * launch.gridY * launch.gridZ; }
};

// Nanoseconds, of which the median counts.
class Samples {
public:
  void add(int64_t nanos) { values.push_back(static_cast<double>(nanos) / 1e3); }
  // In microseconds; 0 without any.
  double median() {
    if (values.empty())
      return 0;
    std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
    return values[values.size() / 2];
  }

private:
  std::vector<double> values;
};

struct Row {
  Samples gap, work, block, late, ready;
};

// Everything that a timing allocates; the process ends after it, so nothing is freed.
class Chain {
public:
  Chain(const test::Driver &gpu, bool startsEarly, const ChainOptions &options)
      : gpu(gpu), startsEarly(startsEarly && gpu.table.graphAddDependencies), options(options) {}

  kt::Status add(Link link) {
    Step step{std::move(link)};
    const std::string &name = step.name;
    const cuda::Launch &launch = step.launch;
    std::vector<uint8_t> &image = step.image;
    image.push_back(0);
    drv::Module module = nullptr;
    if (kt::Status status = gpu.check(gpu.table.moduleLoadData(&module, image.data()), "loading " + name);
        !status)
      return status;
    if (kt::Status status =
            gpu.check(gpu.table.moduleGetFunction(&step.function, module, "kernel"), "function `kernel`");
        !status)
      return status;
    gpu.table.functionSetAttribute(step.function, drv::kMaxDynamicSharedBytes,
                                   static_cast<int>(launch.sharedBytes));
    if (kt::Status status = allocate(layerCount() * step.blocks() * Times * 8, step.times); !status)
      return status;
    for (size_t i = 0; i < step.operands.size(); ++i)
      if (step.operands[i].streamed == 0)
        if (kt::Status status = makeOperand(step.operands[i], step.shared.operands[i]); !status)
          return status;
    steps.push_back(std::move(step));
    return {};
  }

  kt::Status build() {
    const KtCudaStep one = {1, static_cast<uint32_t>(options.past), 0, 1};
    if (kt::Status status = upload(&one, sizeof(one), stepAt); !status)
      return status;
    if (kt::Status status = gpu.check(gpu.table.graphCreate(&graph, 0), "cuGraphCreate"); !status)
      return status;
    drv::GraphNode before = nullptr;
    for (size_t layer = 0; layer < layerCount(); ++layer)
      for (Step &step : steps)
        if (kt::Status status = addNode(step, layer, before); !status)
          return status;
    return gpu.check(gpu.table.graphInstantiate(&exec, graph, 0), "cuGraphInstantiate");
  }

  kt::Status launch() {
    if (kt::Status status = gpu.check(gpu.table.graphLaunch(exec, nullptr), "cuGraphLaunch"); !status)
      return status;
    return gpu.check(gpu.synchronize(), "running the chain");
  }

  // Adds the times of the last launch, but for the first layers.
  kt::Status read(std::vector<Row> &rows, Samples &whole) {
    std::vector<std::vector<uint64_t>> times;
    for (const Step &step : steps) {
      times.emplace_back(layerCount() * step.blocks() * Times);
      if (kt::Status status =
              gpu.check(gpu.toHost(times.back().data(), step.times, times.back().size() * 8), "times");
          !status)
        return status;
    }
    rows.resize(steps.size());
    for (size_t layer = 2; layer < layerCount(); ++layer) {
      int64_t last = 0, begin = 0;
      for (size_t i = 0; i < steps.size(); ++i) {
        const double end =
            readBlocks(&times[i][layer * steps[i].blocks() * Times], steps[i].blocks(), last, rows[i]);
        begin = i == 0 ? end : begin;
        last = end;
      }
      whole.add(last - begin);
    }
    return {};
  }

  std::vector<Step> steps; // the first is the pause

private:
  size_t layerCount() const { return static_cast<size_t>(options.layers); }

  // Adds what the blocks of a kernel tell; returns its end. All times are nanoseconds.
  static int64_t readBlocks(const uint64_t *times, size_t blocks, int64_t before, Row &row) {
    int64_t first = std::numeric_limits<int64_t>::max(), last = 0, ready = 0, end = 0;
    Samples block;
    for (size_t b = 0; b < blocks; ++b) {
      const uint64_t *of = times + b * Times;
      const int64_t after = static_cast<int64_t>(of[2]), done = static_cast<int64_t>(of[3]);
      first = std::min(first, after), last = std::max(last, after), end = std::max(end, done);
      ready = std::max(ready, static_cast<int64_t>(of[1]));
      block.add(done - after);
    }
    row.gap.add(first - before);
    row.work.add(end - first);
    row.block.add(std::llround(block.median() * 1e3));
    row.late.add(last - first);
    row.ready.add(first - ready);
    return end;
  }

  kt::Status addNode(Step &step, size_t layer, drv::GraphNode &before) {
    KtCudaArgs args = step.shared;
    args.step = reinterpret_cast<const KtCudaStep *>(stepAt);
    args.timeout = static_cast<uint64_t>(options.pause) * 1000;
    args.trace = reinterpret_cast<unsigned long long *>(step.times + layer * step.blocks() * Times * 8);
    for (size_t i = 0; i < step.operands.size(); ++i)
      if (step.operands[i].streamed != 0)
        if (kt::Status status = makeOperand(step.operands[i], args.operands[i]); !status)
          return status;
    void *parameters[] = {&args};
    drv::KernelNodeParams params{};
    params.function = step.function;
    params.grid[0] = step.launch.gridX, params.grid[1] = step.launch.gridY, params.grid[2] = step.launch.gridZ;
    params.block[0] = step.launch.threads, params.block[1] = params.block[2] = 1;
    params.sharedBytes = step.launch.sharedBytes;
    params.parameters = parameters;
    drv::GraphNode made = nullptr;
    if (kt::Status status = gpu.check(
            gpu.table.graphAddKernelNode(&made, graph, &before, before && !startsEarly ? 1 : 0, &params),
            "a kernel node");
        !status)
      return status;
    const drv::EdgeData edge = {drv::kProgrammaticPort, 0, drv::kProgrammaticEdge, {}};
    if (before && startsEarly)
      if (kt::Status status =
              gpu.check(gpu.table.graphAddDependencies(graph, &before, &made, &edge, 1), "an early edge");
          !status)
        return status;
    before = made;
    return {};
  }

  kt::Status allocate(uint64_t bytes, drv::DeviceAddress &address) {
    return gpu.check(gpu.table.memAlloc(&address, bytes), std::to_string(bytes) + " bytes");
  }
  kt::Status upload(const void *content, size_t bytes, drv::DeviceAddress &address) {
    if (kt::Status status = allocate(bytes, address); !status)
      return status;
    return gpu.check(gpu.toDevice(address, content, bytes), "copy to the device");
  }
  // Small float32 numbers, as bytes good enough for every weight format.
  kt::Status makeOperand(const TimedOperand &operand, void *&to) {
    if (operand.bytes == 0)
      return {};
    std::vector<float> pattern(operand.content.empty() ? operand.bytes / 4 + 1 : 0);
    for (float &value : pattern)
      value = 0.05f * (static_cast<float>(random() % 2001) / 1000.0f - 1.0f);
    drv::DeviceAddress address = 0;
    const void *content =
        operand.content.empty() ? static_cast<const void *>(pattern.data()) : operand.content.data();
    if (kt::Status status = upload(content, operand.bytes, address); !status)
      return status;
    to = reinterpret_cast<void *>(address);
    return {};
  }

  const test::Driver &gpu;
  const bool startsEarly;
  const ChainOptions &options;
  std::minstd_rand random;
  drv::DeviceAddress stepAt = 0;
  drv::Graph graph = nullptr;
  drv::GraphExec exec = nullptr;
};

void print(const std::vector<Step> &steps, std::vector<Row> &rows, Samples &whole) {
  std::printf("%-16s %7s %7s %7s %7s %7s %7s\n", "kernel", "blocks", "gap", "work", "block", "late", "ready");
  for (size_t i = 1; i < steps.size(); ++i)
    std::printf("%-16s %7zu %7.2f %7.2f %7.2f %7.2f %7.2f\n", steps[i].name.c_str(), steps[i].blocks(),
                rows[i].gap.median(), rows[i].work.median(), rows[i].block.median(), rows[i].late.median(),
                rows[i].ready.median());
  std::printf("%-16s %7s %7s %7.2f\n", "whole chain", "", "", whole.median());
}

// The pause and all kernels. Code that is in the cache needs no compiler.
kt::Result<std::vector<Link>> compileLinks(const cuda::Compiler &compiler,
                                           const std::vector<catalogue::Entry> &entries,
                                           const cuda::Target &target, const ChainOptions &options) {
  std::vector<Link> links;
  auto add = [&](const std::string &name, const std::string &source, const cuda::Launch &launch,
                 std::vector<TimedOperand> operands) -> kt::Status {
    kt::Result<cuda::CompiledKernel> code = compiler.compile(name, source, target);
    if (!code)
      return code.error();
    links.push_back({name, launch, std::move(operands), std::move(code->image)});
    return {};
  };
  if (kt::Status status = add("pause", Pause, {}, {}); !status)
    return status.error();
  for (const catalogue::Entry &entry : entries) {
    kt::Result<cuda::Instance> instance = cuda::instantiate(entry.family, entry.params, target.sm);
    if (!instance)
      return instance.error();
    Sizes sizes;
    sizes.past = options.past;
    if (kt::Status status = add(entry.family, probed(instance->source), instance->launch,
                                timedOperands(entry.family, entry.params, sizes));
        !status)
      return status.error();
  }
  return links;
}

} // namespace

kt::Status runChain(const cuda::Compiler &compiler, const std::vector<catalogue::Entry> &entries,
                    const cuda::Target &target, const ChainOptions &options) {
  kt::Result<std::vector<Link>> links = compileLinks(compiler, entries, target, options);
  if (!links)
    return links.error();
  kt::Result<const test::Driver *> gpu = test::driver();
  if (!gpu)
    return gpu.error();
  Chain chain(**gpu, !target.ptx && target.sm.number >= 90, options);
  for (Link &link : *links)
    if (kt::Status status = chain.add(std::move(link)); !status)
      return status;
  if (kt::Status status = chain.build(); !status)
    return status;
  std::vector<Row> rows;
  Samples whole;
  for (int turn = 0; turn < 6; ++turn) {
    if (kt::Status status = chain.launch(); !status)
      return status;
    if (turn != 0)
      if (kt::Status status = chain.read(rows, whole); !status)
        return status;
  }
  print(chain.steps, rows, whole);
  return {};
}

} // namespace ktc::cuda_timing
