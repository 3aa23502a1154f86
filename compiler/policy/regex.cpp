// PCRE2 behind the Regex class.
#include "compiler/policy/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace ktc::policy {
namespace {

constexpr size_t kMaxPatternBytes = 4096;
constexpr uint32_t kMatchLimit = 200'000; // backtracking steps; shipped rules need some hundreds
constexpr uint32_t kHeapLimitKiB = 8 * 1024;

std::string errorText(int code) {
  PCRE2_UCHAR buffer[256];
  if (pcre2_get_error_message(code, buffer, sizeof(buffer)) < 0)
    return "unknown error " + std::to_string(code);
  return reinterpret_cast<const char *>(buffer);
}

// Python's `\Z` is PCRE2's `\z`.
std::string fromPython(const std::string &pattern) {
  std::string result = pattern;
  for (size_t i = 0; i + 1 < result.size(); ++i)
    if (result[i] == '\\') {
      if (result[i + 1] == 'Z')
        result[i + 1] = 'z';
      ++i;
    }
  return result;
}

} // namespace

kt::Result<Regex> Regex::compile(const std::string &pattern) {
  if (pattern.size() > kMaxPatternBytes)
    return kt::Error{"bad regular expression: it is longer than " + std::to_string(kMaxPatternBytes) +
                     " bytes"};
  std::string text = fromPython(pattern);
  int code = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code *compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                       PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &offset, nullptr);
  if (!compiled)
    return kt::Error{"bad regular expression '" + pattern + "': " + errorText(code) + " at position " +
                     std::to_string(offset + 1)};
  return Regex(pattern, std::shared_ptr<const void>(compiled, [](const void *p) {
                 pcre2_code_free(static_cast<pcre2_code *>(const_cast<void *>(p)));
               }));
}

kt::Result<bool> Regex::search(std::string_view text) const {
  const auto *compiled = static_cast<const pcre2_code *>(code.get());
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create_from_pattern(compiled, nullptr), pcre2_match_data_free);
  std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  if (!data || !context)
    return kt::Error{"out of memory while matching '" + source + "'"};
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimitKiB);
  int found = pcre2_match(compiled, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0, data.get(),
                          context.get());
  if (found >= 0)
    return true;
  if (found == PCRE2_ERROR_NOMATCH)
    return false;
  return kt::Error{"the regular expression '" + source + "' cannot be matched with '" +
                   std::string(text.substr(0, 80)) + "': " + errorText(found)};
}

} // namespace ktc::policy
