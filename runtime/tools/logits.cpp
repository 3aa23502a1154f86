// ktrt logits: the logits of every position, as a raw array for comparison with other implementations.
#include "runtime/plan/message.h"
#include "runtime/tools/commands.h"
#include "runtime/tools/common.h"
#include "runtime/tools/files.h"
#include "runtime/tools/terminal.h"

#include <algorithm>
#include <bit>
#include <cstdio>

namespace ktrt::tools {
namespace {

static_assert(std::endian::native == std::endian::little, "the output is little-endian");

// Writes rows of logits and keeps the first error.
struct Writer {
  OutputFile file;
  ProgressBar bar{"logits"};
  size_t vocabulary, total;
  size_t firstRow = 0; // of the call in progress
  kt::Status status;

  static int onLogits(void *user, size_t row, size_t rows, const float *logits) {
    auto &self = *static_cast<Writer *>(user);
    self.status = self.file.write(logits, rows * self.vocabulary * sizeof(float));
    self.bar.update(self.firstRow + row + rows, self.total);
    return !self.status;
  }
};

// In calls of `chunk` tokens; 0 = all at once. One token at a time goes the way of decoding.
KtrtStatus evaluate(Model &model, const std::vector<int32_t> &tokens, size_t chunk, Writer &writer) {
  std::vector<float> row(writer.vocabulary);
  size_t step = chunk ? chunk : tokens.size();
  for (; writer.firstRow < tokens.size(); writer.firstRow += step) {
    const int32_t *first = &tokens[writer.firstRow];
    size_t count = std::min(step, tokens.size() - writer.firstRow);
    uint32_t past = static_cast<uint32_t>(writer.firstRow);
    KtrtStatus status = KTRT_OK;
    if (chunk != 1)
      status = ktrtEvaluateAll(model.get(), first, count, past, Writer::onLogits, &writer);
    else if (status = ktrtEvaluate(model.get(), first, 1, past, row.data()); status == KTRT_OK)
      status = Writer::onLogits(&writer, 0, 1, row.data()) ? KTRT_CANCELLED : KTRT_OK;
    if (status != KTRT_OK)
      return status;
  }
  return KTRT_OK;
}

int writeLogits(Model &model, const std::vector<int32_t> &tokens, const std::string &path, uint32_t chunk) {
  KtrtInfo info = model.info();
  // Asked here as well, so that the answer does not come after minutes of decoding.
  if (tokens.size() > info.context)
    return failure(
        formatText("%zu tokens do not fit the context of %u positions", tokens.size(), info.context));
  Writer writer;
  writer.vocabulary = info.vocabulary;
  writer.total = tokens.size();
  if (kt::Status status = writer.file.open(path); !status)
    return failure(status.error().message);
  Interrupts interrupts(model);
  KtrtStatus status = evaluate(model, tokens, chunk, writer);
  writer.bar.clear();
  if (!writer.status)
    return failure(writer.status.error().message);
  if (status != KTRT_OK)
    return reportFailure(status);
  if (kt::Status committed = writer.file.commit(); !committed)
    return failure(committed.error().message);
  std::fprintf(stderr, "%s: %zu x %u float32\n", path.c_str(), tokens.size(), info.vocabulary);
  return kExitDone;
}

} // namespace

int logitsCommand(int argc, char **argv) {
  Arguments arguments("ktrt logits", "Writes the logits of every position: raw little-endian float32, "
                                     "[tokens][vocabulary].");
  LoadOptions load;
  std::optional<std::string> ids, text;
  std::string path;
  uint32_t chunk = 0;
  bool stepwise = false, special = false;
  load.declare(arguments);
  arguments.option("--tokens", "IDS", &ids, "token ids, separated by spaces or commas");
  arguments.option("-p,--prompt", "TEXT", &text, "text instead; begin-of-text is added if the model wants it");
  arguments.option("--special", nullptr, &special, "recognise special tokens in the text");
  arguments.option("-o,--out", "FILE", &path, "file to write");
  arguments.option("--chunk", "N", &chunk, "evaluate N tokens at a time (default 0: all at once)");
  arguments.option("--stepwise", nullptr, &stepwise, "token by token, as decoding does: --chunk 1");
  if (auto code = arguments.parse(argc, argv))
    return *code;
  if (!ids == !text)
    return arguments.usageError("give either --tokens or -p");
  if (path.empty())
    return arguments.usageError("missing --out FILE");
  auto tokens = parseTokens(ids.value_or(""));
  if (!tokens || (ids && tokens->empty()))
    return arguments.usageError("option '--tokens' expects token ids, not '" + *ids + "'");

  Model model;
  if (auto failed = load.open(model))
    return *failed;
  if (text) {
    uint32_t flags = KTRT_ADD_BOS | (special ? uint32_t(KTRT_PARSE_SPECIAL) : 0);
    if (KtrtStatus status = model.tokenize(*text, flags, *tokens); status != KTRT_OK)
      return reportFailure(status);
    if (tokens->empty())
      return failure("the text has no tokens");
  }
  return writeLogits(model, *tokens, path, stepwise ? 1 : chunk);
}

} // namespace ktrt::tools
