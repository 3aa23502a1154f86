// Loading a plan and replaying single entries; see session.h.
#include "runtime/executor/session.h"

#include "runtime/cpu/topology.h"
#include "runtime/cuda/bandwidth.h"
#include "runtime/executor/cpu_lane.h"
#include "runtime/executor/cuda_lane.h"
#include "runtime/executor/session_impl.h"
#include "runtime/plan/describe.h"
#include "runtime/plan/message.h"

#include <algorithm>
#include <cinttypes>
#include <cstdlib>

namespace ktrt {

kt::Result<std::unique_ptr<Session>> Session::open(const std::string &path, const SessionOptions &options) {
  plan::PlanFile::Options planOptions;
  planOptions.hashWeights = options.verifyWeights;
  kt::Result<plan::PlanFile> file = plan::PlanFile::open(path, planOptions);
  if (!file)
    return file.error();
  auto impl = std::make_unique<Impl>(std::move(*file), options);
  if (kt::Status status = impl->load(); !status)
    return status.error();
  return std::unique_ptr<Session>(new Session(std::move(impl)));
}

Session::Session(std::unique_ptr<Impl> impl) : impl(std::move(impl)) {}
Session::~Session() = default;

kt::Status Session::Impl::load() {
  uint32_t context = file.plan().model()->context();
  contextLimit = options.contextLimit == 0 ? context : options.contextLimit;
  if (contextLimit > context)
    return failure("%s: a context of %u tokens was asked for, the plan was compiled for %u",
                   file.path().c_str(), contextLimit, context);
  kt::Result<std::unique_ptr<cuda::PlanGpus>> opened = cuda::PlanGpus::open(file);
  if (!opened)
    return opened.error();
  gpus = std::move(*opened);
  std::string isa = options.isa;
  if (const char *fromEnvironment = getenv("KTRT_ISA"); isa.empty() && fromEnvironment)
    isa = fromEnvironment;
  kt::Result<KernelSet> loaded = KernelSet::load(file, isa, options.perfMap);
  if (!loaded)
    return loaded.error();
  kernels = std::move(*loaded);
  cpus = teamCpus(readTopology(), options.threads, memoryNodes());
  if (kt::Status status = loadMemory(); !status)
    return status;
  if (kt::Status status = startLanes(); !status)
    return status;
  indexEntries();
  return allocateLogits();
}

uint32_t Session::Impl::memoryNodes() const {
  const plan::WeightLayout *layout = file.plan().weight_layout();
  return layout ? layout->nodes() : 1;
}

// Where the weights of the host lie in files: everything, unless some of them go to a GPU.
std::vector<Prefetcher::Range> Session::Impl::hostWeights() const {
  std::vector<Prefetcher::Range> ranges;
  const plan::Plan &plan = file.plan();
  for (uint32_t i = 0; gpus && i < (plan.weights() ? plan.weights()->size() : 0); ++i) {
    const plan::Weight &weight = *plan.weights()->Get(i);
    if (plan.devices()->Get(weight.device())->kind() != plan::DeviceKind::Cpu)
      continue;
    if (weight.file() >= 0)
      ranges.push_back({&memory.weights.linkedFiles()[size_t(weight.file())], weight.offset(), weight.bytes()});
    else
      ranges.push_back({&file.mapping(), file.sections()[size_t(weight.section())].offset + weight.offset(),
                        weight.bytes()});
  }
  if (gpus)
    return ranges;
  for (const plan::PlanSection &section : file.sections())
    if (section.kind == plan::SectionKind::Weights)
      ranges.push_back({&file.mapping(), section.offset, section.bytes});
  for (const MappedFile &linked : memory.weights.linkedFiles())
    ranges.push_back({&linked, 0, linked.bytes()});
  return ranges;
}

kt::Status Session::Impl::loadMemory() {
  std::vector<const uint8_t *> bases;
  for (uint32_t i = 0; i < file.sections().size(); ++i)
    bases.push_back(file.section(i));
  kt::Result<WeightMap> weights = WeightMap::open(file.plan(), file.path(), bases);
  if (!weights)
    return weights.error();
  memory.weights = std::move(*weights);
  std::vector<Prefetcher::Range> ranges = hostWeights();
  if (options.populate)
    for (const Prefetcher::Range &range : ranges)
      range.file->prefetch(range.offset, range.bytes, true);
  if (kt::Status copied = memory.weights.copy(file.plan(), cpus); !copied)
    return failure("%s: %s", file.path().c_str(), copied.error().message.c_str());
  if (kt::Status status = loadArenas(); !status)
    return status;
  if (gpus)
    if (kt::Status status = gpus->uploadWeights(memory.weights, uint32_t(cpus.size())); !status)
      return status;
  if (!options.populate && memory.weights.copied().empty())
    prefetcher = Prefetcher::start(std::move(ranges));
  return {};
}

kt::Status Session::Impl::loadArenas() {
  for (uint32_t i = 0; i < (file.plan().arenas() ? file.plan().arenas()->size() : 0); ++i) {
    const plan::Arena &arena = *file.plan().arenas()->Get(i);
    kt::Result<uint8_t *> seen = gpus ? gpus->allocateArena(i) : kt::Result<uint8_t *>(nullptr);
    if (!seen)
      return seen.error();
    memory.arenas.push_back(*seen);
    if (*seen)
      continue;
    kt::Result<ArenaMemory> allocated = ArenaMemory::allocate(
        arena.bytes(), options.hugePages,
        formatText("%s: arenas[%u] ('%s')", file.path().c_str(), i, arena.name()->c_str()));
    if (!allocated)
      return allocated.error();
    memory.arenas.back() = allocated->data();
    memory.ordinary.push_back(std::move(*allocated));
  }
  return {};
}

kt::Status Session::Impl::startLanes() {
  const plan::Plan &plan = file.plan();
  uint32_t cpuLanes = 0, maxSignals = 0;
  for (const plan::Lane *lane : *plan.lanes())
    cpuLanes += lane->kind() == plan::LaneKind::CpuTeam;
  for (const plan::Entry *entry : *plan.entries())
    maxSignals = std::max(maxSignals, entry->signals());
  if (gpus) {
    kt::Result<cuda::GpuMemory> words = cuda::GpuMemory::onHost(
        gpus->anyGpu(), SignalTable::sharedBytes(maxSignals), file.path() + ": signals");
    if (!words)
      return words.error();
    signalMemory = std::move(*words);
    signals = std::make_unique<SignalTable>(maxSignals, signalMemory.data());
  } else {
    signals = std::make_unique<SignalTable>(maxSignals);
  }
  uint32_t started = 0;
  for (uint32_t i = 0; i < plan.lanes()->size(); ++i)
    if (kt::Status status = plan.lanes()->Get(i)->kind() == plan::LaneKind::CpuTeam
                                ? startCpuLane(i, started++, cpuLanes)
                                : startGpuLane(i);
        !status)
      return status;
  return {};
}

// Starts the team of a CPU lane, number `index` of `count`. Several share the CPUs: each gets its part of them.
kt::Status Session::Impl::startCpuLane(uint32_t laneIndex, uint32_t index, uint32_t count) {
  if (callerLane < 0)
    callerLane = laneIndex;
  Team::Options team;
  size_t begin = cpus.size() * index / count, end = std::max(begin + 1, cpus.size() * (index + 1) / count);
  team.nodes = count == 1 ? memoryNodes() : 1;
  team.cpus.assign(cpus.begin() + ptrdiff_t(begin), cpus.begin() + ptrdiff_t(end));
  team.pin = options.pinThreads;
  team.pinCaller = options.pinCaller;
  team.callerWorks = int64_t(laneIndex) == callerLane;
  team.spinMicros = options.spinMicros;
  if (team.spinMicros == ~0u && (count > cpus.size() || cpusAreShared(cpus)))
    team.spinMicros = 0; // also where only different lanes share a CPU
  kt::Result<std::unique_ptr<CpuLane>> lane =
      CpuLane::create(file.plan(), laneIndex, team, options.signalTimeoutMillis, kernels, memory, *signals);
  if (!lane)
    return lane.error();
  lanes.push_back(std::move(*lane));
  return {};
}

kt::Status Session::Impl::startGpuLane(uint32_t laneIndex) {
  CudaLane::Options lane;
  lane.spin = options.spinMicros != 0 && !cpusAreShared(cpus);
  lane.signalTimeoutMillis = options.signalTimeoutMillis;
  kt::Result<std::unique_ptr<CudaLane>> created =
      CudaLane::create(file, laneIndex, *gpus, memory.weights, *signals, lane);
  if (!created)
    return created.error();
  signals->addWatch([lane = created->get()](uint32_t replay) { lane->watch(replay); });
  lanes.push_back(std::move(*created));
  return {};
}

Session::Impl::EntryInfo Session::Impl::describe(const plan::Entry &entry) const {
  EntryInfo info{};
  info.capacity = entry.capacity();
  info.dynamic = entry.dynamic();
  info.tokens = static_cast<int32_t *>(memory.resolve(entry.tokens()));
  info.positions = static_cast<int32_t *>(memory.resolve(entry.positions()));
  info.logits = static_cast<float *>(memory.resolve(entry.logits()));
  if (info.logits) {
    const uint32_t device = file.plan().arenas()->Get(entry.logits()->index())->device();
    if (file.plan().devices()->Get(device)->kind() == plan::DeviceKind::Cuda)
      info.logitGpu = &gpus->gpu(device);
  }
  info.bestIds = static_cast<const int32_t *>(memory.resolve(entry.best_ids()));
  info.bestLogits = static_cast<const float *>(memory.resolve(entry.best_logits()));
  info.bestSums = static_cast<const float *>(memory.resolve(entry.best_sums()));
  info.bestCount = entry.best_count();
  return info;
}

// Room on the host for the logits of an entry that leaves them on a GPU.
kt::Status Session::Impl::allocateLogits() {
  uint64_t bytes = 0;
  for (const EntryInfo &entry : entries)
    if (entry.logitGpu)
      bytes = std::max(bytes, uint64_t(entry.capacity) * vocab() * sizeof(float));
  if (bytes == 0)
    return {};
  kt::Result<cuda::GpuMemory> rows = cuda::GpuMemory::onHost(gpus->anyGpu(), bytes, file.path() + ": logits");
  if (!rows)
    return rows.error();
  hostRows = std::move(*rows);
  return {};
}

void Session::Impl::indexEntries() {
  const plan::Plan &plan = file.plan();
  std::vector<std::pair<uint32_t, uint32_t>> decode; // (size, entry)
  for (uint32_t i = 0; i < plan.entries()->size(); ++i) {
    const plan::Entry &entry = *plan.entries()->Get(i);
    EntryInfo info = describe(entry);
    std::string_view name = entry.name()->string_view();
    if (name == "prefill") {
      prefill = i;
    } else if (name == "head") {
      head = i;
      info.head = true;
    } else {
      decode.push_back({entry.capacity(), i});
    }
    for (bool caller : {false, true})
      for (const plan::LaneProgram *program : *entry.programs())
        if ((program->lane() == callerLane) == caller && program->commands() &&
            program->commands()->size() != 0)
          info.lanes.push_back(program->lane());
    entries.push_back(std::move(info));
  }
  std::sort(decode.begin(), decode.end());
  for (auto [size, entry] : decode) {
    decodeSizes.push_back(size);
    decodeEntries.push_back(entry);
  }
}

// The steps of the parts of a replay: the first ones are full, and those that nothing is left for have no
// tokens.
static void splitStep(const KtStep &whole, uint32_t partCapacity, uint32_t replay, std::span<KtStep> parts) {
  KtStep rest = whole;
  rest.replay = replay;
  for (KtStep &part : parts) {
    part = rest;
    part.nTokens = std::min(rest.nTokens, partCapacity);
    rest.nTokens -= part.nTokens;
    rest.nPast += part.nTokens;
  }
}

// Replays one entry on all its lanes. The caller's lane is last: it works while the others run.
kt::Status Session::Impl::replay(uint32_t index, const KtStep &step) {
  cancelled = options.cancel && options.cancel->load(std::memory_order_relaxed);
  if (cancelled)
    return failure("cancelled");
  uint64_t start = nowNanos();
  uint32_t number = uint32_t(++replays);
  if (number == 0) // 0 is what signals hold before they are raised for the first time
    number = uint32_t(++replays);
  const EntryInfo &entry = entries[index];
  lastEntry = index;
  const plan::Entry &planned = *file.plan().entries()->Get(index);
  KtStep steps[KT_MAX_PARTS];
  splitStep(step, entry.capacity / planned.parts(), number, {steps, planned.parts()});
  hasLogits = false;
  signals->beginReplay();
  for (uint32_t lane : entry.lanes)
    lanes[lane]->begin(index, {steps, planned.parts()}, number);
  kt::Status result;
  for (size_t i = entry.lanes.size(); i-- > 0;) // the caller's lane first: others may wait for it
    if (kt::Status status = lanes[entry.lanes[i]]->finish();
        !status && (result || signals->givenUpBy(number) == int64_t(entry.lanes[i])))
      result =
          failure("entry '%s', lane '%s': %s", planned.name()->c_str(),
                  file.plan().lanes()->Get(entry.lanes[i])->name()->c_str(), status.error().message.c_str());
  lastNanos = nowNanos() - start;
  return result;
}

kt::Status Session::run(uint32_t entry, uint32_t nTokens, uint32_t nPast, uint32_t rowOffset) {
  if (entry >= impl->entries.size())
    return failure("entry %u of %zu does not exist", entry, impl->entries.size());
  const Impl::EntryInfo &info = impl->entries[entry];
  uint32_t least = info.dynamic ? 1 : info.capacity;
  if (nTokens < least || nTokens > info.capacity)
    return failure("entry '%s' takes %u to %u tokens, not %u", plan().entries()->Get(entry)->name()->c_str(),
                   least, info.capacity, nTokens);
  uint32_t rows = impl->entries[impl->prefill].capacity;
  if (info.head && (rowOffset > rows || nTokens > rows - rowOffset))
    return failure("head: rows %u + %u are outside the %u hidden states", rowOffset, nTokens, rows);
  if (!info.head && (nPast > impl->contextLimit || nTokens > impl->contextLimit - nPast))
    return failure("the context is full: %u tokens after %u exceed the limit of %u", nTokens, nPast,
                   impl->contextLimit);
  return impl->replay(entry, KtStep{nTokens, nPast, rowOffset, 0});
}

const plan::PlanFile &Session::planFile() const { return impl->file; }
const plan::Plan &Session::plan() const { return impl->file.plan(); }
const plan::Model &Session::model() const { return *impl->file.plan().model(); }
uint32_t Session::vocab() const { return impl->vocab(); }
uint32_t Session::contextLimit() const { return impl->contextLimit; }
std::string_view Session::isa() const { return isaName(impl->kernels.isa()); }
bool Session::cancelled() const { return impl->cancelled; }
uint64_t Session::lastReplayNanos() const { return impl->lastNanos; }
uint64_t Session::replayCount() const { return impl->replays; }
const std::vector<uint32_t> &Session::decodeSizes() const { return impl->decodeSizes; }
uint32_t Session::prefillCapacity() const { return impl->entries[impl->prefill].capacity; }
int32_t *Session::tokensOf(uint32_t entry) { return impl->entries[entry].tokens; }
int32_t *Session::positionsOf(uint32_t entry) { return impl->entries[entry].positions; }
float *Session::logitsOf(uint32_t entry) {
  return impl->entries[entry].logitGpu ? nullptr : impl->entries[entry].logits;
}

const std::vector<uint32_t> &Session::cpus() const { return impl->cpus; }

uint32_t Session::threads() const {
  uint32_t total = 0;
  for (const auto &lane : impl->lanes)
    total += lane->threads();
  return total;
}

int Session::findEntry(std::string_view name) const {
  for (uint32_t i = 0; i < plan().entries()->size(); ++i)
    if (plan().entries()->Get(i)->name()->string_view() == name)
      return int(i);
  return -1;
}

uint64_t Session::bytesPerToken(uint32_t nPast) const {
  return model().weight_bytes_per_token() + model().kv_bytes_per_token() * (uint64_t(nPast) + 1);
}

kt::Result<double> Session::measureGpuBandwidth(uint32_t device) {
  return cuda::measureBandwidth(impl->gpus->gpu(device));
}

void Session::setProfiling(bool on) {
  for (auto &lane : impl->lanes)
    lane->setProfiling(on);
}

Timeline Session::timeline() const { return readTimeline(plan(), impl->lastEntry, impl->lanes); }

std::vector<CommandProfile> Session::profile() const {
  std::vector<CommandProfile> profiles;
  for (uint32_t e = 0; e < plan().entries()->size(); ++e)
    for (const plan::LaneProgram *program : *plan().entries()->Get(e)->programs()) {
      const std::vector<CommandTime> &times = impl->lanes[program->lane()]->times(e);
      for (uint32_t c = 0; c < times.size(); ++c) {
        if (times[c].replays == 0)
          continue;
        const plan::CommandText text = plan::describeCommand(plan(), *program->commands()->Get(c));
        profiles.push_back({e, program->lane(), c, text.kind, text.family, text.kernel, text.path,
                            times[c].replays, times[c].nanos, text.bytesRead, times[c].chosen, times[c].guessed,
                            times[c].ahead, times[c].busyNanos});
      }
    }
  return profiles;
}

} // namespace ktrt
