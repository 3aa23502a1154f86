// See assumed_rates.h.
//
// All numbers were measured on 4th-generation Xeon machines (docs/performance.md), with all threads running,
// and are rounded towards the slower of two machines. They are per hardware thread, since those are what
// virtual machines give.
#include "compiler/cost/assumed_rates.h"

#include "runtime/abi/kt_types.h"

#include <algorithm>
#include <map>

namespace ktc {

namespace {

constexpr double kClock = 2.8e9;
// Matrix kernels wait for each other and start anew at every dispatch; a loop that only reads does not.
constexpr double kStreamShare = 0.95;

struct PerCycle {
  double tileWeights, tileProducts; // see policy::FormatRates
  double panelWeights, panelProducts;
};

// Of quantised formats; levels without panels do by tiles what others do by panels.
PerCycle quantisedPerCycle(x64::Isa isa) {
  switch (isa) {
  case x64::Isa::Amx:
    return {12, 25, 4, 100};
  case x64::Isa::Avx512:
    return {12, 25, 4, 51};
  case x64::Isa::Avx2Vnni:
    return {8, 12, 8, 12};
  case x64::Isa::Avx2:
    return {7, 9, 7, 9};
  }
  return {};
}

// Of formats that are multiplied as float32, with Amx many tokens as sums of bfloat16 parts.
PerCycle floatPerCycle(x64::Isa isa) {
  if (isa == x64::Isa::Amx)
    return {12, 12, 2, 60};
  return isa >= x64::Isa::Avx512 ? PerCycle{12, 12, 12, 12} : PerCycle{8, 7, 8, 7};
}

// Products of attention per second. Heads of 128 have 256 of them for a pair of a query row and a position,
// which takes 1.0-1.8 ns (AMX, cache of bfloat16), 3.6 ns (AVX-512) or 8 ns (AVX2), and 7-10 ns in decode.
double attentionRate(x64::Isa isa, const DispatchShape &dispatch) {
  const bool many = intParam(dispatch.params, "dynamic", 0) != 0;
  if (many && isa == x64::Isa::Amx && stringParam(dispatch.params, "kv_type", "f16") == "bf16")
    return dispatch.family == "attention_gqa" ? 200e9 : 130e9;
  if (isa >= x64::Isa::Avx512)
    return many ? 71e9 : 36e9;
  return many ? 32e9 : 25e9;
}

} // namespace

double assumedBandwidth(int cores, int numaNodes) {
  const double first = std::min(cores, 8), others = std::max(cores - 8, 0);
  return std::min(10e9 * first + 4e9 * others, 200e9 * std::max(numaNodes, 1));
}

policy::FormatRates assumedFormatRates(x64::Isa isa, const std::string &format, int cores, double bandwidth) {
  const KtTypeInfo *info = ktTypeInfoNamed(format.data(), format.size());
  const PerCycle rates =
      info && ktTypeTakesF32Activations(info->id) ? floatPerCycle(isa) : quantisedPerCycle(isa);
  const double cycles = kClock * std::max(cores, 1);
  return {bandwidth * kStreamShare, rates.tileWeights * cycles, rates.tileProducts * cycles,
          rates.panelWeights * cycles, rates.panelProducts * cycles};
}

double assumedItemRate(x64::Isa isa, const DispatchShape &dispatch) {
  if (dispatch.family == "attention_gqa" || dispatch.family == "attention_mla")
    return attentionRate(isa, dispatch);
  static const std::map<std::string, double> rates = {
      {"quantize", 2.5e9}, {"pack", 8e9},          {"rope", 12e9},         {"kv_store", 18e9},
      {"add", 11e9},       {"router_topk", 1.9e9}, {"expert_group", 0.8e9}};
  auto found = rates.find(dispatch.family);
  return found != rates.end() ? found->second : 1.9e9; // what a norm does
}

} // namespace ktc
