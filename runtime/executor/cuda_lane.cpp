// Replaying a program as a CUDA graph; see cuda_lane.h.
#include "runtime/executor/cuda_lane.h"

#include "runtime/plan/message.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace ktrt {

static_assert(sizeof(KtCudaStep) == sizeof(KtStep) &&
                  offsetof(KtCudaStep, replay) == offsetof(KtStep, replay) &&
                  offsetof(KtCudaStep, rowOffset) == offsetof(KtStep, rowOffset),
              "steps are copied as they are");

static_assert(KT_MAX_PARTS * sizeof(KtStep) <= 64, "steps of all parts lie on one line");

// Words of the host block, each on a line of its own, and what is at the start of the device block.
static constexpr uint64_t kLine = 64, kStepAt = 0, kCompletionAt = kLine, kErrorAt = 2 * kLine,
                          kHostBytes = 3 * kLine;
static constexpr uint64_t kCountersAt = kLine;

static uint32_t loadWord(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

static kt::Result<cuda::HandOver> handOverOfEnvironment() {
  const char *text = getenv("KTRT_HANDOVER");
  const std::string_view name = text ? text : "";
  if (name.empty() || name == "fused")
    return cuda::HandOver::Fused;
  if (name == "memop")
    return cuda::HandOver::Memory;
  return failure("KTRT_HANDOVER is '%s', expected fused or memop", text);
}

// Kernels may be launched while those before them run, unless $KTRT_PDL is 0.
static bool startsEarlyByEnvironment() {
  const char *text = getenv("KTRT_PDL");
  return !text || std::string_view(text) != "0";
}

kt::Result<std::unique_ptr<CudaLane>> CudaLane::create(const plan::PlanFile &file, uint32_t laneIndex,
                                                       cuda::PlanGpus &memory, const WeightMap &weights,
                                                       SignalTable &signals, const Options &options) {
  std::unique_ptr<CudaLane> lane(new CudaLane(file, laneIndex, signals, options));
  kt::Status status = lane->allocate(memory, weights);
  if (status)
    status = lane->buildGraphs(false);
  if (status)
    status = lane->gpu->synchronize();
  if (!status)
    return status.error();
  return lane;
}

const plan::LaneProgram *CudaLane::program(uint32_t index) const {
  for (const plan::LaneProgram *one : *file.plan().entries()->Get(index)->programs())
    if (one->lane() == lane && one->commands() && one->commands()->size() != 0)
      return one;
  return nullptr;
}

kt::Status CudaLane::allocate(cuda::PlanGpus &memory, const WeightMap &weights) {
  const plan::Plan &plan = file.plan();
  const uint32_t entries = plan.entries()->size();
  gpu = &memory.gpu(plan.lanes()->Get(lane)->device());
  kt::Result<cuda::HandOver> handOver = handOverOfEnvironment();
  if (!handOver)
    return handOver.error();
  kt::Result<cuda::GpuKernels> loaded = cuda::GpuKernels::load(file, lane, *gpu);
  if (!loaded)
    return loaded.error();
  kernels = std::move(*loaded);
  uint32_t signalCount = 0, counters = 0, commands = 0;
  for (uint32_t i = 0; i < entries; ++i) {
    const plan::LaneProgram *one = program(i);
    signalCount = std::max(signalCount, plan.entries()->Get(i)->signals());
    counterOffsets.push_back(counters);
    counters += one ? one->commands()->size() : 0;
    commands = std::max(commands, one ? one->commands()->size() : 0);
  }
  graphs.resize(entries);
  tracedGraphs.resize(entries);
  measured.resize(entries);
  lastSpans.resize(entries);
  const std::string what =
      formatText("%s: lane '%s'", file.path().c_str(), plan.lanes()->Get(lane)->name()->c_str());
  struct {
    cuda::GpuMemory *memory;
    bool host;
    uint64_t bytes;
  } blocks[] = {{&hostWords, true, kHostBytes},
                {&deviceWords, false, kCountersAt + 4 * uint64_t(counters)},
                {&traceHost, true, uint64_t(commands) * 32},
                {&traceDevice, false, uint64_t(commands) * 16}};
  for (auto &block : blocks) {
    kt::Result<cuda::GpuMemory> made = block.host ? cuda::GpuMemory::onHost(*gpu, block.bytes, what)
                                                  : cuda::GpuMemory::onDevice(*gpu, block.bytes, what);
    if (!made)
      return made.error();
    *block.memory = std::move(*made);
  }
  uint64_t *times = reinterpret_cast<uint64_t *>(traceHost.data());
  for (uint32_t i = 0; i < commands; ++i)
    times[2 * i] = ~uint64_t(0); // starts are a minimum, ends a maximum
  trace = {reinterpret_cast<uint64_t *>(traceDevice.data()), times, times + 2 * commands,
           uint64_t(commands) * 16};

  context.gpu = gpu;
  context.memory = &memory;
  context.kernels = &kernels;
  context.weights = &weights;
  context.hostStep = reinterpret_cast<KtCudaStep *>(hostWords.data() + kStepAt);
  context.step = reinterpret_cast<KtCudaStep *>(deviceWords.data());
  context.completion = reinterpret_cast<uint32_t *>(hostWords.data() + kCompletionAt);
  context.error = reinterpret_cast<uint32_t *>(hostWords.data() + kErrorAt);
  context.timeout = uint64_t(options.signalTimeoutMillis) * 1'000'000;
  context.handOver = *handOver;
  context.startsEarly = startsEarlyByEnvironment();
  for (uint32_t i = 0; i < signalCount; ++i) {
    context.words.push_back(signals.word(i));
    context.flags.push_back(signals.flag(i));
  }
  for (const plan::Lane *one : *plan.lanes())
    context.isGpuLane.push_back(one->kind() == plan::LaneKind::CudaStream);
  return {};
}

kt::Status CudaLane::buildGraphs(bool traced) {
  uint32_t *counters = reinterpret_cast<uint32_t *>(deviceWords.data() + kCountersAt);
  for (uint32_t i = 0; i < graphs.size(); ++i) {
    const plan::LaneProgram *one = program(i);
    if (!one)
      continue;
    const plan::Entry &target = *file.plan().entries()->Get(i);
    kt::Result<cuda::LaneProgramGraph> graph = cuda::LaneProgramGraph::build(
        context, target, *one, counters + counterOffsets[i], traced ? &trace : nullptr);
    if (!graph)
      return failure("%s: entry '%s', lane '%s': %s", file.path().c_str(), target.name()->c_str(),
                     file.plan().lanes()->Get(lane)->name()->c_str(), graph.error().message.c_str());
    if (graph->usesFlags())
      signals.useFlags();
    (traced ? tracedGraphs : graphs)[i] = std::move(*graph);
  }
  return {};
}

CudaLane::~CudaLane() {
  if (gpu && !gpu->abandoned())
    (void)gpu->synchronize();
}

void CudaLane::setProfiling(bool on) {
  if (on && health)
    if (kt::Status status = buildGraphs(true); !status)
      health = status;
  profiling = on;
  for (uint32_t i = 0; i < measured.size(); ++i) {
    const plan::LaneProgram *one = program(i);
    measured[i].assign(on && one ? one->commands()->size() : 0, {});
    lastSpans[i].assign(measured[i].size(), {});
  }
}

void CudaLane::begin(uint32_t newEntry, std::span<const KtStep> steps, uint32_t newReplay) {
  entry = newEntry;
  replay = newReplay;
  started = health;
  if (started) {
    __atomic_store_n(context.error, 0, __ATOMIC_RELAXED);
    memcpy(context.hostStep, steps.data(), steps.size_bytes());
    const cuda::LaneProgramGraph &graph = (profiling ? tracedGraphs : graphs)[entry];
    replayWindow.begin = nowNanos();
    gpu->makeCurrent();
    started = gpu->driver().check(gpu->driver().graphLaunch(graph.handle(), gpu->stream()), "cuGraphLaunch");
  }
  if (!started)
    signals.giveUp(replay, lane);
}

bool CudaLane::ended() const { return loadWord(context.completion) == replay; }

kt::Status CudaLane::finish() {
  if (!started)
    return started;
  kt::Status status = awaitEnd();
  replayWindow.end = nowNanos();
  if (!status)
    signals.giveUp(replay, lane);
  else
    status = failureOfReplay();
  if (profiling && status)
    readTrace();
  return status;
}

// Watches the word that the graph raises at its end, and from time to time asks the driver whether it will.
kt::Status CudaLane::awaitEnd() {
  constexpr uint64_t kSpin = 20'000'000, kQuery = 1'000'000, kShortest = 20'000, kLongest = 500'000;
  constexpr uint64_t kGrace = 2'000'000'000; // for a released graph to run to its end
  const uint64_t start = nowNanos(), deadline = start + context.timeout;
  const cuda::Driver &driver = gpu->driver();
  uint64_t queried = start;
  bool released = false;
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      if (ended())
        return {};
      __builtin_ia32_pause();
    }
    const uint64_t now = nowNanos();
    if (now - queried >= kQuery) {
      queried = now;
      gpu->makeCurrent();
      const int state = driver.streamQuery(gpu->stream());
      if (state == cuda::kSuccess) // the word comes no more if it is not there now
        return {};
      if (state != cuda::kNotReady)
        return health = driver.check(state, "the GPU");
    }
    if (now > deadline && !released) { // nobody waits any more, on neither side
      released = true;
      __atomic_store_n(context.error, ~0u, __ATOMIC_RELEASE);
      signals.giveUp(replay, lane);
      signals.releaseFlags();
    }
    if (released && now > deadline + kGrace) {
      gpu->abandon();
      return health = failure("%s does not come to an end of its work within %u ms and is given up",
                              gpu->name().c_str(), options.signalTimeoutMillis);
    }
    if (now - start > (options.spin ? kSpin : 0)) {
      const timespec pause{0, long(std::clamp((now - start) / 32, kShortest, kLongest))};
      nanosleep(&pause, nullptr);
    }
  }
}

