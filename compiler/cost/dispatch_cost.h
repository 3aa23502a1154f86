// Seconds of one dispatch on a described CPU.
#pragma once

#include "compiler/cost/work.h"
#include "compiler/policy/machine.h"
#include "templates/x64/x64.h"

#include <string>
#include <vector>

namespace ktc {

// What a dispatch waits for. The larger of reading and computing counts, the other one is 0.
struct Seconds {
  double reading = 0, computing = 0;
  double starting = 0; // barriers, and filling the memory pipeline again after one

  double total() const { return reading + computing + starting; }
  Seconds &operator+=(const Seconds &other) {
    reading += other.reading;
    computing += other.computing;
    starting += other.starting;
    return *this;
  }
};

// Rates of one machine at one ISA level, completed by assumptions where the description has none.
class CpuRates {
public:
  CpuRates(const policy::CpuMachine &cpu, x64::Isa isa);

  double readBandwidth() const { return bandwidth; } // bytes/s, all threads

  // Weights of a step that fit here are read from memory once and then from the cache.
  bool staysInCache(double bytes) const { return bytes <= static_cast<double>(cpu.cacheBytes) / 2; }

  // Seconds of `dispatch` for `tokens` tokens after `past` others. `inCache`: its weights are not read from
  // memory.
  Seconds seconds(const DispatchShape &dispatch, int64_t tokens, int64_t past, bool inCache);

  // Seconds of moving `bytes` bytes, after a barrier or not.
  Seconds copySeconds(double bytes, bool barrier) const {
    return {bytes / bandwidth, 0, barrier ? cpu.barrierLatency : 0};
  }

  // Sentences: what was assumed by the calls so far.
  const std::vector<std::string> &assumptions() const { return assumed; }

private:
  Seconds matrixSeconds(const MatrixWork &matrix, const DispatchShape &dispatch, int64_t tokens, bool inCache);
  // One expert with `rows` tokens.
  Seconds rowsSeconds(const policy::FormatRates &rates, const MatrixWork &matrix, int64_t rows, bool panels,
                      bool inCache) const;
  const policy::FormatRates &ratesOf(const std::string &format);
  double itemRate(const DispatchShape &dispatch);
  void assume(const std::string &what);

  const policy::CpuMachine &cpu;
  const x64::Isa isa;
  double bandwidth, weightBandwidth;
  std::map<std::string, policy::FormatRates> formats; // completed
  std::vector<std::string> assumed;
};

} // namespace ktc
