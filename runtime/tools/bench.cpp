// ktrt bench: tokens per second, and how near decoding comes to the memory's speed.
#include "runtime/plan/message.h"
#include "runtime/tools/commands.h"
#include "runtime/tools/common.h"
#include "runtime/tools/files.h"
#include "runtime/tools/json.h"
#include "runtime/tools/terminal.h"
#include "runtime/tools/timeline_svg.h"

#include <cstdio>

namespace ktrt::tools {
namespace {

void onProgress(void *user, size_t done, size_t total) {
  static_cast<ProgressBar *>(user)->update(done, total);
}

void writeRate(JsonWriter &json, const char *name, const KtrtRate &rate) {
  json.key(name).beginObject().key("tokens_per_s").beginObject();
  json.member("min", rate.min).member("median", rate.median).member("max", rate.max);
  json.endObject().endObject();
}

void writeNames(JsonWriter &json, const std::string &joined) {
  json.beginArray();
  for (size_t at = 0; at < joined.size();) {
    size_t end = std::min(joined.find(',', at), joined.size());
    json.value(std::string_view(joined).substr(at, end - at));
    at = end + 1;
  }
  json.endArray();
}

// Beside the names in `devices`.
void writeDeviceReads(JsonWriter &json, const KtrtBenchResult &result) {
  json.key("devices_bytes_per_token").beginArray();
  for (size_t i = 0; i < result.deviceCount; ++i) {
    const KtrtDeviceRead &device = result.devices[i];
    json.beginObject().member("device", device.name).member("bytes_per_token", device.bytesPerToken);
    json.member("read_bandwidth", device.readBandwidth).endObject();
  }
  json.endArray();
}

void printJson(const KtrtInfo &info, const KtrtBenchOptions &options, const KtrtBenchResult &result) {
  JsonWriter json;
  json.beginObject();
  json.member("model", info.name);
  writeRate(json, "prefill", result.prefill);
  writeRate(json, "decode", result.decode);
  json.member("prompt_tokens", options.promptTokens).member("decode_tokens", options.decodeTokens);
  json.member("depth", options.depth).member("batch", options.batch).member("repetitions", options.repetitions);
  json.member("bytes_per_token", result.bytesPerToken).member("read_bandwidth", result.readBandwidth);
  json.key("read_bandwidth_range").beginObject();
  json.member("min", result.leastReadBandwidth).member("max", result.mostReadBandwidth).endObject();
  json.member("bound_tokens_per_s", result.boundTokensPerSecond).member("share_of_bound", result.shareOfBound);
  json.key("share_of_bound_range").beginObject();
  json.member("min", result.shares.min).member("max", result.shares.max).endObject();
  writeDeviceReads(json, result);
  json.member("predicted_decode_tokens_per_s", result.predictedDecodeTokensPerSecond);
  json.member("predicted_decode_at_read_bandwidth", result.predictedDecodeHere);
  json.member("predicted_prefill_tokens_per_s", result.predictedPrefillTokensPerSecond);
  json.member("threads", info.threads).member("isa", info.isa);
  json.key("devices");
  writeNames(json, info.devices);
  json.key("transforms");
  writeNames(json, info.transforms);
  json.member("commit", ktrtCommit()).endObject();
  std::printf("%s\n", json.text().c_str());
}

// The measured rate beside what the compiler predicted; `here`: at the read bandwidth of this run, or 0.
void printRate(const char *name, uint32_t tokens, const KtrtRate &rate, double predicted, double here) {
  if (!tokens)
    return;
  std::printf("%-9s %5u tokens  %10.2f tokens/s  (%.2f to %.2f)", name, tokens, rate.median, rate.min,
              rate.max);
  if (predicted > 0)
    std::printf("  predicted %.2f, measured %.0f %% of it", predicted, 100 * rate.median / predicted);
  if (here > 0)
    std::printf("; at this run's read bandwidth %.2f, %.0f %%", here, 100 * rate.median / here);
  std::printf("\n");
}

void printText(const KtrtInfo &info, const KtrtBenchOptions &options, const KtrtBenchResult &result) {
  std::printf("%s, %s, %u threads, %s, depth %u, batch %u, %u repetitions\n", info.name, info.isa, info.threads,
              info.devices, options.depth, options.batch, options.repetitions);
  if (*info.transforms)
    std::printf("results are changed by %s\n", info.transforms);
  printRate("prefill", options.promptTokens, result.prefill, result.predictedPrefillTokensPerSecond, 0);
  printRate("decode", options.decodeTokens, result.decode, result.predictedDecodeTokensPerSecond,
            result.predictedDecodeHere);
  for (size_t i = 0; i < result.deviceCount; ++i) {
    const KtrtDeviceRead &device = result.devices[i];
    const double rate = device.readBandwidth / device.bytesPerToken;
    const bool isBound = rate <= result.boundTokensPerSecond;
    std::printf("%-9s %.2f tokens/s = %.2f GB/s read / %.3f MB per token%s%s", isBound ? "bound" : "", rate,
                device.readBandwidth * 1e-9, device.bytesPerToken * 1e-6, result.deviceCount > 1 ? " on " : "",
                result.deviceCount > 1 ? device.name : "");
    if (isBound && options.decodeTokens)
      std::printf("; decode reaches %.1f %% (%.1f to %.1f)", result.shareOfBound * 100, result.shares.min * 100,
                  result.shares.max * 100);
    std::printf("\n");
  }
  if (options.decodeTokens)
    std::printf("%-9s %.2f to %.2f GB/s, measured beside each repetition\n", "memory",
                result.leastReadBandwidth * 1e-9, result.mostReadBandwidth * 1e-9);
}

// Goes to standard error, so that --profile and --json go together.
void printProfileRow(void *, const KtrtProfileRow *row) {
  double rate = row->seconds > 0 ? static_cast<double>(row->bytesRead) / row->seconds : 0;
  std::fprintf(stderr, "%-12s %-20s %10llu commands %10.3f ms %8.2f GB/s", row->entry, row->family,
               static_cast<unsigned long long>(row->commands), row->seconds * 1e3, rate * 1e-9);
  // A command that no barrier follows ends for the first thread when it is done itself.
  if (row->busySeconds > 0 && row->busySeconds <= row->seconds)
    std::fprintf(stderr, "  threads busy %3.0f %%", 100 * row->busySeconds / row->seconds);
  if (row->hintedBytes)
    std::fprintf(stderr, "  each thread read %.0f KB ahead",
                 1e-3 * static_cast<double>(row->hintedBytes) / static_cast<double>(row->commands));
  if (row->expertsChosen)
    std::fprintf(stderr, ", %.1f %% of the experts guessed",
                 100.0 * static_cast<double>(row->expertsGuessed) / static_cast<double>(row->expertsChosen));
  std::fprintf(stderr, "\n");
}

void onTimelineRow(void *svg, const KtrtTimelineRow *row) { static_cast<TimelineSvg *>(svg)->add(*row); }

// Decodes a few tokens with a time for every command and draws the last one.
int drawTimeline(const Model &model, KtrtBenchOptions options, const std::string &path) {
  options.promptTokens = 0;
  options.decodeTokens = 4 * options.batch;
  options.repetitions = 1;
  options.onProgress = nullptr;
  ktrtSetProfiling(model.get(), 1);
  TimelineSvg svg;
  KtrtBenchResult result = KTRT_INIT(KtrtBenchResult);
  KtrtStatus status = ktrtBench(model.get(), &options, &result);
  if (status == KTRT_OK)
    status = ktrtTimeline(model.get(), onTimelineRow, &svg);
  if (status != KTRT_OK)
    return reportFailure(status);
  const std::string text = svg.draw(model.info().name);
  OutputFile file;
  kt::Status written = file.open(path);
  if (written)
    written = file.write(text.data(), text.size());
  if (written)
    written = file.commit();
  return written ? kExitDone : failure(written.error().message);
}

} // namespace

int benchCommand(int argc, char **argv) {
  Arguments arguments("ktrt bench",
                      "Measures tokens per second with random token ids, next to the bound that the "
                      "machine's read bandwidth gives.");
  LoadOptions load;
  KtrtBenchOptions options = KTRT_INIT(KtrtBenchOptions);
  options.promptTokens = 512;
  options.decodeTokens = 128;
  options.batch = 1;
  options.repetitions = 3;
  bool json = false, profile = false;
  std::string timeline;
  load.declare(arguments);
  arguments.option("-p,--prompt", "N", &options.promptTokens, "prompt tokens (default 512; 0 = skip)");
  arguments.option("-n,--predict", "N", &options.decodeTokens, "decoded tokens (default 128; 0 = skip)");
  arguments.option("-d,--depth", "N", &options.depth, "tokens in the KV cache before either (default 0)");
  arguments.option("-b,--batch", "N", &options.batch, "tokens per decode step (default 1)");
  arguments.option("-r,--repetitions", "N", &options.repetitions, "measured repetitions (default 3)");
  arguments.option("-s,--seed", "S", &options.seed, "of the random token ids (default 0)");
  arguments.option("--profile", nullptr, &profile, "print the time per kernel family on standard error");
  arguments.option("--timeline", "FILE", &timeline,
                   "draw one decoded token as FILE (SVG): lanes, commands, signals");
  arguments.option("--json", nullptr, &json, "print one JSON object");
  if (auto code = arguments.parse(argc, argv))
    return *code;
  if (!options.batch || !options.repetitions || (!options.promptTokens && !options.decodeTokens))
    return arguments.usageError("-b and -r must not be 0, and not both -p and -n");
  Model model;
  if (auto failed = load.open(model))
    return *failed;

  ProgressBar bar("bench");
  options.onProgress = onProgress;
  options.user = &bar;
  Interrupts interrupts(model);
  if (profile)
    ktrtSetProfiling(model.get(), 1);
  KtrtBenchResult result = KTRT_INIT(KtrtBenchResult);
  KtrtStatus status = ktrtBench(model.get(), &options, &result);
  bar.clear();
  if (status != KTRT_OK)
    return reportFailure(status);
  json ? printJson(model.info(), options, result) : printText(model.info(), options, result);
  if (profile)
    ktrtProfile(model.get(), printProfileRow, nullptr);
  return timeline.empty() ? kExitDone : drawTimeline(model, options, timeline);
}

} // namespace ktrt::tools
