// Ends a generation at the first of several stop strings, without ever showing part of one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ktrt {

// Fed with text piece by piece. Text that could be the beginning of a stop string is held back until it is
// clear whether it is one.
class StopMatcher {
public:
  // Empty stop strings are ignored.
  explicit StopMatcher(std::vector<std::string> stops);

  // Takes the next text and returns what may be shown. Once a stop string is complete, what stood before it is
  // returned, stopped() is true, and everything fed later is dropped.
  std::string feed(std::string_view text);

  // Ends the stream: returns what was held back.
  std::string finish();

  bool stopped() const { return !matched.empty(); }
  // The stop string that matched; empty if none did.
  const std::string &match() const { return matched; }

private:
  std::vector<std::string> stops;
  std::string pending, matched;
};

} // namespace ktrt
