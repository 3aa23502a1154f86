// Stop strings over a sliding buffer: it never holds more than the longest stop string plus the last feed.
#include "runtime/text/stop_matcher.h"

#include <algorithm>

namespace ktrt {

StopMatcher::StopMatcher(std::vector<std::string> all) : stops(std::move(all)) {
  std::erase_if(stops, [](const std::string &s) { return s.empty(); });
}

std::string StopMatcher::feed(std::string_view text) {
  if (stopped())
    return "";
  pending.append(text);
  size_t at = std::string::npos;
  for (const std::string &stop : stops) // the earliest match counts, the first in the list among equals
    if (size_t found = pending.find(stop); found < at) {
      at = found;
      matched = stop;
    }
  size_t show = at;
  if (at == std::string::npos) {
    size_t hold = 0; // longest end of the buffer that begins a stop string
    for (const std::string &stop : stops)
      for (size_t n = std::min(stop.size() - 1, pending.size()); n > hold; --n)
        if (pending.compare(pending.size() - n, n, stop, 0, n) == 0) {
          hold = n;
          break;
        }
    show = pending.size() - hold;
  }
  std::string out = pending.substr(0, show);
  pending.erase(0, stopped() ? std::string::npos : show);
  return out;
}

std::string StopMatcher::finish() {
  std::string out;
  out.swap(pending);
  return out;
}

} // namespace ktrt
