// The last replay, command by command, for pictures of it.
#include "runtime/api/model.h"
#include "runtime/plan/describe.h"

#include <algorithm>

namespace ktrt::api {
namespace {

const char *textOf(const flatbuffers::String *string) { return string ? string->c_str() : ""; }

class Rows {
public:
  Rows(const plan::Plan &plan, const Timeline &timeline, KtrtTimelineFn onRow, void *user)
      : plan(plan), timeline(timeline), entry(*plan.entries()->Get(timeline.entry)), onRow(onRow), user(user) {
    for (const TimelineCommand &command : timeline.commands)
      start = std::min(start, command.begin);
  }

  void report() const {
    for (const TimelineCommand &command : timeline.commands)
      reportCommand(command);
    for (const TimelineSignal &signal : timeline.signals) {
      KtrtTimelineRow row = rowOf(signal.from, "signal", signal.raised, signal.noticed);
      row.toLane = laneName(signal.to);
      onRow(user, &row);
    }
  }

private:
  const char *laneName(uint32_t lane) const { return textOf(plan.lanes()->Get(lane)->name()); }

  KtrtTimelineRow rowOf(uint32_t lane, const char *kind, uint64_t begin, uint64_t end) const {
    KtrtTimelineRow row = KTRT_INIT(KtrtTimelineRow);
    row.entry = textOf(entry.name());
    row.lane = laneName(lane);
    row.kind = kind;
    row.family = row.path = "";
    row.begin = static_cast<double>(static_cast<int64_t>(begin - start)) * 1e-9;
    row.end = static_cast<double>(static_cast<int64_t>(end - start)) * 1e-9;
    return row;
  }

  void reportCommand(const TimelineCommand &measured) const {
    for (const plan::LaneProgram *program : *entry.programs()) {
      if (program->lane() != measured.lane)
        continue;
      const plan::CommandText text = plan::describeCommand(plan, *program->commands()->Get(measured.command));
      KtrtTimelineRow row = rowOf(measured.lane, text.kind, measured.begin, measured.end);
      row.family = text.family;
      row.path = text.path;
      onRow(user, &row);
      return;
    }
  }

  const plan::Plan &plan;
  const Timeline &timeline;
  const plan::Entry &entry;
  KtrtTimelineFn onRow;
  void *user;
  uint64_t start = UINT64_MAX;
};

} // namespace
} // namespace ktrt::api

using namespace ktrt::api;

KtrtStatus ktrtTimeline(const KtrtModel *model, KtrtTimelineFn onRow, void *user) {
  return guard([&] {
    if (!model || !onRow)
      return fail(KTRT_INVALID_ARGUMENT, "ktrtTimeline: a required argument is missing");
    const ktrt::Timeline timeline = model->session->timeline();
    if (timeline.commands.empty())
      return fail(KTRT_ERROR, "there is no timeline: profiling is off, or nothing has been evaluated since");
    Rows(model->session->plan(), timeline, onRow, user).report();
    return KTRT_OK;
  });
}
