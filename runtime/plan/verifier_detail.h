// Private to the verifier's source files: verifier.cpp checks what exists (devices, weights, kernels, model),
// verifier_entries.cpp what is done with it (entries, commands, signals), verifier_lanes.cpp what differs
// between lanes of CPUs and GPUs (code, launches, reachable memory, order).
#pragma once

#include "runtime/plan/message.h"
#include "runtime/plan/verifier.h"

#include <cinttypes>

namespace ktrt::plan {

// Size of a vector that may be absent.
template <typename T> uint32_t sizeOf(const flatbuffers::Vector<T> *vector) {
  return vector ? vector->size() : 0;
}

// For messages: the text of a string that may be absent.
inline const char *textOf(const flatbuffers::String *text) { return text ? text->c_str() : "?"; }

// True for a GPU's machine code ("sm_90a") and for PTX ("compute_80").
bool isGpuTarget(std::string_view isa);

// Holds what is being checked and the first error. Check functions return false after the first error.
class VerifierState {
public:
  VerifierState(const Plan &plan, std::span<const PlanSection> sections) : plan(plan), sections(sections) {}

  // verifier.cpp
  bool checkDevices();
  bool checkFiles();
  bool checkWeights();
  bool checkWeightLayout();
  bool checkKernels();
  bool checkModel();
  bool checkTokenizer();
  bool checkSampling();

  // verifier_entries.cpp
  bool checkEntries();

  // verifier_lanes.cpp
  bool checkLaunch(const std::string &where, const KernelVariant &variant);
  bool checkAfter(const std::string &where, const Lane &lane, const Command &command, uint32_t index);
  bool checkKernelRuns(const std::string &where, const Lane &lane, const Dispatch &dispatch);
  bool checkReach(const std::string &where, const Lane &lane, const Operand &operand);

  std::string message;

private:
  [[gnu::format(printf, 2, 3)]] bool fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    message = formatList(format, arguments);
    va_end(arguments);
    return false;
  }
  // index < count, or an error about `what`.
  bool inRange(const std::string &what, uint64_t index, uint64_t count) {
    return index < count || fail("%s is %" PRIu64 ", expected less than %" PRIu64, what.c_str(), index, count);
  }
  // [offset, offset + bytes) lies in [0, limit), or an error about `what`.
  bool rangeFits(const std::string &what, uint64_t offset, uint64_t bytes, uint64_t limit) {
    return (offset <= limit && bytes <= limit - offset) ||
           fail("%s: bytes %" PRIu64 " + %" PRIu64 " are outside its %" PRIu64 " bytes", what.c_str(), offset,
                bytes, limit);
  }
  bool named(const flatbuffers::String *name, const char *table, uint32_t index) {
    return (name && name->size() != 0) || fail("%s[%u] has no name", table, index);
  }

  bool checkLanes();
  bool checkArenas();
  bool checkWeight(uint32_t index);
  bool checkShape(uint32_t index);
  bool checkVariants(uint32_t kernel);

  bool checkEntry(uint32_t index);
  bool checkEntryKind(uint32_t index);
  bool checkEntryBuffer(uint32_t index, const char *name, const Operand *operand, bool wanted,
                        uint64_t bytesPerToken, bool anywhere = false);
  bool checkProgram(uint32_t entry, uint32_t program);
  bool checkCommand(const std::string &where, const Entry &entry, const Lane &lane, const Command &command);
  bool checkLaneTransfer(const std::string &where, const Entry &entry, const Lane &lane, const Operand *operand,
                         uint64_t bytes, uint64_t bytesPerToken, bool written);
  bool checkDispatch(const std::string &where, const Entry &entry, const Lane &lane, const Dispatch &dispatch);
  bool checkStreams(const std::string &where, const Dispatch &dispatch);
  bool checkHint(const std::string &where, const Entry &entry, const Lane &lane, const Dispatch &dispatch);
  bool checkTransfer(const std::string &where, uint32_t tokens, const Operand *operand, uint64_t bytes,
                     uint64_t bytesPerToken, bool written);
  // The most tokens that a command of the entry works on.
  static uint32_t partCapacity(const Entry &entry) { return entry.capacity() / entry.parts(); }
  bool operandLimit(const std::string &where, const Operand &operand, uint64_t &limit, uint32_t &device);
  bool checkSignals(uint32_t entry);

  const Plan &plan;
  std::span<const PlanSection> sections;
};

} // namespace ktrt::plan
