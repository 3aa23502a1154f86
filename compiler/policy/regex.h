// Regular expressions of placement rules, in the dialect of Python's `re` as far as rules use it.
//
// PCRE2 with limits: a pattern that backtracks without end is an error with a message, never a hang.
#pragma once

#include "runtime/abi/result.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace ktc::policy {

// A compiled pattern. Copies share the compiled code. Searching is safe from several threads.
class Regex {
public:
  // Compiles `pattern`. The error names the position in the pattern. `\Z` has Python's meaning (the very end).
  static kt::Result<Regex> compile(const std::string &pattern);

  // True if the pattern occurs anywhere in `text` (`re.search`). Fails when the match limit is reached.
  kt::Result<bool> search(std::string_view text) const;

  const std::string &pattern() const { return source; }

private:
  Regex(std::string source, std::shared_ptr<const void> code)
      : source(std::move(source)), code(std::move(code)) {}

  std::string source;
  std::shared_ptr<const void> code; // pcre2_code; its header stays out of ours
};

} // namespace ktc::policy
