// Runs a regex chain with PCRE2.
//
// Each pattern sees one piece of the previous pattern as its whole subject, so that look-ahead cannot see past
// a piece: that is how the original tokenizers nest their splits. What a pattern does not match is a piece too.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "runtime/text/pre_tokenizer.h"

#include <pcre2.h>

namespace ktrt {

namespace {

// Frees what one split needs beside the compiled codes; several threads may split at once, each with its own.
struct MatchScratch {
  pcre2_match_data *data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context *context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack *stack = pcre2_jit_stack_create(32 * 1024, 1024 * 1024, nullptr);

  MatchScratch() {
    if (context && stack)
      pcre2_jit_stack_assign(context, nullptr, stack);
  }
  MatchScratch(const MatchScratch &) = delete;
  MatchScratch &operator=(const MatchScratch &) = delete;
  ~MatchScratch() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

std::string pcreMessage(int code) {
  char buffer[160];
  if (pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR *>(buffer), sizeof buffer) < 0)
    return "PCRE2 error " + std::to_string(code);
  return buffer;
}

// One match attempt. Falls back from compiled to interpreted matching when the compiled code's stack is too
// small.
int matchAt(const pcre2_code *code, std::string_view subject, size_t start, const MatchScratch &scratch) {
  auto *bytes = reinterpret_cast<PCRE2_SPTR>(subject.data());
  int rc = pcre2_match(code, bytes, subject.size(), start, PCRE2_NO_UTF_CHECK, scratch.data, scratch.context);
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
    rc = pcre2_match(code, bytes, subject.size(), start, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, scratch.data,
                     scratch.context);
  return rc;
}

} // namespace

struct PreTokenizer::Impl {
  std::vector<pcre2_code *> codes;

  ~Impl() {
    for (pcre2_code *code : codes)
      pcre2_code_free(code);
  }

  // Splits the piece `from` of `text` by one pattern and appends the result.
  kt::Status splitPiece(const pcre2_code *code, std::string_view text, TextPiece from,
                        const MatchScratch &scratch, std::vector<TextPiece> &out) const {
    std::string_view subject = text.substr(from.offset, from.size);
    size_t done = 0, start = 0;
    while (start < subject.size()) {
      int rc = matchAt(code, subject, start, scratch);
      if (rc == PCRE2_ERROR_NOMATCH)
        break;
      if (rc < 0)
        return kt::Error{"tokenizer: splitting the text at byte " + std::to_string(from.offset + start) +
                         " failed: " + pcreMessage(rc)};
      const PCRE2_SIZE *span = pcre2_get_ovector_pointer(scratch.data);
      if (span[1] <= span[0])
        break; // no pattern matches the empty string; never loop on one
      if (span[0] > done)
        out.push_back({from.offset + done, span[0] - done});
      out.push_back({from.offset + span[0], span[1] - span[0]});
      done = start = span[1];
    }
    if (done < subject.size())
      out.push_back({from.offset + done, subject.size() - done});
    return {};
  }
};

PreTokenizer::PreTokenizer() : impl(std::make_unique<Impl>()) {}
PreTokenizer::PreTokenizer(PreTokenizer &&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

kt::Result<PreTokenizer> PreTokenizer::create(const PreTokenizerSpec &spec) {
  PreTokenizer result;
  for (const char *const *pattern = spec.patterns; *pattern; ++pattern) {
    int code = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(*pattern), PCRE2_ZERO_TERMINATED,
                                         PCRE2_UTF | PCRE2_UCP, &code, &offset, nullptr);
    if (!compiled)
      return kt::Error{std::string("tokenizer: pre-tokenizer '") + spec.name + "', pattern " +
                       std::to_string(pattern - spec.patterns) + ", offset " + std::to_string(offset) + ": " +
                       pcreMessage(code)};
    // Without compiled matching (no support on this platform) PCRE2 interprets: slower, same result.
    (void)pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
    result.impl->codes.push_back(compiled);
  }
  return result;
}

kt::Status PreTokenizer::split(std::string_view text, std::vector<TextPiece> &pieces) const {
  pieces.clear();
  if (text.empty())
    return {};
  MatchScratch scratch;
  if (!scratch.data || !scratch.context)
    return kt::Error{"tokenizer: out of memory for the pre-tokenizer"};
  // Every pattern is linear in its subject when it behaves; the limit is far above that and far below a hang.
  uint64_t limit = 1000000 + 64 * uint64_t(text.size());
  pcre2_set_match_limit(scratch.context, uint32_t(limit < UINT32_MAX ? limit : UINT32_MAX));
  pieces.push_back({0, text.size()});
  std::vector<TextPiece> next;
  for (const pcre2_code *code : impl->codes) {
    next.clear();
    for (TextPiece piece : pieces)
      if (kt::Status status = impl->splitPiece(code, text, piece, scratch, next); !status)
        return status;
    pieces.swap(next);
  }
  return {};
}

} // namespace ktrt
