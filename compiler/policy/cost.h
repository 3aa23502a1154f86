// Predicts decode and prefill rates of a placement from a machine description.
//
// A simple roofline, for placements that have no schedule and for the bytes per device. What has a schedule is
// predicted from it (compiler/cost), which fills the same result.
// Decode: every device reads its bytes of a token at its bandwidth, one after the other, plus a fixed cost per
// dispatch and per change of device. Prefill of one chunk: per device the larger of arithmetic and reading. It
// neglects attention's arithmetic and cache reads, which grow with the context.
#pragma once

#include "compiler/policy/match.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ktc::policy {

struct CostOptions {
  int prefillTokens = 512; // tokens of the chunk that prefill is predicted for
  std::string isa;         // ISA level of CPU kernels; empty: the fastest of the machine
};

struct DeviceTime {
  std::string device;
  uint64_t decodeBytes = 0;  // weights read for one token
  double decodeSeconds = 0;  // reading them
  double prefillSeconds = 0; // of one chunk
};

// What a schedule puts on a device, in bytes.
struct DeviceMemory {
  std::string device;
  uint64_t weights = 0; // with derived weights and constants
  uint64_t kvCache = 0, activations = 0, io = 0;

  uint64_t total() const { return weights + kvCache + activations + io; }
};

// One replay of an entry point.
struct PredictedStep {
  std::string entry;
  int64_t tokens = 1;
  double seconds = 0;            // with an empty KV cache
  double secondsPerPosition = 0; // more for each token in the cache
  double readingSeconds = 0;     // of `seconds`, what goes with the read bandwidth of the CPU
};

struct FamilyTime {
  std::string family; // of kernels, or "copy"
  double seconds = 0;
};

struct Prediction {
  double decodeTokensPerS = 0;
  double prefillTokensPerS = 0;
  double dispatchSeconds = 0; // fixed costs of a token: barriers, launches, changes of device
  int crossings = 0;          // changes of device within a token
  std::string decodeBound;    // what a faster part would help most: "cpu memory bandwidth", "dispatch", …
  std::string prefillBound;
  std::vector<DeviceTime> devices;
  std::vector<DeviceMemory> memory;        // empty: there is no schedule
  std::vector<PredictedStep> steps;        // empty: not predicted from a schedule
  double readBandwidth = 0;                // of the CPU, bytes/s, that the steps assume
  std::vector<FamilyTime> decodeFamilies;  // of one token, longest first; as `steps`
  std::vector<FamilyTime> prefillFamilies; // of the whole prompt
  std::vector<std::string> assumptions;    // sentences; rates that the machine description does not give
};

// Predicts for `modules` in execution order, placed as in `table`. Never fails: unknown rates are assumed, and
// said.
Prediction predict(std::span<const ModuleRef> modules, const PlacementTable &table, const Machine &machine,
                   const CostOptions &options = {});

} // namespace ktc::policy