// What the error word says once the graph has ended.
kt::Status CudaLane::failureOfReplay() const {
  const uint32_t error = loadWord(context.error);
  if (error == 0)
    return {};
  if (error == ~0u)
    return failure("the GPU did not finish within %u ms", options.signalTimeoutMillis);
  const plan::LaneProgram &commands = *program(entry);
  for (uint32_t i = 0; i < commands.commands()->size(); ++i)
    if (const plan::Wait *wait = commands.commands()->Get(i)->body_as_Wait();
        wait && wait->signal() == error - 1)
      return failure("commands[%u]: signal %u did not come from another lane within %u ms", i, error - 1,
                     options.signalTimeoutMillis);
  return failure("a kernel reported error %u", error);
}

void CudaLane::watch(uint32_t number) {
  gpu->makeCurrent();
  const int state = gpu->driver().streamQuery(gpu->stream());
  if (state != cuda::kSuccess && state != cuda::kNotReady)
    signals.giveUp(number, lane);
}

void CudaLane::readTrace() {
  for (uint32_t i = 0; i < measured[entry].size(); ++i) {
    const CommandSpan span{trace.result[2 * i], trace.result[2 * i + 1]};
    lastSpans[entry][i] = {};
    if (span.end < span.begin || span.end == 0) // no kernel
      continue;
    lastSpans[entry][i] = span;
    ++measured[entry][i].replays;
    measured[entry][i].nanos += span.end - span.begin;
  }
}

} // namespace ktrt
