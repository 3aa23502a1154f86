// Bringing the times of all lanes together; see timeline.h.
#include "runtime/executor/timeline.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace ktrt {
namespace {

// One lane in the replay. Offset: what has to be added to its times.
struct LaneTimes {
  const plan::LaneProgram *program;
  std::vector<CommandSpan> spans;
  const CommandSpan *window; // null: the common clock
  int64_t lowest = std::numeric_limits<int64_t>::min(), highest = std::numeric_limits<int64_t>::max();
  int64_t offset = 0;

  bool measured(uint32_t command) const { return spans[command].end != 0; }
  uint64_t begin(uint32_t command) const { return spans[command].begin + uint64_t(offset); }
  uint64_t end(uint32_t command) const { return spans[command].end + uint64_t(offset); }
};

// When a lane raised the signal of `command`, and when it went on behind the wait `command`; 0 if that is not
// known. On a GPU neither is a command of its own: it is the end of what it follows and the start of what
// follows it.
uint64_t raisedAt(const LaneTimes &lane, uint32_t command) {
  if (!lane.window)
    return lane.begin(command);
  uint64_t latest = 0;
  if (auto *after = lane.program->commands()->Get(command)->after())
    for (uint32_t earlier : *after)
      if (lane.measured(earlier))
        latest = std::max(latest, lane.end(earlier));
  return latest;
}

uint64_t noticedAt(const LaneTimes &lane, uint32_t command) {
  if (!lane.window)
    return lane.end(command);
  uint64_t first = 0;
  for (uint32_t i = command + 1; i < lane.spans.size(); ++i) {
    auto *after = lane.program->commands()->Get(i)->after();
    if (after && lane.measured(i) && std::find(after->begin(), after->end(), command) != after->end())
      first = first == 0 ? lane.begin(i) : std::min(first, lane.begin(i));
  }
  return first;
}

class Reader {
public:
  Reader(const plan::Plan &plan, uint32_t entry, const std::vector<std::unique_ptr<LaneRunner>> &runners)
      : entry(*plan.entries()->Get(entry)) {
    for (const plan::LaneProgram *program : *this->entry.programs()) {
      const LaneRunner &runner = *runners[program->lane()];
      lanes.push_back({program, runner.spans(entry), runner.window()});
    }
    result.entry = entry;
  }
  Timeline read();

private:
  template <typename Visit> void forEachHandOver(Visit &&visit) const;
  void alignClocks();

  const plan::Entry &entry;
  std::vector<LaneTimes> lanes;
  Timeline result;
};

// Calls visit(signal, raising lane, when, waiting lane, when) for what was measured on both sides.
template <typename Visit> void Reader::forEachHandOver(Visit &&visit) const {
  std::vector<std::pair<uint32_t, uint64_t>> raised(entry.signals());
  for (uint32_t l = 0; l < lanes.size(); ++l)
    for (uint32_t i = 0; i < lanes[l].spans.size(); ++i)
      if (const plan::Signal *signal = lanes[l].program->commands()->Get(i)->body_as_Signal())
        raised[signal->signal()] = {l, raisedAt(lanes[l], i)};
  for (uint32_t l = 0; l < lanes.size(); ++l)
    for (uint32_t i = 0; i < lanes[l].spans.size(); ++i)
      if (const plan::Wait *wait = lanes[l].program->commands()->Get(i)->body_as_Wait()) {
        const auto [from, at] = raised[wait->signal()];
        const uint64_t noticed = noticedAt(lanes[l], i);
        if (at != 0 && noticed != 0)
          visit(wait->signal(), from, at, l, noticed);
      }
}

void Reader::alignClocks() {
  for (LaneTimes &lane : lanes)
    for (uint32_t i = 0; lane.window && i < lane.spans.size(); ++i)
      if (lane.measured(i)) {
        lane.lowest = std::max(lane.lowest, int64_t(lane.window->begin - lane.spans[i].begin));
        lane.highest = std::min(lane.highest, int64_t(lane.window->end - lane.spans[i].end));
      }
  // Between two lanes with clocks of their own a signal says nothing yet: only those of the CPU are fixed.
  forEachHandOver([&](uint32_t, uint32_t from, uint64_t raised, uint32_t to, uint64_t noticed) {
    if (lanes[from].window && !lanes[to].window)
      lanes[from].highest = std::min(lanes[from].highest, int64_t(noticed - raised));
    if (!lanes[from].window && lanes[to].window)
      lanes[to].lowest = std::max(lanes[to].lowest, int64_t(raised - noticed));
  });
  for (LaneTimes &lane : lanes)
    if (lane.window && lane.lowest != std::numeric_limits<int64_t>::min())
      lane.offset = lane.lowest + (lane.highest - lane.lowest) / 2;
}

Timeline Reader::read() {
  alignClocks();
  for (const LaneTimes &lane : lanes)
    for (uint32_t i = 0; i < lane.spans.size(); ++i)
      if (lane.measured(i))
        result.commands.push_back({lane.program->lane(), i, lane.begin(i), lane.end(i)});
  forEachHandOver([&](uint32_t signal, uint32_t from, uint64_t raised, uint32_t to, uint64_t noticed) {
    result.signals.push_back({signal, lanes[from].program->lane(), lanes[to].program->lane(), raised, noticed});
  });
  return std::move(result);
}

} // namespace

Timeline readTimeline(const plan::Plan &plan, uint32_t entry,
                      const std::vector<std::unique_ptr<LaneRunner>> &lanes) {
  return Reader(plan, entry, lanes).read();
}

} // namespace ktrt
