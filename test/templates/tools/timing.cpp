// Timing of matrix kernels: see timing.h.
//
// gate_up and down run with lists of random choices, or dense, so that every thread reads its rows of one
// expert, as it does for each active expert of a model. There is no meeting of threads between the calls of a
// slice.
#include "test/templates/tools/timing.h"

#include "test/templates/tools/measure.h"
#include "test/templates/tools/team.h"
#include "test/templates/tools/timing_job.h"

#include <algorithm>
#include <cstdio>

namespace ktc::timing {

namespace {

// Of a slice, per thread, whichever is reached first: about 10 ms.
constexpr size_t sliceBytes = 96 << 20;
constexpr double sliceProducts = 2e9, sliceTiles = 5e5;
constexpr double secondsPerKernel = 0.8;

// Results of one kernel.
struct Result {
  double time = 0, bytes = 0;              // of a call, bytes per call
  double reference = 0;                    // streaming only: bytes (or products) per second
  double share = 0, quarter = 0, rest = 0; // of the reference: median and quartiles
};

// The value below which a `part` of the values lie.
double quantile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(part * static_cast<double>(values.size() - 1) + 0.5)];
}

void print(const Settings &settings, const Variant &variant, const Job &job, const Result &result) {
  const double frequency = coreFrequency();
  const double weights =
      result.bytes / static_cast<double>(job.copyBytes()) * static_cast<double>(job.copyWeights());
  const double cycles = result.time * frequency * static_cast<double>(settings.threads);
  std::printf("%s%s %s %s n %ld k %ld m %ld threads %ld: %.1f us, %.2f GB/s, %.2f weights/cycle, "
              "%.2f products/cycle at %.2f GHz",
              variant.label.c_str(), settings.family.c_str(), x64::isaName(settings.isa).data(),
              job.format.c_str(), static_cast<long>(job.n), static_cast<long>(job.k), static_cast<long>(job.m),
              static_cast<long>(settings.threads), result.time * 1e6, result.bytes * 1e-9 / result.time,
              weights / cycles, job.products() / cycles, frequency * 1e-9);
  if (result.reference > 0 && settings.besideTiles)
    std::printf(", registers %.2f products/cycle, share %.3f (%.3f to %.3f)",
                result.reference / frequency / static_cast<double>(settings.threads), result.share,
                result.quarter, result.rest);
  else if (result.reference > 0)
    std::printf(", read %.2f GB/s, share %.3f (%.3f to %.3f)", result.reference * 1e-9, result.share,
                result.quarter, result.rest);
  std::printf("\n");
  std::fflush(stdout);
}

// One matrix in the cache: the fastest of many rounds, each of enough calls that starting the threads does not
// count.
Result timeCached(const Settings &settings, const Job &job) {
  const int64_t calls = std::max<int64_t>(1, (int64_t(1) << 21) / (job.n * job.k * job.m));
  const std::vector<double> times = roundTimes(settings.threads, 3, 0.5, [&](int64_t thread, int64_t) {
    for (int64_t i = 0; i < calls; ++i)
      job.call(thread, 0);
  });
  return {*std::min_element(times.begin(), times.end()) / static_cast<double>(calls),
          static_cast<double>(job.bytes(0))};
}

// Slices of all kernels in turn, each between two slices of the reference.
std::vector<Result> timeStreams(const Settings &settings, const std::vector<Job> &jobs) {
  const double wanted = static_cast<double>(sliceBytes) * static_cast<double>(settings.threads);
  const int64_t kinds = static_cast<int64_t>(jobs.size());
  const double threads = static_cast<double>(settings.threads);
  auto perSlice = [&](double bytes, double products) {
    return std::max<int64_t>(
        1, static_cast<int64_t>(std::min(wanted / bytes, sliceProducts * threads / products)));
  };
  const int64_t reads = perSlice(static_cast<double>(jobs[0].copyBytes()), 1);
  std::vector<int64_t> calls;
  for (const Job &job : jobs)
    calls.push_back(perSlice(job.meanBytes(), job.products()));
  // Odd rounds are the reference, round 2 i runs kernel i % kinds for the (i / kinds)-th time; round 0 is not
  // reported.
  const double budget = secondsPerKernel * static_cast<double>(kinds);
  const std::vector<double> times =
      roundTimes(settings.threads, 6 * kinds + 2, budget, [&](int64_t thread, int64_t round) {
        if (round % 2 == 1 && settings.besideTiles) {
          multiplyTiles(static_cast<int64_t>(sliceTiles));
          return;
        }
        if (round % 2 == 1) {
          for (int64_t i = 0; i < reads; ++i)
            jobs[0].read(thread, round / 2 * reads + i);
          return;
        }
        const size_t kind = static_cast<size_t>(round / 2 % kinds);
        const int64_t turn = round / 2 / kinds;
        for (int64_t i = 0; i < calls[kind]; ++i)
          jobs[kind].call(thread, turn * calls[kind] + i);
      });
  auto reference = [&](size_t round) {
    return (settings.besideTiles ? sliceTiles * productsPerTile * threads
                                 : static_cast<double>(jobs[0].copyBytes()) * static_cast<double>(reads)) /
           times[round - 1];
  };
  std::vector<Result> results;
  for (size_t kind = 0; kind < jobs.size(); ++kind) {
    std::vector<double> rates, references, shares;
    for (size_t round = 2; round < times.size(); round += 2) {
      if (round / 2 % jobs.size() != kind)
        continue;
      const int64_t turn = static_cast<int64_t>(round / 2 / jobs.size());
      double bytes = 0;
      for (int64_t i = 0; i < calls[kind]; ++i)
        bytes += static_cast<double>(jobs[kind].bytes(turn * calls[kind] + i));
      rates.push_back(bytes / times[round - 1]);
      references.push_back((reference(round - 1) + reference(round + 1)) / 2);
      const double products = jobs[kind].products() * static_cast<double>(calls[kind]) / times[round - 1];
      shares.push_back((settings.besideTiles ? products : rates.back()) / references.back());
    }
    const double bytes = jobs[kind].meanBytes();
    results.push_back({bytes / quantile(rates, 0.5), bytes, quantile(references, 0.5), quantile(shares, 0.5),
                       quantile(shares, 0.25), quantile(shares, 0.75)});
  }
  return results;
}

int fail(const char *message) {
  std::fprintf(stderr, "kt-kernel: %s\n", message);
  return 1;
}

} // namespace

int run(const Settings &settings, const std::vector<Variant> &variants) {
  if (settings.isa == x64::Isa::Amx && !requestTiles())
    return fail("this machine has no AMX");
  OperandMemory memory(settings.hugePages);
  std::vector<Job> jobs;
  for (const Variant &variant : variants) {
    jobs.emplace_back(settings.family, variant.params, settings.streamBytes);
    if (jobs.back().problem())
      return fail(jobs.back().problem());
    jobs.back().needOperands(memory);
  }
  if (!memory.allocate())
    return fail("out of memory");
  for (size_t i = 0; i < jobs.size(); ++i)
    if (const char *problem = jobs[i].prepare(variants[i].kernel, settings.isa, settings.threads, memory))
      return fail(problem);
  std::vector<Result> results;
  if (settings.streamBytes > 0)
    results = timeStreams(settings, jobs);
  else
    for (const Job &job : jobs)
      results.push_back(timeCached(settings, job));
  for (size_t i = 0; i < jobs.size(); ++i)
    print(settings, variants[i], jobs[i], results[i]);
  return 0;
}

} // namespace ktc::timing
