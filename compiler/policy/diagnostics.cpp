// Collects diagnostics and finds the name that a typo was meant to be.
#include "compiler/policy/diagnostics.h"

#include <algorithm>
#include <cctype>

namespace ktc::policy {

std::string SourceLocation::str() const {
  if (line == 0)
    return file;
  return file + ":" + std::to_string(line) + ":" + std::to_string(column);
}

std::string SourceLocation::shortStr() const {
  std::string name = file.substr(file.find_last_of('/') + 1);
  return line == 0 ? name : name + ":" + std::to_string(line);
}

std::string Diagnostic::str() const {
  const char *word = severity == Severity::Error ? "error" : severity == Severity::Warning ? "warning" : "note";
  return where.str() + ": " + word + ": " + message;
}

void Diagnostics::error(SourceLocation where, std::string message) {
  list.push_back({Severity::Error, std::move(where), std::move(message)});
}

void Diagnostics::warning(SourceLocation where, std::string message) {
  list.push_back({Severity::Warning, std::move(where), std::move(message)});
}

void Diagnostics::note(SourceLocation where, std::string message) {
  list.push_back({Severity::Note, std::move(where), std::move(message)});
}

void Diagnostics::noteOnce(const std::string &kind, SourceLocation where, std::string message) {
  if (std::find(notedKinds.begin(), notedKinds.end(), kind) != notedKinds.end())
    return;
  notedKinds.push_back(kind);
  note(std::move(where), std::move(message));
}

bool Diagnostics::hasErrors() const { return count(Severity::Error) != 0; }

size_t Diagnostics::count(Severity severity) const {
  return std::count_if(list.begin(), list.end(), [&](const Diagnostic &d) { return d.severity == severity; });
}

std::string Diagnostics::str() const {
  std::string text;
  for (const Diagnostic &diagnostic : list)
    text += diagnostic.str() + "\n";
  return text;
}

std::string Diagnostics::firstError() const {
  for (const Diagnostic &diagnostic : list)
    if (diagnostic.severity == Severity::Error)
      return diagnostic.str();
  return {};
}

size_t editDistance(std::string_view a, std::string_view b) {
  // Three rows of the usual table are enough: the current one, the one above, and the one above that for swaps.
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j)
    above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

std::string nearestName(std::string_view name, std::span<const std::string_view> known) {
  auto lower = [](std::string_view text) {
    std::string result(text.substr(0, 128));
    for (char &c : result)
      c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
  };
  std::string wanted = lower(name), best;
  size_t bestDistance = wanted.size() / 3 + 1; // a third of the letters wrong is no longer a typo
  for (std::string_view candidate : known) {
    size_t distance = editDistance(wanted, lower(candidate));
    if (distance < bestDistance || (distance == bestDistance && best.empty())) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

std::string suggestion(std::string_view name, std::span<const std::string_view> known) {
  std::string nearest = nearestName(name, known);
  if (!nearest.empty())
    return "; did you mean '" + nearest + "'?";
  if (known.empty() || known.size() > 16)
    return "";
  std::string text = "; known: ";
  for (size_t i = 0; i < known.size(); ++i)
    text += (i ? ", " : "") + std::string(known[i]);
  return text;
}

} // namespace ktc::policy
