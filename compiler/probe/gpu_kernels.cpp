// What kernels of decoded tokens reach on a GPU: chains of them in a CUDA graph, as the run time has them.
//
// A chain is launched in two lengths, whose difference is free of what a launch costs. Kernels of the catalogue
// take part as they are: a matrix of one token for reading weights, a norm for everything small. A kernel that
// waits for a word of the host and raises one measures hand-overs with this thread on the other side.
#include "compiler/probe/gpu_driver.h"

#include "compiler/schedule-to-kernels/cuda/compiler.h"
#include "runtime/abi/kt_cuda.h"
#include "runtime/abi/kt_types.h"

#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

namespace ktc {

using policy::GpuMachine;

namespace {

using Clock = std::chrono::steady_clock;
using Handle = GpuDriver::Handle;
using DevicePtr = GpuDriver::DevicePtr;

constexpr int64_t kDepth = 2048;                      // columns of matrices, elements of rows
constexpr int64_t kFewRows = 2048, kManyRows = 32768; // of matrices: 2.4 and 38 MB
constexpr size_t kWeightBytes = size_t{1} << 29;      // far more than the caches hold
constexpr size_t kScratchBytes = size_t{1} << 20, kLine = 64;
constexpr int kShort = 32, kLong = 160, kPasses = 12; // kernels of a chain, and repetitions
constexpr int kHandOvers = 64;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A kernel that is loaded.
struct Loaded {
  const GpuDriver *driver = nullptr;
  Handle module = nullptr, function = nullptr;
  cuda::Launch launch;

  Loaded() = default;
  Loaded(const Loaded &) = delete;
  Loaded &operator=(const Loaded &) = delete;
  ~Loaded() {
    if (module)
      driver->moduleUnload(module);
  }
};

class KernelProbe {
public:
  explicit KernelProbe(const GpuInUse &use) : driver(use.driver), stream(use.stream) {}
  ~KernelProbe() {
    for (DevicePtr memory : {weights, scratch})
      if (memory)
        driver.memFree(memory);
    if (words)
      driver.hostFree(words);
  }

  // Memory, and the kernels for `sm`; false if something is missing.
  bool prepare(int sm);
  void run(GpuMachine &gpu);

private:
  using Arguments = std::function<void(int index, KtCudaArgs &)>;

  bool load(const cuda::Compiler &compiler, const cuda::Target &target, const char *family,
            const Params &params, Loaded &kernel) const;
  bool loadMatrix(const cuda::Compiler &compiler, const cuda::Target &target, int64_t rows,
                  Loaded &kernel) const;
  Handle chain(const Loaded &kernel, int count, const Arguments &fill) const;
  double launchSeconds(Handle graph) const;
  double perKernel(const Loaded &kernel, const Arguments &fill) const;
  double gapSeconds() const;
  double handOverSeconds(double kernelSeconds) const;
  KtCudaArgs common() const;
  void matrixArguments(int index, int64_t rows, KtCudaArgs &args) const;
  void rowArguments(KtCudaArgs &args) const;
  uint32_t *word(int index) const { return reinterpret_cast<uint32_t *>(words + index * kLine); }

