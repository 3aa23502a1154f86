// Diagnostics of policy files: what is wrong, and where, as `file:line:column: severity: message`.
//
// A policy is written by hand, so one run should report everything that is wrong with it; errors are therefore
// collected here instead of stopping at the first.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ktc::policy {

// A place in a text file. Lines and columns start at 1; line 0 means "the file as a whole".
struct SourceLocation {
  std::string file;
  int line = 0;
  int column = 0;

  // `file:line:column`, or the file alone when there is no line.
  std::string str() const;
  // `name.yaml:12`: the last component of the file and the line. What placements carry, so that a plan does not
  // contain the directories of the machine it was compiled on.
  std::string shortStr() const;
};

enum class Severity { Note, Warning, Error };

struct Diagnostic {
  Severity severity;
  SourceLocation where;
  std::string message;

  // One line without a newline: `file:line:column: warning: message`.
  std::string str() const;
};

// A growing list of diagnostics in the order they were found.
class Diagnostics {
public:
  void error(SourceLocation where, std::string message);
  void warning(SourceLocation where, std::string message);
  void note(SourceLocation where, std::string message);
  // Adds a note unless one with the same `kind` was added before: for things that every rule of a file repeats.
  void noteOnce(const std::string &kind, SourceLocation where, std::string message);

  bool hasErrors() const;
  size_t count(Severity severity) const;
  std::span<const Diagnostic> all() const { return list; }
  // All diagnostics, one per line, each with a newline.
  std::string str() const;
  // The first error as one line; empty if there is none.
  std::string firstError() const;

private:
  std::vector<Diagnostic> list;
  std::vector<std::string> notedKinds;
};

// The number of single-character insertions, deletions, replacements and swaps of neighbours between `a` and
// `b`.
size_t editDistance(std::string_view a, std::string_view b);

// The member of `known` that is closest to `name`, ignoring case; empty if none is close enough to be a likely
// typo.
std::string nearestName(std::string_view name, std::span<const std::string_view> known);

// "; did you mean 'x'?" with the nearest known name, else "; known: a, b, c" (at most 16 names).
std::string suggestion(std::string_view name, std::span<const std::string_view> known);

} // namespace ktc::policy
