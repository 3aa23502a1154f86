// See dispatch_cost.h.
//
// With few tokens a matrix or expert goes by tiles and takes the longer of reading its weights and computing.
// With many it goes by panels, which are made first (reading or decoding, whichever takes longer) and then
// multiplied. How many tokens an expert gets is taken from the distribution of even choices, because the cost
// is not linear in it.
#include "compiler/cost/dispatch_cost.h"

#include "compiler/cost/assumed_rates.h"

#include <algorithm>
#include <cmath>

namespace ktc {

using policy::FormatRates;

namespace {

constexpr int64_t kTileTokens = 8, kPanelTokens = 16; // templates/x64/README.md

int64_t roundUp(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// Work is cut into units: how much longer the busiest thread works than all would on average.
double imbalance(int64_t units, int64_t threads) {
  return units <= 0 ? 1 : static_cast<double>(roundUp(units, threads)) / static_cast<double>(units);
}

} // namespace

CpuRates::CpuRates(const policy::CpuMachine &cpu, x64::Isa isa)
    : cpu(cpu), isa(isa), bandwidth(cpu.readBandwidth) {
  if (bandwidth <= 0) {
    bandwidth = assumedBandwidth(cpu.cores, cpu.numaNodes);
    assume("the read bandwidth of the cpu is not given; " + std::to_string(std::lround(bandwidth / 1e9)) +
           " GB/s assumed");
  }
  weightBandwidth = bandwidth;
  if (!cpu.bandwidth.empty()) {
    const policy::BandwidthPoint &all = cpu.bandwidth.back();
    if (double read = cpu.weightPages == "huge" ? all.huge : all.file; read > 0)
      weightBandwidth = read;
  }
}

void CpuRates::assume(const std::string &what) {
  if (std::find(assumed.begin(), assumed.end(), what) == assumed.end())
    assumed.push_back(what);
}

const FormatRates &CpuRates::ratesOf(const std::string &format) {
  auto [it, isNew] = formats.try_emplace(format);
  FormatRates &rates = it->second;
  if (!isNew)
    return rates;
  const std::string level(x64::isaName(isa));
  if (auto known = cpu.formats.find(level); known != cpu.formats.end())
    if (auto found = known->second.find(format); found != known->second.end())
      rates = found->second;
  if (rates.stream > 0 && rates.tileWeights > 0 && rates.tileProducts > 0 && rates.panelWeights > 0 &&
      rates.panelProducts > 0)
    return rates;
  auto complete = [](double &rate, double value) { rate = rate > 0 ? rate : value; };
  const FormatRates assumed = assumedFormatRates(isa, format, cpu.cores, bandwidth);
  complete(rates.stream, assumed.stream);
  complete(rates.tileWeights, assumed.tileWeights);
  complete(rates.tileProducts, assumed.tileProducts);
  complete(rates.panelWeights, assumed.panelWeights);
  complete(rates.panelProducts, assumed.panelProducts);
  assume("kernels were not measured for " + level +
         "; matrices at 95 % of the read bandwidth and at rates per core of a 4th-generation Xeon assumed");
  return rates;
}

double CpuRates::itemRate(const DispatchShape &dispatch) {
  const std::string &family = dispatch.family;
  if (intParam(dispatch.params, "dynamic", 0))
    if (auto found = cpu.coreRates.find(family + kPrefillSuffix);
        found != cpu.coreRates.end() && found->second > 0)
      return found->second;
  if (auto found = cpu.coreRates.find(family); found != cpu.coreRates.end() && found->second > 0)
    return found->second;
  // Families that ktc probe does not measure do about what a norm does.
  const bool attends = family == "attention_gqa" || family == "attention_mla";
  if (auto norm = cpu.coreRates.find("rms_norm"); !attends && norm != cpu.coreRates.end() && norm->second > 0)
    return norm->second;
  assume("the rates of attention and small kernels are not given; those of a 4th-generation Xeon assumed");
  return assumedItemRate(isa, dispatch);
}

Seconds CpuRates::rowsSeconds(const FormatRates &rates, const MatrixWork &matrix, int64_t rows, bool panels,
                              bool inCache) const {
  const double r = static_cast<double>(rows), weights = matrix.weights;
  auto longer = [](double read, double compute) {
    return read > compute ? Seconds{read, 0, 0} : Seconds{0, compute, 0};
  };
  if (!panels)
    // Threads are timed one by one, so together they may seem to read faster than memory gives.
    return longer(inCache ? 0 : matrix.bytes / std::min(rates.stream, weightBandwidth),
                  weights * std::ceil(r / kTileTokens) / rates.tileWeights + weights * r / rates.tileProducts);
  // Making a panel reads the weights; the products with it come after.
  Seconds seconds = longer(inCache ? 0 : matrix.bytes / weightBandwidth, weights / rates.panelWeights);
  seconds.computing += weights * static_cast<double>(roundUp(rows, kPanelTokens)) / rates.panelProducts;
  return seconds;
}

Seconds CpuRates::matrixSeconds(const MatrixWork &matrix, const DispatchShape &dispatch, int64_t tokens,
                                bool inCache) {
  const FormatRates &rates = ratesOf(matrix.format);
  bool dynamic = intParam(dispatch.params, "dynamic", 0) != 0 && intParam(dispatch.params, "batch", 1) == 1;
  int64_t crossover = dynamic && isa >= x64::Isa::Avx512 ? x64::panelCrossover(isa) : int64_t{1} << 40;
  Seconds sum;
  std::vector<double> distribution = rowDistribution(matrix.chosenShare, tokens);
  for (int64_t rows = 1; rows <= tokens; ++rows)
    if (distribution[rows] > 0) {
      const double experts = static_cast<double>(matrix.experts) * distribution[rows];
      Seconds part = rowsSeconds(rates, matrix, rows, rows >= crossover, inCache);
      sum.reading += experts * part.reading;
      sum.computing += experts * part.computing;
    }
  return sum;
}

Seconds CpuRates::seconds(const DispatchShape &dispatch, int64_t tokens, int64_t past, bool inCache) {
  const Work work = workOf(dispatch, tokens, past);
  const int64_t threads = std::max(1, cpu.cores), units = unitsOf(dispatch, tokens);
  if (!work.matrices.empty()) {
    Seconds sum;
    for (const MatrixWork &matrix : work.matrices) {
      Seconds part = matrixSeconds(matrix, dispatch, tokens, inCache);
      sum.reading += part.reading * imbalance(units, threads);
      sum.computing += part.computing * imbalance(units, threads);
    }
    sum.starting = dispatch.barrier ? std::max(cpu.dispatchLatency, cpu.barrierLatency) : 0;
    return sum;
  }
  // The busiest thread has this share of the items; with one unit it is all of them.
  double share =
      units > 0 ? static_cast<double>(roundUp(units, threads) / threads) / static_cast<double>(units) : 0;
  double compute = work.items * share / itemRate(dispatch);
  double reading = work.cacheBytes / bandwidth, starting = dispatch.barrier ? cpu.barrierLatency : 0;
  return reading > compute ? Seconds{reading, 0, starting} : Seconds{0, compute, starting};
}

} // namespace ktc
