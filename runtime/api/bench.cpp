// Speed of one model on this machine, next to the roof that memory bandwidth puts over decoding.
//
// Random tokens with a fixed seed are as good as text (the work does not depend on the values, except for which
// experts are chosen) and need no vocabulary. Everything is measured through the same calls that generation
// uses.
#include "runtime/api/bandwidth.h"
#include "runtime/api/model.h"
#include "runtime/api/prediction.h"
#include "runtime/api/statistics.h"
#include "runtime/plan/message.h"
#include "runtime/text/sampler.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

namespace ktrt::api {
namespace {

constexpr uint64_t kBandwidthBuffer = uint64_t(1) << 30; // far larger than the caches of small machines …
constexpr uint64_t kBandwidthSlice = 64 << 20;           // … and, per thread, of large ones
constexpr uint32_t kBandwidthPasses = 3;

class Bench {
public:
  Bench(KtrtModel &model, const KtrtBenchOptions &options)
      : model(model), options(options), random(options.seed) {
    if (!this->options.batch)
      this->options.batch = 1;
    if (!this->options.repetitions)
      this->options.repetitions = 3;
  }

  KtrtStatus run(KtrtBenchResult &result);

private:
  KtrtStatus check() const;
  KtrtStatus createMeter();
  void measureBandwidth() { bandwidths.push_back(meter->measure(kBandwidthPasses)); }
  KtrtStatus fillCache();
  KtrtStatus repeat(uint32_t tokens, uint32_t step, bool besideReads, std::vector<double> &rates);
  KtrtStatus evaluateSteps(uint32_t tokens, uint32_t step);
  double bytesPerToken() const;
  double bytesPerToken(uint32_t device) const;
  void addBandwidth(KtrtBenchResult &result) const;
  KtrtStatus addDevices(KtrtBenchResult &result);
  void addShares(const std::vector<double> &decodeRates, KtrtBenchResult &result) const;
  void addPredictions(KtrtBenchResult &result) const;
  void progress();

  std::vector<int32_t> randomTokens(uint32_t count) {
    std::vector<int32_t> tokens(count);
    for (int32_t &token : tokens)
      token = static_cast<int32_t>(random.next() % model.session->vocab());
    return tokens;
  }