  const GpuDriver &driver;
  Handle stream;
  DevicePtr weights = 0, scratch = 0;
  uint8_t *words = nullptr; // pinned: a line each for a step, an error, and two per hand-over
  bool early = false;       // kernels start before those before them end
  Loaded few, many, row;
};

// Places in the scratch memory.
constexpr size_t kStepAt = 0, kArrivalsAt = 4096, kTraceAt = 8192, kXAt = 65536, kYAt = 131072;

bool KernelProbe::prepare(int sm) {
  kt::Result<cuda::Target> target = cuda::targetFor(sm / 10, sm % 10);
  if (!target)
    return false;
  const cuda::Compiler compiler({});
  const Params rows = {{"k", kDepth},
                       {"eps", 1e-6},
                       {"rows", int64_t{1}},
                       {"x_stride", kDepth},
                       {"x_row_stride", kDepth},
                       {"y_stride", kDepth},
                       {"y_row_stride", kDepth},
                       {"m", int64_t{1}},
                       {"dynamic", int64_t{0}}};
  if (!loadMatrix(compiler, *target, kFewRows, few) || !loadMatrix(compiler, *target, kManyRows, many) ||
      !load(compiler, *target, "rms_norm", rows, row))
    return false;
  early = sm >= 90 && !target->ptx && driver.graphAddEdges;
  void *host = nullptr;
  const size_t hostBytes = (2 + 2 * kHandOvers) * kLine;
  if (driver.memAlloc(&weights, kWeightBytes) != 0 || driver.memAlloc(&scratch, kScratchBytes) != 0 ||
      driver.hostAlloc(&host, hostBytes, kGpuHostFlags) != 0)
    return false;
  words = static_cast<uint8_t *>(host);
  std::memset(words, 0, hostBytes);
  const KtCudaStep step = {1, 0, 0, 1};
  std::memcpy(words, &step, sizeof(step));
  return driver.fill(weights, 0x2e, kWeightBytes, stream) == 0 &&
         driver.fill(scratch, 0, kScratchBytes, stream) == 0 &&
         driver.copy(scratch + kStepAt, reinterpret_cast<DevicePtr>(words), sizeof(step), stream) == 0 &&
         driver.streamSynchronize(stream) == 0;
}

bool KernelProbe::loadMatrix(const cuda::Compiler &compiler, const cuda::Target &target, int64_t rows,
                             Loaded &kernel) const {
  const Params params = {{"format", std::string("q4_k")},
                         {"n", rows},
                         {"k", kDepth},
                         {"m", int64_t{1}},
                         {"dynamic", int64_t{0}},
                         {"x_type", std::string("bf16")},
                         {"x_stride", kDepth},
                         {"y_stride", rows}};
  return load(compiler, target, "linear", params, kernel);
}

bool KernelProbe::load(const cuda::Compiler &compiler, const cuda::Target &target, const char *family,
                       const Params &params, Loaded &kernel) const {
  kt::Result<cuda::GpuKernel> made = compiler.make(family, params, target);
  if (!made)
    return false;
  kernel.driver = &driver;
  kernel.launch = made->instance.launch;
  std::vector<uint8_t> image = made->compiled.image;
  image.push_back(0); // PTX is text
  constexpr int kMaxDynamicSharedBytes = 8;
  if (driver.moduleLoad(&kernel.module, image.data()) != 0) {
    kernel.module = nullptr;
    return false;
  }
  return driver.moduleFunction(&kernel.function, kernel.module, "kernel") == 0 &&
         driver.functionAttribute(kernel.function, kMaxDynamicSharedBytes,
                                  static_cast<int>(kernel.launch.sharedBytes)) == 0;
}

KtCudaArgs KernelProbe::common() const {
  KtCudaArgs args{};
  args.step = reinterpret_cast<const KtCudaStep *>(scratch + kStepAt);
  args.arrivals = reinterpret_cast<unsigned *>(scratch + kArrivalsAt);
  args.error = word(1);
  args.timeout = 1'000'000'000;
  return args;
}

// Each kernel of a chain reads the next matrix.
void KernelProbe::matrixArguments(int index, int64_t rows, KtCudaArgs &args) const {
  const size_t bytes = static_cast<size_t>(rows) * kDepth / 256 * ktTypeInfo(KT_TYPE_Q4_K)->blockBytes;
  const size_t places = kWeightBytes / bytes;
  args.operands[0] = reinterpret_cast<void *>(scratch + kXAt);
  args.operands[1] = reinterpret_cast<void *>(weights + static_cast<size_t>(index) % places * bytes);
  args.operands[2] = reinterpret_cast<void *>(scratch + kYAt);
}

void KernelProbe::rowArguments(KtCudaArgs &args) const {
  args.operands[0] = reinterpret_cast<void *>(scratch + kXAt);
  args.operands[1] = reinterpret_cast<void *>(weights);
  args.operands[2] = reinterpret_cast<void *>(scratch + kYAt);
}

// A graph of `count` kernels one after the other; null if the driver refuses.
Handle KernelProbe::chain(const Loaded &kernel, int count, const Arguments &fill) const {
  Handle graph = nullptr, exec = nullptr, before = nullptr;
  if (driver.graphCreate(&graph, 0) != 0)
    return nullptr;
  bool good = true;
  for (int i = 0; good && i < count; ++i) {
    KtCudaArgs args = common();
    fill(i, args);
    void *parameters[] = {&args};
    GpuDriver::KernelNode node{};
    node.function = kernel.function;
    const cuda::Launch &launch = kernel.launch;
    node.grid[0] = launch.gridX, node.grid[1] = launch.gridY, node.grid[2] = launch.gridZ;
    node.block[0] = launch.threads, node.block[1] = node.block[2] = 1;
    node.sharedBytes = launch.sharedBytes;
    node.parameters = parameters;
    Handle made = nullptr;
    const bool plain = before && !early;
    good = driver.graphAddKernel(&made, graph, &before, plain ? 1 : 0, &node) == 0;
    const GpuDriver::EdgeData programmatic = {1, 0, 1, {}};
    if (good && before && early)
      good = driver.graphAddEdges(graph, &before, &made, &programmatic, 1) == 0;
    before = made;
  }
  if (good && driver.graphInstantiate(&exec, graph, 0) != 0)
    exec = nullptr;
  driver.graphDestroy(graph);
  return exec;
}

// Of the fastest of some launches; 0 if one fails.
double KernelProbe::launchSeconds(Handle graph) const {
  double best = 1e9;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = Clock::now();
    if (driver.graphLaunch(graph, stream) != 0 || driver.streamSynchronize(stream) != 0)
      return 0;
    best = std::min(best, secondsSince(start));
  }
  return best;
}

// Seconds that one more kernel makes a chain longer; 0 if that cannot be measured.
double KernelProbe::perKernel(const Loaded &kernel, const Arguments &fill) const {
  double seconds[2] = {};
  for (int i = 0; i < 2; ++i)
    if (Handle graph = chain(kernel, i == 0 ? kShort : kLong, fill)) {
      seconds[i] = launchSeconds(graph);
      driver.graphExecDestroy(graph);
    }
  return seconds[0] > 0 && seconds[1] > seconds[0] ? (seconds[1] - seconds[0]) / (kLong - kShort) : 0;
}

// From the end of a kernel to the start of the next, by the GPU's own clock: the median of a chain.
double KernelProbe::gapSeconds() const {
  Handle graph = chain(row, kShort, [&](int index, KtCudaArgs &args) {
    rowArguments(args);
    args.trace = reinterpret_cast<unsigned long long *>(scratch + kTraceAt) + 2 * index;
  });
  if (!graph)
    return 0;
  std::vector<double> gaps;
  auto *times = reinterpret_cast<uint64_t *>(words + 2 * kLine);
  static_assert(kShort * 16 <= 2 * kHandOvers * kLine);
  for (int i = 0; i < kShort; ++i)
    times[2 * i] = ~uint64_t{0}, times[2 * i + 1] = 0;
  const auto pinned = reinterpret_cast<DevicePtr>(times);
  if (driver.copy(scratch + kTraceAt, pinned, kShort * 16, stream) == 0 &&
      driver.graphLaunch(graph, stream) == 0 &&
      driver.copy(pinned, scratch + kTraceAt, kShort * 16, stream) == 0 &&
      driver.streamSynchronize(stream) == 0)
    for (int i = 1; i < kShort; ++i)
      if (times[2 * i] >= times[2 * i - 1])
        gaps.push_back(static_cast<double>(times[2 * i] - times[2 * i - 1]) * 1e-9);
  driver.graphExecDestroy(graph);
  if (gaps.empty())
    return 0;
  std::nth_element(gaps.begin(), gaps.begin() + static_cast<std::ptrdiff_t>(gaps.size() / 2), gaps.end());
  return gaps[gaps.size() / 2];
}

// Half of what a kernel takes longer that waits for this thread, and that this thread waits for: the fastest of
// some chains, all of whose kernels do so.
double KernelProbe::handOverSeconds(double kernelSeconds) const {
  Handle graph = chain(row, kHandOvers, [&](int index, KtCudaArgs &args) {
    rowArguments(args);
    args.waitFlag = word(2 + 2 * index);
    args.raiseFlag = word(3 + 2 * index);
    args.waitSignal = static_cast<unsigned>(index);
  });
  if (!graph)
    return 0;
  double best = 1e9;
  for (int pass = 0; pass < kPasses; ++pass) {
    for (int i = 0; i < 2 * kHandOvers; ++i)
      __atomic_store_n(word(2 + i), 0u, __ATOMIC_RELEASE);
    if (driver.graphLaunch(graph, stream) != 0)
      break;
    Clock::time_point start;
    bool came = true;
    for (int i = 0; came && i < kHandOvers; ++i) {
      __atomic_store_n(word(2 + 2 * i), 1u, __ATOMIC_RELEASE);
      const auto asked = Clock::now();
      while (__atomic_load_n(word(3 + 2 * i), __ATOMIC_ACQUIRE) != 1 && (came = secondsSince(asked) < 1))
        _mm_pause();
      if (i == 0) // the launch is over
        start = Clock::now();
    }
    const double seconds = secondsSince(start);
    if (driver.streamSynchronize(stream) != 0 || !came)
      break;
    best = std::min(best, seconds / (kHandOvers - 1));
  }
  driver.graphExecDestroy(graph);
  return best < 1 ? std::max(0.0, (best - kernelSeconds) / 2) : 0;
}

void KernelProbe::run(GpuMachine &gpu) {
  const double small = perKernel(few, [&](int i, KtCudaArgs &args) { matrixArguments(i, kFewRows, args); });
  const double large = perKernel(many, [&](int i, KtCudaArgs &args) { matrixArguments(i, kManyRows, args); });
  const double perRow = kDepth / 256.0 * ktTypeInfo(KT_TYPE_Q4_K)->blockBytes;
  if (small > 0 && large > small) {
    gpu.weightStream = static_cast<double>(kManyRows - kFewRows) * perRow / (large - small);
    gpu.matrixLatency = std::max(0.0, small - static_cast<double>(kFewRows) * perRow / gpu.weightStream);
  }
  gpu.kernelLatency = perKernel(row, [&](int, KtCudaArgs &args) { rowArguments(args); });
  gpu.kernelGap = gapSeconds();
  gpu.handOver = handOverSeconds(gpu.kernelLatency);
}

} // namespace

void measureGpuKernels(const GpuInUse &use, GpuMachine &gpu) {
  auto probe = std::make_unique<KernelProbe>(use);
  if (probe->prepare(gpu.sm))
    probe->run(gpu);
}

} // namespace ktc
