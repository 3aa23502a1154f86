// Shared parts of the subcommands, see common.h.
#include "runtime/tools/common.h"

#include "runtime/plan/message.h"
#include "runtime/tools/files.h"

#include <atomic>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <sys/random.h>
#include <unistd.h>

namespace ktrt::tools {

void LoadOptions::declare(Arguments &arguments, bool withContext) {
  arguments.positional("PLAN", plan, "plan file made by ktc compile");
  arguments.option("-t,--threads", "N", &threads, "CPU threads (default: physical cores)");
  arguments.option("--isa", "LEVEL", &isa, "use at most avx2, avx2vnni, avx512 or amx");
  if (withContext)
    arguments.option("--ctx", "N", &context, "positions to use (default: all the plan has)");
  arguments.option("--no-pin", nullptr, &noPinning, "leave the placement of threads to the system");
  arguments.option("--perf-map", nullptr, &perfMap, "write a map of kernel names for perf");
}

std::optional<int> LoadOptions::open(Model &model) const {
  KtrtOpenOptions options = KTRT_INIT(KtrtOpenOptions);
  options.threads = threads;
  options.isa = isa.empty() ? nullptr : isa.c_str();
  options.contextLimit = context;
  options.flags =
      uint32_t(noPinning ? KTRT_NO_PINNING : KTRT_PIN_CALLER) | (perfMap ? uint32_t(KTRT_PERF_MAP) : 0);
  KtrtStatus status = model.open(plan, options);
  if (status != KTRT_OK)
    return reportFailure(status);
  return std::nullopt;
}

void SamplingOptions::declare(Arguments &arguments) {
  arguments.option("--temp", "T", &temperature, "temperature; 0 = always the most probable token");
  arguments.option("--top-k", "K", &topK, "keep the K most probable tokens; 0 = all");
  arguments.option("--top-p", "P", &topP, "keep tokens that together reach this probability");
  arguments.option("--min-p", "P", &minP, "drop tokens below this share of the best one");
  arguments.option("--repeat-penalty", "R", &repeatPenalty, "make recent tokens less likely; 1 = off");
  arguments.option("--repeat-last-n", "N", &repeatLastN, "how many recent tokens that concerns");
  arguments.option("-s,--seed", "S", &seed, "same seed, same text (default: random)");
}

kt::Result<KtrtSampling> SamplingOptions::resolve(const Model &model) const {
  KtrtSampling sampling = model.defaultSampling();
  auto choose = [](float given, float &value) { value = std::isnan(given) ? value : given; };
  choose(temperature, sampling.temperature);
  choose(topP, sampling.topP);
  choose(minP, sampling.minP);
  choose(repeatPenalty, sampling.repeatPenalty);
  sampling.topK = topK == UINT32_MAX ? sampling.topK : topK;
  sampling.repeatLastN = repeatLastN == UINT32_MAX ? sampling.repeatLastN : repeatLastN;
  if (!seed) {
    // 32 random bits are enough to be different every time and short enough to be typed again.
    uint32_t bits = 0;
    if (getrandom(&bits, sizeof(bits), 0) == sizeof(bits))
      sampling.seed = bits;
    return sampling;
  }
  char *end = nullptr;
  errno = 0;
  sampling.seed = std::strtoull(seed->c_str(), &end, 10);
  if (seed->empty() || (*seed)[0] < '0' || (*seed)[0] > '9' || *end || errno)
    return kt::Error{"option '--seed' expects a whole number, not '" + *seed + "'"};
  return sampling;
}

void TextOptions::declare(Arguments &arguments, const char *what) {
  arguments.option("-p,--prompt", "TEXT", &text, what);
  arguments.option("-f,--file", "FILE", &file, "the same from a file; '-' is standard input, the default");
}

std::optional<std::string> TextOptions::read(const Arguments &arguments, int &code) const {
  if (text && file) {
    code = arguments.usageError("-p and -f exclude each other");
    return std::nullopt;
  }
  if (text)
    return text;
  if (!file && isatty(STDIN_FILENO)) {
    code = arguments.usageError("there is no text: give -p TEXT or -f FILE");
    return std::nullopt;
  }
  auto contents = readInput(file.value_or("-"));
  if (contents)
    return std::move(*contents);
  code = failure(contents.error().message);
  return std::nullopt;
}

int failure(const std::string &message) {
  std::fflush(stdout);
  std::fprintf(stderr, "ktrt: %s\n", message.c_str());
  return kExitFailed;
}

int reportFailure(KtrtStatus status) {
  failure(status == KTRT_CANCELLED ? "interrupted" : ktrtLastError());
  return status == KTRT_CANCELLED          ? kExitInterrupted
         : status == KTRT_INVALID_ARGUMENT ? kExitUsage
                                           : kExitFailed;
}

namespace {

// The handler can only reach globals. There is one Interrupts at a time.
std::atomic<KtrtModel *> interruptedModel{nullptr};
volatile std::sig_atomic_t interruptCount = 0;

void onInterrupt(int) {
  interruptCount = interruptCount + 1;
  if (interruptCount > 1)
    _exit(kExitInterrupted);
  ktrtSetStop(interruptedModel.load(std::memory_order_relaxed), 1);
}

void setHandler(void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;
  // Without SA_RESTART a waiting read returns, so that Ctrl-C also ends an interactive prompt.
  sigaction(SIGINT, &action, nullptr);
}

} // namespace

Interrupts::Interrupts(const Model &model) {
  interruptedModel = model.get();
  interruptCount = 0;
  setHandler(onInterrupt);
}

Interrupts::~Interrupts() {
  setHandler(SIG_DFL);
  interruptedModel = nullptr;
}

bool Interrupts::raised() const { return interruptCount != 0; }

void Interrupts::reset() {
  interruptCount = 0;
  ktrtSetStop(interruptedModel, 0);
}

int printText(void *, const char *text, size_t bytes) {
  std::fwrite(text, 1, bytes, stdout);
  return std::fflush(stdout);
}

std::string statistics(const Model &model, const KtrtGenerateResult &result, uint64_t seed) {
  static const char *const ends[] = {"end of text", "-n reached", "stop string", "context full", "interrupted"};
  KtrtInfo info = model.info();
  auto rate = [](uint32_t tokens, double seconds) { return seconds > 0 ? tokens / seconds : 0; };
  std::string text = formatText("load    %.2f s, %s, %u threads\n", info.loadSeconds, info.isa, info.threads);
  text += formatText("prompt  %u tokens in %.2f s, %.1f tokens/s", result.promptTokens, result.promptSeconds,
                     rate(result.promptTokens, result.promptSeconds));
  text += result.reusedTokens ? formatText(" (%u more reused)\n", result.reusedTokens) : "\n";
  text += formatText("decode  %u tokens in %.2f s, %.1f tokens/s; %s, seed %llu\n", result.generatedTokens,
                     result.decodeSeconds, rate(result.decodeSteps, result.decodeSeconds), ends[result.finish],
                     static_cast<unsigned long long>(seed));
  return text;
}

} // namespace ktrt::tools