  KtrtModel &model;
  KtrtBenchOptions options;
  RandomGenerator random;
  std::optional<ReadMeter> meter;
  double cpuBytesPerToken = 0, gpuSecondsPerToken = 0;
  std::vector<double> bandwidths; // bytes per second; with decoding: before each repetition and after the last
  size_t done = 0;                // measurements
};

void Bench::progress() {
  size_t kinds = (options.promptTokens != 0) + (options.decodeTokens != 0);
  if (options.onProgress)
    options.onProgress(options.user, ++done, 1 + kinds * options.repetitions);
}

KtrtStatus Bench::check() const {
  if (!options.promptTokens && !options.decodeTokens)
    return fail(KTRT_INVALID_ARGUMENT,
                "there is nothing to measure: both the prompt and the decode length are 0");
  uint64_t needed = uint64_t(options.depth) + std::max(options.promptTokens, options.decodeTokens);
  if (needed > model.session->contextLimit())
    return fail(
        KTRT_CONTEXT_FULL,
        formatText("depth and tokens make %llu positions, the context of this plan holds %u (see ktc compile "
                   "--ctx)",
                   static_cast<unsigned long long>(needed), model.session->contextLimit()));
  return KTRT_OK;
}

KtrtStatus Bench::createMeter() {
  uint32_t threads = model.session->threads();
  auto result = ReadMeter::create(model.session->cpus(), std::max(kBandwidthBuffer, kBandwidthSlice * threads));
  if (!result)
    return fail(KTRT_ERROR, result.error().message);
  meter = std::move(*result);
  if (!options.decodeTokens)
    measureBandwidth();
  progress();
  return KTRT_OK;
}

// Leaves exactly `depth` tokens in the cache; cheap if they are still there.
KtrtStatus Bench::fillCache() {
  if (model.cached.size() >= options.depth) {
    model.cached.resize(options.depth);
    model.session->kvTruncate(options.depth);
    return KTRT_OK;
  }
  return advance(model, randomTokens(options.depth), 0);
}

KtrtStatus Bench::evaluateSteps(uint32_t tokens, uint32_t step) {
  std::vector<int32_t> ids = randomTokens(tokens);
  for (uint32_t at = 0; at < tokens; at += step) {
    std::span<const int32_t> part(ids.data() + at, std::min(step, tokens - at));
    if (KtrtStatus status = advance(model, part, options.depth + at); status != KTRT_OK)
      return status;
  }
  return KTRT_OK;
}

// One unmeasured run, which touches all memory and wakes the threads, and then the measured ones. After each
// the read bandwidth is measured, if that is asked for.
KtrtStatus Bench::repeat(uint32_t tokens, uint32_t step, bool besideReads, std::vector<double> &rates) {
  for (uint32_t i = 0; tokens && i <= options.repetitions; ++i) {
    if (KtrtStatus status = fillCache(); status != KTRT_OK)
      return status;
    auto start = std::chrono::steady_clock::now();
    if (KtrtStatus status = evaluateSteps(tokens, step); status != KTRT_OK)
      return status;
    const double rate = tokens / secondsSince(start);
    if (besideReads)
      measureBandwidth();
    if (i == 0)
      continue;
    rates.push_back(rate);
    progress();
  }
  return KTRT_OK;
}

// Weight bytes one decode step of `tokens` tokens reads, as the compiler counted them, on one device or (-1) on
// all; 0 if it has no entry.
uint64_t weightBytesOfStep(const Session &session, uint32_t tokens, int64_t device) {
  int entry = session.findEntry("decode_" + std::to_string(tokens));
  if (entry < 0)
    return 0;
  uint64_t bytes = 0;
  for (const plan::LaneProgram *program : *session.plan().entries()->Get(entry)->programs()) {
    if (device >= 0 && session.plan().lanes()->Get(program->lane())->device() != device)
      continue;
    for (const plan::Command *command : *program->commands())
      if (const plan::Dispatch *dispatch = command->body_as_Dispatch())
        bytes += dispatch->bytes_read();
  }
  return bytes;
}

// Bytes of a KV cache of `device` per position.
double cacheBytesPerPosition(const plan::Plan &plan, uint32_t device) {
  double bytes = 0;
  for (const plan::Arena *arena : *plan.arenas())
    if (arena->kind() == plan::ArenaKind::KvCache && arena->device() == device)
      bytes += static_cast<double>(arena->bytes());
  return bytes / plan.model()->context();
}

// Mean over the positions that the decode measurement visits. The KV part grows linearly, so its mean is its
// value in the middle.
double Bench::bytesPerToken() const {
  uint32_t middle = options.depth + options.decodeTokens / 2;
  double single = static_cast<double>(model.session->bytesPerToken(middle));
  uint64_t step = options.batch > 1 ? weightBytesOfStep(*model.session, options.batch, -1) : 0;
  if (!step)
    return single;
  // All tokens of a step share one pass over weights and cache.
  double cache = static_cast<double>(model.session->model().kv_bytes_per_token()) * (middle + 1);
  return (static_cast<double>(step) + cache) / options.batch;
}

// The part of it that `device` reads.
double Bench::bytesPerToken(uint32_t device) const {
  const uint32_t middle = options.depth + options.decodeTokens / 2;
  uint32_t batch = options.batch;
  uint64_t step = weightBytesOfStep(*model.session, batch, device);
  if (batch > 1 && weightBytesOfStep(*model.session, batch, -1) == 0)
    step = weightBytesOfStep(*model.session, batch = 1, device);
  return (static_cast<double>(step) + cacheBytesPerPosition(model.session->plan(), device) * (middle + 1)) /
         batch;
}

void Bench::addBandwidth(KtrtBenchResult &result) const {
  const auto [least, most] = std::minmax_element(bandwidths.begin(), bandwidths.end());
  result.leastReadBandwidth = *least;
  result.mostReadBandwidth = *most;
  result.readBandwidth = std::accumulate(bandwidths.begin(), bandwidths.end(), 0.0) / bandwidths.size();
}

// Each repetition is compared with what the memory gave right before and after it. A GPU's memory is its own
// and keeps its speed.
void Bench::addShares(const std::vector<double> &decodeRates, KtrtBenchResult &result) const {
  std::vector<double> shares;
  for (size_t i = 0; i < decodeRates.size(); ++i) {
    const double read = (bandwidths[i] + bandwidths[i + 1]) / 2;
    shares.push_back(decodeRates[i] * std::max(cpuBytesPerToken / read, gpuSecondsPerToken));
  }
  result.shares = summarize(std::move(shares));
  result.shareOfBound = result.shares.median;
}

// What each device reads and how fast it can, and the bound: the devices read at the same time, so the slowest
// alone. What no GPU reads comes from the memory of the CPU.
KtrtStatus Bench::addDevices(KtrtBenchResult &result) {
  const auto &devices = *model.session->plan().devices();
  model.deviceReads.clear();
  gpuSecondsPerToken = 0;
  double rest = result.bytesPerToken;
  for (uint32_t i = 0; i < devices.size(); ++i) {
    KtrtDeviceRead device{devices.Get(i)->name()->c_str(), 0, result.readBandwidth};
    if (devices.Get(i)->kind() == plan::DeviceKind::Cuda && (device.bytesPerToken = bytesPerToken(i)) > 0) {
      kt::Result<double> measured = model.session->measureGpuBandwidth(i);
      if (!measured)
        return fail(KTRT_ERROR, measured.error().message);
      device.readBandwidth = *measured;
      gpuSecondsPerToken = std::max(gpuSecondsPerToken, device.bytesPerToken / device.readBandwidth);
      rest -= device.bytesPerToken;
    }
    model.deviceReads.push_back(device);
  }
  cpuBytesPerToken = std::max(0.0, rest);
  for (uint32_t i = 0; i < devices.size(); ++i)
    if (devices.Get(i)->kind() == plan::DeviceKind::Cpu)
      model.deviceReads[i].bytesPerToken = std::max(0.0, std::exchange(rest, 0.0));
  std::erase_if(model.deviceReads, [&](const KtrtDeviceRead &device) {
    return device.bytesPerToken <= 1e-3 * result.bytesPerToken; // rounding, or a row of an embedding
  });
  for (const KtrtDeviceRead &device : model.deviceReads) {
    const double rate = device.readBandwidth / device.bytesPerToken;
    if (result.boundTokensPerSecond == 0 || rate < result.boundTokensPerSecond)
      result.boundTokensPerSecond = rate;
  }
  result.devices = model.deviceReads.data();
  result.deviceCount = model.deviceReads.size();
  return KTRT_OK;
}

KtrtStatus Bench::run(KtrtBenchResult &result) {
  if (KtrtStatus status = check(); status != KTRT_OK)
    return status;
  // An earlier conversation's cache must not stand in for the seeded tokens.
  model.cached.clear();
  model.session->kvTruncate(0);
  if (KtrtStatus status = createMeter(); status != KTRT_OK)
    return status;
  std::vector<double> prefillRates, decodeRates;
  if (KtrtStatus status = repeat(options.promptTokens, options.promptTokens, false, prefillRates);
      status != KTRT_OK)
    return status;
  if (KtrtStatus status = repeat(options.decodeTokens, options.batch, true, decodeRates); status != KTRT_OK)
    return status;
  addBandwidth(result);
  result.bytesPerToken = bytesPerToken();
  if (KtrtStatus status = addDevices(result); status != KTRT_OK)
    return status;
  addShares(decodeRates, result);
  result.prefill = summarize(std::move(prefillRates));
  result.decode = summarize(std::move(decodeRates));
  addPredictions(result);
  return KTRT_OK;
}

// For the depth, batch and prompt of this measurement, from the middle of what it visits.
void Bench::addPredictions(KtrtBenchResult &result) const {
  const plan::Plan &plan = model.session->plan();
  const double past = options.depth + options.decodeTokens / 2.0;
  const double step = predictedDecode(plan, options.batch, past),
               here = predictedDecode(plan, options.batch, past, result.readBandwidth);
  if (options.decodeTokens && step > 0 && here > 0) {
    result.predictedDecodeTokensPerSecond = options.batch / step;
    result.predictedDecodeHere = options.batch / here;
  }
  double prompt = predictedPrompt(plan, options.promptTokens, model.session->prefillCapacity(), options.depth);
  if (options.promptTokens && prompt > 0)
    result.predictedPrefillTokensPerSecond = options.promptTokens / prompt;
}

void reportProfile(const KtrtModel &model, KtrtProfileFn onRow, void *user) {
  std::map<std::pair<uint32_t, std::string>, KtrtProfileRow> sums;
  for (const CommandProfile &command : model.session->profile()) {
    KtrtProfileRow &row =
        sums[{command.entry, std::string(command.family.empty() ? command.kind : command.family)}];
    row.commands += command.replays;
    row.seconds += static_cast<double>(command.nanos) * 1e-9;
    row.bytesRead += command.bytesRead * command.replays;
    row.expertsChosen += command.chosen;
    row.expertsGuessed += command.guessed;
    row.hintedBytes += command.ahead;
    row.busySeconds += static_cast<double>(command.busyNanos) * 1e-9;
  }
  std::vector<std::pair<uint32_t, KtrtProfileRow>> rows;
  for (auto &[key, row] : sums) {
    row.size = sizeof(row);
    row.entry = model.session->plan().entries()->Get(key.first)->name()->c_str();
    row.family = key.second.c_str();
    rows.emplace_back(key.first, row);
  }
  std::stable_sort(rows.begin(), rows.end(), [](const auto &a, const auto &b) {
    return a.first != b.first ? a.first < b.first : a.second.seconds > b.second.seconds;
  });
  for (const auto &[entry, row] : rows)
    onRow(user, &row);
}

} // namespace
} // namespace ktrt::api

using namespace ktrt::api;

KtrtStatus ktrtBench(KtrtModel *model, const KtrtBenchOptions *options, KtrtBenchResult *result) {
  return guard([&] {
    if (!model || !options || !validStruct(options) || !result || !validStruct(result))
      return fail(KTRT_INVALID_ARGUMENT, "ktrtBench: a required argument is missing");
    KtrtBenchResult value{};
    KtrtStatus status = Bench(*model, readStruct(options)).run(value);
    if (status == KTRT_OK)
      writeStruct(result, value);
    return status;
  });
}

KtrtStatus ktrtSetProfiling(KtrtModel *model, int on) {
  return guard([&] {
    if (!model)
      return fail(KTRT_INVALID_ARGUMENT, "ktrtSetProfiling: a required argument is missing");
    model->session->setProfiling(on != 0);
    return KTRT_OK;
  });
}

KtrtStatus ktrtProfile(const KtrtModel *model, KtrtProfileFn onRow, void *user) {
  return guard([&] {
    if (!model || !onRow)
      return fail(KTRT_INVALID_ARGUMENT, "ktrtProfile: a required argument is missing");
    reportProfile(*model, onRow, user);
    return KTRT_OK;
  });
}
