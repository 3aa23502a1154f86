// A tiny but complete plan for tests: a "model" whose logits can be computed by hand.
//
// For tokens t0, t1, … the logits at position p are  logit[v] = (bias + t0 + … + tp) * v  for v < 10. All
// numbers are small integers, so results are exact for every thread count and every way to cut the tokens. The
// machine code is assembled with the test and copied out of it.
#pragma once

#include "plan_generated.h"
#include "runtime/plan/header.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace toy {

inline constexpr uint32_t kVocab = 10;
inline constexpr uint32_t kContext = 64;
inline constexpr uint32_t kPrefill = 8; // capacity
inline constexpr uint32_t kHead = 3;    // capacity, smaller than a prefill chunk on purpose
inline constexpr float kBias = 5;

// Indices into the plan.
enum Section : uint32_t { Program, Code, Constants, Packed, SectionCount };
enum Arena : uint32_t { Io, Activations, Cache };
enum Kernel : uint32_t { Store, Prefix, Logits };
enum Entry : uint32_t { Decode1, Decode2, Prefill, Head };

// An editable plan: change `plan` or the bytes of sections, then write it.
struct Plan {
  Plan();
  ktrt::plan::PlanT plan;
  std::vector<uint8_t> code, constants, packed;

  // Makes the bias a weight of the file `path` (relative to the plan or absolute), which is created with
  // `bytes` bytes.
  void linkBias(const std::filesystem::path &directory, const std::string &path, uint64_t bytes = 3 << 20);
  // Writes the plan through the product's writer and returns its path.
  std::string write(const std::filesystem::path &directory, const std::string &name = "toy.ktp");
};

ktrt::plan::CommandT dispatch(Kernel kernel, std::vector<ktrt::plan::Operand> operands, uint32_t units,
                              uint32_t unitsPerToken, bool barrier);
// Lets threads prefetch operand `operand` of `dispatch` while they wait.
void addStream(ktrt::plan::DispatchT &dispatch, uint32_t operand, uint64_t unitBytes);
// Makes `dispatch`, which has streams, one of `experts` experts of `expertBytes` bytes with a hint.
void addHint(ktrt::plan::DispatchT &dispatch, ktrt::plan::Operand ids, uint32_t choices, uint32_t experts,
             uint32_t lists, uint64_t expertBytes);
ktrt::plan::CommandT copy(ktrt::plan::Operand source, ktrt::plan::Operand destination, uint64_t bytes,
                          uint64_t bytesPerToken, bool barrier);
ktrt::plan::CommandT fill(ktrt::plan::Operand destination, uint64_t bytes, uint64_t bytesPerToken,
                          uint8_t value, bool barrier);
ktrt::plan::CommandT signal(uint32_t index, bool barrier);
ktrt::plan::CommandT wait(uint32_t index);
ktrt::plan::Operand arena(Arena index, uint64_t offset = 0);
ktrt::plan::Operand weight(uint32_t index, uint64_t offset = 0);
std::vector<ktrt::plan::CommandT *> commandsOf(ktrt::plan::EntryT &entry, size_t program = 0);

// Offsets in the arenas.
inline constexpr uint64_t kTokensAt = 0, kPositionsAt = 64, kLogitsAt = 128; // Io
inline constexpr uint64_t kHiddenAt = 0, kStagedAt = 64;                     // Activations

// The logits that the model gives at position p of `tokens`, for vocabulary entry v.
float expectedLogit(const std::vector<int32_t> &tokens, size_t p, uint32_t v);

// A fresh directory, removed with the object.
class TemporaryDirectory {
public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  std::filesystem::path path;
};

std::vector<uint8_t> readFile(const std::string &path);
void writeFile(const std::string &path, const std::vector<uint8_t> &bytes);

// Recomputes section and table hashes of a plan file's bytes (those sections that lie inside), so that damage
// gets past the hashes to the checks behind them.
void repairHashes(std::vector<uint8_t> &file);

} // namespace toy
