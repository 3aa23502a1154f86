// What several subcommands share: options of loading and sampling, error reporting, Ctrl-C.
#pragma once

#include "runtime/abi/result.hpp"
#include "runtime/api/ktrt.hpp"
#include "runtime/tools/args.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace ktrt::tools {

// Options that every subcommand with a loaded model has.
struct LoadOptions {
  std::string plan;
  std::string isa;
  uint32_t threads = 0;
  uint32_t context = 0;
  bool noPinning = false;
  bool perfMap = false;

  // `withContext` is false where --ctx means something else.
  void declare(Arguments &arguments, bool withContext = true);
  // Opens the model; on failure prints why and returns the exit code.
  std::optional<int> open(Model &model) const;
};

// Options that choose the next token. What is not given keeps the plan's default.
struct SamplingOptions {
  static constexpr float kUnset = std::numeric_limits<float>::quiet_NaN();
  float temperature = kUnset, topP = kUnset, minP = kUnset, repeatPenalty = kUnset;
  uint32_t topK = UINT32_MAX, repeatLastN = UINT32_MAX;
  std::optional<std::string> seed;

  void declare(Arguments &arguments);
  // The plan's defaults with these options over them; a random seed if none was given. Out-of-range values are
  // returned as a sentence.
  kt::Result<KtrtSampling> resolve(const Model &model) const;
};

// Where text comes from: -p TEXT, -f FILE, or standard input.
struct TextOptions {
  std::optional<std::string> text;
  std::optional<std::string> file;

  void declare(Arguments &arguments, const char *what);
  // The text. On failure prints why and returns nothing, with the exit code in `code`.
  std::optional<std::string> read(const Arguments &arguments, int &code) const;
};

// Prints "ktrt: MESSAGE" on standard error and returns kExitFailed.
int failure(const std::string &message);

// The exit code for the status of a failed call, after printing its message on standard error.
int reportFailure(KtrtStatus status);

// While it lives, Ctrl-C sets the model's stop flag, and a second one ends the process at once.
class Interrupts {
public:
  explicit Interrupts(const Model &model);
  ~Interrupts();
  Interrupts(const Interrupts &) = delete;
  Interrupts &operator=(const Interrupts &) = delete;

  // Whether Ctrl-C was pressed since construction or the last reset.
  bool raised() const;
  // Forgets it and clears the model's stop flag.
  void reset();
};

// A KtrtTextFn that writes to standard output at once.
int printText(void *user, const char *text, size_t bytes);

// Lines about load, prompt and decode times, for standard error.
std::string statistics(const Model &model, const KtrtGenerateResult &result, uint64_t seed);

} // namespace ktrt::tools
